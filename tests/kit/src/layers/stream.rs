//! Layers of streams.

use async_trait::async_trait;
use sluice_ports::{
    Appended, Intake, Made, NewEvent, Promises, Read, ReadLimit, Reservation, Result, StreamAdmin, StreamFacts,
    StreamInfo, StreamListing, StreamReader, StreamStore, StreamWriter,
};
use sluice_transfer::{Counts, Order, Placement, Position, Range, ReadShare, ShardId, Timestamp, TransferId};

use super::Layered;

/// A layer of a stream. Each method asks the store behind it; see [`StreamStore`] for what they promise.
#[async_trait]
pub trait StreamLayer: Send + Sync {
    /// The store behind it.
    fn inner(&self) -> &dyn StreamStore;

    /// Called in front of each call, by its name; `writes` is true if the call may change something.
    fn called(&self, _name: &'static str, _writes: bool) {}

    /// As [`StreamReader::describe`].
    async fn describe(&self) -> Result<StreamInfo> {
        self.inner().describe().await
    }

    /// As [`StreamReader::list`].
    async fn list(&self) -> Result<StreamListing> {
        self.inner().list().await
    }

    /// As [`StreamReader::facts`].
    async fn facts(&self) -> Result<StreamFacts> {
        self.inner().facts().await
    }

    /// As [`StreamAdmin::create`].
    async fn create(&self, shards: u32) -> Result<Made> {
        self.inner().create(shards).await
    }

    /// As [`StreamAdmin::create_command`].
    fn create_command(&self, shards: u32) -> Option<String> {
        self.inner().create_command(shards)
    }

    /// As [`StreamReader::read`].
    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        self.inner().read(shard, from, limit).await
    }

    /// As [`StreamReader::position_at`].
    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position> {
        self.inner().position_at(shard, time).await
    }

    /// As [`StreamReader::share_reading`].
    fn share_reading(&self, share: ReadShare) {
        self.inner().share_reading(share);
    }

    /// As [`StreamReader::reader_name`].
    fn reader_name(&self, transfer: &TransferId, place: &str) -> Option<String> {
        self.inner().reader_name(transfer, place)
    }

    /// As [`StreamReader::register_reader`].
    async fn register_reader(&self, name: &str) -> Result<()> {
        self.inner().register_reader(name).await
    }

    /// As [`StreamReader::remove_reader`].
    async fn remove_reader(&self, name: &str) -> Result<()> {
        self.inner().remove_reader(name).await
    }

    /// As [`StreamReader::measure`].
    async fn measure(&self, shard: &ShardId, range: &Range) -> Result<Option<Counts>> {
        self.inner().measure(shard, range).await
    }

    /// As [`StreamReader::count_before`].
    async fn count_before(&self, shard: &ShardId, range: &Range, time: Timestamp) -> Result<Option<u64>> {
        self.inner().count_before(shard, range, time).await
    }

    /// As [`StreamStore::promises`].
    fn promises(&self) -> Promises {
        self.inner().promises()
    }

    /// As [`StreamStore::as_stored`].
    fn as_stored(&self, event: NewEvent) -> Result<NewEvent> {
        self.inner().as_stored(event)
    }

    /// As [`StreamStore::writer`]: what writes to a shard of the store behind it.
    async fn writer<'s>(&'s self, shard: &ShardId, fence: Option<&TransferId>) -> Result<Box<dyn StreamWriter + 's>> {
        self.inner().writer(shard, fence).await
    }

    /// As [`StreamWriter::append`], by what [`Self::writer`] opened for that shard.
    async fn append(
        &self,
        writer: &dyn StreamWriter,
        _shard: &ShardId,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        writer.append(expected, events).await
    }

    /// As [`StreamWriter::append_by_key`]; by default as [`Self::append`], which a layer may have changed. In front of a
    /// store whose keys lead to shards a layer asks the store behind it.
    async fn append_by_key(
        &self,
        writer: &dyn StreamWriter,
        shard: &ShardId,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        self.append(writer, shard, expected, events).await
    }

    /// As [`StreamWriter::append_ordered`]; by default as [`Self::append_by_key`] or [`Self::append`], which a layer may
    /// have changed.
    async fn append_ordered(
        &self,
        writer: &dyn StreamWriter,
        shard: &ShardId,
        expected: &Position,
        events: &[NewEvent],
        (placement, _): (Placement, Order),
    ) -> Result<Appended> {
        match placement {
            Placement::Key => self.append_by_key(writer, shard, expected, events).await,
            Placement::AsSource => self.append(writer, shard, expected, events).await,
        }
    }

    /// As [`StreamStore::intake`].
    fn intake(&self) -> Option<Intake> {
        self.inner().intake()
    }

    /// As [`StreamAdmin::reserve`].
    async fn reserve(&self, writer: &TransferId) -> Result<Reservation> {
        self.inner().reserve(writer).await
    }

    /// As [`StreamAdmin::release`].
    async fn release(&self, writer: &TransferId) -> Result<()> {
        self.inner().release(writer).await
    }

    /// As [`StreamAdmin::trim`].
    async fn trim(&self, shard: &ShardId, before: &Position) -> Result<()> {
        self.inner().trim(shard, before).await
    }
}

