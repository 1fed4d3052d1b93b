//! Bytes of objects as they were before they were compressed, piece by piece.
//!
//! An object is any number of whole frames (Zstandard, RFC 8878) or members (gzip, RFC 1952), one behind the other;
//! what is not compressed is handed through. Each byte that comes out knows from where in the object reading can go on
//! behind it.
//!
//! **Invariant.** A piece holds at most [`STEP`] inflated bytes, whatever the input promises, and so do the bytes that
//! wait. A piece is handed out only once it is known whether its frame ends behind it. After an error the same error
//! is answered.

use std::collections::VecDeque;

use bytes::Bytes;
use flate2::{Crc, Decompress, FlushDecompress, Status};
use sluice_transfer::{Compression, Place, UnpackError};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use crate::frame_head::{HEAD_BYTES, Trouble, WINDOW_LOG, trouble};

/// Inflated bytes in a piece, at most.
const STEP: usize = 128 << 10;
/// Bytes within which the head of a gzip member must end: it may hold a name and a comment.
const GZIP_HEAD_BYTES: usize = 128 << 10;

/// Inflated bytes that lie together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// They.
    pub bytes: Bytes,
    places: Places,
}

/// The places of a piece's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// In front of the first one.
    begin: Place,
    /// Behind the last one.
    end: Place,
    /// Their number.
    len: usize,
    framed: bool,
}

impl Piece {
    /// The place behind its first `len` bytes.
    pub fn place(&self, len: usize) -> Place {
        self.places.behind(len)
    }

    /// The places of its bytes, without the bytes.
    pub(crate) fn places(&self) -> Places {
        self.places
    }
}

impl Places {
    /// Where reading goes on behind the first `len` bytes.
    pub(crate) fn behind(&self, len: usize) -> Place {
        if len >= self.len {
            return self.end;
        }
        let mut place = self.begin;
        let at = if self.framed { &mut place.within } else { &mut place.offset };
        *at = at.saturating_add(len as u64);
        place
    }
}

enum Codec {
    Plain,
    /// With the first bytes of the current frame.
    Zstd(Decoder<'static>, Vec<u8>),
    Gzip(Box<Gzip>),
}

/// One member of a gzip file.
#[derive(Debug)]
enum Gzip {
    /// What was read of its head.
    Head(Vec<u8>),
    Body(Decompress, Crc),
    /// What was read of its trailer.
    Tail(Vec<u8>, Crc),
}

/// What one call of a codec did.
#[derive(Default)]
struct Stepped {
    read: usize,
    out: Vec<u8>,
    /// There may be more without more input.
    full: bool,
    ended: bool,
}

/// Inflates an object, fed with its bytes in order.
pub struct Inflater {
    compression: Compression,
    codec: Codec,
    fed: VecDeque<Bytes>,
    /// Byte of the object behind what the codec has read.
    at: u64,
    /// Byte at which the current frame begins.
    frame: u64,
    /// Bytes that came out of it.
    inflated: u64,
    /// Bytes of it that were consumed before.
    skip: u64,
    /// There may be more to come without more input.
    full: bool,
    /// Waits to be told whether its frame ends.
    waiting: Option<Piece>,
    ready: VecDeque<Piece>,
    failed: Option<UnpackError>,
}

impl Inflater {
    /// At the beginning of an object.
    pub fn new(compression: Compression) -> Self {
        Self::at(compression, Place::default())
    }

    /// At a place of an object; the bytes fed are those from its offset on.
    pub fn at(compression: Compression, place: Place) -> Self {
        let (codec, failed) = match codec(compression) {
            Ok(codec) => (codec, None),
            Err(why) => (Codec::Plain, Some(damaged(place.offset, why))),
        };
        Self {
            compression,
            codec,
            fed: VecDeque::new(),
            at: place.offset,
            frame: place.offset,
            inflated: 0,
            skip: place.within,
            full: false,
            waiting: None,
            ready: VecDeque::new(),
            failed,
        }
    }

    /// The same for another place.
    pub fn seek(&mut self, place: Place) {
        *self = Self::at(self.compression, place);
    }

    /// More bytes, behind those fed before.
    pub fn feed(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.fed.push_back(bytes);
        }
    }

