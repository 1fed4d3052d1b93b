//! Layers of buckets.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_ports::{
    BucketStore, Capabilities, CompleteAnswer, Listed, Metadata, ObjectInfo, OpenUpload, PartAnswer, PutAnswer, Result,
};
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, LeftOut, UploadId};

use super::Layered;

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
