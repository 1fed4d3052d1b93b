//! One slice of an import: objects to events.

mod beat;
pub(crate) mod misfit;
pub(crate) mod read_back;
mod read_behind;
mod reader;
mod reconcile;
pub(crate) mod route;
pub(crate) mod run;
pub(crate) mod shard;
mod source;
mod units;
