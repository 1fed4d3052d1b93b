//! `finish`: checks what arrived and ends the transfer; or reads everything again, for who asks for it.

use serde::Deserialize;
use serde_json::json;
use sluice_operations::{Code, OperationError, Progress, Verdict, describe, verify_slice};
use sluice_transfer::{Answer, Call, Course, Finish, State, TransferId};
use tracing::Instrument;

use crate::answer::{Next, PACING, Turn};
use crate::error::Refused;
use crate::function::{Host, Invocation};
use crate::settle::{By, ended, measure_end, settled, superseded, tell};

/// What the workflow hands on.
#[derive(Debug, Deserialize)]
pub struct Handed {
    /// The transfer.
    id: TransferId,
    /// The execution's ARN.
    execution: Option<String>,
    /// Whether the execution makes the runs of a rule.
    #[serde(default)]
    fired: bool,
    /// Which of the two.
    next: Asked,
    /// Times in a row that a store was in trouble.
    #[serde(default)]
    troubles: u32,
    /// How far a verification is; none at its beginning.
    #[serde(default)]
    verification: Option<Progress>,
}

/// Finishing or verifying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Asked {
    Finish,
    Verify,
}

/// Finishes, as far as one invocation comes.
pub async fn finish(host: &Host, handed: Handed, invocation: &Invocation) -> Result<Turn, Refused> {
    let span = invocation.span(&handed.id);
    match handed.next {
        Asked::Finish => {
            async {
                match superseded(host, &handed.id, handed.execution.as_deref()).await? {
                    Some(turn) => Ok(turn),
                    None => check(host, &handed, invocation).await,
                }
            }
            .instrument(span)
            .await
        }
        Asked::Verify => prove(host, handed, invocation).instrument(span).await,
    }
}

async fn check(host: &Host, handed: &Handed, invocation: &Invocation) -> Result<Turn, Refused> {
    let (engine, id) = (&host.engine, &handed.id);
    let by = By { execution: handed.execution.as_deref(), fired: handed.fired };
    let order = host.order(id, invocation, invocation.request.clone(), false);
    let finished = sluice_operations::finish(engine, &order).await?;
    if let Finish::Interrupted(failure) = &finished {
        tracing::warn!(code = failure.code, "{}", failure.message);
    }
    let at = Course { troubles: handed.troubles, ..Course::from(Call::Finish) };
    let course = at.after(Answer::Finish(finished), &PACING);
    if let Call::Settle(failure) = &course.call {
        return settled(host, id, by, failure.clone(), invocation).await;
    }
    let report = describe(engine, id).await?;
    let mut turn = match &course.call {
        // A pause may have come in between: what is at rest is at its end here too.
        Call::End => ended(&report, by),
        _ => Turn::along(&course, &report).with_lanes(&report, 0, host.config.lanes),
    };
    turn.emit = report.state != State::Verifying;
    if turn.emit {
        turn = turn.telling(&report);
        measure_end(host, &report);
    }
    tell(&report, turn.next, "finishing");
    Ok(turn)
}

/// Reads on until the invocation's end; what is known so far goes through the workflow.
async fn prove(host: &Host, handed: Handed, invocation: &Invocation) -> Result<Turn, Refused> {
    let (engine, id) = (&host.engine, &handed.id);
    let deadline = host.order(id, invocation, invocation.request.clone(), false).budget.deadline;
    let progress = verify_slice(engine, id, handed.verification, deadline, &mut |_| ()).await?;
    let verification = &progress.verification;
    tracing::info!(verdict = ?verification.verdict, read = verification.read, done = progress.done, "verifying");
    let report = describe(engine, id).await?;
    if !progress.done {
        return Ok(Turn { verification: Some(progress), ..Turn::new(Next::Verify, &report) });
    }
    if verification.verdict == Verdict::Mismatch {
        let shown = verification.findings.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("; ");
        let what =
            format!("{} findings in {} objects or shards: {shown}", verification.findings.len(), verification.read);
        return Err(OperationError::new(Code::VerificationFailed, what).into());
    }
    Ok(Turn { result: Some(json!({ "verification": verification })), ..Turn::new(Next::End, &report) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{begin, handed, host, invocation};

    /// Each invocation is over as soon as it begins: what it knows goes through the workflow.
    #[test]
    fn a_verification_goes_through_the_workflow() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let host = host(2_000).await;
            let long = invocation(&host, 600_000);
            begin(&host, "export").await;
            let slice = json!({"id": "export", "lane": 0, "of": 1, "slice": "s", "died": null});
            crate::export(&host, handed(slice), &long).await.unwrap();
            crate::settle(&host, handed(json!({"id": "export"})), &long).await.unwrap();
            finish(&host, handed(json!({"id": "export", "next": "finish", "verification": null})), &long)
                .await
                .unwrap();
            let mut before = json!(null);
            let mut turns = 0;
            let result = loop {
                turns += 1;
                let asked = json!({"id": "export", "next": "verify", "troubles": 0, "verification": before});
                let turn = finish(&host, handed(asked), &invocation(&host, 0)).await.unwrap();
                if turn.next == Next::End {
                    break turn.result.unwrap();
                }
                assert_eq!((turn.next, turn.wait_seconds), (Next::Verify, 0));
                before = serde_json::to_value(&turn).unwrap()["verification"].clone();
            };
            assert!(turns > 5, "{turns} turns");
            assert_eq!(result["verification"]["verdict"], "PROVED");
            assert_eq!(result["verification"]["counts"]["events"], 2_000);
        });
    }
}
