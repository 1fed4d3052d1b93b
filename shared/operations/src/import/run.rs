//! One slice of an import: objects to events.

use futures::future::join;
use sluice_ports::{Appends, NewEvent};
use sluice_transfer::record::{Check, ShardRecord, SourceCursor};
use sluice_transfer::{Order, Remaining, SliceOutcome, Wanted};

use super::misfit::Misfit;
use super::reader::{Next, Sourced};
use super::route::{Route, import_config, open_route};
use super::shard::{Sent, ShardImport};
use crate::claimed::{Claimed, Taken};
use crate::engine::{Engine, Operation};
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
        let config = import_config(&transfer)?;
        let slice = Slice::new(engine, order, &transfer, transfer.rate());
        let route = match open_route(&*slice.places, config).await {
            Ok(route) => route,
            Err(stop) => return Ok(gather(vec![Err(stop)])),
        };
        // What is sent, the next batch that is read meanwhile, what is taken apart, and the part that it is taken of.
        let settings = &engine.settings;
        let a_shard = ((2 * settings.append_bytes + settings.read_bytes) as u64).saturating_add(settings.part_bytes);
        let at_once = usize::try_from(settings.memory_bytes / a_shard.max(1)).unwrap_or(1).clamp(1, 32);
        let lane = in_turn(&slice, &transfer).await?;
        slice.divide_rate(&transfer, lane.len());
        over_lane(&slice, lane, at_once, |record| import_shard(&slice, &route, record)).await
    })
}

async fn import_shard(slice: &Slice<'_>, route: &Route, record: ShardRecord) -> Result<ShardEnd, Stop> {
    if !slice.has_room() {
        return Ok(ShardEnd::More);
    }
    let mut claimed = match Claimed::take_known(slice, record).await? {
        Taken::Claimed(claimed) => claimed,
        Taken::Busy(wait) => return Ok(ShardEnd::Busy(wait)),
    };
    let outcome = async {
        claimed.refuse_if_stuck()?;
        ShardImport::new(route, &mut claimed)?.run().await
    };
    let outcome = outcome.await;
    claimed.conclude(outcome).await
}

enum Fill {
    Full,
    End(SourceCursor),
    NoTime(Option<Check>),
    /// The next event cannot be sent, and all in front of it was.
    Misfit(Misfit),
}

/// Bytes that a target without conditional appends takes of one shard in a millisecond, at least; and of events one
/// (Kinesis: 1 MB and 1,000 records a second).
const TAKEN: u64 = 900;
/// Events of one append that go one after the other, and what one takes, in milliseconds, on a bad day.
const IN_A_ROW: usize = 64;
const ONE_MILLIS: u64 = 100;

impl<'a, 'h: 'a> ShardImport<'a, 'h> {
    pub(super) async fn run(mut self) -> Result<ShardEnd, Stop> {
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
                    Fill::Misfit(misfit) => self.pass_misfit(misfit).await?,
                    Fill::Full => {}
                }
                continue;
            }
            self.send().await?;
        }
    }

    /// Events and bytes to send at once.
    fn limits(&self) -> (usize, usize) {
        let slice = self.claimed.slice;
        let settings = slice.engine.settings;
        let at_most = |limit: u64, most: usize| usize::try_from(limit).unwrap_or(usize::MAX).min(most);
        let (events, bytes) = match slice.remaining() {
            Remaining::Limit { events, bytes } => {
                (at_most(events, settings.read_events), at_most(bytes, slice.at_once(settings.append_bytes)))
            }
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
        while self.reads_on() && self.unsent.len() < events && bytes < most_bytes {
            if !self.unsent.is_empty() && !slice.has_time() {
                break;
            }
            match self.read_one().await? {
                None => {}
                Some(Next::Event(sourced)) => {
                    bytes += sourced.event.payload.len();
                    self.unsent.push_back(sourced);
                }
                Some(Next::End(cursor)) => return Ok(Fill::End(cursor)),
                Some(Next::NoTime(check)) => return Ok(Fill::NoTime(check)),
                // [`Self::read_one`] keeps it.
                Some(Next::Misfit(_)) => {}
            }
        }
        if self.unsent.is_empty() {
            self.fail()?;
            if let Some(misfit) = self.misfit.take() {
                return Ok(Fill::Misfit(*misfit));
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
        let expected = self.claimed.record.work.tail.clone();
        let batch: Vec<NewEvent> = self.unsent.iter().take(self.batch()).map(|sourced| sourced.event.clone()).collect();
        // The next batch is read while the target makes this one durable: neither waits for the other. Where appends go
        // by key it is the target's own limits that are waited for.
        let conditional = self.route.stream.promises().appends == Appends::Conditional;
        let append = self.begin_append(&expected, &batch);
        let (answer, (sum, ahead)) = if conditional {
            join(append, async { (self.sum(batch.len()), self.read_ahead(batch.len()).await) }).await
        } else {
            (append.await, (self.sum(batch.len()), Ok(())))
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
        while self.reads_on() && self.unsent.len() - sent < events && bytes < most_bytes && slice.has_time() {
            let Some(Next::Event(sourced)) = self.read_one().await? else { break };
            bytes += sourced.event.payload.len();
            self.unsent.push_back(sourced);
        }
        Ok(())
    }

    /// How many of the unsent events go at once: reconciling may have read more than that.
    fn batch(&self) -> usize {
        let (most, most_bytes) = self.limits();
        let mut bytes = 0;
        let within = |sourced: &&Sourced| {
            let room = bytes < most_bytes;
            bytes += sourced.event.payload.len();
            room
        };
        self.unsent.iter().take(most).take_while(within).count().max(1)
    }

    async fn skip_to(&mut self, cursor: SourceCursor) -> Result<(), Stop> {
        let record = &mut self.claimed.record.work;
        record.cursor = cursor;
        record.check = None;
        self.flush().await
    }
}
