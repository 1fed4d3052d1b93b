//! The list of an import's sources, as it is found out when the import is planned.

use std::ops::Range as Interval;

use serde::{Deserialize, Serialize};

use super::{Document, MANIFEST_VERSION, Segment};
use crate::{BucketUri, Checksum, Counts, Gap, LeftOut, Range, ShardId, TransferId};

/// A segment as a list of sources names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentRef {
    /// Relative to the root's folder.
    pub key: String,
    /// Of the segment's whole bytes.
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
    /// As the bucket answered when the list was made: what is read must still be this.
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
    /// Of the sources' events those that are imported; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// What the sources' manifest had lost.
    pub gaps: Vec<Gap>,
    /// Where they are listed.
    pub segments: Vec<SegmentRef>,
}

/// The list of an import's sources: its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceList {
    /// The import.
    pub transfer: TransferId,
    /// What was asked for.
    pub source: BucketUri,
    /// The target's shards that get something, in order.
    pub shards: Vec<ListShard>,
    /// What the source holds and the import does not take.
    #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
    pub left_out: LeftOut,
}

impl Document for SourceList {
    const KIND: &'static str = "source-list";

    /// Whoever does not know of ranges would import all.
    fn version(&self) -> u32 {
        if self.shards.iter().any(|shard| shard.range.is_some()) { MANIFEST_VERSION } else { 1 }
    }
}

impl Document for Segment<SourceEntry> {
    const KIND: &'static str = "source-segment";
}
