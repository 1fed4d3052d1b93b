//! The loop that on AWS is a workflow: slices, settle, finish, until the transfer is at rest or at its end.
//!
//! **Invariant.** Only who holds the transfer's run lock is in here, so a slice of another process is never alive.

use std::sync::atomic::{AtomicU64, Ordering};

use sluice_operations::{
    Code, Engine, Finish, OperationError, Settings, Settled, SliceOrder, SliceOutcome, export_slice, finish,
    import_slice, settle,
};
use sluice_transfer::record::{Failure as Reason, Proof};
use sluice_transfer::{Budget, Kind, TransferId};

use crate::args::SliceArgs;
use crate::clock::{now, sleep};
use crate::failure::Failure;
use crate::home::RunLock;

/// Slices in a row that a store in trouble may interrupt before the transfer fails.
const INTERRUPTIONS: u32 = 10;
/// The wait after the first interruption, and the longest, in milliseconds.
const FIRST_WAIT: u64 = 100;
const LONGEST_WAIT: u64 = 10_000;

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

impl SliceBounds {
    /// How an engine runs with slices of that length: it looks often for a pause, since a person waits for it.
    pub(crate) fn settings(self) -> Settings {
        let wind_down_millis = (self.seconds * 1_000 / 4).min(2_000);
        // A slice of this host may go on for as long as a compressed stream takes.
        Settings { poll_millis: 500, wind_down_millis, longest_stream: u64::MAX, ..Settings::default() }
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

    /// Tells of each wait for a store in trouble, and none once it is over.
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

    /// Runs the transfer until it is at rest or at its end.
    pub(crate) async fn run(&self) -> Result<(), Failure> {
        let mut trouble = self.trouble();
        loop {
            let failure = match self.slice().await {
                SliceOutcome::Busy { wait_millis } => {
                    sleep(wait_millis.min(LONGEST_WAIT)).await;
                    continue;
                }
                SliceOutcome::Interrupted(reason) => match trouble.again(reason).await {
                    None => continue,
                    given_up => given_up,
                },
                SliceOutcome::Failed(reason) => Some(reason),
                SliceOutcome::Done | SliceOutcome::More | SliceOutcome::Stopped | SliceOutcome::Fenced => {
                    trouble.is_over();
                    None
                }
            };
            match self.settle(failure).await? {
                Settled::Again | Settled::Busy { .. } => {}
                Settled::Ended => return Ok(()),
                Settled::Finish => return self.finish().await,
            }
        }
    }

    /// One slice. An error of the operation itself is an outcome too, so that the transfer's record gets to know it.
    pub(crate) async fn slice(&self) -> SliceOutcome {
        let order = self.order();
        let outcome = match self.kind {
            Kind::Export => export_slice(self.engine, &order).await,
            Kind::Import => import_slice(self.engine, &order).await,
        };
        outcome.unwrap_or_else(|error| match error.code {
            Code::Unavailable => SliceOutcome::Interrupted(error.to_failure()),
            _ => SliceOutcome::Failed(error.to_failure()),
        })
    }

    /// Settles; while a claim is in the way or a store is in trouble, again.
    pub(crate) async fn settle(&self, failure: Option<Reason>) -> Result<Settled, Failure> {
        let mut trouble = self.trouble();
        loop {
            match settle(self.engine, &self.order(), failure.clone()).await {
                Ok(Settled::Busy { wait_millis }) => sleep(wait_millis.min(LONGEST_WAIT)).await,
                Ok(settled) => return Ok(settled),
                Err(error) => trouble.again_or(error).await?,
            }
        }
    }

    fn trouble(&self) -> Trouble<'a> {
        Trouble { times: 0, tell: self.trouble }
    }

    async fn finish(&self) -> Result<(), Failure> {
        let mut trouble = self.trouble();
        loop {
            let reason = match finish(self.engine, &self.order()).await {
                Ok(Finish::Ended) => return Ok(()),
                Ok(Finish::Again) => {
                    trouble.is_over();
                    continue;
                }
                Ok(Finish::Busy { wait_millis }) => {
                    sleep(wait_millis.min(LONGEST_WAIT)).await;
                    continue;
                }
                Ok(Finish::Interrupted(reason)) => reason,
                Err(error) => {
                    trouble.again_or(error).await?;
                    continue;
                }
            };
            if let Some(reason) = trouble.again(reason).await {
                self.settle(Some(reason)).await?;
                return Ok(());
            }
        }
    }
}

/// Interruptions in a row.
struct Trouble<'a> {
    times: u32,
    tell: &'a dyn Fn(Option<&str>),
}

impl Trouble<'_> {
    fn is_over(&mut self) {
        if self.times > 0 {
            self.times = 0;
            (self.tell)(None);
        }
    }

    /// Waits longer each time. After too many times answers the reason to give up.
    async fn again(&mut self, reason: Reason) -> Option<Reason> {
        self.times += 1;
        if self.times >= INTERRUPTIONS {
            return Some(reason);
        }
        let wait = (FIRST_WAIT << self.times.min(10)).min(LONGEST_WAIT);
        let seconds = wait.div_ceil(1_000);
        let left = INTERRUPTIONS - self.times;
        (self.tell)(Some(&format!("{} (trying again in {seconds} s, at most {left} times more)", reason.message)));
        sleep(wait).await;
        None
    }

    /// As `again`, for an error that need not be trouble.
    async fn again_or(&mut self, error: OperationError) -> Result<(), Failure> {
        if error.code != Code::Unavailable || self.again(error.to_failure()).await.is_some() {
            return Err(error.into());
        }
        Ok(())
    }
}
