//! The conformance suites of the ports. A suite takes an adapter, and panics where it breaks a promise of its port.
//!
//! Every adapter runs the suite of its port in its own tests, in a few lines. How to add one: `shared/ports/README.md`.
//!
//! **Invariant.** A suite knows the port only: whatever it finds right in one adapter is right in all.

pub mod bucket;
pub mod checkpoint;
pub mod stream;
pub mod sweep;
