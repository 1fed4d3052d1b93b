//! Bytes to events and back: the formats that Sluice writes into buckets and reads from them.
//!
//! Here live the encodings themselves. Where parts and objects end is the core's business
//! ([`sluice_transfer::Packer`]), where bytes come from and go to is the operations'.
//!
//! **Invariant.** What is written depends on the events and on the object's identity alone: no clock, no random
//! number, no hash map's order. So a part that is written twice is the same part. What is read comes from outside:
//! nothing is allocated from a length before it was checked, and a broken file is an error, never a panic.
//!
//! - `varint`: Avro's numbers, and a reader that knows where its bytes end.
//! - `header`: the schema, the file's header, the sync marker.
//! - `codec`: blocks made smaller and back.
//! - `encode`: events into blocks.
//! - `decode`: blocks into events.

mod codec;
mod decode;
mod encode;
mod header;
#[cfg(test)]
mod tests;
mod varint;

use sluice_transfer::{Cursor, Decoder, DestinationName, Encoding, Format, PackSpec, Packer, ShardId, TransferId};

pub use decode::AvroDecoder;
pub use encode::AvroEncoder;
pub use header::AVRO_SCHEMA;

/// Version of what the encoders write, recorded in manifests. It rises when the same events would give other bytes:
/// another schema, another header, other ends of units.
pub const ENCODER_VERSION: u32 = 1;

/// What sets the objects of one shard at one destination apart from all others: together with an object's number
/// it fixes the object's sync marker, so that a resumed upload goes on with the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSeed {
    /// The transfer.
    pub transfer: TransferId,
    /// Where it writes.
    pub destination: DestinationName,
    /// What it reads.
    pub shard: ShardId,
}

/// Packs events in an encoding. `object` is the number of the object at hand, of which `taken` bytes are packed, up to
/// `cursor`.
pub fn packer(
    encoding: Encoding,
    spec: PackSpec,
    identity: &ObjectSeed,
    object: u64,
    taken: u64,
    cursor: Cursor,
) -> Packer {
    match encoding.format {
        Format::Raw => Packer::joined(spec, object, taken, cursor),
        Format::Avro => {
            let encoder = AvroEncoder::new(identity.clone(), encoding.compression);
            Packer::units(Box::new(encoder), spec, object, taken, cursor)
        }
    }
}

/// Takes objects of a format apart, whatever their compression: Avro's files tell. None for raw, which has no units: [`sluice_transfer::Cutter`] cuts it into
/// payloads of a size that the caller chooses.
pub fn decoder(format: Format) -> Option<Box<dyn Decoder>> {
    match format {
        Format::Raw => None,
        Format::Avro => Some(Box::new(AvroDecoder::new())),
    }
}
