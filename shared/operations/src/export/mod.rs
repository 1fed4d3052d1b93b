//! One slice of an export: shards to parts.

pub(crate) mod closing;
pub(crate) mod manifest;
pub(crate) mod run;
mod sending;
pub(crate) mod shard;
mod storing;
pub(crate) mod target;
