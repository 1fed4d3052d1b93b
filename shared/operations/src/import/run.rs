//! One slice of an import: objects to events.

use futures::future::join;
use sluice_ports::{Appends, NewEvent, StreamStore};
use sluice_transfer::record::{Check, ShardRecord, SourceCursor};
use sluice_transfer::{Order, Remaining, SliceOutcome, Wanted};

use super::beat::{Beat, Step, Waits, anchored, shared};
use super::misfit::Misfit;
use super::reader::{Next, Sourced};
use super::route::{Route, import_config, open_route};
use super::shard::{Sent, ShardImport};
use crate::claimed::{Claimed, Taken};
use crate::engine::{Engine, Operation, Settings};
use crate::error::Stop;
use crate::lane::{ShardEnd, admit, gather, in_turn, over_lane};
use crate::slice::{Slice, SliceOrder};

/// Imports a slice of the sources of a lane's shards.
pub fn import_slice<'a>(engine: &'a Engine, order: &'a SliceOrder) -> Operation<'a, SliceOutcome> {
    Box::pin(async move {
        let transfer = engine.transfer(&order.id).await?;
        if let Err(outcome) = admit(&transfer) {
            return Ok(outcome);
        }
        let Some(transfer) = anchored(engine, transfer).await? else { return Ok(SliceOutcome::Stopped) };
        let config = import_config(&transfer)?;
        let in_rhythm =
            config.rhythm.map(|_| if order.lane.is_empty() { transfer.shards.len() } else { order.lane.len() });
        let settings = in_rhythm.map_or(engine.settings, |shards| shared(engine.settings, shards));
        let engine = &Engine { settings, ..engine.clone() };
        let slice = Slice::new(engine, order, &transfer, transfer.rate());
        let route = match open_route(&*slice.places, config).await {
            Ok(route) => route,
            Err(stop) => return Ok(gather(engine.clock.now(), vec![Err(stop)])),
        };
        let at_once = at_once(&engine.settings, &*route.stream);
        let lane = in_turn(&slice, &transfer).await?;
        slice.divide_rate(&transfer, lane.len());
        let beat = Beat::of(&transfer, &lane, &settings);
        let at_once = if beat.is_some() { lane.len().max(1) } else { at_once };
        over_lane(&slice, lane, at_once, |record| import_shard(&slice, &route, beat.as_ref(), record)).await
    })
}

/// Shards that are imported at once. Each holds what is sent, the next batch that is read meanwhile or what is read
/// back, what is taken apart, and the part that it is taken of.
fn at_once(settings: &Settings, stream: &dyn StreamStore) -> usize {
    let sent = append_bytes(settings, stream);
    let a_shard = ((2 * sent + settings.read_bytes) as u64).saturating_add(settings.part_bytes);
    usize::try_from(settings.memory_bytes / a_shard.max(1)).unwrap_or(1).clamp(1, SHARDS_AT_ONCE)
}

/// Bytes sent at once: of a shard that has limits what it takes in some seconds. Where appends go by key each is many
/// requests, and a longer one has no more in each of them.
fn append_bytes(settings: &Settings, stream: &dyn StreamStore) -> usize {
    let taken = match stream.promises().appends {
        Appends::Conditional => u64::MAX,
        Appends::ByKey => BY_KEY_BYTES,
    };
    let taken = stream.intake().map_or(taken, |intake| intake.bytes.saturating_mul(BATCH_SECONDS));
    settings.append_bytes.min(usize::try_from(taken).unwrap_or(usize::MAX)).max(1)
}

