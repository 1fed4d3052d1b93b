//! Streams.

use async_trait::async_trait;
use sluice_transfer::{Counts, Event, Header, Position, Range, ShardId, Timestamp, TransferId, Value};

use crate::Result;

/// A shard as the store describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardInfo {
    /// Its name.
    pub shard: ShardId,
    /// In front of the first event that is still there.
    pub earliest: Position,
    /// Behind the last event.
    pub tail: Position,
    /// Shards that this one continues.
    pub parents: Vec<ShardId>,
}

/// A stream as the store describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its shards, in the order that the store counts them.
    pub shards: Vec<ShardInfo>,
    /// The import that it is reserved for.
    pub writer: Option<TransferId>,
    /// Bytes of payload, key and headers that one event may have together.
    pub largest_event: u64,
}

impl StreamInfo {
    /// Whether no shard ever held an event.
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.tail == Position::Beginning)
    }
}

/// Bounds of one read. At least one event is answered where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// At most so many events.
    pub events: usize,
    /// So many bytes (payload, key, headers), exceeded by the last event at most.
    pub bytes: usize,
}

/// The answer to a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Events in order, and where to go on. No events is not the end.
    Events {
        /// The events.
        events: Vec<Event>,
        /// Go on from here: behind the last of them, or further.
        next: Position,
        /// Whether nothing lay behind `next`.
        at_tail: bool,
    },
    /// The store no longer has what lies behind the position.
    Trimmed {
        /// In front of the first event that is still there.
        earliest: Position,
    },
}

/// An event to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Its time, for stores that keep one.
    pub time: Timestamp,
    /// The key.
    pub key: Value,
    /// Headers, in order.
    pub headers: Vec<Header>,
    /// What it carries.
    pub payload: Value,
}

impl NewEvent {
    /// Bytes of payload, key and headers together, as limits count them.
    pub fn size(&self) -> u64 {
        let headers: usize = self.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
        (self.payload.len() + self.key.len() + headers) as u64
    }
}

impl From<Event> for NewEvent {
    /// The event without its place.
    fn from(event: Event) -> Self {
        let Event { sequence: _, time, key, headers, payload } = event;
        Self { time, key, headers, payload }
    }
}

/// The answer to an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// All of it is durable, in order, from the expected tail on.
    Done {
        /// The new tail.
        tail: Position,
    },
    /// Nothing was written: the shard ends elsewhere.
    Elsewhere {
        /// Where it ends.
        tail: Position,
    },
    /// Nothing was written: the stream is reserved for that import.
    Reserved(TransferId),
}

/// What an append promises where something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appends {
    /// All events are written or none, and only if the shard ends where it is expected to.
    Conditional,
    /// The expected tail is not looked at, and an append that does not answer may have written any of its events, but
    /// of each key only the first ones, in their order: events of different keys may stand in any order and without
    /// one another. An append that answers has written all of them, and answers a tail behind the last of them.
    /// Whoever appends has to be alone, and to look afterwards what arrived.
    ByKey,
}

/// The answer to a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// It is ours; it may have been before.
    Held,
    /// It is that import's.
    HeldBy(TransferId),
}

/// One stream of a store.
///
/// Within a shard positions order events as they were written; a sequence number is never given twice.
#[async_trait]
pub trait StreamStore: Send + Sync {
    /// Shards, their ends, and who writes. `NotFound` if there is no such stream.
    async fn describe(&self) -> Result<StreamInfo>;

    /// Makes the stream with so many shards (at least 1). Answers whether it was made now; a stream that exists is
    /// left as it is.
    async fn create(&self, shards: u32) -> Result<bool>;

    /// Events behind a position. `Trimmed` whenever the store lost any event behind it, also from the beginning.
    /// A position at or behind the tail answers no events.
    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read>;

    /// In front of the first event, in order, of that time or later that is still there; the tail if there is none.
    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position>;

    /// How many events and bytes of payload a range holds, as exactly as the store can tell; none if it cannot.
    async fn measure(&self, shard: &ShardId, range: &Range) -> Result<Option<Counts>>;

    /// How many events of a range are earlier than a time; none if the store cannot tell. A store may look at the first
    /// million of them only, and then answers at most what there is.
    async fn count_before(&self, _shard: &ShardId, _range: &Range, _time: Timestamp) -> Result<Option<u64>> {
        Ok(None)
    }

    /// What [`Self::append`] promises.
    fn appends(&self) -> Appends {
        Appends::Conditional
    }

    /// What the store will hold of an event, as reading it will answer it: some keep no time of their own (it becomes
    /// the default one) or need a key. What was kept once is kept as it is. `Invalid`, naming what is in the way, if
    /// the store cannot hold the event without loss.
    fn as_stored(&self, event: NewEvent) -> Result<NewEvent> {
        Ok(event)
    }

    /// As far as [`Self::appends`] promises it: writes all events or none, if the shard ends at `expected` and the
    /// stream is reserved for `writer`, or, where none is given, for nobody. The reservation is looked at first; `Denied` if a writer is given and the stream is
    /// reserved for nobody.
    async fn append(
        &self,
        shard: &ShardId,
        writer: Option<&TransferId>,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended>;

    /// Reserves the stream for one import: until it is released nobody else can append.
    async fn reserve(&self, writer: &TransferId) -> Result<Reservation>;

    /// Gives the reservation back, if it is that import's.
    async fn release(&self, writer: &TransferId) -> Result<()>;

    /// Drops the events of a shard in front of a position. The tail and the numbers stay. `Denied` while the stream is
    /// reserved: an import reads back what it wrote.
    async fn trim(&self, shard: &ShardId, before: &Position) -> Result<()>;
}
