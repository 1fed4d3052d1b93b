//! The core of Sluice: what a transfer is, as plain values and functions.
//!
//! Here live the words of the trade ([`Event`], [`Position`], [`Cut`], [`Cursor`]), the packing of events into
//! parts and objects and back, the records that a transfer keeps and the algebra that moves them, the states and
//! their transitions, the course that hosts follow, manifests and object keys.
//!
//! **Invariant.** Nothing here is async, reads a clock, draws a random number, or knows a store. A deadline is a
//! value that is passed in. What is given the same values answers the same values.

mod aggregate;
mod backoff;
mod budget;
mod checksum;
mod course;
mod encoding;
mod event;
mod foreign;
mod hashes;
mod headroom;
mod key;
mod left_out;
pub mod limits;
mod lineage;
pub mod manifest;
mod misfits;
mod names;
mod outcome;
mod pace;
mod packing;
mod position;
mod read_share;
pub mod record;
mod request;
mod sequence;
mod series;
mod spec;
mod state;
mod tempo;
mod time;
mod unpacking;
mod words;

pub use aggregate::{Aggregate, Aggregates, leading_hash, leading_key};
pub use backoff::Backoff;
pub use budget::{Budget, Remaining};
pub use checksum::{Checksum, EventDigest, sha256_hex};
pub use course::{Answer, Call, Course, Pacing};
pub use encoding::{Compression, Encoding, Format};
pub use event::{Counts, Event, Header, Value};
pub use foreign::{FieldNames, ForeignFiles, Inflate, Lacking, SourceFormat, known_as, packed_as, recognise};
pub use hashes::{HashRange, HashRangeError, key_hash};
pub use headroom::Headroom;
pub use key::{KeyError, ObjectKeys, check_key, check_readable, resolve_key};
pub use left_out::{LeftOut, Reason};
pub use lineage::parents_first;
pub use misfits::{MisfitReason, Misfits, OnMisfit};
pub use names::{BucketUri, DestinationName, NameError, SeriesName, ShardId, StreamUri, TransferId, UploadId};
pub use outcome::{Finish, Planning, Settled, SliceOutcome};
pub use pace::{Pace, Throttle};
pub use packing::{PackError, PackSpec, Packed, Packer, Seal, UnitEncoder};
pub use position::{Cursor, Cut, Gap, Position, PositionError, Range};
pub use read_share::{ReadShare, ReadShareError};
pub use request::{ExportRequest, ImportRequest, Order, Placement, ReadMode, Request, RequestError};
pub use sequence::Sequence;
pub use series::{HostName, PreviousRun, RunEnding, Seam, SeriesEnd, SeriesKeys, SeriesPlace, SeriesRun, seam};
pub use spec::{PositionSpec, SpecError};
pub use state::{Illegal, Kind, State, Step, Wanted};
pub use tempo::{Anchor, Factor, Lull, Rhythm, Schedule, Tempo, TempoError};
pub use time::{TimeError, TimeRange, Timestamp};
pub use unpacking::{Cutter, Decoded, Decoder, Place, UnpackError, Unpacked};
pub use words::{are, counted, duration_in_words, noun};
