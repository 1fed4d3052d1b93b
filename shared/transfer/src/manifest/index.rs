//! The index of an object: what each of its parts holds.
//!
//! Parts are what an object is made of anyway, so the ledger of its upload is its index: nothing is read or counted for
//! it. It is written once the object exists, and only for an object of several parts; of one part the segment says all.
//! An import compares part by part, and one of a range reads only the parts that it needs.

use std::ops::Range as Interval;

use serde::{Deserialize, Serialize};

use super::{Document, ManifestError};
use crate::limits::PARTS_PER_OBJECT;
use crate::record::{Closing, LedgerEntry, PartSpan, SealedObject};
use crate::{Checksum, Counts, Cursor, Range, ShardId, TimeRange, TransferId};

/// A part of an object. It begins where the one in front of it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedPart {
    /// The checksum of its bytes.
    pub checksum: Checksum,
    /// The range of the source in it.
    #[serde(flatten)]
    pub span: PartSpan,
}

/// The parts of an object, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectIndex {
    /// The transfer that wrote the object.
    pub transfer: TransferId,
    /// Its shard.
    pub shard: ShardId,
    /// Its place among the shard's objects, from 0.
    pub number: u64,
    /// The object begins here.
    pub from: Cursor,
    /// Its parts.
    pub parts: Vec<IndexedPart>,
}

impl Document for ObjectIndex {
    const KIND: &'static str = "export-index";
}

impl ObjectIndex {
    /// The parts of a closed object, by its ledger. None if it has only one, or if an earlier version stored one of
    /// them, or closed it.
    pub fn parts_of(ledger: &[LedgerEntry], closing: &Closing) -> Option<Vec<IndexedPart>> {
        let stored = ledger.iter().map(|LedgerEntry { part, span }| {
            let span = span.clone()?;
            Some(IndexedPart { checksum: part.checksum, span })
        });
        let mut parts = stored.collect::<Option<Vec<_>>>()?;
        if let Some(checksum) = closing.last {
            let before: Counts = parts.iter().map(|part| part.span.counts).sum();
            let counts = Counts {
                events: closing.counts.events.checked_sub(before.events)?,
                bytes: closing.counts.bytes.checked_sub(before.bytes)?,
            };
            let span = PartSpan { until: closing.until.clone(), counts, times: closing.last_times };
            parts.push(IndexedPart { checksum, span });
        }
        // Parts by this version, and a last one whose times an earlier version did not keep.
        let knows_times = cover(&parts) == closing.times;
        (parts.len() > 1 && knows_times).then_some(parts)
    }

    /// Checks that its parts are exactly that object's: they follow one another from where it begins to where it ends,
    /// and together they are what is said of it.
    pub fn check(&self, object: &SealedObject) -> Result<(), ManifestError> {
        let wrong = |why: String| Err(ManifestError::Index { number: object.number, why });
        if self.number != object.number || self.from != object.from {
            return wrong(format!("it is of object {}, which begins at {}", self.number, self.from));
        }
        if object.parts.is_some_and(|parts| parts != self.parts.len() as u64) {
            return wrong(format!("it lists {} parts", self.parts.len()));
        }
        self.check_sums(object.checksum, object.counts)?;
        let mut reached = &self.from;
        for part in &self.parts {
            if part.span.until < *reached {
                return wrong(format!("a part ends at {}, the one before it at {reached}", part.span.until));
            }
            reached = &part.span.until;
        }
        if *reached != object.until {
            return wrong(format!("its last part ends at {reached}, the object at {}", object.until));
        }
        if cover(&self.parts) != object.times {
            return wrong("its parts' times are not the object's".to_owned());
        }
        Ok(())
    }

    /// Checks that the joined parts have that checksum and those counts.
    pub fn check_sums(&self, checksum: Checksum, counts: Counts) -> Result<(), ManifestError> {
        let wrong = |why: String| Err(ManifestError::Index { number: self.number, why });
        if self.parts.len() as u64 > PARTS_PER_OBJECT {
            return wrong(format!("it lists {} parts, an object has {PARTS_PER_OBJECT} at most", self.parts.len()));
        }
        let (mut joined, mut held) = (Checksum::default(), Some(Counts::default()));
        for part in &self.parts {
            joined = joined.then(part.checksum);
            held = held.and_then(|held| held.checked_add(part.span.counts));
        }
        if joined != checksum {
            return wrong(format!("its parts joined have the checksum {joined}, the object has {checksum}"));
        }
        if held != Some(counts) {
            return wrong("the events and bytes of its parts do not add up to the object's".to_owned());
        }
        Ok(())
    }

