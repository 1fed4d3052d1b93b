//! `plan`: what an execution begins with, whatever it was started for.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_operations::{
    Code, NextRun, OperationError, Runner, SeriesOrder, Wish, cancel, describe, last_run, limit, next_run, pause,
    stopped,
};
use sluice_transfer::record::{Failure, TransferRecord};
use sluice_transfer::{ExportRequest, Request, State, TransferId, Wanted};
use tracing::Instrument;

use crate::answer::{Next, Turn};
use crate::command::{Command, Ran, Stopped};
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

/// Where an execution goes.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Begun {
    /// On, with a transfer.
    Turn(Box<Turn>),
    /// To its end: there is nothing to do.
    Nothing(Value),
}

impl Begun {
    fn nothing() -> Self {
        Self::Nothing(
            json!({ "next": Next::End, "again": false, "emit": false, "fails": false, "waitSeconds": 0, "result": null }),
        )
    }
}

/// Understands the input, checks and records what is asked for, and answers where the execution goes.
pub async fn plan(host: &Host, started: Started, invocation: &Invocation) -> Result<Begun, Refused> {
    let command = Command::read(&started.input, &started.name)?;
    let (id, command) = match command {
        Command::Series(request, take_over) => next_of(host, &request, take_over, &started.execution).await?,
        Command::Stopped(Some(Stopped { ran: Ran::Series(request), execution, status, why })) => {
            let Some(id) = last_run(&host.engine, &request).await? else { return Ok(Begun::nothing()) };
            let ran = Ran::Transfer(id.clone());
            (id, Command::Stopped(Some(Stopped { ran, execution, status, why })))
        }
        command => {
            let Some(id) = command.id().cloned() else { return Ok(Begun::nothing()) };
            (id, command)
        }
    };
    let span = invocation.span(&id);
    // On the heap: it holds all that planning does.
    Box::pin(begin(host, command, &id, &started.execution)).instrument(span).await
}

/// The next run of a series, as the command that starts it. A run before that is not at its end comes first; behind its
/// end the execution asks again.
async fn next_of(
    host: &Host,
    request: &ExportRequest,
    take_over: bool,
    execution: &str,
) -> Result<(TransferId, Command), OperationError> {
    let engine = &host.engine;
    let order = SeriesOrder { repeated_by: Some(execution), take_over };
    let (next, notes) = next_run(engine, request, order).await?;
    for note in notes {
        tracing::warn!("{note}");
    }
    let (id, request) = match next {
        NextRun::Begin(id) => (id, Request::Export(request.clone())),
        NextRun::GoOn(id) => {
            let record = engine.checkpoints.transfer(&id).await?;
            let record = record.ok_or_else(|| OperationError::new(Code::TransferNotFound, format!("{id} is gone")))?;
            (id, record.request.without_rate())
        }
    };
    Ok((id.clone(), Command::Start(id, Box::new(request))))
}

async fn begin(host: &Host, command: Command, id: &TransferId, execution: &str) -> Result<Begun, Refused> {
    tracing::info!(execution, "an execution begins");
    let engine = &host.engine;
    let (record, next) = match command {
        Command::Start(_, request) => go_on(host, id, Wish::Start(&request), execution).await?,
        Command::Resume(_) if is_done(host, id, execution).await? => return show(host, id, Next::End).await,
        Command::Resume(_) => go_on(host, id, Wish::Resume, execution).await?,
        // Whoever moves it brings it to rest; where nobody does, this execution.
        Command::Pause(_) => at_rest(pause(engine, id).await?),
        Command::Cancel(_) => at_rest(cancel(engine, id).await?),
        Command::Rate(_, rate) => {
            limit(engine, id, rate).await?;
            return show(host, id, Next::End).await;
        }
        Command::Verify(_) => return show(host, id, Next::Verify).await,
        Command::Describe(_) => return show(host, id, Next::End).await,
        Command::Stopped(Some(said)) => return after_a_stop(host, id, said).await,
        Command::Stopped(None) | Command::Series(..) => return Ok(Begun::nothing()),
    };
    turn(host, &record, next).await
}

/// True if this execution has brought the transfer to its end already: its plan is asked again.
async fn is_done(host: &Host, id: &TransferId, execution: &str) -> Result<bool, OperationError> {
    let record = host.engine.checkpoints.transfer(id).await?;
    Ok(record.is_some_and(|record| record.execution == execution && record.state.is_complete()))
}

async fn turn(host: &Host, record: &TransferRecord, next: Next) -> Result<Begun, Refused> {
    let report = describe(&host.engine, &record.id).await?;
    let mut turn = Turn::new(next, &report, record.shards.len()).telling(&report);
    turn.emit = next == Next::Move;
    turn.fails = next == Next::End && report.state == State::Failed;
    Ok(Begun::Turn(Box::new(turn)))
}

/// Starts a transfer or lets one go on, in this execution; one that another execution runs is shown.
async fn go_on(
    host: &Host,
    id: &TransferId,
    wish: Wish<'_>,
    execution: &str,
) -> Result<(TransferRecord, Next), OperationError> {
    // Any number of executions may be alive.
    let begun = sluice_operations::begin(&host.engine, id, wish, Runner { execution, alone: false }).await?;
    Ok((begun.transfer, Next::of(&begun.call)))
}

/// Where a transfer that is to come to rest goes.
fn at_rest(record: TransferRecord) -> (TransferRecord, Next) {
    let next = if record.state.is_active() && record.wanted != Wanted::Running { Next::Settle } else { Next::End };
    (record, next)
}

/// Brings the transfer of a stopped execution to rest, if nothing else runs it by now.
async fn after_a_stop(host: &Host, id: &TransferId, said: Stopped) -> Result<Begun, Refused> {
    let Stopped { execution, status, why, .. } = said;
    let failed = status == "FAILED";
    let message = format!("the execution {execution} ended as {status}; resume the transfer to go on. {why}");
    let reason = Failure { code: Code::ExecutionStopped.to_string(), message };
    match stopped(&host.engine, id, &execution, reason).await {
        // Refused before there was a transfer; otherwise its plan may still be at work, and is looked for again.
        Err(error) if error.code == Code::TransferNotFound && failed => Ok(Begun::nothing()),
        Err(error) if error.code == Code::TransferNotFound => {
            Err(OperationError::new(Code::Unavailable, format!("{id} is not on record yet")).into())
        }
        Err(error) => Err(error.into()),
        Ok(record) => {
            let (record, next) = at_rest(record);
            // What its own execution has said is not said again.
            if next == Next::End { Ok(Begun::nothing()) } else { turn(host, &record, next).await }
        }
    }
}

async fn show(host: &Host, id: &TransferId, next: Next) -> Result<Begun, Refused> {
    let report = describe(&host.engine, id).await?;
    Ok(Begun::Turn(Box::new(Turn::new(next, &report, 0).telling(&report))))
}
