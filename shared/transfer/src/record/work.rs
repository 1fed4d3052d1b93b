//! The work on a shard, of either kind, and what a record asks of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Check, DestinationRecord, ImportRecord, LedgerPage, SourceCursor};
use crate::{Counts, DestinationName, Misfits, Position, ShardId, Timestamp};

/// The work on a shard of an export: one read, any number of destinations, each with its own cursors.
pub type ExportWork = BTreeMap<DestinationName, DestinationRecord>;
/// The work on a shard of an import: one writer.
pub type ImportWork = Box<ImportRecord>;

/// The work on a shard, as stores keep it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Work {
    /// Of an export.
    Export(ExportWork),
    /// Of an import.
    Import(ImportWork),
}

impl From<ExportWork> for Work {
    fn from(work: ExportWork) -> Self {
        Self::Export(work)
    }
}

impl From<ImportWork> for Work {
    fn from(work: ImportWork) -> Self {
        Self::Import(work)
    }
}

/// One of the two kinds of work.
pub trait Kind: ShardWork + Clone + Into<Work> {
    /// The work, if it is of this kind.
    fn of(work: Work) -> Option<Self>;
}

impl Kind for ExportWork {
    fn of(work: Work) -> Option<Self> {
        match work {
            Work::Export(work) => Some(work),
            Work::Import(_) => None,
        }
    }
}

impl Kind for ImportWork {
    fn of(work: Work) -> Option<Self> {
        match work {
            Work::Import(work) => Some(work),
            Work::Export(_) => None,
        }
    }
}

/// What a record asks of its work. `until` is where the shard's range ends. Meanings are those of the methods of
/// [`ShardRecord`](super::ShardRecord) that have the same names.
pub trait ShardWork {
    /// Its owner did not give the shard back.
    fn left(&mut self, now: Timestamp);
    /// The position that every destination has reached, and the numbers of the source tell how far that is; none for an
    /// import.
    fn reached(&self) -> Option<&Position>;
    /// How far an import has read its sources, and compared what comes next; none for an export.
    fn read(&self) -> Option<(SourceCursor, Option<Check>)>;
    /// The source time of the next event of an import in rhythm, if the shard waits for it to be due.
    fn waits_for(&self) -> Option<Timestamp>;
    /// Takes the pages that ledgers have filled.
    fn take_pages(&mut self) -> Vec<(DestinationName, LedgerPage)>;
    /// True if all arrived everywhere.
    fn is_drained(&self, until: &Position) -> bool;
    /// True if no upload is open.
    fn is_at_rest(&self) -> bool;
    /// Where it stands, for a person.
    fn stands_at(&self, shard: &ShardId) -> String;
    /// What arrived.
    fn moved(&self, until: &Position) -> Counts;
    /// What stays if nothing more is done.
    fn kept(&self) -> Counts;
    /// Events that an import's target cannot hold, and that are stored.
    fn misfits(&self) -> Misfits;
    /// Gaps on record.
    fn gaps(&self) -> u64;
    /// Bytes that were written.
    fn written(&self) -> Option<u64>;
    /// Objects that are complete, or sources that were read.
    fn objects(&self) -> u64;
}

impl ShardWork for ExportWork {
    fn left(&mut self, _: Timestamp) {}

    fn reached(&self) -> Option<&Position> {
        self.values().map(|destination| &destination.stored().position).min()
    }

    fn read(&self) -> Option<(SourceCursor, Option<Check>)> {
        None
    }

    fn waits_for(&self) -> Option<Timestamp> {
        None
    }

    fn take_pages(&mut self) -> Vec<(DestinationName, LedgerPage)> {
        let mut pages = Vec::new();
        for (name, destination) in self {
            while let Some(page) = destination.take_page() {
                pages.push((name.clone(), page));
            }
        }
        pages
    }

    fn is_drained(&self, until: &Position) -> bool {
        self.values().all(|destination| destination.is_drained(until))
    }

    fn is_at_rest(&self) -> bool {
        self.values().all(DestinationRecord::is_idle)
    }

