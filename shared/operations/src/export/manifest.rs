//! The manifest of an export: the last segments of its shards, its root, and what of the bucket nobody remembers.

use sluice_transfer::manifest::{ExportManifest, ShardManifest};
use sluice_transfer::record::{ExportConfig, ExportWork, ManifestRef, ShardRecord, TransferRecord};
use sluice_transfer::{Counts, Cursor, ExportRequest, ObjectKeys, Request, SeriesPlace, State};

use super::shard::ShardExport;
use super::target::{Target, open_target};
use crate::claimed::{Claimed, Taken};
use crate::error::{Code, OperationError, Stop};
use crate::objects::{abort_below, put_document};
use crate::records::shard_records;
use crate::series::previous_key;
use crate::slice::Slice;

impl ShardExport<'_, '_> {
    /// Writes what is left of the manifest's segments; there will be no more objects.
    pub(crate) async fn write_last_segments(&mut self) -> Result<(), Stop> {
        self.write_segments(true).await?;
        if self.claimed.is_dirty() {
            self.flush().await?;
        }
        Ok(())
    }
}

/// A shard's part of the root, from its record.
pub(crate) fn list_shard(target: &Target, record: &ShardRecord<ExportWork>) -> Result<ShardManifest, Stop> {
    let missing = || OperationError::new(Code::Corrupt, "a shard has no record of its destination");
    let destination = record.work.get(&target.name).ok_or_else(missing)?;
    Ok(ShardManifest {
        shard: record.shard.clone(),
        from: Cursor::at(record.range.from.clone()),
        until: destination.sealed.clone(),
        counts: destination.counts,
        aggregates: destination.aggregates,
        objects: destination.objects,
        gaps: destination.gaps.clone(),
        segments: destination.segments.clone(),
        parents: record.parents.clone(),
        hashes: record.hashes,
        began: record.times.as_ref().and_then(|times| times.began),
        reached: record.times.as_ref().filter(|_| record.is_drained()).map(|times| times.until),
    })
}

/// Aborts every upload under the transfer's own folder. All shards are at rest, so nobody needs any.
pub(crate) async fn sweep(slice: &Slice<'_>, target: &Target, transfer: &TransferRecord) -> Result<(), Stop> {
    let prefix = format!("{}/", target.keys(&transfer.id).folder());
    abort_below(&*target.bucket, &prefix, slice.engine.settings.attempts.max(2)).await?;
    Ok(())
}

pub(crate) async fn write_root(
    target: &Target,
    transfer: &TransferRecord,
    config: &ExportConfig,
    mut shards: Vec<ShardManifest>,
    state: State,
) -> Result<ManifestRef, Stop> {
    if let Request::Export(ExportRequest { until: Some(until), .. }) = &transfer.request {
        // What a number bounds may end long before the time that bounds it too.
        shards
            .iter_mut()
            .filter(|shard| until.number_in(&shard.shard).is_some())
            .for_each(|shard| shard.reached = None);
    }
    let manifest = ExportManifest {
        transfer: transfer.id.clone(),
        stream: config.stream.clone(),
        format: target.config.format,
        compression: target.config.compression,
        encoder: sluice_formats::ENCODER_VERSION,
        state,
        created: transfer.created_at,
        counts: shards.iter().map(|shard| shard.counts).sum::<Counts>(),
        deaggregated: config.deaggregate,
        objects: shards.iter().map(|shard| shard.objects).sum(),
        shards,
        previous: previous_key(config.series.as_deref()),
        series: config.series.as_deref().map(SeriesPlace::from),
        notes: transfer.notes.clone(),
    };
    let name = if state == State::Cancelled { ObjectKeys::cancelled() } else { ObjectKeys::root() };
    let key = target.keys(&transfer.id).whole(name);
    let sha256 = put_document(&*target.bucket, &key, &manifest).await?;
    Ok(ManifestRef { key, sha256 })
}

/// Lists what a cancelled export had completed.
pub(crate) async fn list_cancelled(
    slice: &Slice<'_>,
    transfer: &TransferRecord,
    config: &ExportConfig,
) -> Result<Option<ManifestRef>, Stop> {
    let target = open_target(&*slice.places, config).await?;
    sweep(slice, &target, transfer).await?;
    let mut shards = Vec::new();
    // A plan that was cut off left no records of some shards.
    for record in shard_records(slice.engine, transfer).await? {
        let mut claimed = match Claimed::take(slice, &record.shard).await? {
            Taken::Claimed(claimed) => claimed,
            Taken::Busy(_) => return Err(Stop::Fenced),
        };
        let listed = async {
            ShardExport::new(&target, &mut claimed).await?.write_last_segments().await?;
            list_shard(&target, &claimed.record)
        };
        let listed = listed.await;
        shards.push(claimed.conclude(listed).await?);
    }
    if shards.iter().all(|shard| shard.objects == 0) {
        return Ok(None);
    }
    write_root(&target, transfer, config, shards, State::Cancelled).await.map(Some)
}
