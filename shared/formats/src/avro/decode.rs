//! Blocks into events.
//!
//! A file comes in pieces of any size. They are kept as they were fed until a block and the marker behind it are
//! whole, so memory follows what was fed, never what a length promises. A block that lies in one piece is used where
//! it lies, one that spans several is joined once; payloads, keys and header values are slices of it. So an event keeps
//! alive the piece that it came in: feed pieces of a size that may be held.
//!
//! **Invariant.** No event of a block is handed out before the block is whole and its marker is right; the last one
//! only if the block ends with it. After an error the same error is answered until the decoder is sent elsewhere.

use std::collections::VecDeque;

use bytes::Bytes;
use sluice_transfer::limits::{EVENT_BYTES, HEADERS, excerpt};
use sluice_transfer::{Decoded, Decoder, FieldNames, Header, Place, Timestamp, UnpackError, Unpacked, Value};

use super::codec::{Codec, inflate};
use super::header::{HEAD_BYTES, Marker, check_schema, read_header, wanted};
use super::mapped::Mapped;
use super::varint::{Fault, LONGEST, Reader};
use super::walk::Steps;

/// Largest block that is read, as it lies in the file and as it is inflated. Ours end at the first event past 64 KiB;
/// others may write larger ones.
pub(crate) const BLOCK_BYTES: usize = 64 << 20;
/// Values that are looked at before it is told how far they came.
const STEPS_AT_ONCE: usize = 1_000_000;
/// The shortest event: empty texts, a time of one byte, two values of two bytes, no headers.
const SHORTEST_EVENT: usize = 7;
/// The shortest header: an empty name and a value of two bytes.
const SHORTEST_HEADER: usize = 3;

/// Reads Avro object container files of [`crate::AVRO_SCHEMA`], by whatever writer, or some fields of files of any
/// schema; a unit is a block.
#[derive(Default)]
pub struct AvroDecoder {
    /// Known once the header was read.
    known: Option<(Marker, Codec)>,
    /// Fields of records that others wrote; none where only our own are read.
    fields: Option<FieldNames>,
    /// Where they stand, once the header was read.
    mapped: Option<Mapped>,
    /// What was fed and not used.
    fed: VecDeque<Bytes>,
    /// Bytes in `fed`.
    held: usize,
    /// Where these begin in the file.
    at: u64,
    block: Option<Block>,
    /// Events that were consumed before the decoder was sent to where it began.
    skip: u64,
    /// Behind what was handed out or holds no event; at the beginning the place that was sought.
    place: Place,
    /// Whoever steps knows of that place.
    told: bool,
    /// What was done since a place was told.
    steps: usize,
    failed: Option<UnpackError>,
}

/// A block whose events are being read.
struct Block {
    /// Where it begins in the file.
    unit: u64,
    /// Its events.
    data: Bytes,
    /// How far they are read.
    read: usize,
    /// How many there are, and were read.
    count: u64,
    within: u64,
    /// What going through its events costs.
    steps: Steps,
}

impl AvroDecoder {
    /// A decoder that has read nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same for files of any schema, of whose records these fields are read. Without any, records are our own, and
    /// values that are no records are payloads.
    pub fn of_fields(fields: FieldNames) -> Self {
        Self { fields: Some(fields), ..Self::default() }
    }

    fn advance(&mut self) -> Result<Unpacked, UnpackError> {
        loop {
            if self.steps > STEPS_AT_ONCE {
                return Ok(self.tell());
            }
            let Some(block) = &mut self.block else {
                let unit = self.at;
                if !self.open_block().map_err(|fault| refused(unit, fault))? {
                    return Ok(if self.told { Unpacked::Hungry } else { self.tell() });
                }
                if self.block.is_none() && self.skip == 0 {
                    (self.place, self.told) = (Place { offset: self.at, within: 0 }, false);
                }
                continue;
            };
            let mut decoded = block.next_event(self.mapped.as_ref()).map_err(|fault| refused(block.unit, fault))?;
            self.steps += std::mem::take(&mut block.steps.taken);
            if block.within == block.count {
                decoded.after = Place { offset: self.at, within: 0 };
                self.block = None;
            }
            if self.skip == 0 {
                (self.place, self.told) = (decoded.after, true);
                return Ok(Unpacked::Event(decoded));
            }
            // It lies in front of the place that was sought, which stays where it is.
            self.skip -= 1;
        }
    }

    fn tell(&mut self) -> Unpacked {
        (self.told, self.steps) = (true, 0);
        Unpacked::Passed(self.place)
    }

