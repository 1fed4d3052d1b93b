//! Proof after the fact: reads everything again and changes nothing.
//!
//! An export is proved by its manifest and its objects: the segments are the ones that the root names, the objects
//! tile every shard's range, each has the size and the checksum that were sealed, and holds the events it says. An
//! import is proved by its target: read from where it began to where it ended, it has the digest of what was sent.
//!
//! It is sliced like a transfer, but leaves nothing behind that a later slice could find: all that one slice knows
//! goes to the next in a [`Progress`], whose size does not grow with the transfer.

mod export;
mod import;
mod object;

use serde::{Deserialize, Serialize};
use sluice_transfer::record::{Config, ReadBack, TransferRecord};
use sluice_transfer::{Counts, State, Timestamp, TransferId};

use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::listing::Place;
use object::Reached;

/// Most lines of findings.
const FINDINGS: usize = 100;
/// Most characters of one line.
const FINDING_CHARS: usize = 500;
/// Most bytes of all lines together: what a workflow hands on is bounded (256 KiB; Step Functions developer guide,
/// "Service quotas").
const FINDINGS_BYTES: usize = 40_000;

/// What verifying came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// All that the transfer says it moved is there.
    Proved,
    /// All that it says it moved is there, and it says that something was lost before it came.
    Gaps,
    /// Something could not be read, so nothing is said about it.
    Unproved,
    /// Something is not as the transfer says.
    Mismatch,
}

/// The answer of a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The transfer.
    pub id: TransferId,
    /// What it came to.
    pub verdict: Verdict,
    /// Events and bytes that were seen.
    pub counts: Counts,
    /// Objects, or shards of a target, that were read.
    pub read: u64,
    /// What is wrong, what could not be read, and which gaps there are; at most 100 lines of 500 characters. The
    /// first is one that the verdict rests on.
    pub findings: Vec<String>,
}

impl Verification {
    fn new(id: &TransferId) -> Self {
        Self { id: id.clone(), verdict: Verdict::Proved, counts: Counts::default(), read: 0, findings: Vec::new() }
    }

    fn find(&mut self, verdict: Verdict, what: &str) {
        let line = what.chars().take(FINDING_CHARS).collect();
        if verdict > self.verdict {
            self.verdict = verdict;
            self.findings.insert(0, line);
        } else {
            self.findings.push(line);
        }
        let mut bytes = 0;
        let fits = |line: &&String| {
            bytes += line.len();
            bytes <= FINDINGS_BYTES
        };
        let lines = self.findings.iter().take(FINDINGS).take_while(fits).count();
        self.findings.truncate(lines);
    }

    /// An error is a finding: what it is about is wrong, or could not be read.
    fn find_error(&mut self, error: &OperationError) {
        let verdict = match error.code {
            Code::Denied | Code::Unavailable | Code::NoRoom => Verdict::Unproved,
            _ => Verdict::Mismatch,
        };
        self.find(verdict, &error.message);
    }
}

/// How far a verification is: what a slice answers and the next one is given. At most some 50 KB as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What was found so far.
    pub verification: Verification,
    /// Whether that is all.
    pub done: bool,
    /// Where the next slice goes on.
    pub at: VerifyCursor,
}

/// Where a verification goes on; the beginning by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VerifyCursor {
    /// The shard at hand, by its place in the manifest or in the transfer.
    shard: usize,
    /// Export: the place in the shard's list of objects, if the shard was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    /// Export: how far the object there was read, if it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<Reached>,
    /// Import: how far the shard was read, if it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    back: Option<ReadBack>,
}

/// Verifies a transfer that is complete, or was cancelled. `seen` is told each time more bytes were read.
pub async fn verify(
    engine: &Engine,
    id: &TransferId,
    seen: &mut dyn FnMut(u64),
) -> Result<Verification, OperationError> {
    Ok(run(engine, id, None, None, seen).await?.verification)
}

