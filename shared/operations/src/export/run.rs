//! One slice of an export: shards to parts.

use futures::future::join;
use sluice_ports::{Read, ReadLimit, ShardLimits, StreamFacts};
use sluice_transfer::record::{DestinationConfig, Phase, ShardRecord};
use sluice_transfer::{Counts, Event, Packer, Position, Remaining, Seal, SliceOutcome, Timestamp, Wanted};
use tokio::sync::Semaphore;

use super::closing::{abandon_upload, complete};
use super::in_flight::{InFlight, beside};
use super::reader::read_as;
use super::shard::{Setback, ShardExport};
use super::sharing::Sharing;
use super::target::{Target, export_config, open_target};
use crate::claimed::{Claimed, Taken};
use crate::engine::{Engine, Operation, Settings};
use crate::error::{Code, OperationError, Stop};
use crate::lane::{ShardEnd, admit, gather, in_turn, over_lane};
use crate::slice::{Slice, SliceOrder};

/// Shards that one process works on at once, however much memory there is.
const SHARDS_AT_ONCE: usize = 32;

/// Wait at the tail, in milliseconds, until the shard is read again.
const LOOK_AGAIN_MILLIS: u64 = 200;

/// Exports a slice of the shards of a lane.
pub fn export_slice<'a>(engine: &'a Engine, order: &'a SliceOrder) -> Operation<'a, SliceOutcome> {
    Box::pin(async move {
        let transfer = engine.transfer(&order.id).await?;
        if let Err(outcome) = admit(&transfer) {
            return Ok(outcome);
        }
        let config = export_config(&transfer)?;
        let slice = Slice::new(engine, order, &transfer, transfer.rate());
        let mut target = match open_target(&*slice.places, config).await {
            Ok(target) => target,
            Err(stop) => return Ok(gather(engine.clock.now(), vec![Err(stop)])),
        };
        if let Err(error) = fits(&target.config, &engine.settings) {
            return Ok(SliceOutcome::Failed(error.to_failure()));
        }
        let lane = in_turn(&slice, &transfer).await?;
        slice.divide_rate(&transfer, lane.len());
        // What is through reads nothing any more.
        if lane.is_empty() {
            return Ok(SliceOutcome::Done);
        }
        let facts = match target.facts().await {
            Ok(facts) => facts,
            Err(stop) => return Ok(gather(engine.clock.now(), vec![Err(stop)])),
        };
        if let Err(stop) = read_as(&slice, &*target.stream, config).await {
            return Ok(gather(engine.clock.now(), vec![Err(stop)]));
        }
        target.sharing = Sharing::of(config, facts, &engine.settings);
        if let Some(sharing) = &target.sharing {
            match sharing.begin(&slice, &*target.stream).await {
                Ok(None) => {}
                Ok(Some(_)) if transfer.wanted != Wanted::Running => return Ok(SliceOutcome::Stopped),
                // Before a shard is taken: a slice that waits is not idle.
                Ok(Some(wait_millis)) => return Ok(SliceOutcome::Busy { wait_millis }),
                Err(stop) => return Ok(gather(engine.clock.now(), vec![Err(stop)])),
            }
        }
        let at_once = at_once(&engine.settings, &target.config, facts.limits, lane.len());
        target.line = at_once.line.map(Semaphore::new);
        over_lane(&slice, lane, at_once.shards, |record| export_shard(&slice, &target, facts, at_once.parts, record))
            .await
    })
}

/// A host may have less memory by now than when the transfer was planned: a slice that is killed for it says nothing.
fn fits(destination: &DestinationConfig, settings: &Settings) -> Result<(), OperationError> {
    let (part, largest) = (destination.part_size, settings.largest_part);
    if part <= largest {
        return Ok(());
    }
    let what = format!(
        "the parts of this export have {part} bytes, and at most {largest} fit the memory by now: give it more, and \
         resume the transfer ({})",
        settings.hints.larger_parts
    );
    Err(OperationError::new(Code::OutOfRange, what))
}

