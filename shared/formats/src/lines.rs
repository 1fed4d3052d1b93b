//! Lines of an object, compressed or not.
//!
//! A line ends with LF or CR LF, or with the object. A byte order mark of UTF-8 in front of the first line is no part
//! of it. Both hold for every format of lines.
//!
//! **Invariant.** No more than [`LINE_BYTES`] of a line are held. Each byte of a line knows from where in the object
//! reading can go on in front of it.

mod decoder;
mod values;

use std::collections::VecDeque;

use bytes::Bytes;
use sluice_transfer::limits::EVENT_BYTES;
use sluice_transfer::{Compression, Place, UnpackError};

use crate::inflate::{Inflater, Piece, Places};
use values::Scanner;

pub(crate) use decoder::{LineDecoder, LineFault, LineFormat, Read};

/// The longest line: twice the largest event, since base64 makes a third more of it.
pub(crate) const LINE_BYTES: usize = 2 * EVENT_BYTES;

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A line without its end, or what is left of one.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The bytes.
    pub bytes: Bytes,
    /// In front of its first byte.
    pub begin: Place,
    /// Behind its end.
    pub after: Place,
    /// Its number in the object, from 1, where reading began with the first.
    pub number: Option<u64>,
    /// Bytes of the line in front of these.
    pub column: usize,
    /// Where its bytes come from.
    spans: VecDeque<Span>,
}

/// Bytes of a line that come from one piece.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// Where in the line they begin.
    at: usize,
    /// The piece's places.
    of: Places,
    /// Where in the piece they begin.
    from: usize,
}

impl Line {
    /// Where reading goes on behind its first bytes, of which there are more than `len`.
    fn place(&self, len: usize) -> Place {
        let at = len + self.spans.front().map_or(0, |span| span.at);
        let span = self.spans.iter().take_while(|span| span.at <= at).last();
        span.map_or(self.begin, |span| span.of.behind(span.from + at - span.at))
    }

    /// What is left of it behind its first bytes, of which there are more than `len`.
    pub(crate) fn behind(self, len: usize) -> Self {
        let (begin, column) = (self.place(len), self.column + len);
        Self { begin, column, ..self.without(len) }
    }

    /// Itself, without its first bytes.
    fn without(mut self, len: usize) -> Self {
        let at = len + self.spans.front().map_or(0, |span| span.at);
        while self.spans.get(1).is_some_and(|next| next.at <= at) {
            self.spans.pop_front();
        }
        if let Some(first) = self.spans.front_mut() {
            first.from += at - first.at;
            first.at = at;
        }
        self.bytes = self.bytes.slice(len..);
        self
    }
}

/// Takes an object's lines apart, fed with its bytes in order.
pub(crate) struct Lines {
    inflater: Inflater,
    /// Inflated bytes that are being read, and how far they are.
    piece: Option<(Piece, usize)>,
    /// The beginning of a line that goes on, and where its bytes come from.
    held: Vec<u8>,
    spans: VecDeque<Span>,
    /// Where the current line begins.
    begin: Place,
    number: Option<u64>,
    column: usize,
    /// Finds values that are whole in a line that goes on. None where a line is one of them.
    scanner: Option<Scanner>,
}

impl Lines {
    /// `splits` if a line may hold several values of JSON: those that are whole are answered before the line ends.
    pub(crate) fn new(compression: Compression, splits: bool) -> Self {
        Self {
            inflater: Inflater::new(compression),
            piece: None,
            held: Vec::new(),
            spans: VecDeque::new(),
            begin: Place::default(),
            number: Some(1),
            column: 0,
            scanner: splits.then(Scanner::default),
        }
    }

    pub(crate) fn seek(&mut self, place: Place) {
        self.inflater.seek(place);
        (self.piece, self.begin, self.column) = (None, place, 0);
        self.number = (place == Place::default()).then_some(1);
        self.held.clear();
        self.spans.clear();
        self.scanner = self.scanner.as_ref().map(|_| Scanner::default());
    }

    pub(crate) fn is_passing(&self) -> bool {
        self.inflater.is_passing()
    }

    pub(crate) fn feed(&mut self, bytes: Bytes) {
        self.inflater.feed(bytes);
    }

    /// The next line, or the whole values that one begins with; none if more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Line>, UnpackError> {
        loop {
            let Some((piece, read)) = &mut self.piece else {
                match self.inflater.piece()? {
                    Some(piece) => self.piece = Some((piece, 0)),
                    None => return Ok(self.values()),
                }
                continue;
            };
            let rest = &piece.bytes[*read..];
            let end = memchr::memchr(b'\n', rest);
            let more = end.unwrap_or(rest.len());
            if self.held.len() + more > LINE_BYTES {
                if let Some(line) = self.values() {
                    return Ok(Some(line));
                }
                let why = format!("a line has more than {LINE_BYTES} bytes");
                return Err(UnpackError::TooLarge { offset: self.begin.offset, why });
            }
            if more > 0 {
                self.spans.push_back(Span { at: self.held.len(), of: piece.places(), from: *read });
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
            let line = self.line(bytes, after);
            (self.number, self.column) = (self.number.map(|number| number + 1), 0);
            let len = line.bytes.len();
            return Ok(Some(if line.bytes.last() == Some(&b'\r') {
                Line { bytes: line.bytes.slice(..len - 1), ..line }
            } else {
                line
            }));
        }
    }

    /// The values that are whole in front of a line that goes on.
    fn values(&mut self) -> Option<Line> {
        let len = self.scanner.as_mut()?.values(&self.held)?;
        let rest = self.held.split_off(len);
        let bytes = Bytes::from(std::mem::replace(&mut self.held, rest));
        let first = self.spans.partition_point(|span| span.at < len);
        let mut spans = self.spans.split_off(first);
        for span in &mut spans {
            span.at -= len;
        }
        // The piece in which the first ends may be the one in which the rest begins.
        if let Some(last) = self.spans.back().filter(|_| spans.front().is_none_or(|span| span.at > 0)) {
            spans.push_front(Span { at: 0, of: last.of, from: last.from + len - last.at });
        }
        let after = spans.front().map_or(self.begin, |span| span.of.behind(span.from));
        let line = self.line(bytes, after);
        self.column += line.bytes.len();
        self.spans = spans;
        Some(line)
    }

    /// These bytes as a line that ends at a place, where the next one begins.
    fn line(&mut self, bytes: Bytes, after: Place) -> Line {
        self.scanner = self.scanner.as_ref().map(|_| Scanner::default());
        let begin = std::mem::replace(&mut self.begin, after);
        let spans = std::mem::take(&mut self.spans);
        let line = Line { bytes, begin, after, number: self.number, column: self.column, spans };
        let is_marked = begin == Place::default() && line.bytes.starts_with(MARK);
        if is_marked { line.without(MARK.len()) } else { line }
    }

    /// The beginning of the object, if the current line begins there and goes on.
    pub(crate) fn beginning(&self) -> Option<&[u8]> {
        (self.begin == Place::default()).then_some(&self.held[..])
    }

    /// The object has no more bytes. Answers what stands behind the last newline; an error if a frame is open.
    pub(crate) fn last(&mut self) -> Result<Option<Line>, UnpackError> {
        self.inflater.finish()?;
        if self.held.is_empty() {
            return Ok(None);
        }
        let after = Place { offset: self.inflater.position(), within: 0 };
        let bytes = Bytes::from(std::mem::take(&mut self.held));
        Ok(Some(self.line(bytes, after)))
    }
}
