//! `SQLite`'s errors as kinds that say what the caller must do.

use rusqlite::ErrorCode;
use sluice_ports::{Error, ErrorKind};

/// The error of something that did not happen.
pub(crate) fn fault(name: &str, doing: &str, error: rusqlite::Error) -> Error {
    Error::with(kind(&error), format!("stream '{name}': {doing}"), error)
}

/// The error of a commit: where the disk failed, nobody knows whether it happened.
pub(crate) fn commit_fault(name: &str, doing: &str, error: rusqlite::Error) -> Error {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure) => ErrorKind::Indeterminate,
        _ => kind(&error),
    };
    Error::with(kind, format!("stream '{name}': {doing}, while committing"), error)
}

/// What the file holds is not what was written.
pub(crate) fn corrupt(name: &str, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("stream '{name}': {why}"))
}

fn kind(error: &rusqlite::Error) -> ErrorKind {
    match error {
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
    use rusqlite::ffi;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn each_code_says_what_to_do() {
        for (code, expected) in [
            (ffi::SQLITE_FULL, ErrorKind::Full),
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
            let error = fault("orders", "reading", failure(code));
            assert_eq!(error.kind(), expected, "{code}");
            assert!(error.to_string().starts_with("stream 'orders': reading"), "{error}");
        }
    }

    #[test]
    fn only_a_commit_leaves_doubt() {
        assert_eq!(commit_fault("a", "x", failure(ffi::SQLITE_IOERR_FSYNC)).kind(), ErrorKind::Indeterminate);
        assert_eq!(commit_fault("a", "x", failure(ffi::SQLITE_FULL)).kind(), ErrorKind::Full);
        assert_eq!(commit_fault("a", "x", failure(ffi::SQLITE_BUSY)).kind(), ErrorKind::Unavailable);
    }
}
