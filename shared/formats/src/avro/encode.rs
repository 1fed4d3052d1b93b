//! Events into blocks.
//!
//! **Invariant.** A block ends behind the first event at which its events' encoded bytes, before they are compressed,
//! reach [`UNIT_BYTES`] ([`COMPRESSED_UNIT_BYTES`] where they are compressed),
//! whatever slice or part it lies in, so where blocks end depends on events alone. A block's count and length stand in
//! front of its events, so these wait in a buffer of less than that size. The one that ends a block is measured instead
//! and goes straight to the part: no payload of that size or more is copied twice.

use std::fmt::Write;

use sluice_transfer::{Compression, Event, PackError, UnitEncoder, Value};

use super::header::{Marker, marker, put_header};
use super::varint::{LONGEST, long_len, put_long, put_size, size_len};
use crate::compress::Compressor;
use crate::{ObjectSeed, check};

/// A block ends once its events have this many bytes. Part of the encoder's version.
pub(crate) const UNIT_BYTES: usize = 64 << 10;
/// The same where blocks are compressed: a codec finds more in more, and knows nothing of the block before.
pub(crate) const COMPRESSED_UNIT_BYTES: usize = 256 << 10;

/// Writes Avro object container files; a unit is a block.
pub struct AvroEncoder {
    identity: ObjectSeed,
    marker: Marker,
    compression: Compression,
    /// None where blocks are not compressed.
    codec: Option<Compressor>,
    /// A block ends once its events have this many bytes.
    unit_bytes: usize,
    /// Events of the open block, fewer bytes than that.
    open: Vec<u8>,
    events: usize,
    /// The current sequence number, as text.
    digits: String,
}

impl AvroEncoder {
    /// Writes the objects of one shard at one destination.
    pub fn new(identity: ObjectSeed, compression: Compression) -> Self {
        let codec = Compressor::new(compression);
        let unit_bytes = if codec.is_some() { COMPRESSED_UNIT_BYTES } else { UNIT_BYTES };
        let open = Vec::with_capacity(unit_bytes);
        let (marker, digits) = (Marker::default(), String::new());
        Self { identity, marker, compression, codec, unit_bytes, open, events: 0, digits }
    }

    /// What stands in front of a block's events.
    fn put_block_head(out: &mut Vec<u8>, events: usize, len: usize) {
        out.reserve(2 * LONGEST + len + size_of::<Marker>());
        put_size(out, events);
        put_size(out, len);
    }
}

impl UnitEncoder for AvroEncoder {
    fn begin(&mut self, object: u64, out: &mut Vec<u8>) {
        self.resume(object);
        put_header(out, &self.marker, self.compression);
    }

    fn resume(&mut self, object: u64) {
        debug_assert!(self.events == 0, "objects begin and go on at a unit's boundary");
        self.marker = marker(&self.identity, object);
    }

    fn push(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<bool, PackError> {
        check(event)?;
        self.digits.clear();
        // Writing into a string does not fail.
        let _ = match event.sequence.as_u64() {
            Some(number) => write!(self.digits, "{number}"),
            None => write!(self.digits, "{}", event.sequence),
        };
        let len = self.open.len() + event_len(event, &self.digits);
        if len < self.unit_bytes || self.codec.is_some() {
            put_event(&mut self.open, event, &self.digits);
            debug_assert_eq!(self.open.len(), len);
            self.events += 1;
            let ends = len >= self.unit_bytes;
            if ends {
                self.end_unit(out);
            }
            return Ok(ends);
        }
        Self::put_block_head(out, self.events + 1, len);
        let from = out.len();
        out.extend_from_slice(&self.open);
        put_event(out, event, &self.digits);
        debug_assert_eq!(out.len() - from, len);
        out.extend_from_slice(&self.marker);
        self.open.clear();
        self.events = 0;
        Ok(true)
    }

    fn end_unit(&mut self, out: &mut Vec<u8>) {
        if self.events > 0 {
            let block = self.codec.as_mut().map_or(&self.open[..], |codec| codec.compress(&self.open));
            Self::put_block_head(out, self.events, block.len());
            out.extend_from_slice(block);
            out.extend_from_slice(&self.marker);
            self.open.clear();
            self.events = 0;
        }
    }
}

fn event_len(event: &Event, digits: &str) -> usize {
    let mut len = size_len(digits.len()) + digits.len() + long_len(event.time.micros());
    len += value_len(&event.key) + value_len(&event.payload);
    if !event.headers.is_empty() {
        len += size_len(event.headers.len());
        for header in &event.headers {
            len += size_len(header.name.len()) + header.name.len() + value_len(&header.value);
        }
    }
    len + 1
}

fn put_event(out: &mut Vec<u8>, event: &Event, digits: &str) {
    put_sized(out, digits.as_bytes());
    put_long(out, event.time.micros());
    put_value(out, &event.key);
    if !event.headers.is_empty() {
        put_size(out, event.headers.len());
        for header in &event.headers {
            put_sized(out, header.name.as_bytes());
            put_value(out, &header.value);
        }
    }
    put_size(out, 0);
    put_value(out, &event.payload);
}

/// A union of null and bytes, and the flag behind it.
fn value_len(value: &Value) -> usize {
    match value {
        Value::Absent | Value::Null => 2,
        Value::Bytes(bytes) => 2 + size_len(bytes.len()) + bytes.len(),
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    // Branches 0 and 1 of the union in zig-zag, then false or true.
    match value {
        Value::Absent => out.extend_from_slice(&[0, 0]),
        Value::Null => out.extend_from_slice(&[0, 1]),
        Value::Bytes(bytes) => {
            out.push(2);
            put_sized(out, bytes);
            out.push(0);
        }
    }
}

fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put_size(out, bytes.len());
    out.extend_from_slice(bytes);
}
