//! The loop that on AWS is a workflow: it follows the course of a transfer until that is at rest or at its end.
//!
//! **Invariant.** Only who holds the transfer's run lock is in here, so a slice of another process is never alive.

use std::sync::atomic::{AtomicU64, Ordering};

use sluice_operations::{Code, Engine, Settings, SliceOrder, call};
use sluice_transfer::record::Proof;
use sluice_transfer::{Answer, Budget, Call, Course, Kind, Pacing, SliceOutcome, TransferId};

use crate::args::SliceArgs;
use crate::clock::{now, sleep};
use crate::failure::Failure;
use crate::home::RunLock;

/// What an export waits for that may take nothing of its stream's limits.
const SHARE: &str = "a part of the stream's reading limits, which other exports have";

/// What a slice of this host may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SliceBounds {
    pub events: Option<u64>,
    pub bytes: Option<u64>,
    pub seconds: u64,
}

impl Default for SliceBounds {
    fn default() -> Self {
        Self { events: None, bytes: None, seconds: 300 }
    }
}

impl From<SliceArgs> for SliceBounds {
    fn from(args: SliceArgs) -> Self {
        Self { events: args.slice_events, bytes: args.slice_bytes, seconds: args.slice_seconds }
    }
}

/// Bytes of events and parts that are held at once: eight shards of Kinesis are read or written at the same time.
const MEMORY_BYTES: u64 = 144 << 20;

impl SliceBounds {
    /// How an engine runs with slices of that length: it looks often for a pause, since a person waits for it.
    pub(crate) fn settings(self) -> Settings {
        let wind_down_millis = (self.seconds * 1_000 / 4).min(2_000);
        // A slice of this host may go on for as long as a compressed stream takes.
        let longest_stream = u64::MAX;
        Settings {
            poll_millis: 500,
            wind_down_millis,
            longest_stream,
            memory_bytes: MEMORY_BYTES,
            // A process that waits costs nothing, so events of an import in rhythm may be a minute apart within a slice.
            lull_millis: 60_000,
            ..Settings::default()
        }
    }
}

/// Runs one transfer's slices.
pub(crate) struct Driver<'a> {
    engine: &'a Engine,
    id: &'a TransferId,
    kind: Kind,
    bounds: SliceBounds,
    /// Proof that no other owner is alive.
    _lock: &'a RunLock,
    trouble: &'a dyn Fn(Option<&str>),
}

impl<'a> Driver<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        id: &'a TransferId,
        kind: Kind,
        bounds: SliceBounds,
        lock: &'a RunLock,
    ) -> Self {
        Self { engine, id, kind, bounds, _lock: lock, trouble: &|_| {} }
    }

    /// Reports each wait for a store in trouble, and none once it is over.
    pub(crate) fn telling(self, trouble: &'a dyn Fn(Option<&str>)) -> Self {
        Self { trouble, ..self }
    }

    /// The next slice's order.
    fn order(&self) -> SliceOrder {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let now = now();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        SliceOrder {
            id: self.id.clone(),
            lane: Vec::new(),
            slice: format!("{}-{number}-{}", std::process::id(), now.micros()),
            budget: Budget {
                events: self.bounds.events,
                bytes: self.bounds.bytes,
                deadline: now.plus_millis(self.bounds.seconds * 1_000),
            },
            proof: Proof::SoleOwner,
        }
    }

    /// Runs the transfer, which begins with that call, until it is at rest or at its end.
    pub(crate) async fn run(&self, first: Call) -> Result<(), Failure> {
        self.follow(first, |_| true).await?;
        Ok(())
    }

    /// Goes on with a plan until it is through, or to rest. Answers what comes next.
    pub(crate) async fn plan(&self) -> Result<Call, Failure> {
        self.follow(Call::Plan, |next| *next == Call::Plan).await
    }

    /// Settles; while owners may be alive or a store is in trouble, again. Answers what comes next.
    pub(crate) async fn settle(&self) -> Result<Call, Failure> {
        self.follow(Call::Settle(None), |next| matches!(next, Call::Settle(_))).await
    }

    /// One slice. What it fails with is an answer, too.
    pub(crate) async fn slice(&self) -> Result<Answer, Failure> {
        Ok(call(self.engine, self.kind, &Call::Slice, &self.order()).await?)
    }

    /// Follows the course from a call on, as long as the next one is wanted. Answers the one that is not made any more.
    async fn follow(&self, first: Call, wanted: impl Fn(&Call) -> bool) -> Result<Call, Failure> {
        let (mut course, pacing) = (Course::from(first), Pacing::default());
        let mut behind_others = false;
        loop {
            match course.call {
                Call::GiveUp(reason) => {
                    return Err(Failure::new(Code::named(&reason.code).unwrap_or(Code::Unavailable), &reason.message));
                }
                next if next == Call::End || !wanted(&next) => return Ok(next),
                next => course.call = next,
            }
            if course.wait_millis > 0 {
                sleep(course.wait_millis).await;
            }
            let answer = call(self.engine, self.kind, &course.call, &self.order()).await?;
            let (reason, before) = (answer.trouble().map(|reason| reason.message.clone()), course.troubles);
            let waits = match &answer {
                Answer::Slice(outcome) => matches!(outcome, SliceOutcome::Busy { .. }),
                Answer::Plan(_) | Answer::Settle(_) | Answer::Finish(_) | Answer::Trouble(_) => behind_others,
            };
            course = course.after(answer, &pacing);
            match reason {
                Some(reason) if course.troubles > 0 => (self.trouble)(Some(&waiting(&reason, &course, &pacing))),
                // No other owner is alive, so it is the share of an export that is waited for.
                None if waits && !behind_others => (self.trouble)(Some(SHARE)),
                None if !waits && (before > 0 || behind_others) => (self.trouble)(None),
                _ => {}
            }
            behind_others = waits;
        }
    }
}

/// What a person is told of a wait for a store in trouble.
fn waiting(reason: &str, course: &Course, pacing: &Pacing) -> String {
    let (seconds, left) = (course.wait_millis.div_ceil(1_000), pacing.troubles.saturating_sub(course.troubles));
    format!("{reason} (trying again in {seconds} s, at most {left} times more)")
}
