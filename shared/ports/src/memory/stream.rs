//! A stream that lives in the process: what the promises of [`StreamStore`] mean, in the plainest terms.
//!
//! **Invariant.** A shard's events lie densely from `earliest` on, so an event's number is its index plus `earliest`;
//! `earliest` only grows. No method waits for anything: the lock is held for one call's work and never across an await.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sluice_transfer::limits::{EVENT_BYTES, HEADERS, SHARDS};
use sluice_transfer::{Counts, Event, Header, Position, Range, Sequence, ShardId, Timestamp, TransferId, Value};

use crate::{
    Appended, Appends, Clock, Error, ErrorKind, ListedShard, NewEvent, Read, ReadLimit, Reservation, Result, ShardInfo,
    ShardLimits, StreamFacts, StreamInfo, StreamListing, StreamStore,
};

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
    /// It knows its events by when they arrived.
    arrivals: Option<Arrivals>,
    limits: Option<ShardLimits>,
}

/// How a stream behaves that knows its events by when they arrived, as Kinesis does.
#[derive(Clone)]
struct Arrivals {
    clock: Arc<dyn Clock>,
    /// What arrived longer ago than this is gone.
    retention_millis: u64,
    /// How far a read comes at most where there is no event.
    stride_millis: u64,
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (retention, stride) = (self.retention_millis, self.stride_millis);
        f.debug_struct("Arrivals").field("retention", &retention).field("stride", &stride).finish_non_exhaustive()
    }
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

#[derive(Debug, Default)]
struct Shard {
    earliest: u64,
    events: VecDeque<Event>,
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

impl Arrivals {
    fn horizon(&self) -> Timestamp {
        self.clock.now().minus_millis(self.retention_millis)
    }

    /// As [`Shard::read`], where times tell what is gone, and silence is crossed in strides.
    fn read(&self, shard: &Shard, from: &Position, limit: ReadLimit) -> Read {
        let (now, horizon) = (self.clock.now(), self.horizon());
        let first = shard.behind(from);
        // What is trimmed from its beginning nobody had read, and what came before `since` is known.
        let known = *from == Position::Beginning || limit.since.is_some_and(|since| since >= horizon);
        if first < shard.earliest && !known {
            return Read::Trimmed { earliest: Position::before(&Sequence::new(shard.earliest)) };
        }
        let first = first.max(shard.earliest);
        let wanted = |event: &&Event| limit.since.is_none_or(|since| event.time >= since);
        let first = shard
            .events
            .range(shard.index(first)..)
            .find(wanted)
            .map_or(shard.next(), |event| event.sequence.as_u64().unwrap_or(u64::MAX));
        let begins = match first.checked_sub(1).filter(|last| *last >= shard.earliest && limit.since.is_none()) {
            Some(last) => shard.events[shard.index(last)].time,
            None => limit.since.unwrap_or(horizon).max(horizon),
        };
        let comes_to = begins.plus_millis(self.stride_millis).min(now);
        if shard.events.get(shard.index(first)).is_some_and(|event| event.time > comes_to) {
            return Read::Events { events: Vec::new(), next: from.clone(), at_tail: false, reached: Some(comes_to) };
        }
        match shard.read(&Position::before(&Sequence::new(first)), limit) {
            Read::Events { events, next, at_tail, .. } => {
                let next = if events.is_empty() { from.clone() } else { next };
                let at_tail = at_tail && (!events.is_empty() || comes_to == now);
                let reached =
                    if at_tail { Some(now) } else { events.last().map_or(Some(comes_to), |last| Some(last.time)) };
                Read::Events { events, next, at_tail, reached }
            }
            trimmed @ Read::Trimmed { .. } => trimmed,
        }
    }
}

impl Held {
    fn shard(&mut self, id: &ShardId) -> Result<&mut Shard> {
        let missing = || Error::new(ErrorKind::NotFound, format!("the stream in memory has no shard '{id}'"));
        self.shards.get_mut(id).ok_or_else(missing)
    }
}

impl Shard {
    /// The number that the next event gets.
    fn next(&self) -> u64 {
        self.earliest + self.events.len() as u64
    }

    fn tail(&self) -> Position {
        Position::before(&Sequence::new(self.next()))
    }

    /// The first number behind a position, at most the next one to be given.
    fn behind(&self, position: &Position) -> u64 {
        position.next_sequence().and_then(|sequence| sequence.as_u64()).map_or(self.next(), |n| n.min(self.next()))
    }

    /// Index of a number that is not trimmed.
    fn index(&self, number: u64) -> usize {
        usize::try_from(number - self.earliest).unwrap_or(usize::MAX)
    }

    fn read(&self, from: &Position, limit: ReadLimit) -> Read {
        let first = self.behind(from);
        if first < self.earliest {
            return Read::Trimmed { earliest: Position::before(&Sequence::new(self.earliest)) };
        }
        // Times need not grow: it begins at the first event of that time, whatever stands behind it.
        let since = |since| self.events.iter().find(|event| event.time >= since);
        let first = match limit.since {
            Some(time) => since(time).and_then(|event| event.sequence.as_u64()).map_or(self.next(), |n| n.max(first)),
            None => first,
        };
        let mut events = Vec::new();
        let mut bytes = 0_usize;
        for event in self.events.range(self.index(first)..) {
            if !events.is_empty() && (events.len() >= limit.events || bytes >= limit.bytes) {
                break;
            }
            bytes = bytes.saturating_add(size(&event.key, &event.headers, &event.payload));
            events.push(event.clone());
        }
        let next = events.last().map_or_else(|| from.clone(), |last: &Event| Position::After(last.sequence.clone()));
        let at_tail = first + events.len() as u64 == self.next();
        Read::Events { events, next, at_tail, reached: None }
    }

