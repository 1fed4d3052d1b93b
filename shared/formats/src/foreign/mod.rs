//! Records that others wrote, by the fields that become payload, key and time.
//!
//! - `lines`: lines of text, each a payload.
//! - `json`: lines of JSON.
//!
//! Avro of any schema is read by [`AvroDecoder`], which is told the fields. Without names of fields, records are those
//! that Sluice itself writes.

mod json;
mod lines;

use sluice_transfer::{Compression, Decoder, ForeignFiles, SourceFormat, UnpackError, packed_as, recognise};

use crate::{AvroDecoder, JsonlDecoder};

/// Bytes of a file that tell how it is compressed.
pub const RECOGNISED: u64 = 32;

/// The compression of a file, by its first [`RECOGNISED`] bytes. An error if it is to be inflated and cannot be.
pub fn compression_of(files: &ForeignFiles, head: &[u8]) -> Result<Compression, UnpackError> {
    if !files.inflate {
        return Ok(Compression::Plain);
    }
    // Other formats than raw bytes find out more, once they are inflated.
    match packed_as(head).filter(|_| files.format == SourceFormat::Raw) {
        None => Ok(recognise(head)),
        Some(name) => {
            let how = "unpack it first, or take its bytes as they are (--compression none)";
            Err(UnpackError::Unsupported { why: format!("it is {name}, which is not unpacked here: {how}") })
        }
    }
}

/// Takes foreign files apart that are compressed so. None for raw bytes, as for those of an export.
///
/// Files that hold no text are refused by name, unless lines are to be taken as they are.
pub fn foreign_decoder(files: &ForeignFiles, compression: Compression) -> Option<Box<dyn Decoder>> {
    Some(match files.format {
        SourceFormat::Raw => return None,
        SourceFormat::Lines if files.inflate => Box::new(lines::decoder(compression).of_text()),
        SourceFormat::Lines => Box::new(lines::decoder(compression)),
        SourceFormat::Jsonl if files.fields.is_empty() => Box::new(JsonlDecoder::new(compression).of_text()),
        SourceFormat::Jsonl => Box::new(json::decoder(files.fields.clone(), compression).of_text()),
        // Its files say how they are compressed.
        SourceFormat::Avro => Box::new(AvroDecoder::of_fields(files.fields.clone())),
    })
}
