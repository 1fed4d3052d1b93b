//! Places, called with patience. What they open has the same patience.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_ports::{BucketStore, Places, Result, StreamStore};
use sluice_transfer::{BucketUri, HostName, StreamUri};

use super::patience::Patient;

#[async_trait]
impl Places for Patient<dyn Places> {
    async fn canonical(&self, uri: &StreamUri) -> Result<StreamUri> {
        self.patience.again(|| self.store.canonical(uri)).await
    }

    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        let stream = self.patience.again(|| self.store.stream(uri)).await?;
        Ok(self.patience.over(stream))
    }

    async fn target(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        let stream = self.patience.again(|| self.store.target(uri)).await?;
        Ok(self.patience.over(stream))
    }

    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let (bucket, prefix) = self.patience.again(|| self.store.bucket(uri)).await?;
        Ok((self.patience.over(bucket), prefix))
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let (bucket, path) = self.patience.again(|| self.store.source(uri)).await?;
        Ok((self.patience.over(bucket), path))
    }

    async fn destination(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let (bucket, path) = self.patience.again(|| self.store.destination(uri)).await?;
        Ok((self.patience.over(bucket), path))
    }

    fn work(&self) -> BucketUri {
        self.store.work()
    }

    fn host(&self) -> HostName {
        self.store.host()
    }

    fn object(&self, bucket: &BucketUri, key: &str) -> String {
        self.store.object(bucket, key)
    }
}