    /// The place of each part in the object.
    pub fn extents(&self) -> Vec<Extent> {
        let (mut byte, mut from) = (0_u64, self.from.clone());
        let extent = |part: &IndexedPart| {
            let end = byte.saturating_add(part.checksum.len);
            let extent = Extent { bytes: byte..end, from: from.clone(), span: part.span.clone() };
            (byte, from) = (end, part.span.until.clone());
            extent
        };
        self.parts.iter().map(extent).collect()
    }
}

/// The times of some parts together.
fn cover(parts: &[IndexedPart]) -> Option<TimeRange> {
    parts.iter().fold(None, |times, part| TimeRange::cover(times, part.span.times))
}

/// A stretch of an object's bytes and its range of the source: a part, or all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The place in the object.
    pub bytes: Interval<u64>,
    /// Behind the last byte of the source that lies in front of it.
    pub from: Cursor,
    /// The range of the source in it.
    pub span: PartSpan,
}

impl Extent {
    /// The extent of a whole object.
    pub fn whole(object: &SealedObject) -> Self {
        let span = PartSpan { until: object.until.clone(), counts: object.counts, times: object.times };
        Self { bytes: 0..object.checksum.len, from: object.from.clone(), span }
    }

    /// True if an event of the range may lie in it, or a part of one.
    pub fn meets(&self, range: &Range) -> bool {
        !range.is_empty()
            && self.span.until > Cursor::at(range.from.clone())
            && self.from < Cursor::at(range.until.clone())
    }

    /// Those of some extents, given in order, that meet a range, joined.
    pub fn joined(extents: &[Self], range: &Range) -> Option<Self> {
        let mut meeting = extents.iter().filter(|extent| extent.meets(range));
        let mut joined = meeting.next()?.clone();
        for more in meeting {
            joined.bytes.end = more.bytes.end;
            joined.span.until = more.span.until.clone();
            joined.span.counts += more.span.counts;
            joined.span.times = TimeRange::cover(joined.span.times, more.span.times);
        }
        Some(joined)
    }