    fn stands_at(&self, shard: &ShardId) -> String {
        self.values().map(|destination| destination.cursor().clone()).min().unwrap_or_default().of_shard(shard)
    }

    fn moved(&self, until: &Position) -> Counts {
        let moved = self.values().map(|destination| destination.moved(until));
        moved.min_by_key(|counts| counts.bytes).unwrap_or_default()
    }

    fn kept(&self) -> Counts {
        let kept = self.values().map(|destination| destination.counts);
        kept.min_by_key(|counts| counts.bytes).unwrap_or_default()
    }

    fn misfits(&self) -> Misfits {
        Misfits::default()
    }

    fn gaps(&self) -> u64 {
        self.values().map(|destination| destination.gaps.len() as u64).sum()
    }

    fn written(&self) -> Option<u64> {
        self.values().map(|destination| destination.written).sum()
    }

    fn objects(&self) -> u64 {
        self.values().map(|destination| destination.objects).sum()
    }
}

impl ShardWork for ImportWork {
    fn left(&mut self, now: Timestamp) {
        // Who did not give the shard back did not say how its last append ended either. Each append first clears
        // the time of an earlier doubt.
        self.unsettled = true;
        self.unsettled_since.get_or_insert(now);
    }

    fn reached(&self) -> Option<&Position> {
        None
    }

    fn read(&self) -> Option<(SourceCursor, Option<Check>)> {
        Some((self.cursor, self.check))
    }

    fn waits_for(&self) -> Option<Timestamp> {
        self.waits_for
    }

    fn take_pages(&mut self) -> Vec<(DestinationName, LedgerPage)> {
        Vec::new()
    }

    fn is_drained(&self, _: &Position) -> bool {
        ImportRecord::is_drained(self)
    }

    fn is_at_rest(&self) -> bool {
        true
    }

    fn stands_at(&self, _: &ShardId) -> String {
        format!("source {} of {}, byte {}", self.cursor.entry + 1, self.entries, self.cursor.offset)
    }

    fn moved(&self, _: &Position) -> Counts {
        self.counts
    }

    fn kept(&self) -> Counts {
        self.counts
    }

    fn misfits(&self) -> Misfits {
        self.misfits.clone()
    }

    fn gaps(&self) -> u64 {
        self.gaps
    }

    fn written(&self) -> Option<u64> {
        Some(self.counts.bytes)
    }

    fn objects(&self) -> u64 {
        self.cursor.entry
    }
}

/// Asks whichever kind it is.
macro_rules! either {
    ($work:expr, $it:ident => $answer:expr) => {
        match $work {
            Work::Export($it) => $answer,
            Work::Import($it) => $answer,
        }
    };
}

impl ShardWork for Work {
    fn left(&mut self, now: Timestamp) {
        either!(self, work => work.left(now));
    }

    fn reached(&self) -> Option<&Position> {
        either!(self, work => work.reached())
    }

    fn read(&self) -> Option<(SourceCursor, Option<Check>)> {
        either!(self, work => work.read())
    }

    fn waits_for(&self) -> Option<Timestamp> {
        either!(self, work => work.waits_for())
    }

    fn take_pages(&mut self) -> Vec<(DestinationName, LedgerPage)> {
        either!(self, work => work.take_pages())
    }

    fn is_drained(&self, until: &Position) -> bool {
        either!(self, work => ShardWork::is_drained(work, until))
    }

    fn is_at_rest(&self) -> bool {
        either!(self, work => work.is_at_rest())
    }

    fn stands_at(&self, shard: &ShardId) -> String {
        either!(self, work => work.stands_at(shard))
    }

    fn moved(&self, until: &Position) -> Counts {
        either!(self, work => work.moved(until))
    }

    fn kept(&self) -> Counts {
        either!(self, work => work.kept())
    }

    fn misfits(&self) -> Misfits {
        either!(self, work => ShardWork::misfits(work))
    }

    fn gaps(&self) -> u64 {
        either!(self, work => ShardWork::gaps(work))
    }

    fn written(&self) -> Option<u64> {
        either!(self, work => work.written())
    }

    fn objects(&self) -> u64 {
        either!(self, work => work.objects())
    }
}
