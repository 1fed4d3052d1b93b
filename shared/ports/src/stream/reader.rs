//! The part of a stream that reads.

use async_trait::async_trait;
use sluice_transfer::{Counts, Event, HashRange, Position, Range, ReadShare, ShardId, Timestamp, TransferId};

use crate::{Error, ErrorKind, Result};

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
    /// The hashes of the keys that lead here; none for a store where keys lead nowhere.
    pub hashes: Option<HashRange>,
    /// True if it takes no more events: others continue it.
    pub closed: bool,
}

/// A shard as the store lists it, without looking into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedShard {
    /// Its name.
    pub shard: ShardId,
    /// Listed shards that this one continues.
    pub parents: Vec<ShardId>,
    /// The hashes of the keys that lead here; none for a store where keys lead nowhere.
    pub hashes: Option<HashRange>,
    /// In front of its first event and behind its last one. None if the store would have to search for them.
    pub ends: Option<(Position, Position)>,
}

/// What concerns a stream as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamFacts {
    /// When the stream was made: one that was deleted and made again under its name has another time. It never changes.
    /// None if the store does not tell.
    pub created: Option<Timestamp>,
    /// How long events are kept, in milliseconds; none for a store that drops none by itself.
    pub retention_millis: Option<u64>,
    /// What a shard gives and takes; none for a store that sets no limits.
    pub limits: Option<ShardLimits>,
}

/// The limits that a store sets for a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardLimits {
    /// Bytes that it takes in a second, at most.
    pub written: u64,
    /// Bytes that it gives in a second, at most, to all readers together.
    pub read: u64,
}

/// A stream as the store lists it, without looking into its shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamListing {
    /// Its shards, in the order that the store counts them.
    pub shards: Vec<ListedShard>,
    /// What concerns all of them.
    pub facts: StreamFacts,
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
    /// True if no shard ever held an event.
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.tail == Position::Beginning)
    }
}

/// Bounds of one read. At least one event is answered where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// The largest number of events.
    pub events: usize,
    /// The limit of bytes (payload, key, headers); the last event may exceed it.
    pub bytes: usize,
    /// What lies in front of the first event of this time or later is not wanted, or is known not to be there: a store
    /// may begin there, and answers nothing of what lies before.
    pub since: Option<Timestamp>,
}

impl ReadLimit {
    /// So many events and bytes, of any time.
    pub const fn new(events: usize, bytes: usize) -> Self {
        Self { events, bytes, since: None }
    }
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
        /// True if nothing lay behind `next`.
        at_tail: bool,
        /// All that arrived before this time lies in front of `next`. None if the store does not tell.
        reached: Option<Timestamp>,
    },
    /// The store dropped the events behind the position.
    Trimmed {
        /// In front of the first event that is still there.
        earliest: Position,
    },
}

/// What can be learnt of a stream. Nothing here changes it.
#[async_trait]
pub trait StreamReader: Send + Sync {
    /// Shards, their ends, and who writes. `NotFound` if there is no such stream. It may take many calls where ends
    /// have to be searched for.
    async fn describe(&self) -> Result<StreamInfo>;

    /// The shards, in the order that the store counts them, in one look: nothing is searched for. `NotFound` if there
    /// is no such stream.
    async fn list(&self) -> Result<StreamListing>;

    /// What concerns the stream as a whole, as of now. `NotFound` if there is no such stream. It takes as few calls as
    /// a listing, and may be repeated.
    async fn facts(&self) -> Result<StreamFacts>;

    /// Events behind a position. `Trimmed` whenever the store lost any event behind it, also from the beginning.
    /// A position at or behind the tail answers no events.
    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read>;

    /// In front of the first event, in order, of that time or later that is still there; the tail if there is none.
    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position>;

    /// From now on this handle of the stream takes at most this part of the limits that the store sets for readers. A
    /// store without limits ignores it.
    fn share_reading(&self, _share: ReadShare) {}

    /// The name under which a transfer registers a reader of its own with [`Self::register_reader`]. `place` tells the
    /// transfer from others of the same id, such as those of another host. None for a store that registers no readers.
    /// Pure. Example: `sluice-nightly-1f0c33ab` for Kinesis.
    fn reader_name(&self, _transfer: &TransferId, _place: &str) -> Option<String> {
        None
    }

    /// Registers a reader of that name, if there is none, and waits until it may read. From then on reads through this
    /// handle are that reader's: they take nothing of the limits that other readers share. A reader costs money until it
    /// is removed. May be repeated. `Full` if the stream has as many readers as it can have, `Unavailable` if the reader
    /// is not ready in time, `Invalid` for a store that registers none.
    async fn register_reader(&self, _name: &str) -> Result<()> {
        Err(Error::new(ErrorKind::Invalid, "this store registers no readers of their own"))
    }

    /// Removes the reader of that name, if there is one. May be repeated; a stream that is gone has none. `Invalid` for
    /// a store that registers none.
    async fn remove_reader(&self, _name: &str) -> Result<()> {
        Err(Error::new(ErrorKind::Invalid, "this store registers no readers of their own"))
    }

    /// The number of events and bytes of payload in a range, as exactly as the store can tell; none if it cannot.
    async fn measure(&self, shard: &ShardId, range: &Range) -> Result<Option<Counts>>;

    /// The number of events of a range that are earlier than a time; none if the store cannot tell. A store may look at
    /// the first million of them only, and then answers at most what there is.
    async fn count_before(&self, _shard: &ShardId, _range: &Range, _time: Timestamp) -> Result<Option<u64>> {
        Ok(None)
    }
}