    /// True if all of it belongs to the range.
    pub fn lies_within(&self, range: &Range) -> bool {
        self.from >= Cursor::at(range.from.clone()) && self.span.until <= Cursor::at(range.until.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::PartEntry;
    use crate::{Aggregates, Position, Sequence, Timestamp};

    fn at(n: u64) -> Position {
        Position::After(Sequence::new(n))
    }

    /// An object whose parts end behind these events, each of as many bytes as it has events.
    fn ledger(ends: &[u64]) -> (Vec<LedgerEntry>, SealedObject) {
        let (mut before, mut checksum, mut times) = (0, Checksum::default(), None);
        let entries = ends.iter().map(|end| {
            let events = end - before;
            let bytes = vec![7_u8; usize::try_from(events).unwrap()];
            let time = |n: u64| Timestamp::from_millis(i64::try_from(n).unwrap());
            let part = PartEntry { etag: "e".into(), checksum: Checksum::of(&bytes) };
            let range = (events > 0).then(|| TimeRange { min: time(before + 1), max: time(*end) });
            let span = PartSpan { until: Cursor::at(at(*end)), counts: Counts::new(events, events), times: range };
            (before, checksum, times) = (*end, checksum.then(part.checksum), TimeRange::cover(times, range));
            LedgerEntry { part, span: Some(span) }
        });
        let entries: Vec<_> = entries.collect();
        let object = SealedObject {
            number: 3,
            incarnation: 0,
            from: Cursor::at(at(0)),
            until: Cursor::at(at(before)),
            checksum,
            etag: "e".into(),
            counts: Counts::new(before, before),
            times,
            parts: Some(ends.len() as u64),
        };
        (entries, object)
    }

    /// Closed with its last part on the ledger, or behind it.
    fn closing(object: &SealedObject, last: Option<&LedgerEntry>) -> Closing {
        Closing {
            upload: None,
            last: last.map(|entry| entry.part.checksum),
            until: object.until.clone(),
            checksum: object.checksum,
            counts: object.counts,
            times: object.times,
            aggregates: Aggregates::default(),
            last_times: last.and_then(|entry| entry.span.as_ref()?.times),
            superseded: None,
        }
    }

    fn index(parts: Vec<IndexedPart>) -> ObjectIndex {
        let (transfer, shard) = ("t".parse().unwrap(), "0".parse().unwrap());
        ObjectIndex { transfer, shard, number: 3, from: Cursor::at(at(0)), parts }
    }

    /// Kept: an index that was written is read for as long as there are objects.
    #[test]
    fn an_index_is_written_and_read_as_the_golden_one() {
        let golden = include_bytes!("../../../../tests/golden/manifests-v1/index.json");
        let (entries, object) = ledger(&[4, 9, 12]);
        let mut index = index(ObjectIndex::parts_of(&entries, &closing(&object, None)).unwrap());
        index.parts[1].span.until.offset = 7;
        assert_eq!(String::from_utf8_lossy(&index.to_bytes()), String::from_utf8_lossy(golden));
        assert_eq!(ObjectIndex::from_bytes(golden), Ok(index));
    }

    #[test]
    fn one_part_and_parts_of_an_earlier_version_have_no_index() {
        let (mut entries, object) = ledger(&[4, 9]);
        let (last, first) = (entries[1].clone(), entries[0].clone());
        assert_eq!(ObjectIndex::parts_of(&entries, &closing(&object, None)).map(|parts| parts.len()), Some(2));
        let (one, alone) = ledger(&[4]);
        assert_eq!(ObjectIndex::parts_of(&one, &closing(&alone, None)), None);
        assert_eq!(ObjectIndex::parts_of(&[], &closing(&alone, Some(&first))), None);
        entries[0].span = None;
        assert_eq!(ObjectIndex::parts_of(&entries[..1], &closing(&object, Some(&last))), None);
    }

    #[test]
    fn what_is_not_its_objects_is_refused() {
        let (entries, object) = ledger(&[4, 9, 9, 12]);
        let right = index(ObjectIndex::parts_of(&entries, &closing(&object, None)).unwrap());
        assert_eq!(right.check(&object), Ok(()));
        let refused = |change: &dyn Fn(&mut ObjectIndex)| {
            let mut index = right.clone();
            change(&mut index);
            assert!(index.check(&object).is_err(), "{index:?}");
        };
        refused(&|index| index.number = 4);
        refused(&|index| index.from = Cursor::at(at(1)));
        refused(&|index| drop(index.parts.pop()));
        refused(&|index| index.parts.swap(0, 1));
        refused(&|index| index.parts[1].span.until = Cursor::at(at(3)));
        refused(&|index| index.parts[3].span.until = Cursor::at(at(13)));
        refused(&|index| index.parts[0].span.counts.events += 1);
        refused(&|index| index.parts[0].span.counts.bytes = u64::MAX);
        refused(&|index| index.parts[0].checksum.crc ^= 1);
        refused(&|index| index.parts[0].span.times = None);
    }

    proptest! {
        #[test]
        fn the_same_parts_wherever_the_ledger_ends(
            steps in proptest::collection::vec(0_u64..9, 2..20),
            range in (0_u64..90, 0_u64..90),
        ) {
            let ends: Vec<u64> = steps.iter().scan(0, |sum, step| { *sum += step; Some(*sum) }).collect();
            let (entries, object) = ledger(&ends);
            let (last, stored) = entries.split_last().unwrap();
            let whole = ObjectIndex::parts_of(&entries, &closing(&object, None)).unwrap();
            let closed = ObjectIndex::parts_of(stored, &closing(&object, Some(last))).unwrap();
            prop_assert_eq!(&whole, &closed);
            let index = index(whole);
            prop_assert_eq!(index.check(&object), Ok(()));
            prop_assert_eq!(ObjectIndex::from_bytes(&index.to_bytes()), Ok(index.clone()));

            // What is read of a range has all its events, and no part that has none of them.
            let range = Range { from: at(range.0), until: at(range.1) };
            let wanted: Vec<u64> = (1..=ends[ends.len() - 1])
                .filter(|n| !range.from.covers(&Sequence::new(*n)) && range.until.covers(&Sequence::new(*n)))
                .collect();
            let extents = index.extents();
            let joined = Extent::joined(&extents, &range);
            // Each event is a byte here.
            let read: Vec<u64> = joined.iter().flat_map(|extent| extent.bytes.start + 1..=extent.bytes.end).collect();
            prop_assert!(wanted.iter().all(|n| read.contains(n)));
            if let Some(joined) = joined {
                prop_assert_eq!(joined.span.counts.events, read.len() as u64);
                prop_assert_eq!(joined.lies_within(&range), read == wanted);
                let needed = |extent: &Extent| wanted.iter().any(|n| (extent.bytes.start..extent.bytes.end).contains(&(n - 1)));
                for extent in extents.iter().filter(|extent| extent.meets(&range) && !extent.bytes.is_empty()) {
                    prop_assert!(needed(extent), "{extent:?} of {range:?}");
                }
            } else {
                prop_assert!(wanted.is_empty());
            }
        }
    }
}
