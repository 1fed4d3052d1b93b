//! One shard at one destination of an export: the cursors, the current upload and its ledger.
//!
//! **Invariant.** The sealed cursor only grows, and by what an object or a recorded gap covers; the upload cursor
//! moves only with a part that is stored. What is on record as `Closing` fixes the object's end, size and checksum
//! before the object can exist, so that a crash around completion is told from a foreign object.

use serde::{Deserialize, Serialize};

use super::{LedgerEntry, LedgerPage, PartEntry, PartSpan};
use crate::limits::{GAPS, LEDGER_TAIL, PARTS_PER_OBJECT, SEGMENT_ENTRIES};
use crate::manifest::SegmentChain;
use crate::{Aggregates, Checksum, Counts, Cursor, Gap, Packed, Position, TimeRange, UploadId};

/// A move that a record does not have: always a defect or a record that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlgebraError {
    /// The phase does not have this move.
    #[error("{action} while {phase}")]
    Phase {
        /// The move.
        action: &'static str,
        /// The phase it met.
        phase: &'static str,
    },
    /// A cursor would stand still or go back.
    #[error("the cursor {from} cannot move to {to}")]
    Backwards {
        /// The cursor it has.
        from: Box<Cursor>,
        /// The cursor it was given.
        to: Box<Cursor>,
    },
    /// An object would have more parts than S3 takes.
    #[error("an object would need more than 10,000 parts; choose a larger part size")]
    TooManyParts,
    /// More gaps than a record holds.
    #[error("the source lost more than 100 stretches of this shard while it was read")]
    TooManyGaps,
}

/// An upload that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// The bucket's name for it.
    pub id: UploadId,
    /// Behind the last byte of the source that its parts hold.
    pub cursor: Cursor,
    /// Parts that are stored.
    pub parts: u64,
    /// The checksum of all parts, joined.
    pub checksum: Checksum,
    /// Events and bytes in them.
    pub counts: Counts,
    /// Times of those events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<TimeRange>,
    /// Aggregates among them.
    #[serde(default, skip_serializing_if = "Aggregates::is_none")]
    pub aggregates: Aggregates,
    /// Full pages of the ledger.
    pub pages: u32,
    /// Entries behind the last full page.
    pub tail: Vec<LedgerEntry>,
}

/// An object whose end is fixed and that may exist already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Closing {
    /// The upload to complete; none for a single put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<Upload>,
    /// The last part, stored or not; none if the object ends where a stored part did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Checksum>,
    /// The end of the object.
    pub until: Cursor,
    /// The checksum of the whole object.
    pub checksum: Checksum,
    /// Events and bytes in it.
    pub counts: Counts,
    /// Times of those events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<TimeRange>,
    /// Aggregates among them.
    #[serde(default, skip_serializing_if = "Aggregates::is_none")]
    pub aggregates: Aggregates,
    /// Times of the events of the last part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_times: Option<TimeRange>,
    /// An earlier fixing of the end that could not be repeated, since the source lost the last part's events; a
    /// completion of it may still be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded: Option<Box<Closing>>,
}

/// The phase of the current object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Nothing is open.
    Idle,
    /// Parts are being uploaded.
    Open(Upload),
    /// Being completed.
    Closing(Closing),
}

/// A complete object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedObject {
    /// Its place among the shard's objects, from 0.
    pub number: u64,
    /// The upload that made it.
    pub incarnation: u32,
    /// Begins here
    pub from: Cursor,
    /// and ends here.
    pub until: Cursor,
    /// Checksum and size.
    pub checksum: Checksum,
    /// The bucket's etag.
    pub etag: String,
    /// Events that end in it, bytes of payload that lie in it.
    pub counts: Counts,
    /// Times of those events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<TimeRange>,
    /// Parts that its index lists. None where there is no index: it has one part, or an earlier version began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u64>,
}