#[async_trait]
impl<L: StreamLayer> StreamReader for Layered<L> {
    async fn describe(&self) -> Result<StreamInfo> {
        self.0.called("describe", false);
        self.0.describe().await
    }

    async fn list(&self) -> Result<StreamListing> {
        self.0.called("list_shards", false);
        self.0.list().await
    }

    async fn facts(&self) -> Result<StreamFacts> {
        self.0.called("facts", false);
        self.0.facts().await
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        self.0.called("read", false);
        self.0.read(shard, from, limit).await
    }

    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position> {
        self.0.called("position_at", false);
        self.0.position_at(shard, time).await
    }

    fn share_reading(&self, share: ReadShare) {
        self.0.share_reading(share);
    }

    fn reader_name(&self, transfer: &TransferId, place: &str) -> Option<String> {
        self.0.reader_name(transfer, place)
    }

    async fn register_reader(&self, name: &str) -> Result<()> {
        self.0.called("register_reader", true);
        self.0.register_reader(name).await
    }

    async fn remove_reader(&self, name: &str) -> Result<()> {
        self.0.called("remove_reader", true);
        self.0.remove_reader(name).await
    }

    async fn measure(&self, shard: &ShardId, range: &Range) -> Result<Option<Counts>> {
        self.0.called("measure", false);
        self.0.measure(shard, range).await
    }

    async fn count_before(&self, shard: &ShardId, range: &Range, time: Timestamp) -> Result<Option<u64>> {
        self.0.called("count_before", false);
        self.0.count_before(shard, range, time).await
    }
}

#[async_trait]
impl<L: StreamLayer> StreamAdmin for Layered<L> {
    async fn create(&self, shards: u32) -> Result<Made> {
        self.0.called("create", true);
        self.0.create(shards).await
    }

    fn create_command(&self, shards: u32) -> Option<String> {
        self.0.create_command(shards)
    }

    async fn reserve(&self, writer: &TransferId) -> Result<Reservation> {
        self.0.called("reserve", true);
        self.0.reserve(writer).await
    }

    async fn release(&self, writer: &TransferId) -> Result<()> {
        self.0.called("release", true);
        self.0.release(writer).await
    }

    async fn trim(&self, shard: &ShardId, before: &Position) -> Result<()> {
        self.0.called("trim", true);
        self.0.trim(shard, before).await
    }
}

#[async_trait]
impl<L: StreamLayer> StreamStore for Layered<L> {
    fn promises(&self) -> Promises {
        self.0.promises()
    }

    fn as_stored(&self, event: NewEvent) -> Result<NewEvent> {
        self.0.as_stored(event)
    }

    fn intake(&self) -> Option<Intake> {
        self.0.intake()
    }

    async fn writer<'s>(&'s self, shard: &ShardId, fence: Option<&TransferId>) -> Result<Box<dyn StreamWriter + 's>> {
        let inner = self.0.writer(shard, fence).await?;
        Ok(Box::new(LayeredWriter { layer: &self.0, inner, shard: shard.clone() }))
    }
}

/// A writer to the store behind a layer, whose appends are the layer's.
struct LayeredWriter<'s, L> {
    layer: &'s L,
    inner: Box<dyn StreamWriter + 's>,
    shard: ShardId,
}

#[async_trait]
impl<L: StreamLayer> StreamWriter for LayeredWriter<'_, L> {
    async fn append(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        self.layer.called("append", true);
        self.layer.append(&*self.inner, &self.shard, expected, events).await
    }

    async fn append_by_key(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        self.layer.called("append", true);
        self.layer.append_by_key(&*self.inner, &self.shard, expected, events).await
    }

    async fn append_ordered(
        &self,
        expected: &Position,
        events: &[NewEvent],
        way: (Placement, Order),
    ) -> Result<Appended> {
        self.layer.called("append_ordered", true);
        self.layer.append_ordered(&*self.inner, &self.shard, expected, events, way).await
    }

    async fn close(self: Box<Self>) {
        self.inner.close().await;
    }
}
