//! One slice of an export: shards to parts.

mod by_time;
pub(crate) mod closing;
mod in_flight;
pub(crate) mod manifest;
pub(crate) mod reader;
pub(crate) mod run;
pub(crate) mod shard;
pub(crate) mod sharing;
mod storing;
pub(crate) mod target;
