//! Layers of checkpoints.

use async_trait::async_trait;
use sluice_ports::{CheckpointStore, Created, Result, Stored, WriterAnswer};
use sluice_transfer::record::{LedgerPage, ReadersRecord, ShardRecord, TransferRecord};
use sluice_transfer::{DestinationName, ShardId, State, StreamUri, TransferId};

use super::Layered;

/// A layer of a table of checkpoints. Each method asks the store behind it; see [`CheckpointStore`] for what they
/// promise.
#[async_trait]
pub trait CheckpointLayer: Send + Sync {
    /// The store behind it.
    fn inner(&self) -> &dyn CheckpointStore;

    /// Called in front of each call, by its name; `writes` is true if the call may change something.
    fn called(&self, _name: &'static str, _writes: bool) {}

    /// As [`CheckpointStore::create_transfer`].
    async fn create_transfer(&self, record: &TransferRecord) -> Result<Created<TransferRecord>> {
        self.inner().create_transfer(record).await
    }

    /// As [`CheckpointStore::transfer`].
    async fn transfer(&self, id: &TransferId) -> Result<Option<TransferRecord>> {
        self.inner().transfer(id).await
    }

    /// As [`CheckpointStore::update_transfer`].
    async fn update_transfer(&self, record: &TransferRecord) -> Result<Stored> {
        self.inner().update_transfer(record).await
    }

    /// As [`CheckpointStore::transfers`].
    async fn transfers(&self, of: &[State], limit: usize) -> Result<Vec<TransferRecord>> {
        self.inner().transfers(of, limit).await
    }

    /// As [`CheckpointStore::create_shard`].
    async fn create_shard(&self, record: &ShardRecord) -> Result<Created<ShardRecord>> {
        self.inner().create_shard(record).await
    }

    /// As [`CheckpointStore::shard`].
    async fn shard(&self, id: &TransferId, shard: &ShardId) -> Result<Option<ShardRecord>> {
        self.inner().shard(id, shard).await
    }

    /// As [`CheckpointStore::update_shard`].
    async fn update_shard(&self, record: &ShardRecord, pages: &[(DestinationName, LedgerPage)]) -> Result<Stored> {
        self.inner().update_shard(record, pages).await
    }

    /// As [`CheckpointStore::ledger`].
    async fn ledger(
        &self,
        id: &TransferId,
        shard: &ShardId,
        destination: &DestinationName,
        pages: u32,
    ) -> Result<Vec<LedgerPage>> {
        self.inner().ledger(id, shard, destination, pages).await
    }

    /// As [`CheckpointStore::drop_ledger`].
    async fn drop_ledger(&self, id: &TransferId, shard: &ShardId) -> Result<()> {
        self.inner().drop_ledger(id, shard).await
    }

    /// As [`CheckpointStore::reserve_writer`].
    async fn reserve_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<WriterAnswer> {
        self.inner().reserve_writer(stream, writer).await
    }

    /// As [`CheckpointStore::release_writer`].
    async fn release_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<()> {
        self.inner().release_writer(stream, writer).await
    }

    /// As [`CheckpointStore::readers`].
    async fn readers(&self, stream: &StreamUri) -> Result<Option<ReadersRecord>> {
        self.inner().readers(stream).await
    }

    /// As [`CheckpointStore::update_readers`].
    async fn update_readers(&self, record: &ReadersRecord) -> Result<Stored> {
        self.inner().update_readers(record).await
    }
}

#[async_trait]
impl<L: CheckpointLayer> CheckpointStore for Layered<L> {
    async fn create_transfer(&self, record: &TransferRecord) -> Result<Created<TransferRecord>> {
        self.0.called("create_transfer", true);
        self.0.create_transfer(record).await
    }

    async fn transfer(&self, id: &TransferId) -> Result<Option<TransferRecord>> {
        self.0.called("transfer", false);
        self.0.transfer(id).await
    }

    async fn update_transfer(&self, record: &TransferRecord) -> Result<Stored> {
        self.0.called("update_transfer", true);
        self.0.update_transfer(record).await
    }

    async fn transfers(&self, of: &[State], limit: usize) -> Result<Vec<TransferRecord>> {
        self.0.called("transfers", false);
        self.0.transfers(of, limit).await
    }

    async fn create_shard(&self, record: &ShardRecord) -> Result<Created<ShardRecord>> {
        self.0.called("create_shard", true);
        self.0.create_shard(record).await
    }

    async fn shard(&self, id: &TransferId, shard: &ShardId) -> Result<Option<ShardRecord>> {
        self.0.called("shard", false);
        self.0.shard(id, shard).await
    }

    async fn update_shard(&self, record: &ShardRecord, pages: &[(DestinationName, LedgerPage)]) -> Result<Stored> {
        self.0.called("update_shard", true);
        self.0.update_shard(record, pages).await
    }

    async fn ledger(
        &self,
        id: &TransferId,
        shard: &ShardId,
        destination: &DestinationName,
        pages: u32,
    ) -> Result<Vec<LedgerPage>> {
        self.0.called("ledger", false);
        self.0.ledger(id, shard, destination, pages).await
    }

    async fn drop_ledger(&self, id: &TransferId, shard: &ShardId) -> Result<()> {
        self.0.called("drop_ledger", true);
        self.0.drop_ledger(id, shard).await
    }

    async fn reserve_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<WriterAnswer> {
        self.0.called("reserve_writer", true);
        self.0.reserve_writer(stream, writer).await
    }

    async fn release_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<()> {
        self.0.called("release_writer", true);
        self.0.release_writer(stream, writer).await
    }

    async fn readers(&self, stream: &StreamUri) -> Result<Option<ReadersRecord>> {
        self.0.called("readers", false);
        self.0.readers(stream).await
    }

    async fn update_readers(&self, record: &ReadersRecord) -> Result<Stored> {
        self.0.called("update_readers", true);
        self.0.update_readers(record).await
    }
}
