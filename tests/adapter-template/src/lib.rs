//! An adapter to copy: topics of a broker as streams. `shared/ports/README.md` says what each method promises.
//!
//! [`broker`] stands for the service and its client library; it is the one file that your adapter does not have. It
//! has the traits of many services: numbered partitions, offsets that begin at 0, nullable keys and values, times in
//! milliseconds, appends that are not conditional, and answers that get lost.
//!
//! The order of the files is that of the work: [`record`] says what the service holds of an event, [`fault`] what its
//! errors mean, and this file what each call does.
//!
//! **Invariant.** The adapter repeats no append, and remembers nothing between two calls: another process may go on.

pub mod broker;
mod fault;
mod record;

use std::sync::Arc;

use async_trait::async_trait;
use sluice_ports::{
    Appended, Appends, Error, ErrorKind, ListedShard, Made, NewEvent, Promises, Read, ReadLimit, Reservation, Result,
    ShardInfo, StreamAdmin, StreamFacts, StreamInfo, StreamListing, StreamReader, StreamStore, StreamWriter,
};
use sluice_transfer::limits::SHARDS;
use sluice_transfer::{Counts, Event, Position, Range, Sequence, ShardId, Timestamp, TransferId};

use crate::broker::{Broker, Ends, LARGEST_RECORD, Refused};
use crate::fault::{Call, refused};

/// What the broker keeps. An append by key is the weakest promise: begin with it.
const PROMISES: Promises = Promises {
    appends: Appends::ByKey,
    // It takes records without one.
    needs_keys: false,
    empty_keys: true,
    creates: true,
    trims: true,
    counts: false,
    reserves: false,
    // Times are rounded, and a key is never absent.
    dense: false,
};

/// One topic of a broker. Clones are the same topic.
#[derive(Clone, Debug)]
pub struct TopicStream {
    broker: Arc<Broker>,
    topic: String,
}

impl TopicStream {
    /// The topic of that name; it need not exist.
    pub fn new(broker: Arc<Broker>, topic: impl Into<String>) -> Self {
        Self { broker, topic: topic.into() }
    }

    /// What an error of a call means, with the topic's name for a person.
    fn failed(&self, call: Call, why: Refused) -> Error {
        refused(call, &self.topic, why)
    }

    /// The number of a partition. Names of shards are the service's own, here its numbers.
    fn partition(&self, shard: &ShardId) -> Result<u32> {
        let number = shard.as_str().parse::<u32>().ok().filter(|number| number.to_string() == shard.as_str());
        number.ok_or_else(|| self.failed(Call::Read, Refused::UnknownPartition))
    }

    /// All partitions with their ends.
    fn partitions(&self) -> Result<Vec<(ShardId, Ends)>> {
        let all = self.broker.partitions(&self.topic).map_err(|why| self.failed(Call::Read, why))?;
        let named = |(number, ends): (usize, Ends)| {
            let name = number.to_string().parse();
            let name = name.map_err(|why| Error::with(ErrorKind::Corrupt, "a partition without a name", why))?;
            Ok((name, ends))
        };
        all.into_iter().enumerate().map(named).collect()
    }
}

/// The boundary in front of an offset.
fn before(offset: u64) -> Position {
    Position::before(&Sequence::new(offset))
}

/// The first offset behind a boundary; none behind all that ever comes, or behind what an offset can hold.
fn offset(position: &Position) -> Option<u64> {
    position.next_sequence().and_then(|sequence| sequence.as_u64())
}

#[async_trait]
impl StreamReader for TopicStream {
    /// The broker tells both ends at once. Where a service must search for them, only this call may.
    async fn describe(&self) -> Result<StreamInfo> {
        let info = |(shard, ends): (ShardId, Ends)| ShardInfo {
            shard,
            earliest: before(ends.earliest),
            tail: before(ends.next),
            parents: Vec::new(),
            // Keys lead nowhere by themselves: who appends names the partition.
            hashes: None,
            closed: false,
        };
        let shards = self.partitions()?.into_iter().map(info).collect();
        Ok(StreamInfo { shards, writer: None, largest_event: LARGEST_RECORD })
    }

    /// One look, and no search: a plan lists a thousand shards.
    async fn list(&self) -> Result<StreamListing> {
        let listed = |(shard, ends): (ShardId, Ends)| ListedShard {
            shard,
            parents: Vec::new(),
            hashes: None,
            ends: Some((before(ends.earliest), before(ends.next))),
        };
        let shards = self.partitions()?.into_iter().map(listed).collect();
        Ok(StreamListing { shards, facts: self.facts().await? })
    }

