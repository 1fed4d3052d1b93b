//! One shard of a slice: read, pack, upload, checkpoint.
//!
//! A checkpoint is written before anything that depends on it: before an object is completed (its end is fixed), as
//! soon as an upload exists, and of each part once it is stored, while the next ones are on their way; of parts that are
//! stored faster than records, of several at once (`Settings::record_millis`). So there is at most one write for each
//! part, and what was stored behind the last one is sent again after a crash, with the same bytes.

use bytes::Bytes;
use futures::future::join;
use sluice_formats::packer;
use sluice_ports::{Read, ReadLimit};
use sluice_transfer::manifest::{ManifestObject, Segment};
use sluice_transfer::record::{DestinationRecord, LedgerEntry, Phase, Work};
use sluice_transfer::{Counts, Event, ObjectKeys, Packer, Position, Remaining, Seal, Wanted};

use super::Target;
use super::closing::{complete, give_up};
use super::sending::{Sending, beside};
use crate::error::{Code, Halt, OperationError};
use crate::held::Held;
use crate::objects::put_document;
use crate::slice::ShardEnd;

/// A shard that is being exported in this slice.
pub(crate) struct ShardExport<'a, 'h> {
    pub target: &'a Target,
    pub held: &'a mut Held<'h>,
    /// All parts of the upload at hand, also those that went into pages.
    pub ledger: Vec<LedgerEntry>,
    /// Whether this slice stored a part or sealed an object.
    pub stored: bool,
    /// Parts of the upload at hand, behind those of the ledger. While an object is closing there is at most its last one.
    pub(super) sending: Sending<'a>,
    /// Bytes of parts that are stored, whose memory the packer may have.
    pub(super) spare: Vec<Bytes>,
}

/// How a stretch of packing ended.
enum Stretch {
    /// The slice is over for this shard.
    Ends(ShardEnd),
    /// The record moved under the packer: begin again from what it says now.
    Again,
}

impl<'a, 'h> ShardExport<'a, 'h> {
    pub(crate) async fn new(target: &'a Target, held: &'a mut Held<'h>) -> Result<Self, Halt> {
        let sending = Sending::new(&*held.slice.engine.clock, 1);
        let mut shard = Self { target, held, ledger: Vec::new(), stored: false, sending, spare: Vec::new() };
        shard.load_ledger().await?;
        Ok(shard)
    }

    pub(crate) fn destination(&self) -> Result<&DestinationRecord, Halt> {
        match &self.held.record.work {
            Work::Export(destinations) => destinations.get(&self.target.name),
            Work::Import(_) => None,
        }
        .ok_or_else(|| self.corrupt("has no record of its destination"))
    }

    pub(crate) fn destination_mut(&mut self) -> Result<&mut DestinationRecord, Halt> {
        let missing = self.corrupt("has no record of its destination");
        match &mut self.held.record.work {
            Work::Export(destinations) => destinations.get_mut(&self.target.name),
            Work::Import(_) => None,
        }
        .ok_or(missing)
    }

    pub(crate) fn corrupt(&self, what: &str) -> Halt {
        let record = &self.held.record;
        OperationError::new(Code::Corrupt, format!("shard {} of transfer {} {what}", record.shard, record.transfer))
            .into()
    }

    /// The key of the object at hand.
    pub(crate) fn object_key(&self) -> Result<String, Halt> {
        let record = &self.held.record;
        let destination = self.destination()?;
        let relative = ObjectKeys::object(
            &record.shard,
            destination.objects,
            &destination.sealed.position,
            self.target.config.encoding(),
        );
        Ok(self.target.keys(&record.transfer).whole(&relative))
    }

