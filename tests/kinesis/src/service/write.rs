//! `PutRecord` and `PutRecords`.

use bytes::Bytes;

use super::{Call, Service};
use crate::Millis;
use crate::counts::Operation;
use crate::hash::hash_of;
use crate::refused::{Answer, Code, Refused};
use crate::service::stream::{Mode, Stream};

/// Records of one request.
const RECORDS: usize = 500;
/// Bytes of payload and key of one request.
const REQUEST_BYTES: u64 = 10 << 20;
/// Characters of a partition key.
const KEY_CHARACTERS: usize = 256;

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The partition key: 1 to 256 characters.
    pub key: String,
    /// The payload.
    pub data: Bytes,
    /// Sends the record to the shard of this hash, whatever its key.
    pub explicit_hash: Option<u128>,
}

impl Entry {
    /// A record that goes where its key leads.
    pub fn new(key: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self { key: key.into(), data: data.into(), explicit_hash: None }
    }

    /// The hash that decides on its shard (row 7).
    pub fn hash(&self) -> u128 {
        self.explicit_hash.unwrap_or_else(|| hash_of(&self.key))
    }

    fn size(&self) -> u64 {
        (self.key.len() + self.data.len()) as u64
    }
}

/// Where a record went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// The shard.
    pub shard: String,
    /// The number that it was given.
    pub number: String,
}

impl Call<'_> {
    /// Writes one record.
    pub fn put_record(&mut self, stream: &str, entry: Entry) -> Answer<Landed> {
        let answer = self.counted(Operation::PutRecord, |service, now| {
            let results = service.put(stream, vec![entry], now)?;
            results.into_iter().next().unwrap_or_else(|| Err(Refused::new(Code::InternalFailure, "no result")))
        })?;
        self.count(Operation::PutRecord).records += 1;
        Ok(answer)
    }

    /// Writes up to 500 records. Each has a result of its own, in the order of the request: a record that is refused
    /// does not keep those behind it from landing.
    pub fn put_records(&mut self, stream: &str, entries: Vec<Entry>) -> Answer<Vec<Answer<Landed>>> {
        let results = self.counted(Operation::PutRecords, |service, now| service.put(stream, entries, now))?;
        let landed = results.iter().filter(|result| result.is_ok()).count() as u64;
        let count = self.count(Operation::PutRecords);
        count.records += landed;
        count.records_throttled += results.len() as u64 - landed;
        Ok(results)
    }

    /// Records that are taken now and land at a later time, in order, whatever a shard's limits are: the writes of
    /// others, and a write that is under way for long (row 9). It is no call of anybody, and not counted.
    pub fn put_later(&mut self, stream: &str, at: Millis, entries: Vec<Entry>) -> Answer<()> {
        let now = self.now;
        let orders = self.service.orders;
        self.service.orders += entries.len() as u64;
        let stream = self.service.writable(stream, now)?;
        check(stream, &entries)?;
        stream.under_way.extend((orders..).zip(entries).map(|(order, entry)| ((at.max(now), order), entry)));
        Ok(())
    }
}

/// What the whole request is refused for.
fn check(stream: &Stream, entries: &[Entry]) -> Answer<()> {
    if entries.is_empty() || entries.len() > RECORDS {
        let rule = "have length between 1 and 500";
        return Err(Refused::validation(format_args!("[{} records]", entries.len()), "records", rule));
    }
    let largest = u64::from(stream.largest_kib) << 10;
    for (number, entry) in (1..).zip(entries) {
        let characters = entry.key.chars().count();
        if !(1..=KEY_CHARACTERS).contains(&characters) {
            let field = format!("records.{number}.member.partitionKey");
            return Err(Refused::validation(&entry.key, &field, "have length between 1 and 256"));
        }
        if entry.size() > largest {
            let what = format!("Record {number} has {} bytes, more than the stream's {largest}.", entry.size());
            return Err(Refused::argument(what));
        }
    }
    // A single record may fill a request, and then has its key besides.
    if entries.len() > 1 && entries.iter().map(Entry::size).sum::<u64>() > REQUEST_BYTES {
        return Err(Refused::argument("Records size exceeds 10 MB limit"));
    }
    Ok(())
}

impl Service {
    fn writable(&mut self, stream: &str, now: Millis) -> Answer<&mut Stream> {
        self.usable(stream, now)?;
        self.stream_mut(stream)
    }

    fn put(&mut self, stream: &str, entries: Vec<Entry>, now: Millis) -> Answer<Vec<Answer<Landed>>> {
        let (limited, any_order, splits) = (self.faults.write_limits, self.faults.any_order, self.faults.splits_above);
        let account = self.account.clone();
        let mut order: Vec<usize> = (0..entries.len()).collect();
        if any_order {
            self.shuffle(&mut order);
        }
        let stream = self.writable(stream, now)?;
        check(stream, &entries)?;
        let mut entries: Vec<_> = entries.into_iter().map(Some).collect();
        let mut results: Vec<_> = entries.iter().map(|_| None).collect();
        for index in order {
            let Some(entry) = entries[index].take() else { continue };
            let place = stream.place_of(entry.hash());
            let shard = &mut stream.shards[place];
            results[index] = Some(if limited && !shard.writes.admit(now, entry.size()) {
                Err(rate_exceeded(&shard.id, &stream.name, &account))
            } else {
                let (place, number) = stream.land(now, entry);
                Ok(Landed { shard: stream.shards[place].id.clone(), number: number.to_string() })
            });
        }
        if let Some(above) = splits {
            stream.split_busy(now, above);
        }
        Ok(results.into_iter().flatten().collect())
    }
}

/// More was asked of a shard than it has.
pub(super) fn rate_exceeded(shard: &str, stream: &str, account: &str) -> Refused {
    let message = format!("Rate exceeded for shard {shard} in stream {stream} under account {account}.");
    Refused::new(Code::ProvisionedThroughputExceeded, message)
}

impl Stream {
    /// Row 5: an on-demand stream splits what is busy.
    pub(super) fn split_busy(&mut self, now: Millis, above: u64) {
        if self.mode != Mode::OnDemand {
            return;
        }
        let busy = self.open_shards().filter(|shard| shard.load.0 > above && shard.hashes.first < shard.hashes.last);
        for (id, middle) in busy.map(|shard| (shard.id.clone(), shard.hashes.middle())).collect::<Vec<_>>() {
            self.split(now, &id, middle);
        }
    }
}
