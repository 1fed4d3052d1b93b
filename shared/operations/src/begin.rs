//! The beginning of every host: a transfer is started, goes on, wakes up, or is only shown.

use sluice_transfer::record::TransferRecord;
use sluice_transfer::{Call, Request, State, Timestamp, TransferId, Wanted};

use crate::control::resume;
use crate::engine::{Engine, Operation};
use crate::error::{Code, OperationError};
use crate::plan::{asked_again, plan_until};

/// What is wanted with a transfer.
#[derive(Clone, Copy, Debug)]
pub enum Wish<'a> {
    /// This request, under an id that may be there with the same request.
    Start(&'a Request),
    /// The transfer of that id goes on as it was asked for.
    Resume,
}

/// Who runs a transfer.
#[derive(Clone, Copy, Debug)]
pub struct Runner<'a> {
    /// Its name, as the record keeps it.
    pub execution: &'a str,
    /// True if no other runner of the transfer can be alive, as the holder of its lock knows.
    pub alone: bool,
    /// When a plan leaves off, to go on with the next call; none if it may last.
    pub deadline: Option<Timestamp>,
}

/// A transfer that a host has begun with.
#[derive(Clone, Debug, PartialEq)]
pub struct Begun {
    /// As it is on record now.
    pub transfer: TransferRecord,
    /// True if it was there before.
    pub before: bool,
    /// The first call of its course: [`Call::End`] if there is nothing to run.
    pub call: Call,
}

/// Plans a transfer, or finds it: one at rest wakes up, one whose runner is gone goes on, one that another runner has
/// or that is at its end is shown. Can be repeated.
pub fn begin<'a>(engine: &'a Engine, id: &'a TransferId, wish: Wish<'a>, runner: Runner<'a>) -> Operation<'a, Begun> {
    Box::pin(async move {
        let request = match wish {
            Wish::Resume => return wake(engine, engine.transfer(id).await?, wish, runner).await,
            Wish::Start(request) => request,
        };
        let known = engine.checkpoints().transfer(id).await?;
        match known {
            // Its runner is gone: what is left to do is to give it up, whatever is asked for now.
            Some(transfer) if runner.alone && transfer.state.is_active() && transfer.wanted == Wanted::Cancelled => {
                wake(engine, transfer, wish, runner).await
            }
            // Who goes on with its plan is decided first.
            Some(transfer) if transfer.planning.is_some() => {
                let transfer = asked_again(engine, id, request, runner.execution).await?;
                wake(engine, transfer, wish, runner).await
            }
            _ => {
                let planned = plan_until(engine, id, request, runner.execution, runner.deadline).await?;
                if planned.before {
                    return wake(engine, planned.transfer, wish, runner).await;
                }
                Ok(Begun { call: first_call(&planned.transfer), transfer: planned.transfer, before: false })
            }
        }
    })
}

/// Goes on with a transfer that was there before.
async fn wake(
    engine: &Engine,
    transfer: TransferRecord,
    wish: Wish<'_>,
    runner: Runner<'_>,
) -> Result<Begun, OperationError> {
    let begun = |transfer, call| Ok(Begun { transfer, before: true, call });
    let starts = matches!(wish, Wish::Start(_));
    let active = transfer.state.is_active();
    let is_given_up = transfer.wanted == Wanted::Cancelled && (starts || runner.alone);
    // Who starts it again beside others does not take back what a person wants of it.
    let is_to_rest = transfer.wanted == Wanted::Paused && starts && !runner.alone;
    if active && (is_given_up || is_to_rest) {
        return begun(transfer, Call::Settle(None));
    }
    // Who asks twice means the same transfer.
    let runs = active && transfer.wanted == Wanted::Running && !transfer.is_refused();
    let is_run = runs && transfer.execution != runner.execution;
    if starts && is_run && !runner.alone {
        return begun(transfer, Call::End);
    }
    let ended = !active && !matches!(transfer.state, State::Paused | State::Failed);
    // Who was killed right behind the end need not know. A transfer that was cancelled is refused with the reason.
    if ended && (starts || (runner.alone && transfer.state != State::Cancelled)) {
        return begun(transfer, Call::End);
    }
    let woken = match resume(engine, &transfer.id, runner.execution).await {
        // It came to its end, or was given up, since it was looked at.
        Err(error) if error.code == Code::IllegalState && starts => {
            let transfer = engine.transfer(&transfer.id).await?;
            let call = if transfer.state.is_active() { Call::Settle(None) } else { Call::End };
            return begun(transfer, call);
        }
        answer => answer?,
    };
    let transfer = match woken.state {
        // Its plan was cut off.
        State::Preparing => {
            let request = woken.request.without_rate();
            plan_until(engine, &woken.id, &request, runner.execution, runner.deadline).await?.transfer
        }
        _ => woken,
    };
    let call = first_call(&transfer);
    begun(transfer, call)
}

/// The call that an active transfer begins with.
fn first_call(transfer: &TransferRecord) -> Call {
    match transfer.state {
        State::Preparing if transfer.wanted == Wanted::Running => Call::Plan,
        State::Transferring if transfer.wanted == Wanted::Running => Call::Slice,
        State::Verifying if transfer.wanted == Wanted::Running => Call::Finish,
        state if state.is_active() => Call::Settle(None),
        _ => Call::End,
    }
}
