//! Avro object container files (Apache Avro specification, "Object Container Files").
//!
//! - `varint`: Avro's numbers, and a reader that knows where its bytes end.
//! - `header`: the schema, the file's header, the sync marker.
//! - `codec`: what Avro calls the compressions of blocks.
//! - `encode`: events into blocks.
//! - `decode`: blocks into events.
//! - `schema`: foreign schemas. `walk`: one event by such a schema. `mapped`: events of foreign records.

pub(crate) mod codec;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod header;
mod mapped;
mod schema;
pub(crate) mod varint;
mod walk;
