//! One target shard of an import: how far its sources are consumed and where its events stand.

use serde::{Deserialize, Serialize};

use crate::limits::SEGMENT_ENTRIES;
use crate::manifest::SegmentChain;
use crate::{Checksum, Counts, EventDigest, Lacking, Position};

/// Where in a shard's sources. Raw: the byte at which the next event begins. Units: where the next event's unit
/// begins, and how many of its events are consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceCursor {
    /// Entry of the shard's list of sources, from 0.
    pub entry: u64,
    /// Byte in that object.
    pub offset: u64,
    /// Events of the unit at that byte.
    pub within: u64,
}

/// The part of an object that is being, or was, compared with its checksum; an object without an index is compared as
/// one. That is done before the first of its events is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Entry of the object.
    pub entry: u64,
    /// Byte of the object at which the part begins.
    #[serde(default, skip_serializing_if = "is_at_beginning")]
    pub from: u64,
    /// Of the part's bytes so far.
    pub seen: Checksum,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over what it skips by reference")]
const fn is_at_beginning(from: &u64) -> bool {
    *from == 0
}

/// A place in the sources and the place in the target that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// All in front of this
    pub source: SourceCursor,
    /// stands in front of that.
    pub target: Position,
}

/// The comparison at the end, target against what was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBack {
    /// Read up to here.
    pub position: Position,
    /// Events and bytes seen.
    pub counts: Counts,
    /// Of the events seen.
    pub digest: EventDigest,
}

impl ReadBack {
    /// Whether what was seen is what was sent.
    pub fn proves(&self, sent: &ImportRecord) -> bool {
        self.counts == sent.counts && self.digest == sent.digest
    }
}

/// A target shard of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportRecord {
    /// Entries in the list of this shard's sources.
    pub entries: u64,
    /// Consumed up to here.
    pub cursor: SourceCursor,
    /// Bytes of the sources in front of the one at the cursor, counted where nothing else tells how far an import is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<u64>,
    /// The comparison at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// The target ends here when the cursor stands where it does.
    pub tail: Position,
    /// More than that may stand behind the tail: an append was not answered, or whoever made it died.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsettled: bool,
    /// Events and bytes sent.
    pub counts: Counts,
    /// Records among them without a field that was named.
    #[serde(default, skip_serializing_if = "Lacking::is_none")]
    pub lacking: Lacking,
    /// Of the events sent; without their order where the target does not keep it.
    pub digest: EventDigest,
    /// Gaps that the sources' manifest has on record for this shard.
    pub gaps: u64,
    /// Segments of the import's own manifest that are written.
    pub segments: SegmentChain,
    /// Marks that no segment has yet.
    pub marks: Vec<Mark>,
    /// The comparison at the end; none before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_back: Option<ReadBack>,
}

impl ImportRecord {
    /// Nothing done; the target shard ends at `tail`.
    pub fn new(entries: u64, tail: Position, gaps: u64) -> Self {
        Self {
            entries,
            cursor: SourceCursor::default(),
            passed: None,
            check: None,
            tail,
            unsettled: false,
            counts: Counts::default(),
            lacking: Lacking::default(),
            digest: EventDigest::default(),
            gaps,
            segments: SegmentChain::default(),
            marks: Vec::new(),
            read_back: None,
        }
    }

    /// Whether all sources are consumed.
    pub fn is_drained(&self) -> bool {
        self.cursor.entry >= self.entries
    }

    /// Events arrived in the target.
    pub fn advanced(&mut self, cursor: SourceCursor, tail: Position, counts: Counts, digest: EventDigest) {
        debug_assert!(cursor >= self.cursor && tail >= self.tail);
        self.cursor = cursor;
        self.tail = tail;
        self.counts += counts;
        self.digest = digest;
    }

    /// Keeps a mark of how far source and target are.
    pub fn mark(&mut self) {
        self.marks.push(Mark { source: self.cursor, target: self.tail.clone() });
    }

    /// Moves the last mark to where source and target are now. It must not be on record yet: a segment may hold it.
    pub fn move_mark(&mut self) {
        self.marks.pop();
        self.mark();
    }

    /// The comparison at the end, before anything was read. The target's events begin at `from`.
    pub fn to_read_back(&self, from: Position) -> ReadBack {
        ReadBack { position: from, counts: Counts::default(), digest: self.digest.begun_anew() }
    }

    /// The marks of the next segment, if there are enough of them, or at the end any.
    pub fn next_segment(&self, at_end: bool) -> Option<&[Mark]> {
        if self.marks.len() >= SEGMENT_ENTRIES {
            return Some(&self.marks[..SEGMENT_ENTRIES]);
        }
        (at_end && !self.marks.is_empty()).then_some(&self.marks[..])
    }

    /// The next segment was written, with so many marks and that SHA-256.
    pub fn listed(&mut self, marks: usize, sha256: &str) {
        self.marks.drain(..marks.min(self.marks.len()));
        self.segments.push(sha256);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sequence;

    #[test]
    fn a_mark_that_is_moved_is_one_mark_and_those_before_it_stay() {
        let mut record = ImportRecord::new(9, Position::Beginning, 0);
        for (entry, moves) in [(1, false), (2, false), (3, true), (4, true), (5, false)] {
            let cursor = SourceCursor { entry, ..SourceCursor::default() };
            record.advanced(cursor, Position::After(Sequence::new(entry)), Counts::new(1, 1), EventDigest::default());
            if moves { record.move_mark() } else { record.mark() }
        }
        let marks: Vec<_> = record.marks.iter().map(|mark| (mark.source.entry, mark.target.clone())).collect();
        assert_eq!(marks, [1, 4, 5].map(|n| (n, Position::After(Sequence::new(n)))));
        assert_eq!(record.counts, Counts::new(5, 5));
    }
}