    /// Takes the next block, if all of it was fed; an empty one is only skipped. False if more bytes are needed.
    fn open_block(&mut self) -> Result<bool, Fault> {
        let Some((marker, codec)) = self.known else {
            return Err(Fault::Damaged("its header was not read"));
        };
        let mut prefix = [0; 2 * LONGEST];
        let known = self.peek(&mut prefix);
        let mut reader = Reader::new(&prefix[..known], 0);
        let sizes = reader.long().and_then(|count| Ok((count, reader.size()?)));
        let (count, len) = match sizes {
            Err(Fault::Short) => return Ok(false),
            sizes => sizes?,
        };
        let count = u64::try_from(count).map_err(|_| Fault::Damaged("a block's count of events is negative"))?;
        if len > BLOCK_BYTES {
            return Err(Fault::TooLarge("a block has more than 64 MiB"));
        }
        let shortest = if self.mapped.is_some() { 1 } else { SHORTEST_EVENT };
        if codec.is_plain() {
            check_count(count, len, shortest)?;
        }
        let front = reader.at();
        if self.held < front + len + marker.len() {
            return Ok(false);
        }
        let unit = self.at;
        self.take(front);
        let data = self.take(len);
        if self.take(marker.len()) != marker[..] {
            return Err(Fault::Damaged("the marker behind a block is not the file's"));
        }
        let data = if codec.is_plain() { data } else { inflate(codec, &data, BLOCK_BYTES)?.into() };
        check_count(count, data.len(), shortest)?;
        if count > 0 {
            self.block = Some(Block { unit, data, read: 0, count, within: 0, steps: Steps::default() });
        }
        Ok(true)
    }

    /// Copies what is held into `out`, as far as it goes; answers how many bytes.
    fn peek(&self, out: &mut [u8]) -> usize {
        let mut filled = 0;
        for piece in &self.fed {
            let more = piece.len().min(out.len() - filled);
            out[filled..filled + more].copy_from_slice(&piece[..more]);
            filled += more;
            if filled == out.len() {
                break;
            }
        }
        filled
    }

    /// So many of the bytes that are held.
    fn take(&mut self, len: usize) -> Bytes {
        debug_assert!(len <= self.held);
        self.held -= len;
        self.at = self.at.saturating_add(len as u64);
        match self.fed.front_mut() {
            Some(first) if first.len() > len => return first.split_to(len),
            Some(first) if first.len() < len => {}
            _ => return self.fed.pop_front().unwrap_or_default(),
        }
        let mut joined = Vec::with_capacity(len);
        while joined.len() < len {
            let Some(first) = self.fed.front_mut() else { break };
            let more = first.len().min(len - joined.len());
            joined.extend_from_slice(&first.split_to(more));
            if first.is_empty() {
                self.fed.pop_front();
            }
        }
        joined.into()
    }
}

impl Decoder for AvroDecoder {
    fn head_len(&self) -> u64 {
        HEAD_BYTES as u64
    }

    fn head_wants(&self, bytes: &[u8]) -> u64 {
        wanted(bytes)
    }

    fn head(&mut self, bytes: &[u8]) -> Result<u64, UnpackError> {
        let header = read_header(bytes)?;
        let ours = match &self.fields {
            Some(fields) if !fields.is_empty() => Err(String::new()),
            _ => check_schema(header.schema),
        };
        match (ours, &self.fields) {
            (Ok(()), _) => {}
            (Err(_), Some(fields)) => self.mapped = Some(Mapped::new(header.schema, fields)?),
            (Err(why), None) => return Err(UnpackError::Damaged { offset: 0, why: excerpt(why) }),
        }
        self.known = Some((header.marker, header.codec));
        self.seek(Place { offset: header.first, within: 0 });
        Ok(header.first)
    }

    fn seek(&mut self, place: Place) {
        let (known, fields, mapped) = (self.known, self.fields.take(), self.mapped.take());
        *self =
            Self { known, fields, mapped, at: place.offset, skip: place.within, place, told: true, ..Self::default() };
    }

    fn feed(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.held += bytes.len();
            self.fed.push_back(bytes);
        }
    }

    fn step(&mut self) -> Result<Unpacked, UnpackError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let step = self.advance();
        if let Err(error) = &step {
            self.failed = Some(error.clone());
        }
        step
    }

    fn finish(&mut self) -> Result<Option<Decoded>, UnpackError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let damaged = |offset, why| Err(UnpackError::Damaged { offset, why });
        if self.known.is_none() {
            return damaged(0, "the file ends before its header was read".to_owned());
        }
        if let Some(block) = &self.block {
            return damaged(block.unit, format!("{} of its events were not read", block.count - block.within));
        }
        if self.held > 0 {
            let end = self.at.saturating_add(self.held as u64);
            return damaged(self.at, format!("the file ends at byte {end}, inside the block that begins here"));
        }
        Ok(None)
    }
}

