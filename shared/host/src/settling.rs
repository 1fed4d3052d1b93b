//! `settle`: what a wave came to, and what comes next.

use serde::Deserialize;
use sluice_operations::{Report, Settled, describe};
use sluice_transfer::record::Failure;
use sluice_transfer::{State, TransferId};
use tracing::Instrument;

use crate::answer::{Next, REST_SECONDS, Turn, seconds};
use crate::error::Refused;
use crate::function::{Host, Invocation};
use crate::metrics::Metrics;

/// What the workflow hands on after a wave.
#[derive(Debug, Deserialize)]
pub struct Wave {
    /// The transfer.
    id: TransferId,
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
    settled(host, &wave.id, failure, invocation).instrument(invocation.span(&wave.id)).await
}

pub(crate) async fn settled(
    host: &Host,
    id: &TransferId,
    failure: Option<Failure>,
    invocation: &Invocation,
) -> Result<Turn, Refused> {
    let engine = &host.engine;
    let before = engine.checkpoints.transfer(id).await?;
    let order = host.order(id, invocation, invocation.request.clone(), false);
    let settled = sluice_operations::settle(engine, &order, failure).await?;
    let report = describe(engine, id).await?;
    let shards = before.as_ref().map_or(0, |before| before.shards.len());
    let mut turn = match settled {
        Settled::Again => Turn::new(Next::Move, &report, shards),
        Settled::Finish => Turn::new(Next::Finish, &report, shards),
        Settled::Ended => ended(&report),
        Settled::Busy { wait_millis } => {
            Turn { wait_seconds: seconds(wait_millis, REST_SECONDS), ..Turn::new(Next::Settle, &report, shards) }
        }
    };
    if let Some(before) = before {
        turn.emit = before.state != report.state;
        if turn.emit {
            turn = turn.telling(&report);
        }
        let moved = before.totals.moved;
        measure(host, &report, report.events.saturating_sub(moved.events), report.bytes.saturating_sub(moved.bytes));
    }
    tracing::info!(state = %report.state, next = ?turn.next, "settled");
    Ok(turn)
}

/// The execution's end: a failed transfer fails it, gaps do not.
pub(crate) fn ended(report: &Report) -> Turn {
    Turn { fails: report.state == State::Failed, ..Turn::new(Next::End, report, 0).telling(report) }
}

fn measure(host: &Host, report: &Report, events: u64, bytes: u64) {
    let mut values = vec![("EventsMoved", "Count", events as f64), ("BytesMoved", "Bytes", bytes as f64)];
    if let Some(progress) = report.progress {
        values.push(("Progress", "Percent", progress * 100.0));
    }
    let at = host.engine.clock.now();
    Metrics { stack: &host.config.stack, kind: report.kind, transfer: &report.id, at, values }.emit();
}
