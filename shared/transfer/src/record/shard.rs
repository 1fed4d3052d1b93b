//! One shard of a transfer: who holds it and how far it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Claim, DestinationRecord, FIRST_VERSION, ImportRecord, Owner, Proof};
use crate::{Counts, DestinationName, Pace, Position, Range, Sequence, ShardId, Timestamp, TransferId};

/// The work on a shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Work {
    /// One read, so many destinations, each with its own cursors.
    Export(BTreeMap<DestinationName, DestinationRecord>),
    /// One writer.
    Import(Box<ImportRecord>),
}

/// How far a shard is whose source cannot count what its range holds: told from sequence numbers, which grow with
/// time and not with bytes, or from bytes of files that may be compressed; so an estimate. It never goes back, also
/// when an upload is given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The first number that was reached, where the range begins before whatever the shard held: from nothing to the
    /// first number of a stream may be far (Kinesis begins at some 10^55), so only what lies behind is a measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Sequence>,
    /// 0 to 1, in millionths: short decimals are read back from a store as they were.
    pub done: f64,
}

impl Share {
    /// So many bytes of all.
    pub fn of_bytes(done: u64, whole: u64) -> Self {
        let millionths = u128::from(done.min(whole)) * 1_000_000 / u128::from(whole.max(1));
        Self { since: None, done: f64::from(u32::try_from(millionths).unwrap_or(u32::MAX)) / 1e6 }
    }
}

/// The record of one shard. One item, one conditional write a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardRecord {
    /// Version of this record's shape.
    pub version: u32,
    /// Its transfer.
    pub transfer: TransferId,
    /// Source shard of an export, target shard of an import.
    pub shard: ShardId,
    /// Raised by each write; a write is conditional on the one before.
    pub revision: u64,
    /// Raised by each claim; an older one cannot write any more.
    pub epoch: u64,
    /// The transfer's generation when it was last claimed.
    pub generation: u32,
    /// The generation, and those before it, that can no longer take it: it was brought to rest.
    #[serde(default)]
    pub closed: u32,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// What is to be taken of the source shard. For an import: of the target, where its events begin and (at the
    /// end) end.
    pub range: Range,
    /// What the source says that range holds, where it can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Counts>,
    /// How far it is where the source cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// How fast it moves.
    pub pace: Pace,
    /// Slices in a row, dead ones among them, that took the shard and moved nothing.
    pub idle_slices: u32,
    /// Slices that worked on it.
    pub slices: u64,
    /// The work itself.
    pub work: Work,
}

impl ShardRecord {
    /// A shard that nobody has worked on.
    pub fn new(transfer: TransferId, shard: ShardId, range: Range, expected: Option<Counts>, work: Work) -> Self {
        Self {
            version: FIRST_VERSION,
            transfer,
            shard,
            revision: 1,
            epoch: 0,
            generation: 0,
            closed: 0,
            owner: None,
            range,
            expected,
            share: None,
            pace: Pace::default(),
            idle_slices: 0,
            slices: 0,
            work,
        }
    }

    /// Takes the shard for a slice, if that is allowed. What is left is to be written on condition that the revision
    /// is still the one that was read.
    pub fn claim(
        &mut self,
        slice: &str,
        generation: u32,
        lease_until: Timestamp,
        now: Timestamp,
        proof: &Proof,
    ) -> Claim {
        let claim = Claim::of(self.owner.as_ref(), now, proof);
        if claim == Claim::Free {
            // Counted here and not at the end, so that slices which die are counted too.
            self.idle_slices = if generation > self.generation { 1 } else { self.idle_slices + 1 };
            self.epoch += 1;
            if let (Some(_), Work::Import(import)) = (&self.owner, &mut self.work) {
                // An owner that did not give the shard back did not say how its last append ended either.
                import.unsettled = true;
            }
            self.generation = generation;
            self.owner = Some(Owner { slice: slice.to_owned(), lease_until });
            self.pace = self.pace.woken(now);
        }
        claim
    }

    /// Gives the shard back at a slice's end.
    pub fn release(&mut self, moved: bool) {
        self.owner = None;
        if moved {
            self.idle_slices = 0;
        }
    }

    /// Brings the share of the range that arrived up to date, where the source cannot count what the range holds.
    pub fn measure(&mut self) {
        let Work::Export(destinations) = &self.work else { return };
        let here = destinations.values().map(|destination| &destination.stored().position).min();
        let (None, Some(Position::After(here)), Position::After(until)) = (self.expected, here, &self.range.until)
        else {
            return;
        };
        let before = self.share.take().unwrap_or(Share { since: None, done: 0.0 });
        let since = match &self.range.from {
            Position::After(from) => from.clone(),
            Position::Beginning | Position::End => before.since.unwrap_or_else(|| here.clone()),
        };
        let (done, whole) = (here.span(&since), until.span(&since));
        let done = if whole > 0.0 { (done / whole * 1e6).floor() / 1e6 } else { 0.0 };
        let done = done.clamp(before.done, 1.0);
        let since = matches!(self.range.from, Position::Beginning).then_some(since);
        self.share = Some(Share { since, done });
    }

    /// Whether all of its range arrived everywhere.
    pub fn is_drained(&self) -> bool {
        match &self.work {
            Work::Export(destinations) => destinations.values().all(|d| d.is_drained(&self.range.until)),
            Work::Import(import) => import.is_drained(),
        }
    }

    /// Whether no upload is open.
    pub fn is_at_rest(&self) -> bool {
        match &self.work {
            Work::Export(destinations) => destinations.values().all(DestinationRecord::is_idle),
            Work::Import(_) => true,
        }
    }

