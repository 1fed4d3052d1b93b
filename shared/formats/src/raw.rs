//! Payloads joined and compressed: whole frames, one behind the other, of whole events.
//!
//! Without compression there is nothing to encode: [`sluice_transfer::Packer::joined`] cuts the bytes themselves.

use sluice_transfer::{Compression, Event, PackError, UnitEncoder};

use crate::check;
use crate::frames::Frames;

/// Writes frames of joined payloads; a unit is a frame.
pub(crate) struct RawEncoder {
    frames: Frames,
}

impl RawEncoder {
    pub(crate) fn new(compression: Compression) -> Self {
        Self { frames: Frames::new(compression) }
    }
}

impl UnitEncoder for RawEncoder {
    fn begin(&mut self, _: u64, _: &mut Vec<u8>) {}

    fn resume(&mut self, _: u64) {}

    fn push(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<bool, PackError> {
        check(event)?;
        Ok(self.frames.push(out, |open| open.extend_from_slice(event.payload.as_slice())))
    }

    fn end_unit(&mut self, out: &mut Vec<u8>) {
        self.frames.end(out);
    }
}
