//! Control by a person: pause, resume, cancel, another rate. These only say what is wanted; slices and settling do it.

use sluice_transfer::record::{Failure, TransferRecord};
use sluice_transfer::{State, Step, TransferId, Wanted};

use crate::engine::Engine;
use crate::error::{Code, OperationError};

/// Asks a transfer to come to rest. A transfer at rest stays so.
pub async fn pause(engine: &Engine, id: &TransferId) -> Result<TransferRecord, OperationError> {
    engine
        .change(id, |record| match record.state {
            State::Preparing | State::Transferring | State::Verifying => {
                if record.wanted == Wanted::Running {
                    record.wanted = Wanted::Paused;
                }
                Ok(())
            }
            State::Paused => Ok(()),
            state => Err(illegal(id, state, "paused")),
        })
        .await
}

/// Records that the execution of a transfer was stopped from outside. The transfer comes to rest and keeps the reason,
/// unless something else runs it by now.
pub async fn stopped(
    engine: &Engine,
    id: &TransferId,
    execution: &str,
    reason: Failure,
) -> Result<TransferRecord, OperationError> {
    engine
        .change(id, |record| {
            // A plan that was refused says why already.
            let its = record.state.is_active()
                && record.execution == execution
                && record.wanted == Wanted::Running
                && record.failure.is_none();
            if its {
                record.wanted = Wanted::Paused;
                record.failure = Some(reason.clone());
            }
            Ok(())
        })
        .await
}

/// Lets a transfer go on, run by `execution`. One that is active already, since its host died, just goes on.
pub async fn resume(engine: &Engine, id: &TransferId, execution: &str) -> Result<TransferRecord, OperationError> {
    engine
        .change(id, |record| {
            execution.clone_into(&mut record.execution);
            match record.state {
                State::Preparing | State::Transferring | State::Verifying => match record.wanted {
                    Wanted::Cancelled => Err(OperationError::new(
                        Code::IllegalState,
                        format!("the transfer {id} is being cancelled; it cannot be resumed"),
                    )),
                    Wanted::Running => Ok(()),
                    // Shards may be closed for this generation already.
                    Wanted::Paused => {
                        record.wanted = Wanted::Running;
                        record.generation += 1;
                        record.failure = None;
                        Ok(())
                    }
                },
                State::Paused | State::Failed | State::CompletedWithFailures => {
                    record.step(Step::Resumed)?;
                    Ok(())
                }
                state => Err(illegal(id, state, "resumed")),
            }
        })
        .await
}

/// Gives a transfer up. What is complete stays.
pub async fn cancel(engine: &Engine, id: &TransferId) -> Result<TransferRecord, OperationError> {
    engine
        .change(id, |record| match record.state {
            State::Preparing | State::Transferring | State::Verifying => {
                record.wanted = Wanted::Cancelled;
                Ok(())
            }
            // At rest: it wakes up only to be given up.
            State::Paused | State::Failed => {
                record.step(Step::Resumed)?;
                record.wanted = Wanted::Cancelled;
                Ok(())
            }
            State::Cancelled => Ok(()),
            state => Err(illegal(id, state, "cancelled")),
        })
        .await
}

/// Limits a transfer, from now on, to this many bytes of payload a second; none for no limit. Slices that run see it
/// with their next look at the record.
pub async fn limit(engine: &Engine, id: &TransferId, rate: Option<u64>) -> Result<TransferRecord, OperationError> {
    if rate == Some(0) {
        return Err(OperationError::new(Code::OutOfRange, "rate: at least 1 byte a second"));
    }
    engine
        .change(id, |record| {
            if record.state.is_final() {
                return Err(illegal(id, record.state, "given another rate"));
            }
            if record.rate() != rate {
                record.rate = Some(rate.unwrap_or(0));
            }
            Ok(())
        })
        .await
}

fn illegal(id: &TransferId, state: State, what: &str) -> OperationError {
    OperationError::new(Code::IllegalState, format!("the transfer {id} is {state} and cannot be {what}"))
}
