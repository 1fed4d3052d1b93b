//! Errors under the names that the workflow's Retry and Catch match: those of [`Code`].

use lambda_runtime::Diagnostic;
use sluice_operations::{Code, OperationError};

/// An invocation's error: a stable name and a message for a person.
#[derive(Debug)]
pub struct Refused(pub OperationError);

impl<E: Into<OperationError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl From<Refused> for Diagnostic {
    fn from(Refused(error): Refused) -> Self {
        Self { error_type: error.code.to_string(), error_message: error.message }
    }
}

pub(crate) fn invalid(message: impl Into<String>) -> OperationError {
    OperationError::new(Code::Invalid, message)
}
