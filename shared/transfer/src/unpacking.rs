//! Bytes of objects back into events.
//!
//! Two ways, as in packing. A [`Cutter`] cuts joined bytes into events of a size, across objects where asked. A
//! [`Decoder`] takes units apart.

use bytes::{Bytes, BytesMut};

use crate::{Header, Sequence, Timestamp, Value};

/// An error in the bytes of an object. Offsets count from the object's beginning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// Not the format, or a broken one.
    #[error("damaged at byte {offset}: {why}")]
    Damaged {
        /// The byte at which the unit begins.
        offset: u64,
        /// The expected bytes.
        why: String,
    },
    /// A length past the limits: refused before anything is allocated.
    #[error("refused at byte {offset}: {why}")]
    TooLarge {
        /// The byte at which the unit begins.
        offset: u64,
        /// Which limit.
        why: String,
    },
    /// Sound for all that is known, but nothing that is read as it was asked to be: another format, codec or option.
    #[error("{why}")]
    Unsupported {
        /// The error and the remedy.
        why: String,
    },
}

/// An event as an object holds it. The sequence number it gets is the target's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The number that its source gave it; none where the object does not hold it.
    pub sequence: Option<Sequence>,
    /// The event's own time; none in raw bytes.
    pub time: Option<Timestamp>,
    /// The key.
    pub key: Value,
    /// Headers, in order.
    pub headers: Vec<Header>,
    /// The payload.
    pub payload: Value,
    /// Behind it: where the next one is read from.
    pub after: Place,
}

/// A place in an object at which reading can resume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Byte at which a unit begins: a block, a compressed frame, a line, or any byte of what has none of these.
    pub offset: u64,
    /// The consumed part of that unit: events of a block, bytes of what a frame inflates to. 0 at its beginning.
    pub within: u64,
}

/// The result of a decoder's step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpacked {
    /// An event.
    Event(Decoded),
    /// Nothing yet, but reading can go on from here: what lies in front holds no event, or was handed out.
    Passed(Place),
    /// The decoder needs more bytes.
    Hungry,
}

/// Takes an object's units apart. Fed with the object's bytes in order; after a resume first with its head, then
/// from a unit's beginning.
pub trait Decoder: Send {
    /// Bytes from the object's beginning that hold all that stands in front of the first unit; fewer if the object
    /// is shorter. After these have been fed, the decoder tells where the first unit begins.
    fn head_len(&self) -> u64;

    /// Bytes of the object's beginning that the head needs, given the first [`Self::head_len`] of them or what was
    /// asked for before. It grows in steps up to a limit, and is asked again until it asks for no more.
    fn head_wants(&self, bytes: &[u8]) -> u64 {
        bytes.len() as u64
    }

    /// The object's beginning, of as many bytes as [`Self::head_wants`], or the whole object. Answers where the first
    /// unit begins.
    fn head(&mut self, bytes: &[u8]) -> Result<u64, UnpackError>;

    /// True if what was fed is only passed over, on the way to a place within a unit.
    fn is_passing(&self) -> bool {
        false
    }

    /// Goes to a place; the next bytes fed are those from its offset on.
    fn seek(&mut self, place: Place);

    /// More bytes, behind those fed before.
    fn feed(&mut self, bytes: Bytes);

    /// The next event, or how far it came without one, so that whoever has no more time can leave off there. An error
    /// is answered again until the decoder is sent elsewhere.
    fn step(&mut self) -> Result<Unpacked, UnpackError>;

    /// The next event, however far it is; none if it needs more bytes.
    fn next(&mut self) -> Result<Option<Decoded>, UnpackError> {
        loop {
            match self.step()? {
                Unpacked::Event(event) => return Ok(Some(event)),
                Unpacked::Passed(_) => {}
                Unpacked::Hungry => return Ok(None),
            }
        }
    }

    /// The object has no more bytes. Answers the event that ends with it, if there is one; an error if a unit is open.
    fn finish(&mut self) -> Result<Option<Decoded>, UnpackError>;
}

/// Cuts joined bytes into payloads of a size.
#[derive(Debug)]
pub struct Cutter {
    size: usize,
    held: BytesMut,
}

impl Cutter {
    /// Into payloads of `size` bytes, at least 1.
    pub fn new(size: usize) -> Self {
        Self { size: size.max(1), held: BytesMut::new() }
    }

    /// Adds bytes; `out` gets each payload that is full.
    pub fn feed(&mut self, mut bytes: Bytes, out: &mut Vec<Bytes>) {
        while !bytes.is_empty() {
            if self.held.is_empty() && bytes.len() >= self.size {
                // Whole events share the fed buffer.
                out.push(bytes.split_to(self.size));
                continue;
            }
            let more = bytes.len().min(self.size - self.held.len());
            self.held.extend_from_slice(&bytes.split_to(more));
            if self.held.len() == self.size {
                out.push(self.held.split().freeze());
            }
        }
    }

    /// Bytes of a payload.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes that wait for more.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The bytes that wait, as a shorter payload, if there are any.
    pub fn finish(&mut self) -> Option<Bytes> {
        (!self.held.is_empty()).then(|| self.held.split().freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cut_pieces_join_to_what_was_fed(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..10),
            size in 1_usize..40,
        ) {
            let mut cutter = Cutter::new(size);
            let mut out = Vec::new();
            for piece in &pieces {
                cutter.feed(Bytes::from(piece.clone()), &mut out);
                prop_assert!(cutter.held() < size);
            }
            prop_assert!(out.iter().all(|event| event.len() == size));
            out.extend(cutter.finish());
            prop_assert_eq!(out.concat(), pieces.concat());
        }
    }
}
