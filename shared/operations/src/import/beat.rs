//! The rhythm of an import in a slice: whether an event is due, and who waits for it.
//!
//! A shard waits in its slice while that is short, or while another shard of the slice works. Once all wait for long
//! they are given back, and the host waits without cost.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sluice_transfer::record::{ShardRecord, TransferRecord};
use sluice_transfer::{Anchor, Lull, Schedule, ShardId, State, Timestamp, Wanted};

use crate::engine::{Engine, Settings};
use crate::error::{OperationError, Stop};
use crate::slice::Slice;

/// Bytes that a shard may hold, however many share a slice's memory.
const LEAST_BYTES: u64 = 512 << 10;

/// The rhythm, for all shards of a slice.
pub(super) struct Beat {
    schedule: Schedule,
    lull: Mutex<Lull>,
    /// A shard that was given back is taken so long before its event is due, in milliseconds: its sources are read then.
    lead_millis: u64,
}

/// See [`Beat::lead_millis`]: time to call a slice, to take the shard and to read its sources.
const LEAD_MILLIS: u64 = 2_000;

/// What a shard does before its next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The event is due.
    Due,
    /// It is not, and some time has passed.
    Waited,
    /// It is not for long: the shard is given back, and taken again at this instant.
    Leave(Timestamp),
}

/// The transfer with the instant at which writing began on record: now, unless a slice began before. None if the
/// transfer is to rest by now.
pub(super) async fn anchored(
    engine: &Engine,
    transfer: TransferRecord,
) -> Result<Option<TransferRecord>, OperationError> {
    if transfer.rhythm().is_none() || transfer.anchor.is_some() {
        return Ok(Some(transfer));
    }
    let anchored = engine.change(&transfer.id, |record| {
        if record.state == State::Transferring && record.wanted == Wanted::Running && record.anchor.is_none() {
            record.anchor = Some(Anchor::new(engine.clock.now()));
        }
        Ok(())
    });
    let anchored = anchored.await?;
    Ok(anchored.anchor.is_some().then_some(anchored))
}

/// The settings of a slice in which this many shards are at work side by side: else those that had no turn would be
/// late. They share the memory.
pub(super) fn shared(settings: Settings, shards: usize) -> Settings {
    // What is sent, what is read ahead, a chunk and a part, as `import_slice` reckons with them.
    let each = (settings.memory_bytes / shards.max(1) as u64).max(LEAST_BYTES) / 4;
    let bytes = usize::try_from(each).unwrap_or(usize::MAX);
    Settings {
        read_bytes: settings.read_bytes.min(bytes),
        append_bytes: settings.append_bytes.min(bytes),
        part_bytes: settings.part_bytes.min(each),
        ..settings
    }
}

impl Beat {
    /// Of a transfer that has a rhythm and has begun to write, for these shards.
    pub(super) fn of(transfer: &TransferRecord, shards: &[ShardRecord], settings: &Settings) -> Option<Self> {
        let schedule = transfer.schedule()?;
        let of = |record: &ShardRecord| (record.shard.clone(), record.waits_for().map(|time| schedule.due(time)));
        let lull = Mutex::new(Lull::new(shards.iter().map(of)));
        Some(Self { schedule, lull, lead_millis: LEAD_MILLIS.min(settings.lull_millis / 2) })
    }

    fn lull(&self) -> MutexGuard<'_, Lull> {
        // A panic elsewhere leaves nothing half-done in here.
        self.lull.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if an event of that source time is due.
    pub(super) fn is_due(&self, time: Timestamp, now: Timestamp) -> bool {
        self.wait_millis(time, now) == 0
    }

    /// Milliseconds until an event of that source time is due.
    pub(super) fn wait_millis(&self, time: Timestamp, now: Timestamp) -> u64 {
        self.schedule.wait_millis(time, now)
    }

    /// Milliseconds that have passed since then.
    pub(super) fn late_millis(&self, time: Timestamp, now: Timestamp) -> u64 {
        self.schedule.late_millis(time, now)
    }

    /// Waits until the shard's next event is due, in short steps, so that a pause and the slice's end are seen in time.
    pub(super) async fn step(&self, slice: &Slice<'_>, shard: &ShardId, time: Timestamp) -> Step {
        let (clock, settings) = (&slice.engine.clock, &slice.engine.settings);
        let now = clock.now();
        let wait = self.wait_millis(time, now);
        if wait == 0 {
            self.lull().works(shard);
            return Step::Due;
        }
        let leaves = {
            let mut lull = self.lull();
            lull.waits(shard, now.plus_millis(wait));
            lull.is_long(now, settings.lull_millis)
        };
        if leaves {
            return Step::Leave(now.plus_millis(wait.saturating_sub(self.lead_millis)));
        }
        clock.sleep(wait.min(settings.poll_millis.clamp(1, 1_000)).min(slice.millis_left().max(1))).await;
        Step::Waited
    }

    /// Waits for a shard that was given back to wait, without taking it. None once its event is about to be due.
    pub(super) async fn until_due(
        &self,
        slice: &Slice<'_>,
        shard: &ShardId,
        time: Timestamp,
    ) -> Result<Option<Waits>, Stop> {
        loop {
            if slice.wanted().await? != Wanted::Running {
                return Ok(Some(Waits::Rests));
            }
            if !slice.has_time() {
                return Ok(Some(Waits::NoTime));
            }
            if self.wait_millis(time, slice.engine.clock.now()) <= self.lead_millis {
                self.lull().works(shard);
                return Ok(None);
            }
            match self.step(slice, shard, time).await {
                Step::Due | Step::Waited => {}
                Step::Leave(until) => return Ok(Some(Waits::Leaves(until))),
            }
        }
    }

    /// The shard has ended in this slice.
    pub(super) fn leaves(&self, shard: &ShardId) {
        self.lull().leaves(shard);
    }
}

/// Why a slice ends before a shard's event is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// The transfer is to rest.
    Rests,
    /// Its time is over.
    NoTime,
    /// It waits for long, and is taken at this instant.
    Leaves(Timestamp),
}