    /// The next piece; none if more bytes are needed.
    pub fn piece(&mut self) -> Result<Option<Piece>, UnpackError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if self.fed.is_empty() && !self.full {
                return Ok(None);
            }
            if let Err(why) = self.step() {
                let error = match why {
                    DICTIONARY | WINDOW => UnpackError::Unsupported { why: format!("at byte {}: {why}", self.frame) },
                    _ => damaged(self.frame, why),
                };
                self.failed = Some(error.clone());
                return Err(error);
            }
        }
    }

    /// The object has no more bytes: an error if a frame is open.
    pub fn finish(&mut self) -> Result<(), UnpackError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let why = if !matches!(self.codec, Codec::Plain) && self.at != self.frame {
            "the compressed frame that begins there is cut off"
        } else if self.skip > 0 {
            LESS
        } else {
            return Ok(());
        };
        let error = damaged(self.frame, why);
        self.failed = Some(error.clone());
        Err(error)
    }

    /// Byte of the object behind all that was inflated.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// True if bytes are inflated only to be passed over, on the way to the place that was asked for.
    pub fn is_passing(&self) -> bool {
        self.skip > 0
    }

    fn step(&mut self) -> Result<(), &'static str> {
        let input = self.fed.front().cloned().unwrap_or_default();
        let stepped = match &mut self.codec {
            Codec::Plain => {
                self.fed.pop_front();
                let begin = Place { offset: self.at, within: 0 };
                self.at = self.at.saturating_add(input.len() as u64);
                let end = Place { offset: self.at, within: 0 };
                let places = Places { begin, end, len: input.len(), framed: false };
                self.ready.push_back(Piece { bytes: input, places });
                return Ok(());
            }
            Codec::Zstd(decoder, head) => step_zstd(decoder, head, &input)?,
            Codec::Gzip(member) => member.step(&input)?,
        };
        if stepped.read == 0 && stepped.out.is_empty() && !stepped.ended {
            if !input.is_empty() {
                return Err(BROKEN);
            }
            self.full = false;
            return Ok(());
        }
        self.full = stepped.full;
        self.at = self.at.saturating_add(stepped.read as u64);
        if let Some(front) = self.fed.front_mut() {
            let _ = front.split_to(stepped.read);
            if front.is_empty() {
                self.fed.pop_front();
            }
        }
        self.take(stepped.out);
        if stepped.ended {
            if self.skip > 0 {
                return Err(LESS);
            }
            (self.frame, self.inflated) = (self.at, 0);
            if let Some(mut last) = self.waiting.take() {
                last.places.end = Place { offset: self.frame, within: 0 };
                self.ready.push_back(last);
            }
        }
        Ok(())
    }

    /// Takes the output of the current frame.
    fn take(&mut self, out: Vec<u8>) {
        let before = self.inflated;
        self.inflated = self.inflated.saturating_add(out.len() as u64);
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(out.len());
        self.skip -= skipped as u64;
        if skipped == out.len() {
            return;
        }
        // A small piece does not keep the room of a large one.
        let bytes = if out.len() < STEP / 2 {
            Bytes::copy_from_slice(&out[skipped..])
        } else {
            Bytes::from(out).slice(skipped..)
        };
        let place = |within| Place { offset: self.frame, within };
        let (begin, end) = (place(before.saturating_add(skipped as u64)), place(self.inflated));
        let places = Places { begin, end, len: bytes.len(), framed: true };
        self.ready.extend(self.waiting.replace(Piece { bytes, places }));
    }
}

const BROKEN: &str = "the compressed frame that begins there is broken";
const DICTIONARY: &str = "the frame of Zstandard that begins there was compressed with a dictionary, which is not in the \
                          file: compress it anew without one, or inflate it first";
const WINDOW: &str = "the frame of Zstandard that begins there has a window of more than 128 MiB: compress it anew with \
                      `zstd --long=27` or less, or inflate it first";
const LESS: &str = "the compressed frame that begins there has fewer bytes than were read of it before";

fn damaged(offset: u64, why: &str) -> UnpackError {
    UnpackError::Damaged { offset, why: why.to_owned() }
}

fn codec(compression: Compression) -> Result<Codec, &'static str> {
    Ok(match compression {
        Compression::Plain => Codec::Plain,
        Compression::Zstd => {
            let mut decoder = Decoder::new().map_err(|_| BROKEN)?;
            decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(|_| BROKEN)?;
            Codec::Zstd(decoder, Vec::with_capacity(HEAD_BYTES))
        }
        Compression::Gzip => Codec::Gzip(Box::new(Gzip::Head(Vec::new()))),
        Compression::Deflate => return Err("deflate has no frames: only Avro's blocks are compressed so"),
    })
}