    /// The ledger of the upload at hand, from its pages and the record.
    async fn load_ledger(&mut self) -> Result<(), Halt> {
        let destination = self.destination()?;
        let upload = match &destination.phase {
            Phase::Idle => return Ok(()),
            Phase::Open(upload) => Some(upload),
            Phase::Closing(closing) => closing.upload.as_ref(),
        };
        let Some(upload) = upload else { return Ok(()) };
        let (object, incarnation, pages, parts) =
            (destination.objects, destination.incarnation, upload.pages, upload.parts);
        let tail = upload.tail.clone();
        let slice = self.held.slice;
        let (engine, record) = (slice.engine, &self.held.record);
        let read = engine.persist(async || {
            engine.checkpoints.ledger(&record.transfer, &record.shard, &self.target.name, pages).await
        });
        let mut ledger = Vec::new();
        for page in slice.bounded(read).await? {
            if (page.object, page.incarnation) != (object, incarnation) {
                return Err(self.corrupt("has a page of another upload in its ledger"));
            }
            ledger.extend(page.entries);
        }
        ledger.extend(tail);
        if ledger.len() as u64 != parts {
            return Err(self.corrupt("has a ledger with missing parts"));
        }
        self.ledger = ledger;
        Ok(())
    }

    /// Works until the shard is drained, the slice is over, or something is in the way, with at most so many parts on
    /// their way at once.
    pub(crate) async fn run(mut self, parts_at_once: usize) -> Result<ShardEnd, Halt> {
        // Where the slice before moved nothing, the line may be too slow for several that share it.
        let parts_at_once = if self.held.record.idle_slices > 1 { 1 } else { parts_at_once };
        self.sending = Sending::new(&*self.held.slice.engine.clock, parts_at_once);
        let end = self.work().await;
        // Whatever ended it leaves no part on its way.
        let landed = self.all_landed().await;
        end.and_then(|end| landed.map(|_| end))
    }

    async fn work(&mut self) -> Result<ShardEnd, Halt> {
        loop {
            if matches!(self.destination()?.phase, Phase::Closing(_)) {
                complete(self, None).await?;
                continue;
            }
            if self.destination()?.is_drained(&self.held.record.range.until) {
                return Ok(ShardEnd::Drained);
            }
            match self.stretch().await? {
                Stretch::Ends(end) => return Ok(end),
                Stretch::Again => {}
            }
        }
    }

    /// A packer that goes on where the record is.
    pub(crate) fn packer(&self) -> Result<Packer, Halt> {
        let destination = self.destination()?;
        let record = &self.held.record;
        let seed = self.target.seed(&record.transfer, &record.shard);
        let config = &self.target.config;
        // While an object is closing its last part is packed anew, from where the stored ones end.
        let (cursor, taken) = match &destination.phase {
            Phase::Closing(closing) => {
                closing.upload.as_ref().map_or((&destination.sealed, 0), |upload| (&upload.cursor, upload.checksum.len))
            }
            Phase::Idle | Phase::Open(_) => (destination.cursor(), destination.taken()),
        };
        Ok(packer(config.encoding(), config.pack(), &seed, destination.objects, taken, cursor.clone()))
    }

    async fn stretch(&mut self) -> Result<Stretch, Halt> {
        let slice = self.held.slice;
        let mut packer = self.packer()?;
        let mut from = self.destination()?.cursor().position.clone();
        let mut last = from.clone();
        let mut ahead = None;
        loop {
            match beside(&mut self.sending, slice.wanted()).await? {
                Wanted::Running => {}
                Wanted::Paused => {
                    self.seal(&mut packer).await?;
                    return Ok(Stretch::Ends(ShardEnd::Stopped));
                }
                Wanted::Cancelled => return Ok(Stretch::Ends(ShardEnd::Stopped)),
            }
            let may_stop = self.stored || !self.sending.is_empty() || !packer.has_tail();
            // One that waits until another has arrived, and then is as slow, is still to land.
            let in_time = slice.has_time_for(self.sending.slowest().saturating_mul(2));
            if !in_time || (slice.remaining() == Remaining::Exhausted && may_stop) {
                return self.stop(&mut packer).await;
            }
            let read = if let Some(read) = ahead.take() {
                read
            } else {
                let read = self.read(&from);
                beside(&mut self.sending, read).await
            };
            match read? {
                Read::Trimmed { earliest } => {
                    self.record_gap(&mut packer, earliest).await?;
                    return Ok(Stretch::Again);
                }
                Read::Events { events, next, at_tail } => {
                    from = next;
                    let quiet = events.is_empty() && at_tail;
                    if let Some(event) = events.last() {
                        last = Position::After(event.sequence.clone());
                    }
                    let stored = if !at_tail && self.may_read_ahead(&from, &events) {
                        // The source is read while parts go to the bucket: neither waits for the other.
                        let read = self.read(&from);
                        let (read, stored) = join(read, self.pack(&mut packer, events)).await;
                        ahead = Some(read);
                        stored
                    } else {
                        self.pack(&mut packer, events).await
                    };
                    if !stored? {
                        return Ok(Stretch::Again);
                    }
                    if from >= self.held.record.range.until {
                        self.end_at(last);
                        self.seal_at_bound(&mut packer).await?;
                        return Ok(Stretch::Again);
                    }
                    if quiet {
                        // Caught up with a stream that has not reached the bound: nothing to do but to wait.
                        return Ok(Stretch::Ends(ShardEnd::More));
                    }
                }
            }
            // A part that arrived is to be seen, also where the next one takes long to fill.
            if !self.arrived_landed().await? {
                return Ok(Stretch::Again);
            }
            beside(&mut self.sending, self.held.flush_if_late()).await?;
        }
    }

