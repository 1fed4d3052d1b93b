//! Streams, called with patience.

use async_trait::async_trait;
use sluice_ports::{
    Appended, Intake, Made, NewEvent, Promises, Read, ReadLimit, Reservation, Result, StreamAdmin, StreamFacts,
    StreamInfo, StreamListing, StreamReader, StreamStore, StreamWriter,
};
use sluice_transfer::{Counts, Order, Placement, Position, Range, ReadShare, ShardId, Timestamp, TransferId};

use super::patience::{Patience, Patient};

#[async_trait]
impl StreamReader for Patient<dyn StreamStore> {
    async fn describe(&self) -> Result<StreamInfo> {
        self.patience.again(|| self.store.describe()).await
    }

    async fn list(&self) -> Result<StreamListing> {
        self.patience.again(|| self.store.list()).await
    }

    async fn facts(&self) -> Result<StreamFacts> {
        self.patience.again(|| self.store.facts()).await
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        self.patience.again(|| self.store.read(shard, from, limit)).await
    }

    fn share_reading(&self, share: ReadShare) {
        self.store.share_reading(share);
    }

    fn reader_name(&self, transfer: &TransferId, place: &str) -> Option<String> {
        self.store.reader_name(transfer, place)
    }

    async fn register_reader(&self, name: &str) -> Result<()> {
        self.patience.again(|| self.store.register_reader(name)).await
    }

    async fn remove_reader(&self, name: &str) -> Result<()> {
        self.patience.again(|| self.store.remove_reader(name)).await
    }

    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position> {
        self.patience.again(|| self.store.position_at(shard, time)).await
    }

    async fn measure(&self, shard: &ShardId, range: &Range) -> Result<Option<Counts>> {
        self.patience.again(|| self.store.measure(shard, range)).await
    }

    async fn count_before(&self, shard: &ShardId, range: &Range, time: Timestamp) -> Result<Option<u64>> {
        self.patience.again(|| self.store.count_before(shard, range, time)).await
    }
}

#[async_trait]
impl StreamAdmin for Patient<dyn StreamStore> {
    async fn create(&self, shards: u32) -> Result<Made> {
        self.patience.again(|| self.store.create(shards)).await
    }

    fn create_command(&self, shards: u32) -> Option<String> {
        self.store.create_command(shards)
    }

    async fn reserve(&self, writer: &TransferId) -> Result<Reservation> {
        self.patience.again(|| self.store.reserve(writer)).await
    }

    async fn release(&self, writer: &TransferId) -> Result<()> {
        self.patience.again(|| self.store.release(writer)).await
    }

    /// Once: no operation trims, and what is gone is gone.
    async fn trim(&self, shard: &ShardId, before: &Position) -> Result<()> {
        self.patience.once(self.store.trim(shard, before)).await
    }
}

#[async_trait]
impl StreamStore for Patient<dyn StreamStore> {
    fn promises(&self) -> Promises {
        self.store.promises()
    }

    fn as_stored(&self, event: NewEvent) -> Result<NewEvent> {
        self.store.as_stored(event)
    }

    fn intake(&self) -> Option<Intake> {
        self.store.intake()
    }

    async fn writer<'s>(&'s self, shard: &ShardId, fence: Option<&TransferId>) -> Result<Box<dyn StreamWriter + 's>> {
        let writer = self.patience.again(|| self.store.writer(shard, fence)).await?;
        Ok(Box::new(PatientWriter { writer, patience: &self.patience }))
    }
}

/// A writer, called with patience.
struct PatientWriter<'s> {
    writer: Box<dyn StreamWriter + 's>,
    patience: &'s Patience,
}

#[async_trait]
impl StreamWriter for PatientWriter<'_> {
    /// Once: who does not know whether it happened looks first.
    async fn append(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        self.patience.once(self.writer.append(expected, events)).await
    }

    /// Once, as above.
    async fn append_by_key(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        self.patience.once(self.writer.append_by_key(expected, events)).await
    }

    /// Once, as above.
    async fn append_ordered(
        &self,
        expected: &Position,
        events: &[NewEvent],
        way: (Placement, Order),
    ) -> Result<Appended> {
        self.patience.once(self.writer.append_ordered(expected, events, way)).await
    }

    /// Where the deadline comes first it is dropped, which ends it, too.
    async fn close(self: Box<Self>) {
        let Self { writer, patience } = *self;
        let closed = async {
            writer.close().await;
            Ok(())
        };
        if let Err(error) = patience.once(closed).await {
            tracing::debug!(%error, "a writer was dropped and not closed");
        }
    }
}
