//! What Kinesis says when it does not do what it was asked for.

use std::fmt;

/// The name of an error, as the API reference has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The iterator is older than 5 minutes.
    ExpiredIterator,
    /// The token of a listing is older than 5 minutes.
    ExpiredNextToken,
    /// The service failed; what was asked for may have been done.
    InternalFailure,
    /// An argument is well formed and wrong.
    InvalidArgument,
    /// Too many calls of an operation of the account, or too many of something.
    LimitExceeded,
    /// More than a shard gives or takes.
    ProvisionedThroughputExceeded,
    /// The stream is not in a state for it.
    ResourceInUse,
    /// No such stream, shard or consumer.
    ResourceNotFound,
    /// The body is not the JSON of this operation.
    Serialization,
    /// The service is away for a while.
    ServiceUnavailable,
    /// No such operation.
    UnknownOperation,
    /// An argument breaks a rule that is written in the API's model.
    Validation,
}

impl Code {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExpiredIterator => "ExpiredIteratorException",
            Self::ExpiredNextToken => "ExpiredNextTokenException",
            Self::InternalFailure => "InternalFailure",
            Self::InvalidArgument => "InvalidArgumentException",
            Self::LimitExceeded => "LimitExceededException",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::Serialization => "SerializationException",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::UnknownOperation => "UnknownOperationException",
            Self::Validation => "ValidationException",
        }
    }

    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::InternalFailure => 500,
            Self::ServiceUnavailable => 503,
            _ => 400,
        }
    }

    /// True if a later try of the same may be let through.
    pub fn is_throttle(self) -> bool {
        matches!(self, Self::LimitExceeded | Self::ProvisionedThroughputExceeded)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: the error's name, and what it says to a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    /// The name.
    pub code: Code,
    /// The message.
    pub message: String,
}

impl Refused {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// In the words in which the API's model tells a broken rule.
    pub(crate) fn validation(value: impl fmt::Display, field: &str, rule: &str) -> Self {
        let message = format!(
            "1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint: Member must {rule}"
        );
        Self::new(Code::Validation, message)
    }
}

/// What the service answers.
pub type Answer<T> = Result<T, Refused>;
