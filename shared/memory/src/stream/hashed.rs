//! A stream whose keys lead to its shards, as in Kinesis: each has a range of hashes, and can be split or merged.

use std::collections::BTreeMap;

use sluice_ports::{Appended, Error, ErrorKind, NewEvent, Result};
use sluice_transfer::{HashRange, Position, ShardId, leading_hash};

use super::shard::Shard;
use super::{Held, MemoryStream, name};

impl MemoryStream {
    /// The same stream, but each shard has the hashes of the keys that lead to it, and can be split and merged. Shards
    /// are counted by their hashes, open ones first. Before it is made.
    #[must_use]
    pub fn hashed(self) -> Self {
        Self { hashed: true, ..self }
    }

    /// Splits an open shard in the middle of its hashes. Two shards continue it. `Invalid` if it cannot be split.
    pub fn split(&self, shard: &ShardId) -> Result<[ShardId; 2]> {
        self.with(|held| {
            let hashes = held.open(shard)?.hashes.unwrap_or(HashRange::ALL);
            let middle = hashes.first() + (hashes.last() - hashes.first()) / 2;
            let halves = HashRange::new(hashes.first(), middle).zip(HashRange::new(middle + 1, hashes.last()));
            let (low, high) = halves.ok_or_else(|| cannot(format!("shard {shard} has one hash only")))?;
            Ok([held.continued(&[shard], low)?, held.continued(&[shard], high)?])
        })
    }

    /// Merges two open shards whose hashes lie next to each other, the lower ones first. One continues both. `Invalid`
    /// if they cannot be merged.
    pub fn merge(&self, low: &ShardId, high: &ShardId) -> Result<ShardId> {
        self.with(|held| {
            let ends = held.open(low)?.hashes.zip(held.open(high)?.hashes);
            let both = ends.filter(|(low, high)| low.last().checked_add(1) == Some(high.first()));
            let both = both.and_then(|(low, high)| HashRange::new(low.first(), high.last()));
            let both = both.ok_or_else(|| cannot(format!("the hashes of {low} and {high} do not meet")))?;
            held.continued(&[low, high], both)
        })
    }

    /// The shards that take events, by their hashes.
    pub fn open_shards(&self) -> Vec<(ShardId, HashRange)> {
        let open = self.with(|held| {
            let open = held.shards.iter().filter(|(_, shard)| !shard.closed);
            Ok(open.map(|(id, shard)| (id.clone(), shard.hashes.unwrap_or(HashRange::ALL))).collect::<Vec<_>>())
        });
        let mut open = open.unwrap_or_default();
        open.sort_by_key(|(_, hashes)| *hashes);
        open
    }
}

fn cannot(what: String) -> Error {
    Error::new(ErrorKind::Invalid, what)
}

impl Shard {
    /// Without events. As in Kinesis none has the number 0, so that the first one that is read tells a beginning apart.
    pub(super) fn hashed(hashes: HashRange) -> Self {
        Self { first: 1, earliest: 1, hashes: Some(hashes), ..Self::default() }
    }
}

impl Held {
    /// A shard that takes events.
    pub(super) fn open(&mut self, id: &ShardId) -> Result<&mut Shard> {
        match self.shard(id)? {
            shard if shard.closed => Err(cannot(format!("shard {id} of the stream in memory is closed"))),
            shard => Ok(shard),
        }
    }

    /// Makes a shard that continues these, which are closed.
    fn continued(&mut self, parents: &[&ShardId], hashes: HashRange) -> Result<ShardId> {
        let id = name(u32::try_from(self.shards.len()).unwrap_or(u32::MAX))?;
        for parent in parents {
            self.shard(parent)?.closed = true;
        }
        let parents = parents.iter().map(|parent| (*parent).clone()).collect();
        self.shards.insert(id.clone(), Shard { parents, ..Shard::hashed(hashes) });
        Ok(id)
    }

