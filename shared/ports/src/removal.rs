//! Taking away for good: apart from the stores that the engine is given, so that what runs transfers cannot delete.
//!
//! Only adapters of one machine implement these, and only the command calls them, when a person has said so.

use async_trait::async_trait;
use sluice_transfer::TransferId;

use crate::Result;

/// A bucket that gives up objects.
#[async_trait]
pub trait ObjectRemoval: Send + Sync {
    /// Takes an object away if it has that etag still, else `Changed`. True if it was there. May be repeated.
    ///
    /// Folders that held nothing else go with it.
    async fn remove_object(&self, key: &str, etag: &str) -> Result<bool>;
}

/// Checkpoints that forget a transfer.
#[async_trait]
pub trait TransferRemoval: Send + Sync {
    /// Takes a transfer's record away, with those of its shards and their ledgers, if it has that revision still. True
    /// if it was there. May be repeated.
    async fn remove_transfer(&self, id: &TransferId, revision: u64) -> Result<bool>;
}
