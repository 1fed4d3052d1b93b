//! Stores that live in the process and keep every promise of their ports. They pass the conformance suites, and the
//! simulator runs the real operations over them.

mod bucket;
mod checkpoint;
mod clock;
mod places;
mod stream;

pub use bucket::MemoryBucket;
pub use checkpoint::MemoryCheckpoints;
pub use clock::{MemoryClock, now};
pub use places::MemoryPlaces;
pub use stream::MemoryStream;
