//! Guards of the protocol, taken out one at a time, to see that the simulator misses them. They are taken out in
//! decorators of the stores, most of them here, or in the settings; the operations have no switch for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use sluice_kit::{BucketLayer, CheckpointLayer, Layered, StreamLayer};
use sluice_ports::{
    Appended, BucketStore, CheckpointStore, CompleteAnswer, Metadata, NewEvent, ObjectInfo, PutAnswer, Read, ReadLimit,
    Result, Stored, StreamInfo, StreamListing, StreamStore, StreamWriter,
};
use sluice_transfer::record::{LedgerPage, PartEntry, Phase, ShardRecord, Work};
use sluice_transfer::{Checksum, DestinationName, Position, ShardId, UploadId};

/// A guard that can be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Writes of a shard's record are conditional on what was read, and so on the epoch.
    EpochCondition,
    /// What stands at a key after an uncertain completion is compared with what was to be completed.
    HeadAfterComplete,
    /// An object's end is on record before the object can exist.
    ClosingAhead,
    /// After an append by key that was not answered it is looked what arrived.
    Reconcile,
    /// That is not done before everything has landed.
    LandingWait,
    /// It is looked in the shards, too, that continue the one which was appended to.
    Continued,
    /// An export says which shards continue which, and an import reads parents before children.
    Lineage,
    /// An import knows the hashes of the target's shards, and sends no event elsewhere than its key leads.
    Placement,
    /// A source says that events are gone where reading was to go on.
    Horizon,
    /// An event that the target cannot hold is in its file before a record passes over it.
    MisfitFirst,
}

/// Checkpoints without the first or the third guard.
pub(crate) struct LooseCheckpoints {
    pub inner: Arc<dyn CheckpointStore>,
    pub without: Guard,
}

impl LooseCheckpoints {
    /// The record as it would be if nobody wrote the closing ahead: the phase before it.
    async fn unclosed(&self, record: &ShardRecord) -> Result<ShardRecord> {
        let mut record = record.clone();
        let before = self.inner.shard(&record.transfer, &record.shard).await?;
        let (Work::Export(now), Some(Work::Export(then))) = (&mut record.work, before.map(|before| before.work)) else {
            return Ok(record);
        };
        for (name, destination) in now {
            if matches!(destination.phase, Phase::Closing(_))
                && let Some(then) = then.get(name)
            {
                destination.phase = match &destination.phase {
                    Phase::Closing(closing) => closing.upload.clone().map_or(Phase::Idle, Phase::Open),
                    _ => then.phase.clone(),
                };
            }
        }
        Ok(record)
    }
}

#[async_trait]
impl CheckpointLayer for LooseCheckpoints {
    fn inner(&self) -> &dyn CheckpointStore {
        &*self.inner
    }

    async fn update_shard(&self, record: &ShardRecord, pages: &[(DestinationName, LedgerPage)]) -> Result<Stored> {
        if self.without == Guard::ClosingAhead {
            return self.inner.update_shard(&self.unclosed(record).await?, pages).await;
        }
        let answer = self.inner.update_shard(record, pages).await?;
        if answer == Stored::Done {
            return Ok(answer);
        }
        // Whatever is stored, it is written over.
        let mut record = record.clone();
        if let Some(there) = self.inner.shard(&record.transfer, &record.shard).await? {
            record.revision = there.revision + 1;
        }
        self.inner.update_shard(&record, pages).await
    }
}

/// A bucket without the second guard: whatever stands at a key is taken for what was last tried there.
pub(crate) struct CredulousBucket {
    pub inner: Arc<dyn BucketStore>,
    tried: Mutex<BTreeMap<String, (Metadata, Checksum)>>,
}

impl CredulousBucket {
    pub(crate) fn new(inner: Arc<dyn BucketStore>) -> Self {
        Self { inner, tried: Mutex::default() }
    }

    fn tried(&self) -> MutexGuard<'_, BTreeMap<String, (Metadata, Checksum)>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BucketLayer for CredulousBucket {
    fn inner(&self) -> &dyn BucketStore {
        &*self.inner
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        let mut found = self.inner.head(key).await?;
        if let (Some(info), Some((metadata, checksum))) = (&mut found, self.tried().get(key)) {
            info.metadata.clone_from(metadata);
            info.size = checksum.len;
            info.checksum = Some(*checksum);
        }
        Ok(found)
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        if key.contains("/data/") {
            self.tried().insert(key.to_owned(), (metadata.clone(), checksum));
        }
        self.inner.put(key, bytes, checksum, metadata).await
    }

    async fn create_upload(&self, key: &str, metadata: &Metadata) -> Result<UploadId> {
        self.tried().insert(key.to_owned(), (metadata.clone(), Checksum::default()));
        self.inner.create_upload(key, metadata).await
    }

    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[PartEntry],
        checksum: Checksum,
    ) -> Result<CompleteAnswer> {
        if let Some((_, tried)) = self.tried().get_mut(key) {
            *tried = checksum;
        }
        self.inner.complete(key, upload, parts, checksum).await
    }
}

/// The source as actors get it.
pub(crate) fn loose_source(without: Option<Guard>, inner: Arc<dyn StreamStore>) -> Arc<dyn StreamStore> {
    match without {
        Some(without @ (Guard::Lineage | Guard::Horizon)) => Arc::new(Layered(LooseStream { inner, without })),
        _ => inner,
    }
}

/// The target as actors get it.
pub(crate) fn loose_target(without: Option<Guard>, inner: Arc<dyn StreamStore>) -> Arc<dyn StreamStore> {
    match without {
        Some(without @ (Guard::Continued | Guard::Placement)) => Arc::new(Layered(LooseStream { inner, without })),
        _ => inner,
    }
}

/// A stream that does not tell what a guard goes by.
struct LooseStream {
    inner: Arc<dyn StreamStore>,
    without: Guard,
}

impl LooseStream {
    /// True if a shard is open.
    async fn takes(&self, shard: &ShardId) -> Result<bool> {
        let info = self.inner.describe().await?;
        Ok(info.shards.iter().any(|info| info.shard == *shard && !info.closed))
    }
}

#[async_trait]
impl StreamLayer for LooseStream {
    fn inner(&self) -> &dyn StreamStore {
        &*self.inner
    }

    async fn describe(&self) -> Result<StreamInfo> {
        let mut info = self.inner.describe().await?;
        if self.without == Guard::Placement {
            info.shards.iter_mut().for_each(|shard| shard.hashes = None);
        }
        Ok(info)
    }

    async fn list(&self) -> Result<StreamListing> {
        let mut listing = self.inner.list().await?;
        match self.without {
            Guard::Lineage => listing.shards.iter_mut().for_each(|listed| listed.parents.clear()),
            Guard::Continued => listing.shards.retain(|listed| listed.parents.is_empty()),
            _ => {}
        }
        Ok(listing)
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        match self.inner.read(shard, from, limit).await? {
            // As an iterator does that begins at the oldest event.
            Read::Trimmed { earliest } if self.without == Guard::Horizon => {
                self.inner.read(shard, &earliest, limit).await
            }
            read => Ok(read),
        }
    }

    async fn append_by_key(
        &self,
        writer: &dyn StreamWriter,
        shard: &ShardId,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        if self.without == Guard::Placement && self.takes(shard).await? {
            return writer.append(expected, events).await;
        }
        writer.append_by_key(expected, events).await
    }
}
