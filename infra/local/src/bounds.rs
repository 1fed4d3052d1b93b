//! Streams, and what positions mean for them.

use sluice_operations::{Code, Engine, bounds};
use sluice_ports::{Error, ErrorKind, StreamInfo, StreamReader};
use sluice_transfer::{Position, PositionSpec, StreamUri};

use crate::failure::Failure;
use crate::places::is_local;

/// Describes a stream that must be there.
pub(crate) async fn known(stream: &dyn StreamReader, uri: &StreamUri) -> Result<StreamInfo, Failure> {
    stream.describe().await.map_err(|error| not_there(error, uri))
}

/// An error of a stream that must be there.
pub(crate) fn not_there(error: Error, uri: &StreamUri) -> Failure {
    match error.kind() {
        ErrorKind::NotFound if is_local(uri) => unknown(uri),
        _ => error.into(),
    }
}

pub(crate) fn unknown(uri: &StreamUri) -> Failure {
    Failure::new(Code::NotFound, format!("there is no stream {uri}; `sluice streams` shows those there are"))
}

/// The position of every shard; `open` where the bound does not name it.
pub(crate) async fn positions(
    engine: &Engine,
    stream: &dyn StreamReader,
    info: &StreamInfo,
    (field, spec): (&str, &PositionSpec),
    open: impl Fn(&sluice_ports::ShardInfo) -> Position,
) -> Result<Vec<Position>, Failure> {
    let found = bounds(engine, stream, info, field, spec).await?;
    Ok(info.shards.iter().zip(found).map(|(shard, found)| found.unwrap_or_else(|| open(shard))).collect())
}