/// Verifies from where the slice before left off, until `deadline`. Every slice comes further, be its deadline as
/// near as it may. A store in trouble while the records are read is an error; the slice can be run again.
pub async fn verify_slice(
    engine: &Engine,
    id: &TransferId,
    before: Option<Progress>,
    deadline: Timestamp,
    seen: &mut dyn FnMut(u64),
) -> Result<Progress, OperationError> {
    run(engine, id, before, Some(deadline), seen).await
}

async fn run(
    engine: &Engine,
    id: &TransferId,
    before: Option<Progress>,
    deadline: Option<Timestamp>,
    seen: &mut dyn FnMut(u64),
) -> Result<Progress, OperationError> {
    let transfer = engine.transfer(id).await?;
    tracing::Span::current().record("generation", transfer.generation);
    let ended = matches!(
        transfer.state,
        State::Completed | State::CompletedWithGaps | State::CompletedWithFailures | State::Cancelled
    );
    if !ended {
        return Err(OperationError::new(
            Code::IllegalState,
            format!("the transfer {id} is {}: there is nothing to prove before it is complete", transfer.state),
        ));
    }
    let progress = match before {
        Some(before) if before.verification.id != *id => {
            let what = format!("that verification is of the transfer {}, not of {id}", before.verification.id);
            return Err(OperationError::new(Code::Invalid, what));
        }
        Some(before) if before.done => return Ok(before),
        before => before,
    };
    let (found, at, fresh) = match progress {
        Some(before) => (before.verification, before.at, false),
        None => (Verification::new(id), VerifyCursor::default(), true),
    };
    let mut run = Run { engine, transfer: &transfer, deadline, seen, fresh, came_further: false, found, at };
    let end = match &transfer.config {
        Config::Export(config) => export::verify(&mut run, config).await?,
        Config::Import(config) => import::verify(&mut run, config).await?,
    };
    let (verification, at) = (run.found, run.at);
    Ok(Progress { verification, done: end == End::All, at })
}

/// One slice of a verification.
struct Run<'a> {
    engine: &'a Engine,
    transfer: &'a TransferRecord,
    /// None to go on to the end.
    deadline: Option<Timestamp>,
    seen: &'a mut dyn FnMut(u64),
    /// Whether this is the first slice.
    fresh: bool,
    /// Whether the cursor has moved: only then a slice ends.
    came_further: bool,
    found: Verification,
    at: VerifyCursor,
}

impl Run<'_> {
    /// Whether the next slice is to go on.
    fn is_over(&self) -> bool {
        let soon = self.engine.clock.now().plus_millis(self.engine.settings.wind_down_millis);
        self.came_further && self.deadline.is_some_and(|deadline| soon >= deadline)
    }

    /// The shard at hand is done with.
    fn next_shard(&mut self) {
        self.at = VerifyCursor { shard: self.at.shard + 1, ..VerifyCursor::default() };
        self.came_further = true;
    }
}

/// Why a slice of a verification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Everything was looked at.
    All,
    /// Its time is up.
    Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_bounded_and_begin_with_the_worst() {
        let mut found = Verification::new(&"t".parse().unwrap());
        for n in 0..300 {
            found.find(Verdict::Gaps, &format!("gap {n}"));
        }
        assert_eq!((found.findings.len(), found.findings[99].as_str()), (100, "gap 99"));
        found.find(Verdict::Mismatch, "wrong");
        found.find(Verdict::Unproved, "unreadable");
        assert_eq!(
            (found.verdict, found.findings[0].as_str(), found.findings.len()),
            (Verdict::Mismatch, "wrong", 100)
        );
        for _ in 0..300 {
            found.find(Verdict::Mismatch, &"ü".repeat(1_000));
        }
        let mut many = Verification::new(&"t".parse().unwrap());
        for _ in 0..300 {
            many.find(Verdict::Mismatch, &"ü".repeat(1_000));
        }
        assert_eq!(many.findings[0].chars().count(), 500);
        for found in [found, many] {
            assert!(serde_json::to_string(&found).unwrap().len() < 45_000);
        }
    }
}
