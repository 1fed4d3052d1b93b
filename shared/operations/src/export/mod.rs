//! One slice of an export: shards to parts.

mod closing;
mod sending;
mod shard;

use std::sync::Arc;

use sluice_formats::ObjectSeed;
use sluice_ports::{BucketStore, StreamStore};
use sluice_transfer::record::{Config, DestinationConfig, ExportConfig, ShardRecord, TransferRecord};
use sluice_transfer::{DestinationName, ObjectKeys, ShardId, TransferId};

use crate::engine::Engine;
use crate::error::{Code, Halt, OperationError};
use crate::held::{Held, Taken};
use crate::slice::{ShardEnd, Slice, SliceOrder, SliceOutcome, admit, gather, over_lane};

use closing::come_to_rest;
pub(crate) use shard::ShardExport;

/// Exports a slice of the shards of a lane.
pub async fn export_slice(engine: &Engine, order: &SliceOrder) -> Result<SliceOutcome, OperationError> {
    let transfer = engine.transfer(&order.id).await?;
    if let Err(outcome) = admit(&transfer) {
        return Ok(outcome);
    }
    let config = export_config(&transfer)?;
    let slice = Slice::new(engine, order, &transfer, config.rate);
    let target = match open_target(engine, config).await {
        Ok(target) => target,
        Err(halt) => return Ok(gather(vec![Err(halt)])),
    };
    let at_once = shards_at_once(engine, &target.config);
    over_lane(&slice, &transfer, at_once, |record| export_shard(&slice, &target, record)).await
}

/// As many shards as memory admits: each holds a part that is sent, one that is filled, what was read, and what is read
/// ahead meanwhile, or a part that went past its size.
fn shards_at_once(engine: &Engine, config: &DestinationConfig) -> usize {
    let read = engine.settings.read_bytes as u64;
    let a_shard = 2 * config.part_size + read + config.part_size.max(read);
    usize::try_from(engine.settings.memory_bytes / a_shard.max(1)).unwrap_or(1).clamp(1, 32)
}

pub(crate) fn export_config(transfer: &TransferRecord) -> Result<&ExportConfig, OperationError> {
    match &transfer.config {
        Config::Export(config) => Ok(config),
        Config::Import(_) => {
            Err(OperationError::new(Code::Invalid, format!("the transfer {} is an import, not an export", transfer.id)))
        }
    }
}

/// Source and destination of an export, opened.
pub(crate) struct Target {
    pub stream: Arc<dyn StreamStore>,
    pub bucket: Arc<dyn BucketStore>,
    pub name: DestinationName,
    pub config: DestinationConfig,
}

impl Target {
    pub(crate) fn keys(&self, transfer: &TransferId) -> ObjectKeys {
        ObjectKeys::new(&self.config.prefix, transfer)
    }

    pub(crate) fn seed(&self, transfer: &TransferId, shard: &ShardId) -> ObjectSeed {
        ObjectSeed { transfer: transfer.clone(), destination: self.name.clone(), shard: shard.clone() }
    }
}

/// Opens what the configuration names. This version has one destination; the records have room for more.
pub(crate) async fn open_target(engine: &Engine, config: &ExportConfig) -> Result<Target, Halt> {
    let (name, destination) = config
        .destinations
        .first_key_value()
        .ok_or_else(|| OperationError::new(Code::Corrupt, "the export's configuration names no destination"))?;
    let stream = engine.persist(async || engine.places.stream(&config.stream).await).await?;
    // Planning made it. Where it is gone, that is to be seen, not mended.
    let (bucket, _) = engine.persist(async || engine.places.source(&destination.bucket).await).await?;
    Ok(Target { stream, bucket, name: name.clone(), config: destination.clone() })
}

async fn export_shard(slice: &Slice<'_>, target: &Target, record: ShardRecord) -> Result<ShardEnd, Halt> {
    if !slice.has_room() {
        return Ok(ShardEnd::More);
    }
    let mut held = match Held::take_known(slice, record).await? {
        Taken::Held(held) => held,
        Taken::Busy(wait) => return Ok(ShardEnd::Busy(wait)),
    };
    let outcome = async {
        held.refuse_if_stuck()?;
        ShardExport::new(target, &mut held).await?.run().await
    };
    let outcome = outcome.await;
    held.conclude(outcome).await
}

/// Takes a shard and leaves nothing of it open.
pub(crate) async fn rest_shard(
    slice: &Slice<'_>,
    target: &Target,
    shard: &ShardId,
    drop_upload: bool,
) -> Result<ShardEnd, Halt> {
    let mut held = match Held::take(slice, shard).await? {
        Taken::Held(held) => held,
        Taken::Busy(wait) => return Ok(ShardEnd::Busy(wait)),
    };
    let outcome = async {
        come_to_rest(&mut ShardExport::new(target, &mut held).await?, drop_upload).await?;
        Ok(ShardEnd::Stopped)
    };
    let outcome = outcome.await;
    held.conclude(outcome).await
}