/// What a block holds must be able to be this many events.
fn check_count(count: u64, len: usize, shortest: usize) -> Result<(), Fault> {
    if count > (len / shortest) as u64 || (count == 0 && len > 0) {
        return Err(Fault::Damaged("a block's length does not fit its count of events"));
    }
    Ok(())
}

impl Block {
    fn next_event(&mut self, mapped: Option<&Mapped>) -> Result<Decoded, Fault> {
        let mut reader = Reader::new(&self.data, self.read);
        let (sequence, time, key, headers, payload) = if let Some(mapped) = mapped {
            let event = mapped.event(&mut reader, &self.data, &mut self.steps)?;
            (None, event.time, event.key, Vec::new(), event.payload)
        } else {
            // Another writer of this schema may have put anything there.
            let sequence = std::str::from_utf8(reader.sized()?).ok().and_then(|text| text.parse().ok());
            let time = Timestamp::from_micros(reader.long()?);
            let mut bytes = 0;
            let key = read_value(&self.data, &mut reader, &mut bytes)?;
            let headers = read_headers(&self.data, &mut reader, &mut bytes)?;
            let payload = read_value(&self.data, &mut reader, &mut bytes)?;
            (sequence, Some(time), key, headers, payload)
        };
        self.read = reader.at();
        self.within += 1;
        if self.within == self.count && reader.left() > 0 {
            return Err(Fault::Damaged("a block goes on behind its last event"));
        }
        let after = Place { offset: self.unit, within: self.within };
        Ok(Decoded { sequence, time, key, headers, payload, after })
    }
}

/// Adds to an event's bytes, within the limit for all of them.
fn add(bytes: &mut usize, more: usize) -> Result<(), Fault> {
    *bytes += more;
    if *bytes > EVENT_BYTES { Err(Fault::TooLarge("an event has more than 32 MiB")) } else { Ok(()) }
}

/// A union of null and bytes, and the flag behind it. Slices of `data`, over which `reader` goes.
#[inline]
fn read_value(data: &Bytes, reader: &mut Reader<'_>, bytes: &mut usize) -> Result<Value, Fault> {
    let held = match reader.long()? {
        0 => None,
        1 => {
            let len = reader.size()?;
            let range = reader.skip(len)?;
            add(bytes, len)?;
            Some(range)
        }
        _ => return Err(Fault::Damaged("a value is neither null nor bytes")),
    };
    match (reader.byte()?, held) {
        (0, None) => Ok(Value::Absent),
        (1, None) => Ok(Value::Null),
        (0, Some(range)) => Ok(Value::Bytes(data.slice(range))),
        (1, Some(_)) => Err(Fault::Damaged("a value has bytes and is said to be null")),
        _ => Err(Fault::Damaged("a flag is neither true nor false")),
    }
}

fn read_headers(data: &Bytes, reader: &mut Reader<'_>, bytes: &mut usize) -> Result<Vec<Header>, Fault> {
    let mut headers = Vec::new();
    loop {
        let (count, size) = reader.items()?;
        if count == 0 {
            return Ok(headers);
        }
        let end = size.map(|size| reader.at() + size);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > HEADERS - headers.len() {
            return Err(Fault::TooLarge("an event has more than 10,000 headers"));
        }
        if count > reader.left() / SHORTEST_HEADER {
            return Err(Fault::Short);
        }
        headers.reserve(count);
        for _ in 0..count {
            let name = reader.sized()?;
            add(bytes, name.len())?;
            let name = std::str::from_utf8(name).map_err(|_| Fault::Damaged("a header's name is not UTF-8"))?;
            let name = name.to_owned();
            let value = read_value(data, reader, bytes)?;
            headers.push(Header { name, value });
        }
        if end.is_some_and(|end| end != reader.at()) {
            return Err(Fault::Damaged("headers do not have the size that they give"));
        }
    }
}

/// What is wrong with the block that begins at `offset`.
fn refused(offset: u64, fault: Fault) -> UnpackError {
    match fault {
        Fault::Short => UnpackError::Damaged { offset, why: "an event runs past the end of its block".to_owned() },
        Fault::Damaged(why) => UnpackError::Damaged { offset, why: why.to_owned() },
        Fault::TooLarge(why) => UnpackError::TooLarge { offset, why: why.to_owned() },
        Fault::Unsupported(why) => UnpackError::Unsupported { why: why.to_owned() },
    }
}
