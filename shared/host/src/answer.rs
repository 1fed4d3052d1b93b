//! What functions answer, for the workflow to route on and for a person at the console to see.

use serde::Serialize;
use serde_json::Value;
use sluice_operations::{Progress, Report, SliceOutcome};
use sluice_transfer::record::Failure;
use sluice_transfer::{Answer, Call, Course, Kind, Pacing, State, TransferId};

use crate::lane::Lane;

/// Where the workflow goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Next {
    /// Plan: not all sources are found yet.
    Plan,
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

impl Next {
    /// Where a call is made.
    pub(crate) fn of(call: &Call) -> Self {
        match call {
            Call::Plan => Self::Plan,
            Call::Slice => Self::Move,
            Call::Settle(_) => Self::Settle,
            Call::Finish => Self::Finish,
            Call::End | Call::GiveUp(_) => Self::End,
        }
    }
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
    /// Whether the execution is to plan again: it has ended a run of a series that another one began, and its own is
    /// still to come.
    pub again: bool,
    /// How far a verification is; null where there is none.
    pub verification: Option<Progress>,
    /// What the execution ends with, and the bus is told: the transfer's shape, or a verification.
    pub result: Option<Value>,
}

impl Turn {
    /// To `next`, of a transfer as it stands; without lanes.
    pub(crate) fn new(next: Next, report: &Report) -> Self {
        Self {
            next,
            id: report.id.clone(),
            kind: report.kind,
            state: report.state,
            progress: report.progress,
            eta_seconds: report.eta_seconds,
            events: report.events,
            bytes: report.bytes,
            lanes: Vec::new(),
            wait_seconds: 0,
            troubles: 0,
            emit: false,
            fails: false,
            again: false,
            verification: None,
            result: None,
        }
    }

    /// Where a course leads.
    pub(crate) fn along(course: &Course, report: &Report) -> Self {
        let turn = Self::new(Next::of(&course.call), report);
        Self { wait_seconds: seconds(course.wait_millis), troubles: course.troubles, ..turn }
    }

    /// With the lanes for this number of shards, if there is a wave; at most `most` lanes.
    pub(crate) fn with_lanes(mut self, report: &Report, shards: usize, most: usize) -> Self {
        if self.next == Next::Move {
            self.lanes = Lane::all(shards, before(report), most);
        }
        self
    }

    /// With the whole report as its result.
    pub(crate) fn telling(mut self, report: &Report) -> Self {
        self.result = serde_json::to_value(report).ok();
        self
    }
}

/// Slices of each shard before, or as many as there would have been: in a silence of an import in rhythm a lane waits
/// without one, and its waves are to be as few.
fn before(report: &Report) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds are enough")]
    let seconds = report.duration_seconds as u64;
    if report.replay.is_some() { report.slices.max(seconds / SLICE_SECONDS) } else { report.slices }
}

/// What a slice lasts unless the stack says otherwise.
const SLICE_SECONDS: u64 = 300;

/// The longest wait for an event that is not due, in milliseconds. Nobody wakes a lane that waits: one whose import was
/// paused meanwhile, and resumed elsewhere, ends within so long.
const IDLE_MILLIS: u64 = 900_000;

/// Answers in a row that may be trouble: with waits that grow from 5 seconds to 5 minutes a bad day of six hours. While
/// a lane waits no function runs and no shard is held.
pub(crate) const TROUBLES: u32 = 80;

/// The bounds of this host. The slices of a wave are handed on with each lane.
pub(crate) const PACING: Pacing = Pacing {
    slices: u64::MAX,
    busy_millis: 30_000,
    idle_millis: IDLE_MILLIS,
    rest_millis: 10_000,
    trouble_millis: 5_000,
    longest_millis: 300_000,
    troubles: TROUBLES,
};

