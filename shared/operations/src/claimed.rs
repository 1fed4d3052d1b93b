//! A shard that a slice holds: its record and the only way to write it.
//!
//! **Invariant.** Every write is conditional on the revision before, and so on the epoch: once another slice has
//! claimed the shard, nothing this one writes is accepted.

use sluice_ports::Stored;
use sluice_transfer::limits::IDLE_SLICES;
use sluice_transfer::record::{Check, Claim, Kind, ShardRecord, Silence, SourceCursor};
use sluice_transfer::{Counts, Remaining, ShardId, Timestamp};

use crate::error::{Code, OperationError, Stop};
use crate::slice::{Purpose, Slice};

/// Changed records are written at the latest so long after the change, in milliseconds.
const LINGER_MILLIS: u64 = 5_000;
/// Changes that are never left for later, however fast they came: as many parts fill eight pages of a ledger, which are
/// written in one transaction with their record.
const MOST_CHANGES: u32 = 32;

/// A shard whose work is known to be of kind `W`: that was checked when it was taken.
pub(crate) struct Claimed<'a, W> {
    pub slice: &'a Slice<'a>,
    pub record: ShardRecord<W>,
    dirty_since: Option<Timestamp>,
    /// Changes since it was written, and when that was.
    changes: u32,
    written: Timestamp,
    /// A write was refused, or its answer is not known: what is stored is no longer known to be what this record
    /// follows, so nothing is written any more.
    lost: bool,
    paced: u64,
    /// What had moved, and how far its sources were read, when the slice took the shard.
    before: Progress,
}

/// What had moved of a shard, and how far its source was read where nothing did.
#[derive(PartialEq)]
struct Progress {
    moved: Counts,
    /// Of an import: its sources, and what is compared that comes next.
    read: Option<(SourceCursor, Option<Check>)>,
    /// Of an export: the silence that was walked over.
    silence: Option<Silence>,
}

impl Progress {
    fn of<W: Kind>(record: &ShardRecord<W>) -> Self {
        let silence = record.times.as_ref().and_then(|times| times.silence.clone());
        Self { moved: record.moved(), read: record.work.read(), silence }
    }
}

/// The answer to taking a shard.
pub(crate) enum Taken<'a, W> {
    Claimed(Box<Claimed<'a, W>>),
    Busy(u64),
}