/// What a slice does at the same time.
#[derive(Debug, PartialEq, Eq)]
struct AtOnce {
    /// Shards that are exported.
    shards: usize,
    /// Parts that each of them sends.
    parts: usize,
    /// Parts that all of them send together, if that is fewer.
    line: Option<usize>,
}

/// How much of this many shards is done at once: as much as memory admits, shards first. Each holds a part that is
/// filled, those that are sent, what was read, and what is read ahead meanwhile, or a part that went past its size.
///
/// A shard with limits fills a part in seconds and sends it in a fraction of one, so such shards share the parts that are
/// sent: more of them run at once.
fn at_once(settings: &Settings, config: &DestinationConfig, limits: Option<ShardLimits>, shards: usize) -> AtOnce {
    let (read, part) = (settings.read_bytes as u64, config.part_size.max(1));
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    if let Some(limits) = limits {
        let each = part + 2 * read.min(limits.read);
        let most = whole(settings.memory_bytes.saturating_sub(part) / each).clamp(1, SHARDS_AT_ONCE);
        let shards = shards.clamp(1, most);
        let line = whole(settings.memory_bytes.saturating_sub(shards as u64 * each) / part).max(1);
        // One part of each: a shard that waits for a turn holds none, so there is no deadlock.
        return AtOnce { shards, parts: 1, line: Some(line) };
    }
    let but_sent = part + read + part.max(read);
    let most = whole(settings.memory_bytes / (but_sent + part)).clamp(1, SHARDS_AT_ONCE);
    let shards = shards.clamp(1, most);
    let room = (settings.memory_bytes / shards as u64).saturating_sub(but_sent);
    AtOnce { shards, parts: whole(room / part).clamp(1, settings.parts_at_once.max(1)), line: None }
}

async fn export_shard(
    slice: &Slice<'_>,
    target: &Target,
    facts: StreamFacts,
    parts_at_once: usize,
    record: ShardRecord,
) -> Result<ShardEnd, Stop> {
    if !slice.has_room() {
        return Ok(ShardEnd::More);
    }
    let mut claimed = match Claimed::take_known(slice, record).await? {
        Taken::Claimed(claimed) => claimed,
        Taken::Busy(wait) => return Ok(ShardEnd::Busy(wait)),
    };
    let outcome = async {
        claimed.refuse_if_stuck()?;
        let mut shard = ShardExport::new(target, &mut claimed).await?;
        shard.note_retention(facts);
        shard.run(parts_at_once).await
    };
    let outcome = outcome.await;
    claimed.conclude(outcome).await
}

/// Where a stretch of packing reads.
struct Reading {
    /// The next read begins behind this.
    from: Position,
    /// Behind the last event that was read.
    last: Position,
    /// The next answer, if it was read ahead.
    ahead: Option<Result<Read, Stop>>,
    /// The source has nothing behind `last` that arrived before this.
    heard: Option<Timestamp>,
}

/// How a stretch of packing ended.
enum Stretch {
    /// The slice is over for this shard.
    Ends(ShardEnd),
    /// The record moved under the packer: begin again from what it says now.
    Again,
}

impl<'a, 'h> ShardExport<'a, 'h> {
    /// Works until the shard is drained, the slice is over, or something is in the way, with at most so many parts on
    /// their way at once.
    pub(crate) async fn run(mut self, parts_at_once: usize) -> Result<ShardEnd, Stop> {
        // Where the slice before moved nothing, the line may be too slow for several that share it.
        let parts_at_once = if self.claimed.record.idle_slices > 1 { 1 } else { parts_at_once };
        self.in_flight = InFlight::new(&*self.claimed.slice.engine.clock, parts_at_once);
        let end = self.work().await;
        // Whatever ended it leaves no part in flight.
        let landed = Setback::unless_rewound(self.land_all().await);
        end.and_then(|end| landed.map(|_| end))
    }

    async fn work(&mut self) -> Result<ShardEnd, Stop> {
        loop {
            if let Some(Stretch::Ends(end)) = Setback::unless_rewound(self.stretch().await)? {
                return Ok(end);
            }
        }
    }

