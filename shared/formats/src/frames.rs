//! Units of joined bytes: frames, or, without compression, whatever is written at once.

use sluice_transfer::Compression;

use crate::compress::Compressor;

/// A frame ends once this many bytes wait for it. Part of the encoder's version.
pub(crate) const FRAME_BYTES: usize = 256 << 10;

/// Gathers bytes into frames.
pub(crate) struct Frames {
    /// None where bytes are not compressed.
    codec: Option<Compressor>,
    open: Vec<u8>,
}

impl Frames {
    pub(crate) fn new(compression: Compression) -> Self {
        Self { codec: Compressor::new(compression), open: Vec::new() }
    }

    /// Adds what `put` writes. Answers whether a unit ended behind it; then it is in `out`.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.codec.is_none() {
            put(out);
            return true;
        }
        put(&mut self.open);
        let ends = self.open.len() >= FRAME_BYTES;
        if ends {
            self.end(out);
        }
        ends
    }

    /// Ends the open frame, if it holds anything.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(codec) = self.codec.as_mut().filter(|_| !self.open.is_empty()) {
            out.extend_from_slice(codec.compress(&self.open));
            self.open.clear();
            // A giant event does not keep its room.
            self.open.shrink_to(2 * FRAME_BYTES);
        }
    }
}
