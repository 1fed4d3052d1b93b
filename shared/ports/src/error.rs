//! One error for all ports: a kind that says what the caller must do.

use std::fmt;

/// Characters of what a cause says: a store may send megabytes along, and what is told here goes on record.
const LONGEST_CAUSE: usize = 1_000;

/// The result of a port's method.
pub type Result<T> = std::result::Result<T, Error>;

/// The kind of an error, which tells what the caller must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// It did not happen; wait and try again.
    Throttled,
    /// It did not happen; the store is out of reach, try again.
    Unavailable,
    /// It may have happened; look before trying again.
    Indeterminate,
    /// It did not happen; the store has no room. Trying again helps once somebody made some.
    Full,
    /// The stream, shard, bucket or object does not exist.
    NotFound,
    /// The object is no longer the one that was pinned.
    Changed,
    /// The caller may not do this.
    Denied,
    /// The request cannot be carried out as it stands.
    Invalid,
    /// The stored bytes differ from those written.
    Corrupt,
    /// What is stored was written by a newer version.
    Newer,
    /// The caller's own deadline came before the answer; it may have happened. No store says so, only what a caller
    /// puts in front of one.
    Deadline,
}

impl ErrorKind {
    /// True if trying the same again can succeed without anyone doing something.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable | Self::Indeterminate)
    }
}

/// A port's error: its kind, what it was about, and what caused it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Without a cause of its own. `what` names the thing, for a person.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), source: None }
    }

    /// With a cause.
    pub fn with(
        kind: ErrorKind,
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, what: what.into(), source: Some(source.into()) }
    }

    /// The kind of an error, which tells what the caller must do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.source {
            Some(source) => {
                let said: String = source.to_string().chars().take(LONGEST_CAUSE).collect();
                write!(f, ": {said}")
            }
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_not_told_at_any_length() {
        let error = Error::with(ErrorKind::Denied, "reading", "x".repeat(100_000));
        assert_eq!(error.to_string().len(), "reading: ".len() + LONGEST_CAUSE);
    }
}
