//! Checkpoints: the records of transfers.

use async_trait::async_trait;
use sluice_transfer::record::{LedgerPage, ReadersRecord, ShardRecord, TransferRecord};
use sluice_transfer::{DestinationName, ShardId, State, StreamUri, TransferId};

use crate::Result;

/// The answer to making a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Created<T> {
    /// It was made now.
    Now,
    /// There was one; this is it.
    Before(T),
}

/// The answer to writing a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is durable.
    Done,
    /// Nothing was written: the record is not the one that was read.
    Mismatch,
}

/// The answer to reserving a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriterAnswer {
    /// It is ours; it may have been before.
    Held,
    /// It is that import's.
    HeldBy(TransferId),
}

/// The records of all transfers. Reads see every write that was answered before, except that [`Self::transfers`] may
/// trail by the time that a store takes to bring its index up to date.
///
/// An update that repeats, revision and all, what is stored answers [`Stored::Done`]: a write whose answer was lost
/// may simply be sent again. Two writers are told apart by what they write (a claim names its slice), so those that
/// race must not write the same.
#[async_trait]
pub trait CheckpointStore: Send + Sync {
    /// Makes a transfer, if there is none of its id.
    async fn create_transfer(&self, record: &TransferRecord) -> Result<Created<TransferRecord>>;

    /// A transfer; none if there is none.
    async fn transfer(&self, id: &TransferId) -> Result<Option<TransferRecord>>;

    /// Writes a transfer on condition that the stored revision is one below the given record's.
    async fn update_transfer(&self, record: &TransferRecord) -> Result<Stored>;

    /// Transfers in one of these states, or in any where none is named: the youngest first (of one age: by their id), at
    /// most `limit`.
    async fn transfers(&self, of: &[State], limit: usize) -> Result<Vec<TransferRecord>>;

    /// Makes a shard's record, if there is none.
    async fn create_shard(&self, record: &ShardRecord) -> Result<Created<ShardRecord>>;

    /// A shard's record; none if there is none.
    async fn shard(&self, id: &TransferId, shard: &ShardId) -> Result<Option<ShardRecord>>;

    /// Writes a shard's record, and pages of its ledger together with it, on condition that the stored revision is
    /// one below the given record's and the stored epoch not above its own. Pages replace those of the same destination
    /// and index.
    async fn update_shard(&self, record: &ShardRecord, pages: &[(DestinationName, LedgerPage)]) -> Result<Stored>;

    /// The first `pages` pages of a shard's ledger at a destination, in order; fewer if some are not there.
    async fn ledger(
        &self,
        id: &TransferId,
        shard: &ShardId,
        destination: &DestinationName,
        pages: u32,
    ) -> Result<Vec<LedgerPage>>;

    /// Drops all pages of a shard's ledger.
    async fn drop_ledger(&self, id: &TransferId, shard: &ShardId) -> Result<()>;

    /// Reserves a stream for one import.
    async fn reserve_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<WriterAnswer>;

    /// Gives the reservation back, if it is that import's.
    async fn release_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<()>;

    /// The exports that read a stream; none if none ever did.
    async fn readers(&self, stream: &StreamUri) -> Result<Option<ReadersRecord>>;

    /// Writes the exports that read a stream on condition that the stored revision is one below the given record's. A
    /// stream that has none counts as revision 0.
    async fn update_readers(&self, record: &ReadersRecord) -> Result<Stored>;
}
