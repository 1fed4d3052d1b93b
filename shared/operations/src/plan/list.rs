//! The list of an import's sources, written to the host's own bucket while it is found out.

use std::sync::Arc;

use sluice_ports::BucketStore;
use sluice_transfer::limits::LIST_ENTRIES;
use sluice_transfer::manifest::{ListShard, Segment, SegmentRef, SourceEntry, SourceList};
use sluice_transfer::{
    BucketUri, Counts, Encoding, ForeignFiles, Format, Gap, LeftOut, Range, ShardId, SourceFormat, TransferId,
};

use super::notes::Notes;
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
    range: Option<Range>,
    gaps: Vec<Gap>,
    segments: Vec<SegmentRef>,
}

/// What is to be imported. The sources themselves are in the list that was written.
pub(super) struct Sources {
    pub encoding: Encoding,
    /// Files that no export wrote, if they are more than any bytes.
    pub foreign: Option<Box<ForeignFiles>>,
    /// Whether events go on from one source in the next.
    pub joined: bool,
    /// By shard of the source; one for foreign files.
    pub shards: Vec<ListedShard>,
    /// What stands there and is not taken.
    pub left_out: LeftOut,
    /// What else is to be said.
    pub notes: Notes,
}

impl Sources {
    /// Whether their bytes are cut into events.
    pub(super) fn are_cut(&self) -> bool {
        self.encoding.format == Format::Raw
            && self.foreign.as_ref().is_none_or(|files| files.format == SourceFormat::Raw)
    }

    /// The shards that the sources come from.
    pub(super) fn names(&self) -> Vec<Option<ShardId>> {
        self.shards.iter().map(|shard| shard.source.clone()).collect()
    }
}

/// What is known of a shard once all its sources are listed.
#[derive(Default)]
pub(super) struct Known {
    /// Events and bytes of payload in them.
    pub counts: Option<Counts>,
    /// The events that are imported, if not all are.
    pub range: Option<Range>,
    /// What had been lost of them.
    pub gaps: Vec<Gap>,
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
        self.shards.push(ListedShard {
            source,
            entries: 0,
            bytes: 0,
            counts: None,
            range: None,
            gaps: Vec::new(),
            segments: Vec::new(),
        });
    }

    /// Whether the shard at hand has no sources yet.
    pub(super) fn is_empty(&self) -> bool {
        self.shards.last().is_none_or(|shard| shard.entries == 0)
    }

    /// Whether no shard has any.
    pub(super) fn holds_nothing(&self) -> bool {
        self.shards.iter().all(|shard| shard.entries == 0)
    }

    /// Progress is told of all shards together, so either all know what is to come or none does.
    pub(super) fn count_alike(&mut self) {
        if self.shards.iter().any(|shard| shard.counts.is_none()) {
            self.shards.iter_mut().for_each(|shard| shard.counts = None);
        }
    }

    /// The next source of the shard at hand.
    pub(super) async fn push(&mut self, entry: SourceEntry) -> Result<(), OperationError> {
        if let Some(shard) = self.shards.last_mut() {
            shard.entries += 1;
            let bytes = entry.extent();
            shard.bytes += bytes.end - bytes.start;
            self.open.push(entry);
        }
        if self.open.len() == LIST_ENTRIES { self.write().await } else { Ok(()) }
    }

    /// The shard at hand has no more sources.
    pub(super) async fn end(&mut self, known: Known) -> Result<(), OperationError> {
        if !self.open.is_empty() {
            self.write().await?;
        }
        if let Some(shard) = self.shards.last_mut() {
            let Known { counts, range, gaps } = known;
            (shard.counts, shard.range, shard.gaps) = (counts, range, gaps);
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
    left_out: LeftOut,
) -> Result<(), OperationError> {
    let (work, _) = engine.places.bucket(&engine.places.work()).await?;
    let listed = targets.iter().zip(shards).map(|(target, shard)| ListShard {
        shard: target.clone(),
        source: shard.source,
        entries: shard.entries,
        counts: shard.counts,
        bytes: shard.bytes,
        range: shard.range,
        gaps: shard.gaps,
        segments: shard.segments,
    });
    let list = SourceList { transfer: id.clone(), source: source.clone(), shards: listed.collect(), left_out };
    put_document(engine, &*work, key, &list).await?;
    Ok(())
}
