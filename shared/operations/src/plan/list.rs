//! The list of an import's sources, written to the host's own bucket while it is found out.

use std::sync::Arc;

use sluice_ports::BucketStore;
use sluice_transfer::limits::LIST_ENTRIES;
use sluice_transfer::manifest::{ListShard, Segment, SegmentRef, SourceEntry, SourceList};
use sluice_transfer::{BucketUri, Counts, Gap, ShardId, TransferId};

use crate::engine::Engine;
use crate::error::OperationError;
use crate::objects::put_document;

/// The sources of one shard, as they were listed.
pub(super) struct ListedShard {
    /// The shard they come from; none for foreign files.
    pub source: Option<ShardId>,
    entries: u64,
    bytes: u64,
    counts: Option<Counts>,
    gaps: Vec<Gap>,
    segments: Vec<SegmentRef>,
}

/// Writes segments as they fill, and at the end the root.
pub(super) struct ListWriter<'a> {
    engine: &'a Engine,
    work: Arc<dyn BucketStore>,
    transfer: &'a TransferId,
    folder: String,
    pub shards: Vec<ListedShard>,
    open: Vec<SourceEntry>,
}

impl<'a> ListWriter<'a> {
    /// Each try at planning writes a list of its own, under the time of planning.
    pub(super) async fn new(engine: &'a Engine, transfer: &'a TransferId) -> Result<Self, OperationError> {
        let (work, prefix) = engine.places.bucket(&engine.places.work()).await?;
        let place = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let folder = format!("{place}imports/{transfer}/sources-{}", engine.clock.now().micros());
        Ok(Self { engine, work, transfer, folder, shards: Vec::new(), open: Vec::new() })
    }

    /// Where the list's root goes.
    pub(super) fn key(&self) -> String {
        format!("{}/list.json", self.folder)
    }

    /// The next shard's sources follow.
    pub(super) fn begin(&mut self, source: Option<ShardId>) {
        let shard = ListedShard { source, entries: 0, bytes: 0, counts: None, gaps: Vec::new(), segments: Vec::new() };
        self.shards.push(shard);
    }

    /// Whether the shard at hand has no sources yet.
    pub(super) fn is_empty(&self) -> bool {
        self.shards.last().is_none_or(|shard| shard.entries == 0)
    }

    /// The next source of the shard at hand.
    pub(super) async fn push(&mut self, entry: SourceEntry) -> Result<(), OperationError> {
        if let Some(shard) = self.shards.last_mut() {
            shard.entries += 1;
            shard.bytes += entry.size;
            self.open.push(entry);
        }
        if self.open.len() == LIST_ENTRIES { self.write().await } else { Ok(()) }
    }

    /// The shard at hand has no more sources.
    pub(super) async fn end(&mut self, counts: Option<Counts>, gaps: Vec<Gap>) -> Result<(), OperationError> {
        if !self.open.is_empty() {
            self.write().await?;
        }
        if let Some(shard) = self.shards.last_mut() {
            (shard.counts, shard.gaps) = (counts, gaps);
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), OperationError> {
        let index = self.shards.len();
        let Some(shard) = self.shards.last_mut() else { return Ok(()) };
        let number = u32::try_from(shard.segments.len() + 1).unwrap_or(u32::MAX);
        let entries = std::mem::take(&mut self.open);
        let count = entries.len() as u64;
        let segment = Segment { transfer: self.transfer.clone(), shard: shard.source.clone(), number, entries };
        let key = format!("{index:04}/{number:06}.json");
        let sha256 = put_document(self.engine, &*self.work, &format!("{}/{key}", self.folder), &segment).await?;
        shard.segments.push(SegmentRef { key, sha256, entries: count });
        Ok(())
    }
}

/// Writes the list's root, now that the target's shards are known.
pub(super) async fn write_root(
    engine: &Engine,
    id: &TransferId,
    source: &BucketUri,
    key: &str,
    shards: Vec<ListedShard>,
    targets: &[ShardId],
) -> Result<(), OperationError> {
    let (work, _) = engine.places.bucket(&engine.places.work()).await?;
    let listed = targets.iter().zip(shards).map(|(target, shard)| ListShard {
        shard: target.clone(),
        source: shard.source,
        entries: shard.entries,
        counts: shard.counts,
        bytes: shard.bytes,
        gaps: shard.gaps,
        segments: shard.segments,
    });
    let list = SourceList { transfer: id.clone(), source: source.clone(), shards: listed.collect() };
    put_document(engine, &*work, key, &list).await?;
    Ok(())
}
