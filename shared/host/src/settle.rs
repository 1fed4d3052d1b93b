//! `settle`: what a wave came to, and what comes next.

use serde::Deserialize;
use sluice_operations::{Code, OperationError, Report, describe, stopped};
use sluice_transfer::record::{Config, Failure, TransferRecord};
use sluice_transfer::{Answer, Call, Course, Kind, State, TransferId, Wanted};
use tracing::Instrument;

use crate::answer::{Next, PACING, Turn, seconds};
use crate::error::Refused;
use crate::function::{Host, Invocation};
use crate::metrics::Metrics;

/// What the workflow hands on after a wave.
#[derive(Debug, Deserialize)]
pub struct Wave {
    /// The transfer.
    id: TransferId,
    /// The execution's ARN.
    execution: Option<String>,
    /// Whether the execution makes the runs of a rule.
    #[serde(default)]
    fired: bool,
    /// How the lanes ended; empty where there was no wave.
    #[serde(default)]
    lanes: Vec<Ended>,
}

/// How a lane ended.
#[derive(Debug, Deserialize)]
struct Ended {
    /// What it failed with.
    failure: Option<Failure>,
}

/// Adds up and decides.
pub async fn settle(host: &Host, wave: Wave, invocation: &Invocation) -> Result<Turn, Refused> {
    let failure = wave.lanes.into_iter().find_map(|lane| lane.failure);
    let span = invocation.span(&wave.id);
    async {
        if let Some(turn) = superseded(host, &wave.id, wave.execution.as_deref()).await? {
            return Ok(turn);
        }
        let failure = unless_stopped(host, &wave.id, wave.execution.as_deref(), failure).await?;
        let by = By { execution: wave.execution.as_deref(), fired: wave.fired };
        settled(host, &wave.id, by, failure, invocation).await
    }
    .instrument(span)
    .await
}

/// The workflow's name for a lane that was stopped from outside, or could not be started.
const LANE_LOST: &str = "LaneLost";

/// A lane that somebody stopped by hand is no failure: the transfer comes to rest, as if its execution had been
/// stopped.
async fn unless_stopped(
    host: &Host,
    id: &TransferId,
    execution: Option<&str>,
    failure: Option<Failure>,
) -> Result<Option<Failure>, OperationError> {
    match (failure, execution) {
        (Some(lost), Some(execution)) if lost.code == LANE_LOST => {
            tracing::warn!("a lane was lost: the transfer comes to rest");
            let reason = Failure { code: Code::ExecutionStopped.to_string(), ..lost };
            stopped(&host.engine, id, execution, reason).await?;
            Ok(None)
        }
        (failure, _) => Ok(failure),
    }
}

/// The end of an execution whose transfer another one runs by now: what it has seen is not to be settled by.
pub(crate) async fn superseded(
    host: &Host,
    id: &TransferId,
    execution: Option<&str>,
) -> Result<Option<Turn>, OperationError> {
    let record = host.engine.checkpoints.transfer(id).await?;
    let runs = record.filter(|record| record.state.is_active() && record.wanted == Wanted::Running);
    let (Some(record), Some(execution)) = (runs, execution) else { return Ok(None) };
    if record.execution == execution {
        return Ok(None);
    }
    tracing::info!(by = record.execution, "another execution runs this transfer");
    let report = describe(&host.engine, id).await?;
    Ok(Some(Turn::new(Next::End, &report).telling(&report)))
}

/// A plan whose execution was stopped may be at work for so long, in milliseconds: the longest time-out of a function.
const PLAN_MILLIS: u64 = 900_000;

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) struct By<'a> {
    /// The execution's ARN.
    pub execution: Option<&'a str>,
    /// Whether it makes the runs of a rule.
    pub fired: bool,
}

