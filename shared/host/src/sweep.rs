//! `sweep`: finds, every few minutes, what no event reports. The event of a stopped execution may be lost; an upload
//! that a late slice began is known to no record; a transfer that stands still says nothing. So active transfers whose
//! execution is gone are brought to rest, uploads of ended ones are aborted, and records that were kept long enough may
//! go.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;
use sluice_operations::{Code, OperationError, abort_left_open, describe, mark, open_uploads, stopped};
use sluice_ports::{Execution, Launched, Stored};
use sluice_transfer::record::{Failure, SweepRecord, TransferRecord};
use sluice_transfer::rule::RuleRecord;
use sluice_transfer::{State, Timestamp, TransferId, Wanted, sha256_hex};
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
    /// Rules for which an execution was started, since objects wait and no execution takes them.
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
    let runs = look_at_rules(host, &mut swept, invocation).await;
    if at.millis_since(record.ended_at) >= ENDED_EVERY_MILLIS {
        let left_out = swept.left_out;
        match runs {
            Some(runs) => look_at_ended(host, &runs, &mut swept, invocation).await?,
            // Which transfers their rules still need is not known.
            None => swept.left_out += 1,
        }
        if swept.left_out == left_out {
            record.ended_at = at;
        }
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
    if active.len() > MOST {
        tracing::warn!(most = MOST, "more transfers are active than are looked at: those that began first are not");
        swept.left_out += 1;
        active.truncate(MOST);
    }
    // A plan that was refused, or asked to rest, has no execution and nothing open.
    active.retain(|transfer| !transfer.is_refused() && !is_at_rest(transfer));
    record.seen.retain(|id, _| active.iter().any(|transfer| transfer.id == *id));
    swept.active = active.len() as u64;
    for transfer in &active {
        if !has_time(host, invocation) {
            swept.left_out += 1;
            continue;
        }
        let span = invocation.span(&transfer.id);
        let looked = async {
            bring_to_rest(host, record, swept, transfer).await?;
            measure(host, record, transfer).await
        };
        if let Err(error) = Box::pin(looked).instrument(span.clone()).await {
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

/// How long an active transfer stands where it is, and what is open.
async fn measure(host: &Host, record: &mut SweepRecord, transfer: &TransferRecord) -> Result<(), OperationError> {
    let engine = &host.engine;
    let digest = mark(engine, transfer).await?;
    let now = engine.clock.now();
    let since = record.see(&transfer.id, &digest, now);
    let mut values = vec![("SecondsSinceProgress", "Seconds", seconds(now, since))];
    let headroom = describe(engine, &transfer.id).await?.retention.and_then(|retention| retention.headroom_seconds);
    values.extend(headroom.map(|left| ("RetentionHeadroomSeconds", "Seconds", left as f64)));
    let open = open_uploads(engine, transfer).await;
    if let Ok(open) = &open {
        let oldest = open.iter().filter_map(|upload| upload.begun).min();
        values.push(("OldestOpenUploadSeconds", "Seconds", oldest.map_or(0.0, |begun| seconds(now, begun))));
    }
    // Emitted also where the uploads cannot be listed.
    Metrics { stack: &host.config.stack, of: None, transfer: Some(&transfer.id), at: now, values }.emit();
    open.map(drop)
}

/// Whether anybody runs an active transfer; if not, an execution is started that brings it to rest.
async fn bring_to_rest(
    host: &Host,
    record: &mut SweepRecord,
    swept: &mut Swept,
    transfer: &TransferRecord,
) -> Result<(), OperationError> {
    let engine = &host.engine;
    let executions = host.executions.as_ref().ok_or_else(|| invalid("this function looks at no executions"))?;
    let (status, why) = match executions.look(&transfer.execution).await? {
        Execution::Runs => return Ok(()),
        Execution::Ended { status, why } => (status, why),
        Execution::Gone => ("GONE".to_owned(), String::new()),
    };
    let settling = record.seen.get(&transfer.id).and_then(|seen| seen.settling.as_ref());
    if let Some(settling) = settling
        && executions.look(settling).await? == Execution::Runs
    {
        swept.lost += 1;
        return Ok(());
    }
    let execution = &transfer.execution;
    let message = format!("the execution {execution} is {status}; resume the transfer to go on. {why}");
    let reason = Failure { code: Code::ExecutionStopped.to_string(), message };
    // As it is by now: the list may trail, and somebody may have resumed it.
    let there = stopped(engine, &transfer.id, execution, reason).await?;
    if there.execution != *execution || !there.state.is_active() || there.wanted == Wanted::Running {
        return Ok(());
    }
    swept.lost += 1;
    tracing::warn!(execution, status, "the execution is over, and the transfer is not: it is brought to rest");
    // A new name each time, since an earlier one may have died as well. The input names the execution that is over, so a
    // transfer that was resumed meanwhile is left alone.
    let now = engine.clock.now();
    let name = sha256_hex(format!("{} {execution} {}", transfer.id, now.micros()).as_bytes());
    let ran = json!({"resume": transfer.id}).to_string();
    let detail = json!({"executionArn": execution, "name": "sweep", "status": status, "input": ran});
    let input = json!({"stopped": detail}).to_string();
    if let Launched::Now(settling) = executions.launch(&format!("sweep-{}", &name[..32]), &input).await? {
        swept.started += 1;
        record.settle(&transfer.id, settling, now);
    }
    Ok(())
}

/// Rules whose execution was stopped, or was never started: objects may wait, and no further event may come.
/// Answers the runs that rules name; none if that is not known.
async fn look_at_rules(host: &Host, swept: &mut Swept, invocation: &Invocation) -> Option<BTreeSet<TransferId>> {
    let rules = match host.rules.rules().await {
        Ok(rules) => rules,
        Err(error) => {
            swept.failed += 1;
            tracing::warn!(%error, "the rules cannot be looked at");
            return None;
        }
    };
    for rule in &rules {
        if let Err(error) = look_at_rule(host, rule, swept, invocation).await {
            swept.failed += 1;
            tracing::warn!(rule = %rule.name, code = %error.code, "cannot be looked at: {}", error.message);
        }
    }
    Some(rules.into_iter().filter_map(|rule| rule.run).map(|run| run.id).collect())
}

/// One rule: how long objects wait for it, and whether somebody takes them.
async fn look_at_rule(
    host: &Host,
    record: &RuleRecord,
    swept: &mut Swept,
    invocation: &Invocation,
) -> Result<(), OperationError> {
    if record.rule.as_ref().is_none_or(|rule| rule.on.is_none()) {
        return Ok(());
    }
    let Some(first) = host.rules.head(&record.name, 1).await?.into_iter().next() else { return Ok(()) };
    let now = host.engine.clock.now();
    let values = vec![("OldestWaitingSeconds", "Seconds", seconds(now, first.time))];
    Metrics { stack: &host.config.stack, of: None, transfer: None, at: now, values }.emit();
    if is_forsaken(host, record).await? {
        swept.woken += u64::from(wake(host, &record.name, &invocation.request).await?);
    }
    Ok(())
}

/// True if objects wait for a rule and no execution takes them. A run at rest waits for a person; one that could not be
/// planned has said why.
async fn is_forsaken(host: &Host, record: &RuleRecord) -> Result<bool, OperationError> {
    let executions = host.executions.as_ref().ok_or_else(|| invalid("this function looks at no executions"))?;
    let drain = match &record.drain {
        Some(drain) => Some(executions.look(&drain.execution).await?),
        None => None,
    };
    if drain == Some(Execution::Runs) {
        return Ok(false);
    }
    let Some(run) = &record.run else { return Ok(true) };
    let has_failed = matches!(&drain, Some(Execution::Ended { status, .. }) if status == "FAILED");
    Ok(match host.engine.checkpoints.transfer(&run.id).await? {
        // Somebody has resumed it, and it has ended: what waits behind it is still to come.
        Some(transfer) if transfer.state.is_final() => true,
        Some(transfer) if matches!(transfer.state, State::Paused | State::Failed) => false,
        // Another execution runs it, or it is brought to rest first.
        Some(transfer) => executions.look(&transfer.execution).await? != Execution::Runs && !has_failed,
        None => run.failure.is_none() && !has_failed,
    })
}

/// Transfers that have ended and were not gone through: what late slices left open is aborted, until nothing is.
async fn look_at_ended(
    host: &Host,
    runs: &BTreeSet<TransferId>,
    swept: &mut Swept,
    invocation: &Invocation,
) -> Result<(), OperationError> {
    let now = host.engine.clock.now();
    for transfer in host.sweep.unmarked(MOST).await? {
        // A rule that goes on looks at its run: without a record it would make it again.
        if now.millis_since(transfer.updated_at) < HAUNTED_MILLIS || runs.contains(&transfer.id) {
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
