//! What tests of several crates are made of. `tests/README.md` has a recipe for each kind of test.
//!
//! Stores and clocks in memory are in `sluice_memory`; here is what stands between them and an engine, and the
//! engine itself.

mod aggregate;
mod layers;
mod places;
mod rig;
mod sqlite;

pub use aggregate::aggregate;
pub use layers::{BucketLayer, CheckpointLayer, Layered, StreamLayer};
pub use places::OtherPlaces;
pub use rig::{Rig, append, shard};
pub use sqlite::sqlite_dump;
