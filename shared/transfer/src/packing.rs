//! Events into parts and objects.
//!
//! Two ways to pack. *Joined*: payload after payload, cut to the byte, so parts and objects have exactly the size
//! asked for. *Units*: an encoder writes units of one or more events; parts end at the first unit end at or past the
//! part's size, objects at the first one at or past theirs, so an object can be read by itself.
//!
//! **Invariant.** What is packed depends on the events, the sizes and the cursor it starts from, never on how many
//! slices it takes: a packer resumed at the end of any part goes on with the same bytes.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{Aggregates, Counts, Cursor, Event, Position, TimeRange};

/// Sizes to pack to, in encoded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackSpec {
    /// A part ends at this size, unless its object does before.
    pub part_size: u64,
    /// An object ends at this size.
    pub object_size: u64,
}

/// Encodes events into units. An encoder keeps no state across units but what `begin` was given.
pub trait UnitEncoder: Send {
    /// A new object begins; writes what stands in front of its first unit.
    fn begin(&mut self, object: u64, out: &mut Vec<u8>);

    /// An object that was begun earlier goes on at a unit's boundary.
    fn resume(&mut self, object: u64);

    /// Adds an event to the open unit. Answers whether the unit ended behind it; if so it is written to `out`
    /// whole. Where a unit ends depends on its events alone.
    fn push(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<bool, PackError>;

    /// Ends the open unit early, if it holds an event.
    fn end_unit(&mut self, out: &mut Vec<u8>);
}

/// An event that cannot be packed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The source answers something else than it did when the cursor was taken.
    #[error(
        "the event {position} has {len} bytes, but {offset} of them were sent before: the stream is not the one that was read"
    )]
    SourceChanged {
        /// Where.
        position: Position,
        /// Bytes that it has.
        len: u64,
        /// Bytes that were sent.
        offset: u64,
    },
    /// More than the limits allow.
    #[error("the event behind {position} is too large: {what}")]
    TooLarge {
        /// Where.
        position: Position,
        /// The limit.
        what: String,
    },
}

/// A part, ready to be uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The encoded bytes.
    pub bytes: Bytes,
    /// Behind the last byte of the source that it holds.
    pub end: Cursor,
    /// Events that end in it, bytes of payload that lie in it.
    pub counts: Counts,
    /// Times of those events.
    pub times: Option<TimeRange>,
    /// Aggregates among them.
    pub aggregates: Aggregates,
    /// True if its object ends with it.
    pub ends_object: bool,
}

/// The result of sealing early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seal {
    /// The last part of the object.
    Part(Packed),
    /// The object ends where its last part did.
    AtPart,
    /// No object was begun.
    Nothing,
}

enum Mode {
    Joined,
    Units(Box<dyn UnitEncoder>),
}

/// Packs the events of one shard for one destination.
pub struct Packer {
    mode: Mode,
    spec: PackSpec,
    /// Number of the current object, or of the next one.
    object: u64,
    /// Encoded bytes of the current object in parts that were taken.
    taken: u64,
    part: Vec<u8>,
    /// Memory for the next part, of one that is stored.
    spare: Vec<u8>,
    /// Behind the last byte in `part`.
    cursor: Cursor,
    counts: Counts,
    times: Option<TimeRange>,
    aggregates: Aggregates,
    /// Joined: the event that is being cut, and bytes of it that are packed.
    cutting: Option<(Event, usize)>,
    /// Units: events pushed since the last unit end.
    open: Counts,
    open_times: Option<TimeRange>,
    open_aggregates: Aggregates,
    open_end: Option<Position>,
    /// True if the current object was begun: by `begin`, or in an earlier slice.
    begun: bool,
    ready: VecDeque<Packed>,
}

impl Packer {
    /// Joins payloads. `object` is the number of the current object, of which `taken` bytes are packed, up to `cursor`.
    pub fn joined(spec: PackSpec, object: u64, taken: u64, cursor: Cursor) -> Self {
        Self::new(Mode::Joined, spec, object, taken, cursor)
    }

    /// Writes units.
    pub fn units(mut encoder: Box<dyn UnitEncoder>, spec: PackSpec, object: u64, taken: u64, cursor: Cursor) -> Self {
        if taken > 0 {
            encoder.resume(object);
        }
        Self::new(Mode::Units(encoder), spec, object, taken, cursor)
    }

    fn new(mode: Mode, spec: PackSpec, object: u64, taken: u64, cursor: Cursor) -> Self {
        debug_assert!(spec.part_size > 0 && spec.object_size > 0);
        Self {
            mode,
            spec,
            object,
            taken,
            part: Vec::new(),
            spare: Vec::new(),
            cursor,
            counts: Counts::default(),
            times: None,
            aggregates: Aggregates::default(),
            cutting: None,
            open: Counts::default(),
            open_times: None,
            open_aggregates: Aggregates::default(),
            open_end: None,
            begun: taken > 0,
            ready: VecDeque::new(),
        }
    }

    /// Adds the next event of the shard. Take all parts before the next push, so that memory stays within two.
    pub fn push(&mut self, event: Event) -> Result<(), PackError> {
        debug_assert!(self.cutting.is_none() && self.ready.is_empty(), "take() before push()");
        match self.mode {
            Mode::Joined => {
                let (len, offset) = (event.payload.len() as u64, self.cursor.offset);
                if offset > len {
                    return Err(PackError::SourceChanged { position: Position::After(event.sequence), len, offset });
                }
                let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                self.cutting = Some((event, offset));
                Ok(())
            }
            Mode::Units(_) => self.push_unit(&event),
        }
    }

