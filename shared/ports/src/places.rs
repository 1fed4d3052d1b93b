//! The port that opens streams and buckets by name.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_transfer::{BucketUri, HostName, StreamUri};

use crate::{BucketStore, Result, StreamStore};

/// Opens streams and buckets by their names on this host. A scheme that the host does not have is `Invalid` and names
/// those it has.
#[async_trait]
pub trait Places: Send + Sync {
    /// The one name under which a stream is kept on record, however it was spelt.
    async fn canonical(&self, uri: &StreamUri) -> Result<StreamUri> {
        Ok(uri.clone())
    }

    /// The stream of that name, to read from; it need not exist. `Denied` if the host may not read it.
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>>;

    /// The stream of that name, to append to and to read back; it need not exist. `Denied` if the host may not append
    /// to it. By default as [`stream`](Self::stream), for hosts that tell no difference.
    async fn target(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        self.stream(uri).await
    }

    /// The bucket, to write to and to read back, and the prefix in it (no slashes at its ends, empty for the top).
    /// `Denied` if the host may not write there.
    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)>;

    /// The bucket, to read from, and the key or the prefix in it. A slash at its end means a folder, never an object of
    /// that name. Nothing is made; `NotFound` if there is none, `Denied` if the host may not read there.
    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)>;

    /// The bucket that planning has opened by [`bucket`](Self::bucket), to write to and to read back. Nothing is made;
    /// `NotFound` if it is gone. By default as [`source`](Self::source), for hosts that tell no difference.
    async fn destination(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.source(uri).await
    }

    /// The host's own bucket, for lists of sources and the manifests of imports.
    fn work(&self) -> BucketUri;

    /// Who keeps this host's records: two hosts that keep them apart have different ids. It goes into the documents of a
    /// series. By default the host's own bucket says it.
    fn host(&self) -> HostName {
        HostName { id: self.work().to_string(), place: self.work().to_string() }
    }

    /// An object as a person names it, so that it can be given as a source.
    fn object(&self, bucket: &BucketUri, key: &str) -> String {
        format!("{bucket}/{key}")
    }
}
