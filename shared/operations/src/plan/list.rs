//! The list of an import's sources, written to the host's own bucket while it is found out.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sluice_transfer::manifest::{ListPart, ListShard, SegmentRef, SourceList};
use sluice_transfer::{
    Aggregates, BucketUri, Counts, Encoding, ForeignFiles, Format, Gap, HashRange, LeftOut, Range, ShardId,
    SourceFormat, TimeRange, Timestamp, TransferId,
};

use super::notes::Notes;
use crate::engine::Engine;
use crate::error::OperationError;
use crate::objects::put_own;

/// The name of the list's root in its folder, without its end.
pub(super) const ROOT: &str = "list";

/// The sources of one shard, as they were listed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedShard {
    /// The shard they come from; none for foreign files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ShardId>,
    /// Shards that it continues.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<ShardId>,
    /// The hashes of all its events' keys, if the manifest knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<HashRange>,
    /// Aggregates among its events, as far as the manifest knows.
    #[serde(default, skip_serializing_if = "Aggregates::is_none")]
    pub aggregates: Aggregates,
    /// The time of the first event, where a rhythm is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// The times of its events, if a manifest tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<TimeRange>,
    entries: u64,
    bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    range: Option<Range>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<Gap>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
    /// Their bucket, if it is not that of the source as it was named.
    pub bucket: Option<BucketUri>,
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

    /// The number of its sources, and their bytes that are imported.
    pub(super) fn counted(&self) -> (u64, u64) {
        (self.entries, self.bytes)
    }

    /// The number of gaps among its sources.
    pub(super) fn gaps(&self) -> usize {
        self.gaps.len()
    }

    /// The number of segments that list its sources.
    pub(super) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Another segment lists more of them.
    pub(super) fn add_segment(&mut self, segment: SegmentRef) {
        self.segments.push(segment);
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

/// Writes the list's root, now that the target's shards are known. Answers its key.
pub(super) async fn write_root(
    engine: &Engine,
    id: &TransferId,
    source: &BucketUri,
    folder: &str,
    sources: &[ListedShard],
    taken: &[Taken],
    left_out: LeftOut,
) -> Result<String, OperationError> {
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
    let (name, _) = put_own(&*work, folder, ROOT, &list).await?;
    Ok(format!("{folder}/{name}"))
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
