//! `sweep`: the look, every few minutes, at what nobody tells of. An execution that was stopped is told of by an event
//! that may be lost; an upload that a late slice began is known to no record; a transfer that stands still says
//! nothing. So active transfers whose execution is gone are brought to rest, uploads of ended ones are aborted, and
//! records that were kept long enough may go.

use serde::Serialize;
use serde_json::json;
use sluice_operations::{Code, OperationError, abort_left_open, describe, mark, open_uploads, stopped};
use sluice_ports::{Execution, Launched, Stored};
use sluice_transfer::record::{Failure, SweepRecord, TransferRecord};
use sluice_transfer::rule::RuleRecord;
use sluice_transfer::{State, Timestamp, Wanted, sha256_hex};
use tracing::Instrument;

use crate::error::{Refused, invalid};
use crate::fire::wake;
use crate::function::{Host, Invocation};
use crate::metrics::Metrics;

/// Active transfers that are looked at, and ended ones, each time.
const MOST: usize = 1_000;
/// The least time between two looks at ended transfers, in milliseconds: all that are on record are read.
const ENDED_EVERY_MILLIS: u64 = 3_600_000;
/// So long after its end a transfer may have a slice that was given up for dead, in milliseconds: the longest time-out
/// of a function, and a margin.
const HAUNTED_MILLIS: u64 = 1_200_000;
/// What a look at one transfer may take, in milliseconds.
const LOOK_MILLIS: u64 = 20_000;
const DAY_MILLIS: u64 = 86_400_000;

/// What a sweep came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// Transfers that are active.
    pub active: u64,
    /// Those among them whose execution is gone.
    pub lost: u64,
    /// Executions that were started to bring them to rest.
    pub started: u64,
    /// Rules for which an execution was started, since objects wait and nobody takes them.
    pub woken: u64,
    /// Ended transfers that were gone through.
    pub ended: u64,
    /// Uploads that were aborted.
    pub aborted: u64,
    /// Uploads of ended transfers that are open still.
    pub open: u64,
    /// Transfers whose records may go after their time.
    pub expiring: u64,
    /// Transfers that could not be looked at: the log says why.
    pub failed: u64,
    /// Transfers that this sweep did not come to; the next one does.
    pub left_out: u64,
}

/// Looks at all that is active, and now and then at what has ended.
pub async fn sweep(host: &Host, _: serde_json::Value, invocation: &Invocation) -> Result<Swept, Refused> {
    let mut record = host.sweep.swept().await.map_err(OperationError::from)?.unwrap_or_default();
    let mut swept = Swept::default();
    let at = host.engine.clock.now();
    look_at_active(host, &mut record, &mut swept, invocation).await?;
    look_at_rules(host, &mut swept, invocation).await?;
    if at.millis_since(record.ended_at) >= ENDED_EVERY_MILLIS {
        look_at_ended(host, &mut swept, invocation).await?;
        record.ended_at = at;
    }
    record.revision += 1;
    if host.sweep.update_swept(&record).await.map_err(OperationError::from)? == Stored::Mismatch {
        tracing::info!("another sweep was faster: what this one noted is not kept");
    }
    tell(host, &swept, at);
    Ok(swept)
}

async fn look_at_active(
    host: &Host,
    record: &mut SweepRecord,
    swept: &mut Swept,
    invocation: &Invocation,
) -> Result<(), OperationError> {
    let mut active = host.engine.checkpoints.transfers(&State::ACTIVE, MOST + 1).await?;
    // A plan that was refused, or asked to rest, has nobody at work and nothing open.
    active.retain(|transfer| !transfer.is_refused() && !is_at_rest(transfer));
    record.seen.retain(|id, _| active.iter().any(|transfer| transfer.id == *id));
    swept.active = active.len() as u64;
    for transfer in &active {
        if !has_time(host, invocation) {
            swept.left_out += 1;
            continue;
        }
        let span = invocation.span(&transfer.id);
        let looked = Box::pin(look(host, record, swept, transfer)).instrument(span.clone()).await;
        if let Err(error) = looked {
            swept.failed += 1;
            span.in_scope(|| tracing::warn!(code = %error.code, "cannot be looked at: {}", error.message));
        }
    }
    Ok(())
}

fn is_at_rest(transfer: &TransferRecord) -> bool {
    transfer.state == State::Preparing && transfer.wanted == Wanted::Paused
}

fn has_time(host: &Host, invocation: &Invocation) -> bool {
    host.engine.clock.now().plus_millis(LOOK_MILLIS) < invocation.deadline
}

