//! The broker's errors as kinds of the port. A kind says what the caller does next, so it depends on the call: an
//! answer that is missing leaves open whether an append happened, and means nothing for a read.

use sluice_ports::{Error, ErrorKind};

use crate::broker::Refused;

/// What a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Read,
    Append,
    Trim,
}

/// The error of a call. No key and no payload goes into it.
pub(crate) fn refused(call: Call, topic: &str, why: Refused) -> Error {
    let kind = match why {
        Refused::UnknownTopic | Refused::UnknownPartition => ErrorKind::NotFound,
        Refused::RecordTooLarge | Refused::TopicExists => ErrorKind::Invalid,
        Refused::Busy => ErrorKind::Throttled,
        // An append may have happened. All other calls may simply be made again.
        Refused::TimedOut if call == Call::Append => ErrorKind::Indeterminate,
        // A read acts on the first of them itself. Elsewhere the offset was changed under the adapter.
        Refused::OffsetOutOfRange { .. } | Refused::TimedOut => ErrorKind::Unavailable,
    };
    let doing = match call {
        Call::Create => "making",
        Call::Read => "reading",
        Call::Append => "appending to",
        Call::Trim => "trimming",
    };
    Error::with(kind, format!("{doing} the topic {topic}"), why)
}
