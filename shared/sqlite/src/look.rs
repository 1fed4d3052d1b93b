//! Looking without the right to write.
//!
//! `SQLite` reads a file with a write-ahead log through memory that processes share, which is a file beside it. Whoever
//! may not make that file reads one of two ways:
//!
//! 1. The shared memory is there, since another process has the file open or died with it: `SQLite` reads both.
//! 2. No log is there: the file is whole. It is read without locks (`immutable`), and a reading counts only if the file
//!    is the same behind it as it was in front of it; else it is done again.
//!
//! **Invariant.** What was read while the file changed under a reader without locks is never answered.

use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use sluice_ports::{Error, ErrorKind, Result};

use crate::file::{Found, Layout, connect, exists, identify, opening};

/// How often a reading without locks is done again because the file changed meanwhile.
const TURNS: u32 = 100;

/// An open connection that looks, to be used again by [`look`].
#[derive(Debug)]
pub struct Looking {
    connection: Connection,
    /// The file as it was when it was opened without locks; none if it is read with locks.
    frozen: Option<Stamp>,
}

/// Does `work` on a connection that cannot write: the one of `slot`, or a new one that is then left there. None if
/// there is no file. `work` may be done several times, of which the last counts.
///
/// # Errors
/// As [`crate::open`]; `Denied` if this user may not read it, or if its log has to be folded into it first.
pub fn look<T>(
    slot: &mut Option<Looking>,
    path: &Path,
    label: &str,
    layout: &Layout,
    work: impl Fn(&mut Connection) -> Result<T>,
) -> Result<Option<T>> {
    for _ in 0..TURNS {
        let (mut looking, used) = match slot.take() {
            Some(looking) => (looking, true),
            None if !exists(path, label)? => return Ok(None),
            None => (Looking::open(path, label)?, false),
        };
        let answer = looking.work(path, label, layout, used, &work);
        if looking.is_steady(path) {
            // What was nothing may become a store, which the next look has to find out.
            if let Ok(Some(_)) = answer {
                *slot = Some(looking);
            }
            return answer;
        }
    }
    let what = format!("{label}: {} is written all the time, and may not be locked by this user", path.display());
    Err(Error::new(ErrorKind::Unavailable, what))
}

impl Looking {
    fn open(path: &Path, label: &str) -> Result<Self> {
        // Not "read only": the last one to leave a file folds its log into it, if it may.
        let connection = connect(path, label, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let error = match connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())) {
            Ok(()) => return Ok(Self { connection, frozen: None }),
            Err(error) => error,
        };
        drop(connection);
        if !needs_to_write(&error) {
            return Err(opening(label, path, error));
        }
        match Stamp::of(path) {
            Rest::Whole(stamp) => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                let connection = connect(&immutable(path), label, flags)?;
                Ok(Self { connection, frozen: Some(stamp) })
            }
            Rest::Beside(log) if crate::kind(&error) == ErrorKind::Denied => {
                let what = format!(
                    "{label}: {} holds what is not in {} yet, and this user may not fold it in: run the command once as \
                     a user who may write there",
                    log.display(),
                    path.display()
                );
                Err(Error::with(ErrorKind::Denied, what, error))
            }
            Rest::Beside(_) | Rest::Unknown => Err(opening(label, path, error)),
        }
    }

    fn work<T>(
        &mut self,
        path: &Path,
        label: &str,
        layout: &Layout,
        used: bool,
        work: &impl Fn(&mut Connection) -> Result<T>,
    ) -> Result<Option<T>> {
        if !used {
            if let Found::Nothing = identify(&self.connection, path, label, layout)? {
                return Ok(None);
            }
            let failed = |error| opening(label, path, error);
            let cache = -i64::from(layout.reader_cache);
            self.connection.pragma_update(None, "cache_size", cache).map_err(failed)?;
            self.connection.pragma_update(None, "query_only", true).map_err(failed)?;
        }
        work(&mut self.connection).map(Some)
    }

    /// True if what was read until now is of one state of the file.
    fn is_steady(&self, path: &Path) -> bool {
        self.frozen.as_ref().is_none_or(|before| matches!(Stamp::of(path), Rest::Whole(now) if now == *before))
    }
}

/// True if `SQLite` met something that it would have had to write in order to read.
fn needs_to_write(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
        )
    )
}

/// The state of a file, as far as two reads can be compared by it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Whether a file is the whole store.
enum Rest {
    Whole(Stamp),
    /// Something of it is in that file beside it.
    Beside(PathBuf),
    /// It cannot be found out.
    Unknown,
}

impl Stamp {
    fn of(path: &Path) -> Rest {
        let Ok(file) = path.metadata() else { return Rest::Unknown };
        for suffix in ["-wal", "-journal"] {
            let mut beside = OsString::from(path);
            beside.push(suffix);
            match std::fs::metadata(&beside) {
                Ok(found) if found.len() == 0 => {}
                Ok(_) => return Rest::Beside(beside.into()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(_) => return Rest::Unknown,
            }
        }
        Rest::Whole(Self {
            device: file.dev(),
            inode: file.ino(),
            len: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

/// The name by which `SQLite` opens a file that nobody changes.
fn immutable(path: &Path) -> PathBuf {
    // Behind two slashes stands a host, which is empty in front of a path from the root.
    let mut uri = if path.is_absolute() { "file://" } else { "file:" }.to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            // Writing to a string has no way to fail.
            other => drop(write!(uri, "%{other:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    uri.into()
}
