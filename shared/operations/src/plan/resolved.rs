//! What planning finds out of a request.

use sluice_transfer::StreamUri;
use sluice_transfer::record::{Config, ShardRecord};

use crate::error::{Code, OperationError};

/// What resolving a request finds.
pub(super) struct Resolved {
    pub config: Config,
    pub shards: Vec<ShardRecord>,
}

pub(super) fn unknown_stream(uri: &StreamUri, hint: &str) -> OperationError {
    OperationError::new(Code::NotFound, format!("there is no stream {uri}{hint}"))
}
