//! Places of which some are replaced.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_ports::{BucketStore, Places, Result, StreamStore};
use sluice_transfer::{BucketUri, StreamUri};

/// Places whose archive is another, and whose target may be.
pub struct OtherPlaces {
    /// Those that there are.
    pub places: Arc<dyn Places>,
    /// In place of the archive.
    pub archive: Arc<dyn BucketStore>,
    /// In place of the target.
    pub target: Option<Arc<dyn StreamStore>>,
}

#[async_trait]
impl Places for OtherPlaces {
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

    fn object(&self, bucket: &BucketUri, key: &str) -> String {
        self.places.object(bucket, key)
    }
}
