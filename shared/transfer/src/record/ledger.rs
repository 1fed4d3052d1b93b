//! The ledger of an upload: its parts, to complete it with and to index its object by.

use serde::{Deserialize, Serialize};

use crate::{Checksum, Counts, Cursor, TimeRange};

/// A stored part; its number is its place in the ledger, from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartEntry {
    /// The bucket's etag.
    pub etag: String,
    /// Checksum and size.
    pub checksum: Checksum,
}

/// The range of the source in a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSpan {
    /// Behind the last byte of the source that it holds. It begins where the part in front of it ends.
    pub until: Cursor,
    /// Events that end in it, bytes of payload that lie in it.
    pub counts: Counts,
    /// Times of those events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<TimeRange>,
}

/// A part in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The part.
    #[serde(flatten)]
    pub part: PartEntry,
    /// The part's range of the source; none in records of before objects had indexes.
    #[serde(flatten)]
    pub span: Option<PartSpan>,
}

/// A page of ledger entries that do not fit into the shard's record. Pages are overwritten by the next object's; the
/// record tells how many count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerPage {
    /// Version of this record's shape.
    pub version: u32,
    /// Object it belongs to.
    pub object: u64,
    /// Upload it belongs to.
    pub incarnation: u32,
    /// Its place among the pages, from 0.
    pub index: u32,
    /// Its entries.
    pub entries: Vec<LedgerEntry>,
}
