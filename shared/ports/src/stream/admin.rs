//! The part of a stream that makes it, reserves it and trims it.

use async_trait::async_trait;
use sluice_transfer::{Position, ShardId, TransferId};

use crate::Result;

/// The answer to a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// It is ours; it may have been before.
    Held,
    /// It is that import's.
    HeldBy(TransferId),
}

/// The answer to making a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It was made now.
    Now,
    /// There was one, which is left as it is.
    Before,
}

/// What is done to a stream as a whole. No event is written here.
#[async_trait]
pub trait StreamAdmin: Send + Sync {
    /// Makes the stream with this number of shards (at least 1), if there is none: the call may be repeated. Where that
    /// takes a while, [`Self::describe`] answers `Unavailable`
    /// until the stream takes events. `Denied` if this host may make none, `Full` if its owner may have no more shards.
    async fn create(&self, shards: u32) -> Result<Made>;

    /// The command by which a person makes the stream with this number of shards. None for a store whose streams cost
    /// nothing: an import makes a missing one without being asked. Example: `aws kinesis create-stream --stream-name
    /// orders --shard-count 4`.
    fn create_command(&self, _shards: u32) -> Option<String> {
        None
    }

    /// Reserves the stream for one import: until it is released nobody else can append.
    async fn reserve(&self, writer: &TransferId) -> Result<Reservation>;

    /// Gives the reservation back, if it is that import's.
    async fn release(&self, writer: &TransferId) -> Result<()>;

    /// Drops the events of a shard in front of a position. The tail and the numbers stay. `Denied` while the stream is
    /// reserved: an import reads back what it wrote.
    async fn trim(&self, shard: &ShardId, before: &Position) -> Result<()>;
}
