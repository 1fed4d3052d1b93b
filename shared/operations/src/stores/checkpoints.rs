//! Checkpoints, called with patience: every write of theirs is conditional or can be repeated.

use async_trait::async_trait;
use sluice_ports::{CheckpointStore, Created, Result, Stored, WriterAnswer};
use sluice_transfer::record::{LedgerPage, ReadersRecord, ShardRecord, TransferRecord};
use sluice_transfer::{DestinationName, ShardId, State, StreamUri, TransferId};

use super::patience::Patient;

#[async_trait]
impl CheckpointStore for Patient<dyn CheckpointStore> {
    async fn create_transfer(&self, record: &TransferRecord) -> Result<Created<TransferRecord>> {
        self.patience.again(|| self.store.create_transfer(record)).await
    }

    async fn transfer(&self, id: &TransferId) -> Result<Option<TransferRecord>> {
        self.patience.again(|| self.store.transfer(id)).await
    }

    async fn update_transfer(&self, record: &TransferRecord) -> Result<Stored> {
        self.patience.again(|| self.store.update_transfer(record)).await
    }

    async fn transfers(&self, of: &[State], limit: usize) -> Result<Vec<TransferRecord>> {
        self.patience.again(|| self.store.transfers(of, limit)).await
    }

    async fn create_shard(&self, record: &ShardRecord) -> Result<Created<ShardRecord>> {
        self.patience.again(|| self.store.create_shard(record)).await
    }

    async fn shard(&self, id: &TransferId, shard: &ShardId) -> Result<Option<ShardRecord>> {
        self.patience.again(|| self.store.shard(id, shard)).await
    }

    async fn update_shard(&self, record: &ShardRecord, pages: &[(DestinationName, LedgerPage)]) -> Result<Stored> {
        self.patience.again(|| self.store.update_shard(record, pages)).await
    }

    async fn ledger(
        &self,
        id: &TransferId,
        shard: &ShardId,
        destination: &DestinationName,
        pages: u32,
    ) -> Result<Vec<LedgerPage>> {
        self.patience.again(|| self.store.ledger(id, shard, destination, pages)).await
    }

    async fn drop_ledger(&self, id: &TransferId, shard: &ShardId) -> Result<()> {
        self.patience.again(|| self.store.drop_ledger(id, shard)).await
    }

    async fn reserve_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<WriterAnswer> {
        self.patience.again(|| self.store.reserve_writer(stream, writer)).await
    }

    async fn release_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<()> {
        self.patience.again(|| self.store.release_writer(stream, writer)).await
    }

    async fn readers(&self, stream: &StreamUri) -> Result<Option<ReadersRecord>> {
        self.patience.again(|| self.store.readers(stream)).await
    }

    async fn update_readers(&self, record: &ReadersRecord) -> Result<Stored> {
        self.patience.again(|| self.store.update_readers(record)).await
    }
}
