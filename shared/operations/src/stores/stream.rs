//! Streams, called with patience.

use async_trait::async_trait;
use sluice_ports::{
    Appended, Intake, NewEvent, Promises, Read, ReadLimit, Reservation, Result, StreamFacts, StreamInfo, StreamListing,
    StreamStore,
};
use sluice_transfer::{Counts, Order, Placement, Position, Range, ReadShare, ShardId, Timestamp, TransferId};

use super::patience::Patient;

#[async_trait]
impl StreamStore for Patient<dyn StreamStore> {
    async fn describe(&self) -> Result<StreamInfo> {
        self.patience.again(|| self.store.describe()).await
    }

    async fn list(&self) -> Result<StreamListing> {
        self.patience.again(|| self.store.list()).await
    }

    async fn facts(&self) -> Result<StreamFacts> {
        self.patience.again(|| self.store.facts()).await
    }

    async fn create(&self, shards: u32) -> Result<bool> {
        self.patience.again(|| self.store.create(shards)).await
    }

    fn create_command(&self, shards: u32) -> Option<String> {
        self.store.create_command(shards)
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

    fn promises(&self) -> Promises {
        self.store.promises()
    }

    fn as_stored(&self, event: NewEvent) -> Result<NewEvent> {
        self.store.as_stored(event)
    }

    /// Once: who does not know whether it happened looks first.
    async fn append(
        &self,
        shard: &ShardId,
        writer: Option<&TransferId>,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        self.patience.once(self.store.append(shard, writer, expected, events)).await
    }

    /// Once, as above.
    async fn append_by_key(
        &self,
        shard: &ShardId,
        writer: Option<&TransferId>,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        self.patience.once(self.store.append_by_key(shard, writer, expected, events)).await
    }

    /// Once, as above.
    async fn append_ordered(
        &self,
        shard: &ShardId,
        writer: Option<&TransferId>,
        expected: &Position,
        events: &[NewEvent],
        way: (Placement, Order),
    ) -> Result<Appended> {
        self.patience.once(self.store.append_ordered(shard, writer, expected, events, way)).await
    }

    fn intake(&self) -> Option<Intake> {
        self.store.intake()
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
