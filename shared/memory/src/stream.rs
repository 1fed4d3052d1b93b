//! A stream that lives in the process: what the promises of [`StreamStore`] mean, in the plainest terms.
//!
//! **Invariant.** A shard's events lie densely from `earliest` on, so an event's number is its index plus `earliest`;
//! `earliest` only grows. No method waits for anything: the lock is held for one call's work and never across an await.

mod arrivals;
mod hashed;
mod shard;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sluice_ports::{
    Appended, Appends, Clock, Error, ErrorKind, ListedShard, Made, NewEvent, Promises, Read, ReadLimit, Reservation,
    Result, ShardInfo, ShardLimits, StreamAdmin, StreamFacts, StreamInfo, StreamListing, StreamReader, StreamStore,
    StreamWriter,
};
use sluice_transfer::limits::{EVENT_BYTES, SHARDS};
use sluice_transfer::{Counts, Event, HashRange, Position, Range, ShardId, Timestamp, TransferId, Value};

use self::arrivals::Arrivals;
use self::shard::{Shard, check};

/// Bytes of a key that an event without one is given by [`MemoryStream::by_key`].
const KEY_BYTES: usize = 2;

/// One stream in memory; it exists once it is created. Clones are handles of the same stream.
///
/// Shards are named `0`, `1`, …; numbers in a shard are dense from 0.
#[derive(Clone, Debug, Default)]
pub struct MemoryStream {
    state: Arc<Mutex<State>>,
    by_key: bool,
    uncounted: bool,
    /// Keys lead to shards.
    hashed: bool,
    /// It knows its events by when they arrived.
    arrivals: Option<Arrivals>,
    limits: Option<ShardLimits>,
    /// Bytes that it takes of an event, and then no headers.
    largest: Option<u64>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    /// How often the stream was made.
    made: u16,
}

#[derive(Debug)]
struct Held {
    /// When it was made: of two that were made one after the other each has its own time.
    created: Timestamp,
    shards: BTreeMap<ShardId, Shard>,
    writer: Option<TransferId>,
}

impl MemoryStream {
    /// A stream that does not exist yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A stream that does not exist yet and behaves as poorer stores do: it appends [`Appends::ByKey`], keeps neither
    /// times nor headers, gives events without a key the one that is the beginning of their payload, and cannot count.
    pub fn by_key() -> Self {
        Self { by_key: true, uncounted: true, ..Self::default() }
    }

    /// The same stream, but it cannot count what a range holds.
    #[must_use]
    pub fn uncounted(self) -> Self {
        Self { uncounted: true, ..self }
    }

    /// The same stream, but the time of an event is when it arrived, events are dropped after this many milliseconds,
    /// no end of a shard is known without a search, and a read that finds nothing comes only this many milliseconds of
    /// the stream's time further.
    #[must_use]
    pub fn by_arrival(self, clock: Arc<dyn Clock>, retention_millis: u64, stride_millis: u64) -> Self {
        Self { uncounted: true, arrivals: Some(Arrivals { clock, retention_millis, stride_millis }), ..self }
    }

    /// The same stream, but it says that its shards have these limits. It does not hold anybody to them.
    #[must_use]
    pub fn limited(self, limits: ShardLimits) -> Self {
        Self { limits: Some(limits), ..self }
    }

    /// The same stream, but as Kinesis it takes no event of more than this many bytes (payload, key and headers), and none
    /// with headers.
    #[must_use]
    pub fn narrow(self, largest: u64) -> Self {
        Self { largest: Some(largest), ..self }
    }

    /// Deletes the stream and all that it holds. It can be made again, and is another one then.
    pub fn delete(&self) {
        self.lock().held = None;
    }

    /// All events of a shard that are still there, in order; none if there is no such shard.
    pub fn events(&self, shard: &ShardId) -> Vec<Event> {
        let state = self.lock();
        let shard = state.held.as_ref().and_then(|held| held.shards.get(shard));
        shard.map_or_else(Vec::new, |shard| shard.events.iter().cloned().collect())
    }

