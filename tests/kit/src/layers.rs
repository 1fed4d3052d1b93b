//! Layers of the ports: everything is the store's behind it, but what a test overrides.
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use sluice_kit::{BucketLayer, Layered};
//! use sluice_memory::{MemoryBucket, now};
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

mod bucket;
mod checkpoints;
mod stream;

pub use bucket::BucketLayer;
pub use checkpoints::CheckpointLayer;
pub use stream::StreamLayer;

/// A layer as the port that it is a layer of.
#[derive(Clone, Debug, Default)]
pub struct Layered<L>(pub L);