/// A shard at a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestinationRecord {
    /// The end of the last complete object, or of a gap behind it.
    pub sealed: Cursor,
    /// Events and bytes of all complete objects.
    pub counts: Counts,
    /// Aggregates among the events of all complete objects.
    #[serde(default, skip_serializing_if = "Aggregates::is_none")]
    pub aggregates: Aggregates,
    /// Complete objects; the number of the next one.
    pub objects: u64,
    /// Encoded bytes of all complete objects; none if a version that did not count them began it. By
    /// a short name, since a record of more than 4 KB costs twice.
    #[serde(default, rename = "out", skip_serializing_if = "Option::is_none")]
    pub written: Option<u64>,
    /// The number of abandoned uploads for the current object.
    pub incarnation: u32,
    /// The current object.
    pub phase: Phase,
    /// Segments of the manifest that are written.
    pub segments: SegmentChain,
    /// Complete objects that no segment lists yet.
    pub unlisted: Vec<SealedObject>,
    /// The ranges that the source had dropped.
    pub gaps: Vec<Gap>,
    /// The most that ever was stored: progress does not go back when an upload is given up.
    pub high_water: Counts,
    /// Complete objects that were checked at the end.
    pub verified: u64,
}

impl DestinationRecord {
    /// Nothing done, to begin behind `from`.
    pub fn new(from: Position) -> Self {
        Self {
            sealed: Cursor::at(from),
            counts: Counts::default(),
            aggregates: Aggregates::default(),
            objects: 0,
            written: Some(0),
            incarnation: 0,
            phase: Phase::Idle,
            segments: SegmentChain::default(),
            unlisted: Vec::new(),
            gaps: Vec::new(),
            high_water: Counts::default(),
            verified: 0,
        }
    }

    /// Behind the last byte of the source that is stored: where packing goes on.
    pub fn cursor(&self) -> &Cursor {
        match &self.phase {
            Phase::Idle => &self.sealed,
            Phase::Open(upload) => &upload.cursor,
            Phase::Closing(closing) => &closing.until,
        }
    }

    /// Behind the last byte of the source that is known to be stored.
    pub fn stored(&self) -> &Cursor {
        match &self.phase {
            Phase::Open(upload) | Phase::Closing(Closing { upload: Some(upload), .. }) => &upload.cursor,
            Phase::Idle | Phase::Closing(Closing { upload: None, .. }) => &self.sealed,
        }
    }

    /// Encoded bytes of the current object that are stored.
    pub fn taken(&self) -> u64 {
        match &self.phase {
            Phase::Idle => 0,
            Phase::Open(upload) => upload.checksum.len,
            Phase::Closing(closing) => closing.checksum.len,
        }
    }

    /// True if nothing is open.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// True if all up to `until` arrived.
    pub fn is_drained(&self, until: &Position) -> bool {
        self.is_idle() && self.sealed.position >= *until
    }

    /// The stored events and bytes, for progress: it does not go back when an upload is given up. Once all up to
    /// `until` arrived it is what the complete objects hold.
    pub fn moved(&self, until: &Position) -> Counts {
        if self.is_drained(until) { self.counts } else { self.high_water }
    }

    /// An upload was created for the next object.
    pub fn opened(&mut self, id: UploadId) -> Result<(), AlgebraError> {
        if self.phase != Phase::Idle {
            return Err(self.wrong("open an upload"));
        }
        self.phase = Phase::Open(Upload {
            id,
            cursor: self.sealed.clone(),
            parts: 0,
            checksum: Checksum::default(),
            counts: Counts::default(),
            times: None,
            aggregates: Aggregates::default(),
            pages: 0,
            tail: Vec::new(),
        });
        Ok(())
    }