    /// The event as poorer stores hold it.
    fn as_stored_by_key(event: NewEvent) -> Result<NewEvent> {
        let cannot = |what: &str| Error::new(ErrorKind::Invalid, format!("the stream in memory keeps no {what}"));
        if !event.headers.is_empty() {
            return Err(cannot("headers"));
        }
        let Value::Bytes(payload) = &event.payload else { return Err(cannot("event without a payload")) };
        let key = match event.key {
            Value::Absent => Value::Bytes(payload.slice(..payload.len().min(KEY_BYTES))),
            Value::Bytes(key) => Value::Bytes(key),
            Value::Null => return Err(cannot("null as a key")),
        };
        Ok(NewEvent { time: Timestamp::default(), key, headers: Vec::new(), payload: event.payload })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves whole values: every change below is made by one call on a collection.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Held) -> Result<T>) -> Result<T> {
        let mut state = self.lock();
        state
            .held
            .as_mut()
            .map_or_else(|| Err(Error::new(ErrorKind::NotFound, "there is no such stream in memory")), work)
    }

    fn with_shard<T>(&self, id: &ShardId, work: impl FnOnce(&mut Shard) -> T) -> Result<T> {
        let horizon = self.arrivals.as_ref().map(Arrivals::horizon);
        self.with(|held| {
            let shard = held.shard(id)?;
            if let Some(horizon) = horizon {
                shard.drop_before(horizon);
            }
            Ok(work(shard))
        })
    }
}

/// A shard's name.
fn name(number: u32) -> Result<ShardId> {
    let name = number.to_string().parse::<ShardId>();
    name.map_err(|why| Error::with(ErrorKind::Invalid, "a shard cannot be named", why))
}

impl Held {
    fn shard(&mut self, id: &ShardId) -> Result<&mut Shard> {
        let missing = || Error::new(ErrorKind::NotFound, format!("the stream in memory has no shard '{id}'"));
        self.shards.get_mut(id).ok_or_else(missing)
    }
}

#[async_trait]
impl StreamReader for MemoryStream {
    async fn describe(&self) -> Result<StreamInfo> {
        self.with(|held| {
            let info = |(id, shard): (&ShardId, &Shard)| ShardInfo {
                shard: id.clone(),
                earliest: shard.before(shard.earliest),
                tail: shard.tail(),
                parents: shard.parents.clone(),
                hashes: shard.hashes,
                closed: shard.closed,
            };
            let mut shards: Vec<_> = held.shards.iter().map(info).collect();
            // They are named by their numbers. Where keys lead to them, open ones come first, by their hashes: who
            // wants parents before children has to look.
            shards.sort_by_key(|info| {
                let number = info.shard.as_str().parse::<u32>().unwrap_or(u32::MAX);
                (info.hashes.map(|hashes| (info.closed, hashes)), number)
            });
            Ok(StreamInfo {
                shards,
                writer: held.writer.clone(),
                largest_event: self.largest.unwrap_or(EVENT_BYTES as u64),
            })
        })
    }

    async fn list(&self) -> Result<StreamListing> {
        let info = self.describe().await?;
        let searched = self.arrivals.is_some();
        let listed = |info: ShardInfo| ListedShard {
            shard: info.shard,
            parents: info.parents,
            hashes: info.hashes,
            ends: (!searched).then_some((info.earliest, info.tail)),
        };
        let shards = info.shards.into_iter().map(listed).collect();
        Ok(StreamListing { shards, facts: self.facts().await? })
    }

