//! The proof of an import: what its target holds.

use sluice_ports::StreamReader;
use sluice_transfer::record::{ImportConfig, ShardRecord, TransferRecord, Work};
use sluice_transfer::{Counts, ShardId, counted};

use super::found::Verdict;
use super::run::{End, Run};
use crate::error::{Code, OperationError};
use crate::import::misfit::difference;
use crate::import::read_back::{ReadOn, read_more};

pub(super) async fn verify(
    run: &mut Run<'_>,
    transfer: &TransferRecord,
    config: &ImportConfig,
) -> Result<End, OperationError> {
    let engine = run.engine;
    while let Some(shard) = transfer.shards.get(run.at.shard) {
        if run.is_over() {
            return Ok(End::Time);
        }
        let record = engine.checkpoints().shard(&transfer.id, shard).await?;
        // A plan that was cut off and cancelled left no records of some shards.
        if let Some(record) = record
            && verify_shard(run, config, &record).await? == End::Time
        {
            return Ok(End::Time);
        }
        run.next_shard();
    }
    if !run.found.misfits.is_none() {
        let of = format!("left out: {}, which {} cannot hold and which are stored", run.found.misfits, config.stream);
        run.found.find(Verdict::Misfits, &of);
    }
    if transfer.totals.gaps > 0 {
        let what = format!(
            "the imported manifest names {} gaps: events that were gone before they were exported",
            transfer.totals.gaps
        );
        run.found.find(Verdict::Gaps, &what);
    }
    Ok(End::All)
}

async fn verify_shard(run: &mut Run<'_>, config: &ImportConfig, record: &ShardRecord) -> Result<End, OperationError> {
    let (engine, shard) = (run.engine, &record.shard);
    let Work::Import(sent) = &record.work else {
        return Err(OperationError::new(
            Code::Corrupt,
            format!("the record of shard {shard} is not that of an import"),
        ));
    };
    let stream = engine.places().target(&config.stream).await?;
    let mut back = run.at.back.take().unwrap_or_else(|| sent.to_read_back(record.range.from.clone()));
    let patience = engine.patience(None);
    let (mut whole, mut ahead) = (true, None);
    while whole && let Some((continued, until)) = sent.next_back(&mut back) {
        if run.is_over() {
            run.at.back = Some(back);
            return Ok(End::Time);
        }
        let before = back.counts.bytes;
        let hashes = continued.as_ref().and(record.hashes);
        let read = (continued.as_ref().unwrap_or(shard), hashes);
        match read_more(&engine.settings, &patience, &*stream, read, &mut back, &until, &mut ahead).await {
            Ok(ReadOn::Further) => {}
            // Of fewer events than were sent the counts tell.
            Ok(ReadOn::End) => back.position = until,
            Ok(ReadOn::Trimmed(earliest)) => {
                run.at.trimmed = true;
                // What is left is counted. A store that answers nothing new has nothing left.
                back.position = if earliest > back.position { earliest.min(until) } else { until };
            }
            Err(error) => {
                let error = OperationError::from(error);
                if error.code == Code::NotFound && is_gone(&*stream, read.0).await {
                    run.at.trimmed = true;
                    back.position = until;
                } else {
                    run.found.find_error(&error);
                    whole = false;
                }
            }
        }
        run.came_further = true;
        (run.seen)(back.counts.bytes - before);
    }
    run.found.counts += back.counts;
    run.found.read += 1;
    if whole && !back.proves(sent) {
        let may_expire = run.at.trimmed || has_expired(run, config, &*stream).await?;
        compare(run, config, shard, (sent.counts, back.counts), may_expire);
    }
    if !sent.misfits.is_none() {
        let (work, _) = engine.places().bucket(&config.work).await?;
        let folder = config.folder();
        match difference(&*work, folder, shard, sent, engine.settings.read_bytes).await.map_err(OperationError::from) {
            Ok(None) => run.found.misfits += &sent.misfits,
            Ok(Some(what)) => run.found.find(Verdict::Mismatch, &what),
            Err(error) => run.found.find_error(&error),
        }
    }
    Ok(End::All)
}

/// True if a shard is no longer listed by a stream that is there: it was closed, and its events have expired.
async fn is_gone(stream: &dyn StreamReader, shard: &ShardId) -> bool {
    stream.list().await.is_ok_and(|listing| listing.shards.iter().all(|listed| listed.shard != *shard))
}

/// True if the stream no longer keeps all events that arrived since the import was planned.
async fn has_expired(run: &Run<'_>, config: &ImportConfig, stream: &dyn StreamReader) -> Result<bool, OperationError> {
    let listing = stream.list().await?;
    let age = run.engine.clock.now().millis_since(config.time);
    Ok(listing.facts.retention_millis.is_some_and(|retention| age > retention))
}

/// Tells in what a shard differs from what was sent into it. What may have expired proves nothing, and refutes nothing.
fn compare(run: &mut Run<'_>, config: &ImportConfig, shard: &ShardId, counts: (Counts, Counts), may_expire: bool) {
    let (stream, (sent, found)) = (&config.stream, counts);
    let lost = sent.events.saturating_sub(found.events);
    if may_expire && lost > 0 && found.bytes <= sent.bytes {
        run.found.expired += lost;
        let of = counted(sent.events, "imported event");
        let what = format!(
            "shard {shard} of {stream}: {lost} of {of} were trimmed or have expired since, so they can no longer be compared"
        );
        run.found.find(Verdict::Unproved, &what);
        return;
    }
    let what = format!("shard {shard} of {stream} holds {found} where {sent} were imported, or others than these");
    run.found.find(Verdict::Mismatch, &what);
}
