//! `plan`: what an execution begins with, whatever it was started for.

use serde::Deserialize;
use serde_json::Value;
use sluice_operations::{OperationError, cancel, describe, pause, resume, stopped};
use sluice_transfer::record::{Failure, TransferRecord};
use sluice_transfer::{Request, State, TransferId, Wanted};

use crate::answer::{Next, Turn};
use crate::command::{Command, Stopped};
use crate::error::Refused;
use crate::function::{Host, Invocation};

/// What the workflow hands on of its execution.
#[derive(Debug, Deserialize)]
pub struct Started {
    /// As a person typed it.
    input: Value,
    /// The execution's name.
    name: String,
    /// Its ARN.
    execution: String,
}

/// Understands the input, checks and records what is asked for, and answers where the execution goes.
pub async fn plan(host: &Host, started: Started, _: &Invocation) -> Result<Turn, Refused> {
    let command = Command::read(&started.input, &started.name)?;
    let engine = &host.engine;
    let id = command.id().clone();
    tracing::info!(transfer = %id, execution = started.execution, "an execution begins");
    let (record, next) = match command {
        Command::Start(_, request) => start(host, &id, &request, &started.execution).await?,
        Command::Resume(_) => along(resume(engine, &id, &started.execution).await?),
        // Whoever moves it brings it to rest; where nobody does, this execution.
        Command::Pause(_) => at_rest(pause(engine, &id).await?),
        Command::Cancel(_) => at_rest(cancel(engine, &id).await?),
        Command::Stopped(Stopped { execution, status, .. }) => {
            let message = format!("the execution {execution} ended as {status}; resume the transfer to go on");
            let reason = Failure { code: "ExecutionStopped".to_owned(), message };
            at_rest(stopped(engine, &id, &execution, reason).await?)
        }
        Command::Verify(_) => return show(host, &id, Next::Verify).await,
        Command::Describe(_) => return show(host, &id, Next::End).await,
    };
    let report = describe(engine, &id).await?;
    let mut turn = Turn::new(next, &report, record.shards.len()).telling(&report);
    turn.emit = next == Next::Move;
    turn.fails = next == Next::End && report.state == State::Failed;
    Ok(turn)
}

async fn start(
    host: &Host,
    id: &TransferId,
    request: &Request,
    execution: &str,
) -> Result<(TransferRecord, Next), OperationError> {
    let planned = sluice_operations::plan(&host.engine, id, request, execution).await?;
    let rests = matches!(planned.transfer.state, State::Paused | State::Failed);
    if planned.before && (rests || planned.transfer.state.is_active()) {
        // The same request under the same id goes on with the transfer.
        return Ok(along(resume(&host.engine, id, execution).await?));
    }
    Ok(along(planned.transfer))
}

/// Where a transfer that is to go on goes.
fn along(record: TransferRecord) -> (TransferRecord, Next) {
    let next = match record.state {
        State::Transferring if record.wanted == Wanted::Running => Next::Move,
        State::Verifying if record.wanted == Wanted::Running => Next::Finish,
        state if state.is_active() => Next::Settle,
        _ => Next::End,
    };
    (record, next)
}

/// Where a transfer that is to come to rest goes.
fn at_rest(record: TransferRecord) -> (TransferRecord, Next) {
    let next = if record.state.is_active() && record.wanted != Wanted::Running { Next::Settle } else { Next::End };
    (record, next)
}

async fn show(host: &Host, id: &TransferId, next: Next) -> Result<Turn, Refused> {
    let report = describe(&host.engine, id).await?;
    Ok(Turn::new(next, &report, 0).telling(&report))
}
