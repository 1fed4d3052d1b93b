//! Bytes to events and back: the formats that Sluice writes into buckets and reads from them.
//!
//! Here live the encodings themselves. Where parts and objects end is the core's business
//! ([`sluice_transfer::Packer`]), where bytes come from and go to is the operations'.
//!
//! **Invariant.** What is written depends on the events and on the object's identity alone: no clock, no random
//! number, no hash map's order. So a part that is written twice is the same part. What is read comes from outside:
//! nothing is allocated from a length before it was checked, and a broken file is an error, never a panic.
//!
//! - `avro`: Avro's object container files.
//! - `jsonl`: a JSON object a line.
//! - `raw`: joined payloads in frames.
//! - `frames`: bytes gathered into compressed frames.
//! - `compress`, `inflate`: compression, and back. `frame_head`: why a sound frame of Zstandard is refused.
//! - `lines`: lines of what was inflated.
//! - `foreign`: records that others wrote.

mod avro;
mod compress;
mod foreign;
mod frame_head;
mod frames;
mod inflate;
mod jsonl;
mod lines;
mod raw;
#[cfg(test)]
mod tests;

use jsonl::JsonlDecoder;
use sluice_transfer::limits::{EVENT_BYTES, HEADERS};
use sluice_transfer::{
    Compression, Cursor, Decoder, DestinationName, Encoding, Event, Format, PackError, PackSpec, Packer, Position,
    ShardId, TransferId, UnitEncoder,
};

pub use avro::decode::AvroDecoder;
pub use avro::encode::AvroEncoder;
pub use avro::header::AVRO_SCHEMA;
pub use foreign::{RECOGNISED, compression_of, foreign_decoder};
pub use inflate::{Inflater, Piece};
pub use jsonl::{JsonlEncoder, misfit_line};

/// The version of the encoders' output, recorded in manifests. It rises when the same events would give other bytes:
/// another schema, another header, other ends of units.
pub const ENCODER_VERSION: u32 = 1;

/// The identity of an object's shard and destination: together with an object's number it fixes the object's sync
/// marker, so that a resumed upload goes on with the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSeed {
    /// The transfer.
    pub transfer: TransferId,
    /// The destination.
    pub destination: DestinationName,
    /// The shard.
    pub shard: ShardId,
}

/// Packs events in an encoding. `object` is the number of the current object, of which `taken` bytes are packed, up to
/// `cursor`.
pub fn packer(
    encoding: Encoding,
    spec: PackSpec,
    identity: &ObjectSeed,
    object: u64,
    taken: u64,
    cursor: Cursor,
) -> Packer {
    let encoder: Box<dyn UnitEncoder> = match (encoding.format, encoding.compression) {
        (Format::Raw, Compression::Plain) => return Packer::joined(spec, object, taken, cursor),
        (Format::Raw, compression) => Box::new(raw::RawEncoder::new(compression)),
        (Format::Avro, compression) => Box::new(AvroEncoder::new(identity.clone(), compression)),
        (Format::Jsonl, compression) => Box::new(JsonlEncoder::new(&identity.shard, compression)),
    };
    Packer::units(encoder, spec, object, taken, cursor)
}

/// Takes objects apart. None for raw bytes, which hold no events: an [`Inflater`] gives them,
/// [`sluice_transfer::Cutter`] cuts them into payloads of a size that the caller chooses.
pub fn decoder(encoding: Encoding) -> Option<Box<dyn Decoder>> {
    match encoding.format {
        Format::Raw => None,
        // Its files say how they are compressed.
        Format::Avro => Some(Box::new(AvroDecoder::new())),
        Format::Jsonl => Some(Box::new(JsonlDecoder::new(encoding.compression))),
    }
}

/// The limits that the decoder holds files to.
fn check(event: &Event) -> Result<(), PackError> {
    let too_large = |what| Err(PackError::TooLarge { position: Position::before(&event.sequence), what });
    if event.headers.len() > HEADERS {
        return too_large(format!("it has {} headers; at most {HEADERS} are packed", event.headers.len()));
    }
    let headers: usize = event.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    let bytes = event.payload.len() + event.key.len() + headers;
    if bytes > EVENT_BYTES {
        return too_large(format!("payload, key and headers have {bytes} bytes; at most {EVENT_BYTES} are packed"));
    }
    Ok(())
}
