//! Layers of the ports: everything is the store's behind it, but what a test overrides.
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use sluice_kit::{BucketLayer, Layered};
//! use sluice_ports::memory::{MemoryBucket, now};
//! use sluice_ports::{BucketStore, Error, ErrorKind, ObjectInfo, Result};
//!
//! /// A bucket that nobody may look into.
//! struct Blind(MemoryBucket);
//!
//! #[async_trait]
//! impl BucketLayer for Blind {
//!     fn inner(&self) -> &dyn BucketStore {
//!         &self.0
//!     }
//!
//!     async fn head(&self, _: &str) -> Result<Option<ObjectInfo>> {
//!         Err(Error::new(ErrorKind::Denied, "nobody may look"))
//!     }
//! }
//!
//! let bucket: Arc<dyn BucketStore> = Arc::new(Layered(Blind(MemoryBucket::new())));
//! assert!(now(bucket.head("a")).is_err());
//! assert_eq!(now(bucket.list("", None, 10)).unwrap().len(), 0);
//! ```

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_ports::{
    Appended, Appends, BucketStore, Capabilities, CheckpointStore, CompleteAnswer, Created, Listed, Metadata, NewEvent,
    ObjectInfo, OpenUpload, PartAnswer, PutAnswer, Read, ReadLimit, Reservation, Result, Stored, StreamInfo,
    StreamStore, WriterAnswer,
};
use sluice_transfer::record::{LedgerPage, PartEntry, ShardRecord, TransferRecord};
use sluice_transfer::{
    Checksum, Counts, DestinationName, LeftOut, Position, Range, ShardId, StreamUri, Timestamp, TransferId, UploadId,
};

/// A layer as the port that it is a layer of.
#[derive(Clone, Debug, Default)]
pub struct Layered<L>(pub L);

/// A layer of a bucket. Each method asks the store behind it; see [`BucketStore`] for what they promise.
#[async_trait]
pub trait BucketLayer: Send + Sync {
    /// The store behind it.
    fn inner(&self) -> &dyn BucketStore;

    /// Called in front of each call, by its name; `writes` is true if the call may change something.
    fn called(&self, _name: &'static str, _writes: bool) {}

    /// As [`BucketStore::capabilities`].
    async fn capabilities(&self) -> Result<Capabilities> {
        self.inner().capabilities().await
    }

    /// As [`BucketStore::head`].
    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        self.inner().head(key).await
    }

    /// As [`BucketStore::get`].
    async fn get(&self, key: &str, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
        self.inner().get(key, pin, offset, len).await
    }

    /// As [`BucketStore::put`].
    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        self.inner().put(key, bytes, checksum, metadata).await
    }

    /// As [`BucketStore::create_upload`].
    async fn create_upload(&self, key: &str, metadata: &Metadata) -> Result<UploadId> {
        self.inner().create_upload(key, metadata).await
    }

    /// As [`BucketStore::upload_part`].
    async fn upload_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: u64,
        offset: u64,
        bytes: Bytes,
        checksum: Checksum,
    ) -> Result<PartAnswer> {
        self.inner().upload_part(key, upload, number, offset, bytes, checksum).await
    }

    /// As [`BucketStore::list_parts`].
    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>> {
        self.inner().list_parts(key, upload).await
    }

    /// As [`BucketStore::complete`].
    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[PartEntry],
        checksum: Checksum,
    ) -> Result<CompleteAnswer> {
        self.inner().complete(key, upload, parts, checksum).await
    }

    /// As [`BucketStore::abort`].
    async fn abort(&self, key: &str, upload: &UploadId) -> Result<()> {
        self.inner().abort(key, upload).await
    }

    /// As [`BucketStore::list`].
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        self.inner().list(prefix, after, limit).await
    }

    /// As [`BucketStore::left_out`].
    async fn left_out(&self, prefix: &str) -> Result<LeftOut> {
        self.inner().left_out(prefix).await
    }

    /// As [`BucketStore::list_uploads`].
    async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>> {
        self.inner().list_uploads(prefix).await
    }
}

#[async_trait]
impl<L: BucketLayer> BucketStore for Layered<L> {
    async fn capabilities(&self) -> Result<Capabilities> {
        self.0.called("capabilities", false);
        self.0.capabilities().await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        self.0.called("head", false);
        self.0.head(key).await
    }

    async fn get(&self, key: &str, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
        self.0.called("get", false);
        self.0.get(key, pin, offset, len).await
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        self.0.called("put", true);
        self.0.put(key, bytes, checksum, metadata).await
    }

    async fn create_upload(&self, key: &str, metadata: &Metadata) -> Result<UploadId> {
        self.0.called("create_upload", true);
        self.0.create_upload(key, metadata).await
    }