/// A shard in a slice. Shards that wait for it learn when it has ended.
async fn import_shard(
    slice: &Slice<'_>,
    route: &Route,
    beat: Option<&Beat>,
    record: ShardRecord,
) -> Result<ShardEnd, Stop> {
    let Some(beat) = beat else { return move_shard(slice, route, None, record).await };
    let (shard, time) = (record.shard.clone(), record.waits_for());
    let waits = match time {
        // Nothing of it need be read, nor the shard be taken, before.
        Some(time) => beat.until_due(slice, &shard, time).await,
        None => Ok(None),
    };
    let end = match waits {
        Ok(None) => move_shard(slice, route, Some(beat), record).await,
        Ok(Some(Waits::Rests)) => Ok(ShardEnd::Stopped),
        Ok(Some(Waits::NoTime)) => Ok(ShardEnd::More),
        Ok(Some(Waits::Leaves(until))) => Ok(ShardEnd::Waiting(until)),
        Err(stop) => Err(stop),
    };
    beat.leaves(&shard);
    end
}

async fn move_shard(
    slice: &Slice<'_>,
    route: &Route,
    beat: Option<&Beat>,
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
        let writer = route.stream.writer(&claimed.record.shard, Some(&slice.order.id)).await?;
        let end = match ShardImport::new(route, &*writer, beat, &mut claimed) {
            Ok(import) => import.run().await,
            Err(stop) => Err(stop),
        };
        writer.close().await;
        end
    };
    let outcome = outcome.await;
    claimed.conclude(outcome).await
}

/// Shards that one process works on at once, however much memory there is.
const SHARDS_AT_ONCE: usize = 32;
/// A batch for a shard without limits that takes appends by key, in bytes.
const BY_KEY_BYTES: u64 = 2 << 20;
/// A batch for a shard with limits is what it takes in this time, in seconds.
const BATCH_SECONDS: u64 = 2;

enum Fill {
    Full,
    End(SourceCursor),
    NoTime(Option<Check>),
    /// The next event cannot be sent, and all in front of it was.
    Misfit(Box<Misfit>),
}

/// Bytes that a target without conditional appends takes of one shard in a millisecond, at least; and of events one
/// (Kinesis: 1 MB and 1,000 records a second).
const TAKEN: u64 = 900;
/// Events of one append that go one after the other, and what one takes, in milliseconds, on a bad day.
const IN_A_ROW: usize = 64;
const ONE_MILLIS: u64 = 100;
/// A wait of so long is worth a write of the record, in milliseconds: people see what is waited for, and a slice that
/// dies while it waits was not idle.
const NOTED_MILLIS: u64 = 5_000;

