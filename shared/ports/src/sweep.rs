//! What a sweep over all transfers asks of the records' store, apart from what runs transfers.

use async_trait::async_trait;
use sluice_transfer::Timestamp;
use sluice_transfer::record::{SweepRecord, TransferRecord};

use crate::{Result, Stored};

/// Records of ended transfers that are gone through once, and may go after a time.
#[async_trait]
pub trait SweepStore: Send + Sync {
    /// What the sweep before kept; none before the first.
    async fn swept(&self) -> Result<Option<SweepRecord>>;

    /// Writes it on condition that the stored revision is one below the given record's.
    async fn update_swept(&self, record: &SweepRecord) -> Result<Stored>;

    /// Transfers at their end that were not marked, at most `limit`, in no order that is promised. An index may trail.
    async fn unmarked(&self, limit: usize) -> Result<Vec<TransferRecord>>;

    /// Marks a transfer at its end as gone through, if it has that record's revision still. With `expires` the store
    /// may forget it and its shards from then on, at a time of its own. May be repeated.
    async fn mark(&self, ended: &TransferRecord, at: Timestamp, expires: Option<Timestamp>) -> Result<Stored>;
}