    async fn facts(&self) -> Result<StreamFacts> {
        let created = self.with(|held| Ok(Some(held.created)))?;
        let retention_millis = self.arrivals.as_ref().map(|arrivals| arrivals.retention_millis);
        Ok(StreamFacts { created, retention_millis, limits: self.limits })
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        self.with_shard(shard, |shard| {
            let read = match &self.arrivals {
                Some(arrivals) => arrivals.read(shard, from, limit),
                None => shard.read(from, limit),
            };
            match read {
                // Nothing ever comes behind it.
                Read::Events { events, at_tail: true, reached, .. } if shard.closed => {
                    Read::Events { events, next: Position::End, at_tail: true, reached }
                }
                read => read,
            }
        })
    }

    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position> {
        self.with_shard(shard, |shard| {
            let found = shard.events.iter().find(|event| event.time >= time);
            found.map_or_else(|| shard.tail(), |event| Position::before(&event.sequence))
        })
    }

    async fn measure(&self, shard: &ShardId, range: &Range) -> Result<Option<Counts>> {
        self.with_shard(shard, |shard| {
            if self.uncounted {
                return None;
            }
            let first = shard.behind(&range.from).max(shard.earliest);
            let until = shard.behind(&range.until).max(first);
            let events = shard.events.range(shard.index(first)..shard.index(until));
            Some(events.map(|event| Counts::new(1, event.payload.len() as u64)).sum())
        })
    }

    async fn count_before(&self, shard: &ShardId, range: &Range, time: Timestamp) -> Result<Option<u64>> {
        self.with_shard(shard, |shard| {
            if self.uncounted {
                return None;
            }
            let first = shard.behind(&range.from).max(shard.earliest);
            let until = shard.behind(&range.until).max(first);
            let events = shard.events.range(shard.index(first)..shard.index(until));
            Some(events.filter(|event| event.time < time).count() as u64)
        })
    }
}

#[async_trait]
impl StreamAdmin for MemoryStream {
    async fn create(&self, shards: u32) -> Result<Made> {
        if shards == 0 || shards as usize > SHARDS {
            let what = format!("a stream has 1 to {SHARDS} shards, not {shards}");
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let mut state = self.lock();
        if state.held.is_some() {
            return Ok(Made::Before);
        }
        let ranges = HashRange::equal(u16::try_from(shards).unwrap_or(u16::MAX));
        let one = |number: u32| {
            let hashes = ranges.get(number as usize).filter(|_| self.hashed);
            Ok((name(number)?, hashes.map_or_else(Shard::default, |hashes| Shard::hashed(*hashes))))
        };
        let shards = (0..shards).map(one).collect::<Result<_>>()?;
        state.made += 1;
        state.held = Some(Held { created: Timestamp::from_millis(state.made.into()), shards, writer: None });
        Ok(Made::Now)
    }

    async fn reserve(&self, writer: &TransferId) -> Result<Reservation> {
        self.with(|held| match &held.writer {
            Some(holder) if holder != writer => Ok(Reservation::HeldBy(holder.clone())),
            _ => {
                held.writer = Some(writer.clone());
                Ok(Reservation::Held)
            }
        })
    }

    async fn release(&self, writer: &TransferId) -> Result<()> {
        self.with(|held| {
            held.writer = held.writer.take().filter(|holder| holder != writer);
            Ok(())
        })
    }

    async fn trim(&self, shard: &ShardId, before: &Position) -> Result<()> {
        self.with(|held| {
            if let Some(holder) = &held.writer {
                let what = format!("the stream in memory is reserved for {holder}: nobody trims it meanwhile");
                return Err(Error::new(ErrorKind::Denied, what));
            }
            let shard = held.shard(shard)?;
            let earliest = shard.behind(before).max(shard.earliest);
            shard.events.drain(..shard.index(earliest));
            shard.earliest = earliest;
            Ok(())
        })
    }
}

#[async_trait]
impl StreamStore for MemoryStream {
    fn promises(&self) -> Promises {
        let appends = if self.by_key { Appends::ByKey } else { Appends::Conditional };
        // What arrives gets a time of the stream's own.
        let dense = !self.by_key && !self.uncounted && !self.hashed && self.arrivals.is_none();
        Promises { appends, counts: !self.uncounted, dense, ..Promises::ALL }
    }

