//! One target shard of an import: how far its sources are consumed and where its events stand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::SEGMENT_ENTRIES;
use crate::manifest::SegmentChain;
use crate::{Checksum, Counts, EventDigest, Lacking, Misfits, Position, Sequence, ShardId, Timestamp};

/// A place in a shard's sources. Raw: the byte at which the next event begins. Units: where the next event's unit
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

impl SourceCursor {
    /// The entry of the event in front of it: it may be at the beginning of the next.
    pub fn entry_before(self) -> u64 {
        if self.offset == 0 && self.within == 0 { self.entry.saturating_sub(1) } else { self.entry }
    }
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
    /// The checksum of the part's bytes so far.
    pub seen: Checksum,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over what it skips by reference")]
const fn is_at_beginning(from: &u64) -> bool {
    *from == 0
}

/// Where the events of a target shard end: in itself, and in the shards that continue it since it was split or merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tails {
    /// Behind the last event in the shard.
    pub own: Position,
    /// The same in shards that continue it; of those that are not here none is known to have any.
    pub continued: BTreeMap<ShardId, Position>,
}

impl Tails {
    /// In a shard that nothing continues.
    pub fn of(own: Position) -> Self {
        Self { own, continued: BTreeMap::new() }
    }

    /// Of each shard the later one of two positions.
    #[must_use]
    pub fn max(mut self, other: Self) -> Self {
        self.own = self.own.max(other.own);
        for (shard, tail) in other.continued {
            let known = self.continued.entry(shard).or_default();
            *known = tail.max(std::mem::take(known));
        }
        self
    }
}

/// An event of an export by the shard and the number that it had there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The shard of the exported stream.
    pub shard: ShardId,
    /// The number.
    pub sequence: Sequence,
}

/// A place in the sources and the place in the target that belongs to it. The marks of a lane are its position map:
/// what lies between two marks in the sources lies between them in the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// All in front of this
    pub source: SourceCursor,
    /// The last event in front of it that this lane took, if sources know their events' numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// stands in front of that.
    pub target: Position,
    /// Or, since the target was split or merged, in front of these in the shards that continue the target shard.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub continued: BTreeMap<ShardId, Position>,
}

/// The comparison of the target with the events that were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBack {
    /// Read up to here.
    pub position: Position,
    /// In this shard, which continues the target shard; none for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardId>,
    /// Events and bytes seen.
    pub counts: Counts,
    /// The digest of the events seen.
    pub digest: EventDigest,
}

impl ReadBack {
    /// True if what was seen is what was sent.
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
    /// The current comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// The target ends here when the cursor stands where it does.
    pub tail: Position,
    /// The same for the shards that continue it, since the target was split or merged.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub continued: BTreeMap<ShardId, Position>,
    /// More than that may stand behind the tail: an append was not answered, or whoever made it died.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsettled: bool,
    /// Since when that is known, and so nobody sends any more of it: what is still to land is waited for from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsettled_since: Option<Timestamp>,
    /// Events and bytes sent.
    pub counts: Counts,
    /// Records among them without a field that was named.
    #[serde(default, skip_serializing_if = "Lacking::is_none")]
    pub lacking: Lacking,
    /// Events in front of the cursor that were not sent, since the target cannot hold them. Each is in a file.
    #[serde(default, skip_serializing_if = "Misfits::is_none")]
    pub misfits: Misfits,
    /// Those files, in the order of the sources: their names below the import's folder, and their checksums.
    #[serde(default, skip_serializing_if = "SegmentChain::is_none")]
    pub misfit_files: SegmentChain,
    /// The digest of the events sent; without their order where the target does not keep it.
    pub digest: EventDigest,
    /// Gaps that the sources' manifest has on record for this shard.
    pub gaps: u64,
    /// Segments of the import's own manifest that are written.
    pub segments: SegmentChain,
    /// Marks that no segment has yet.
    pub marks: Vec<Mark>,
    /// Of an import in rhythm: the source time of the next event, while that is not due. Absent while events are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Timestamp>,
    /// Of an import in rhythm: how late its events were sent. Absent while they were in time.
    #[serde(default, skip_serializing_if = "Lateness::is_none")]
    pub late: Lateness,
    /// The comparison of the target with what was sent. Where appends go by key it is begun while events are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_back: Option<ReadBack>,
}

/// How much later events were sent than they were due, in milliseconds. Less than [`IN_TIME_MILLIS`] is in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lateness {
    /// The last ones.
    pub last_millis: u64,
    /// The latest ones so far.
    pub most_millis: u64,
}

/// An append takes some time, and the next one waits for it: a lateness of less is none.
pub const IN_TIME_MILLIS: u64 = 1_000;

impl Lateness {
    /// True if all were in time.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// More were sent so much later than they were due.
    pub fn sent(&mut self, late_millis: u64) {
        self.last_millis = if late_millis < IN_TIME_MILLIS { 0 } else { late_millis };
        self.most_millis = self.most_millis.max(self.last_millis);
    }

