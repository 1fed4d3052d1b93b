//! A decorator of a stream that deaggregates: each event in an aggregate is an event of the stream.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sluice_ports::{Read, ReadLimit, Result, StreamFacts, StreamInfo, StreamListing, StreamReader};
use sluice_transfer::{Aggregate, Counts, Event, Position, Range, ReadShare, ShardId, Timestamp, TransferId};

/// Takes aggregates apart. Positions within a record are those of its events; the store behind sees only those between
/// records.
pub(crate) struct Deaggregated {
    inner: Arc<dyn StreamReader>,
    /// Events that the last read of a shard returned beyond its limit.
    left: Mutex<BTreeMap<ShardId, Left>>,
}

/// Events that were read and not yet answered, and the end of the read that returned them.
struct Left {
    from: Position,
    events: VecDeque<Event>,
    next: Position,
    at_tail: bool,
    reached: Option<Timestamp>,
}

impl Left {
    /// As many of the events as the limit allows, at least one. The rest stays.
    fn take(&mut self, limit: ReadLimit) -> Read {
        let (mut events, mut bytes) = (Vec::new(), 0);
        while events.is_empty() || (events.len() < limit.events && bytes < limit.bytes) {
            let Some(event) = self.events.pop_front() else { break };
            bytes += size(&event);
            events.push(event);
        }
        let whole = self.events.is_empty();
        let behind = events.last().map(|event: &Event| Position::After(event.sequence.clone()));
        self.from = if whole { self.next.clone() } else { behind.unwrap_or_else(|| self.from.clone()) };
        Read::Events {
            events,
            next: self.from.clone(),
            at_tail: whole && self.at_tail,
            reached: self.reached.filter(|_| whole),
        }
    }
}

/// Bytes as limits count them.
fn size(event: &Event) -> usize {
    let headers: usize = event.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    event.payload.len() + event.key.len() + headers
}

impl Deaggregated {
    pub(crate) fn new(inner: Arc<dyn StreamReader>) -> Self {
        Self { inner, left: Mutex::default() }
    }

    /// What an earlier read left behind that position.
    fn left(&self, shard: &ShardId, from: &Position) -> Option<Left> {
        let mut all = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(shard).filter(|left| left.from == *from && !left.events.is_empty())
    }

    /// Reads on, from the record that holds the position.
    async fn read_on(
        &self,
        shard: &ShardId,
        from: &Position,
        limit: ReadLimit,
    ) -> Result<std::result::Result<Left, Read>> {
        let whole = match from {
            Position::After(sequence) if sequence.sub().is_some() => Position::before(&sequence.record()),
            from => from.clone(),
        };
        Ok(match self.inner.read(shard, &whole, limit).await? {
            trimmed @ Read::Trimmed { .. } => Err(trimmed),
            Read::Events { events, next, at_tail, reached } => {
                let mut apart = VecDeque::with_capacity(events.len());
                for event in events {
                    match Aggregate::of(&event.payload) {
                        Some(aggregate) => apart.extend(aggregate.events(&event)),
                        None => apart.push_back(event),
                    }
                }
                apart.retain(|event| !from.covers(&event.sequence));
                Ok(Left { from: from.clone(), events: apart, next: next.max(from.clone()), at_tail, reached })
            }
        })
    }
}

#[async_trait]
impl StreamReader for Deaggregated {
    async fn describe(&self) -> Result<StreamInfo> {
        self.inner.describe().await
    }

    async fn list(&self) -> Result<StreamListing> {
        self.inner.list().await
    }

    async fn facts(&self) -> Result<StreamFacts> {
        self.inner.facts().await
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        let left = match self.left(shard, from) {
            Some(left) => Ok(left),
            None => self.read_on(shard, from, limit).await?,
        };
        Ok(match left {
            Err(trimmed) => trimmed,
            Ok(mut left) => {
                let read = left.take(limit);
                if !left.events.is_empty() {
                    self.left.lock().unwrap_or_else(PoisonError::into_inner).insert(shard.clone(), left);
                }
                read
            }
        })
    }

    fn share_reading(&self, share: ReadShare) {
        self.inner.share_reading(share);
    }

    fn reader_name(&self, transfer: &TransferId, place: &str) -> Option<String> {
        self.inner.reader_name(transfer, place)
    }

