//! `GetShardIterator` and `GetRecords`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::stream::{Shard, Stored, Stream};
use super::write::rate_exceeded;
use super::{Call, Service};
use crate::Millis;
use crate::counts::Operation;
use crate::faults::{Behind, Faults};
use crate::hash::Hashes;
use crate::number::Number;
use crate::refused::{Answer, Code, Refused};
use crate::service::limits::Reads;

/// How long an iterator lives.
const ITERATOR_MILLIS: Millis = 300_000;
/// Records of one answer.
const RECORDS: u32 = 10_000;
/// Bytes of one answer.
const ANSWER_BYTES: u64 = 10 << 20;

/// Where an iterator begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record.
    TrimHorizon,
    /// Behind the newest record.
    Latest,
    /// At the record of that number.
    AtSequenceNumber(String),
    /// Behind the record of that number.
    AfterSequenceNumber(String),
    /// At the first record that arrived at that time or later; at the oldest if the time is older.
    AtTimestamp(Millis),
}

/// A record as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its sequence number.
    pub number: String,
    /// When it arrived.
    pub arrived: Millis,
    /// Its partition key.
    pub key: String,
    /// Its payload.
    pub data: Bytes,
}

/// A shard that continues another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildShard {
    /// Its name.
    pub shard: String,
    /// Its parents: both of those that were merged.
    pub parents: Vec<String>,
    /// Its hashes.
    pub hashes: Hashes,
}

/// What `GetRecords` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// The records, in order. None does not mean that there are none.
    pub records: Vec<Record>,
    /// Goes on from here; none at the end of a closed shard.
    pub next: Option<String>,
    /// `MillisBehindLatest`: how far the tip is from here, in stream time.
    pub behind: Millis,
    /// At the end of a closed shard: those that continue it.
    pub children: Vec<ChildShard>,
}

/// What an iterator says to whoever can open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub stream: String,
    pub created: Millis,
    pub shard: String,
    pub given: Millis,
    /// The first index that it has not answered; 0 for the horizon, wherever it is.
    pub index: u64,
    /// Nothing in front of this time is still to be answered.
    pub reached: Millis,
    /// Row 2: it answers nothing for ever.
    pub stuck: bool,
}

impl Cursor {
    fn seal(&self) -> String {
        let Self { stream, created, shard, given, index, reached, stuck } = self;
        STANDARD.encode(format!("{stream} {created} {shard} {given} {index} {reached} {stuck}"))
    }

    pub(super) fn unseal(text: &str) -> Option<Self> {
        let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let mut parts = text.split(' ');
        let mut next = || parts.next();
        Some(Self {
            stream: next()?.to_owned(),
            created: next()?.parse().ok()?,
            shard: next()?.to_owned(),
            given: next()?.parse().ok()?,
            index: next()?.parse().ok()?,
            reached: next()?.parse().ok()?,
            stuck: next()?.parse().ok()?,
        })
    }
}

impl Call<'_> {
    /// An address in a shard that lives for 5 minutes.
    pub fn get_shard_iterator(&mut self, stream: &str, shard: &str, start: &Start) -> Answer<String> {
        self.counted(Operation::GetShardIterator, |service, now| {
            let (limited, account) = (service.faults.call_limits, service.account.clone());
            service.usable(stream, now)?;
            let found = service.stream_mut(stream)?;
            let name = found.name.clone();
            let Some(own) = found.shard_mut(shard) else { return Err(no_shard(shard, &name, &account)) };
            if limited && !own.reads.iterators.admit(now, Reads::PER_SECOND) {
                return Err(rate_exceeded(shard, &name, &account));
            }
            Ok(service.cursor(stream, shard, start, now)?.seal())
        })
    }

    /// Up to `limit` records (1 to 10,000), and 10 MiB.
    pub fn get_records(&mut self, iterator: &str, limit: u32) -> Answer<Records> {
        let answer = self.counted(Operation::GetRecords, |service, now| service.records(iterator, limit, now))?;
        let count = self.count(Operation::GetRecords);
        count.records += answer.records.len() as u64;
        count.empty += u64::from(answer.records.is_empty());
        Ok(answer)
    }
}

fn no_shard(shard: &str, stream: &str, account: &str) -> Refused {
    let what = format!("Shard {shard} in stream {stream} under account {account} does not exist");
    Refused::new(Code::ResourceNotFound, what)
}

