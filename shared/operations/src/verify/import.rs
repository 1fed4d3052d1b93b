//! The proof of an import: what its target holds.

use sluice_transfer::record::{ImportConfig, ShardRecord, Work};

use super::found::Verdict;
use super::run::{End, Run};
use crate::error::{Code, OperationError};
use crate::import::read_back::{ReadOn, read_more};

pub(super) async fn verify(run: &mut Run<'_>, config: &ImportConfig) -> Result<End, OperationError> {
    let (engine, transfer) = (run.engine, run.transfer);
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
    let stream = engine.places().stream(&config.stream).await?;
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
        whole = match read_more(&engine.settings, &patience, &*stream, read, &mut back, &until, &mut ahead).await {
            Ok(ReadOn::Further) => true,
            Ok(ReadOn::Trimmed) => {
                let what = format!(
                    "shard {shard} of {}: what was imported has been trimmed since, so it can no longer be compared",
                    config.stream
                );
                run.found.find(Verdict::Unproved, &what);
                false
            }
            Err(error) => {
                run.found.find_error(&error.into());
                false
            }
        };
        run.came_further = true;
        (run.seen)(back.counts.bytes - before);
    }
    run.found.counts += back.counts;
    run.found.read += 1;
    if whole && !back.proves(sent) {
        let what = format!(
            "shard {shard} of {} holds {} where {} were imported, or others than these",
            config.stream, back.counts, sent.counts
        );
        run.found.find(Verdict::Mismatch, &what);
    }
    Ok(End::All)
}