    async fn register_reader(&self, name: &str) -> Result<()> {
        self.inner.register_reader(name).await
    }

    async fn remove_reader(&self, name: &str) -> Result<()> {
        self.inner.remove_reader(name).await
    }

    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position> {
        self.inner.position_at(shard, time).await
    }

    /// The store behind counts records.
    async fn measure(&self, _: &ShardId, _: &Range) -> Result<Option<Counts>> {
        Ok(None)
    }

    /// The store behind counts records.
    async fn count_before(&self, _: &ShardId, _: &Range, _: Timestamp) -> Result<Option<u64>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use sluice_kit::{aggregate, append, shard};
    use sluice_memory::{MemoryStream, now};
    use sluice_ports::{NewEvent, StreamAdmin};
    use sluice_transfer::Sequence;

    use super::*;

    /// A stream of one shard: of each record the number of events in it, none for an ordinary one.
    fn stream(records: &[Option<u8>]) -> (MemoryStream, Deaggregated) {
        let stream = MemoryStream::new();
        now(stream.create(1)).unwrap();
        let record = |held: &Option<u8>| {
            let keys: Vec<String> = (0..held.unwrap_or_default()).map(|number| format!("k{number}")).collect();
            let events: Vec<_> = keys.iter().map(|key| (&key[..], None, key.as_bytes())).collect();
            let payload = held.map_or_else(|| b"ordinary"[..].into(), |_| aggregate(&events)).into();
            NewEvent { time: Timestamp::default(), key: b"a"[..].into(), headers: Vec::new(), payload }
        };
        append(&stream, 0, &Position::Beginning, &records.iter().map(record).collect::<Vec<_>>());
        (stream.clone(), Deaggregated::new(Arc::new(stream)))
    }

    /// All events behind a position, read in batches of at most `events`. `anew` says before which reads the reader is
    /// replaced by a new one.
    fn all(records: &[Option<u8>], from: &Position, events: usize, anew: &[bool]) -> Vec<Event> {
        let (mut reader, mut from, mut found) = (stream(records).1, from.clone(), Vec::new());
        for turn in 0.. {
            if anew.get(turn % anew.len().max(1)).copied().unwrap_or(false) {
                reader = stream(records).1;
            }
            let read = now(reader.read(&shard(0), &from, ReadLimit::new(events, usize::MAX))).unwrap();
            let Read::Events { events: more, next, at_tail, .. } = read else { panic!("trimmed") };
            assert!(next >= from && more.len() <= events);
            assert!(more.iter().all(|event| !from.covers(&event.sequence) && next.covers(&event.sequence)));
            found.extend(more);
            from = next;
            if at_tail {
                break;
            }
        }
        found
    }

    proptest! {
        #[test]
        fn small_reads_and_restarts_give_the_same_events(
            records in vec(proptest::option::of(1..6_u8), 1..8),
            events in 1..9_usize,
            anew in vec(any::<bool>(), 0..5),
            cut: proptest::sample::Index,
        ) {
            let whole = all(&records, &Position::Beginning, 1_000, &[]);
            let held = records.iter().map(|held| usize::from(held.unwrap_or(1))).sum::<usize>();
            prop_assert_eq!(whole.len(), held);
            prop_assert!(whole.iter().map(|event| &event.sequence).is_sorted());
            prop_assert_eq!(&all(&records, &Position::Beginning, events, &anew), &whole);
            let cut = cut.index(whole.len());
            let behind = Position::After(whole[cut].sequence.clone());
            prop_assert_eq!(&all(&records, &behind, events, &anew)[..], &whole[cut + 1..]);
        }
    }

    #[test]
    fn a_record_that_was_read_in_part_and_is_gone_is_trimmed() {
        let (inner, reader) = stream(&[Some(3), None]);
        now(inner.trim(&shard(0), &Position::After(Sequence::new(0)))).unwrap();
        let read =
            |from: Sequence| now(reader.read(&shard(0), &Position::After(from), ReadLimit::new(9, 999))).unwrap();
        assert!(matches!(read(Sequence::new(0).event(1, 3)), Read::Trimmed { .. }));
        // Behind the last event of it nothing is missing.
        assert!(matches!(read(Sequence::new(0).event(2, 3)), Read::Events { events, .. } if events.len() == 1));
    }
}
