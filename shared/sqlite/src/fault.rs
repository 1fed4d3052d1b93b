//! `SQLite`'s errors as kinds that say what the caller must do.

use rusqlite::ErrorCode;
use rusqlite::ffi;
use sluice_ports::{Error, ErrorKind};

/// The error of something that did not happen. `label` names the store, `doing` what was tried.
pub fn fault(label: &str, doing: &str, error: rusqlite::Error) -> Error {
    told(kind(&error), format!("{label}: {doing}"), error)
}

/// The error of a commit. If the disk failed, nobody knows whether it happened.
pub fn commit_fault(label: &str, doing: &str, error: rusqlite::Error) -> Error {
    let kind = match kind(&error) {
        ErrorKind::Unavailable if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => {
            ErrorKind::Indeterminate
        }
        kind => kind,
    };
    told(kind, format!("{label}: {doing}, while committing"), error)
}

fn told(kind: ErrorKind, what: String, error: rusqlite::Error) -> Error {
    match kind {
        // SQLite's own words for it differ with the file that found no room.
        ErrorKind::Full => Error::new(kind, format!("{what}: the disk is full")),
        _ => Error::with(kind, what, error),
    }
}

/// What an error means to the caller.
pub fn kind(error: &rusqlite::Error) -> ErrorKind {
    match error {
        // The memory that processes share is a file too, and its room is taken before it is used.
        rusqlite::Error::SqliteFailure(failure, _) if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
            ErrorKind::Full
        }
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => ErrorKind::Full,
            ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::AuthorizationForStatementDenied => ErrorKind::Denied,
            ErrorCode::TooBig => ErrorKind::Invalid,
            // The last three: a number that is there twice, a value outside its check, a table that is not there.
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::Unknown => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        },
        // A row or a table that must be there is not, or is something else.
        rusqlite::Error::QueryReturnedNoRows
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::SqlInputError { .. } => ErrorKind::Corrupt,
        _ => ErrorKind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn each_code_says_what_to_do() {
        for (code, expected) in [
            (ffi::SQLITE_FULL, ErrorKind::Full),
            (ffi::SQLITE_IOERR_SHMSIZE, ErrorKind::Full),
            (ffi::SQLITE_BUSY, ErrorKind::Unavailable),
            (ffi::SQLITE_BUSY_SNAPSHOT, ErrorKind::Unavailable),
            (ffi::SQLITE_LOCKED, ErrorKind::Unavailable),
            (ffi::SQLITE_CORRUPT, ErrorKind::Corrupt),
            (ffi::SQLITE_NOTADB, ErrorKind::Corrupt),
            (ffi::SQLITE_READONLY, ErrorKind::Denied),
            (ffi::SQLITE_CANTOPEN, ErrorKind::Denied),
            (ffi::SQLITE_PERM, ErrorKind::Denied),
            (ffi::SQLITE_IOERR_READ, ErrorKind::Unavailable),
            (ffi::SQLITE_TOOBIG, ErrorKind::Invalid),
        ] {
            let error = fault("stream 'orders'", "reading", failure(code));
            assert_eq!(error.kind(), expected, "{code}");
            assert!(error.to_string().starts_with("stream 'orders': reading"), "{error}");
            assert_eq!(error.to_string().contains("the disk is full"), expected == ErrorKind::Full, "{error}");
        }
    }

    #[test]
    fn only_a_commit_leaves_doubt() {
        let kind = |code| commit_fault("a", "x", failure(code)).kind();
        assert_eq!(kind(ffi::SQLITE_IOERR_FSYNC), ErrorKind::Indeterminate);
        assert_eq!(kind(ffi::SQLITE_IOERR_SHMSIZE), ErrorKind::Full);
        assert_eq!(kind(ffi::SQLITE_FULL), ErrorKind::Full);
        assert_eq!(kind(ffi::SQLITE_BUSY), ErrorKind::Unavailable);
        assert_eq!(fault("a", "x", failure(ffi::SQLITE_IOERR_FSYNC)).kind(), ErrorKind::Unavailable);
    }
}
