//! The list of an import's sources, written to the host's own bucket while it is found out.

use std::collections::BTreeSet;
use std::sync::Arc;

use sluice_ports::BucketStore;
use sluice_transfer::limits::LIST_ENTRIES;
use sluice_transfer::manifest::{ListPart, ListShard, Segment, SegmentRef, SourceEntry, SourceList};
use sluice_transfer::{
    Aggregates, BucketUri, Counts, Encoding, ForeignFiles, Format, Gap, HashRange, LeftOut, Range, ShardId,
    SourceFormat, TimeRange, Timestamp, TransferId,
};

use super::notes::Notes;
use crate::engine::Engine;
use crate::error::OperationError;
use crate::objects::put_document;

/// The sources of one shard, as they were listed.
#[derive(Default)]
pub(super) struct ListedShard {
    /// The shard they come from; none for foreign files.
    pub source: Option<ShardId>,
    /// Shards that it continues.
    pub parents: Vec<ShardId>,
    /// The hashes of all its events' keys, if the manifest knows.
    pub hashes: Option<HashRange>,
    /// Aggregates among its events, as far as the manifest knows.
    pub aggregates: Aggregates,
    /// The time of the first event, where a rhythm is asked for.
    pub first: Option<Timestamp>,
    /// The times of its events, if a manifest tells.
    pub times: Option<TimeRange>,
    entries: u64,
    bytes: u64,
    pub counts: Option<Counts>,
    range: Option<Range>,
    gaps: Vec<Gap>,
    segments: Vec<SegmentRef>,
}

/// What is to be imported. The sources themselves are in the list that was written.
pub(super) struct Sources {
    pub encoding: Encoding,
    /// Files that no export wrote, if they are more than any bytes.
    pub foreign: Option<Box<ForeignFiles>>,
    /// True if events go on from one source in the next.
    pub joined: bool,
    /// By shard of the source; one for foreign files.
    pub shards: Vec<ListedShard>,
    /// Entries of the source that are not taken.
    pub left_out: LeftOut,
    /// What else is to be said.
    pub notes: Notes,
}

impl ListedShard {
    /// Nothing yet, of that shard.
    pub(super) fn of(source: Option<ShardId>) -> Self {
        Self { source, ..Self::default() }
    }

    /// True if there are no sources.
    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// More sources are listed, with this number of bytes.
    pub(super) fn count(&mut self, entries: u64, bytes: u64) {
        self.entries += entries;
        self.bytes += bytes;
    }

    /// What is known of it.
    pub(super) fn know(&mut self, known: Known) {
        let Known { counts, range, gaps, parents, hashes, aggregates, first, times } = known;
        (self.counts, self.range, self.gaps) = (counts, range, gaps);
        (self.parents, self.hashes, self.aggregates) = (parents, hashes, aggregates);
        (self.first, self.times) = (first, times);
    }
}

impl Sources {
    /// True if their bytes are cut into events.
    pub(super) fn are_cut(&self) -> bool {
        self.encoding.format == Format::Raw
            && self.foreign.as_ref().is_none_or(|files| files.format == SourceFormat::Raw)
    }
}

/// What one shard of the target takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// The shard.
    pub shard: ShardId,
    /// The hashes of its events' keys; none for whatever its sources hold.
    pub hashes: Option<HashRange>,
    /// Its sources in the order in which they are read, by their places in the list.
    pub sources: Vec<usize>,
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
    /// Shards that theirs continues.
    pub parents: Vec<ShardId>,
    /// The hashes of all their keys.
    pub hashes: Option<HashRange>,
    /// Aggregates among them, as far as the manifest knows.
    pub aggregates: Aggregates,
    /// The time of the first of them, where a rhythm is asked for.
    pub first: Option<Timestamp>,
    /// The times of all of them, if the manifest tells.
    pub times: Option<TimeRange>,
}

/// Writes segments as they fill, and at the end the root.
pub(super) struct ListWriter<'a> {
    work: Arc<dyn BucketStore>,
    transfer: &'a TransferId,
    folder: String,
    pub shards: Vec<ListedShard>,
    open: Vec<SourceEntry>,
}

impl<'a> ListWriter<'a> {
    /// Each try at planning writes a list of its own, under the time of planning.
    pub(super) async fn new(engine: &Engine, transfer: &'a TransferId) -> Result<Self, OperationError> {
        let (work, prefix) = engine.places().bucket(&engine.places().work()).await?;
        let place = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let folder = format!("{place}imports/{transfer}/sources-{}", engine.clock.now().micros());
        Ok(Self { work, transfer, folder, shards: Vec::new(), open: Vec::new() })
    }

