//! The reconciliation of an append without an answer: the target is read behind the record's tail, and what stands
//! there of what the sources say comes next counts as sent. Anything else is somebody else's, and stops the import.

use std::collections::{HashMap, VecDeque};

use sluice_ports::{Appends, NewEvent, Read, ReadLimit};
use sluice_transfer::record::Tails;
use sluice_transfer::{Event, Order, Position, Sequence, ShardId, Timestamp, Value, leading_hash, leading_key};

use super::reader::{Next, Sourced};
use super::shard::{Sent, ShardImport};
use crate::error::{Code, OperationError, Stop};

/// Times the bounds of one append by key. A checkpoint stands in front of each, so what one append can hold is all that
/// can stand behind the record's tail; twice that, for an append that was made under larger bounds than today's.
const WINDOW: usize = 2;

impl ShardImport<'_, '_> {
    /// Whether it has to be looked what stands behind the record's tail. A store that appends conditionally is always
    /// asked, which costs one read and finds out foreign events early. Reads of others cost more (Kinesis allows five
    /// a second for a shard), and where whoever came before knew all answers nothing of ours can be there.
    pub(super) fn is_unsettled(&self) -> bool {
        let conditional = self.route.stream.promises().appends == Appends::Conditional;
        conditional || self.claimed.record.work.unsettled
    }

    /// Makes the record follow the target.
    pub(super) async fn reconcile(&mut self) -> Result<(), Stop> {
        match self.route.stream.promises().appends {
            Appends::Conditional => self.follow().await?,
            Appends::ByKey => self.complete().await?,
        }
        self.claimed.record.work.unsettled = false;
        self.forget_since().await
    }

    /// Takes off the record since when an append is in doubt. A slice that dies later may have sent right before: what is
    /// still to land is then waited for since that death.
    async fn forget_since(&mut self) -> Result<(), Stop> {
        if self.claimed.record.work.unsettled_since.take().is_none() {
            return Ok(());
        }
        self.claimed.touch();
        self.flush().await
    }

    /// After conditional appends: each event found is the one that comes next.
    async fn follow(&mut self) -> Result<(), Stop> {
        loop {
            let from = self.claimed.record.work.tail.clone();
            let (events, next, ..) = self.read_target(None, &from).await?;
            if events.is_empty() {
                return Ok(());
            }
            let found = events.len();
            for (index, event) in events.into_iter().enumerate() {
                let sequence = event.sequence.clone();
                if self.unsent.len() <= index && self.pull().await? == Pulled::End {
                    return Err(self.foreign(None, &sequence));
                }
                let next = self.unsent.get(index).map(|sourced| &sourced.event);
                if next != self.route.stream.as_stored(event.into()).ok().as_ref() {
                    return Err(self.foreign(None, &sequence));
                }
            }
            self.sent(found, Tails::of(next)).await?;
        }
    }

    /// After an append by key: what of it is missing is sent, and then all of it counts.
    ///
    /// An append keeps the order within a key, so of each key the first events arrived, and what is missing of a key
    /// comes behind what is there of it, in the sources as in the target: sent now, in the sources' order, it stands
    /// where it belongs. What comes after the last one that arrived is not touched: it is sent as if it never was.
    ///
    /// Whoever dies between sending and the checkpoint leaves of each key more of the first events of the same append;
    /// the next one finds them in the same way, ends at the same last event, and sends fewer.
    ///
    /// Where no order is kept any of its events arrived. What is missing in front of the last one found is sent in any
    /// order; the rest is the same.
    async fn complete(&mut self) -> Result<(), Stop> {
        loop {
            // Whoever made the append is gone, but not yet its request.
            let (now, landing) =
                (self.claimed.slice.engine.clock.now(), self.claimed.slice.engine.settings.landing_millis);
            let since = *self.claimed.record.work.unsettled_since.get_or_insert(now);
            self.wait(landing.saturating_sub(now.millis_since(since))).await?;
            let (arrived, next) = self.arrived_for_good().await?;
            let Some(last) = arrived.last() else {
                // All has landed: what stands up to there is of others, and is not read again.
                self.claimed.record.work.pass_to(next);
                self.claimed.touch();
                return Ok(());
            };
            let missing: Vec<NewEvent> = self
                .unsent
                .iter()
                .take(last)
                .enumerate()
                .filter(|(index, _)| !arrived.has(*index))
                .map(event_of)
                .collect();
            let tails = if missing.is_empty() {
                next
            } else if arrived.order == Order::Shard {
                // Each was sent once those in front of it had arrived: they are there, and not shown yet.
                if !self.claimed.slice.has_time() {
                    return Err(Stop::Deadline);
                }
                self.wait(self.claimed.slice.engine.settings.shown_millis.max(1)).await?;
                continue;
            } else {
                self.forget_since().await?;
                match self.append(&next.own, &missing).await? {
                    Sent::Done(tails) => tails.max(next),
                    // Not for ever: the next slice goes on with it.
                    Sent::Unsure(error) if !self.claimed.slice.has_time() => return Err(Stop::Trouble(error)),
                    Sent::Unsure(_) | Sent::Elsewhere => continue,
                }
            };
            return self.sent(last, tails).await;
        }
    }

