//! Errors with the stream's name in them.

use sluice_ports::{Error, ErrorKind};

/// What a stream is called in messages.
pub(crate) fn label(name: &str) -> String {
    format!("stream '{name}'")
}

/// The error of something that did not happen.
pub(crate) fn fault(name: &str, doing: &str, error: rusqlite::Error) -> Error {
    sluice_sqlite::fault(&label(name), doing, error)
}

/// The error of a commit. If the disk failed, nobody knows whether it happened.
pub(crate) fn commit_fault(name: &str, doing: &str, error: rusqlite::Error) -> Error {
    sluice_sqlite::commit_fault(&label(name), doing, error)
}

/// What the file holds is not what was written.
pub(crate) fn corrupt(name: &str, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{}: {why}", label(name)))
}
