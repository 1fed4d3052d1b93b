//! `plan`: what an execution begins with, whatever it was started for, and the plan that goes on.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_operations::{
    Code, GivenUp, NextRun, OperationError, Runner, SeriesOrder, Wish, call, cancel, describe, give_up_run, last_run,
    limit, next_run, pause, runs as runs_of_series, stopped,
};
use sluice_ports::Execution;
use sluice_transfer::record::{Failure, TransferRecord};
use sluice_transfer::{
    Answer, Call, Course, ExportRequest, ImportRequest, Kind, Request, SeriesName, State, TransferId, Wanted,
};
use tracing::Instrument;

use crate::answer::{Next, PACING, Turn};
use crate::command::{Command, Ran, Stopped};
use crate::error::{Refused, invalid};
use crate::fire::{fire, of_rules, run_of_rule};
use crate::function::{Host, Invocation};
use crate::settle::superseded;

/// What the workflow hands on.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Asked {
    /// An execution begins.
    Started(Started),
    /// A plan goes on: an invocation before left it off.
    GoesOn(GoesOn),
}

/// A plan that goes on. The input is not read again: what a person wants by now is on record.
#[derive(Debug, Deserialize)]
pub struct GoesOn {
    /// The transfer.
    id: TransferId,
    /// The execution's ARN.
    execution: String,
}

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
        Self::told(&Value::Null)
    }

    /// To its end, with this to say.
    pub(crate) fn told(result: &Value) -> Self {
        Self::Nothing(
            json!({ "next": Next::End, "again": false, "emit": false, "fails": false, "waitSeconds": 0, "result": result }),
        )
    }

    /// It plans again, after this number of seconds.
    pub(crate) fn again(seconds: u64) -> Self {
        Self::Nothing(
            json!({ "next": Next::End, "again": true, "emit": false, "fails": false, "waitSeconds": seconds, "result": null }),
        )
    }
}

/// Understands the input, checks and records what is asked for, and answers where the execution goes.
pub async fn plan(host: &Host, asked: Asked, invocation: &Invocation) -> Result<Begun, Refused> {
    let started = match asked {
        Asked::Started(started) => started,
        Asked::GoesOn(on) => {
            let span = invocation.span(&on.id);
            return Box::pin(plan_again(host, &on, invocation)).instrument(span).await;
        }
    };
    let command = Command::read(&started.input, &started.name)?;
    let (id, command) = match command {
        Command::Series(request, take_over) => next_of(host, &request, take_over, &started.execution).await?,
        Command::Stopped(Some(Stopped { ran: Ran::Series(request), execution, status, why })) => {
            let Some(id) = run_of(host, &request, &execution, &status).await? else { return Ok(Begun::nothing()) };
            let ran = Ran::Transfer(id.clone());
            (id, Command::Stopped(Some(Stopped { ran, execution, status, why })))
        }
        Command::Stopped(Some(Stopped { ran: Ran::Rule(name), execution, status, why })) => {
            let Some(id) = run_of_rule(host, &name, &execution).await? else { return Ok(Begun::nothing()) };
            let ran = Ran::Transfer(id.clone());
            (id, Command::Stopped(Some(Stopped { ran, execution, status, why })))
        }
        Command::MakeRule(..) | Command::Rules | Command::RemoveRule(_) => return of_rules(host, command).await,
        Command::ImportSeries(base, name, request) => match next_import(host, &base, &name, &request).await? {
            SeriesImport::Run(id, command) => (id, command),
            SeriesImport::Done(imported) => {
                return Ok(Begun::told(&json!({ "series": name, "imported": imported })));
            }
        },
        Command::Fire(name) => return Box::pin(fire(host, &name, &started.execution, invocation)).await,
        command => {
            let Some(id) = command.id().cloned() else { return Ok(Begun::nothing()) };
            (id, command)
        }
    };
    let span = invocation.span(&id);
    // On the heap: it holds all that planning does.
    Box::pin(begin(host, command, &id, &started.execution, invocation)).instrument(span).await
}

