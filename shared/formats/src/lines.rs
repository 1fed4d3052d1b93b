//! Lines of an object, compressed or not.
//!
//! **Invariant.** No more than [`LINE_BYTES`] of a line are held. Each line knows from where in the object reading can
//! go on behind it.

mod decoder;

use bytes::Bytes;
use sluice_transfer::limits::EVENT_BYTES;
use sluice_transfer::{Compression, Place, UnpackError};

use crate::inflate::{Inflater, Piece};

pub(crate) use decoder::{LineDecoder, LineFault, LineFormat};

/// The longest line: twice the largest event, since base64 makes a third more of it.
pub(crate) const LINE_BYTES: usize = 2 * EVENT_BYTES;

/// A line, without the newline behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The bytes.
    pub bytes: Bytes,
    /// In front of its first byte.
    pub begin: Place,
    /// Behind its newline.
    pub after: Place,
}

/// Takes an object's lines apart, fed with its bytes in order.
pub(crate) struct Lines {
    inflater: Inflater,
    /// Inflated bytes that are being read, and how far they are.
    piece: Option<(Piece, usize)>,
    /// The beginning of a line that goes on.
    held: Vec<u8>,
    /// Where the line at hand begins.
    begin: Place,
}

impl Lines {
    pub(crate) fn new(compression: Compression) -> Self {
        Self { inflater: Inflater::new(compression), piece: None, held: Vec::new(), begin: Place::default() }
    }

    pub(crate) fn seek(&mut self, place: Place) {
        self.inflater.seek(place);
        (self.piece, self.begin) = (None, place);
        self.held.clear();
    }

    pub(crate) fn is_passing(&self) -> bool {
        self.inflater.is_passing()
    }

    pub(crate) fn feed(&mut self, bytes: Bytes) {
        self.inflater.feed(bytes);
    }

    /// The next line; none if more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Line>, UnpackError> {
        loop {
            let Some((piece, read)) = &mut self.piece else {
                match self.inflater.piece()? {
                    Some(piece) => self.piece = Some((piece, 0)),
                    None => return Ok(None),
                }
                continue;
            };
            let rest = &piece.bytes[*read..];
            let end = memchr::memchr(b'\n', rest);
            if self.held.len() + end.unwrap_or(rest.len()) > LINE_BYTES {
                let why = format!("a line has more than {LINE_BYTES} bytes");
                return Err(UnpackError::TooLarge { offset: self.begin.offset, why });
            }
            let Some(end) = end else {
                self.held.extend_from_slice(rest);
                self.piece = None;
                continue;
            };
            let bytes = if self.held.is_empty() {
                piece.bytes.slice(*read..*read + end)
            } else {
                self.held.extend_from_slice(&rest[..end]);
                Bytes::from(std::mem::take(&mut self.held))
            };
            *read += end + 1;
            let after = piece.place(*read);
            if *read == piece.bytes.len() {
                self.piece = None;
            }
            return Ok(Some(Line { bytes, begin: std::mem::replace(&mut self.begin, after), after }));
        }
    }

    /// The object has no more bytes. Answers what stands behind the last newline; an error if a frame is open.
    pub(crate) fn last(&mut self) -> Result<Option<Line>, UnpackError> {
        self.inflater.finish()?;
        if self.held.is_empty() {
            return Ok(None);
        }
        let after = Place { offset: self.inflater.position(), within: 0 };
        let begin = std::mem::replace(&mut self.begin, after);
        Ok(Some(Line { bytes: Bytes::from(std::mem::take(&mut self.held)), begin, after }))
    }
}