    /// Where numbers are not dense a bound need not be an event's. Once all in front of it is read, it is brought to
    /// the last event that it covers: the same events, and objects that tile the range.
    fn end_at(&mut self, last: Position) {
        if last < self.held.record.range.until {
            self.held.record.range.until = last;
            self.held.touch();
        }
    }

    /// Time or budget are spent. Bytes behind the last full part are dropped here and read again, unless nothing else
    /// would move.
    async fn stop(&mut self, packer: &mut Packer) -> Result<Stretch, Halt> {
        if !self.all_landed().await? {
            return Ok(Stretch::Again);
        }
        if !self.stored && packer.has_tail() {
            self.seal(packer).await?;
        }
        let drained = self.destination()?.is_drained(&self.held.record.range.until);
        Ok(Stretch::Ends(if drained { ShardEnd::Drained } else { ShardEnd::More }))
    }

    /// Whether what stands behind `from` may be read before `events`, which stand in front of it, are packed: if it is
    /// wanted, and the budget has room for both.
    fn may_read_ahead(&self, from: &Position, events: &[Event]) -> bool {
        let slice = self.held.slice;
        let settings = &slice.engine.settings;
        let Remaining::Limit { events: most, bytes: most_bytes } = slice.remaining() else { return false };
        let bytes: u64 = events.iter().map(|event| event.payload.len() as u64).sum();
        let fits = |limit: u64, used: u64, more: usize| limit.saturating_sub(used) >= more as u64;
        *from < self.held.record.range.until
            && fits(most, events.len() as u64, settings.read_events)
            && fits(most_bytes, bytes, settings.read_bytes)
    }

    /// Events behind `from`, as many as budget and memory allow, none behind the shard's bound. Holds on to nothing of
    /// the shard, so that it can go on while the shard is written to.
    fn read(&self, from: &Position) -> impl Future<Output = Result<Read, Halt>> + use<'a, 'h> {
        let (slice, target) = (self.held.slice, self.target);
        let (shard, until, from) = (self.held.record.shard.clone(), self.held.record.range.until.clone(), from.clone());
        let limit = self.read_limit();
        async move {
            let read = slice.engine.persist(async || target.stream.read(&shard, &from, limit).await);
            let mut read = slice.bounded(read).await?;
            if let Read::Events { events, next, .. } = &mut read {
                events.retain(|event| until.covers(&event.sequence));
                if *next > until {
                    *next = until;
                }
            }
            Ok(read)
        }
    }

    fn read_limit(&self) -> ReadLimit {
        let slice = self.held.slice;
        let settings = &slice.engine.settings;
        let (events, bytes) = match slice.remaining() {
            Remaining::Limit { events, bytes } => (events, bytes),
            // Past the budget only until a part is full.
            Remaining::Exhausted => (u64::MAX, self.target.config.part_size),
        };
        let at_most = |limit: u64, most: usize| usize::try_from(limit).unwrap_or(usize::MAX).min(most);
        ReadLimit {
            events: at_most(events, settings.read_events),
            bytes: at_most(bytes, slice.at_once(settings.read_bytes)),
        }
    }