impl<'a, W: Kind> Claimed<'a, W> {
    /// Takes a shard, if nobody else may be working on it.
    pub(crate) async fn take(slice: &'a Slice<'a>, shard: &ShardId) -> Result<Taken<'a, W>, Stop> {
        Self::take_from(slice, shard, None).await
    }

    /// Takes a shard whose record was read before, which saves reading it again. If it has changed since, the claim
    /// finds out.
    pub(crate) async fn take_known(slice: &'a Slice<'a>, known: ShardRecord) -> Result<Taken<'a, W>, Stop> {
        let shard = known.shard.clone();
        Self::take_from(slice, &shard, Some(known)).await
    }

    async fn take_from(
        slice: &'a Slice<'a>,
        shard: &ShardId,
        mut known: Option<ShardRecord>,
    ) -> Result<Taken<'a, W>, Stop> {
        let engine = slice.engine;
        let id = &slice.order.id;
        let read = async || {
            let record = slice.checkpoints.shard(id, shard).await?;
            record.ok_or_else(|| {
                let what = format!("the transfer {id} has no record of its shard {shard}");
                Stop::from(OperationError::new(Code::Corrupt, what))
            })
        };
        loop {
            let (fresh, record) = match known.take() {
                Some(known) => (false, known),
                None => (true, read().await?),
            };
            let mut record = of_kind::<W>(record)?;
            let closed = record.closed >= slice.generation && slice.purpose != Purpose::Rest;
            if closed || record.generation > slice.generation {
                return Err(Stop::Fenced);
            }
            let (now, owner) = (engine.clock.now(), record.owner.clone());
            match record.claim(&slice.order.slice, slice.generation, slice.lease_until(), now, &slice.order.proof) {
                Claim::Busy(wait) if fresh => return Ok(Taken::Busy(wait)),
                // It may have been given back since.
                Claim::Busy(_) => continue,
                Claim::Free => {}
            }
            record.revision += 1;
            let stored = record.stored();
            let written = slice.checkpoints.update_shard(&stored, &[]).await?;
            // After a mismatch somebody was faster, or an answer was lost and it was us: the next look tells.
            if written == Stored::Done || read().await? == stored {
                tracing::Span::current().record("epoch", record.epoch);
                if let Some(owner) = owner {
                    tracing::info!(owner = owner.slice, "taken over from a slice that did not give the shard back");
                }
                let before = Progress::of(&record);
                let (paced, written) = (before.moved.bytes, engine.clock.now());
                let claimed =
                    Self { slice, paced, record, dirty_since: None, changes: 0, written, lost: false, before };
                return Ok(Taken::Claimed(Box::new(claimed)));
            }
        }
    }

    /// A shard that slice after slice took and could not move is not tried for ever.
    pub(crate) fn refuse_if_stuck(&self) -> Result<(), Stop> {
        let record = &self.record;
        if record.idle_slices <= IDLE_SLICES || record.is_drained() {
            return Ok(());
        }
        Err(OperationError::new(
            Code::NoMovement,
            format!(
                "{IDLE_SLICES} slices in a row moved nothing of shard {}; it stands at {}",
                record.shard,
                record.stands_at()
            ),
        )
        .into())
    }

    /// The record was changed and is to be written with the next flush.
    pub(crate) fn touch(&mut self) {
        self.changes = self.changes.saturating_add(1);
        if self.dirty_since.is_none() {
            self.dirty_since = Some(self.slice.engine.clock.now());
        }
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty_since.is_some()
    }

    /// Whether so much time has passed since then; also where the clock was set back, and nobody knows.
    fn is_past(&self, then: Timestamp, millis: u64) -> bool {
        let now = self.slice.engine.clock.now();
        now < then || now.millis_since(then) >= millis
    }

    /// True if the record was changed and is to be written now: the last write was a while ago, or changes are many.
    pub(crate) fn is_due(&self) -> bool {
        let millis = self.slice.engine.settings.record_millis;
        self.is_dirty() && (self.is_past(self.written, millis) || self.changes >= MOST_CHANGES)
    }

    /// Writes the record if that is due.
    pub(crate) async fn flush_if_due(&mut self) -> Result<(), Stop> {
        if self.is_due() { self.flush().await } else { Ok(()) }
    }

    /// Writes the record if it was changed a while ago: a slow source must not hide its progress.
    pub(crate) async fn flush_if_late(&mut self) -> Result<(), Stop> {
        if self.dirty_since.is_some_and(|since| self.is_past(since, LINGER_MILLIS)) {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes the record, with the pages that its ledgers have filled.
    pub(crate) async fn flush(&mut self) -> Result<(), Stop> {
        if std::mem::replace(&mut self.lost, true) {
            return Err(Stop::Fenced);
        }
        let engine = self.slice.engine;
        let moved = self.record.moved().bytes;
        let now = engine.clock.now();
        if moved > self.paced {
            self.record.pace = self.record.pace.moved(moved - self.paced, now);
            self.paced = moved;
        }
        if self.has_moved() {
            // Also where the slice ends at its deadline, or dies, and never gives the shard back.
            self.record.idle_slices = 0;
        }
        self.record.measure();
        let pages = self.record.work.take_pages();
        self.record.revision += 1;
        let record = &self.record.stored();
        let checkpoints = &self.slice.checkpoints;
        if checkpoints.update_shard(record, &pages).await? == Stored::Mismatch
            && checkpoints.shard(&record.transfer, &record.shard).await?.as_ref() != Some(record)
        {
            return Err(Stop::Fenced);
        }
        if self.has_come_further() {
            self.slice.note_movement();
        }
        self.dirty_since = None;
        (self.changes, self.written) = (0, engine.clock.now());
        self.lost = false;
        Ok(())
    }

    /// Gives the shard back with what came of it, unless it is no longer known to be ours: then its owner stays on
    /// record until the next claim.
    pub(crate) async fn conclude<T>(mut self: Box<Self>, outcome: Result<T, Stop>) -> Result<T, Stop> {
        match outcome {
            Ok(value) => self.release().await.map(|()| value),
            Err(stop @ (Stop::Fenced | Stop::Deadline)) => Err(stop),
            // What is wrong is more than a shard that is given back late.
            Err(stop) if self.lost => Err(stop),
            Err(stop @ Stop::Trouble(_)) => {
                // A store that is out of reach says nothing of the shard. How often it may be so the host counts.
                self.record.idle_slices = self.record.idle_slices.saturating_sub(1);
                self.release().await.and(Err(stop))
            }
            Err(stop) => self.release().await.and(Err(stop)),
        }
    }

    /// Gives the shard back.
    async fn release(&mut self) -> Result<(), Stop> {
        // A shard that the slice's budget did not reach is not stuck.
        let moved = self.has_moved() || self.slice.remaining() == Remaining::Exhausted;
        match self.slice.purpose {
            Purpose::Move => self.record.slices += 1,
            Purpose::Rest => self.record.closed = self.slice.generation,
            Purpose::Check => {}
        }
        self.record.release(moved);
        self.flush().await
    }

    /// Whether this slice brought the shard further, or nothing was to be done: the next event is not due.
    pub(crate) fn has_moved(&self) -> bool {
        self.has_come_further() || self.record.waits_for().is_some()
    }

    /// Whether this slice brought the shard further.
    fn has_come_further(&self) -> bool {
        Progress::of(&self.record) != self.before || self.record.is_drained()
    }
}

/// The record, whose transfer says of which kind it is.
fn of_kind<W: Kind>(record: ShardRecord) -> Result<ShardRecord<W>, Stop> {
    let (transfer, shard) = (record.transfer.clone(), record.shard.clone());
    record.of_kind().ok_or_else(|| {
        let what = format!("the record of shard {shard} is not of the kind of its transfer {transfer}");
        OperationError::new(Code::Corrupt, what).into()
    })
}
