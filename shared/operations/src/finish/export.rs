//! The end of an export.

use sluice_ports::ObjectInfo;
use sluice_transfer::limits::SEGMENT_ENTRIES;
use sluice_transfer::manifest::{ManifestObject, Segment, ShardManifest};
use sluice_transfer::record::{ExportConfig, TransferRecord};
use sluice_transfer::{Checksum, ObjectKeys, State, Wanted};
use tracing::Instrument;

use super::checked::Checked;
use crate::claimed::{Claimed, Taken};
use crate::error::{Code, OperationError, Stop};
use crate::export::manifest::{list_shard, sweep, write_root};
use crate::export::shard::ShardExport;
use crate::export::target::{Target, open_target};
use crate::objects::get_document;
use crate::slice::{Slice, shard_span};

/// Checks every object against what was sealed, writes the root, and sweeps what nobody remembers.
pub(super) async fn check(
    slice: &Slice<'_>,
    transfer: &TransferRecord,
    config: &ExportConfig,
) -> Result<Checked, Stop> {
    let target = open_target(&*slice.places, config).await?;
    let mut shards = Vec::with_capacity(transfer.shards.len());
    for shard in &transfer.shards {
        let span = shard_span(shard);
        let mut claimed = match Claimed::take(slice, shard).instrument(span.clone()).await? {
            Taken::Claimed(claimed) => claimed,
            Taken::Busy(wait) => return Ok(Checked::Busy(wait)),
        };
        let listed = async {
            let mut export = ShardExport::new(&target, &mut claimed).await?;
            check_shard(slice, &target, transfer, &mut export).await
        };
        let listed = listed.instrument(span).await;
        // Also when time ran out: what was checked stays checked.
        match claimed.conclude(listed).await? {
            Some(listed) => shards.push(listed),
            None => return Ok(Checked::More),
        }
    }
    sweep(slice, &target, transfer).await?;
    let gaps = config.has_hole() || shards.iter().any(|shard| !shard.gaps.is_empty());
    let state = if gaps { State::CompletedWithGaps } else { State::Completed };
    let manifest = write_root(&target, transfer, config, shards, state).await?;
    Ok(Checked::All { manifest })
}

/// What the manifest says of a shard, once all its objects are checked; none if time ran out.
async fn check_shard(
    slice: &Slice<'_>,
    target: &Target,
    transfer: &TransferRecord,
    export: &mut ShardExport<'_, '_>,
) -> Result<Option<ShardManifest>, Stop> {
    export.write_last_segments().await?;
    let folder = target.keys(&transfer.id);
    let shard = export.claimed.record.shard.clone();
    let checked = export.destination()?.verified;
    // All segments but the last are full, so what is left begins in this one.
    let first = u32::try_from(checked / SEGMENT_ENTRIES as u64).unwrap_or(u32::MAX);
    for number in first + 1..=export.destination()?.segments.count {
        let key = folder.whole(&ObjectKeys::segment(&shard, number));
        let document: Segment<ManifestObject> = get_document(&*target.bucket, &key, None).await?;
        for object in document.entries.iter().filter(|entry| entry.object.number >= checked) {
            if !slice.has_time() || slice.wanted().await? != Wanted::Running {
                return Ok(None);
            }
            check_object(slice, target, &folder.whole(&object.key), object).await?;
            export.destination_mut()?.verified = object.object.number + 1;
            export.claimed.touch();
        }
        export.claimed.flush_if_late().await?;
    }
    list_shard(target, &export.claimed.record).map(Some)
}

/// An object is there, of the size and with the checksum that were sealed.
async fn check_object(slice: &Slice<'_>, target: &Target, key: &str, object: &ManifestObject) -> Result<(), Stop> {
    let bucket = &target.bucket;
    let Some(found) = bucket.head(key).await? else {
        let what =
            format!("{key} was complete and is gone: put it back and resume, or export again under another --id");
        return Err(OperationError::new(Code::ObjectMissing, what).into());
    };
    let wanted = object.object.checksum;
    // What the bucket no longer knows as the object that was sealed is read.
    let known = found.etag == object.object.etag && found.checksum.is_none_or(|checksum| checksum == wanted);
    if found.size == wanted.len && (known || checksum_of(slice, target, key, &found).await? == wanted) {
        return Ok(());
    }
    let what =
        format!("{key} is not what was exported: put the original back and resume, or export again under another --id");
    Err(OperationError::new(Code::ObjectDamaged, what).into())
}

async fn checksum_of(slice: &Slice<'_>, target: &Target, key: &str, found: &ObjectInfo) -> Result<Checksum, Stop> {
    let (bucket, len) = (&target.bucket, slice.engine.settings.read_bytes as u64);
    let mut seen = Checksum::default();
    while seen.len < found.size {
        let bytes = bucket.get(key, Some(&found.etag), seen.len, len).await?;
        if bytes.is_empty() {
            break;
        }
        seen = seen.then(Checksum::of(&bytes));
    }
    Ok(seen)
}
