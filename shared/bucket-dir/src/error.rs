//! What the operating system says, as kinds that tell the caller what to do.

use std::io;
use std::path::Path;

use sluice_ports::{Error, ErrorKind};

/// The error of trying to `verb` a path.
pub(crate) fn of(error: io::Error, verb: &str, path: &Path) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => ErrorKind::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        // A name that is too long, a mount point inside of the bucket, a file system without locks.
        io::ErrorKind::InvalidFilename | io::ErrorKind::CrossesDevices | io::ErrorKind::Unsupported => {
            ErrorKind::Invalid
        }
        _ => ErrorKind::Unavailable,
    };
    Error::with(kind, format!("cannot {verb} {}", path.display()), error)
}

/// For `map_err`.
pub(crate) fn at<'a>(verb: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |error| of(error, verb, path)
}

pub(crate) fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, what)
}

/// Whether nothing can be at the path: it is not there, or one of those above it is a file.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Nothing, if there is nothing at the path.
pub(crate) fn if_there<T>(answer: io::Result<T>, verb: &str, path: &Path) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(of(error, verb, path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_say_what_to_do() {
        let kind = |raw| of(io::Error::from_raw_os_error(raw), "write", Path::new("/x")).kind();
        // EPERM, EACCES, EROFS; ENOSPC, EFBIG; EIO. These numbers are the same on Linux and macOS.
        assert_eq!([1, 13, 30].map(kind), [ErrorKind::Denied; 3]);
        assert_eq!([28, 27].map(kind), [ErrorKind::Full; 2]);
        assert_eq!(kind(5), ErrorKind::Unavailable);
        let text = of(io::ErrorKind::QuotaExceeded.into(), "write", Path::new("/x/y")).to_string();
        assert!(text.starts_with("cannot write /x/y: "), "{text}");
    }
}
