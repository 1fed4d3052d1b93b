//! Buckets, called with patience.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_ports::{
    BucketStore, Capabilities, CompleteAnswer, Listed, Metadata, ObjectInfo, OpenUpload, PartAnswer, PutAnswer, Result,
};
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, LeftOut, UploadId};

use super::patience::Patient;

#[async_trait]
impl BucketStore for Patient<dyn BucketStore> {
    async fn capabilities(&self) -> Result<Capabilities> {
        self.patience.again(|| self.store.capabilities()).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        self.patience.again(|| self.store.head(key)).await
    }

    async fn get(&self, key: &str, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
        self.patience.again(|| self.store.get(key, pin, offset, len)).await
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        self.patience.again(|| self.store.put(key, bytes.clone(), checksum, metadata)).await
    }

    /// An upload that was begun twice is swept at the end.
    async fn create_upload(&self, key: &str, metadata: &Metadata) -> Result<UploadId> {
        self.patience.again(|| self.store.create_upload(key, metadata)).await
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
        self.patience.again(|| self.store.upload_part(key, upload, number, offset, bytes.clone(), checksum)).await
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>> {
        self.patience.again(|| self.store.list_parts(key, upload)).await
    }

    /// Once: who does not know whether it happened looks first.
    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[PartEntry],
        checksum: Checksum,
    ) -> Result<CompleteAnswer> {
        self.patience.once(self.store.complete(key, upload, parts, checksum)).await
    }

    async fn abort(&self, key: &str, upload: &UploadId) -> Result<()> {
        self.patience.again(|| self.store.abort(key, upload)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        self.patience.again(|| self.store.list(prefix, after, limit)).await
    }

    async fn left_out(&self, prefix: &str) -> Result<LeftOut> {
        self.patience.again(|| self.store.left_out(prefix)).await
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>> {
        self.patience.again(|| self.store.list_uploads(prefix)).await
    }
}
