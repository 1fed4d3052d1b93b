//! What became of an append whose answer is not known: the target is read behind the record's tail, and what stands
//! there of what the sources say comes next counts as sent. Anything else is somebody else's, and stops the import.

use std::collections::{HashMap, VecDeque};

use sluice_ports::{Appends, NewEvent, Read, ReadLimit};
use sluice_transfer::{Event, Position, Sequence, Value};

use super::reader::{Next, Sourced};
use super::shard::{Sent, ShardImport, import_record, import_record_mut};
use crate::error::{Code, OperationError, Stop};

/// Times the bounds of one append by key. A checkpoint stands in front of each, so what one append can hold is all that
/// can stand behind the record's tail; twice that, for an append that was made under larger bounds than today's.
const WINDOW: usize = 2;

impl ShardImport<'_, '_> {
    /// Whether it has to be looked what stands behind the record's tail. A store that appends conditionally is always
    /// asked, which costs one read and finds out foreign events early. Reads of others cost more (Kinesis allows five
    /// a second for a shard), and where whoever came before knew all answers nothing of ours can be there.
    pub(super) fn is_unsettled(&self) -> Result<bool, Stop> {
        let conditional = self.route.stream.appends() == Appends::Conditional;
        Ok(conditional || import_record(self.claimed)?.unsettled)
    }

    /// Makes the record follow the target.
    pub(super) async fn reconcile(&mut self) -> Result<(), Stop> {
        match self.route.stream.appends() {
            Appends::Conditional => self.follow().await?,
            Appends::ByKey => self.complete().await?,
        }
        import_record_mut(self.claimed)?.unsettled = false;
        Ok(())
    }

    /// After conditional appends: each event found is the one that comes next.
    async fn follow(&mut self) -> Result<(), Stop> {
        loop {
            let from = import_record(self.claimed)?.tail.clone();
            let (events, next, _) = self.read_target(&from).await?;
            if events.is_empty() {
                return Ok(());
            }
            let found = events.len();
            for (index, event) in events.into_iter().enumerate() {
                let sequence = event.sequence.clone();
                if self.unsent.len() <= index && !self.pull().await? {
                    return Err(self.foreign(&sequence));
                }
                let next = self.unsent.get(index).map(|sourced| &sourced.event);
                if next != self.route.stream.as_stored(event.into()).ok().as_ref() {
                    return Err(self.foreign(&sequence));
                }
            }
            self.sent(found, next).await?;
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
    async fn complete(&mut self) -> Result<(), Stop> {
        loop {
            // Whoever made the append is gone, but not yet its request.
            self.wait(self.claimed.slice.engine.settings.landing_millis).await?;
            let (arrived, next) = self.arrived().await?;
            let Some(last) = arrived.last() else { return Ok(()) };
            let missing: Vec<NewEvent> = self
                .unsent
                .iter()
                .take(last)
                .enumerate()
                .filter(|(index, _)| !arrived.has(*index))
                .map(event_of)
                .collect();
            let tail = if missing.is_empty() {
                next
            } else {
                match self.append(&next, &missing).await? {
                    Sent::Done(tail) => tail.max(next),
                    // Not for ever: the next slice goes on with it.
                    Sent::Unsure(error) if !self.claimed.slice.has_time() => return Err(Stop::Trouble(error)),
                    Sent::Unsure(_) | Sent::Elsewhere => continue,
                }
            };
            return self.sent(last, tail).await;
        }
    }

    /// Finds what stands behind the record's tail among the events that come next. Answers where the target ends, too.
    async fn arrived(&mut self) -> Result<(Arrived, Position), Stop> {
        let mut arrived = Arrived::default();
        let mut from = import_record(self.claimed)?.tail.clone();
        loop {
            let (events, next, at_tail) = self.read_target(&from).await?;
            for event in events {
                let sequence = event.sequence.clone();
                let Ok(event) = self.route.stream.as_stored(event.into()) else { return Err(self.foreign(&sequence)) };
                while !arrived.is_waiting_for(&event.key) {
                    if !self.within_window(&arrived) || (self.unsent.len() <= arrived.seen() && !self.pull().await?) {
                        return Err(self.foreign(&sequence));
                    }
                    if let Some(sourced) = self.unsent.get(arrived.seen()) {
                        arrived.expect(&sourced.event);
                    }
                }
                let index = arrived.take(&event.key);
                if index.and_then(|index| self.unsent.get(index)).is_none_or(|sourced| sourced.event != event) {
                    return Err(self.foreign(&sequence));
                }
            }
            from = next;
            if at_tail {
                return Ok((arrived, from));
            }
        }
    }

    fn within_window(&self, arrived: &Arrived) -> bool {
        let settings = self.claimed.slice.engine.settings;
        arrived.seen() < WINDOW * settings.read_events && arrived.bytes < WINDOW * settings.append_bytes
    }

    /// One more event of the sources behind those that are held. Answers whether there is one.
    async fn pull(&mut self) -> Result<bool, Stop> {
        // It cannot be asked again once it failed: it has perhaps dropped what it failed at.
        self.fail()?;
        match self.reader.next().await? {
            Next::Event(sourced) => self.unsent.push_back(sourced),
            Next::End(_) => return Ok(false),
            Next::NoTime(check) => {
                if self.unsent.is_empty() {
                    self.leave_off(check)?;
                } else {
                    import_record_mut(self.claimed)?.check = check;
                }
                self.claimed.flush().await?;
                return Err(Stop::Deadline);
            }
        }
        Ok(true)
    }

    async fn read_target(&self, from: &Position) -> Result<(Vec<Event>, Position, bool), Stop> {
        let slice = self.claimed.slice;
        let limit = ReadLimit { events: slice.engine.settings.read_events, bytes: slice.engine.settings.read_bytes };
        let (stream, shard) = (&self.route.stream, &self.claimed.record.shard);
        let read = slice.engine.persist(async || stream.read(shard, from, limit).await);
        match slice.bounded(read).await? {
            Read::Events { events, next, at_tail } => Ok((events, next, at_tail)),
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

    fn foreign(&self, at: &Sequence) -> Stop {
        OperationError::new(
            Code::ForeignEvents,
            format!(
                "{} holds an event at {}@{at} that this import did not send: somebody else writes into it. \
                 Cancel this import and start another into a new stream",
                self.route.config.stream, self.claimed.record.shard
            ),
        )
        .into()
    }
}

fn event_of((_, sourced): (usize, &Sourced)) -> NewEvent {
    sourced.event.clone()
}

/// Which of the events that come next were found in the target. Of each key they are found in order, so what is found
/// can only be the first one of its key that was not.
#[derive(Debug, Default)]
struct Arrived {
    /// Places of events that were not found, by key.
    waiting: HashMap<Value, VecDeque<usize>>,
    found: Vec<bool>,
    /// Bytes of payload of all that were looked at.
    bytes: usize,
}

impl Arrived {
    /// Events that were looked at.
    fn seen(&self) -> usize {
        self.found.len()
    }

    /// Looks at one more event that is to come.
    fn expect(&mut self, event: &NewEvent) {
        self.waiting.entry(event.key.clone()).or_default().push_back(self.found.len());
        self.found.push(false);
        self.bytes += event.payload.len();
    }

    fn is_waiting_for(&self, key: &Value) -> bool {
        self.waiting.get(key).is_some_and(|places| !places.is_empty())
    }

    /// The first of that key that was not found is. Answers its place.
    fn take(&mut self, key: &Value) -> Option<usize> {
        let index = self.waiting.get_mut(key)?.pop_front()?;
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
