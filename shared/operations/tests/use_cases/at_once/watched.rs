//! Stores in memory between which a test can stand.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use sluice_kit::BucketLayer;
use sluice_memory::MemoryBucket;
use sluice_ports::{BucketStore, PartAnswer, Result};
use sluice_transfer::{Checksum, UploadId};

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
impl<B: Between> BucketLayer for WatchedBucket<B> {
    fn inner(&self) -> &dyn BucketStore {
        &self.inner
    }

    async fn get(&self, key: &str, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
        self.between.get(key, self.inner.get(key, pin, offset, len)).await
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
}