/// Whole seconds, as a Wait state takes them: none only where there is no wait.
pub(crate) fn seconds(millis: u64) -> u64 {
    millis.div_ceil(1_000)
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

impl SliceAnswer {
    /// What comes after a slice of a lane that has at most so many in a wave.
    pub(crate) fn new(at: &Course, answer: Answer, most: u64) -> Self {
        let (outcome, failure) = match &answer {
            Answer::Slice(outcome) => named(outcome),
            Answer::Trouble(failure) => ("interrupted", Some(failure.clone())),
            // Of no slice.
            Answer::Plan(_) | Answer::Settle(_) | Answer::Finish(_) => ("done", None),
        };
        let course = at.after(answer, &Pacing { slices: most, ..PACING });
        let next = match course.call {
            Call::Slice if course.troubles > 0 => SliceNext::Trouble,
            Call::Slice if course.wait_millis > 0 => SliceNext::Wait,
            Call::Slice => SliceNext::Again,
            Call::Plan | Call::Settle(_) | Call::Finish | Call::End | Call::GiveUp(_) => SliceNext::Done,
        };
        // A lane that is through is settled at once.
        let wait_seconds = if next == SliceNext::Done { 0 } else { seconds(course.wait_millis) };
        Self { next, outcome, wait_seconds, failure }
    }
}

/// An outcome for a person, and what is wrong.
fn named(outcome: &SliceOutcome) -> (&'static str, Option<Failure>) {
    match outcome {
        SliceOutcome::Done => ("done", None),
        SliceOutcome::More => ("more", None),
        SliceOutcome::Busy { .. } => ("busy", None),
        SliceOutcome::Waiting { .. } => ("waiting", None),
        SliceOutcome::Stopped => ("stopped", None),
        SliceOutcome::Fenced => ("fenced", None),
        SliceOutcome::Interrupted(failure) => ("interrupted", Some(failure.clone())),
        SliceOutcome::Failed(failure) => ("failed", Some(failure.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_follows_the_course() {
        let failure = Failure { code: "Unavailable".to_owned(), message: "it".to_owned() };
        let answer = |slices, troubles, outcome| {
            let at = Course { slices, troubles, ..Course::from(Call::Slice) };
            let answer = SliceAnswer::new(&at, Answer::Slice(outcome), 3);
            (answer.next, answer.outcome, answer.wait_seconds, answer.failure.is_some())
        };
        let busy = || SliceOutcome::Busy { wait_millis: 1_001 };
        let waiting = |wait_millis| SliceOutcome::Waiting { wait_millis };
        assert_eq!(answer(0, 0, waiting(61_000)), (SliceNext::Wait, "waiting", 61, false));
        assert_eq!(answer(0, 0, waiting(36_000_000)), (SliceNext::Wait, "waiting", 900, false));
        let interrupted = || SliceOutcome::Interrupted(failure.clone());
        assert_eq!(answer(0, 0, SliceOutcome::More), (SliceNext::Again, "more", 0, false));
        assert_eq!(answer(2, 0, SliceOutcome::More), (SliceNext::Done, "more", 0, false));
        assert_eq!(answer(0, 0, busy()), (SliceNext::Wait, "busy", 2, false));
        assert_eq!(answer(2, 0, busy()), (SliceNext::Done, "busy", 0, false));
        assert_eq!(answer(0, 0, SliceOutcome::Done), (SliceNext::Done, "done", 0, false));
        assert_eq!(answer(0, 0, interrupted()), (SliceNext::Trouble, "interrupted", 5, true));
        assert_eq!(answer(9, 3, interrupted()), (SliceNext::Trouble, "interrupted", 40, true));
        assert_eq!(answer(9, 30, interrupted()), (SliceNext::Trouble, "interrupted", 300, true));
        assert_eq!(answer(9, TROUBLES - 1, interrupted()), (SliceNext::Done, "interrupted", 0, true));
        assert_eq!(answer(0, 0, SliceOutcome::Failed(failure.clone())), (SliceNext::Done, "failed", 0, true));
    }
}
