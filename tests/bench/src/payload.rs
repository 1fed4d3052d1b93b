//! The payloads: JSON of one length each, of which about a half is noise that no codec makes smaller than three
//! quarters, and the rest words that come again. Without line feeds, so that each can be a line, and quoted nowhere, so
//! that JSON Lines embeds them.

use std::io::{BufWriter, Write as _};

use crate::{Load, Result};

/// What the words are drawn from.
const WORDS: [&str; 16] = [
    "order ",
    "customer ",
    "was ",
    "sent ",
    "to ",
    "the ",
    "warehouse ",
    "invoice ",
    "paid ",
    "returned ",
    "in ",
    "parcel ",
    "north ",
    "address ",
    "of ",
    "delivery ",
];
/// Digits of the noise: six bits each.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// What surrounds number, noise and words.
const FRONT: &str = r#"{"n":"#;
const NOISE: &str = r#","id":""#;
const TEXT: &str = r#"","text":""#;
const BACK: &str = r#""}"#;
/// Digits of the number.
const NUMBER: usize = 10;

/// Makes one payload after the other, the same in every process.
pub(crate) struct Payloads {
    state: u64,
    number: usize,
}

impl Payloads {
    pub(crate) fn new() -> Self {
        Self { state: 0x5107_1ce5_eed0_0001, number: 0 }
    }

    /// A step of xorshift64*, of which the upper bits are good.
    fn draw(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 4
    }

    /// Adds one payload of that size.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, size: usize) {
        let room = size.saturating_sub(FRONT.len() + NUMBER + NOISE.len() + TEXT.len() + BACK.len());
        let end = out.len() + size;
        out.extend_from_slice(FRONT.as_bytes());
        out.extend_from_slice(format!("{:0NUMBER$}", self.number + 10_usize.pow(9)).as_bytes());
        self.number += 1;
        out.extend_from_slice(NOISE.as_bytes());
        let noise = out.len() + room / 2;
        while out.len() < noise {
            let mut bits = self.draw();
            for _ in 0..10.min(noise - out.len()) {
                out.push(DIGITS[usize::from(bits.to_le_bytes()[0] & 63)]);
                bits >>= 6;
            }
        }
        out.extend_from_slice(TEXT.as_bytes());
        while out.len() + BACK.len() < end {
            let mut bits = self.draw();
            for _ in 0..12 {
                out.extend_from_slice(WORDS[usize::from(bits.to_le_bytes()[0] & 15)].as_bytes());
                bits >>= 4;
            }
        }
        out.truncate(end.saturating_sub(BACK.len()));
        out.extend_from_slice(BACK.as_bytes());
    }
}

impl Load {
    /// How many events there are.
    pub(crate) fn events(self) -> usize {
        (self.bytes / self.event.max(1)).max(1)
    }

    /// Bytes of all payloads.
    pub(crate) fn total(self) -> usize {
        self.events() * self.event
    }

    /// All payloads, joined.
    pub(crate) fn joined(self) -> Vec<u8> {
        let (mut payloads, mut joined) = (Payloads::new(), Vec::with_capacity(self.total()));
        for _ in 0..self.events() {
            payloads.push(&mut joined, self.event);
        }
        joined
    }
}

pub(crate) fn print(load: Load) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let (mut payloads, mut line) = (Payloads::new(), Vec::new());
    for _ in 0..load.events() {
        line.clear();
        payloads.push(&mut line, load.event);
        line.push(b'\n');
        out.write_all(&line)?;
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_json_of_the_size_that_was_asked_for() {
        for size in [100, 1 << 10, 10 << 10, 1 << 20] {
            let (mut payloads, mut out) = (Payloads::new(), Vec::new());
            for _ in 0..3 {
                payloads.push(&mut out, size);
            }
            for payload in out.chunks(size) {
                assert_eq!(payload.len(), size);
                let json: serde_json::Value = serde_json::from_slice(payload).unwrap();
                assert!(json["text"].is_string(), "{json}");
            }
            assert_ne!(out[..size], out[size..2 * size]);
        }
    }
}
