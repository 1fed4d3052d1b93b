//! The calls of a course: planning, a slice of either kind, settling, finishing.
//!
//! A host follows [`Course`](sluice_transfer::Course): it makes the call, hands the answer to the course and is told
//! the next call.

use sluice_transfer::{Answer, Call, Kind, Settled, SliceOutcome};

use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::export::run::export_slice;
use crate::finish::finish;
use crate::import::run::import_slice;
use crate::plan::plan_on;
use crate::settle::settle;
use crate::slice::SliceOrder;

/// Makes a call. A store in trouble is an answer, and so is whatever a slice fails with: the transfer's record gets to
/// know it by settling. An error of another call is the host's to tell.
pub async fn call(engine: &Engine, kind: Kind, call: &Call, order: &SliceOrder) -> Result<Answer, OperationError> {
    let answer = match call {
        Call::Plan => Box::pin(plan_on(engine, &order.id, order.budget.deadline)).await.map(Answer::Plan),
        Call::Slice => {
            // On the heap, as all calls: a host's own future stays small.
            let outcome = match kind {
                Kind::Export => Box::pin(export_slice(engine, order)).await,
                Kind::Import => Box::pin(import_slice(engine, order)).await,
            };
            Ok(Answer::Slice(outcome.unwrap_or_else(|error| failed(&error))))
        }
        Call::Settle(failure) => Box::pin(settle(engine, order, failure.clone())).await.map(Answer::Settle),
        Call::Finish => Box::pin(finish(engine, order)).await.map(Answer::Finish),
        // Nothing is left to call.
        Call::End | Call::GiveUp(_) => Ok(Answer::Settle(Settled::Ended)),
    };
    match answer {
        Err(error) if error.code == Code::Unavailable => Ok(Answer::Trouble(error.to_failure())),
        answer => answer,
    }
}

fn failed(error: &OperationError) -> SliceOutcome {
    let failure = error.to_failure();
    if error.code == Code::Unavailable { SliceOutcome::Interrupted(failure) } else { SliceOutcome::Failed(failure) }
}