    /// The same of this shard's events twice in a row: what landed last may not be shown at once. Others may go on writing
    /// into shards that continue several.
    async fn arrived_for_good(&mut self) -> Result<(Arrived, Tails), Stop> {
        // All has landed: where it is by now, it stays.
        let shards = self.shards().await?;
        let mut before = self.arrived(&shards).await?;
        loop {
            self.wait(self.claimed.slice.engine.settings.shown_millis).await?;
            let now = self.arrived(&shards).await?;
            if now.0.found == before.0.found {
                return Ok(now);
            }
            before = now;
        }
    }

    /// The shards in which this one's events may be: itself, and those that continue it since the target was split or
    /// merged; parents first. One that is no longer listed has expired.
    async fn shards(&self) -> Result<Vec<ShardId>, Stop> {
        let record = &self.claimed.record;
        let Some(hashes) = record.hashes else { return Ok(vec![record.shard.clone()]) };
        let mut left = self.route.stream.list().await?.shards;
        if left.iter().all(|listed| listed.hashes.is_none()) {
            return Ok(vec![record.shard.clone()]);
        }
        left.retain(|listed| listed.hashes.is_some_and(|of| of.meets(hashes)));
        let (mut found, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(|listed| listed.shard == record.shard);
        left = rest;
        if found.is_empty() {
            // Those before it expired earlier, so all that meet its hashes continue it.
            return Ok(left.into_iter().map(|listed| listed.shard).collect());
        }
        loop {
            let continues = |parent: &ShardId| found.iter().any(|found| found.shard == *parent);
            let (next, rest): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|listed| listed.parents.iter().any(continues));
            if next.is_empty() {
                return Ok(found.into_iter().map(|found| found.shard).collect());
            }
            found.extend(next);
            left = rest;
        }
    }

    /// Finds what stands behind the record's tails among the events that come next. Answers where the target ends, too.
    async fn arrived(&mut self, shards: &[ShardId]) -> Result<(Arrived, Tails), Stop> {
        let order = self.route.config.order.unwrap_or_default();
        let (mut arrived, mut tails) = (Arrived::new(order), self.claimed.record.work.tails());
        for shard in shards {
            if *shard == self.claimed.record.shard {
                tails.own = self.arrived_in(None, tails.own, &mut arrived).await?;
                continue;
            }
            let from = tails.continued.remove(shard).unwrap_or_default();
            let tail = self.arrived_in(Some(shard), from, &mut arrived).await?;
            if tail != Position::Beginning {
                tails.continued.insert(shard.clone(), tail);
            }
        }
        Ok((arrived, tails))
    }

    /// The same for one shard, this one or one that continues it. Answers where it ends.
    async fn arrived_in(
        &mut self,
        shard: Option<&ShardId>,
        mut from: Position,
        arrived: &mut Arrived,
    ) -> Result<Position, Stop> {
        let begun = self.claimed.slice.engine.clock.now();
        loop {
            let (events, next, at_tail, reached) = self.read_target(shard, &from).await?;
            if next != Position::End {
                from = next;
            } else if let Some(last) = events.last() {
                // A closed shard: nothing is behind its last event.
                from = Position::After(last.sequence.clone());
            }
            for event in events {
                let sequence = event.sequence.clone();
                let Ok(event) = self.route.stream.as_stored(event.into()) else {
                    return Err(self.foreign(shard, &sequence));
                };
                if shard.is_none() || self.is_of_this_shard(&event) {
                    self.arrive(shard, &sequence, event, arrived).await?;
                }
            }
            // An idle shard need not say that this is its end.
            if at_tail || reached.is_some_and(|reached| reached >= begun) {
                return Ok(from);
            }
        }
    }

    /// Shards that continue several, since these were merged, hold the events of all.
    fn is_of_this_shard(&self, event: &NewEvent) -> bool {
        self.claimed.record.hashes.is_none_or(|hashes| hashes.contains(leading_hash(&event.key, &event.payload)))
    }

    /// An event was found: it is one of those that come next, or somebody else's.
    async fn arrive(
        &mut self,
        shard: Option<&ShardId>,
        sequence: &Sequence,
        event: NewEvent,
        arrived: &mut Arrived,
    ) -> Result<(), Stop> {
        let line = arrived.line(&event);
        while !arrived.is_waiting_for(&line) {
            if !self.within_window(arrived)
                || (self.unsent.len() <= arrived.seen() && self.pull().await? == Pulled::End)
            {
                return Err(self.foreign(shard, sequence));
            }
            if let Some(sourced) = self.unsent.get(arrived.seen()) {
                arrived.expect(&sourced.event);
            }
        }
        let index = arrived.take(&line);
        if index.and_then(|index| self.unsent.get(index)).is_none_or(|sourced| sourced.event != event) {
            return Err(self.foreign(shard, sequence));
        }
        Ok(())
    }