    /// A part that does not end its object was stored. Answers its entry in the ledger.
    pub fn part_stored(&mut self, part: &Packed, stored: PartEntry) -> Result<LedgerEntry, AlgebraError> {
        let Phase::Open(upload) = &mut self.phase else { return Err(self.wrong("store a part")) };
        if part.end < upload.cursor {
            return Err(AlgebraError::Backwards { from: upload.cursor.clone().into(), to: part.end.clone().into() });
        }
        if upload.parts >= PARTS_PER_OBJECT {
            return Err(AlgebraError::TooManyParts);
        }
        upload.cursor = part.end.clone();
        upload.parts += 1;
        upload.checksum = upload.checksum.then(stored.checksum);
        upload.counts += part.counts;
        upload.times = TimeRange::cover(upload.times, part.times);
        upload.aggregates += part.aggregates;
        let span = PartSpan { until: part.end.clone(), counts: part.counts, times: part.times };
        let entry = LedgerEntry { part: stored, span: Some(span) };
        upload.tail.push(entry.clone());
        let stored = self.counts + upload.counts;
        self.raise(stored);
        Ok(entry)
    }

    /// Takes a full page off the ledger, to be written together with this record.
    pub fn take_page(&mut self) -> Option<LedgerPage> {
        let (object, incarnation) = (self.objects, self.incarnation);
        let (Phase::Open(upload) | Phase::Closing(Closing { upload: Some(upload), .. })) = &mut self.phase else {
            return None;
        };
        if upload.tail.len() < LEDGER_TAIL {
            return None;
        }
        let entries = upload.tail.drain(..LEDGER_TAIL).collect();
        upload.pages += 1;
        Some(LedgerPage { version: super::FIRST_VERSION, object, incarnation, index: upload.pages - 1, entries })
    }

