//! After a wave of slices: what the records add up to, what the user wants, and so what comes next.

use serde::{Deserialize, Serialize};
use sluice_transfer::record::{Config, Failure, ShardRecord, Totals, TransferRecord};
use sluice_transfer::{Counts, ShardId, State, Step, Wanted};
use tracing::{Instrument, Span};

use crate::engine::Engine;
use crate::error::{Code, Halt, OperationError};
use crate::export::{export_config, open_target, rest_shard};
use crate::finish::{cancel_transfer, end_cancelled};
use crate::slice::{Purpose, ShardEnd, Slice, SliceOrder, shard_span};

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "next")]
pub enum Settled {
    /// Another wave of slices.
    Again,
    /// All is moved: finish.
    Finish,
    /// The transfer is at rest or at its end: nothing more to do.
    Ended,
    /// Owners may be alive: settle again after so many milliseconds.
    #[serde(rename_all = "camelCase")]
    Busy {
        /// Milliseconds.
        wait_millis: u64,
    },
}

/// Adds up and decides. `failure` is what a slice failed with. Claims shards only to bring them to rest.
pub async fn settle(engine: &Engine, order: &SliceOrder, failure: Option<Failure>) -> Result<Settled, OperationError> {
    let transfer = engine.transfer(&order.id).await?;
    Span::current().record("generation", transfer.generation);
    if !transfer.state.is_active() {
        return Ok(Settled::Ended);
    }
    let shards = shard_records(engine, &transfer).await?;
    let totals = totals(&transfer, &shards);
    if transfer.wanted == Wanted::Cancelled {
        return match bring_to_rest(engine, order, &transfer, true).await {
            Rest::Busy(wait_millis) => Ok(Settled::Busy { wait_millis }),
            // The bucket is gone, and with it all that could be open or listed.
            Rest::Failed(error) if error.code == Code::NotFound => end_cancelled(engine, &transfer, totals, None).await,
            Rest::Failed(error) => Err(error),
            Rest::Quiet => cancel_transfer(engine, order, totals).await,
        };
    }
    if let Some(failure) = failure {
        // Owners that are alive are asked to come to rest first: what they hold open nobody else may close.
        if let Rest::Busy(wait_millis) = rest_or_drop(engine, order, &transfer).await {
            fail_when_quiet(engine, &transfer, failure).await?;
            return Ok(Settled::Busy { wait_millis });
        }
        return end(engine, &transfer, Step::Failed, totals, Some(failure)).await;
    }
    if transfer.wanted == Wanted::Paused {
        return match rest_or_drop(engine, order, &transfer).await {
            Rest::Busy(wait_millis) => Ok(Settled::Busy { wait_millis }),
            Rest::Failed(error) => end(engine, &transfer, Step::Failed, totals, Some(error.to_failure())).await,
            Rest::Quiet if transfer.state == State::Preparing => Ok(Settled::Ended),
            // A rest that was wanted for a reason keeps it; unless that was a stop from outside, it is a failure.
            Rest::Quiet => {
                let failed = transfer.failure.as_ref().is_some_and(|it| it.code != Code::ExecutionStopped.to_string());
                let step = if failed { Step::Failed } else { Step::Paused };
                end(engine, &transfer, step, totals, transfer.failure.clone()).await
            }
        };
    }
    // An unfinished plan has nothing to move: who goes on with it plans it again.
    if transfer.state == State::Preparing {
        return Ok(Settled::Ended);
    }
    let drained = !shards.is_empty() && shards.iter().all(ShardRecord::is_drained);
    let next = if transfer.state == State::Verifying || drained { Settled::Finish } else { Settled::Again };
    engine
        .change(&order.id, |record| {
            if !record.state.is_active() {
                return Ok(false);
            }
            let before = (record.state, record.totals);
            record.totals = totals;
            if record.state == State::Transferring && drained {
                record.step(Step::Drained)?;
            }
            Ok(before != (record.state, record.totals))
        })
        .await?;
    Ok(next)
}

