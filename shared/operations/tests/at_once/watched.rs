//! Stores in memory between which a test can stand.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use sluice_ports::memory::MemoryBucket;
use sluice_ports::{
    BucketStore, Capabilities, CompleteAnswer, Listed, Metadata, ObjectInfo, OpenUpload, PartAnswer, Places, PutAnswer,
    Result, StreamStore,
};
use sluice_transfer::record::PartEntry;
use sluice_transfer::{BucketUri, Checksum, StreamUri, UploadId};

/// What becomes of calls of a bucket: by itself, they are made.
#[async_trait]
pub(crate) trait Between: Send + Sync {
    /// The call that reads of an object.
    async fn get(&self, _key: &str, call: BoxFuture<'_, Result<Bytes>>) -> Result<Bytes> {
        call.await
    }

    /// The call that stores a part of that number and length.
    async fn part(&self, _number: u64, _len: u64, call: BoxFuture<'_, Result<PartAnswer>>) -> Result<PartAnswer> {
        call.await
    }
}

/// A bucket behind that.
pub(crate) struct WatchedBucket<B> {
    pub(crate) inner: MemoryBucket,
    pub(crate) between: Arc<B>,
}

#[async_trait]
impl<B: Between> BucketStore for WatchedBucket<B> {
    async fn capabilities(&self) -> Result<Capabilities> {
        self.inner.capabilities().await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        self.inner.head(key).await
    }

    async fn get(&self, key: &str, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
        self.between.get(key, self.inner.get(key, pin, offset, len)).await
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        self.inner.put(key, bytes, checksum, metadata).await
    }

    async fn create_upload(&self, key: &str, metadata: &Metadata) -> Result<UploadId> {
        self.inner.create_upload(key, metadata).await
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
        let len = bytes.len() as u64;
        self.between.part(number, len, self.inner.upload_part(key, upload, number, offset, bytes, checksum)).await
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>> {
        self.inner.list_parts(key, upload).await
    }

    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[PartEntry],
        checksum: Checksum,
    ) -> Result<CompleteAnswer> {
        self.inner.complete(key, upload, parts, checksum).await
    }

    async fn abort(&self, key: &str, upload: &UploadId) -> Result<()> {
        self.inner.abort(key, upload).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        self.inner.list(prefix, after, limit).await
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>> {
        self.inner.list_uploads(prefix).await
    }
}

/// Places whose archive is another, and whose target may be.
pub(crate) struct WatchedPlaces {
    pub(crate) places: Arc<dyn Places>,
    pub(crate) archive: Arc<dyn BucketStore>,
    pub(crate) target: Option<Arc<dyn StreamStore>>,
}

#[async_trait]
impl Places for WatchedPlaces {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        match &self.target {
            Some(target) if uri.name == "target" => Ok(target.clone()),
            _ => self.places.stream(uri).await,
        }
    }

    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let (bucket, prefix) = self.places.bucket(uri).await?;
        Ok((if *uri == self.places.work() { bucket } else { self.archive.clone() }, prefix))
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        Ok((self.archive.clone(), self.places.source(uri).await?.1))
    }

    fn work(&self) -> BucketUri {
        self.places.work()
    }
}
