//! The proof of an export: its manifest, and all objects that it lists.

use sluice_ports::BucketStore;
use sluice_transfer::manifest::{ExportManifest, ShardManifest};
use sluice_transfer::record::{ExportConfig, ManifestRef, ShardRecord, TransferRecord};
use sluice_transfer::{Counts, State};

use super::found::Verdict;
use super::object::{Outcome, read_object};
use super::run::{End, Run};
use crate::engine::Engine;
use crate::error::{OperationError, Stop};
use crate::export::target::open_target;
use crate::listing::Listing;
use crate::objects::get_document;
use crate::records::shard_records;

pub(super) async fn verify(
    run: &mut Run<'_>,
    transfer: &TransferRecord,
    config: &ExportConfig,
) -> Result<End, OperationError> {
    let engine = run.engine;
    let target = match open_target(&*engine.places(), config).await {
        Ok(target) => target,
        // Not there, or not within reach: an unmounted disk is no mismatch.
        Err(Stop::Failed(error) | Stop::Trouble(error)) => {
            run.found.find(Verdict::Unproved, &error.message);
            return Ok(End::All);
        }
        Err(other) => {
            run.found.find(Verdict::Unproved, &format!("the bucket cannot be opened: {other:?}"));
            return Ok(End::All);
        }
    };
    let moved = match moved(engine, transfer).await {
        Ok(moved) => moved,
        Err(error) => {
            run.found.find_error(&error);
            return Ok(End::All);
        }
    };
    let Some(ManifestRef { key: root, sha256 }) = &transfer.manifest else {
        if transfer.state != State::Cancelled {
            run.found.find(Verdict::Mismatch, "the transfer's record names no manifest");
        } else if moved != Counts::default() {
            // Its bucket was gone when it was cancelled.
            let what = format!("{moved} were complete when it was cancelled, and no manifest lists them");
            run.found.find(Verdict::Unproved, &what);
        }
        return Ok(End::All);
    };
    let bucket = &*target.bucket;
    let manifest: ExportManifest = match get_document(bucket, root, Some(sha256)).await {
        Ok(manifest) => manifest,
        Err(fault) => {
            run.found.find_error(&fault.into());
            return Ok(End::All);
        }
    };
    if run.fresh {
        judge(run, transfer, root, &manifest, moved);
    }
    Ok(verify_manifest(run, bucket, root, &manifest).await)
}

/// All that a manifest lists.
pub(super) async fn verify_manifest(
    run: &mut Run<'_>,
    bucket: &dyn BucketStore,
    root: &str,
    manifest: &ExportManifest,
) -> End {
    if run.fresh
        && let Some(hole) = manifest.series.as_ref().and_then(|series| series.hole)
    {
        let what =
            format!("what arrived between {} and {} was lost before it was read, if anything did", hole.min, hole.max);
        run.found.find(Verdict::Gaps, &what);
    }
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    while let Some(shard) = manifest.shards.get(run.at.shard) {
        if verify_shard(run, bucket, folder, manifest, shard).await == End::Time {
            return End::Time;
        }
        run.next_shard();
    }
    End::All
}

/// What arrived, as the records say. The totals of an export that an earlier version cancelled also count what it had
/// sent and not sealed: its shards' records do not.
async fn moved(engine: &Engine, transfer: &TransferRecord) -> Result<Counts, OperationError> {
    if transfer.state != State::Cancelled {
        return Ok(transfer.totals.moved);
    }
    Ok(shard_records(engine, transfer).await?.iter().map(ShardRecord::kept).sum())
}

/// What the root says and what the records say.
fn judge(run: &mut Run<'_>, transfer: &TransferRecord, root: &str, manifest: &ExportManifest, moved: Counts) {
    if manifest.transfer == transfer.id && manifest.counts == moved {
        return;
    }
    let what =
        format!("{root} speaks of {} by {}, the transfer's records of {moved}", manifest.counts, manifest.transfer);
    run.found.find(Verdict::Mismatch, &what);
}

async fn verify_shard(
    run: &mut Run<'_>,
    bucket: &dyn BucketStore,
    folder: &str,
    manifest: &ExportManifest,
    shard: &ShardManifest,
) -> End {
    let place = run.at.place.take();
    if place.is_none() {
        for gap in &shard.gaps {
            let (from, until) = (gap.from.of_shard(&shard.shard), gap.until.of_shard(&shard.shard));
            let what = format!("shard {}: from {from} until {until} was gone before it was read", shard.shard);
            run.found.find(Verdict::Gaps, &what);
        }
    }
    let mut listing = Listing::new(bucket, folder, shard, place);
    loop {
        let listed = match listing.next().await {
            Ok(Some(listed)) => listed,
            Ok(None) => return End::All,
            Err(error) => {
                run.found.find_error(&error);
                return End::All;
            }
        };
        if run.is_over() {
            run.at.place = Some(listing.place());
            return End::Time;
        }
        // The object is read all the same; what is wrong with its index is told once.
        let index = listing.index(&listed).await;
        if let (Err(error), None) = (&index, &run.at.object) {
            run.found.find_error(error);
        }
        let index = index.ok().flatten();
        match read_object(run, bucket, manifest.encoding(), &listed, index.as_ref()).await {
            Ok(Outcome::Whole(counts)) => {
                run.found.counts += counts;
                run.found.read += 1;
            }
            Ok(Outcome::Partly(reached)) => {
                run.at.object = Some(reached);
                run.at.place = Some(listing.place());
                return End::Time;
            }
            Err(error) => run.found.find_error(&error),
        }
        listing.pass(listed);
        run.came_further = true;
    }
}