impl<'a, 'h: 'a> ShardImport<'a, 'h> {
    pub(super) async fn run(mut self) -> Result<ShardEnd, Stop> {
        let end = self.work().await;
        // It is on record once the shard is given back.
        self.note_read_back();
        end
    }

    async fn work(&mut self) -> Result<ShardEnd, Stop> {
        // The claim wrote all marks. A slice that was over soon wrote no segment.
        self.write_segments().await?;
        if self.is_unsettled() {
            self.reconcile().await?;
        }
        let slice = self.claimed.slice;
        loop {
            if self.claimed.record.work.is_drained() {
                return Ok(ShardEnd::Drained);
            }
            if slice.wanted().await? != Wanted::Running {
                return Ok(ShardEnd::Stopped);
            }
            if !slice.has_time() || slice.remaining() == Remaining::Exhausted {
                return Ok(ShardEnd::More);
            }
            let ends = self.fill().await?;
            if self.unsent.is_empty() {
                match ends {
                    // Trailing sources that hold nothing.
                    Fill::End(cursor) => self.skip_to(cursor).await?,
                    // For want of time, or since it is wanted that the transfer rests.
                    Fill::NoTime(check) => self.leave_off(check)?,
                    Fill::Misfit(misfit) => self.pass_misfit(*misfit).await?,
                    Fill::Full => {}
                }
                continue;
            }
            match self.in_rhythm().await? {
                Step::Due => self.send().await?,
                Step::Waited => {}
                Step::Leave(until) => return Ok(ShardEnd::Waiting(until)),
            }
        }
    }

    /// Waits for some time until the first unsent event is due, if it is not. What was sent before is on record then, and
    /// where the wait is long what is waited for, too.
    async fn in_rhythm(&mut self) -> Result<Step, Stop> {
        let Some((beat, time)) = self.beat.zip(self.unsent.front().and_then(|sourced| sourced.time)) else {
            return Ok(Step::Due);
        };
        let slice = self.claimed.slice;
        let wait = beat.wait_millis(time, slice.engine.clock.now());
        if wait > 0 {
            let noted = self.claimed.record.work.waits_for.replace(time) == Some(time);
            if !noted && wait >= NOTED_MILLIS {
                self.claimed.touch();
            }
            if self.claimed.is_dirty() && (wait >= slice.engine.settings.record_millis || self.claimed.is_due()) {
                self.flush().await?;
            }
        }
        let step = beat.step(slice, &self.claimed.record.shard, time);
        Ok(match &mut self.behind {
            Some(behind) => behind.beside(step).await,
            None => step.await,
        })
    }

    /// True if the last unsent event is not due: none behind it is.
    fn is_ahead(&self) -> bool {
        let last = self.unsent.back().and_then(|sourced| sourced.time);
        self.beat.zip(last).is_some_and(|(beat, time)| !beat.is_due(time, self.claimed.slice.engine.clock.now()))
    }

    /// Events and bytes to send at once.
    fn limits(&self) -> (usize, usize) {
        let slice = self.claimed.slice;
        let settings = slice.engine.settings;
        let at_most = |limit: u64, most: usize| usize::try_from(limit).unwrap_or(usize::MAX).min(most);
        let (events, bytes) = match slice.remaining() {
            Remaining::Limit { events, bytes } => (
                at_most(events, settings.read_events),
                at_most(bytes, slice.at_once(append_bytes(&settings, &*self.route.stream))),
            ),
            Remaining::Exhausted => (1, 1),
        };
        if self.route.stream.promises().appends == Appends::Conditional {
            return (events, bytes);
        }
        // One that the slice's end cuts off leaves open what happened, and whoever comes next waits.
        let left = slice.millis_left();
        let events = match self.route.config.order.unwrap_or_default() {
            // One after the other: that they are to stop is seen between two appends.
            Order::Shard => events.min(IN_A_ROW).min(at_most(left / ONE_MILLIS, usize::MAX)),
            Order::Key | Order::None => events.min(at_most(left, usize::MAX)),
        };
        (events.max(1), bytes.min(at_most(left.saturating_mul(TAKEN), usize::MAX)).max(1))
    }

    /// Reads until there is a batch to send.
    async fn fill(&mut self) -> Result<Fill, Stop> {
        let slice = self.claimed.slice;
        let (events, most_bytes) = self.limits();
        let mut bytes: usize = self.unsent.iter().map(|sourced| sourced.event.payload.len()).sum();
        if self.unsent.is_empty() && self.marked == Some(self.claimed.record.revision) {
            // However long that takes, the record says what there was before.
            self.flush().await?;
        }
        while self.reads_on() && self.unsent.len() < events && bytes < most_bytes && !self.is_ahead() {
            if !self.unsent.is_empty() && !self.reader.is_ready() && !slice.has_time() {
                break;
            }
            match self.read_one().await? {
                // [`Self::read_one`] keeps a misfit.
                None | Some(Next::Misfit(_)) => {}
                Some(Next::Event(sourced)) => {
                    bytes += sourced.event.payload.len();
                    self.unsent.push_back(sourced);
                }
                Some(Next::End(cursor)) => return Ok(Fill::End(cursor)),
                Some(Next::NoTime(check)) => return Ok(Fill::NoTime(check)),
            }
        }
        if self.unsent.is_empty() {
            self.fail()?;
            if let Some(misfit) = self.misfit.take() {
                return Ok(Fill::Misfit(misfit));
            }
        }
        Ok(Fill::Full)
    }

    /// The next batch; none if it cannot be read. A read error is reported only after all events before it were
    /// appended, and a misfit is passed over only then.
    async fn read_one(&mut self) -> Result<Option<Next>, Stop> {
        match self.reader.next().await {
            Err(Stop::Failed(error)) => {
                self.failed = Some(error);
                Ok(None)
            }
            Ok(Next::Misfit(misfit)) => {
                self.misfit = Some(misfit);
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    /// Appends a batch of unsent events. Whatever the answer, the record then says what the target holds.
    async fn send(&mut self) -> Result<(), Stop> {
        self.flush_misfits().await?;
        if let Some((beat, time)) = self.beat.zip(self.unsent.front().and_then(|sourced| sourced.time)) {
            let now = self.claimed.slice.engine.clock.now();
            let work = &mut self.claimed.record.work;
            work.waits_for = None;
            work.late.sent(beat.late_millis(time, now));
        }
        let expected = self.claimed.record.work.tail.clone();
        let batch: Vec<NewEvent> = self.unsent.iter().take(self.batch()).map(|sourced| sourced.event.clone()).collect();
        // The next batch is read while the target makes this one durable: neither waits for the other. Where appends go
        // by key it is the target's own limits that are waited for.
        let conditional = self.route.stream.promises().appends == Appends::Conditional;
        let append = self.begin_append(&expected, &batch);
        let (answer, (sum, ahead)) = if conditional {
            join(append, async { (self.sum(batch.len()), self.read_ahead(batch.len()).await) }).await
        } else {
            let answer = match &mut self.behind {
                Some(behind) => behind.beside(append).await,
                None => append.await,
            };
            (answer, (self.sum(batch.len()), Ok(())))
        };
        match self.appended(answer)? {
            Sent::Done(tails) => {
                self.follow_target(batch.len(), sum, tails).await?;
                ahead
            }
            // A reader that was halted has perhaps dropped an event, so nothing is compared with what it said.
            Sent::Elsewhere => {
                ahead?;
                self.reconcile().await
            }
            // Whether it happened is not known: the target tells.
            Sent::Unsure(_) => {
                ahead?;
                self.wait(50).await?;
                self.reconcile().await
            }
        }
    }

    /// Reads until there is another batch behind the first `sent` events. Where the sources end, or time does, the next
    /// [`Self::fill`] finds the same.
    async fn read_ahead(&mut self, sent: usize) -> Result<(), Stop> {
        let slice = self.claimed.slice;
        let (events, most_bytes) = self.limits();
        let mut bytes: usize = self.unsent.iter().skip(sent).map(|sourced| sourced.event.payload.len()).sum();
        while self.reads_on()
            && self.unsent.len() - sent < events
            && bytes < most_bytes
            && slice.has_time()
            && !self.is_ahead()
        {
            let Some(Next::Event(sourced)) = self.read_one().await? else { break };
            bytes += sourced.event.payload.len();
            self.unsent.push_back(sourced);
        }
        Ok(())
    }

    /// How many of the unsent events go at once: those that are due. Reconciling may have read more than a batch.
    fn batch(&self) -> usize {
        let (most, most_bytes) = self.limits();
        let mut bytes = 0;
        let beat = self.beat.map(|beat| (beat, self.claimed.slice.engine.clock.now()));
        let is_due =
            |sourced: &&Sourced| beat.zip(sourced.time).is_none_or(|((beat, now), time)| beat.is_due(time, now));
        let within = |sourced: &&Sourced| {
            let room = bytes < most_bytes;
            bytes += sourced.event.payload.len();
            room
        };
        self.unsent.iter().take(most).take_while(is_due).take_while(within).count().max(1)
    }

    async fn skip_to(&mut self, cursor: SourceCursor) -> Result<(), Stop> {
        let record = &mut self.claimed.record.work;
        record.cursor = cursor;
        record.check = None;
        self.flush().await
    }
}
