//! The in-memory stores: streams, buckets, checkpoints and clocks that keep every promise of their ports.
//!
//! Tests use them in place of mocks, and the simulator runs the real operations over them. They pass the suites of
//! `sluice-conformance`, whose model of a stream is [`MemoryStream`].
//!
//! **Invariant.** No method waits for anything, so [`now`] runs any future over them.

mod bucket;
mod checkpoint;
mod clock;
mod executions;
mod places;
mod stream;
mod sweep;
mod virtual_clock;

pub use bucket::MemoryBucket;
pub use checkpoint::MemoryCheckpoints;
pub use clock::{MemoryClock, now};
pub use executions::MemoryExecutions;
pub use places::MemoryPlaces;
pub use stream::MemoryStream;
pub use virtual_clock::VirtualClock;
