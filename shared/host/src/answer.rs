//! What functions answer, for the workflow to route on and for a person at the console to see.

use serde::Serialize;
use serde_json::Value;
use sluice_operations::{Progress, Report, SliceOutcome};
use sluice_transfer::record::Failure;
use sluice_transfer::{Kind, State, TransferId};

use crate::lane::Lane;

/// Where the workflow goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Next {
    /// A wave of slices.
    Move,
    /// Settle, also where others move.
    Settle,
    /// Check what arrived.
    Finish,
    /// Read everything again.
    Verify,
    /// The execution ends with the result.
    End,
}

/// The answer of `plan`, `settle` and `finish`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// Where to.
    pub next: Next,
    /// The transfer.
    pub id: TransferId,
    /// Which way.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// Share that is done, 0 to 1; null where not known.
    pub progress: Option<f64>,
    /// Seconds to go; null where not known.
    pub eta_seconds: Option<u64>,
    /// Events that arrived.
    pub events: u64,
    /// Bytes of payload that arrived.
    pub bytes: u64,
    /// Lanes of the next wave.
    pub lanes: Vec<Lane>,
    /// Seconds to wait before going there; 0 for none.
    pub wait_seconds: u64,
    /// Times in a row that a store was in trouble.
    pub troubles: u32,
    /// Whether the state has changed, which the bus is to be told.
    pub emit: bool,
    /// Whether the execution is to fail with the transfer's error.
    pub fails: bool,
    /// How far a verification is; null where there is none.
    pub verification: Option<Progress>,
    /// What the execution ends with, and the bus is told: the transfer's shape, or a verification.
    pub result: Option<Value>,
}

impl Turn {
    /// To `next`, of a transfer as it stands.
    pub(crate) fn new(next: Next, report: &Report, shards: usize) -> Self {
        Self {
            next,
            id: report.id.clone(),
            kind: report.kind,
            state: report.state,
            progress: report.progress,
            eta_seconds: report.eta_seconds,
            events: report.events,
            bytes: report.bytes,
            lanes: if next == Next::Move { Lane::all(shards, report.slices) } else { Vec::new() },
            wait_seconds: 0,
            troubles: 0,
            emit: false,
            fails: false,
            verification: None,
            result: None,
        }
    }

    /// With the whole report as its result.
    pub(crate) fn telling(mut self, report: &Report) -> Self {
        self.result = serde_json::to_value(report).ok();
        self
    }
}

/// Whole seconds, at least 1, as a Wait state takes them, and at most so many: an owner that sees what is wanted gives
/// its shards back long before its lease ends.
pub(crate) fn seconds(millis: u64, most: u64) -> u64 {
    millis.div_ceil(1_000).clamp(1, most)
}

/// Where a lane goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SliceNext {
    /// The next slice.
    Again,
    /// The next slice, after a wait.
    Wait,
    /// As `Wait`, a bounded number of times in a row.
    Trouble,
    /// The lane is through, at rest, or somebody else's.
    Done,
}

/// The answer of `export` and `import`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SliceAnswer {
    /// Where to.
    pub next: SliceNext,
    /// What it came to, for a person.
    pub outcome: &'static str,
    /// Seconds to wait before going there; at least 1 where there is a wait.
    pub wait_seconds: u64,
    /// What is wrong; null where nothing is.
    pub failure: Option<Failure>,
}

/// The longest wait of a lane for somebody else's slice.
const BUSY_SECONDS: u64 = 30;
/// The longest wait for owners that are to come to rest.
pub(crate) const REST_SECONDS: u64 = 10;
/// Seconds before a slice that a store in trouble interrupted is tried again.
const TROUBLE_SECONDS: u64 = 5;

impl From<SliceOutcome> for SliceAnswer {
    fn from(outcome: SliceOutcome) -> Self {
        let (next, outcome, wait_seconds, failure) = match outcome {
            SliceOutcome::Done => (SliceNext::Done, "done", 0, None),
            SliceOutcome::More => (SliceNext::Again, "more", 0, None),
            SliceOutcome::Busy { wait_millis } => (SliceNext::Wait, "busy", seconds(wait_millis, BUSY_SECONDS), None),
            SliceOutcome::Stopped => (SliceNext::Done, "stopped", 0, None),
            SliceOutcome::Fenced => (SliceNext::Done, "fenced", 0, None),
            SliceOutcome::Interrupted(failure) => (SliceNext::Trouble, "interrupted", TROUBLE_SECONDS, Some(failure)),
            SliceOutcome::Failed(failure) => (SliceNext::Done, "failed", 0, Some(failure)),
        };
        Self { next, outcome, wait_seconds, failure }
    }
}