impl Stream {
    /// The index and the stream time that a start means, and whether it answers nothing for ever.
    fn place(
        &self,
        shard: &str,
        start: &Start,
        behind: Behind,
        [horizon, now]: [Millis; 2],
        context: &str,
    ) -> Answer<(u64, Millis, bool)> {
        let next = self.issued + 1;
        let Some(shard) = self.shard(shard) else { return Ok((0, horizon, false)) };
        let (number, after) = match start {
            Start::TrimHorizon => return Ok((0, horizon.max(shard.opened), false)),
            Start::Latest => return Ok((next, shard.end(now), false)),
            Start::AtTimestamp(time) if *time > now => {
                return Err(Refused::argument(format!(
                    "The timestampInMillis parameter cannot be greater than the \
                    currentTimestampInMillis. timestampInMillis: {time}, currentTimestampInMillis: {now}"
                )));
            }
            Start::AtTimestamp(time) if *time <= horizon => return Ok((0, horizon.max(shard.opened), false)),
            Start::AtTimestamp(time) => {
                return Ok((shard.index_at(*time, next), (*time).max(shard.opened).min(shard.end(now)), false));
            }
            Start::AtSequenceNumber(number) => (number, false),
            Start::AfterSequenceNumber(number) => (number, true),
        };
        let id = &shard.id;
        let refused = |why: &str| {
            let what = format!(
                "StartingSequenceNumber {number} used in GetShardIterator on shard {id} {context} is \
                invalid{why}."
            );
            Err(Refused::argument(what))
        };
        let Some(parsed) = Number::parse(number) else { return refused("") };
        let own = (parsed.created, parsed.shard) == (shard.starting.created, shard.starting.shard);
        if !own || (parsed.index > self.issued && parsed.index != Number::LAST) {
            return refused(" because it did not come from this stream");
        }
        let record = shard.records.get(shard.place_of(parsed.index)).filter(|record| record.number == parsed);
        let reached = record.map_or(parsed.second * 1_000, |record| record.arrived);
        let gone = parsed.index <= shard.trimmed || (record.is_none() && reached < horizon);
        let gone = gone && parsed.index != Number::LAST;
        let index = parsed.index.saturating_add(u64::from(after));
        match behind {
            Behind::AtHorizon if gone => Ok((0, horizon.max(shard.opened), false)),
            Behind::Refused if gone => refused(" because it lies behind the trim horizon"),
            Behind::EmptyForEver if gone => Ok((index, horizon, true)),
            _ => Ok((index.max(1), reached, false)),
        }
    }
}

impl Service {
    /// Where a start lies.
    pub(super) fn cursor(&self, stream: &str, shard: &str, start: &Start, now: Millis) -> Answer<Cursor> {
        let (account, horizon, behind) = (&self.account, self.horizon(stream, now)?, self.faults.behind);
        let stream = self.usable(stream, now)?;
        let name = stream.name.clone();
        if stream.shard(shard).is_none() {
            return Err(no_shard(shard, &name, account));
        }
        let context = format!("in stream {name} under account {account}");
        let (index, reached, stuck) = stream.place(shard, start, behind, [horizon, now], &context)?;
        Ok(Cursor { stream: name, created: stream.created, shard: shard.to_owned(), given: now, index, reached, stuck })
    }

    fn records(&mut self, iterator: &str, limit: u32, now: Millis) -> Answer<Records> {
        if limit == 0 {
            return Err(Refused::validation(limit, "limit", "have value greater than or equal to 1"));
        }
        if limit > RECORDS {
            return Err(Refused::argument(format!("Limit {limit} is more than {RECORDS}.")));
        }
        let Some(mut from) = Cursor::unseal(iterator) else { return Err(Refused::argument("Invalid ShardIterator.")) };
        if now > from.given + ITERATOR_MILLIS {
            let given = from.given;
            let what = format!(
                "Iterator expired. The iterator was created at time {given} while right now it is {now} \
                which is further in the future than the tolerated delay of {ITERATOR_MILLIS} milliseconds."
            );
            return Err(Refused::new(Code::ExpiredIterator, what));
        }
        let (missing, account) = (self.missing(&from.stream), self.account.clone());
        let limited = self.faults.read_limits;
        let stream = self.streams.get_mut(&from.stream).filter(|stream| stream.created == from.created);
        let stream = stream.ok_or(missing)?;
        let name = stream.name.clone();
        let Some(shard) = stream.shard_mut(&from.shard) else { return Err(no_shard(&from.shard, &name, &account)) };
        if limited && !shard.reads.admit(now) {
            return Err(rate_exceeded(&shard.id, &name, &account));
        }
        from.given = now;
        let id = from.shard.clone();
        let (answer, bytes) = self.behind(from, (limit as usize, ANSWER_BYTES), now)?;
        if let Some(shard) = self.stream_mut(&name)?.shard_mut(&id) {
            shard.reads.answered(bytes);
        }
        Ok(answer)
    }

