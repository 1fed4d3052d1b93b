//! Records that others wrote, by the fields that become payload, key and time.
//!
//! - `lines`: lines of text, each a payload.
//! - `json`: lines of JSON.
//!
//! Avro of any schema is read by [`AvroDecoder`], which is told the fields.

mod json;
mod lines;

use sluice_transfer::{Decoder, Encoding, FieldNames, Format};

use crate::AvroDecoder;

/// Takes files of others apart. None where events are not found by fields: raw bytes, and what Sluice itself writes.
pub fn foreign_decoder(encoding: Encoding, fields: &FieldNames) -> Option<Box<dyn Decoder>> {
    let compression = encoding.compression;
    match encoding.format {
        Format::Lines => Some(Box::new(lines::decoder(compression))),
        Format::Jsonl if !fields.is_empty() => Some(Box::new(json::decoder(fields.clone(), compression))),
        Format::Avro if !fields.is_empty() => Some(Box::new(AvroDecoder::of_fields(fields.clone()))),
        Format::Jsonl | Format::Avro | Format::Raw => None,
    }
}
