//! The part of a stream that writes to one shard, opened.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sluice_transfer::{Event, Header, Order, Placement, Position, ShardId, Timestamp, TransferId, Value};

use crate::Result;

/// An event to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Its time, for stores that keep one.
    pub time: Timestamp,
    /// The key.
    pub key: Value,
    /// Headers, in order.
    pub headers: Vec<Header>,
    /// The payload.
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
    /// All events are durable, in order, from the expected tail on.
    Done {
        /// The new tail.
        tail: Position,
    },
    /// All events are durable, each of them behind those of its key. The stream was split or merged, so some stand in
    /// shards that continue this one. Only [`StreamWriter::append_by_key`] answers it.
    Spread {
        /// Behind the last of them in each shard that has some.
        tails: BTreeMap<ShardId, Position>,
    },
    /// Nothing was written: the shard ends elsewhere.
    Elsewhere {
        /// The shard's tail.
        tail: Position,
    },
    /// Nothing was written: the stream is reserved for that import.
    Reserved(TransferId),
}

/// Writes events to one shard, for one import or for nobody: [`StreamStore::writer`](crate::StreamStore::writer) opens
/// it with both. Its owner makes one append at a time.
#[async_trait]
pub trait StreamWriter: Send + Sync {
    /// As far as [`Promises::appends`](crate::Promises::appends) says it: writes all events or none, if the shard ends at
    /// `expected` and the stream is reserved for the import that the writer was opened for, or, where that is none, for
    /// nobody. The reservation is looked at first; `Denied` if it was opened for an import and the stream is reserved for
    /// nobody.
    async fn append(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended>;

    /// As [`Self::append`], but each event goes where its key leads: to this shard, or, since the stream was split or
    /// merged, to one that continues it. A store where keys lead nowhere appends.
    async fn append_by_key(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        self.append(expected, events).await
    }

    /// As [`Self::append_by_key`], or for [`Placement::AsSource`] as [`Self::append`], in an order that may be another
    /// than that of keys. An append that does not answer may have written, by [`Order::None`], any of its events; by
    /// [`Order::Shard`] the first ones only; by [`Order::Key`] what those methods say. A store that keeps more of the
    /// order than asked for appends as ever.
    async fn append_ordered(
        &self,
        expected: &Position,
        events: &[NewEvent],
        (placement, _): (Placement, Order),
    ) -> Result<Appended> {
        match placement {
            Placement::Key => self.append_by_key(expected, events).await,
            Placement::AsSource => self.append(expected, events).await,
        }
    }

    /// Ends what the writer runs by itself, such as tasks and connections: a function that is frozen between two slices
    /// must have none. It is called before a slice ends, but not where a process dies or a deadline comes: whatever an
    /// append answered is durable without it, and a writer that is dropped ends by itself.
    async fn close(self: Box<Self>) {}
}
