//! The simulator: seeded schedules of faults against the real operations over the in-memory stores.
//!
//! One thread, a virtual clock, one random generator. Every call on a port may fail before it happens, happen and lose
//! its answer, be late past the deadline, land long after its caller gave up, or be the last thing its slice does.
//! Slices are left behind alive and others started beside them on false proof of their death. After each step the
//! records, the bucket and the target are held against the protocol's invariants, and at the end the bytes are.
//!
//! A schedule is a function of its seed: the same seed, the same steps. `simulate --seed N` replays one and prints it.
//! One that fails is made short before it is printed ([`shrink`]).

mod by_key;
mod checker;
mod events;
mod failure;
mod faulty;
mod guards;
mod host;
mod lineage;
mod misfits;
mod pace;
mod random;
mod scenario;
mod scheduler;
mod shrink;
mod tally;
mod world;

pub use failure::Failure;
pub use guards::Guard;
pub use host::{run, run_edited};
pub use shrink::{Edits, Shrunk, Simpler, shrink};
pub use tally::Tally;
