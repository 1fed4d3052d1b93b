//! What a transfer keeps between slices, and the only ways these records move.
//!
//! Everything here is persisted by the checkpoint store as it stands and carries a version. The functions are the
//! checkpoint algebra: they take a record and a fact and leave the record as it is to be written. They check what
//! they can, so that a record that would lose or repeat bytes is an error before it is stored.

mod claim;
mod destination;
mod import;
mod ledger;
mod shard;
mod transfer;

pub use claim::{Claim, Owner, Proof};
pub use destination::{AlgebraError, Closing, DestinationRecord, Phase, SealedObject, Upload};
pub use import::{Check, ImportRecord, Mark, ReadBack, SourceCursor};
pub use ledger::{LedgerEntry, LedgerPage, PartEntry, PartSpan};
pub use shard::{ShardRecord, Share, Work};
pub use transfer::{
    Config, DestinationConfig, ExportConfig, Failure, ImportConfig, ManifestRef, Totals, TransferRecord,
};

/// The newest version of a record that this code writes and reads; it reads those before as well. Version 2 is a
/// transfer whose objects are compressed, which version 1 would go on with uncompressed; version 3 an import of hidden
/// files too, whose request versions before cannot compare; all other records are as in version 1, and say so.
pub const RECORD_VERSION: u32 = 3;
/// See [`RECORD_VERSION`].
const COMPRESSED: u32 = 2;

/// Version of the records of which there is only one.
pub const FIRST_VERSION: u32 = 1;