    /// Where the list's root goes.
    pub(super) fn key(&self) -> String {
        format!("{}/list.json", self.folder)
    }

    /// The next shard's sources follow.
    pub(super) fn begin(&mut self, source: Option<ShardId>) {
        self.shards.push(ListedShard::of(source));
    }

    /// True if the current shard has no sources yet.
    pub(super) fn is_empty(&self) -> bool {
        self.shards.last().is_none_or(ListedShard::is_empty)
    }

    /// True if no shard has any.
    pub(super) fn holds_nothing(&self) -> bool {
        self.shards.iter().all(ListedShard::is_empty)
    }

    /// Progress is told of all shards together, so either all know what is to come or none does.
    pub(super) fn count_alike(&mut self) {
        if self.shards.iter().any(|shard| shard.counts.is_none()) {
            self.shards.iter_mut().for_each(|shard| shard.counts = None);
        }
    }

    /// The next source of the current shard.
    pub(super) async fn push(&mut self, entry: SourceEntry) -> Result<(), OperationError> {
        if let Some(shard) = self.shards.last_mut() {
            let bytes = entry.extent();
            shard.count(1, bytes.end - bytes.start);
            self.open.push(entry);
        }
        if self.open.len() == LIST_ENTRIES { self.write().await } else { Ok(()) }
    }

    /// The current shard has no more sources.
    pub(super) async fn end(&mut self, known: Known) -> Result<(), OperationError> {
        if !self.open.is_empty() {
            self.write().await?;
        }
        if let Some(shard) = self.shards.last_mut() {
            shard.know(known);
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
        let sha256 = put_document(&*self.work, &format!("{}/{key}", self.folder), &segment).await?;
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
    sources: &[ListedShard],
    taken: &[Taken],
    left_out: LeftOut,
) -> Result<(), OperationError> {
    let (work, _) = engine.places().bucket(&engine.places().work()).await?;
    let by_key = taken.iter().any(|one| one.hashes.is_some());
    // Each source's gaps are told once, also where several shards read it.
    let mut told = BTreeSet::new();
    let shards = taken.iter().map(|one| match one.hashes {
        Some(hashes) => by_hashes(one, hashes, sources, &mut told),
        None => whole(&one.shard, one.sources.first().map(|source| &sources[*source])),
    });
    let list = SourceList {
        transfer: id.clone(),
        source: source.clone(),
        shards: shards.collect(),
        left_out,
        parts: if by_key { parts(sources) } else { Vec::new() },
        counts: by_key.then(|| sources.iter().map(|source| source.counts).sum()).flatten(),
    };
    put_document(&*work, key, &list).await?;
    Ok(())
}

/// A shard that takes all of one source, if any.
fn whole(shard: &ShardId, source: Option<&ListedShard>) -> ListShard {
    let nothing = ListedShard::default();
    let source = source.unwrap_or(&nothing);
    ListShard {
        shard: shard.clone(),
        source: source.source.clone(),
        entries: source.entries,
        counts: source.counts,
        bytes: source.bytes,
        range: source.range.clone(),
        gaps: source.gaps.clone(),
        segments: source.segments.clone(),
        hashes: None,
        reads: Vec::new(),
    }
}

/// A shard that takes what has such hashes of several sources.
fn by_hashes(taken: &Taken, hashes: HashRange, sources: &[ListedShard], told: &mut BTreeSet<usize>) -> ListShard {
    let mut listed = ListShard { hashes: Some(hashes), ..whole(&taken.shard, None) };
    for number in &taken.sources {
        let source = &sources[*number];
        if told.insert(*number) {
            listed.gaps.extend(source.gaps.iter().cloned());
        }
        if source.entries > 0 {
            listed.entries += source.entries;
            listed.bytes += source.bytes;
            listed.reads.push(u32::try_from(*number).unwrap_or(u32::MAX));
        }
    }
    listed
}

/// All sources, for shards that share them.
fn parts(sources: &[ListedShard]) -> Vec<ListPart> {
    let mut first = 0;
    let part = |source: &ListedShard| {
        let part = ListPart {
            source: source.source.clone(),
            first,
            entries: source.entries,
            range: source.range.clone(),
            hashes: source.hashes,
            segments: source.segments.clone(),
        };
        first += source.entries;
        part
    };
    sources.iter().map(part).collect()
}
