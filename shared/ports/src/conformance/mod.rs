//! What every adapter must do, as suites that take an adapter and panic where it does something else.

pub mod bucket;
pub mod checkpoint;
pub mod stream;
