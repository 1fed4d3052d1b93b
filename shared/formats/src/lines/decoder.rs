//! Lines into events, whatever a line is.

use bytes::Bytes;
use sluice_transfer::{Compression, Decoded, Decoder, Place, UnpackError, Unpacked};

use super::{Line, Lines};

/// Lines without an event that are passed over at once.
const PASSED_LINES: usize = 10_000;

/// What a line is.
pub(crate) trait LineFormat: Send {
    /// The event that it holds; none if it holds nothing.
    fn event(&self, line: &Line) -> Result<Option<Decoded>, LineFault>;

    /// Whether a line without a newline behind it, at the object's end, is one.
    fn may_end_open(&self) -> bool;
}

/// Why a line is none.
#[derive(Debug)]
pub(crate) enum LineFault {
    /// It is not what it should be.
    Damaged(String),
    /// It holds more than the limits allow.
    TooLarge(&'static str),
}

impl LineFault {
    /// Not what it should be.
    pub(crate) fn damaged(why: &str) -> Self {
        Self::Damaged(why.to_owned())
    }
}

/// Reads an object line by line, compressed or not; a unit is a line, or a frame.
pub(crate) struct LineDecoder<F> {
    lines: Lines,
    format: F,
    failed: Option<UnpackError>,
}

impl<F: LineFormat> LineDecoder<F> {
    /// Reads objects of such lines that are compressed so.
    pub(crate) fn of(format: F, compression: Compression) -> Self {
        Self { lines: Lines::new(compression), format, failed: None }
    }

    fn advance(&mut self) -> Result<Unpacked, UnpackError> {
        let mut passed = None;
        for _ in 0..PASSED_LINES {
            let Some(line) = self.lines.next()? else { break };
            if let Some(event) = self.event_of(&line)? {
                return Ok(Unpacked::Event(event));
            }
            passed = Some(line.after);
        }
        Ok(passed.map_or(Unpacked::Hungry, Unpacked::Passed))
    }

    fn event_of(&self, line: &Line) -> Result<Option<Decoded>, UnpackError> {
        self.format.event(line).map_err(|fault| {
            let Place { offset, within } = line.begin;
            let at = if within > 0 { format!("inflated byte {within} of the frame: ") } else { String::new() };
            match fault {
                LineFault::Damaged(why) => {
                    UnpackError::Damaged { offset, why: format!("{at}the line is no event: {why}") }
                }
                LineFault::TooLarge(why) => UnpackError::TooLarge { offset, why: format!("{at}{why}") },
            }
        })
    }

    fn last(&mut self) -> Result<Option<Decoded>, UnpackError> {
        let Some(line) = self.lines.last()? else { return Ok(None) };
        if self.format.may_end_open() {
            return self.event_of(&line);
        }
        Err(UnpackError::Damaged { offset: line.begin.offset, why: "the line that begins there has no end".to_owned() })
    }

    /// The first error is the one that stays.
    fn noted<T>(&mut self, answer: Result<T, UnpackError>) -> Result<T, UnpackError> {
        if let Err(error) = &answer {
            self.failed = Some(error.clone());
        }
        answer
    }
}

impl<F: LineFormat> Decoder for LineDecoder<F> {
    fn head_len(&self) -> u64 {
        0
    }

    fn head(&mut self, _: &[u8]) -> Result<u64, UnpackError> {
        Ok(0)
    }

    fn is_passing(&self) -> bool {
        self.lines.is_passing()
    }

    fn seek(&mut self, place: Place) {
        self.lines.seek(place);
        self.failed = None;
    }

    fn feed(&mut self, bytes: Bytes) {
        self.lines.feed(bytes);
    }

    fn step(&mut self) -> Result<Unpacked, UnpackError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let step = self.advance();
        self.noted(step)
    }

    fn finish(&mut self) -> Result<Option<Decoded>, UnpackError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let last = self.last();
        self.noted(last)
    }
}