    /// Fixes the end of the current object: with `last` as its last part, or where the last stored part ended.
    pub fn close(&mut self, last: Option<&Packed>) -> Result<(), AlgebraError> {
        let upload = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Open(upload) => Some(upload),
            Phase::Idle if last.is_some() => None,
            other => {
                self.phase = other;
                return Err(self.wrong("close an object"));
            }
        };
        if last.is_some() && upload.as_ref().is_some_and(|upload| upload.parts >= PARTS_PER_OBJECT) {
            return Err(AlgebraError::TooManyParts);
        }
        let before = upload.as_ref().map_or((Checksum::default(), Counts::default(), None), |upload| {
            (upload.checksum, upload.counts, upload.times)
        });
        let mut aggregates = upload.as_ref().map_or_else(Aggregates::default, |upload| upload.aggregates);
        aggregates += last.map_or_else(Aggregates::default, |part| part.aggregates);
        let last_sum = last.map(|part| Checksum::of(&part.bytes));
        let stored_until = upload.as_ref().map_or_else(|| self.sealed.clone(), |upload| upload.cursor.clone());
        self.phase = Phase::Closing(Closing {
            upload,
            last: last_sum,
            until: last.map_or(stored_until, |part| part.end.clone()),
            checksum: last_sum.map_or(before.0, |sum| before.0.then(sum)),
            counts: last.map_or(before.1, |part| before.1 + part.counts),
            times: TimeRange::cover(before.2, last.and_then(|part| part.times)),
            aggregates,
            last_times: last.and_then(|part| part.times),
            superseded: None,
        });
        Ok(())
    }

    /// The source has lost the last part of a closing object: it is to end with the parts that are stored.
    /// Without any, nothing of it is left.
    pub fn supersede(&mut self) -> Result<(), AlgebraError> {
        let Phase::Closing(closing) = &self.phase else { return Err(self.wrong("supersede a closing")) };
        let lost = closing.clone();
        self.phase = match &lost.upload {
            Some(upload) if upload.parts > 0 => Phase::Closing(Closing {
                last: None,
                until: upload.cursor.clone(),
                checksum: upload.checksum,
                counts: upload.counts,
                times: upload.times,
                aggregates: upload.aggregates,
                last_times: None,
                upload: Some(upload.clone()),
                superseded: Some(Box::new(Closing { upload: None, superseded: None, ..lost })),
            }),
            _ => Phase::Idle,
        };
        Ok(())
    }

    /// The closing object exists. `which` is the closing that was found: the current one, or the superseded one.
    /// `parts` are those that its index lists, if it has one.
    pub fn sealed_as(&mut self, which: &Closing, etag: String, parts: Option<u64>) -> Result<(), AlgebraError> {
        let Phase::Closing(_) = &self.phase else { return Err(self.wrong("seal an object")) };
        if which.until < self.sealed {
            return Err(AlgebraError::Backwards { from: self.sealed.clone().into(), to: which.until.clone().into() });
        }
        self.unlisted.push(SealedObject {
            number: self.objects,
            incarnation: self.incarnation,
            from: self.sealed.clone(),
            until: which.until.clone(),
            checksum: which.checksum,
            etag,
            counts: which.counts,
            times: which.times,
            parts,
        });
        self.sealed = which.until.clone();
        self.counts += which.counts;
        self.aggregates += which.aggregates;
        self.objects += 1;
        self.written = self.written.map(|written| written + which.checksum.len);
        self.incarnation = 0;
        self.phase = Phase::Idle;
        self.raise(self.counts);
        Ok(())
    }

    /// The current upload is gone and left no object: from the sealed cursor again.
    pub fn rewind(&mut self) -> Result<(), AlgebraError> {
        if self.phase == Phase::Idle {
            return Err(self.wrong("give an upload up"));
        }
        self.phase = Phase::Idle;
        self.incarnation += 1;
        Ok(())
    }

    /// The first event of the range stands behind `from`: it was not known before it was read.
    pub fn began_at(&mut self, from: Position) -> Result<(), AlgebraError> {
        if self.phase != Phase::Idle || self.objects > 0 {
            return Err(self.wrong("find the first event"));
        }
        let from = Cursor::at(from);
        if from < self.sealed {
            return Err(AlgebraError::Backwards { from: self.sealed.clone().into(), to: from.into() });
        }
        self.sealed = from;
        Ok(())
    }

    /// The source dropped the events between the sealed cursor and `until`.
    pub fn lost(&mut self, until: Position) -> Result<(), AlgebraError> {
        if self.phase != Phase::Idle {
            return Err(self.wrong("record a gap"));
        }
        let until = Cursor::at(until);
        if until <= self.sealed {
            return Err(AlgebraError::Backwards { from: self.sealed.clone().into(), to: until.into() });
        }
        let full = self.gaps.len() >= GAPS;
        match self.gaps.last_mut() {
            Some(gap) if gap.until == self.sealed => gap.until = until.clone(),
            _ if full => return Err(AlgebraError::TooManyGaps),
            _ => self.gaps.push(Gap { from: self.sealed.clone(), until: until.clone() }),
        }
        self.sealed = until;
        Ok(())
    }

    /// The objects of the next segment, if there are enough of them, or at the end any.
    pub fn next_segment(&self, at_end: bool) -> Option<&[SealedObject]> {
        if self.unlisted.len() >= SEGMENT_ENTRIES {
            return Some(&self.unlisted[..SEGMENT_ENTRIES]);
        }
        (at_end && !self.unlisted.is_empty()).then_some(&self.unlisted[..])
    }

    /// The next segment was written, with this number of objects and this SHA-256.
    pub fn listed(&mut self, objects: usize, sha256: &str) {
        self.unlisted.drain(..objects.min(self.unlisted.len()));
        self.segments.push(sha256);
    }

    fn raise(&mut self, stored: Counts) {
        self.high_water.events = self.high_water.events.max(stored.events);
        self.high_water.bytes = self.high_water.bytes.max(stored.bytes);
    }

    fn wrong(&self, action: &'static str) -> AlgebraError {
        let phase = match &self.phase {
            Phase::Idle => "idle",
            Phase::Open(_) => "an upload is open",
            Phase::Closing(_) => "an object is being closed",
        };
        AlgebraError::Phase { action, phase }
    }
}

impl Closing {
    /// This closing and the one it superseded.
    pub fn candidates(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.superseded.as_deref())
    }
}

#[cfg(test)]
mod tests;
