//! The list of an import's sources, as it is found out when the import is planned.

use std::ops::Range as Interval;

use serde::{Deserialize, Serialize};

use super::{Document, PLACED, RANGED, Segment};
use crate::{BucketUri, Checksum, Counts, Gap, HashRange, LeftOut, Range, ShardId, TransferId};

/// A segment as a list of sources names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentRef {
    /// Relative to the root's folder.
    pub key: String,
    /// The SHA-256 of the segment's whole bytes.
    pub sha256: String,
    /// Entries in it.
    pub entries: u64,
}

/// A source of an import, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceEntry {
    /// Whole key in the source's bucket.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// The bucket's etag when the list was made: what is read must still be this.
    pub etag: String,
    /// As a manifest says; none for foreign files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    /// As a manifest says; none for foreign files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Key of its index; none where it has none: then it is compared as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// The bytes that are imported, whole parts; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Interval<u64>>,
}

impl SourceEntry {
    /// The bytes that are imported.
    pub fn extent(&self) -> Interval<u64> {
        self.bytes.clone().unwrap_or(0..self.size)
    }
}

/// The sources of one target shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListShard {
    /// The target shard.
    pub shard: ShardId,
    /// The shard they came from, if they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ShardId>,
    /// Number of sources.
    pub entries: u64,
    /// Events and bytes of payload in them, where they come from a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Encoded bytes of all sources that are imported.
    pub bytes: u64,
    /// The range of the sources' events that is imported; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// The gaps in the sources' manifest.
    pub gaps: Vec<Gap>,
    /// The segments that list the sources, if these are of one shard or of none.
    pub segments: Vec<SegmentRef>,
    /// The events that go into this shard, where keys decide: those whose key has such a hash. None for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<HashRange>,
    /// The list's parts that are read for this shard, in order, where keys decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<u32>,
}

/// The sources of one shard of an export, or files of others, of which each target shard takes what is its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListPart {
    /// The shard they came from, if they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ShardId>,
    /// The number of the first among all sources of the import, from 0.
    pub first: u64,
    /// Number of sources.
    pub entries: u64,
    /// The range of their events that is imported; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// The hashes of all their keys, if the manifest says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<HashRange>,
    /// The segments that list them.
    pub segments: Vec<SegmentRef>,
}

/// Where an entry of a shard's list is, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPlace<'a> {
    /// The segment that has it.
    pub segment: &'a SegmentRef,
    /// Its place in that segment, from 0.
    pub index: usize,
    /// Its number among all sources of the import, whichever of them the shard reads.
    pub number: u64,
    /// The shard it came from, if it has one.
    pub source: Option<&'a ShardId>,
    /// The range of its events that is imported; none for all.
    pub range: Option<&'a Range>,
    /// The hashes of all its keys, if they are known.
    pub hashes: Option<HashRange>,
}

impl ListShard {
    /// Where an entry is, by its number among all that are read for the shard, from 0. `list` is the list that has the
    /// shard. None if there is no such entry.
    pub fn place<'a>(&'a self, list: &'a SourceList, entry: u64) -> Option<ListPlace<'a>> {
        if self.reads.is_empty() {
            let (segment, index) = place(&self.segments, entry)?;
            let (source, range) = (self.source.as_ref(), self.range.as_ref());
            return Some(ListPlace { segment, index, number: entry, source, range, hashes: None });
        }
        let mut within = entry;
        for part in self.parts(list) {
            if within < part.entries {
                let ((segment, index), number) = (place(&part.segments, within)?, part.first + within);
                let (source, range) = (part.source.as_ref(), part.range.as_ref());
                return Some(ListPlace { segment, index, number, source, range, hashes: part.hashes });
            }
            within -= part.entries;
        }
        None
    }

    /// The parts that are read for the shard, where keys decide.
    pub fn parts<'a>(&'a self, list: &'a SourceList) -> impl Iterator<Item = &'a ListPart> {
        self.reads.iter().filter_map(|part| list.parts.get(usize::try_from(*part).ok()?))
    }
}

/// The segment that has an entry, and the entry's place in it.
fn place(segments: &[SegmentRef], entry: u64) -> Option<(&SegmentRef, usize)> {
    let mut index = entry;
    for segment in segments {
        if index < segment.entries {
            return Some((segment, usize::try_from(index).ok()?));
        }
        index -= segment.entries;
    }
    None
}

/// The list of an import's sources: its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceList {
    /// The import.
    pub transfer: TransferId,
    /// The source as requested.
    pub source: BucketUri,
    /// The target's shards that get something, in order.
    pub shards: Vec<ListShard>,
    /// Entries of the source that are not imported.
    #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
    pub left_out: LeftOut,
    /// All sources, where keys decide: several shards may read a part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<ListPart>,
    /// Events and bytes of payload for all shards together, where keys decide and a manifest tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
}

impl Document for SourceList {
    const KIND: &'static str = "source-list";

    /// A version without ranges would import everything, one without hashes each event into every shard.
    fn version(&self) -> u32 {
        if self.shards.iter().any(|shard| shard.hashes.is_some()) {
            PLACED
        } else if self.shards.iter().any(|shard| shard.range.is_some()) {
            RANGED
        } else {
            1
        }
    }
}

impl Document for Segment<SourceEntry> {
    const KIND: &'static str = "source-segment";
}
