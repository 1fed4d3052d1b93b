//! The records behind faults.

use async_trait::async_trait;
use sluice_ports::{CheckpointStore, Created, Result, Stored, WriterAnswer};
use sluice_transfer::record::{LedgerPage, ReadersRecord, ShardRecord, TransferRecord};
use sluice_transfer::{DestinationName, ShardId, State, StreamUri, TransferId};

use super::Faulty;

#[async_trait]
impl CheckpointStore for Faulty<dyn CheckpointStore> {
    async fn create_transfer(&self, record: &TransferRecord) -> Result<Created<TransferRecord>> {
        call!(
            self,
            true,
            "table.create_transfer",
            inner,
            [record = record.clone()],
            inner.create_transfer(&record).await
        )
    }

    async fn transfer(&self, id: &TransferId) -> Result<Option<TransferRecord>> {
        call!(self, false, "table.transfer", inner, [id = id.clone()], inner.transfer(&id).await)
    }

    async fn update_transfer(&self, record: &TransferRecord) -> Result<Stored> {
        call!(
            self,
            true,
            format!("table.update_transfer {}", record.state),
            inner,
            [record = record.clone()],
            inner.update_transfer(&record).await
        )
    }

    async fn transfers(&self, of: &[State], limit: usize) -> Result<Vec<TransferRecord>> {
        self.inner.transfers(of, limit).await
    }

    async fn create_shard(&self, record: &ShardRecord) -> Result<Created<ShardRecord>> {
        call!(self, true, "table.create_shard", inner, [record = record.clone()], inner.create_shard(&record).await)
    }

    async fn shard(&self, id: &TransferId, shard: &ShardId) -> Result<Option<ShardRecord>> {
        call!(
            self,
            false,
            format!("table.shard {shard}"),
            inner,
            [id = id.clone(), shard = shard.clone()],
            inner.shard(&id, &shard).await
        )
    }

    async fn update_shard(&self, record: &ShardRecord, pages: &[(DestinationName, LedgerPage)]) -> Result<Stored> {
        let name = format!(
            "table.update_shard {} epoch {} revision {}: {}",
            record.shard,
            record.epoch,
            record.revision,
            record.stands_at()
        );
        call!(
            self,
            true,
            name,
            inner,
            [record = record.clone(), pages = pages.to_vec()],
            inner.update_shard(&record, &pages).await
        )
    }

    async fn ledger(
        &self,
        id: &TransferId,
        shard: &ShardId,
        destination: &DestinationName,
        pages: u32,
    ) -> Result<Vec<LedgerPage>> {
        call!(
            self,
            false,
            "table.ledger",
            inner,
            [id = id.clone(), shard = shard.clone(), destination = destination.clone()],
            inner.ledger(&id, &shard, &destination, pages).await
        )
    }

    async fn drop_ledger(&self, id: &TransferId, shard: &ShardId) -> Result<()> {
        call!(
            self,
            true,
            "table.drop_ledger",
            inner,
            [id = id.clone(), shard = shard.clone()],
            inner.drop_ledger(&id, &shard).await
        )
    }

    async fn reserve_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<WriterAnswer> {
        call!(
            self,
            true,
            "table.reserve_writer",
            inner,
            [stream = stream.clone(), writer = writer.clone()],
            inner.reserve_writer(&stream, &writer).await
        )
    }

    async fn release_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<()> {
        call!(
            self,
            true,
            "table.release_writer",
            inner,
            [stream = stream.clone(), writer = writer.clone()],
            inner.release_writer(&stream, &writer).await
        )
    }

    async fn readers(&self, stream: &StreamUri) -> Result<Option<ReadersRecord>> {
        call!(self, false, "table.readers", inner, [stream = stream.clone()], inner.readers(&stream).await)
    }

    async fn update_readers(&self, record: &ReadersRecord) -> Result<Stored> {
        call!(
            self,
            true,
            format!("table.update_readers revision {}", record.revision),
            inner,
            [record = record.clone()],
            inner.update_readers(&record).await
        )
    }
}
