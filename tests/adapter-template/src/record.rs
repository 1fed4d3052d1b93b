//! What the broker holds of an event, and how it is read again.
//!
//! **Invariant.** Nothing is lost silently. [`as_stored`] answers the event as it will be read, or refuses it, and what
//! it answered once it answers again: transfers compare what they sent with what they read by it.

use sluice_ports::{Error, ErrorKind, NewEvent, Result};
use sluice_transfer::{Event, Header, Sequence, Timestamp, Value};

use crate::broker::{LARGEST_RECORD, Record};

/// The time in whole milliseconds, as the broker keeps it.
fn millis(time: Timestamp) -> i64 {
    time.micros().div_euclid(1_000)
}

/// The first whole millisecond that is not earlier.
pub(crate) fn millis_up(time: Timestamp) -> i64 {
    millis(time) + i64::from(time.micros().rem_euclid(1_000) > 0)
}

/// The event as the broker keeps it: the time in milliseconds, and null in place of a key that is not there. `Invalid`
/// if it cannot keep the event.
pub(crate) fn as_stored(event: NewEvent) -> Result<NewEvent> {
    let refuse = |what: String| Err(Error::new(ErrorKind::Invalid, what));
    if event.payload == Value::Absent || event.headers.iter().any(|header| header.value == Value::Absent) {
        return refuse("the broker cannot tell a value that is not there from one that is null".to_owned());
    }
    let size = event.size();
    if size > LARGEST_RECORD {
        let what = format!("an event of {size} bytes (payload, key and headers) is larger than {LARGEST_RECORD}");
        return refuse(what);
    }
    let key = if event.key == Value::Absent { Value::Null } else { event.key };
    Ok(NewEvent { time: Timestamp::from_millis(millis(event.time)), key, ..event })
}

/// The record that is sent.
pub(crate) fn record(event: NewEvent) -> Result<Record> {
    let NewEvent { time, key, headers, payload } = as_stored(event)?;
    let bytes = |value: Value| match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::Null | Value::Absent => None,
    };
    let headers = headers.into_iter().map(|header| (header.name, bytes(header.value))).collect();
    Ok(Record { timestamp_millis: millis(time), key: bytes(key), headers, value: bytes(payload) })
}

/// The event that was read.
pub(crate) fn event(offset: u64, record: Record) -> Event {
    let value = |bytes: Option<bytes::Bytes>| bytes.map_or(Value::Null, Value::Bytes);
    let headers = record.headers.into_iter().map(|(name, bytes)| Header { name, value: value(bytes) }).collect();
    Event {
        sequence: Sequence::new(offset),
        time: Timestamp::from_millis(record.timestamp_millis),
        key: value(record.key),
        headers,
        payload: value(record.value),
    }
}

/// Bytes of payload, key and headers, as limits count them.
pub(crate) fn size(event: &Event) -> usize {
    let headers: usize = event.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    event.payload.len() + event.key.len() + headers
}
