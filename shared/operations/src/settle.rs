//! After a wave of slices: what the records add up to, what the user wants, and so what comes next.

use sluice_transfer::record::{Failure, ShardRecord, TransferRecord};
use sluice_transfer::{Settled, State, Step, Wanted};
use tracing::Span;

use crate::ending::{cancel_transfer, end, end_cancelled};
use crate::engine::{Engine, Operation};
use crate::error::{Code, OperationError};
use crate::export::reader::add_note;
use crate::export::sharing::leave;
use crate::records::{shard_records, totals};
use crate::rest::{Rest, bring_to_rest, rest_or_drop};
use crate::slice::SliceOrder;

/// Adds up and decides. `failure` is what a slice failed with. Claims shards only to bring them to rest.
pub fn settle<'a>(engine: &'a Engine, order: &'a SliceOrder, failure: Option<Failure>) -> Operation<'a, Settled> {
    Box::pin(async move {
        let transfer = engine.transfer(&order.id).await?;
        Span::current().record("generation", transfer.generation);
        if !transfer.state.is_active() {
            return Ok(Settled::Ended);
        }
        if transfer.wanted == Wanted::Cancelled {
            return match bring_to_rest(engine, order, &transfer, true).await {
                Rest::Busy(wait_millis) => Ok(Settled::Busy { wait_millis }),
                // The bucket is gone, and with it all that could be open or listed.
                Rest::Failed(error) if error.code == Code::NotFound => end_cancelled(engine, &transfer, None).await,
                Rest::Failed(error) => Err(error),
                Rest::Quiet => cancel_transfer(engine, order).await,
            };
        }
        if let Some(failure) = failure {
            // Owners that are alive are asked to come to rest first: what they hold open nobody else may close.
            if let Rest::Busy(wait_millis) = rest_or_drop(engine, order, &transfer).await {
                fail_when_quiet(engine, &transfer, failure).await?;
                return Ok(Settled::Busy { wait_millis });
            }
            return end(engine, &transfer, Step::Failed, Some(failure)).await;
        }
        if transfer.wanted == Wanted::Paused {
            return match rest_or_drop(engine, order, &transfer).await {
                Rest::Busy(wait_millis) => Ok(Settled::Busy { wait_millis }),
                Rest::Failed(error) => end(engine, &transfer, Step::Failed, Some(error.to_failure())).await,
                Rest::Quiet if transfer.state == State::Preparing => {
                    // The next plan registers a reader again.
                    if let Some(note) = leave(engine, &transfer).await? {
                        add_note(engine, &transfer.id, &note).await?;
                    }
                    Ok(Settled::Ended)
                }
                // A rest that was wanted for a reason keeps it; unless that was a stop from outside, it is a failure.
                Rest::Quiet => {
                    let failed =
                        transfer.failure.as_ref().is_some_and(|it| it.code != Code::ExecutionStopped.to_string());
                    let step = if failed { Step::Failed } else { Step::Paused };
                    end(engine, &transfer, step, transfer.failure.clone()).await
                }
            };
        }
        // An unfinished plan has nothing to move: who goes on with it plans it again.
        if transfer.state == State::Preparing {
            return Ok(Settled::Ended);
        }
        let shards = shard_records(engine, &transfer).await?;
        let totals = totals(&transfer, &shards, transfer.state);
        let drained = !shards.is_empty() && shards.iter().all(ShardRecord::is_drained);
        let mut note = None;
        if transfer.state == State::Transferring && drained {
            note = leave(engine, &transfer).await?;
        }
        let next = if transfer.state == State::Verifying || drained { Settled::Finish } else { Settled::Again };
        engine
            .change(&order.id, |record| {
                if !record.state.is_active() {
                    return Ok(());
                }
                record.totals = totals;
                record.note(note.as_deref());
                if record.state == State::Transferring && drained {
                    record.step(Step::Drained)?;
                }
                Ok(())
            })
            .await?;
        Ok(next)
    })
}

/// Asks all slices to come to rest, and notes why: the transfer fails as soon as they have.
async fn fail_when_quiet(engine: &Engine, transfer: &TransferRecord, failure: Failure) -> Result<(), OperationError> {
    engine
        .change(&transfer.id, |record| {
            // Also where a pause is wanted: whoever settles next is not told of the failure again.
            let holds = record.generation == transfer.generation
                && record.state.is_active()
                && record.wanted != Wanted::Cancelled;
            if holds {
                record.wanted = Wanted::Paused;
                record.failure = Some(failure.clone());
            }
            Ok(())
        })
        .await?;
    Ok(())
}