/// One active transfer: whether anybody runs it, how long it stands where it is, and what is open.
async fn look(
    host: &Host,
    record: &mut SweepRecord,
    swept: &mut Swept,
    transfer: &TransferRecord,
) -> Result<(), OperationError> {
    let engine = &host.engine;
    let digest = mark(engine, transfer).await?;
    let now = engine.clock.now();
    let since = record.see(&transfer.id, &digest, now);
    let mut values = vec![("SecondsSinceProgress", "Seconds", seconds(now, since))];
    let oldest = open_uploads(engine, transfer).await?.into_iter().filter_map(|upload| upload.begun).min();
    values.push(("OldestOpenUploadSeconds", "Seconds", oldest.map_or(0.0, |begun| seconds(now, begun))));
    let headroom = describe(engine, &transfer.id).await?.retention.and_then(|retention| retention.headroom_seconds);
    values.extend(headroom.map(|left| ("RetentionHeadroomSeconds", "Seconds", left as f64)));
    Metrics { stack: &host.config.stack, of: None, transfer: Some(&transfer.id), at: now, values }.emit();
    let executions = host.executions.as_ref().ok_or_else(|| invalid("this function looks at no executions"))?;
    let (status, why) = match executions.look(&transfer.execution).await? {
        Execution::Runs => return Ok(()),
        Execution::Ended { status, why } => (status, why),
        Execution::Gone => ("gone".to_owned(), String::new()),
    };
    swept.lost += 1;
    let seen = record.seen.get_mut(&transfer.id);
    if let Some(settling) = seen.as_ref().and_then(|seen| seen.settling.as_ref())
        && executions.look(settling).await? == Execution::Runs
    {
        return Ok(());
    }
    let execution = &transfer.execution;
    tracing::warn!(execution, status, "the execution is over, and the transfer is not: it is brought to rest");
    let message = format!("the execution {execution} is {status}; resume the transfer to go on. {why}");
    let reason = Failure { code: Code::ExecutionStopped.to_string(), message };
    stopped(engine, &transfer.id, execution, reason).await?;
    // A name of its own each time: one of before may have died as well.
    let name = sha256_hex(format!("{} {execution} {}", transfer.id, now.micros()).as_bytes());
    let input = json!({"pause": transfer.id}).to_string();
    if let Launched::Now(settling) = executions.launch(&format!("sweep-{}", &name[..32]), &input).await? {
        swept.started += 1;
        if let Some(seen) = seen {
            seen.settling = Some(settling);
        }
    }
    Ok(())
}

/// Rules whose execution was stopped, or was never started: objects may wait, and nobody may be told of another one.
async fn look_at_rules(host: &Host, swept: &mut Swept, invocation: &Invocation) -> Result<(), OperationError> {
    for rule in host.rules.rules().await? {
        match is_forsaken(host, &rule).await {
            Ok(false) => {}
            Ok(true) => swept.woken += u64::from(wake(host, &rule.name, &invocation.request).await?),
            Err(error) => {
                swept.failed += 1;
                tracing::warn!(rule = %rule.name, code = %error.code, "cannot be looked at: {}", error.message);
            }
        }
    }
    Ok(())
}

/// Whether objects wait for a rule that nobody works for. One whose execution failed has said why, and one whose run is
/// at rest waits for a person.
async fn is_forsaken(host: &Host, record: &RuleRecord) -> Result<bool, OperationError> {
    if record.rule.is_none() {
        return Ok(false);
    }
    if let Some(run) = &record.run {
        let transfer = host.engine.checkpoints.transfer(&run.id).await?;
        if transfer.is_some_and(|transfer| matches!(transfer.state, State::Paused | State::Failed)) {
            return Ok(false);
        }
    }
    let Some(drain) = &record.drain else {
        return Ok(record.run.is_none() && host.rules.waiting(&record.name).await? > 0);
    };
    let executions = host.executions.as_ref().ok_or_else(|| invalid("this function looks at no executions"))?;
    Ok(match executions.look(&drain.execution).await? {
        Execution::Runs => false,
        Execution::Ended { status, .. } => status != "FAILED",
        Execution::Gone => true,
    })
}

/// Transfers that have ended and were not gone through: what late slices left open is aborted, until nothing is.
async fn look_at_ended(host: &Host, swept: &mut Swept, invocation: &Invocation) -> Result<(), OperationError> {
    let now = host.engine.clock.now();
    for transfer in host.sweep.unmarked(MOST).await? {
        if now.millis_since(transfer.updated_at) < HAUNTED_MILLIS {
            continue;
        }
        if !has_time(host, invocation) {
            swept.left_out += 1;
            continue;
        }
        let span = invocation.span(&transfer.id);
        if let Err(error) = Box::pin(go_through(host, swept, &transfer, now)).instrument(span.clone()).await {
            swept.failed += 1;
            span.in_scope(|| tracing::warn!(code = %error.code, "cannot be gone through: {}", error.message));
        }
    }
    Ok(())
}

async fn go_through(
    host: &Host,
    swept: &mut Swept,
    transfer: &TransferRecord,
    now: Timestamp,
) -> Result<(), OperationError> {
    let left = match abort_left_open(&host.engine, transfer).await {
        // With the bucket all that could be open is gone.
        Err(error) if error.code == Code::NotFound => sluice_operations::LeftOpen::default(),
        left => left?,
    };
    swept.aborted += left.aborted;
    swept.open += left.open;
    if left.open > 0 {
        return Ok(());
    }
    let kept = host.config.keep_days;
    let expires = (kept > 0).then(|| transfer.updated_at.plus_millis(kept * DAY_MILLIS));
    if host.sweep.mark(transfer, now, expires).await? == Stored::Done {
        swept.ended += 1;
        swept.expiring += u64::from(expires.is_some());
    }
    Ok(())
}

fn seconds(now: Timestamp, then: Timestamp) -> f64 {
    (now.millis_since(then) / 1_000) as f64
}

fn tell(host: &Host, swept: &Swept, at: Timestamp) {
    let count = |name, value: u64| (name, "Count", value as f64);
    let values = vec![
        count("ActiveTransfers", swept.active),
        count("LostExecutions", swept.lost),
        count("UploadsAborted", swept.aborted),
        count("RecordsExpired", swept.expiring),
        count("SweepFailures", swept.failed + swept.left_out),
    ];
    Metrics { stack: &host.config.stack, of: None, transfer: None, at, values }.emit();
    tracing::info!(
        active = swept.active,
        lost = swept.lost,
        woken = swept.woken,
        ended = swept.ended,
        failed = swept.failed,
        left_out = swept.left_out,
        "swept"
    );
}

#[cfg(test)]
mod tests;
