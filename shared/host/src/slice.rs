//! One slice of a lane, of either kind.

use serde::Deserialize;
use sluice_operations::{Code, OperationError, SliceOutcome, call};
use sluice_transfer::record::Proof;
use sluice_transfer::{Answer, Call, Course, Kind, TransferId};
use tracing::{Instrument, error_span, field};

use crate::answer::SliceAnswer;
use crate::error::Refused;
use crate::function::{Host, Invocation};
use crate::lane::Lane;
use crate::metrics::Metrics;

/// What the workflow hands a slice.
#[derive(Debug, Deserialize)]
pub struct Handed {
    /// The transfer.
    id: TransferId,
    /// The lane.
    #[serde(flatten)]
    lane: Lane,
    /// Names this try, unlike any other of any execution.
    slice: String,
    /// The try before, if it failed.
    died: Option<Died>,
    /// Slices of the lane in this wave before this one.
    #[serde(default)]
    before: u64,
    /// Slices of a lane in a wave. A workflow of before this was handed on counts them itself.
    #[serde(default = "endless")]
    most: u64,
    /// Slices in a row before this one that were in trouble.
    #[serde(default)]
    troubles: u32,
}

fn endless() -> u64 {
    u64::MAX
}

/// A slice that did not answer as it should.
#[derive(Debug, Deserialize)]
struct Died {
    /// Its name.
    slice: String,
    /// The error under which Step Functions saw it end.
    error: String,
    /// What Lambda says of it. A workflow of before this was handed on says nothing.
    #[serde(default)]
    cause: String,
}

/// What became of an invocation that did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// It answered with an error of its own.
    Answered,
    /// Its time was over.
    TimedOut,
    /// Its memory was.
    OutOfMemory,
    /// Its process ended otherwise.
    Exited,
    /// It may be alive.
    Unproved,
}

impl Died {
    /// What the error tells. A function's own error, its process' exit and its time-out are its answer: it is over.
    /// What is said of the call (`States.Timeout`, `Lambda.ServiceException`, …), or by a name that is not known here,
    /// says nothing of the function, and the lease is waited for. Lambda's own word for an end that it has no name for
    /// is `Lambda.Unknown`: there the cause tells (Step Functions developer guide, "Handling errors in Step Functions
    /// workflows").
    fn death(&self) -> Death {
        let says = |words: &[&str]| words.iter().any(|word| self.cause.contains(word));
        let out_of_memory = || says(&["Runtime.OutOfMemory", "signal: killed"]);
        let of_the_runtime = || ["Runtime.", "Function."].iter().any(|kind| self.error.starts_with(kind));
        match self.error.as_str() {
            "Sandbox.Timedout" => Death::TimedOut,
            "Runtime.OutOfMemory" => Death::OutOfMemory,
            _ if Code::ALL.iter().any(|code| code.to_string() == self.error) => Death::Answered,
            _ if of_the_runtime() && out_of_memory() => Death::OutOfMemory,
            _ if of_the_runtime() => Death::Exited,
            "Lambda.Unknown" if out_of_memory() => Death::OutOfMemory,
            "Lambda.Unknown" if says(&["Task timed out after"]) => Death::TimedOut,
            "Lambda.Unknown" if says(&["Runtime exited", "Runtime.ExitError"]) => Death::Exited,
            _ => Death::Unproved,
        }
    }

    /// Tells of it, and answers what it proves.
    fn proof(self) -> Proof {
        let death = self.death();
        let what = match death {
            Death::Answered => "it failed",
            Death::TimedOut => "its time was over (a slice that cannot end in time needs a lower SliceSeconds)",
            Death::OutOfMemory => "its memory was used up (the stack's parameter SliceMemory)",
            Death::Exited => "its process ended",
            Death::Unproved => "it may be alive: its lease is waited for",
        };
        tracing::warn!(died = self.slice, error = self.error, "the slice before did not answer: {what}");
        if death == Death::Unproved { Proof::None } else { Proof::DeadSlice(self.slice) }
    }
}

