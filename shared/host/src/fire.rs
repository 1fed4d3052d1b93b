//! `plan` for rules: they are made, shown and removed, and an execution makes the runs of one.
//!
//! An execution that fires a rule starts a run, and the workflow moves it as any transfer. Behind its end it plans again,
//! until nothing is left to do.

use serde_json::json;
use sluice_operations::{
    AfterRefusal, Code, OperationError, RuleStep, drain_rule, list_rules, make_rule, note_series_run, refused_run,
    remove_rule, show_rule,
};
use sluice_ports::{Execution, Launched};
use sluice_transfer::record::TransferRecord;
use sluice_transfer::rule::{Arrivals, RuleRecord};
use sluice_transfer::{ExportRequest, Request, RuleName, TransferId, Wanted};
use tracing::Instrument;

use crate::answer::Next;
use crate::command::Command;
use crate::error::Refused;
use crate::function::{Host, Invocation};
use crate::plan::{Begun, begin, next_of};

/// Makes, shows or removes rules.
pub(crate) async fn of_rules(host: &Host, command: Command) -> Result<Begun, Refused> {
    let (engine, store) = (&host.engine, &*host.rules);
    let said = match command {
        Command::MakeRule(name, rule) => {
            let report = make_rule(engine, store, &name, *rule).await?;
            tracing::info!(rule = %name, "a rule is made");
            json!({ "rule": report })
        }
        Command::RemoveRule(name) => {
            let removed = remove_rule(engine, store, &name).await?;
            tracing::info!(rule = %name, waiting = removed.waiting, "a rule is removed");
            json!(removed)
        }
        _ => {
            let mut reports = list_rules(engine, store).await?;
            for report in &mut reports {
                if let Some(execution) = &report.execution {
                    report.running = Some(runs(host, execution).await?);
                }
            }
            json!({ "rules": reports })
        }
    };
    Ok(Begun::told(&said))
}

/// Whether an execution runs, or may still start.
async fn runs(host: &Host, execution: &str) -> Result<bool, OperationError> {
    let Some(executions) = &host.executions else {
        return Err(OperationError::new(Code::Defect, "this function links no executions"));
    };
    Ok(executions.look(execution).await? == Execution::Runs)
}

/// Who makes the runs of a rule.
enum Drained {
    /// None, or the one that asks.
    Free,
    /// Another execution, which runs.
    By(String),
    /// Another execution that has ended, without a word of it.
    Dead(String),
}

async fn drained(host: &Host, record: &RuleRecord, execution: Option<&str>) -> Result<Drained, OperationError> {
    match &record.drain {
        Some(drain) if Some(drain.execution.as_str()) != execution => {
            let by = drain.execution.clone();
            Ok(if runs(host, &by).await? { Drained::By(by) } else { Drained::Dead(by) })
        }
        _ => Ok(Drained::Free),
    }
}

