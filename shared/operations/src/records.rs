//! The records of a transfer's shards, and what they add up to.

use sluice_transfer::record::{ShardRecord, Totals, TransferRecord};
use sluice_transfer::{Counts, ShardId, State};

use crate::engine::Engine;
use crate::error::OperationError;

/// The records of all shards that are there; an unfinished plan lacks some.
pub(crate) async fn shard_records(
    engine: &Engine,
    transfer: &TransferRecord,
) -> Result<Vec<ShardRecord>, OperationError> {
    records_of(engine, transfer, &transfer.shards).await
}

/// The records of some of its shards, as far as they are there.
pub(crate) async fn records_of(
    engine: &Engine,
    transfer: &TransferRecord,
    shards: &[ShardId],
) -> Result<Vec<ShardRecord>, OperationError> {
    let mut records = Vec::with_capacity(shards.len());
    for shard in shards {
        records.extend(engine.checkpoints().shard(&transfer.id, shard).await?);
    }
    Ok(records)
}

/// Events and bytes of a shard that arrived. Of a cancelled transfer only what is kept: its open uploads are gone.
pub(crate) fn arrived(shard: &ShardRecord, state: State) -> Counts {
    if state == State::Cancelled { shard.kept() } else { shard.moved() }
}

/// Sums over the shards, for a transfer that is in this state, or is about to be.
pub(crate) fn totals(transfer: &TransferRecord, shards: &[ShardRecord], state: State) -> Totals {
    let expected: Option<Vec<Counts>> = shards.iter().map(|shard| shard.expected).collect();
    Totals {
        moved: shards.iter().map(|shard| arrived(shard, state)).sum(),
        expected: expected.filter(|all| all.len() == transfer.shards.len()).map(|all| all.into_iter().sum()),
        objects: shards.iter().map(ShardRecord::objects).sum(),
        slices: shards.iter().map(|shard| shard.slices).max().unwrap_or_default(),
        gaps: shards.iter().map(ShardRecord::gaps).sum(),
        misfits: shards.iter().map(|shard| shard.misfits().events).sum(),
        left: Some((transfer.shards.len() - shards.iter().filter(|shard| shard.is_drained()).count()) as u64),
    }
}