pub(crate) async fn slice(
    host: &Host,
    kind: Kind,
    handed: Handed,
    invocation: &Invocation,
) -> Result<SliceAnswer, Refused> {
    let began = host.engine.clock.now();
    let mut order = host.order(&handed.id, invocation, handed.slice, true);
    order.proof = handed.died.map_or(Proof::None, Died::proof);
    // The operations record the generation once they know it. A span that is filtered out takes its fields with it.
    let (id, lane) = (&order.id, handed.lane.number);
    let span = error_span!("slice", transfer = %id, slice = order.slice, lane, generation = field::Empty);
    let answer = async {
        if handed.lane.of > 1 {
            let transfer = host.engine.checkpoints.transfer(&order.id).await?;
            // An empty lane would be all shards: one without a transfer fails with what the operation says.
            order.lane = transfer.map(|transfer| handed.lane.of(&transfer.shards)).unwrap_or_default();
        }
        call(&host.engine, kind, &Call::Slice, &order).await
    };
    let answer = answer.instrument(span.clone()).await;
    // A table that cannot be read is an answer, too.
    let answer = answer.unwrap_or_else(|error: OperationError| match error.code {
        Code::Unavailable => Answer::Trouble(error.to_failure()),
        _ => Answer::Slice(SliceOutcome::Failed(error.to_failure())),
    });
    let answer = waiting_for_the_newer(answer);
    let at = Course { troubles: handed.troubles, slices: handed.before, ..Course::from(Call::Slice) };
    let answer = SliceAnswer::new(&at, answer, handed.most);
    span.in_scope(|| tell(&answer));
    let at = host.engine.clock.now();
    let mut values = vec![("Slices", "Count", 1.0), ("SliceMillis", "Milliseconds", at.millis_since(began) as f64)];
    if let "fenced" | "busy" | "interrupted" | "failed" = answer.outcome {
        let name = match answer.outcome {
            "fenced" => "Fenced",
            "busy" => "Busy",
            "interrupted" => "Interrupted",
            _ => "FailedSlices",
        };
        values.push((name, "Count", 1.0));
    }
    Metrics { stack: &host.config.stack, of: Some(kind), transfer: Some(&handed.id), at, values }.emit();
    Ok(answer)
}

/// A record that a newer function wrote, as a stack is updated or rolled back under a transfer: that is waited out, for
/// the version that wrote it comes again.
fn waiting_for_the_newer(answer: Answer) -> Answer {
    match answer {
        Answer::Slice(SliceOutcome::Failed(failure)) if failure.code == Code::Newer.to_string() => {
            Answer::Slice(SliceOutcome::Interrupted(failure))
        }
        answer => answer,
    }
}

fn tell(answer: &SliceAnswer) {
    if let Some(failure) = &answer.failure {
        tracing::warn!(outcome = answer.outcome, code = failure.code, "{}", failure.message);
    } else {
        tracing::info!(outcome = answer.outcome, "a slice ends");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sluice_memory::MemoryPlaces;
    use sluice_ports::StreamAdmin;
    use sluice_transfer::State;

    use super::*;
    use crate::answer::{Next, SliceNext};
    use crate::rig::{begin, handed, host_of, invocation};

    #[test]
    fn a_source_that_was_made_again_fails_the_execution() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let places = MemoryPlaces::default();
            let host = host_of(&places, 100).await;
            let long = invocation(&host, 600_000);
            begin(&host, "export").await;
            places.source.delete();
            places.source.create(1).await.unwrap();
            let lane = json!({"id": "export", "lane": 0, "of": 1, "slice": "s", "died": null});
            let answer = crate::export(&host, handed(lane), &long).await.unwrap();
            let failure = answer.failure.expect("a reason");
            assert_eq!((answer.next, failure.code.as_str()), (SliceNext::Done, "SourceChanged"));
            let wave = json!({"id": "export", "lanes": [{ "failure": failure }]});
            let turn = crate::settle(&host, handed(wave), &long).await.unwrap();
            assert_eq!((turn.next, turn.state, turn.fails), (Next::End, State::Failed, true));
            assert_eq!(turn.result.unwrap()["error"]["code"], "SourceChanged");
        });
    }

    #[test]
    fn only_a_functions_own_end_is_proof() {
        let death =
            |error: &str, cause: &str| Died { slice: "a".into(), error: error.into(), cause: cause.into() }.death();
        for (error, proved) in [
            ("Runtime.ExitError", Death::Exited),
            ("Runtime.OutOfMemory", Death::OutOfMemory),
            ("Sandbox.Timedout", Death::TimedOut),
            ("Unavailable", Death::Answered),
            ("Function.Panic", Death::Exited),
        ] {
            assert_eq!(death(error, ""), proved, "{error}");
        }
        for error in ["States.Timeout", "Lambda.ServiceException", "Lambda.Unknown", "States.TaskFailed", "Other"] {
            assert_eq!(death(error, ""), Death::Unproved, "{error}");
        }
        let unknown = |payload: &str| {
            death("Lambda.Unknown", &format!("The cause could not be determined. Returned payload: {payload}"))
        };
        let timed_out = r#"{"errorMessage":"2026-11-29T08:00:00Z 1-2 Task timed out after 900.00 seconds"}"#;
        assert_eq!(unknown(timed_out), Death::TimedOut);
        let killed = r#"{"errorMessage":"Error: Runtime exited with error: signal: killed"}"#;
        assert_eq!(unknown(killed), Death::OutOfMemory);
        assert_eq!(unknown(r#"{"errorType":"Runtime.ExitError"}"#), Death::Exited);
        assert_eq!(death("States.Timeout", killed), Death::Unproved, "what is said of the task is not of the function");
        let lost = Died { slice: "a".into(), error: "States.Timeout".into(), cause: String::new() }.proof();
        assert_eq!(lost, Proof::None);
        let dead = Died { slice: "a".into(), error: "Sandbox.Timedout".into(), cause: String::new() }.proof();
        assert_eq!(dead, Proof::DeadSlice("a".to_owned()));
    }
}
