//! The result of planning.

use sluice_transfer::record::{Config, ShardRecord};
use sluice_transfer::{LeftOut, StreamUri};

use super::notes::Notes;
use crate::error::{Code, OperationError};

/// What resolving a request finds.
pub(super) struct Resolved {
    pub config: Config,
    pub shards: Vec<ShardRecord>,
    /// What the source holds and is not taken.
    pub left_out: LeftOut,
    /// What is to be said of the request.
    pub notes: Notes,
}

pub(super) fn unknown_stream(uri: &StreamUri) -> OperationError {
    let hint = match uri.scheme.as_str() {
        "local" => "check its name and the home (`sluice streams` lists those of a home)",
        _ => "check its name, account and region",
    };
    OperationError::new(Code::NotFound, format!("there is no stream {uri}; {hint}"))
}
