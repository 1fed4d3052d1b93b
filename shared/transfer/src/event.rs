//! An event: the unit that a stream keeps in order.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Sequence, Timestamp, counted};

/// Bytes that may be missing in two ways, which stores tell apart: a Kafka tombstone is `Null`, a Kinesis record
/// never is, and an empty payload is neither.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Value {
    /// The store has no such field on this event.
    #[default]
    Absent,
    /// The store has the field and it is null.
    Null,
    /// The bytes, possibly none.
    Bytes(Bytes),
}

impl Value {
    /// The bytes; none where absent or null.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Absent | Self::Null => &[],
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// True if there are no bytes: absent, null or empty.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}

impl<T: Into<Bytes>> From<T> for Value {
    fn from(bytes: T) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// A named value beside the payload. Names may repeat and keep their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The name, UTF-8.
    pub name: String,
    /// The value, in its three states.
    pub value: Value,
}

/// One event as a stream holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in its shard.
    pub sequence: Sequence,
    /// When, as the store says.
    pub time: Timestamp,
    /// The key that places it.
    pub key: Value,
    /// Its headers, in order.
    pub headers: Vec<Header>,
    /// The payload.
    pub payload: Value,
}

impl Event {
    /// Bytes this event holds in memory, nearly: payload, key, headers and the struct itself.
    pub fn footprint(&self) -> usize {
        let headers: usize = self.headers.iter().map(|h| size_of::<Header>() + h.name.len() + h.value.len()).sum();
        size_of::<Self>() + self.payload.len() + self.key.len() + headers
    }
}

/// A number of events and of bytes of payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Bytes of payload.
    pub bytes: u64,
}

impl fmt::Display for Counts {
    /// `3 events of 60 bytes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", counted(self.events, "event"), counted(self.bytes, "byte"))
    }
}

impl Counts {
    /// Counts of these events and bytes.
    pub const fn new(events: u64, bytes: u64) -> Self {
        Self { events, bytes }
    }
}

impl std::ops::Add for Counts {
    type Output = Self;
    /// Stops at the largest numbers: what somebody else's records say must not end the process.
    fn add(self, other: Self) -> Self {
        Self { events: self.events.saturating_add(other.events), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

impl Counts {
    /// With these; none past what the numbers hold, which no stream comes to and a forged manifest may say.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let (events, bytes) = (self.events.checked_add(other.events)?, self.bytes.checked_add(other.bytes)?);
        Some(Self { events, bytes })
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), std::ops::Add::add)
    }
}
