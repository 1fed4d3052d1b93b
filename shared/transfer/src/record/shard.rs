//! One shard of a transfer: who holds it and how far it is.

use serde::{Deserialize, Serialize};

use super::work::{Kind, ShardWork, Work};
use super::{Claim, FIRST_VERSION, Owner, Proof, TimeBounds};
use crate::{Counts, HashRange, Misfits, Pace, Position, Range, Sequence, ShardId, Timestamp, TransferId};

/// The progress of a shard whose source cannot count its range: told from times of arrival, from sequence numbers,
/// which grow with time and not with bytes, or from bytes of files that may be compressed; so an estimate. It never
/// goes back, also when an upload is given up.
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
    /// The share of `done` bytes in `whole`.
    pub fn of_bytes(done: u64, whole: u64) -> Self {
        let millionths = u128::from(done.min(whole)) * 1_000_000 / u128::from(whole.max(1));
        Self { since: None, done: f64::from(u32::try_from(millionths).unwrap_or(u32::MAX)) / 1e6 }
    }
}

/// The record of one shard. One item, one conditional write a checkpoint.
///
/// Stores keep work of either kind. Who works on a shard knows which it is: see [`ShardRecord::of_kind`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardRecord<W = Work> {
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
    /// The slice that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The range of the source shard to move. For an import: of the target, where its events begin and (at the end)
    /// end.
    pub range: Range,
    /// Bounds of an export that are times until reading finds their numbers; till then `range` is wider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<TimeBounds>,
    /// Shards that this one continues, of those that its stream listed when an export was planned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<ShardId>,
    /// Of an export: the keys of all events that were read have hashes in this range, that of the shard; none once one
    /// has not. Of an import that is placed by key: the hashes of the keys that it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<HashRange>,
    /// The source's count of that range, if it can count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Counts>,
    /// The estimated progress if the source cannot count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// The smoothed rate.
    pub pace: Pace,
    /// Slices in a row, dead ones among them, that took the shard and moved nothing.
    pub idle_slices: u32,
    /// Slices that worked on it.
    pub slices: u64,
    /// The work itself.
    pub work: W,
}

impl ShardRecord {
    /// The record with its work known to be of a kind; none if it is of the other.
    pub fn of_kind<W: Kind>(self) -> Option<ShardRecord<W>> {
        let (record, work) = self.replace(());
        W::of(work).map(|work| record.replace(work).0)
    }

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
            times: None,
            parents: Vec::new(),
            hashes: None,
            expected,
            share: None,
            pace: Pace::default(),
            idle_slices: 0,
            slices: 0,
            work,
        }
    }
}

impl<W> ShardRecord<W> {
    /// The record with other work, and the work that it had.
    fn replace<V>(self, work: V) -> (ShardRecord<V>, W) {
        let Self {
            version,
            transfer,
            shard,
            revision,
            epoch,
            generation,
            closed,
            owner,
            range,
            times,
            parents,
            hashes,
            expected,
            share,
            pace,
            idle_slices,
            slices,
            work: before,
        } = self;
        let record = ShardRecord {
            version,
            transfer,
            shard,
            revision,
            epoch,
            generation,
            closed,
            owner,
            range,
            times,
            parents,
            hashes,
            expected,
            share,
            pace,
            idle_slices,
            slices,
            work,
        };
        (record, before)
    }
}

impl<W: Kind> ShardRecord<W> {
    /// The record as stores keep it.
    pub fn stored(&self) -> ShardRecord {
        let (record, work) = self.clone().replace(());
        record.replace(work.into()).0
    }
}

impl<W: ShardWork> ShardRecord<W> {
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
            if self.owner.is_some() {
                self.work.left(now);
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
        if let Some(share) = self.times.as_ref().and_then(TimeBounds::share) {
            let before = self.share.as_ref().map_or(0.0, |share| share.done);
            self.share = Some(Share { since: None, done: ((share * 1e6).floor() / 1e6).max(before) });
            return;
        }
        let (None, Some(Position::After(here)), Position::After(until)) =
            (self.expected, self.work.reached(), &self.range.until)
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

    /// True if all of its range arrived everywhere.
    pub fn is_drained(&self) -> bool {
        self.work.is_drained(&self.range.until)
    }

    /// True if no upload is open.
    pub fn is_at_rest(&self) -> bool {
        self.work.is_at_rest()
    }

    /// The source time of the next event of an import in rhythm, if the shard waits for it to be due.
    pub fn waits_for(&self) -> Option<Timestamp> {
        self.work.waits_for()
    }

    /// The cursor, as text for a person.
    pub fn stands_at(&self) -> String {
        self.work.stands_at(&self.shard)
    }

    /// The events and bytes that arrived: the least of the destinations.
    pub fn moved(&self) -> Counts {
        self.work.moved(&self.range.until)
    }

    /// Events and bytes that stay if nothing more is done: those in complete objects, or in the target.
    pub fn kept(&self) -> Counts {
        self.work.kept()
    }

    /// Events that an import's target cannot hold, and that are stored.
    pub fn misfits(&self) -> Misfits {
        self.work.misfits()
    }

    /// Gaps on record.
    pub fn gaps(&self) -> u64 {
        self.work.gaps()
    }

    /// Bytes that were written: of complete objects, at all destinations together, or of appended payload. None where
    /// an older version began it.
    pub fn written(&self) -> Option<u64> {
        self.work.written()
    }

    /// Objects that are complete at all destinations together; of an import, sources that were read.
    pub fn objects(&self) -> u64 {
        self.work.objects()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Packed;
    use crate::record::work::{ExportWork, ImportWork};
    use crate::record::{DestinationRecord, ImportRecord, PartEntry, Phase};
    use crate::{Aggregates, Checksum, Cursor, UploadId};

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

    /// The share that is on record once the current upload has come to `ahead`.
    fn after(record: &mut ShardRecord, ahead: u64) -> f64 {
        let destination = destination(record);
        if destination.phase == Phase::Idle {
            destination.opened(UploadId("upload".into())).unwrap();
        }
        let (bytes, counts) = (Vec::new().into(), Counts::default());
        let part = Packed {
            bytes,
            end: Cursor::at(kinesis(ahead)),
            counts,
            times: None,
            aggregates: Aggregates::default(),
            ends_object: false,
        };
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
    fn a_record_is_of_one_kind_and_is_stored_as_it_was() {
        let record = export(kinesis(1), kinesis(5));
        assert_eq!(record.clone().of_kind::<ImportWork>(), None);
        let known = record.clone().of_kind::<ExportWork>().unwrap();
        assert_eq!(known.stored(), record);
        assert_eq!(serde_json::to_value(known.stored()).unwrap(), serde_json::to_value(&record).unwrap());
        let work = Work::Import(Box::new(ImportRecord::new(1, Position::Beginning, 0)));
        let import = ShardRecord { work, ..record };
        assert_eq!(import.clone().of_kind::<ExportWork>(), None);
        assert_eq!(import.clone().of_kind::<ImportWork>().unwrap().stored(), import);
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
