//! Streams: what reads one, what writes to a shard of it, what is done to it as a whole, and the store that has all three.

mod admin;
mod reader;
mod writer;

use async_trait::async_trait;
use sluice_transfer::{Position, ShardId, TransferId};

pub use self::admin::{Made, Reservation, StreamAdmin};
pub use self::reader::{
    ListedShard, Read, ReadLimit, ShardInfo, ShardLimits, StreamFacts, StreamInfo, StreamListing, StreamReader,
};
pub use self::writer::{Appended, NewEvent, StreamWriter};
use crate::{Promises, Result};

/// What one shard takes in a second, of all who write to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intake {
    /// Events, at most.
    pub events: u64,
    /// Bytes of key and payload, at most.
    pub bytes: u64,
}

/// One stream of a store. Who needs a part of it only takes that part.
///
/// Within a shard positions order events as they were written; a sequence number is never given twice. What is pure here
/// needs no writer: it is asked when an import is planned, before anything is opened, and when it is compared with its
/// target, after all is closed.
#[async_trait]
pub trait StreamStore: StreamReader + StreamAdmin {
    /// What the store promises of this stream. Pure: nothing is called. A decorator answers what it makes of the
    /// promises of the store behind it.
    fn promises(&self) -> Promises;

    /// The event as the store will keep it and as reading will answer it: some keep no time of their own (it becomes
    /// the default one) or need a key. What was kept once is kept as it is. `Invalid`, naming what is in the way, if
    /// the store cannot hold the event without loss: such an event is a misfit. The answer is the same at every try as
    /// long as the stream's own limits are. The reason names no payload and no key.
    fn as_stored(&self, event: NewEvent) -> Result<NewEvent> {
        Ok(event)
    }

    /// What a shard takes; none where nothing is known to limit it. Example: 1,000 events and 1 MB for Kinesis.
    fn intake(&self) -> Option<Intake> {
        None
    }

    /// Opens a writer to a shard for an import, or for nobody. An import opens one when it has claimed the shard: a store
    /// that can keep out who claimed it earlier does so here. Neither the shard nor the reservation need be looked at;
    /// appends do. May be repeated.
    async fn writer<'s>(&'s self, shard: &ShardId, fence: Option<&TransferId>) -> Result<Box<dyn StreamWriter + 's>>;
}

/// One append, by a writer that is opened for it.
pub async fn append_once(
    stream: &dyn StreamStore,
    shard: &ShardId,
    fence: Option<&TransferId>,
    expected: &Position,
    events: &[NewEvent],
) -> Result<Appended> {
    let writer = stream.writer(shard, fence).await?;
    let answer = writer.append(expected, events).await;
    writer.close().await;
    answer
}
