//! One slice of an export: shards to parts.

mod closing;
mod sending;
mod shard;
mod storing;

use std::sync::Arc;

use sluice_formats::ObjectSeed;
use sluice_ports::{BucketStore, StreamStore};
use sluice_transfer::record::{Config, DestinationConfig, ExportConfig, ShardRecord, TransferRecord};
use sluice_transfer::{DestinationName, ObjectKeys, ShardId, TransferId};

use crate::engine::{Engine, Settings};
use crate::error::{Code, Halt, OperationError};
use crate::held::{Held, Taken};
use crate::slice::{ShardEnd, Slice, SliceOrder, SliceOutcome, admit, gather, in_turn, over_lane};

use closing::come_to_rest;
pub(crate) use shard::ShardExport;

/// Shards that one process works on at once, however much memory there is.
const SHARDS_AT_ONCE: usize = 32;

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
    let lane = in_turn(&slice, &transfer).await?;
    let (at_once, parts_at_once) = at_once(&engine.settings, &target.config, lane.len());
    over_lane(&slice, lane, at_once, |record| export_shard(&slice, &target, parts_at_once, record)).await
}

/// How many of so many shards are exported at once, and how many parts each sends at once: as many as memory admits,
/// shards first. Each holds a part that is filled, those that are sent, what was read, and what is read ahead meanwhile,
/// or a part that went past its size.
fn at_once(settings: &Settings, config: &DestinationConfig, shards: usize) -> (usize, usize) {
    let (read, part) = (settings.read_bytes as u64, config.part_size.max(1));
    let but_sent = part + read + part.max(read);
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let most = whole(settings.memory_bytes / (but_sent + part)).clamp(1, SHARDS_AT_ONCE);
    let shards = shards.clamp(1, most);
    let room = (settings.memory_bytes / shards as u64).saturating_sub(but_sent);
    (shards, whole(room / part).clamp(1, settings.parts_at_once.max(1)))
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

async fn export_shard(
    slice: &Slice<'_>,
    target: &Target,
    parts_at_once: usize,
    record: ShardRecord,
) -> Result<ShardEnd, Halt> {
    if !slice.has_room() {
        return Ok(ShardEnd::More);
    }
    let mut held = match Held::take_known(slice, record).await? {
        Taken::Held(held) => held,
        Taken::Busy(wait) => return Ok(ShardEnd::Busy(wait)),
    };
    let outcome = async {
        held.refuse_if_stuck()?;
        ShardExport::new(target, &mut held).await?.run(parts_at_once).await
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

#[cfg(test)]
mod tests {
    use sluice_transfer::{BucketUri, Compression, Format};

    use super::*;

    #[test]
    fn memory_goes_to_shards_first() {
        let config = DestinationConfig {
            bucket: "dir:x".parse::<BucketUri>().unwrap(),
            prefix: String::new(),
            format: Format::Raw,
            compression: Compression::Plain,
            part_size: 8 << 20,
            object_size: 64 << 20,
        };
        let of = |memory: u64, shards: usize| {
            let settings = Settings { memory_bytes: memory << 20, ..Settings::default() };
            at_once(&settings, &config, shards)
        };
        // A shard takes 20 MiB, and 8 for each part on its way.
        assert_eq!([of(64, 1), of(64, 2), of(64, 9)], [(1, 3), (2, 1), (2, 1)]);
        assert_eq!([of(72, 2), of(80, 2), of(88, 2), of(90, 3)], [(2, 2), (2, 2), (2, 3), (3, 1)]);
        assert_eq!([of(8, 4), of(1 << 20, 100), of(64, 0)], [(1, 1), (32, 3), (1, 3)]);
    }
}
