//! Events into lines.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sluice_transfer::{Compression, Event, PackError, ShardId, UnitEncoder, Value};

use super::embed::embeddable;
use crate::check;
use crate::frames::Frames;

/// Writes JSON Lines; a unit is a line, or a frame of whole lines.
pub struct JsonlEncoder {
    /// What every line begins with.
    front: Vec<u8>,
    frames: Frames,
}

impl JsonlEncoder {
    /// Writes the objects of one shard.
    pub fn new(shard: &ShardId, compression: Compression) -> Self {
        Self { front: front(shard), frames: Frames::new(compression) }
    }
}

fn front(shard: &ShardId) -> Vec<u8> {
    let mut front = b"{\"shard\":".to_vec();
    put_text(&mut front, shard.as_str());
    front.extend_from_slice(b",\"sequence\":\"");
    front
}

/// The line of an event that the target of an import cannot hold. `misfit` is a JSON object without line breaks: where
/// the event stood, and what is in the way. The line can be imported as any other.
pub fn misfit_line(shard: &ShardId, event: &Event, misfit: &str) -> Vec<u8> {
    let mut line = Vec::with_capacity(event.payload.len() / 3 * 4 + misfit.len() + 256);
    put_line(&mut line, &front(shard), event);
    line.truncate(line.len() - b"}\n".len());
    put_name(&mut line, "misfit");
    line.extend_from_slice(misfit.as_bytes());
    line.extend_from_slice(b"}\n");
    line
}

impl UnitEncoder for JsonlEncoder {
    fn begin(&mut self, _: u64, _: &mut Vec<u8>) {}

    fn resume(&mut self, _: u64) {}

    fn push(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<bool, PackError> {
        check(event)?;
        let front = &self.front;
        Ok(self.frames.push(out, |out| put_line(out, front, event)))
    }

    fn end_unit(&mut self, out: &mut Vec<u8>) {
        self.frames.end(out);
    }
}

fn put_line(out: &mut Vec<u8>, front: &[u8], event: &Event) {
    out.extend_from_slice(front);
    // Writing into memory does not fail.
    let _ = write!(out, "{}\",\"time\":\"{}\"", event.sequence, event.time);
    put_value(out, "key", &event.key);
    if !event.headers.is_empty() {
        out.extend_from_slice(b",\"headers\":[");
        for (number, header) in event.headers.iter().enumerate() {
            out.extend_from_slice(if number == 0 { b"{\"name\":" } else { b",{\"name\":" });
            put_text(out, &header.name);
            put_value(out, "value", &header.value);
            out.push(b'}');
        }
        out.push(b']');
    }
    match embeddable(event.payload.as_slice()) {
        Some(text) => {
            put_name(out, "payload");
            out.extend_from_slice(text.as_bytes());
        }
        None => match &event.payload {
            Value::Bytes(bytes) => put_base64(out, "payload", bytes),
            missing => put_value(out, "payload", missing),
        },
    }
    out.extend_from_slice(b"}\n");
}

/// As text where that gives the same bytes again.
fn put_value(out: &mut Vec<u8>, name: &str, value: &Value) {
    match value {
        Value::Absent => {}
        Value::Null => {
            put_name(out, name);
            out.extend_from_slice(b"null");
        }
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => {
                put_name(out, name);
                put_text(out, text);
            }
            Err(_) => put_base64(out, name, bytes),
        },
    }
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // Writing a text into memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

fn put_base64(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"Base64\":\"");
    let filled = out.len();
    out.resize(filled + base64::encoded_len(bytes.len(), true).unwrap_or(0), 0);
    let written = STANDARD.encode_slice(bytes, &mut out[filled..]).unwrap_or(0);
    out.truncate(filled + written);
    out.push(b'"');
}