    fn as_stored(&self, event: NewEvent) -> Result<NewEvent> {
        let event = if self.by_key { Self::as_stored_by_key(event)? } else { event };
        let Some(largest) = self.largest else { return Ok(event) };
        if !event.headers.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "the stream in memory keeps no headers"));
        }
        if event.size() > largest {
            let what = format!("an event of {} bytes is larger than the {largest} that it takes", event.size());
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        Ok(event)
    }

    async fn writer<'s>(&'s self, shard: &ShardId, fence: Option<&TransferId>) -> Result<Box<dyn StreamWriter + 's>> {
        Ok(Box::new(MemoryWriter { stream: self, shard: shard.clone(), fence: fence.cloned() }))
    }
}

/// Appends to one shard: it holds nothing but what it was opened with.
struct MemoryWriter<'s> {
    stream: &'s MemoryStream,
    shard: ShardId,
    fence: Option<TransferId>,
}

impl MemoryWriter<'_> {
    /// Appends events as they are kept, if the import may.
    fn append_kept(
        &self,
        events: &[NewEvent],
        append: impl FnOnce(&mut Held, Vec<NewEvent>) -> Result<Appended>,
    ) -> Result<Appended> {
        events.iter().try_for_each(check)?;
        let mut kept = events.iter().map(|event| self.stream.as_stored(event.clone())).collect::<Result<Vec<_>>>()?;
        if let Some(arrivals) = &self.stream.arrivals {
            for event in &mut kept {
                event.time = arrivals.clock.now();
            }
        }
        self.stream.with(|held| match (&held.writer, self.fence.as_ref()) {
            (Some(holder), writer) if writer != Some(holder) => Ok(Appended::Reserved(holder.clone())),
            (None, Some(writer)) => {
                let what = format!("the stream in memory is not reserved for {writer}, which wants to append");
                Err(Error::new(ErrorKind::Denied, what))
            }
            _ => append(held, kept),
        })
    }
}

#[async_trait]
impl StreamWriter for MemoryWriter<'_> {
    async fn append(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        self.append_kept(events, |held, kept| {
            let shard = held.open(&self.shard)?;
            if !self.stream.by_key && shard.tail() != *expected {
                return Ok(Appended::Elsewhere { tail: shard.tail() });
            }
            for event in kept {
                shard.push(event);
            }
            Ok(Appended::Done { tail: shard.tail() })
        })
    }

    async fn append_by_key(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        if !self.stream.hashed {
            return self.append(expected, events).await;
        }
        self.append_kept(events, |held, kept| held.append_by_hash(&self.shard, expected, kept))
    }
}

#[cfg(test)]
mod tests {
    use sluice_ports::append_once;
    use sluice_transfer::Sequence;

    use super::*;

    #[tokio::test]
    async fn clones_are_the_same_stream() {
        let (stream, shard) = (MemoryStream::new(), "0".parse().unwrap());
        let clone = stream.clone();
        assert!(clone.events(&shard).is_empty());
        stream.create(1).await.unwrap();
        let event =
            NewEvent { time: Timestamp::from_micros(5), key: Value::Null, headers: Vec::new(), payload: Value::Absent };
        append_once(&clone, &shard, None, &Position::Beginning, &[event.clone(), event]).await.unwrap();
        stream.trim(&shard, &Position::After(Sequence::new(0))).await.unwrap();
        let left = clone.events(&shard);
        assert_eq!((left.len(), left[0].sequence.as_u64()), (1, Some(1)));
    }

    #[tokio::test]
    async fn one_that_was_made_again_is_another() {
        let stream = MemoryStream::new();
        assert_eq!(stream.facts().await.unwrap_err().kind(), ErrorKind::NotFound);
        stream.create(1).await.unwrap();
        let first = stream.facts().await.unwrap();
        stream.create(1).await.unwrap();
        assert_eq!(stream.facts().await.unwrap(), first, "it was there");
        stream.delete();
        assert_eq!(stream.facts().await.unwrap_err().kind(), ErrorKind::NotFound);
        stream.create(1).await.unwrap();
        assert_ne!(stream.facts().await.unwrap().created, first.created);
    }
}
