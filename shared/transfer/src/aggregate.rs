//! Aggregates of the Kinesis Producer Library: records that hold many events of users.
//!
//! The format is that of the library's document `aggregation-format.md` (github.com/awslabs/amazon-kinesis-producer):
//! four bytes, a message of Protocol Buffers, and the message's MD5. AWS's consumer libraries deaggregate: an
//! application sees the events inside, each with its own key. They silently drop an event whose hash lies outside of
//! the shard that it was read from. So an aggregate is placed by the hashes of its events, never by its own key.

use std::ops::AddAssign;

use bytes::Bytes;
use md5::{Digest, Md5};
use prost::Message;
use serde::{Deserialize, Serialize};

use crate::{Event, Header, Value, key_hash};

/// The first bytes of an aggregate.
const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
/// Bytes of the MD5 at its end.
const DIGEST: usize = 16;
/// Bytes of an aggregate, at most: a record of Kinesis as the library knows it. Decoded it takes a multiple of that.
const LARGEST: usize = 1 << 20;

#[derive(Clone, PartialEq, Message)]
struct AggregatedRecord {
    #[prost(string, repeated, tag = "1")]
    keys: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    hashes: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<UserRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct UserRecord {
    #[prost(uint64, required, tag = "1")]
    key: u64,
    #[prost(uint64, optional, tag = "2")]
    hash: Option<u64>,
    #[prost(bytes = "bytes", required, tag = "3")]
    data: Bytes,
    #[prost(message, repeated, tag = "4")]
    tags: Vec<Tag>,
}

#[derive(Clone, PartialEq, Message)]
struct Tag {
    #[prost(string, required, tag = "1")]
    key: String,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// How many records are aggregates, and how many events of users these hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Aggregates {
    /// Records that are aggregates.
    pub records: u64,
    /// Events in them.
    pub user_records: u64,
}

impl Aggregates {
    /// Of one event.
    pub fn of(event: &Event) -> Self {
        let held = Aggregate::of(&event.payload).map_or(0, |aggregate| aggregate.len());
        Self { records: u64::from(held > 0), user_records: u64::from(held) }
    }

    /// True if there are none.
    pub fn is_none(&self) -> bool {
        self.records == 0
    }
}

impl AddAssign for Aggregates {
    fn add_assign(&mut self, other: Self) {
        self.records = self.records.saturating_add(other.records);
        self.user_records = self.user_records.saturating_add(other.user_records);
    }
}

impl std::iter::Sum for Aggregates {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

/// A record that holds at least one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate(AggregatedRecord);

impl Aggregate {
    /// The aggregate that an event's payload is, if it is a whole one. Anything else is an ordinary event: an aggregate
    /// that is damaged or empty too, so that nothing is lost where it cannot be taken apart.
    pub fn of(payload: &Value) -> Option<Self> {
        let Value::Bytes(payload) = payload else { return None };
        Self::read(payload)
    }

    /// The same of a payload's bytes.
    pub fn read(payload: &Bytes) -> Option<Self> {
        let end = payload.len().checked_sub(DIGEST)?;
        if !payload.starts_with(&MAGIC) || end < MAGIC.len() || payload.len() > LARGEST {
            return None;
        }
        let message = payload.slice(MAGIC.len()..end);
        if Md5::digest(&message)[..] != payload[end..] {
            return None;
        }
        let record = AggregatedRecord::decode(message).ok()?;
        let is_whole = |user: &UserRecord| {
            let hash = user.hash.is_none_or(|index| explicit(&record, index).is_some());
            hash && at(&record.keys, user.key).is_some()
        };
        let is_whole = !record.records.is_empty() && record.records.iter().all(is_whole);
        (is_whole && u32::try_from(record.records.len()).is_ok()).then_some(Self(record))
    }

    /// The number of events in it, at least one.
    #[expect(clippy::len_without_is_empty, reason = "none is empty")]
    pub fn len(&self) -> u32 {
        u32::try_from(self.0.records.len()).unwrap_or(u32::MAX)
    }

    /// The hashes that place its events, in order: one that its producer chose, or that of the event's key.
    pub fn hashes(&self) -> impl Iterator<Item = u128> + '_ {
        self.0.records.iter().map(|user| match user.hash {
            Some(index) => explicit(&self.0, index).unwrap_or_default(),
            None => key_hash(at(&self.0.keys, user.key).map_or(&[], |key| key.as_bytes())),
        })
    }

    /// The hash of its first event, which leads the aggregate to its shard.
    pub fn leading_hash(&self) -> u128 {
        self.hashes().next().unwrap_or_default()
    }

