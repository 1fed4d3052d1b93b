//! The records of a transfer between slices, and all their transitions.
//!
//! Everything here is persisted by the checkpoint store as it stands and carries a version. The functions are the
//! checkpoint algebra: they take a record and a fact and leave the record as it is to be written. They check what
//! they can, so that a record that would lose or repeat bytes is an error before it is stored.

mod claim;
mod destination;
mod import;
mod ledger;
mod planning;
mod readers;
mod shard;
mod sweep;
mod time_bounds;
mod transfer;
mod work;

pub use claim::{Claim, Owner, Proof};
pub use destination::{AlgebraError, Closing, DestinationRecord, Phase, SealedObject, Upload};
pub use import::{Check, IN_TIME_MILLIS, ImportRecord, Lateness, Mark, Origin, ReadBack, SourceCursor, Tails};
pub use ledger::{LedgerEntry, LedgerPage, PartEntry, PartSpan};
pub use planning::PlanProgress;
pub use readers::{Before, Look, Reader, ReadersRecord};
pub use shard::{ShardRecord, Share};
pub use sweep::{Seen, SweepRecord};
pub use time_bounds::{Silence, TimeBounds};
pub use transfer::{
    Config, DestinationConfig, ExportConfig, Failure, ImportConfig, ManifestRef, Totals, TransferRecord,
};
pub use work::{ExportWork, ImportWork, Kind, ShardWork, Work};

/// The newest version of a record that this code writes and reads; it reads those before as well. Version 2 is a
/// transfer whose objects are compressed, which version 1 would go on with uncompressed; version 3 an import of hidden
/// files too, whose request versions before cannot compare; version 4 an export whose bounds are times until they are
/// numbers, which versions before would read without an end; version 5 an import whose events are placed by their keys,
/// or are given keys, which versions before would write into each shard, or without a key, or an export that takes events
/// out of aggregates, which versions before would leave in them; version 6 an import that may make its target or says
/// in which order events stand there, and an export whose request says what part of the reading limits it may take or how it
/// reads, none of which versions before can compare; version 7 an import whose request says a pace, which versions before
/// would run as fast as they can, or what is done with events that its target cannot hold; version 8 an export that is a run
/// of a series, whose end versions before would not tell its bucket, or an import whose plan goes on, whose list of sources
/// versions before would take for complete; all other records are as in version 1, and say so.
pub const RECORD_VERSION: u32 = SERIES;
/// See [`RECORD_VERSION`].
const SERIES: u32 = 8;
/// See [`RECORD_VERSION`].
const BEING_PLANNED: u32 = 8;
/// See [`RECORD_VERSION`].
const TOLD_HOW: u32 = 7;
/// See [`RECORD_VERSION`].
const ORDERED: u32 = 6;
/// See [`RECORD_VERSION`].
const PLACED: u32 = 5;
/// See [`RECORD_VERSION`].
const BY_TIME: u32 = 4;
/// See [`RECORD_VERSION`].
const HIDDEN_FILES: u32 = 3;
/// See [`RECORD_VERSION`].
const COMPRESSED: u32 = 2;

/// Version of the records of which there is only one.
pub const FIRST_VERSION: u32 = 1;
