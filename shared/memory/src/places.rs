//! Places in memory.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_ports::{BucketStore, Places, Result, StreamStore};
use sluice_transfer::{BucketUri, StreamUri};

use crate::{MemoryBucket, MemoryStream};

/// Two streams and two buckets, for an export, and an import of it. The stream `memory:source` is the source, any other
/// the target; the bucket `memory:work` is the host's own, any other the archive, and the archive as a source is the
/// export of that name. Objects are named by their keys alone.
#[derive(Clone, Debug, Default)]
pub struct MemoryPlaces {
    /// The stream to export.
    pub source: MemoryStream,
    /// The stream to import into.
    pub target: MemoryStream,
    /// The archive.
    pub bucket: MemoryBucket,
    /// The host's own.
    pub work: MemoryBucket,
}

#[async_trait]
impl Places for MemoryPlaces {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        let stream = if uri.name == "source" { &self.source } else { &self.target };
        Ok(Arc::new(stream.clone()))
    }

    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let bucket = if uri.rest == "work" { &self.work } else { &self.bucket };
        Ok((Arc::new(bucket.clone()), String::new()))
    }

    async fn source(&self, _: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        Ok((Arc::new(self.bucket.clone()), "export".to_owned()))
    }

    fn work(&self) -> BucketUri {
        BucketUri { scheme: "memory".to_owned(), rest: "work".to_owned() }
    }

    fn object(&self, _: &BucketUri, key: &str) -> String {
        key.to_owned()
    }
}
