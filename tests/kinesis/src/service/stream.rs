//! A stream and its shards, as they are held.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::Millis;
use crate::hash::Hashes;
use crate::number::Number;
use crate::service::limits::{Reads, Writes};
use crate::service::write::Entry;

/// Who decides how many shards there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its owner.
    Provisioned,
    /// The service.
    OnDemand,
}

/// What a stream can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It will be there soon.
    Creating,
    /// It will be gone soon.
    Deleting,
    /// Everything.
    Active,
    /// Reads and writes, while its shards are changed.
    Updating,
}

/// A record as it is held.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub number: Number,
    pub arrived: Millis,
    pub key: String,
    pub data: Bytes,
}

impl Stored {
    pub(super) fn size(&self) -> u64 {
        (self.key.len() + self.data.len()) as u64
    }
}

#[derive(Clone, Debug)]
pub(super) struct Shard {
    pub index: u32,
    pub id: String,
    pub hashes: Hashes,
    pub parent: Option<String>,
    pub adjacent: Option<String>,
    /// The number that its range begins with; no record has it.
    pub starting: Number,
    pub opened: Millis,
    pub closed: Option<Closed>,
    pub records: VecDeque<Stored>,
    /// The index of the last record that was trimmed; 0 if none was.
    pub trimmed: u64,
    pub reads: Reads,
    pub writes: Writes,
    /// Bytes taken since the minute began, and when it began.
    pub load: (u64, Millis),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    pub at: Millis,
    pub ending: Number,
}

impl Shard {
    /// Where the first record is whose index is not below that.
    pub(super) fn place_of(&self, index: u64) -> usize {
        self.records.partition_point(|record| record.number.index < index)
    }

    /// The index of the first record that arrived at or after a time, or `next`, which the next record will have.
    pub(super) fn index_at(&self, time: Millis, next: u64) -> u64 {
        let place = self.records.partition_point(|record| record.arrived < time);
        self.records.get(place).map_or(next, |record| record.number.index)
    }

    /// When its stream time ends.
    pub(super) fn end(&self, now: Millis) -> Millis {
        self.closed.map_or(now, |closed| closed.at)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub name: String,
    pub arn: String,
    pub created: Millis,
    /// It is active from then on.
    pub active: Millis,
    /// When it will be gone, if it is being removed.
    pub gone: Option<Millis>,
    /// The last subscription to each shard: when it was made, and its number.
    pub subscribed: BTreeMap<String, (Millis, u64)>,
    /// Subscriptions that were made.
    pub subscriptions: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub name: String,
    pub arn: String,
    pub created: Millis,
    pub mode: Mode,
    pub retention_hours: u32,
    /// KiB that a record may have.
    pub largest_kib: u32,
    /// What it becomes `Active` from, or goes away from, and when.
    pub change: Option<(Status, Millis)>,
    pub shards: Vec<Shard>,
    pub consumers: Vec<Consumer>,
    /// The index that the last record was given.
    pub issued: u64,
    /// What was sent and lands later, by time and order.
    pub under_way: BTreeMap<(Millis, u64), Entry>,
}

impl Stream {
    pub(super) fn retention(&self) -> Millis {
        Millis::from(self.retention_hours) * 3_600_000
    }

    pub(super) fn status(&self, now: Millis) -> Status {
        match self.change {
            Some((status, until)) if now < until => status,
            _ => Status::Active,
        }
    }

    pub(super) fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| shard.closed.is_none())
    }

    pub(super) fn shard_mut(&mut self, id: &str) -> Option<&mut Shard> {
        self.shards.iter_mut().find(|shard| shard.id == id)
    }

    pub(super) fn shard(&self, id: &str) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.id == id)
    }

    /// Where the open shard of a hash stands.
    pub(super) fn place_of(&self, hash: u128) -> usize {
        let open = self.shards.iter().position(|shard| shard.closed.is_none() && shard.hashes.contains(hash));
        open.expect("open shards fill the hash space")
    }

    /// Opens a shard; answers its name.
    pub(super) fn open(&mut self, now: Millis, hashes: Hashes, parents: [Option<String>; 2]) -> String {
        let index = self.shards.last().map_or(0, |last| last.index + 1);
        let id = format!("shardId-{index:012}");
        let starting = Number { created: now / 1_000, shard: index, index: 0, second: now / 1_000 };
        let [parent, adjacent] = parents;
        let (reads, writes) = <(Reads, Writes)>::default();
        self.shards.push(Shard {
            index,
            id: id.clone(),
            hashes,
            parent,
            adjacent,
            starting,
            opened: now,
            closed: None,
            records: VecDeque::new(),
            trimmed: 0,
            reads,
            writes,
            load: (0, now),
        });
        id
    }

    /// Takes no more records into a shard.
    pub(super) fn close(&mut self, id: &str, now: Millis) {
        if let Some(shard) = self.shard_mut(id) {
            let ending = Number { index: Number::LAST, second: now / 1_000, ..shard.starting };
            shard.closed = Some(Closed { at: now, ending });
        }
    }

    /// A record arrives. Answers the place of its shard, and its number.
    pub(super) fn land(&mut self, now: Millis, entry: Entry) -> (usize, Number) {
        let place = self.place_of(entry.hash());
        self.issued += 1;
        let shard = &mut self.shards[place];
        let number = Number { index: self.issued, second: now / 1_000, ..shard.starting };
        let stored = Stored { number, arrived: now, key: entry.key, data: entry.data };
        if shard.load.1 + 60_000 <= now {
            shard.load = (0, now);
        }
        shard.load.0 += stored.size();
        shard.records.push_back(stored);
        (place, number)
    }

    /// Records older than the retention go, and closed shards that nothing can be in.
    pub(super) fn trim(&mut self, now: Millis) {
        let retention = self.retention();
        for shard in &mut self.shards {
            while let Some(oldest) = shard.records.pop_front_if(|record| record.arrived + retention < now) {
                shard.trimmed = oldest.number.index;
            }
        }
        self.shards.retain(|shard| shard.closed.is_none_or(|closed| closed.at + retention >= now));
    }
}