    /// The next full part, if there is one.
    pub fn take(&mut self) -> Option<Packed> {
        if let Some(part) = self.ready.pop_front() {
            return Some(part);
        }
        let (event, mut offset) = self.cutting.take()?;
        let payload = event.payload.as_slice();
        loop {
            let room = self.room();
            let piece = &payload[offset..];
            let piece = &piece[..piece.len().min(room)];
            self.reserve(piece.len());
            self.part.extend_from_slice(piece);
            offset += piece.len();
            self.counts.bytes += piece.len() as u64;
            let ended = offset == payload.len();
            if ended {
                self.cursor = Cursor::at(Position::After(event.sequence.clone()));
                self.counts.events += 1;
                self.times = TimeRange::cover(self.times, Some(TimeRange::of(event.time)));
                self.aggregates += Aggregates::of(&event);
            } else {
                self.cursor.offset = offset as u64;
            }
            if self.room() == 0 {
                let part = self.emit();
                if !ended {
                    self.cutting = Some((event, offset));
                }
                return Some(part);
            }
            if ended {
                return None;
            }
        }
    }

    /// Takes back the memory of a part that is stored, if nobody else looks at it any more: to touch fresh memory takes
    /// longer than to fill it.
    pub fn reuse(&mut self, bytes: Bytes) {
        if let Ok(mut bytes) = bytes.try_into_mut() {
            bytes.clear();
            self.spare = bytes.into();
        }
    }

    /// Ends the current object where the pushed events end. All full parts have been taken before.
    pub fn seal(&mut self) -> Seal {
        debug_assert!(self.ready.is_empty() && self.cutting.is_none(), "take() before seal()");
        if let Mode::Units(encoder) = &mut self.mode {
            encoder.end_unit(&mut self.part);
            self.settle_unit();
        }
        if self.cursor_is_new() {
            let mut part = self.emit();
            if !part.ends_object {
                part.ends_object = true;
                self.next_object();
            }
            return Seal::Part(part);
        }
        if self.taken == 0 {
            return Seal::Nothing;
        }
        self.next_object();
        Seal::AtPart
    }

    /// Behind the last event, or the last byte of one, that was pushed.
    pub fn pushed(&self) -> Cursor {
        self.open_end.clone().map_or_else(|| self.cursor.clone(), Cursor::at)
    }

    /// True if something was pushed that no part holds yet.
    pub fn has_tail(&self) -> bool {
        self.cursor_is_new() || self.open_end.is_some() || self.cutting.is_some() || !self.ready.is_empty()
    }

    /// Number of the current object, or of the next one.
    pub fn object(&self) -> u64 {
        self.object
    }

    /// True if bytes of the current object were packed.
    pub fn is_begun(&self) -> bool {
        self.begun
    }

    /// An event may add nothing to the part (an empty payload) and still moves the cursor.
    fn cursor_is_new(&self) -> bool {
        !self.part.is_empty() || self.counts.events > 0
    }

    fn object_bytes(&self) -> u64 {
        self.taken + self.part.len() as u64
    }

    /// Joined: bytes until the part or the object is full.
    fn room(&self) -> usize {
        let part = self.spec.part_size.saturating_sub(self.part.len() as u64);
        let object = self.spec.object_size.saturating_sub(self.object_bytes());
        usize::try_from(part.min(object)).unwrap_or(usize::MAX)
    }

    /// Room for a whole part at once, so that a growing part is not copied time and again. The unit that fills a part
    /// mostly ends behind its size; without room for that every part would be moved once more.
    fn reserve(&mut self, more: usize) {
        if self.part.capacity() == 0 {
            let past = if matches!(self.mode, Mode::Units(_)) { 1 << 20 } else { 0 };
            let whole = self.spec.part_size.min(self.spec.object_size).min(16 << 20) + past;
            self.part = std::mem::take(&mut self.spare);
            self.part.reserve(usize::try_from(whole).unwrap_or(more).max(more));
        }
    }

    fn push_unit(&mut self, event: &Event) -> Result<(), PackError> {
        self.reserve(0);
        let Mode::Units(encoder) = &mut self.mode else { return Ok(()) };
        if !self.begun {
            encoder.begin(self.object, &mut self.part);
            self.begun = true;
        }
        let ended = encoder.push(event, &mut self.part)?;
        self.open += Counts::new(1, event.payload.len() as u64);
        self.open_times = TimeRange::cover(self.open_times, Some(TimeRange::of(event.time)));
        self.open_aggregates += Aggregates::of(event);
        self.open_end = Some(Position::After(event.sequence.clone()));
        if ended {
            self.settle_unit();
            if self.part.len() as u64 >= self.spec.part_size || self.object_bytes() >= self.spec.object_size {
                let part = self.emit();
                self.ready.push_back(part);
            }
        }
        Ok(())
    }

    fn settle_unit(&mut self) {
        if let Some(end) = self.open_end.take() {
            self.cursor = Cursor::at(end);
            self.counts += std::mem::take(&mut self.open);
            self.times = TimeRange::cover(self.times, self.open_times.take());
            self.aggregates += std::mem::take(&mut self.open_aggregates);
        }
    }

    fn emit(&mut self) -> Packed {
        self.begun = true;
        let bytes = Bytes::from(std::mem::take(&mut self.part));
        self.taken += bytes.len() as u64;
        let ends_object = self.taken >= self.spec.object_size;
        let part = Packed {
            bytes,
            end: self.cursor.clone(),
            counts: std::mem::take(&mut self.counts),
            times: self.times.take(),
            aggregates: std::mem::take(&mut self.aggregates),
            ends_object,
        };
        if ends_object {
            self.next_object();
        }
        part
    }

    fn next_object(&mut self) {
        self.object += 1;
        self.taken = 0;
        self.begun = false;
    }
}

#[cfg(test)]
mod tests;
