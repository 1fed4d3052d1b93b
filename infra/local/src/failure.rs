//! What ends a command before its work is done.

use std::io;

use sluice_operations::{Code, OperationError};
use sluice_transfer::record;

/// Exit code of a command line that cannot be understood, or of a value out of range.
pub(crate) const USAGE: u8 = 2;

/// Why a command ends without having done what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The stable name.
    pub code: String,
    /// The thing, and the way out.
    pub message: String,
    /// What the process exits with.
    pub exit: u8,
    /// Whoever read the output is gone, which is nobody's fault: nothing is said.
    pub silent: bool,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        OperationError::new(code, message).into()
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: "Usage".to_owned(), message: message.into(), exit: USAGE, silent: false }
    }

    /// Of a file or a folder. `what` says what cannot be done with it.
    pub(crate) fn of_io(error: &io::Error, what: impl std::fmt::Display) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound => Code::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Code::Denied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::NoRoom,
            _ => Code::Unavailable,
        };
        Self::new(code, format!("{what}: {error}"))
    }

    /// Of writing to stdout.
    pub(crate) fn of_stdout(error: &io::Error) -> Self {
        let silent = error.kind() == io::ErrorKind::BrokenPipe;
        Self { silent, exit: u8::from(!silent), ..Self::of_io(error, "the output cannot be written") }
    }

    /// As a transfer's record has it.
    pub(crate) fn to_record(&self) -> record::Failure {
        record::Failure { code: self.code.clone(), message: self.message.clone() }
    }
}

impl From<OperationError> for Failure {
    fn from(error: OperationError) -> Self {
        let exit = if error.code == Code::OutOfRange { USAGE } else { 1 };
        Self { code: error.code.to_string(), message: error.message, exit, silent: false }
    }
}

impl From<sluice_ports::Error> for Failure {
    fn from(error: sluice_ports::Error) -> Self {
        OperationError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_errors_has_the_commands_own_code() {
        let page = include_str!("../../../shared/ERRORS.md");
        let documented: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | command |").map(|(code, _)| code))
            .collect();
        let usage = Failure::usage("").code;
        assert_eq!(documented, [usage.as_str()]);
        assert_eq!(Code::named(&usage), None, "it would be told twice");
    }
}