    async fn upload_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: u64,
        offset: u64,
        bytes: Bytes,
        checksum: Checksum,
    ) -> Result<PartAnswer> {
        self.0.called("upload_part", true);
        self.0.upload_part(key, upload, number, offset, bytes, checksum).await
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>> {
        self.0.called("list_parts", false);
        self.0.list_parts(key, upload).await
    }

    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[PartEntry],
        checksum: Checksum,
    ) -> Result<CompleteAnswer> {
        self.0.called("complete", true);
        self.0.complete(key, upload, parts, checksum).await
    }

    async fn abort(&self, key: &str, upload: &UploadId) -> Result<()> {
        self.0.called("abort", true);
        self.0.abort(key, upload).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        self.0.called("list", false);
        self.0.list(prefix, after, limit).await
    }

    async fn left_out(&self, prefix: &str) -> Result<LeftOut> {
        self.0.called("left_out", false);
        self.0.left_out(prefix).await
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>> {
        self.0.called("list_uploads", false);
        self.0.list_uploads(prefix).await
    }
}

/// A layer of a stream. Each method asks the store behind it; see [`StreamStore`] for what they promise.
#[async_trait]
pub trait StreamLayer: Send + Sync {
    /// The store behind it.
    fn inner(&self) -> &dyn StreamStore;

    /// Called in front of each call, by its name; `writes` is true if the call may change something.
    fn called(&self, _name: &'static str, _writes: bool) {}

    /// As [`StreamStore::describe`].
    async fn describe(&self) -> Result<StreamInfo> {
        self.inner().describe().await
    }

    /// As [`StreamStore::create`].
    async fn create(&self, shards: u32) -> Result<bool> {
        self.inner().create(shards).await
    }

    /// As [`StreamStore::read`].
    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        self.inner().read(shard, from, limit).await
    }

    /// As [`StreamStore::position_at`].
    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position> {
        self.inner().position_at(shard, time).await
    }

    /// As [`StreamStore::measure`].
    async fn measure(&self, shard: &ShardId, range: &Range) -> Result<Option<Counts>> {
        self.inner().measure(shard, range).await
    }

    /// As [`StreamStore::count_before`].
    async fn count_before(&self, shard: &ShardId, range: &Range, time: Timestamp) -> Result<Option<u64>> {
        self.inner().count_before(shard, range, time).await
    }

    /// As [`StreamStore::appends`].
    fn appends(&self) -> Appends {
        self.inner().appends()
    }

    /// As [`StreamStore::as_stored`].
    fn as_stored(&self, event: NewEvent) -> Result<NewEvent> {
        self.inner().as_stored(event)
    }

    /// As [`StreamStore::append`].
    async fn append(
        &self,
        shard: &ShardId,
        writer: Option<&TransferId>,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        self.inner().append(shard, writer, expected, events).await
    }

    /// As [`StreamStore::reserve`].
    async fn reserve(&self, writer: &TransferId) -> Result<Reservation> {
        self.inner().reserve(writer).await
    }

    /// As [`StreamStore::release`].
    async fn release(&self, writer: &TransferId) -> Result<()> {
        self.inner().release(writer).await
    }

    /// As [`StreamStore::trim`].
    async fn trim(&self, shard: &ShardId, before: &Position) -> Result<()> {
        self.inner().trim(shard, before).await
    }
}

#[async_trait]
impl<L: StreamLayer> StreamStore for Layered<L> {
    async fn describe(&self) -> Result<StreamInfo> {
        self.0.called("describe", false);
        self.0.describe().await
    }

    async fn create(&self, shards: u32) -> Result<bool> {
        self.0.called("create", true);
        self.0.create(shards).await
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        self.0.called("read", false);
        self.0.read(shard, from, limit).await
    }

    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position> {
        self.0.called("position_at", false);
        self.0.position_at(shard, time).await
    }

    async fn measure(&self, shard: &ShardId, range: &Range) -> Result<Option<Counts>> {
        self.0.called("measure", false);
        self.0.measure(shard, range).await
    }

    async fn count_before(&self, shard: &ShardId, range: &Range, time: Timestamp) -> Result<Option<u64>> {
        self.0.called("count_before", false);
        self.0.count_before(shard, range, time).await
    }

    fn appends(&self) -> Appends {
        self.0.appends()
    }

    fn as_stored(&self, event: NewEvent) -> Result<NewEvent> {
        self.0.as_stored(event)
    }

    async fn append(
        &self,
        shard: &ShardId,
        writer: Option<&TransferId>,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        self.0.called("append", true);
        self.0.append(shard, writer, expected, events).await
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

/// A layer of a table of checkpoints. Each method asks the store behind it; see [`CheckpointStore`] for what they promise.
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
    async fn transfers(&self, limit: usize) -> Result<Vec<TransferRecord>> {
        self.inner().transfers(limit).await
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

    async fn transfers(&self, limit: usize) -> Result<Vec<TransferRecord>> {
        self.0.called("transfers", false);
        self.0.transfers(limit).await
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
}
