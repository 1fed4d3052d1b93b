//! The service that the adapter is for. Yours is somewhere else, and this file is its client library.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Bytes of key, headers and value that a record may have together.
pub const LARGEST_RECORD: u64 = 1 << 20;

/// A record as the broker keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Milliseconds since 1970, as the producer said.
    pub timestamp_millis: i64,
    /// The key, or null.
    pub key: Option<Bytes>,
    /// Names and values, in order.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// The value, or null.
    pub value: Option<Bytes>,
}

/// Where a partition begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The offset of the first record that is there.
    pub earliest: u64,
    /// The offset that the next record gets.
    pub next: u64,
}

/// Why the broker does not do what it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such topic.
    UnknownTopic,
    /// The topic has no such partition.
    UnknownPartition,
    /// There is a topic of that name.
    TopicExists,
    /// Records at that offset are gone.
    OffsetOutOfRange {
        /// The first that is there.
        earliest: u64,
    },
    /// A record is larger than [`LARGEST_RECORD`].
    RecordTooLarge,
    /// It did nothing, and may do it later.
    Busy,
    /// It did not answer in time.
    TimedOut,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Refused {}

#[derive(Debug, Default)]
struct Partition {
    earliest: u64,
    records: VecDeque<Record>,
}

impl Partition {
    fn ends(&self) -> Ends {
        Ends { earliest: self.earliest, next: self.earliest + self.records.len() as u64 }
    }
}

#[derive(Debug, Default)]
struct Topics {
    topics: BTreeMap<String, Vec<Partition>>,
    /// What happens to the next calls of `produce`.
    troubles: VecDeque<Refused>,
}

/// A broker in the process.
#[derive(Debug, Default)]
pub struct Broker {
    topics: Mutex<Topics>,
}

impl Broker {
    /// Without topics.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        topic: &str,
        partition: u32,
        work: impl FnOnce(&mut Partition) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let mut topics = self.lock();
        let partitions = topics.topics.get_mut(topic).ok_or(Refused::UnknownTopic)?;
        work(partitions.get_mut(partition as usize).ok_or(Refused::UnknownPartition)?)
    }

    /// The next call of [`Self::produce`] ends so. One that times out has appended.
    pub fn trouble(&self, refused: Refused) {
        self.lock().troubles.push_back(refused);
    }

    /// Makes a topic.
    pub fn create(&self, topic: &str, partitions: u32) -> Result<(), Refused> {
        let mut topics = self.lock();
        if topics.topics.contains_key(topic) {
            return Err(Refused::TopicExists);
        }
        topics.topics.insert(topic.to_owned(), (0..partitions).map(|_| Partition::default()).collect());
        Ok(())
    }

    /// The partitions of a topic by their numbers.
    pub fn partitions(&self, topic: &str) -> Result<Vec<Ends>, Refused> {
        let topics = self.lock();
        Ok(topics.topics.get(topic).ok_or(Refused::UnknownTopic)?.iter().map(Partition::ends).collect())
    }

    /// The ends of one partition.
    pub fn ends(&self, topic: &str, partition: u32) -> Result<Ends, Refused> {
        self.with(topic, partition, |partition| Ok(partition.ends()))
    }

    /// Records from an offset on, with their offsets.
    pub fn fetch(&self, topic: &str, partition: u32, offset: u64, most: usize) -> Result<Vec<(u64, Record)>, Refused> {
        self.with(topic, partition, |partition| {
            let earliest = partition.earliest;
            if offset < earliest {
                return Err(Refused::OffsetOutOfRange { earliest });
            }
            let records = (earliest..).zip(&partition.records).skip_while(|(number, _)| *number < offset).take(most);
            Ok(records.map(|(number, record)| (number, record.clone())).collect())
        })
    }

    /// The offset of the first record of that time or later, or the one that the next record gets.
    pub fn offset_at(&self, topic: &str, partition: u32, millis: i64) -> Result<u64, Refused> {
        self.with(topic, partition, |partition| {
            let found = partition.records.iter().position(|record| record.timestamp_millis >= millis);
            Ok(partition.earliest + found.unwrap_or(partition.records.len()) as u64)
        })
    }

    /// Appends records in their order. Answers the offset of the last one; none if there are none.
    pub fn produce(&self, topic: &str, partition: u32, records: Vec<Record>) -> Result<Option<u64>, Refused> {
        let trouble = self.lock().troubles.pop_front();
        if let Some(trouble) = trouble.filter(|trouble| *trouble != Refused::TimedOut) {
            return Err(trouble);
        }
        let last = self.with(topic, partition, |partition| {
            partition.records.extend(records);
            Ok(partition.ends().next.checked_sub(1))
        })?;
        trouble.map_or(Ok(last), Err)
    }

    /// Drops the records in front of an offset.
    pub fn delete_records(&self, topic: &str, partition: u32, before: u64) -> Result<(), Refused> {
        self.with(topic, partition, |partition| {
            let ends = partition.ends();
            let earliest = before.clamp(ends.earliest, ends.next);
            partition.records.drain(..usize::try_from(earliest - ends.earliest).unwrap_or(usize::MAX));
            partition.earliest = earliest;
            Ok(())
        })
    }
}
