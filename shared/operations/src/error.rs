//! Errors of a transfer, under codes that hosts and workflows match.

use std::fmt;

use serde::{Deserialize, Serialize};
use sluice_ports::{Error, ErrorKind};
use sluice_transfer::manifest::ManifestError;
use sluice_transfer::record::{AlgebraError, Failure};
use sluice_transfer::{Illegal, KeyError, PackError, UnpackError};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The stable names. A workflow's Retry and Catch match them; nobody matches a message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All of them: what a workflow's Catch lists.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The one of that name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.to_string() == name)
            }
        }
    };
}

codes! {
    /// A value is outside its range.
    OutOfRange,
    /// A name or a request cannot be carried out as it stands.
    Invalid,
    /// No transfer of that id.
    TransferNotFound,
    /// The id is taken by another request.
    RequestDiffers,
    /// The transfer's state does not have this step.
    IllegalState,
    /// No such stream, shard, bucket, object or rule.
    NotFound,
    /// An import's target holds events already.
    StreamNotEmpty,
    /// An import's target is reserved for another one.
    StreamReserved,
    /// Another writer wrote into the import's target.
    ForeignEvents,
    /// A foreign object stands at a key of the transfer.
    ForeignObject,
    /// An object differs from its manifest.
    ObjectDamaged,
    /// A foreign file is not of the format that was named.
    ObjectUnreadable,
    /// An object that a manifest names is not there.
    ObjectMissing,
    /// A source object changed while it was imported.
    ObjectChanged,
    /// A manifest or a list is not to be trusted.
    ManifestInvalid,
    /// A prefix holds several manifests.
    SeveralManifests,
    /// A source holds nothing.
    NothingToImport,
    /// The source stream is not the one that was read before.
    SourceChanged,
    /// Another host has the run of a series, or took its place.
    SeriesTaken,
    /// An event is larger than the target or the limits allow.
    EventTooLarge,
    /// More events do not fit the target than an import stores.
    TooManyMisfits,
    /// No room on a disk or in a store.
    NoRoom,
    /// A right is missing.
    Denied,
    /// A store is out of reach.
    Unavailable,
    /// A record or a file was damaged or changed.
    Corrupt,
    /// A record or a file was written by a newer version.
    Newer,
    /// Slice after slice moved nothing.
    NoMovement,
    /// The events that arrived differ from those sent.
    VerificationFailed,
    /// The execution of the transfer was stopped from outside.
    ExecutionStopped,
    /// A defect in Sluice.
    Defect,
}

impl Code {
    /// True if no `resume` can help: what was read is pinned, what arrived has been appended.
    pub fn is_for_good(self) -> bool {
        matches!(
            self,
            Self::ObjectUnreadable
                | Self::ForeignEvents
                | Self::SourceChanged
                | Self::SeriesTaken
                | Self::EventTooLarge
                | Self::TooManyMisfits
                | Self::VerificationFailed
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An error of an operation: a code for programs, a message for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OperationError {
    /// The stable name.
    pub code: Code,
    /// The thing, and the way out.
    pub message: String,
}

impl OperationError {
    /// With a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The failure as kept on a transfer's record.
    pub fn to_failure(&self) -> Failure {
        Failure { code: self.code.to_string(), message: self.message.clone() }
    }
}

impl From<Error> for OperationError {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            // A slice sees its deadline as what it is: `Stop::Deadline`. Nobody else has one; more time would help.
            ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Indeterminate | ErrorKind::Deadline => {
                Code::Unavailable
            }
            ErrorKind::Full => Code::NoRoom,
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::Changed => Code::ObjectChanged,
            ErrorKind::Denied => Code::Denied,
            ErrorKind::Invalid => Code::Invalid,
            ErrorKind::Corrupt => Code::Corrupt,
            ErrorKind::Newer => Code::Newer,
        };
        Self::new(code, error.to_string())
    }
}

impl From<AlgebraError> for OperationError {
    fn from(error: AlgebraError) -> Self {
        let code = match error {
            AlgebraError::TooManyParts => Code::OutOfRange,
            AlgebraError::TooManyGaps => Code::SourceChanged,
            AlgebraError::Phase { .. } | AlgebraError::Backwards { .. } => Code::Defect,
        };
        Self::new(code, error.to_string())
    }
}

impl From<PackError> for OperationError {
    fn from(error: PackError) -> Self {
        let code = match error {
            PackError::SourceChanged { .. } => Code::SourceChanged,
            PackError::TooLarge { .. } => Code::EventTooLarge,
        };
        Self::new(code, error.to_string())
    }
}

impl From<UnpackError> for OperationError {
    fn from(error: UnpackError) -> Self {
        Self::new(Code::ObjectDamaged, error.to_string())
    }
}

impl From<ManifestError> for OperationError {
    fn from(error: ManifestError) -> Self {
        let code = if matches!(error, ManifestError::Newer(_)) { Code::Newer } else { Code::ManifestInvalid };
        Self::new(code, error.to_string())
    }
}

impl From<KeyError> for OperationError {
    fn from(error: KeyError) -> Self {
        Self::new(Code::ManifestInvalid, error.to_string())
    }
}

impl From<Illegal> for OperationError {
    fn from(error: Illegal) -> Self {
        Self::new(Code::IllegalState, error.to_string())
    }
}

/// Why a slice leaves off before its work is done. Not all of these are errors.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A later slice holds the shard: whatever this one still does is void.
    Fenced,
    /// The deadline came in the middle of a call; what that call did is unknown.
    Deadline,
    /// It is wanted that the transfer rests, and the work at hand was left off for that.
    Rest,
    /// A store is in trouble; nothing is wrong with the transfer.
    Trouble(OperationError),
    /// The transfer cannot go on.
    Failed(OperationError),
}

impl From<OperationError> for Stop {
    fn from(error: OperationError) -> Self {
        if error.code == Code::Unavailable { Self::Trouble(error) } else { Self::Failed(error) }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Deadline => Self::Deadline,
            _ => OperationError::from(error).into(),
        }
    }
}

macro_rules! stops {
    ($($error:ty),*) => {
        $(impl From<$error> for Stop {
            fn from(error: $error) -> Self {
                OperationError::from(error).into()
            }
        })*
    };
}

stops!(AlgebraError, PackError, UnpackError, ManifestError, KeyError, Illegal);

/// What is wrong with something that was read or written: the store's error as it came, so that a slice sees its
/// deadline in it, or what was found.
#[derive(Debug)]
pub(crate) enum Fault {
    Store(Error),
    Found(OperationError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<OperationError> for Fault {
    fn from(error: OperationError) -> Self {
        Self::Found(error)
    }
}

impl From<Fault> for OperationError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error.into(),
            Fault::Found(error) => error,
        }
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error.into(),
            Fault::Found(error) => error.into(),
        }
    }
}