    /// Drops what came before a time, from the front.
    fn drop_before(&mut self, time: Timestamp) {
        while self.events.front().is_some_and(|event| event.time < time) {
            self.events.pop_front();
            self.earliest += 1;
        }
    }

    fn push(&mut self, event: NewEvent) {
        let sequence = Sequence::new(self.next());
        let NewEvent { time, key, headers, payload } = event;
        self.events.push_back(Event { sequence, time, key, headers, payload });
    }
}

/// Bytes of payload, key and headers.
fn size(key: &Value, headers: &[Header], payload: &Value) -> usize {
    payload.len() + key.len() + headers.iter().map(|header| header.name.len() + header.value.len()).sum::<usize>()
}

fn check(event: &NewEvent) -> Result<()> {
    let bytes = size(&event.key, &event.headers, &event.payload);
    if bytes > EVENT_BYTES {
        let what = format!("an event of {bytes} bytes (payload, key and headers) is larger than {EVENT_BYTES}");
        return Err(Error::new(ErrorKind::Invalid, what));
    }
    if event.headers.len() > HEADERS {
        let what = format!("an event with {} headers has more than {HEADERS}", event.headers.len());
        return Err(Error::new(ErrorKind::Invalid, what));
    }
    Ok(())
}

#[async_trait]
impl StreamStore for MemoryStream {
    async fn describe(&self) -> Result<StreamInfo> {
        self.with(|held| {
            let info = |(id, shard): (&ShardId, &Shard)| ShardInfo {
                shard: id.clone(),
                earliest: Position::before(&Sequence::new(shard.earliest)),
                tail: shard.tail(),
                parents: Vec::new(),
                hashes: None,
                closed: false,
            };
            let mut shards: Vec<_> = held.shards.iter().map(info).collect();
            // They are named by their numbers.
            shards.sort_by_key(|info| info.shard.as_str().parse::<u32>().unwrap_or(u32::MAX));
            Ok(StreamInfo { shards, writer: held.writer.clone(), largest_event: EVENT_BYTES as u64 })
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

    async fn create(&self, shards: u32) -> Result<bool> {
        if shards == 0 || shards as usize > SHARDS {
            let what = format!("a stream has 1 to {SHARDS} shards, not {shards}");
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let mut state = self.lock();
        if state.held.is_some() {
            return Ok(false);
        }
        let name = |number: u32| {
            let name = number.to_string().parse::<ShardId>();
            name.map_err(|why| Error::with(ErrorKind::Invalid, "a shard cannot be named", why))
        };
        let shards = (0..shards).map(|number| Ok((name(number)?, Shard::default()))).collect::<Result<_>>()?;
        state.made += 1;
        state.held = Some(Held { created: Timestamp::from_millis(state.made.into()), shards, writer: None });
        Ok(true)
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        self.with_shard(shard, |shard| match &self.arrivals {
            Some(arrivals) => arrivals.read(shard, from, limit),
            None => shard.read(from, limit),
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

    fn appends(&self) -> Appends {
        if self.by_key { Appends::ByKey } else { Appends::Conditional }
    }

    fn as_stored(&self, event: NewEvent) -> Result<NewEvent> {
        if !self.by_key {
            return Ok(event);
        }
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

    async fn append(
        &self,
        shard: &ShardId,
        writer: Option<&TransferId>,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        events.iter().try_for_each(check)?;
        let kept = events.iter().map(|event| self.as_stored(event.clone())).collect::<Result<Vec<_>>>()?;
        self.with(|held| {
            match (&held.writer, writer) {
                (Some(holder), writer) if writer != Some(holder) => return Ok(Appended::Reserved(holder.clone())),
                (None, Some(writer)) => {
                    let what = format!("the stream in memory is not reserved for {writer}, which wants to append");
                    return Err(Error::new(ErrorKind::Denied, what));
                }
                _ => {}
            }
            let shard = held.shard(shard)?;
            if !self.by_key && shard.tail() != *expected {
                return Ok(Appended::Elsewhere { tail: shard.tail() });
            }
            for mut event in kept {
                if let Some(arrivals) = &self.arrivals {
                    event.time = arrivals.clock.now();
                }
                shard.push(event);
            }
            Ok(Appended::Done { tail: shard.tail() })
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn keeps_every_promise() {
        conformance::stream::run(|| async { Arc::new(MemoryStream::new()) as Arc<dyn StreamStore> }).await;
    }

    #[tokio::test]
    async fn keeps_the_promises_of_one_that_appends_by_key() {
        let fresh = |_| async { Arc::new(MemoryStream::by_key()) as Arc<dyn StreamStore> };
        // Such a stream stands in for services, which do not count.
        let promises = conformance::stream::Promises { counts: false, ..conformance::stream::Promises::ALL };
        conformance::stream::by_key(promises, fresh).await;
    }

    #[tokio::test]
    async fn clones_are_the_same_stream() {
        let (stream, shard) = (MemoryStream::new(), "0".parse().unwrap());
        let clone = stream.clone();
        assert!(clone.events(&shard).is_empty());
        stream.create(1).await.unwrap();
        let event =
            NewEvent { time: Timestamp::from_micros(5), key: Value::Null, headers: Vec::new(), payload: Value::Absent };
        clone.append(&shard, None, &Position::Beginning, &[event.clone(), event]).await.unwrap();
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