    /// Where it stands, for a person.
    pub fn stands_at(&self) -> String {
        match &self.work {
            Work::Export(destinations) => {
                destinations.values().map(|d| d.cursor().clone()).min().unwrap_or_default().of_shard(&self.shard)
            }
            Work::Import(import) => {
                format!("source {} of {}, byte {}", import.cursor.entry + 1, import.entries, import.cursor.offset)
            }
        }
    }

    /// What arrived: the least of the destinations.
    pub fn moved(&self) -> Counts {
        match &self.work {
            Work::Export(destinations) => destinations
                .values()
                .map(|d| d.moved(&self.range.until))
                .min_by_key(|counts| counts.bytes)
                .unwrap_or_default(),
            Work::Import(import) => import.counts,
        }
    }

    /// Events and bytes that stay if nothing more is done: those in complete objects, or in the target.
    pub fn kept(&self) -> Counts {
        match &self.work {
            Work::Export(destinations) => {
                destinations.values().map(|d| d.counts).min_by_key(|counts| counts.bytes).unwrap_or_default()
            }
            Work::Import(import) => import.counts,
        }
    }

    /// Gaps on record.
    pub fn gaps(&self) -> u64 {
        match &self.work {
            Work::Export(destinations) => destinations.values().map(|d| d.gaps.len() as u64).sum(),
            Work::Import(import) => import.gaps,
        }
    }

    /// Bytes that were written: of complete objects, at all destinations together, or of appended payload. None where
    /// an older version began it.
    pub fn written(&self) -> Option<u64> {
        match &self.work {
            Work::Export(destinations) => destinations.values().map(|d| d.written).sum(),
            Work::Import(import) => Some(import.counts.bytes),
        }
    }

    /// Objects that are complete at all destinations together; none for an import.
    pub fn objects(&self) -> u64 {
        match &self.work {
            Work::Export(destinations) => destinations.values().map(|d| d.objects).sum(),
            Work::Import(import) => import.cursor.entry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Packed;
    use crate::record::{PartEntry, Phase};
    use crate::{Checksum, Cursor, UploadId};

    /// As Kinesis numbers: 56 digits.
    fn kinesis(ahead: u64) -> Position {
        Position::After(format!("4959033827149025660855969253836157109592{ahead:0>16}").parse().unwrap())
    }

    fn export(from: Position, until: Position) -> ShardRecord {
        let work = Work::Export([("to".parse().unwrap(), DestinationRecord::new(from.clone()))].into());
        ShardRecord::new("t".parse().unwrap(), "s".parse().unwrap(), Range { from, until }, None, work)
    }

    fn destination(record: &mut ShardRecord) -> &mut DestinationRecord {
        let Work::Export(destinations) = &mut record.work else { panic!("an export") };
        destinations.values_mut().next().unwrap()
    }

    /// The share that is on record once the upload at hand has come to `ahead`.
    fn after(record: &mut ShardRecord, ahead: u64) -> f64 {
        let destination = destination(record);
        if destination.phase == Phase::Idle {
            destination.opened(UploadId("upload".into())).unwrap();
        }
        let (bytes, counts) = (Vec::new().into(), Counts::default());
        let part = Packed { bytes, end: Cursor::at(kinesis(ahead)), counts, times: None, ends_object: false };
        destination.part_stored(&part, PartEntry { etag: String::new(), checksum: Checksum::default() }).unwrap();
        record.measure();
        record.share.clone().unwrap().done
    }

    fn is(share: f64, expected: f64) {
        assert!((share - expected).abs() < 1e-9, "{share} instead of {expected}");
    }

    #[test]
    fn the_share_follows_the_numbers_and_does_not_go_back_with_an_upload() {
        let mut record = export(kinesis(1_000), kinesis(5_000));
        record.measure();
        is(record.share.clone().unwrap().done, 0.0);
        is(after(&mut record, 2_000), 0.25);
        destination(&mut record).rewind().unwrap();
        record.measure();
        is(after(&mut record, 1_500), 0.25);
        is(after(&mut record, 3_000), 0.5);
        is(after(&mut record, 5_000), 1.0);
    }

    #[test]
    fn from_the_beginning_the_share_is_of_what_lies_behind_the_first_number() {
        let mut record = export(Position::Beginning, kinesis(5_000));
        record.measure();
        assert_eq!(record.share, None, "nothing is known before something moved");
        is(after(&mut record, 1_000), 0.0);
        is(after(&mut record, 2_000), 0.25);
        is(after(&mut record, 5_000), 1.0);
    }

    #[test]
    fn what_is_counted_has_no_share() {
        let mut record = export(kinesis(1), kinesis(5));
        record.expected = Some(Counts::new(4, 4));
        record.measure();
        assert_eq!(record.share, None);
    }

    #[test]
    fn an_import_whose_owner_did_not_give_it_back_is_unsettled() {
        let work = Work::Import(Box::new(ImportRecord::new(1, Position::Beginning, 0)));
        let range = Range { from: Position::Beginning, until: Position::End };
        let mut record = ShardRecord::new("t".parse().unwrap(), "s".parse().unwrap(), range, None, work);
        let unsettled = |record: &ShardRecord| matches!(&record.work, Work::Import(import) if import.unsettled);
        let (now, later) = (Timestamp::from_millis(1), Timestamp::from_millis(2));
        assert_eq!(record.claim("one", 1, later, now, &Proof::None), Claim::Free);
        record.release(true);
        assert_eq!(record.claim("two", 1, later, now, &Proof::None), Claim::Free);
        assert!(!unsettled(&record), "the first gave it back");
        assert_eq!(record.claim("three", 1, later, now, &Proof::None), Claim::Busy(1));
        assert!(!unsettled(&record));
        assert_eq!(record.claim("three", 1, later, later, &Proof::None), Claim::Free);
        record.release(false);
        assert!(unsettled(&record), "until somebody has looked");
    }
}