/// The run that a stopped execution ran; none if it came to none.
///
/// # Errors
/// `Unavailable` if its plan may still be at work: it is looked for again.
async fn run_of(
    host: &Host,
    request: &ExportRequest,
    execution: &str,
    status: &str,
) -> Result<Option<TransferId>, OperationError> {
    let last = last_run(&host.engine, request).await?;
    if let Some(id) = &last
        && let Some(record) = host.engine.checkpoints.transfer(id).await?
        && record.execution == execution
    {
        return Ok(last);
    }
    if status == "FAILED" {
        return Ok(None);
    }
    Err(OperationError::new(Code::Unavailable, format!("no run of {execution} is on record yet")))
}

/// The next run of a series, as the command that starts it. A run before that is not at its end comes first; behind its
/// end the execution asks again.
pub(crate) async fn next_of(
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

/// What comes next of an import of a whole series.
enum SeriesImport {
    /// A run that is not imported yet.
    Run(TransferId, Command),
    /// None: this number of runs is imported.
    Done(usize),
}

/// The first run of a series that is not imported, as the command that imports it. Those before are looked at each time,
/// so the same input goes on where it was stopped, and takes what was added to the series since.
async fn next_import(
    host: &Host,
    base: &TransferId,
    name: &SeriesName,
    request: &ImportRequest,
) -> Result<SeriesImport, OperationError> {
    let (runs, notes) = runs_of_series(&host.engine, &request.source, name).await?;
    let all = runs.len();
    for (index, run) in runs.into_iter().enumerate() {
        let id: TransferId = format!("{base}-{}", run.number)
            .parse()
            .map_err(|error| invalid(format!("import.id: {error}; give a shorter one")))?;
        let source = run.manifest.parse();
        let source = source.map_err(|error| OperationError::new(Code::Defect, format!("{}: {error}", run.manifest)))?;
        // Behind its first run the target is not empty any more.
        let append = request.append || index > 0;
        let request = Request::Import(ImportRequest { source, append, ..request.clone() });
        let known = host.engine.checkpoints.transfer(&id).await?;
        if !known.is_some_and(|known| known.state.is_complete() && known.request.is_same(&request)) {
            for note in notes {
                tracing::warn!("{note}");
            }
            return Ok(SeriesImport::Run(id.clone(), Command::Start(id, Box::new(request))));
        }
    }
    Ok(SeriesImport::Done(all))
}

/// Goes on with a plan, unless another execution runs the transfer by now.
async fn plan_again(host: &Host, on: &GoesOn, invocation: &Invocation) -> Result<Begun, Refused> {
    if let Some(turn) = superseded(host, &on.id, Some(&on.execution)).await? {
        return Ok(Begun::Turn(Box::new(turn)));
    }
    let engine = &host.engine;
    let order = host.order(&on.id, invocation, invocation.request.clone(), false);
    let answer = call(engine, Kind::Import, &Call::Plan, &order).await?;
    if let Answer::Trouble(failure) = answer {
        // The workflow tries it again.
        return Err(OperationError::new(Code::Unavailable, failure.message).into());
    }
    let course = Course::from(Call::Plan).after(answer, &PACING);
    let report = describe(engine, &on.id).await?;
    tracing::info!(state = %report.state, sources = report.planning.map(|found| found.sources), "a plan goes on");
    let record = engine.checkpoints.transfer(&on.id).await.map_err(OperationError::from)?;
    let record = record.ok_or_else(|| OperationError::new(Code::TransferNotFound, on.id.to_string()))?;
    turn(host, &record, Next::of(&course.call)).await
}

pub(crate) async fn begin(
    host: &Host,
    command: Command,
    id: &TransferId,
    execution: &str,
    invocation: &Invocation,
) -> Result<Begun, Refused> {
    tracing::info!(execution, "an execution begins");
    let engine = &host.engine;
    let deadline = Some(host.order(id, invocation, invocation.request.clone(), false).budget.deadline);
    // Any number of executions may be alive.
    let runner = Runner { execution, alone: false, deadline };
    let (record, next) = match command {
        Command::Start(_, request) => go_on(host, id, Wish::Start(&request), runner).await?,
        Command::Resume(_) if is_done(host, id, execution).await? => return show(host, id, Next::End).await,
        Command::Resume(_) => go_on(host, id, Wish::Resume, runner).await?,
        // Whoever moves it brings it to rest; where nobody does, this execution.
        Command::Pause(_) => at_rest(pause(engine, id).await?),
        Command::Cancel(_) => match cancel(engine, id).await {
            // A run of a rule that could not be planned.
            Err(error)
                if error.code == Code::TransferNotFound
                    && give_up_run(engine, &*host.rules, id).await? == GivenUp::Now =>
            {
                return Ok(Begun::told(&json!({ "cancelled": id })));
            }
            cancelled => at_rest(cancelled?),
        },
        Command::Rate(_, rate) => {
            limit(engine, id, rate).await?;
            return show(host, id, Next::End).await;
        }
        Command::Verify(_) => return show(host, id, Next::Verify).await,
        Command::Describe(_) => return show(host, id, Next::End).await,
        Command::Stopped(Some(said)) => return after_a_stop(host, id, said).await,
        Command::Stopped(None)
        | Command::Series(..)
        | Command::ImportSeries(..)
        | Command::MakeRule(..)
        | Command::Rules
        | Command::RemoveRule(_)
        | Command::Fire(_) => return Ok(Begun::nothing()),
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
    let lanes = host.config.lanes;
    let mut turn = Turn::new(next, &report).with_lanes(&report, record.shards.len(), lanes).telling(&report);
    turn.emit = next == Next::Move;
    turn.fails = next == Next::End && report.state == State::Failed;
    Ok(Begun::Turn(Box::new(turn)))
}

/// Starts a transfer or lets one go on, in this execution; one that another execution runs is shown. That it runs is
/// looked at: where it has ended, and nobody told, the transfer goes on here.
async fn go_on(
    host: &Host,
    id: &TransferId,
    wish: Wish<'_>,
    runner: Runner<'_>,
) -> Result<(TransferRecord, Next), OperationError> {
    let mut begun = sluice_operations::begin(&host.engine, id, wish, runner).await?;
    if begun.call == Call::End && begun.transfer.state.is_active() {
        let by = begun.transfer.execution.clone();
        if runs(host, &by).await? {
            tracing::warn!(by, "another execution runs this transfer: nothing is begun");
        } else {
            tracing::warn!(by, "the execution that ran this transfer has ended: it goes on in this one");
            begun = sluice_operations::begin(&host.engine, id, Wish::Resume, runner).await?;
        }
    }
    Ok((begun.transfer, Next::of(&begun.call)))
}

/// Whether an execution may be running. A function that cannot look takes it that it does.
async fn runs(host: &Host, execution: &str) -> Result<bool, OperationError> {
    match &host.executions {
        Some(executions) => Ok(executions.look(execution).await? == Execution::Runs),
        None => Ok(true),
    }
}

/// Looks that an end may take until it is seen, and the milliseconds between them: what tells how an execution stands
/// may trail (Step Functions API reference, `DescribeExecution`).
const LOOKS: (u32, u64) = (5, 2_000);

/// Whether an execution runs that somebody says has ended.
async fn still_runs(host: &Host, execution: &str) -> Result<bool, OperationError> {
    let (looks, pause) = LOOKS;
    for _ in 1..looks {
        if !runs(host, execution).await? {
            return Ok(false);
        }
        host.engine.clock.sleep(pause).await;
    }
    runs(host, execution).await
}

/// Where a transfer that is to come to rest goes.
fn at_rest(record: TransferRecord) -> (TransferRecord, Next) {
    let next = if record.state.is_active() && record.wanted != Wanted::Running { Next::Settle } else { Next::End };
    (record, next)
}

/// Brings the transfer of a stopped execution to rest, if nothing else runs it by now.
async fn after_a_stop(host: &Host, id: &TransferId, said: Stopped) -> Result<Begun, Refused> {
    let Stopped { execution, status, why, .. } = said;
    // Anybody who may start executions can write such an input: what it says is looked at.
    if host.executions.is_some() && still_runs(host, &execution).await? {
        let what = format!("stopped: the execution {execution} runs; pause the transfer, or stop the execution");
        return Err(invalid(what).into());
    }
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
    Ok(Begun::Turn(Box::new(Turn::new(next, &report).telling(&report))))
}