    /// Records behind a cursor at that time, up to this number of records and bytes; and their bytes.
    pub(super) fn behind(&self, from: Cursor, most: (usize, u64), at: Millis) -> Answer<(Records, u64)> {
        // The stream's own time and age stay what they are while its shard is read.
        let stream = self.streams.get(&from.stream).filter(|stream| stream.created == from.created);
        let stream = stream.ok_or_else(|| self.missing(&from.stream))?;
        let (name, account) = (&stream.name, &self.account);
        let Some(shard) = stream.shard(&from.shard) else { return Err(no_shard(&from.shard, name, account)) };
        let overtaken = from.index > 0 && from.index <= shard.trimmed;
        if from.stuck || (overtaken && self.faults.behind == Behind::EmptyForEver) {
            let next = Some(Cursor { stuck: true, ..from }.seal());
            let (records, children) = (Vec::new(), Vec::new());
            return Ok((Records { records, next, behind: stream.retention(), children }, 0));
        }
        let (answer, bytes) = answer(shard, from, most, &self.faults, at);
        let children = if answer.next.is_none() { stream.children(&shard.id) } else { Vec::new() };
        Ok((Records { children, ..answer }, bytes))
    }
}

/// The answer, and its bytes.
fn answer(shard: &Shard, from: Cursor, (limit, most): (usize, u64), faults: &Faults, now: Millis) -> (Records, u64) {
    let place = shard.place_of(from.index);
    let (mut reached, mut bytes, mut taken) = (from.reached, 0, Vec::<&Stored>::new());
    let (end, mut cut, mut rest) = (shard.end(now), false, false);
    // What is pushed may be of a moment ago.
    for record in shard.records.range(place..).take_while(|record| record.arrived <= now) {
        rest = true;
        let silent = faults.silence.is_some_and(|silence| record.arrived > reached + silence);
        cut = taken.len() == limit || (bytes + record.size() > most && !taken.is_empty());
        if silent || cut {
            break;
        }
        bytes += record.size();
        reached = reached.max(record.arrived);
        taken.push(record);
        rest = false;
    }
    if !cut {
        reached = faults.silence.map_or(if rest { reached } else { end }, |silence| end.min(reached + silence));
    }
    let index = taken.last().map_or(from.index, |last| last.number.index + 1);
    let at_end = !rest && reached >= end;
    let ends = shard.closed.is_some() && at_end && (taken.is_empty() || faults.end_with_records);
    let behind = if at_end && shard.closed.is_some() {
        0
    } else if at_end {
        faults.idle_tip
    } else {
        now.saturating_sub(reached).max(1)
    };
    let records = taken.into_iter().map(|stored| Record {
        number: stored.number.to_string(),
        arrived: stored.arrived,
        key: stored.key.clone(),
        data: stored.data.clone(),
    });
    let records = records.collect();
    let next = (!ends).then(|| Cursor { index, reached, ..from }.seal());
    (Records { records, next, behind, children: Vec::new() }, bytes)
}

impl Stream {
    fn children(&self, id: &str) -> Vec<ChildShard> {
        let is = |parent: &Option<String>| parent.as_deref() == Some(id);
        let children = self.shards.iter().filter(|shard| is(&shard.parent) || is(&shard.adjacent));
        let child = |shard: &Shard| ChildShard {
            shard: shard.id.clone(),
            parents: shard.parent.iter().chain(&shard.adjacent).cloned().collect(),
            hashes: shard.hashes,
        };
        children.map(child).collect()
    }
}
