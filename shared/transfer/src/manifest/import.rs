//! The manifest of an import: what its target holds, and where.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Document, MISFITS, SegmentChain};
use crate::{
    BucketUri, Counts, EventDigest, Gap, HashRange, Lacking, LeftOut, Misfits, Position, Range, ShardId, State,
    StreamUri, Timestamp, TransferId,
};

/// A target shard in an import's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportedShard {
    /// The target shard.
    pub shard: ShardId,
    /// The shard its events came from, if they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ShardId>,
    /// The hashes of its events' keys, where keys decided which shard takes an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<HashRange>,
    /// The shards its events came from, one after the other, where keys decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<ShardId>,
    /// The range of the source's events that was imported; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Range>,
    /// The place of its events in the target.
    pub range: Range,
    /// Where they end in the shards that continue the target shard, if the target was split or merged meanwhile. They
    /// begin where those begin.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub continued: BTreeMap<ShardId, Position>,
    /// The number of events and bytes.
    pub counts: Counts,
    /// Records among them without a field that was named.
    #[serde(default, skip_serializing_if = "Lacking::is_none")]
    pub lacking: Lacking,
    /// Events of the sources that the target cannot hold.
    #[serde(default, skip_serializing_if = "Misfits::is_none")]
    pub misfits: Misfits,
    /// The files that hold them, all in the folder `misfits/shard=SHARD`, one an event, named by its place in the
    /// sources. The digest is chained over their keys and checksums, in the order of the keys.
    #[serde(default, skip_serializing_if = "SegmentChain::is_none")]
    pub misfit_files: SegmentChain,
    /// The digest of the events in order; the target was read back and has the same.
    pub digest: EventDigest,
    /// The segments that hold the marks: places in the sources and the target's places that belong to them.
    pub segments: SegmentChain,
    /// The gaps in the sources' manifest.
    pub gaps: Vec<Gap>,
}

/// An import's own manifest: its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportManifest {
    /// The transfer.
    pub transfer: TransferId,
    /// The source as requested.
    pub source: BucketUri,
    /// The list of sources, a key in the same bucket.
    pub list: String,
    /// The target.
    pub stream: StreamUri,
    /// The transfer's last state.
    pub state: State,
    /// The time of planning.
    pub created: Timestamp,
    /// Events and bytes in all shards.
    pub counts: Counts,
    /// Records of all shards without a field that was named.
    #[serde(default, skip_serializing_if = "Lacking::is_none")]
    pub lacking: Lacking,
    /// Events of all shards that the target cannot hold.
    #[serde(default, skip_serializing_if = "Misfits::is_none")]
    pub misfits: Misfits,
    /// The target's shards that got something, in order.
    pub shards: Vec<ImportedShard>,
    /// Entries of the source that were not imported.
    #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
    pub left_out: LeftOut,
    /// The plan's notes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Document for ImportManifest {
    const KIND: &'static str = "import-manifest";

    fn version(&self) -> u32 {
        if self.misfits.is_none() { 1 } else { MISFITS }
    }
}