/// Asks all slices to come to rest, and notes why: the transfer fails as soon as they have.
async fn fail_when_quiet(engine: &Engine, transfer: &TransferRecord, failure: Failure) -> Result<(), OperationError> {
    engine
        .change(&transfer.id, |record| {
            let holds = record.generation == transfer.generation
                && record.state.is_active()
                && record.wanted == Wanted::Running;
            if holds {
                record.wanted = Wanted::Paused;
                record.failure = Some(failure.clone());
            }
            Ok(holds)
        })
        .await?;
    Ok(())
}

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
        records.extend(engine.persist(async || engine.checkpoints.shard(&transfer.id, shard).await).await?);
    }
    Ok(records)
}

/// Sums over the shards.
pub(crate) fn totals(transfer: &TransferRecord, shards: &[ShardRecord]) -> Totals {
    let expected: Option<Vec<Counts>> = shards.iter().map(|shard| shard.expected).collect();
    Totals {
        moved: shards.iter().map(ShardRecord::moved).sum(),
        expected: expected.filter(|all| all.len() == transfer.shards.len()).map(|all| all.into_iter().sum()),
        objects: shards.iter().map(ShardRecord::objects).sum(),
        slices: shards.iter().map(|shard| shard.slices).max().unwrap_or_default(),
        gaps: shards.iter().map(ShardRecord::gaps).sum(),
    }
}

/// Takes a step that was decided on `transfer` as it was read, if it still is that: who decides late on what was
/// true before must not undo what a person did since.
pub(crate) async fn end(
    engine: &Engine,
    transfer: &TransferRecord,
    step: Step,
    totals: Totals,
    failure: Option<Failure>,
) -> Result<Settled, OperationError> {
    let ended = engine
        .change(&transfer.id, |record| {
            // A failure stays one, whatever else was written meanwhile, unless a person began anew.
            let holds = match step {
                Step::Failed => record.generation == transfer.generation && record.state.is_active(),
                _ => record.revision == transfer.revision,
            };
            if !holds {
                return Ok(false);
            }
            record.step(step)?;
            record.totals = totals;
            record.failure.clone_from(&failure);
            Ok(true)
        })
        .await?;
    Ok(if ended.state.is_active() { Settled::Again } else { Settled::Ended })
}

enum Rest {
    Quiet,
    Busy(u64),
    Failed(OperationError),
}

/// Brings every shard to rest, as far as the stores allow: what cannot be completed is dropped.
async fn rest_or_drop(engine: &Engine, order: &SliceOrder, transfer: &TransferRecord) -> Rest {
    let rest = bring_to_rest(engine, order, transfer, false).await;
    if let Rest::Failed(error) = &rest {
        tracing::warn!(%error, "an upload cannot be completed and is dropped");
        bring_to_rest(engine, order, transfer, true).await;
    }
    rest
}

/// Brings every shard to rest: nothing open, nobody at work. When cancelling, the upload at hand is dropped.
async fn bring_to_rest(engine: &Engine, order: &SliceOrder, transfer: &TransferRecord, drop_uploads: bool) -> Rest {
    match try_rest(engine, order, transfer, drop_uploads).await {
        Ok(None) => Rest::Quiet,
        Ok(Some(wait)) => Rest::Busy(wait),
        // A slice is at work again, or the answer came too late: settle once more.
        Err(Halt::Fenced | Halt::Deadline) => Rest::Busy(1_000),
        Err(Halt::Trouble(error) | Halt::Failed(error)) => Rest::Failed(error),
    }
}

async fn try_rest(
    engine: &Engine,
    order: &SliceOrder,
    transfer: &TransferRecord,
    drop_uploads: bool,
) -> Result<Option<u64>, Halt> {
    let slice = Slice::with_purpose(engine, order, transfer, Purpose::Rest);
    let mut wait: Option<u64> = None;
    for record in shard_records(engine, transfer).await? {
        if record.is_at_rest() && record.owner.is_none() && record.closed == transfer.generation {
            continue;
        }
        let rest = async {
            match &transfer.config {
                Config::Export(_) => {
                    let target = open_target(engine, export_config(transfer)?).await?;
                    rest_shard(&slice, &target, &record.shard, drop_uploads).await
                }
                Config::Import(_) => crate::import::rest_shard(&slice, &record.shard).await,
            }
        };
        if let ShardEnd::Busy(millis) = rest.instrument(shard_span(&record.shard)).await? {
            wait = wait.max(Some(millis));
        }
    }
    Ok(wait)
}