fn step_zstd(decoder: &mut Decoder<'static>, head: &mut Vec<u8>, input: &[u8]) -> Result<Stepped, &'static str> {
    let known = head.len();
    head.extend_from_slice(&input[..input.len().min(HEAD_BYTES - known)]);
    let mut out = Vec::with_capacity(STEP);
    let mut input = InBuffer::around(input);
    let left = decoder.run(&mut input, &mut OutBuffer::around(&mut out)).map_err(|_| match trouble(head) {
        Some(Trouble::Dictionary) => DICTIONARY,
        Some(Trouble::Window) => WINDOW,
        None => BROKEN,
    })?;
    let (read, ended) = (input.pos(), left == 0);
    // What was not read is given again.
    head.truncate(if ended { 0 } else { known + read });
    let full = out.len() == out.capacity() && !ended;
    Ok(Stepped { read, out, full, ended })
}

impl Gzip {
    fn step(&mut self, input: &[u8]) -> Result<Stepped, &'static str> {
        match self {
            Self::Head(head) => {
                let before = head.len();
                let more = input.len().min(GZIP_HEAD_BYTES - before);
                head.extend_from_slice(&input[..more]);
                let Some(len) = gzip_head(head)? else {
                    if head.len() >= GZIP_HEAD_BYTES {
                        return Err("the head of the gzip member that begins there is longer than 128 KiB");
                    }
                    return Ok(Stepped { read: more, ..Stepped::default() });
                };
                *self = Self::Body(Decompress::new(false), Crc::new());
                Ok(Stepped { read: len - before, ..Stepped::default() })
            }
            Self::Body(state, crc) => {
                let before = state.total_in();
                let mut out = Vec::with_capacity(STEP);
                let status = state.decompress_vec(input, &mut out, FlushDecompress::None).map_err(|_| BROKEN)?;
                let read = usize::try_from(state.total_in() - before).unwrap_or(usize::MAX);
                crc.update(&out);
                let full = out.len() == out.capacity();
                if status == Status::StreamEnd {
                    *self = Self::Tail(Vec::new(), std::mem::take(crc));
                }
                Ok(Stepped { read, out, full, ended: false })
            }
            Self::Tail(tail, crc) => {
                let more = input.len().min(8 - tail.len());
                tail.extend_from_slice(&input[..more]);
                let ended = tail.len() == 8;
                if ended {
                    if tail[..4] != crc.sum().to_le_bytes() || tail[4..] != crc.amount().to_le_bytes() {
                        return Err("the checksum of the gzip member that begins there is wrong");
                    }
                    *self = Self::Head(Vec::new());
                }
                Ok(Stepped { read: more, ended, ..Stepped::default() })
            }
        }
    }
}

/// Length of a member's head (RFC 1952, section 2.3); none if it goes on.
fn gzip_head(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    // Bits of its flags.
    let [checked, extra, name, comment]: [u8; 4] = [2, 4, 8, 16];
    let wanted = [0x1f, 0x8b, 8];
    let known = bytes.len().min(wanted.len());
    if bytes[..known] != wanted[..known] {
        return Err("no gzip member begins there");
    }
    let Some(flags) = bytes.get(3) else { return Ok(None) };
    if flags & 0xe0 != 0 {
        return Err("the gzip member that begins there has flags that RFC 1952 reserves");
    }
    let mut len = 10;
    if flags & extra != 0 {
        let Some(size) = bytes.get(len..len + 2) else { return Ok(None) };
        len += 2 + usize::from(u16::from_le_bytes([size[0], size[1]]));
    }
    for text in [name, comment] {
        if flags & text != 0 {
            let rest = bytes.get(len..).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == 0) else { return Ok(None) };
            len += end + 1;
        }
    }
    if flags & checked != 0 {
        let Some(sum) = bytes.get(len..len + 2) else { return Ok(None) };
        let mut crc = Crc::new();
        crc.update(&bytes[..len]);
        if sum != &crc.sum().to_le_bytes()[..2] {
            return Err("the checksum of the head of the gzip member that begins there is wrong");
        }
        len += 2;
    }
    Ok((bytes.len() >= len).then_some(len))
}

#[cfg(test)]
mod tests;
