//! Kinesis: a service in memory, and the loops that anybody would write with the SDK, without what makes them exact:
//! no checkpoint, no checksum of objects, no proof, nothing that could go on.

mod export;
mod import;
mod serve;

pub(crate) use export::{Export, export};
pub(crate) use import::{Import, import};
pub(crate) use serve::{Serve, serve};

/// The stream that is read, and the stream that is written.
const SOURCE: &str = "source";
const TARGET: &str = "target";