pub(crate) async fn settled(
    host: &Host,
    id: &TransferId,
    by: By<'_>,
    failure: Option<Failure>,
    invocation: &Invocation,
) -> Result<Turn, Refused> {
    let engine = &host.engine;
    let before = engine.checkpoints.transfer(id).await?;
    let order = host.order(id, invocation, invocation.request.clone(), false);
    let settled = sluice_operations::settle(engine, &order, failure.clone()).await?;
    let course = Course::from(Call::Settle(failure)).after(Answer::Settle(settled), &PACING);
    let report = describe(engine, id).await?;
    if let Some(overtaken_at) = report.retention.as_ref().and_then(|retention| retention.overtaken_at.as_ref()) {
        tracing::warn!(overtaken_at, "retention overtakes this read: what is dropped before is lost");
    }
    let shards = before.as_ref().map_or(0, |before| before.shards.len());
    let mut turn = match &course.call {
        // Not before a plan that may still be at work has ended can the transfer be left.
        Call::End if before.as_ref().is_some_and(|before| is_being_planned(host, before)) => {
            Turn { wait_seconds: seconds(PACING.rest_millis), ..Turn::new(Next::Settle, &report) }
        }
        Call::End => ended(&report, by),
        _ => Turn::along(&course, &report).with_lanes(&report, shards, host.config.lanes),
    };
    if let Some(before) = before {
        turn.emit = before.state != report.state;
        if turn.emit {
            turn = turn.telling(&report);
            measure_end(host, &report);
        }
        let moved = before.totals.moved;
        let misfits = report.misfits.as_ref().map_or(0, |stored| stored.misfits.events);
        let counts = (report.events.saturating_sub(moved.events), report.bytes.saturating_sub(moved.bytes));
        measure(host, &report, counts, misfits.saturating_sub(before.totals.misfits));
    }
    tell(&report, turn.next, "settled");
    Ok(turn)
}

/// Logs where a transfer stands. The totals are absolute: the last line holds, also if earlier lines were lost.
pub(crate) fn tell(report: &Report, next: Next, what: &'static str) {
    let kind = match report.kind {
        Kind::Export => "export",
        Kind::Import => "import",
    };
    tracing::info!(
        kind,
        state = %report.state,
        events = report.events,
        bytes = report.bytes,
        objects = report.objects,
        gaps = report.gaps,
        ?next,
        "{what}"
    );
}

/// While it looks for sources, a plan does not get past a record that says to rest. Behind that it does not look again.
fn is_being_planned(host: &Host, record: &TransferRecord) -> bool {
    let began = match &record.config {
        Config::Export(_) => record.created_at,
        Config::Import(config) => config.time,
    };
    let since = host.engine.clock.now().millis_since(began);
    let gets_through = record.state == State::Preparing && record.planning.is_none();
    gets_through && record.wanted != Wanted::Running && since < PLAN_MILLIS
}

/// The execution's end: a failed transfer fails it, gaps do not. Behind a run of a series that another execution began
/// comes one of its own, and behind a run of a rule the objects that wait by then.
pub(crate) fn ended(report: &Report, by: By<'_>) -> Turn {
    let is = |run: &str| Some(run) == by.execution;
    let of_another = report.series.as_ref().is_some_and(|run| is(&run.run_by) && !is(&run.begun_by));
    let again = (of_another && report.state.is_complete()) || (by.fired && report.state.is_final());
    Turn { fails: report.state == State::Failed, again, ..Turn::new(Next::End, report).telling(report) }
}

/// Of a transfer that has come to its end just now.
pub(crate) fn measure_end(host: &Host, report: &Report) {
    let one = |name| (name, "Count", 1.0);
    let values = match report.state {
        State::Failed => vec![one("Failed")],
        state if state.is_complete() => vec![one("Completed"), ("Gaps", "Count", report.gaps as f64)],
        _ => return,
    };
    let at = host.engine.clock.now();
    Metrics { stack: &host.config.stack, of: Some(report.kind), transfer: Some(&report.id), at, values }.emit();
}

fn measure(host: &Host, report: &Report, (events, bytes): (u64, u64), misfits: u64) {
    let mut values = vec![("EventsMoved", "Count", events as f64), ("BytesMoved", "Bytes", bytes as f64)];
    if misfits > 0 {
        values.push(("Misfits", "Count", misfits as f64));
    }
    if let Some(progress) = report.progress {
        values.push(("Progress", "Percent", progress * 100.0));
    }
    let at = host.engine.clock.now();
    Metrics { stack: &host.config.stack, of: Some(report.kind), transfer: Some(&report.id), at, values }.emit();
}