    /// A broker that knows when the topic was made, how long it keeps records, or what a partition gives to its readers
    /// says so here: an export notices then that the stream is another one, or that retention overtakes it.
    async fn facts(&self) -> Result<StreamFacts> {
        self.partitions()?;
        Ok(StreamFacts { created: None, retention_millis: None, limits: None })
    }

    /// A loss is an answer and no error. The limit of bytes holds here, since the broker knows none.
    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        let partition = self.partition(shard)?;
        let ends = self.broker.ends(&self.topic, partition).map_err(|why| self.failed(Call::Read, why))?;
        let first = offset(from).unwrap_or(ends.next).min(ends.next);
        let records = match self.broker.fetch(&self.topic, partition, first, limit.events.max(1)) {
            Err(Refused::OffsetOutOfRange { earliest }) => return Ok(Read::Trimmed { earliest: before(earliest) }),
            answer => answer.map_err(|why| self.failed(Call::Read, why))?,
        };
        let (mut events, mut bytes) = (Vec::new(), 0);
        for (number, record) in records {
            if !events.is_empty() && bytes >= limit.bytes {
                break;
            }
            let event = record::event(number, record);
            bytes += record::size(&event);
            events.push(event);
        }
        let next = events.last().map_or_else(|| from.clone(), |last: &Event| Position::After(last.sequence.clone()));
        let at_tail = first + events.len() as u64 >= ends.next;
        // `since` is leave to begin later, which the broker has no use for. It tells no time up to which it answered.
        Ok(Read::Events { events, next, at_tail, reached: None })
    }

    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position> {
        let partition = self.partition(shard)?;
        let found = self.broker.offset_at(&self.topic, partition, record::millis_up(time));
        Ok(before(found.map_err(|why| self.failed(Call::Read, why))?))
    }

    /// The broker does not count. Offsets are no count where a service leaves some out.
    async fn measure(&self, _: &ShardId, _: &Range) -> Result<Option<Counts>> {
        Ok(None)
    }
}

#[async_trait]
impl StreamAdmin for TopicStream {
    /// If making a stream costs money, refuse it as `NotFound` and name the command, as Kinesis's adapter does.
    async fn create(&self, shards: u32) -> Result<Made> {
        if shards == 0 || shards as usize > SHARDS {
            let what = format!("a topic has 1 to {SHARDS} partitions here, not {shards}");
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        match self.broker.create(&self.topic, shards) {
            Ok(()) => Ok(Made::Now),
            Err(Refused::TopicExists) => Ok(Made::Before),
            Err(why) => Err(self.failed(Call::Create, why)),
        }
    }

    /// The broker has nothing to reserve with: the importing host keeps who writes.
    async fn reserve(&self, _: &TransferId) -> Result<Reservation> {
        Ok(Reservation::Held)
    }

    async fn release(&self, _: &TransferId) -> Result<()> {
        Ok(())
    }

    async fn trim(&self, shard: &ShardId, until: &Position) -> Result<()> {
        let partition = self.partition(shard)?;
        let until = offset(until).unwrap_or(u64::MAX);
        self.broker.delete_records(&self.topic, partition, until).map_err(|why| self.failed(Call::Trim, why))
    }
}

#[async_trait]
impl StreamStore for TopicStream {
    fn promises(&self) -> Promises {
        PROMISES
    }

    fn as_stored(&self, event: NewEvent) -> Result<NewEvent> {
        record::as_stored(event)
    }

    /// The broker knows no fence. One that does, as Kafka by a transactional id, learns it here: the writer that held
    /// the shard before cannot write any more.
    async fn writer<'s>(&'s self, shard: &ShardId, _: Option<&TransferId>) -> Result<Box<dyn StreamWriter + 's>> {
        Ok(Box::new(TopicWriter { stream: self, shard: shard.clone() }))
    }
}

/// Appends to one partition. A client library that runs tasks of its own ends them in `close`.
struct TopicWriter<'s> {
    stream: &'s TopicStream,
    shard: ShardId,
}

#[async_trait]
impl StreamWriter for TopicWriter<'_> {
    /// One call of the broker, whatever happens to it. If a service takes less in a request than it is given here, send
    /// several, and answer `Indeterminate` once one of them is behind you.
    async fn append(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        let TopicStream { broker, topic } = self.stream;
        let partition = self.stream.partition(&self.shard)?;
        // All are looked at before one is sent.
        let records = events.iter().map(|event| record::record(event.clone())).collect::<Result<Vec<_>>>()?;
        let last = broker.produce(topic, partition, records).map_err(|why| self.stream.failed(Call::Append, why))?;
        let tail = last.map_or_else(|| expected.clone(), |last| Position::After(Sequence::new(last)));
        Ok(Appended::Done { tail })
    }
}