    async fn stretch(&mut self) -> Result<Stretch, Setback> {
        if matches!(self.destination()?.phase, Phase::Closing(_)) {
            complete(self, None).await?;
            return Ok(Stretch::Again);
        }
        if self.destination()?.is_drained(&self.claimed.record.range.until) {
            return Ok(Stretch::Ends(ShardEnd::Drained));
        }
        let mut packer = self.packer()?;
        let from = self.destination()?.cursor().position.clone();
        let mut reading = Reading { last: from.clone(), from, ahead: None, heard: None };
        loop {
            if let Some(stretch) = self.stop_if_due(&mut packer, &reading).await? {
                return Ok(stretch);
            }
            let read = if let Some(read) = reading.ahead.take() {
                read
            } else {
                let read = self.read(&reading);
                beside(&mut self.in_flight, read).await
            };
            match read? {
                Read::Trimmed { earliest } => {
                    self.record_gap(&mut packer, earliest).await?;
                    return Ok(Stretch::Again);
                }
                Read::Events { events, next, at_tail, reached } => {
                    let within = self.within(events, next, &reading.last, reached, at_tail);
                    reading.from = within.next;
                    let stretch = if within.events.is_empty() && !within.through {
                        self.hear_nothing(&mut packer, &mut reading, reached, at_tail).await?
                    } else {
                        self.take(&mut packer, &mut reading, within.events, within.through, at_tail).await?
                    };
                    if let Some(stretch) = stretch {
                        return Ok(stretch);
                    }
                }
            }
            // Show a stored part also if the next one takes long to fill.
            self.land_arrived().await?;
            beside(&mut self.in_flight, self.claimed.flush_if_late()).await?;
        }
    }

    /// Ends the stretch if a pause or a cancel is wanted, or time or budget are spent.
    async fn stop_if_due(&mut self, packer: &mut Packer, reading: &Reading) -> Result<Option<Stretch>, Setback> {
        let slice = self.claimed.slice;
        if let Some(sharing) = &self.target.sharing {
            beside(&mut self.in_flight, sharing.go_on(slice, &*self.target.stream)).await?;
        }
        match beside(&mut self.in_flight, slice.wanted()).await? {
            Wanted::Running => {}
            Wanted::Paused => {
                self.seal(packer).await?;
                self.note_silence(&reading.last, reading.heard)?;
                return Ok(Some(Stretch::Ends(ShardEnd::Stopped)));
            }
            Wanted::Cancelled => return Ok(Some(Stretch::Ends(ShardEnd::Stopped))),
        }
        let may_stop = self.stored || !self.in_flight.is_empty() || !packer.has_tail();
        // Leave time for two slow parts: the one in flight and the one queued behind it.
        let in_time = slice.has_time_for(self.in_flight.slowest().saturating_mul(2));
        if !in_time || (slice.remaining() == Remaining::Exhausted && may_stop) {
            return self.stop(packer, reading).await.map(Some);
        }
        Ok(None)
    }

    /// Packs events, and reads ahead meanwhile.
    async fn take(
        &mut self,
        packer: &mut Packer,
        reading: &mut Reading,
        events: Vec<Event>,
        through: bool,
        at_tail: bool,
    ) -> Result<Option<Stretch>, Setback> {
        if let Some(event) = events.last() {
            reading.last = Position::After(event.sequence.clone());
            reading.heard = None;
        }
        let beginning = self.beginning(&events);
        self.note_times(&events);
        self.note_keys(&events);
        if let Some(from) = beginning {
            self.begin_at(from)?;
            *packer = self.packer()?;
        }
        let stored = if !at_tail && !through && self.may_read_ahead(&reading.from, &events) {
            // The source is read while parts go to the bucket: neither waits for the other.
            let read = self.read(reading);
            let (read, stored) = join(read, self.pack(packer, events)).await;
            reading.ahead = Some(read);
            stored
        } else {
            self.pack(packer, events).await
        };
        stored?;
        if through || reading.from >= self.claimed.record.range.until {
            self.end_at(reading.last.clone());
            self.seal_at_bound(packer).await?;
            return Ok(Some(Stretch::Again));
        }
        Ok(None)
    }