    /// Appends each event to the open shard that its key leads to. Answers as an append to `shard`.
    pub(super) fn append_by_hash(
        &mut self,
        shard: &ShardId,
        expected: &Position,
        events: Vec<NewEvent>,
    ) -> Result<Appended> {
        self.shard(shard)?;
        let mut tails = BTreeMap::new();
        for event in events {
            let hash = leading_hash(&event.key, &event.payload);
            let leads = |shard: &Shard| !shard.closed && shard.hashes.is_none_or(|hashes| hashes.contains(hash));
            let found = self.shards.iter_mut().find(|(_, shard)| leads(shard));
            let (id, shard) = found.ok_or_else(|| cannot("no open shard has the hash of a key".to_owned()))?;
            shard.push(event);
            tails.insert(id.clone(), shard.tail());
        }
        if tails.keys().all(|id| id == shard) {
            return Ok(Appended::Done { tail: tails.remove(shard).unwrap_or_else(|| expected.clone()) });
        }
        Ok(Appended::Spread { tails })
    }
}

#[cfg(test)]
mod tests {
    use sluice_ports::{Read, ReadLimit, StreamAdmin, StreamReader, StreamStore, append_once};
    use sluice_transfer::{Timestamp, Value, key_hash};

    use super::*;
    use crate::now;

    fn event(key: &str) -> NewEvent {
        let payload = Value::from(key.to_owned());
        NewEvent { time: Timestamp::default(), key: Value::from(key.to_owned()), headers: Vec::new(), payload }
    }

    fn id(number: u32) -> ShardId {
        name(number).unwrap()
    }

    #[test]
    fn a_split_and_a_merge_move_keys_and_no_events() {
        let stream = MemoryStream::by_key().hashed();
        now(stream.create(1)).unwrap();
        let events: Vec<_> = (0..20).map(|n| event(&format!("key {n}"))).collect();
        let append = |shard| {
            let writer = now(stream.writer(&shard, None)).unwrap();
            now(writer.append_by_key(&Position::Beginning, &events)).unwrap()
        };
        assert!(matches!(append(id(0)), Appended::Done { .. }));
        assert_eq!(stream.split(&id(0)).unwrap(), [id(1), id(2)]);
        let Appended::Spread { tails } = append(id(0)) else { panic!("the shard is closed") };
        assert_eq!(tails.into_keys().collect::<Vec<_>>(), [id(1), id(2)]);
        for (shard, hashes) in stream.open_shards() {
            let keys: Vec<_> = stream.events(&shard).into_iter().map(|event| event.key).collect();
            assert!(!keys.is_empty() && keys.iter().all(|key| hashes.contains(key_hash(key.as_slice()))));
        }
        assert!(now(append_once(&stream, &id(0), None, &Position::Beginning, &events)).is_err(), "it is closed");
        assert!(stream.split(&id(0)).is_err() && stream.merge(&id(2), &id(1)).is_err());
        assert_eq!(stream.merge(&id(1), &id(2)).unwrap(), id(3));
        assert_eq!(stream.open_shards(), [(id(3), HashRange::ALL)]);
        assert_eq!([0, 1, 2, 3].map(|number| stream.events(&id(number)).len()).iter().sum::<usize>(), 40);
        let info = now(stream.describe()).unwrap();
        let names: Vec<_> = info.shards.iter().map(|info| (info.shard.clone(), info.closed)).collect();
        assert_eq!(names, [(id(3), false), (id(1), true), (id(0), true), (id(2), true)], "open ones first, by hash");
        assert_eq!(info.shards[0].parents, [id(1), id(2)]);
    }

    #[test]
    fn a_closed_shards_end_is_the_end() {
        let stream = MemoryStream::by_key().hashed();
        now(stream.create(1)).unwrap();
        now(append_once(&stream, &id(0), None, &Position::Beginning, &[event("a"), event("b")])).unwrap();
        stream.split(&id(0)).unwrap();
        let read = |from: &Position, most| now(stream.read(&id(0), from, ReadLimit::new(most, 1_000))).unwrap();
        let Read::Events { next, at_tail, .. } = read(&Position::Beginning, 1) else { panic!("nothing is lost") };
        assert!(!at_tail && next != Position::End);
        let Read::Events { events, next, at_tail, .. } = read(&next, 1) else { panic!("nothing is lost") };
        assert_eq!((events.len(), next, at_tail), (1, Position::End, true));
    }
}
