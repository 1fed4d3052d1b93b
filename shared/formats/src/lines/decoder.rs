//! The decoder of lines, for every format of a line.

use bytes::Bytes;
use sluice_transfer::limits::excerpt;
use sluice_transfer::{Compression, Decoded, Decoder, Place, UnpackError, Unpacked, known_as};

use super::{Line, Lines};

/// Lines without an event that are passed over at once.
const PASSED_LINES: usize = 10_000;

/// What a line holds.
pub(crate) enum Read {
    /// No event.
    Nothing,
    /// An event and the length of its bytes, with the spaces behind it. Its place is not known yet.
    Event(Decoded, usize),
}

impl Read {
    /// An event that is all of a line.
    pub(crate) fn whole(event: Decoded, line: &Line) -> Self {
        Self::Event(event, line.bytes.len())
    }
}

/// What a line is.
pub(crate) trait LineFormat: Send {
    /// The first event that it holds.
    fn read(&self, line: &Line) -> Result<Read, LineFault>;

    /// True if a line without a newline behind it, at the object's end, is one.
    fn may_end_open(&self) -> bool;

    /// True if several values of JSON may stand in a line.
    fn splits(&self) -> bool {
        false
    }
}

/// Why a line is none.
#[derive(Debug)]
pub(crate) enum LineFault {
    /// It is not what it should be: why, and the byte of it where that shows, from 1.
    Damaged(String, Option<usize>),
    /// It holds more than the limits allow.
    TooLarge(&'static str),
}

impl LineFault {
    /// Not what it should be.
    pub(crate) fn damaged(why: impl Into<String>) -> Self {
        Self::Damaged(why.into(), None)
    }

    /// Not the JSON that it should be. The parser counts within the line, and calls it line 1.
    pub(crate) fn json(error: &serde_json::Error) -> Self {
        let (said, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
        Self::Damaged(excerpt(said.strip_suffix(&place).unwrap_or(&said)), Some(error.column().max(1)))
    }
}

/// Reads an object line by line, compressed or not; a unit is a line, or a frame.
pub(crate) struct LineDecoder<F> {
    lines: Lines,
    format: F,
    compression: Compression,
    /// An object that begins as a file does that holds no text is refused.
    wants_text: bool,
    /// What is left of a line that holds several events.
    rest: Option<Line>,
    failed: Option<UnpackError>,
}

impl<F: LineFormat> LineDecoder<F> {
    /// Reads objects of such lines that are compressed so.
    pub(crate) fn of(format: F, compression: Compression) -> Self {
        let lines = Lines::new(compression, format.splits());
        Self { lines, format, compression, wants_text: false, rest: None, failed: None }
    }

    /// The same, which refuses an object that begins as a compressed or binary file does.
    pub(crate) fn of_text(self) -> Self {
        Self { wants_text: true, ..self }
    }

    fn advance(&mut self) -> Result<Unpacked, UnpackError> {
        let mut passed = None;
        for _ in 0..PASSED_LINES {
            let line = match self.rest.take() {
                Some(rest) => rest,
                None => match self.next_line()? {
                    Some(line) => line,
                    None => break,
                },
            };
            let after = line.after;
            if let Some(event) = self.event_of(line)? {
                return Ok(Unpacked::Event(event));
            }
            passed = Some(after);
        }
        Ok(passed.map_or(Unpacked::Hungry, Unpacked::Passed))
    }

    fn next_line(&mut self) -> Result<Option<Line>, UnpackError> {
        match self.lines.next() {
            Err(error @ UnpackError::TooLarge { .. }) => {
                self.check_text(self.lines.beginning().unwrap_or_default())?;
                Err(error)
            }
            answer => answer,
        }
    }

    /// Refuses what begins as a file does that holds no text.
    fn check_text(&self, beginning: &[u8]) -> Result<(), UnpackError> {
        let Some(name) = known_as(beginning).filter(|_| self.wants_text) else { return Ok(()) };
        let within = match self.compression {
            Compression::Gzip => " within gzip",
            Compression::Zstd => " within Zstandard",
            Compression::Plain | Compression::Deflate => "",
        };
        let how = match name {
            "UTF-16" | "UTF-32" => format!("convert it to UTF-8 (iconv -f {name} -t UTF-8)"),
            "Avro" => "say format avro".to_owned(),
            "PNG" | "PDF" | "ELF" => "write it as text".to_owned(),
            "Parquet" | "SQLite" | "a SequenceFile" => "write it as lines, JSON or Avro".to_owned(),
            _ => "unpack it first".to_owned(),
        };
        let why = format!(
            "it is {name}{within}, not text in UTF-8: {how}, or take its bytes as they are \
             (--format raw or --compression none)"
        );
        Err(UnpackError::Unsupported { why })
    }

    /// The event of a line. What else the line holds is left for the next call.
    fn event_of(&mut self, line: Line) -> Result<Option<Decoded>, UnpackError> {
        if line.begin == Place::default() {
            self.check_text(&line.bytes)?;
        }
        let (event, used) = match self.format.read(&line) {
            Ok(Read::Nothing) => return Ok(None),
            Ok(Read::Event(event, used)) => (event, used),
            Err(fault) => return Err(refused(&line, fault)),
        };
        let spaces = line.bytes[used..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let mut after = line.after;
        if used + spaces < line.bytes.len() {
            let rest = line.behind(used + spaces);
            after = rest.begin;
            self.rest = Some(rest);
        }
        Ok(Some(Decoded { after, ..event }))
    }

    fn last(&mut self) -> Result<Option<Decoded>, UnpackError> {
        let Some(line) = self.lines.last()? else { return Ok(None) };
        let offset = line.begin.offset;
        if !self.format.may_end_open() {
            self.check_text(if line.begin == Place::default() { &line.bytes } else { &[] })?;
            return Err(UnpackError::Damaged { offset, why: "the line that begins there has no end".to_owned() });
        }
        let event = self.event_of(line)?;
        match &self.rest {
            None => Ok(event),
            Some(rest) => Err(refused(rest, LineFault::damaged("more stands behind its last value"))),
        }
    }

    /// The first error is the one that stays.
    fn noted<T>(&mut self, answer: Result<T, UnpackError>) -> Result<T, UnpackError> {
        if let Err(error) = &answer {
            self.failed = Some(error.clone());
        }
        answer
    }
}

/// What is wrong with a line, and where: its number if it is known, else only where it begins.
fn refused(line: &Line, fault: LineFault) -> UnpackError {
    let Place { offset, within } = line.begin;
    let at = if within > 0 { format!("inflated byte {within} of the frame: ") } else { String::new() };
    match fault {
        LineFault::Damaged(why, column) => {
            let column = line.column + column.unwrap_or(1);
            let place = match line.number {
                Some(number) => format!("line {number}, column {column}"),
                None if line.column == 0 => format!("column {column}"),
                None => format!("{} bytes on", column - line.column),
            };
            UnpackError::Damaged { offset, why: format!("{at}{place}: the line is no event: {why}") }
        }
        LineFault::TooLarge(why) => UnpackError::TooLarge { offset, why: format!("{at}{why}") },
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
        (self.rest, self.failed) = (None, None);
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