    /// Its events in order, as events of a stream: numbered within the record, of its time, with their own keys. Tags,
    /// which the library has but does not write, are headers.
    pub fn events(self, record: &Event) -> Vec<Event> {
        let AggregatedRecord { keys, records, .. } = self.0;
        let keys: Vec<Bytes> = keys.into_iter().map(Bytes::from).collect();
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        let event = |(index, user): (u32, UserRecord)| Event {
            sequence: record.sequence.event(index, count),
            time: record.time,
            key: at(&keys, user.key).cloned().map_or(Value::Absent, Value::Bytes),
            headers: user.tags.into_iter().map(header).collect(),
            payload: Value::Bytes(user.data),
        };
        (0..count).zip(records).map(event).collect()
    }
}

/// The hash that leads an event to its shard: of an aggregate that of its first event, of any other that of its key.
pub fn leading_hash(key: &Value, payload: &Value) -> u128 {
    Aggregate::of(payload).map_or_else(|| key_hash(key.as_slice()), |aggregate| aggregate.leading_hash())
}

/// The key by which an event keeps its order, also after its shard was split: its own, or for an aggregate its leading
/// hash, since producers give all aggregates the same key. A hash differs from all keys, which are UTF-8.
pub fn leading_key(key: &Value, payload: &Value) -> Value {
    let by_hash = |aggregate: Aggregate| [&MAGIC[..], &aggregate.leading_hash().to_be_bytes()].concat().into();
    Aggregate::of(payload).map_or_else(|| key.clone(), by_hash)
}

fn header(tag: Tag) -> Header {
    Header { name: tag.key, value: tag.value.map_or(Value::Null, |value| Value::Bytes(value.into())) }
}

fn at<T>(of: &[T], index: u64) -> Option<&T> {
    of.get(usize::try_from(index).ok()?)
}

/// A hash that the producer chose, in decimal digits.
fn explicit(record: &AggregatedRecord, index: u64) -> Option<u128> {
    at(&record.hashes, index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::{Sequence, Timestamp};

    fn sealed(message: &[u8]) -> Bytes {
        [&MAGIC[..], message, &Md5::digest(message)[..]].concat().into()
    }

    fn aggregated(users: &[(String, Option<u128>, Vec<u8>)]) -> AggregatedRecord {
        let mut record = AggregatedRecord::default();
        for (key, hash, data) in users {
            record.keys.push(key.clone());
            let hash = hash.map(|hash| {
                record.hashes.push(hash.to_string());
                record.hashes.len() as u64 - 1
            });
            let user = UserRecord { key: record.keys.len() as u64 - 1, hash, data: data.clone().into(), tags: vec![] };
            record.records.push(user);
        }
        record
    }

    fn event(payload: Bytes) -> Event {
        let (sequence, time) = (Sequence::new(7), Timestamp::from_micros(1_000));
        Event { sequence, time, key: b"a"[..].into(), headers: Vec::new(), payload: Value::Bytes(payload) }
    }

    proptest! {
        #[test]
        fn what_was_put_in_comes_out(
            users in vec((".{0,8}", any::<Option<u128>>(), vec(any::<u8>(), 0..9)), 1..9),
        ) {
            let record = event(sealed(&aggregated(&users).encode_to_vec()));
            let aggregate = Aggregate::of(&record.payload).unwrap();
            let hash = |(key, hash, _): &(String, Option<u128>, Vec<u8>)| hash.unwrap_or(key_hash(key.as_bytes()));
            prop_assert_eq!(aggregate.hashes().collect::<Vec<_>>(), users.iter().map(hash).collect::<Vec<_>>());
            let first = hash(&users[0]);
            prop_assert_eq!(leading_hash(&record.key, &record.payload), first);
            prop_assert!(std::str::from_utf8(leading_key(&record.key, &record.payload).as_slice()).is_err());
            let counted = Aggregates { records: 1, user_records: users.len() as u64 };
            prop_assert_eq!(Aggregates::of(&record), counted);
            let events = aggregate.events(&record);
            prop_assert!(events.iter().map(|event| &event.sequence).is_sorted());
            prop_assert_eq!(&events.last().unwrap().sequence, &record.sequence);
            let seen = events.into_iter().map(|event| (event.key.as_slice().to_vec(), event.payload.as_slice().to_vec()));
            let put = users.into_iter().map(|(key, _, data)| (key.into_bytes(), data));
            prop_assert!(seen.eq(put));
        }

        #[test]
        fn any_message_is_read_or_left_as_it_is(message in vec(any::<u8>(), 0..200), cut in 0..40_usize) {
            let payload = sealed(&message);
            let record = event(payload.slice(..payload.len().saturating_sub(cut)));
            let held = Aggregate::of(&record.payload).map_or(0, |aggregate| aggregate.len());
            prop_assert_eq!(u64::from(held), Aggregates::of(&record).user_records);
            prop_assert!(cut == 0 || held == 0);
        }
    }

    #[test]
    fn what_cannot_be_taken_apart_is_an_ordinary_event() {
        let whole = aggregated(&[("k".to_owned(), Some(3), b"data".to_vec())]);
        assert!(Aggregate::read(&sealed(&whole.encode_to_vec())).is_some());
        let refused = |change: &dyn Fn(&mut AggregatedRecord)| {
            let mut record = whole.clone();
            change(&mut record);
            assert_eq!(Aggregate::read(&sealed(&record.encode_to_vec())), None);
        };
        refused(&|record| record.records.clear());
        refused(&|record| record.keys.clear());
        refused(&|record| record.records[0].key = u64::MAX);
        refused(&|record| record.records[0].hash = Some(1));
        refused(&|record| record.hashes[0] = "no number".to_owned());
        refused(&|record| record.records[0].data = vec![0; LARGEST].into());
        let mut damaged = sealed(&whole.encode_to_vec()).to_vec();
        damaged[6] ^= 1;
        assert_eq!(Aggregate::read(&damaged.into()), None);
    }

    #[test]
    fn tags_are_headers() {
        let mut record = aggregated(&[("k".to_owned(), None, Vec::new())]);
        record.records[0].tags.push(Tag { key: "t".to_owned(), value: None });
        let record = event(sealed(&record.encode_to_vec()));
        let events = Aggregate::of(&record.payload).unwrap().events(&record);
        assert_eq!(events[0].headers, [Header { name: "t".to_owned(), value: Value::Null }]);
    }
}
