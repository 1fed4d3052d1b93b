//! Conformance suites, which take an adapter and panic if it breaks a port's promise.

pub mod bucket;
pub mod checkpoint;
pub mod stream;