    /// An answer without events: keeps how far it came, and waits at the tail.
    async fn hear_nothing(
        &mut self,
        packer: &mut Packer,
        reading: &mut Reading,
        reached: Option<Timestamp>,
        at_tail: bool,
    ) -> Result<Option<Stretch>, Setback> {
        if reading.from >= self.claimed.record.range.until {
            return self.take(packer, reading, Vec::new(), true, at_tail).await;
        }
        reading.heard = reading.heard.max(reached);
        if packer.has_tail() && self.is_long_silence(reading.heard) {
            // Silence is recorded only behind stored events. Without a record the next slice would cross it again.
            self.seal(packer).await?;
            self.note_silence(&reading.last, reading.heard)?;
            return Ok(Some(Stretch::Again));
        }
        self.note_silence(&reading.last, reading.heard)?;
        if at_tail {
            let slice = self.claimed.slice;
            // Events that arrived before the plan become visible a moment later.
            if self.claimed.record.times.is_none() || !slice.has_time_for(2 * LOOK_AGAIN_MILLIS) {
                return self.stop(packer, reading).await.map(Some);
            }
            beside(&mut self.in_flight, slice.engine.clock.sleep(LOOK_AGAIN_MILLIS)).await;
        }
        Ok(None)
    }

    /// Where numbers are not dense a bound need not be an event's. Once all in front of it is read, it is brought to
    /// the last event that it covers: the same events, and objects that tile the range.
    fn end_at(&mut self, last: Position) {
        if last < self.claimed.record.range.until {
            self.claimed.record.range.until = last;
            self.claimed.touch();
        }
    }

    /// Ends the stretch. Bytes behind the last full part are dropped and read again by the next slice, unless nothing
    /// else would move, or the next slice would cross long silence again.
    async fn stop(&mut self, packer: &mut Packer, reading: &Reading) -> Result<Stretch, Setback> {
        self.land_all().await?;
        if packer.has_tail() && (!self.stored || self.is_long_silence(reading.heard)) {
            self.seal(packer).await?;
        }
        self.note_silence(&reading.last, reading.heard)?;
        let drained = self.destination()?.is_drained(&self.claimed.record.range.until);
        Ok(Stretch::Ends(if drained { ShardEnd::Drained } else { ShardEnd::More }))
    }

    /// True if the next batch, from `from` on, may be read before `events` are packed: the range continues and the
    /// budget covers both batches.
    fn may_read_ahead(&self, from: &Position, events: &[Event]) -> bool {
        let slice = self.claimed.slice;
        let settings = &slice.engine.settings;
        let Remaining::Limit { events: most, bytes: most_bytes } = slice.remaining() else { return false };
        let bytes: u64 = events.iter().map(|event| event.payload.len() as u64).sum();
        let fits = |limit: u64, used: u64, more: usize| limit.saturating_sub(used) >= more as u64;
        *from < self.claimed.record.range.until
            && fits(most, events.len() as u64, settings.read_events)
            && fits(most_bytes, bytes, settings.read_bytes)
    }

