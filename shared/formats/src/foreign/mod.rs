//! Records that others wrote, by the fields that become payload, key and time.
//!
//! - `lines`: lines of text, each a payload.
//! - `json`: lines of JSON.
//!
//! Avro of any schema is read by [`AvroDecoder`], which is told the fields. Without names of fields, records are those that
//! Sluice itself writes.

mod json;
mod lines;

use sluice_transfer::{Compression, Decoder, ForeignFiles, SourceFormat};

use crate::{AvroDecoder, JsonlDecoder};

/// Takes files of others apart that are compressed so. None for raw bytes, as for those of an export.
pub fn foreign_decoder(files: &ForeignFiles, compression: Compression) -> Option<Box<dyn Decoder>> {
    Some(match files.format {
        SourceFormat::Raw => return None,
        SourceFormat::Lines => Box::new(lines::decoder(compression)),
        SourceFormat::Jsonl if files.fields.is_empty() => Box::new(JsonlDecoder::new(compression)),
        SourceFormat::Jsonl => Box::new(json::decoder(files.fields.clone(), compression)),
        // Its files say how they are compressed.
        SourceFormat::Avro => Box::new(AvroDecoder::of_fields(files.fields.clone())),
    })
}