    fn within_window(&self, arrived: &Arrived) -> bool {
        let settings = self.claimed.slice.engine.settings;
        arrived.seen() < WINDOW * settings.read_events && arrived.bytes < WINDOW * settings.append_bytes
    }

    /// Reads one more event of the sources behind those that are held.
    async fn pull(&mut self) -> Result<Pulled, Stop> {
        // It cannot be asked again once it failed: it has perhaps dropped what it failed at.
        self.fail()?;
        if self.misfit.is_some() {
            return Ok(Pulled::End);
        }
        match self.reader.next().await? {
            Next::Event(sourced) => self.unsent.push_back(sourced),
            Next::End(_) => return Ok(Pulled::End),
            // Nothing behind it was ever sent.
            Next::Misfit(misfit) => {
                self.misfit = Some(misfit);
                return Ok(Pulled::End);
            }
            Next::NoTime(check) => {
                if self.unsent.is_empty() {
                    self.leave_off(check)?;
                } else {
                    self.claimed.record.work.check = check;
                }
                self.claimed.flush().await?;
                return Err(Stop::Deadline);
            }
        }
        Ok(Pulled::Event)
    }

    async fn read_target(
        &self,
        shard: Option<&ShardId>,
        from: &Position,
    ) -> Result<(Vec<Event>, Position, bool, Option<Timestamp>), Stop> {
        let slice = self.claimed.slice;
        let limit = ReadLimit::new(slice.engine.settings.read_events, slice.engine.settings.read_bytes);
        let (stream, shard) = (&self.route.stream, shard.unwrap_or(&self.claimed.record.shard));
        match stream.read(shard, from, limit).await? {
            Read::Events { events, next, at_tail, reached } => Ok((events, next, at_tail, reached)),
            Read::Trimmed { earliest } => Err(OperationError::new(
                Code::ForeignEvents,
                format!(
                    "{} was trimmed up to {earliest} while it was imported into, so what arrived can no longer be \
                     told: cancel this import and start another into a new stream",
                    self.route.config.stream
                ),
            )
            .into()),
        }
    }

    fn foreign(&self, shard: Option<&ShardId>, at: &Sequence) -> Stop {
        OperationError::new(
            Code::ForeignEvents,
            format!(
                "{} holds an event at {}@{at} that this import did not send: somebody else writes into it. \
                 Cancel this import and start another into a new stream",
                self.route.config.stream,
                shard.unwrap_or(&self.claimed.record.shard)
            ),
        )
        .into()
    }
}

/// The result of reading one more event of the sources.
#[derive(PartialEq, Eq)]
enum Pulled {
    Event,
    /// There are no more, or none that may have been sent.
    End,
}

fn event_of((_, sourced): (usize, &Sourced)) -> NewEvent {
    sourced.event.clone()
}

/// Events of one line were sent one after the other: those of a key. Where no order is kept a line has the events that
/// nobody can tell apart, so that any of them may have arrived without those in front of it.
type Line = (Value, Option<Value>);

/// Which of the events that come next were found in the target. Of each line they are found in order, so what is found
/// can only be the first one of its line that was not.
#[derive(Debug, Default)]
struct Arrived {
    order: Order,
    /// Places of events that were not found, by line.
    waiting: HashMap<Line, VecDeque<usize>>,
    found: Vec<bool>,
    /// Bytes of payload of all that were looked at.
    bytes: usize,
}

impl Arrived {
    fn new(order: Order) -> Self {
        Self { order, ..Self::default() }
    }

    /// Where an event belongs.
    fn line(&self, event: &NewEvent) -> Line {
        match self.order {
            // Of a whole shard's order the first events arrived, and so of each key: they may be in several shards by now.
            Order::Key | Order::Shard => (leading_key(&event.key, &event.payload), None),
            Order::None => (event.key.clone(), Some(event.payload.clone())),
        }
    }

    /// Events that were looked at.
    fn seen(&self) -> usize {
        self.found.len()
    }

    /// Looks at one more event that is to come.
    fn expect(&mut self, event: &NewEvent) {
        self.waiting.entry(self.line(event)).or_default().push_back(self.found.len());
        self.found.push(false);
        self.bytes += event.payload.len();
    }

    fn is_waiting_for(&self, line: &Line) -> bool {
        self.waiting.get(line).is_some_and(|places| !places.is_empty())
    }

    /// The first of that line that was not found is. Answers its place.
    fn take(&mut self, line: &Line) -> Option<usize> {
        let index = self.waiting.get_mut(line)?.pop_front()?;
        *self.found.get_mut(index)? = true;
        Some(index)
    }

    fn has(&self, index: usize) -> bool {
        self.found.get(index).copied().unwrap_or_default()
    }

    /// How many events there are up to the last one that was found; none if none was.
    fn last(&self) -> Option<usize> {
        self.found.iter().rposition(|found| *found).map(|index| index + 1)
    }
}