    /// The next read: as many events as budget and memory allow, none behind the shard's bound. It borrows nothing of
    /// the shard, so it can run while the shard is written to.
    fn read(&self, reading: &Reading) -> impl Future<Output = Result<Read, Stop>> + use<'a, 'h> {
        let (target, record) = (self.target, &self.claimed.record);
        let (shard, until, from) = (record.shard.clone(), record.range.until.clone(), reading.from.clone());
        let mut limit = self.read_limit();
        limit.since = record.times.as_ref().and_then(|times| times.since(&from, reading.heard));
        async move {
            let mut read = target.stream.read(&shard, &from, limit).await?;
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
        let slice = self.claimed.slice;
        let settings = &slice.engine.settings;
        let (events, bytes) = match slice.remaining() {
            Remaining::Limit { events, bytes } => (events, bytes),
            // Past the budget only until a part is full.
            Remaining::Exhausted => (u64::MAX, self.target.config.part_size),
        };
        let at_most = |limit: u64, most: usize| usize::try_from(limit).unwrap_or(usize::MAX).min(most);
        // A source with limits is called seldom.
        let most = match &self.target.sharing {
            Some(sharing) => slice.at_a_call(settings.read_bytes.min(sharing.read_bytes)),
            None => slice.at_once(settings.read_bytes),
        };
        ReadLimit::new(at_most(events, settings.read_events), at_most(bytes, most))
    }

    /// Packs events and stores the parts that are full. Rewound if the upload is gone.
    async fn pack(&mut self, packer: &mut Packer, events: Vec<Event>) -> Result<(), Setback> {
        for event in events {
            let counts = Counts::new(1, event.payload.len() as u64);
            packer.push(event)?;
            while let Some(part) = packer.take() {
                self.store(part).await?;
                self.spare.pop().into_iter().for_each(|bytes| packer.reuse(bytes));
            }
            let slice = self.claimed.slice;
            beside(&mut self.in_flight, slice.count_and_wait(counts)).await;
        }
        Ok(())
    }

    /// Ends the current object where the packed events end, so that nothing stays open.
    async fn seal(&mut self, packer: &mut Packer) -> Result<(), Setback> {
        self.end(packer.seal()).await
    }

    /// The same where the shard's range ends.
    async fn seal_at_bound(&mut self, packer: &mut Packer) -> Result<(), Setback> {
        match packer.seal() {
            Seal::Part(part) => self.store_last(part).await,
            seal => self.end(seal).await,
        }
    }

    async fn end(&mut self, seal: Seal) -> Result<(), Setback> {
        self.land_all().await?;
        match seal {
            Seal::Part(part) => self.close(Some(part)).await,
            Seal::AtPart => self.close(None).await,
            Seal::Nothing => Ok(abandon_upload(self).await?),
        }
    }

    /// The source lost what comes next: what was read before is sealed, the rest is on record as a gap.
    async fn record_gap(&mut self, packer: &mut Packer, earliest: Position) -> Result<(), Setback> {
        self.seal(packer).await?;
        // One that was made again meanwhile has none of the old events, which is no gap.
        self.target.facts().await?;
        let until = earliest.min(self.claimed.record.range.until.clone());
        let destination = self.destination_mut()?;
        if destination.is_idle() && until > destination.sealed.position {
            tracing::warn!(from = %destination.sealed, until = %until, "the source no longer has a stretch of this shard");
            destination.lost(until)?;
            self.stored = true;
            self.flush().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sluice_transfer::{BucketUri, Compression, Format};

    use super::*;

    #[test]
    fn memory_goes_to_shards_first() {
        let config = DestinationConfig {
            bucket: "dir:x".parse::<BucketUri>().unwrap(),
            prefix: String::new(),
            format: Format::Raw,
            compression: Compression::Plain,
            part_size: 8 << 20,
            object_size: 64 << 20,
        };
        let settings = |memory: u64| Settings { memory_bytes: memory << 20, ..Settings::default() };
        let of = |memory: u64, shards: usize| {
            let AtOnce { shards, parts, line } = at_once(&settings(memory), &config, None, shards);
            assert_eq!(line, None);
            (shards, parts)
        };
        // A shard takes 20 MiB, and 8 for each part on its way.
        assert_eq!([of(64, 1), of(64, 2), of(64, 9)], [(1, 3), (2, 1), (2, 1)]);
        assert_eq!([of(72, 2), of(80, 2), of(88, 2), of(90, 3)], [(2, 2), (2, 2), (2, 3), (3, 1)]);
        assert_eq!([of(8, 4), of(1 << 20, 100), of(64, 0)], [(1, 1), (32, 3), (1, 3)]);
        // With limits 12 MiB, and 8 for each part on the line of all.
        let limits = Some(ShardLimits { written: 1 << 20, read: 2 << 20 });
        let of = |memory: u64, shards: usize| {
            let AtOnce { shards, parts, line } = at_once(&settings(memory), &config, limits, shards);
            (shards, parts, line.unwrap())
        };
        assert_eq!([of(64, 1), of(64, 9), of(128, 8)], [(1, 1, 6), (4, 1, 2), (8, 1, 4)]);
        assert_eq!([of(8, 4), of(800, 64), of(64, 0)], [(1, 1, 1), (32, 1, 52), (1, 1, 6)]);
    }
}