    /// The larger one of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            last_millis: self.last_millis.max(other.last_millis),
            most_millis: self.most_millis.max(other.most_millis),
        }
    }
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
            continued: BTreeMap::new(),
            unsettled: false,
            unsettled_since: None,
            counts: Counts::default(),
            lacking: Lacking::default(),
            misfits: Misfits::default(),
            misfit_files: SegmentChain::default(),
            digest: EventDigest::default(),
            gaps,
            segments: SegmentChain::default(),
            marks: Vec::new(),
            waits_for: None,
            late: Lateness::default(),
            read_back: None,
        }
    }

    /// True if all sources are consumed.
    pub fn is_drained(&self) -> bool {
        self.cursor.entry >= self.entries
    }

    /// Events arrived in the target: so many, which lack this. The digest is that of all up to there.
    pub fn advanced(
        &mut self,
        cursor: SourceCursor,
        tails: Tails,
        counts: Counts,
        lacking: Lacking,
        digest: EventDigest,
    ) {
        debug_assert!(cursor >= self.cursor);
        self.cursor = cursor;
        self.pass_to(tails);
        self.counts += counts;
        self.lacking += lacking;
        self.digest = digest;
    }

    /// An event is passed over that the target cannot hold. It is in that file.
    pub fn passed_misfit(&mut self, cursor: SourceCursor, misfit: &Misfits, name: &str, checksum: Checksum) {
        debug_assert!(cursor >= self.cursor);
        self.cursor = cursor;
        self.misfits += misfit;
        self.misfit_files.push_named(name, checksum);
    }

    /// Nothing of this shard's events stands up to there.
    pub fn pass_to(&mut self, tails: Tails) {
        let Tails { own, continued } = self.tails().max(tails);
        (self.tail, self.continued) = (own, continued);
    }

    /// Where the target's events end.
    pub fn tails(&self) -> Tails {
        Tails { own: self.tail.clone(), continued: self.continued.clone() }
    }

    /// The shard that is to be read back next, none for the target shard itself, and how far. The comparison is moved
    /// on to it. None once all are read.
    pub fn next_back(&self, back: &mut ReadBack) -> Option<(Option<ShardId>, Position)> {
        loop {
            let tail = back.shard.as_ref().map_or(Some(&self.tail), |shard| self.continued.get(shard));
            if let Some(tail) = tail.filter(|tail| back.position < **tail) {
                return Some((back.shard.clone(), tail.clone()));
            }
            let mut shards = self.continued.keys();
            let next = shards.find(|shard| back.shard.as_ref().is_none_or(|read| *shard > read))?;
            (back.shard, back.position) = (Some(next.clone()), Position::Beginning);
        }
    }

    /// Keeps a mark of how far source and target are. `origin` is the last event that arrived.
    pub fn mark(&mut self, origin: Option<Origin>) {
        let (target, continued) = (self.tail.clone(), self.continued.clone());
        self.marks.push(Mark { source: self.cursor, origin, target, continued });
    }

    /// Moves the last mark to where source and target are now. It must not be on record yet: a segment may hold it.
    pub fn move_mark(&mut self, origin: Option<Origin>) {
        self.marks.pop();
        self.mark(origin);
    }

    /// The comparison at the end, before anything was read. The target's events begin at `from`.
    pub fn to_read_back(&self, from: Position) -> ReadBack {
        ReadBack { position: from, shard: None, counts: Counts::default(), digest: self.digest.begun_anew() }
    }

    /// The marks of the next segment, if there are enough of them, or at the end any.
    pub fn next_segment(&self, at_end: bool) -> Option<&[Mark]> {
        if self.marks.len() >= SEGMENT_ENTRIES {
            return Some(&self.marks[..SEGMENT_ENTRIES]);
        }
        (at_end && !self.marks.is_empty()).then_some(&self.marks[..])
    }

    /// The next segment was written, with this number of marks and this SHA-256.
    pub fn listed(&mut self, marks: usize, sha256: &str) {
        self.marks.drain(..marks.min(self.marks.len()));
        self.segments.push(sha256);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_is_moved_is_one_mark_and_those_before_it_stay() {
        let mut record = ImportRecord::new(9, Position::Beginning, 0);
        for (entry, moves) in [(1, false), (2, false), (3, true), (4, true), (5, false)] {
            let cursor = SourceCursor { entry, ..SourceCursor::default() };
            let (tail, lacking) = (Position::After(Sequence::new(entry)), Lacking { key: entry, ..Lacking::default() });
            record.advanced(cursor, Tails::of(tail), Counts::new(1, 1), lacking, EventDigest::default());
            if moves { record.move_mark(None) } else { record.mark(None) }
        }
        let marks: Vec<_> = record.marks.iter().map(|mark| (mark.source.entry, mark.target.clone())).collect();
        assert_eq!(marks, [1, 4, 5].map(|n| (n, Position::After(Sequence::new(n)))));
        assert_eq!(record.counts, Counts::new(5, 5));
    }

    #[test]
    fn a_lateness_of_less_than_a_second_is_none_and_the_latest_is_kept() {
        let mut late = Lateness::default();
        late.sent(IN_TIME_MILLIS - 1);
        assert!(late.is_none());
        late.sent(5_000);
        late.sent(10);
        assert_eq!(late, Lateness { last_millis: 0, most_millis: 5_000 });
        let other = Lateness { last_millis: 2_000, most_millis: 2_000 };
        assert_eq!(late.max(other), Lateness { last_millis: 2_000, most_millis: 5_000 });
    }

    #[test]
    fn what_continues_a_shard_is_read_back_behind_it() {
        let at = |number: u64| Position::After(Sequence::new(number));
        let mut record = ImportRecord::new(9, at(4), 0);
        let continued = [("b", at(20)), ("c", at(30))].map(|(name, tail)| (name.parse().unwrap(), tail));
        let tails = Tails { own: at(2), continued: continued.into() };
        record.advanced(SourceCursor::default(), tails, Counts::default(), Lacking::default(), EventDigest::default());
        assert_eq!(record.tail, at(4), "a tail never goes back");
        let (mut back, mut read) = (record.to_read_back(Position::Beginning), Vec::new());
        while let Some((shard, until)) = record.next_back(&mut back) {
            assert!(back.position < until);
            back.position = until.clone();
            read.push((shard.map(|shard| shard.to_string()), until));
        }
        let expected = [(None, at(4)), (Some("b".to_owned()), at(20)), (Some("c".to_owned()), at(30))];
        assert_eq!(read, expected);
    }
}