    /// Packs events and stores the parts that are full. Answers false if the upload was lost and all begins again.
    async fn pack(&mut self, packer: &mut Packer, events: Vec<Event>) -> Result<bool, Halt> {
        for event in events {
            let counts = Counts::new(1, event.payload.len() as u64);
            packer.push(event)?;
            while let Some(part) = packer.take() {
                if !self.store(part).await? {
                    return Ok(false);
                }
                self.spare.pop().into_iter().for_each(|bytes| packer.reuse(bytes));
            }
            let slice = self.held.slice;
            beside(&mut self.sending, slice.spend(counts)).await;
        }
        Ok(true)
    }

    /// Ends the object at hand where the packed events end, so that nothing stays open.
    async fn seal(&mut self, packer: &mut Packer) -> Result<(), Halt> {
        self.end(packer.seal()).await
    }

    /// The same where the shard's range ends.
    async fn seal_at_bound(&mut self, packer: &mut Packer) -> Result<(), Halt> {
        match packer.seal() {
            Seal::Part(part) => self.store_last(part).await.map(|_| ()),
            seal => self.end(seal).await,
        }
    }

    async fn end(&mut self, seal: Seal) -> Result<(), Halt> {
        if !self.all_landed().await? {
            // All of it begins anew.
            return Ok(());
        }
        match seal {
            Seal::Part(part) => self.close(Some(part)).await.map(|_| ()),
            Seal::AtPart => self.close(None).await.map(|_| ()),
            Seal::Nothing => give_up(self).await,
        }
    }

    /// The source lost what comes next: what was read before is sealed, the rest is on record as a gap.
    async fn record_gap(&mut self, packer: &mut Packer, earliest: Position) -> Result<(), Halt> {
        self.seal(packer).await?;
        let until = earliest.min(self.held.record.range.until.clone());
        let destination = self.destination_mut()?;
        // Sealing may have been answered by a new start further back: the next read tells.
        if destination.is_idle() && until > destination.sealed.position {
            tracing::warn!(from = %destination.sealed, until = %until, "the source no longer has a stretch of this shard");
            destination.lost(until)?;
            self.stored = true;
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes the record, then the manifest's next segment if its objects are now on record.
    pub(crate) async fn flush(&mut self) -> Result<(), Halt> {
        self.held.flush().await?;
        while self.write_segment(false).await? {}
        Ok(())
    }

    /// Writes what is left of the manifest's segments; there will be no more objects.
    pub(crate) async fn write_last_segments(&mut self) -> Result<(), Halt> {
        while self.write_segment(true).await? {}
        if self.held.is_dirty() {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes the next segment of the manifest, if there are objects for it. They are on record as sealed, so
    /// whoever writes this segment writes the same.
    pub(crate) async fn write_segment(&mut self, at_end: bool) -> Result<bool, Halt> {
        let record = &self.held.record;
        let destination = self.destination()?;
        let Some(objects) = destination.next_segment(at_end) else { return Ok(false) };
        let number = destination.segments.count + 1;
        let encoding = self.target.config.encoding();
        let entries: Vec<_> = objects
            .iter()
            .map(|object| ManifestObject {
                key: ObjectKeys::object(&record.shard, object.number, &object.from.position, encoding),
                object: object.clone(),
            })
            .collect();
        let listed = entries.len();
        let segment = Segment { transfer: record.transfer.clone(), shard: Some(record.shard.clone()), number, entries };
        let key = self.target.keys(&record.transfer).whole(&ObjectKeys::segment(&record.shard, number));
        let slice = self.held.slice;
        let sha256 = slice.bounded(put_document(slice.engine, &*self.target.bucket, &key, &segment)).await?;
        self.destination_mut()?.listed(listed, &sha256);
        self.held.touch();
        Ok(true)
    }
}
