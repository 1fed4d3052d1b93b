//! One shard of a stream, and what it holds.

use std::collections::VecDeque;

use sluice_ports::{Error, ErrorKind, NewEvent, Read, ReadLimit, Result};
use sluice_transfer::limits::{EVENT_BYTES, HEADERS};
use sluice_transfer::{Event, HashRange, Header, Position, Sequence, ShardId, Timestamp, Value};

#[derive(Debug, Default)]
pub(super) struct Shard {
    /// The number of its first event.
    pub first: u64,
    pub earliest: u64,
    pub events: VecDeque<Event>,
    /// The hashes of the keys that lead here; none where keys lead nowhere.
    pub hashes: Option<HashRange>,
    /// Shards that this one continues.
    pub parents: Vec<ShardId>,
    /// True if others continue it.
    pub closed: bool,
}

impl Shard {
    /// The number that the next event gets.
    pub(super) fn next(&self) -> u64 {
        self.earliest + self.events.len() as u64
    }

    /// The position in front of a number.
    pub(super) fn before(&self, number: u64) -> Position {
        if number == self.first { Position::Beginning } else { Position::before(&Sequence::new(number)) }
    }

    pub(super) fn tail(&self) -> Position {
        self.before(self.next())
    }

    /// The first number behind a position, at most the next one to be given.
    pub(super) fn behind(&self, position: &Position) -> u64 {
        let number = position.next_sequence().and_then(|sequence| sequence.as_u64());
        number.map_or(self.next(), |number| number.clamp(self.first, self.next()))
    }

    /// Index of a number that is not trimmed.
    pub(super) fn index(&self, number: u64) -> usize {
        usize::try_from(number - self.earliest).unwrap_or(usize::MAX)
    }

    pub(super) fn read(&self, from: &Position, limit: ReadLimit) -> Read {
        let first = self.behind(from);
        if first < self.earliest {
            return Read::Trimmed { earliest: Position::before(&Sequence::new(self.earliest)) };
        }
        // Times need not grow: it begins at the first event of that time, whatever stands behind it.
        let since = |since| self.events.iter().find(|event| event.time >= since);
        let first = match limit.since {
            Some(time) => since(time).and_then(|event| event.sequence.as_u64()).map_or(self.next(), |n| n.max(first)),
            None => first,
        };
        let mut events = Vec::new();
        let mut bytes = 0_usize;
        for event in self.events.range(self.index(first)..) {
            if !events.is_empty() && (events.len() >= limit.events || bytes >= limit.bytes) {
                break;
            }
            bytes = bytes.saturating_add(size(&event.key, &event.headers, &event.payload));
            events.push(event.clone());
        }
        let next = events.last().map_or_else(|| from.clone(), |last: &Event| Position::After(last.sequence.clone()));
        let at_tail = first + events.len() as u64 == self.next();
        Read::Events { events, next, at_tail, reached: None }
    }

    /// Drops what came before a time, from the front.
    pub(super) fn drop_before(&mut self, time: Timestamp) {
        while self.events.front().is_some_and(|event| event.time < time) {
            self.events.pop_front();
            self.earliest += 1;
        }
    }

    pub(super) fn push(&mut self, event: NewEvent) {
        let sequence = Sequence::new(self.next());
        let NewEvent { time, key, headers, payload } = event;
        self.events.push_back(Event { sequence, time, key, headers, payload });
    }
}

/// Bytes of payload, key and headers.
fn size(key: &Value, headers: &[Header], payload: &Value) -> usize {
    payload.len() + key.len() + headers.iter().map(|header| header.name.len() + header.value.len()).sum::<usize>()
}

pub(super) fn check(event: &NewEvent) -> Result<()> {
    let bytes = size(&event.key, &event.headers, &event.payload);
    if bytes > EVENT_BYTES {
        let what = format!("an event of {bytes} bytes (payload, key and headers) is larger than {EVENT_BYTES}");
        return Err(Error::new(ErrorKind::Invalid, what));
    }
    if event.headers.len() > HEADERS {
        let what = format!("an event with {} headers has more than {HEADERS}", event.headers.len());
        return Err(Error::new(ErrorKind::Invalid, what));
    }
    Ok(())
}
