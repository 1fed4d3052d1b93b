//! What the engine asks of the world: streams, buckets, checkpoints and a clock.
//!
//! A port is a small object-safe trait, so that adapters can be chosen at run time and decorated. Answers that a
//! caller must act on (a mismatch, an object that exists, a trimmed start) are values; an [`Error`] is a kind that
//! says what the caller must do, and its source.
//!
//! Every adapter passes the port's suite in `sluice-conformance`; the in-memory stores of `sluice-memory` pass the same
//! ones and are what the simulator wraps. How to write an adapter: the README beside this crate.
//!
//! **Invariant.** No adapter, and nothing of any store's own library, appears here.

mod bucket;
mod checkpoint;
mod clock;
mod error;
mod executions;
mod places;
mod promises;
mod removal;
mod schemes;
mod stream;
mod sweep;

pub use bucket::{
    BucketStore, Capabilities, CompleteAnswer, Listed, Metadata, ObjectInfo, OpenUpload, PartAnswer, PutAnswer,
};
pub use checkpoint::{CheckpointStore, Created, Stored, WriterAnswer};
pub use clock::Clock;
pub use error::{Error, ErrorKind, Result};
pub use executions::{Execution, Executions, Launched};
pub use places::Places;
pub use promises::{Appends, Promises};
pub use removal::{ObjectRemoval, TransferRemoval};
pub use schemes::{BucketPlaces, Of, Scheme, Schemes, StreamPlaces};
pub use stream::{
    Appended, Intake, ListedShard, Made, NewEvent, Read, ReadLimit, Reservation, ShardInfo, ShardLimits, StreamAdmin,
    StreamFacts, StreamInfo, StreamListing, StreamReader, StreamStore, StreamWriter, append_once,
};
pub use sweep::SweepStore;