async fn known(host: &Host, name: &RuleName) -> Result<RuleRecord, OperationError> {
    let record = host.rules.rule(name).await?;
    record.ok_or_else(|| {
        OperationError::new(Code::NotFound, format!(r#"there is no rule '{name}'; {{"rules": {{}}}} lists all"#))
    })
}

/// Makes the runs of a rule, one after the other, or leaves it to the execution that does.
pub(crate) async fn fire(
    host: &Host,
    name: &RuleName,
    execution: &str,
    invocation: &Invocation,
) -> Result<Begun, Refused> {
    loop {
        let record = known(host, name).await?;
        let dead = match drained(host, &record, Some(execution)).await? {
            Drained::Free => None,
            Drained::Dead(by) => Some(by),
            Drained::By(by) => {
                // It looks at this before it lets go of the rule, so it does what is asked for here.
                host.rules.count(name, Arrivals { changes: 1, ..Arrivals::default() }).await?;
                if known(host, name).await?.drain == record.drain {
                    tracing::info!(rule = %name, by, "another execution makes the runs of this rule");
                    return Ok(Begun::told(&json!({ "rule": show_rule(&host.engine, &*host.rules, name).await? })));
                }
                continue;
            }
        };
        let step = drain_rule(&host.engine, &*host.rules, name, execution, dead.as_deref()).await?;
        let begun = match step {
            RuleStep::Taken => None,
            RuleStep::Wait(seconds) => Some(Begun::again(seconds)),
            RuleStep::Start(id, request) => start(host, (name, &id, *request), execution, invocation).await?,
            RuleStep::Series(request) => {
                let (id, request) = series(host, name, &request, execution).await?;
                start(host, (name, &id, request), execution, invocation).await?
            }
            RuleStep::Removed => {
                // Asked for by a person it is an error; behind a run it is what it came to.
                if record.drain.is_none() {
                    let what = format!(r#"the rule '{name}' was removed; {{"rules": {{}}}} lists all"#);
                    return Err(OperationError::new(Code::NotFound, what).into());
                }
                Some(Begun::told(&json!({ "removed": name })))
            }
            RuleStep::HandOver => {
                wake(host, name, &invocation.request).await?;
                Some(Begun::told(&json!({ "handedOver": name })))
            }
            RuleStep::Idle => Some(Begun::told(&json!({ "rule": show_rule(&host.engine, &*host.rules, name).await? }))),
        };
        if let Some(begun) = begun {
            return Ok(begun);
        }
    }
}

/// The next run of a rule's series, on record.
async fn series(
    host: &Host,
    name: &RuleName,
    request: &ExportRequest,
    execution: &str,
) -> Result<(TransferId, Request), OperationError> {
    let (id, command) = next_of(host, request, false, execution).await?;
    let Command::Start(_, next) = command else {
        return Err(OperationError::new(Code::Defect, "the next run of a series is none"));
    };
    let is_anothers = host.engine.checkpoints.transfer(&id).await?.is_some_and(|there| there.execution != execution);
    note_series_run(&*host.rules, name, execution, &id, is_anothers).await?;
    Ok((id, *next))
}

/// Starts a run, or goes on with it. Answers none if that is at its end, so that the next one may come.
async fn start(
    host: &Host,
    (name, id, request): (&RuleName, &TransferId, Request),
    execution: &str,
    invocation: &Invocation,
) -> Result<Option<Begun>, Refused> {
    let command = match host.engine.checkpoints.transfer(id).await? {
        // Who ran it is gone, and no event of that was needed to know it.
        Some(there) if is_left(host, &there, execution).await? => Command::Resume(id.clone()),
        _ => Command::Start(id.clone(), Box::new(request)),
    };
    let span = invocation.span(id);
    match Box::pin(begin(host, command, id, execution, invocation)).instrument(span).await {
        Ok(Begun::Turn(turn)) if turn.next == Next::End && turn.state.is_final() => Ok(None),
        Ok(begun) => Ok(Some(begun)),
        Err(Refused(error)) if error.code == Code::Unavailable => Err(error.into()),
        Err(Refused(error)) => {
            if refused_run(&host.engine, &*host.rules, name, id, &error).await? == AfterRefusal::GoesOn {
                tracing::warn!(rule = %name, "a run takes nothing: {}", error.message);
                return Ok(None);
            }
            Err(error.into())
        }
    }
}

/// Whether a transfer is not given up, and the execution that ran it has ended. One that comes to rest just now goes on
/// as one that rests does.
async fn is_left(host: &Host, transfer: &TransferRecord, execution: &str) -> Result<bool, OperationError> {
    let goes_on = transfer.state.is_active() && transfer.wanted != Wanted::Cancelled;
    Ok(goes_on && transfer.execution != execution && !runs(host, &transfer.execution).await?)
}

/// Starts an execution that makes the runs of a rule, if none does. Answers whether it did.
pub(crate) async fn wake(host: &Host, name: &RuleName, request: &str) -> Result<bool, OperationError> {
    let record = known(host, name).await?;
    if record.rule.is_none() || matches!(drained(host, &record, None).await?, Drained::By(_)) {
        return Ok(false);
    }
    let Some(executions) = &host.executions else {
        return Err(OperationError::new(Code::Defect, "this function links no executions"));
    };
    let input = json!({ "fire": name }).to_string();
    // Several invocations receive objects at the same time, and all of them mean one execution.
    let called = format!("{name}-fire-{}", record.revision);
    if executions.launch(&called, &input).await? == Launched::Before {
        // Of that name one has ended, before it came to the rule. Or it is just being started.
        let own: String = request.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        return Ok(executions.launch(&format!("{called}-{own}"), &input).await? != Launched::Before);
    }
    Ok(true)
}

/// The run that an execution which ended has left; none if it left none.
pub(crate) async fn run_of_rule(
    host: &Host,
    name: &RuleName,
    execution: &str,
) -> Result<Option<TransferId>, OperationError> {
    let record = host.rules.rule(name).await?;
    let record = record.filter(|record| record.drain.as_ref().is_some_and(|drain| drain.execution == execution));
    let Some(run) = record.and_then(|record| record.run) else { return Ok(None) };
    // One that was not planned has nothing to bring to rest: the next execution plans it.
    let planned = host.engine.checkpoints.transfer(&run.id).await?;
    Ok(planned.map(|_| run.id))
}

#[cfg(test)]
mod tests;
