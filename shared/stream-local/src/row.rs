//! An event's fields as a row has them.
//!
//! A key or payload is NULL where it is absent, an empty text where it is null, and a blob where it has bytes. Both
//! have the length 0, so lengths add up. Headers are one blob, NULL if there are none: of each the length of its name,
//! its name, a number (0 absent, 1 null, else 2 more than the length), its bytes. Numbers are LEB128.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use rusqlite::ToSql;
use rusqlite::types::{Null, ToSqlOutput, ValueRef};
use sluice_transfer::limits::HEADERS;
use sluice_transfer::{Header, Value};

/// A key or payload, to be bound without a copy.
pub(crate) struct Field<'a>(pub(crate) &'a Value);

impl ToSql for Field<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Absent => Null.into(),
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Text(b"")),
            Value::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// Values smaller than this share chunks with their neighbours, so that a read of many makes few allocations, and
/// ones large enough for the allocator to keep at hand. A value that outlives its neighbours holds one chunk.
const SMALL: usize = 64 << 10;
/// A read's first chunk; each further one is twice as large, up to the largest.
const FIRST_CHUNK: usize = 16 << 10;
const LARGEST_CHUNK: usize = 1 << 20;
/// Full chunks that are kept to be used again, at most: what two reads of an export hold.
const KEPT: usize = 10;

/// Takes values out of rows, with one copy and few allocations.
#[derive(Debug, Default)]
pub(crate) struct Values {
    chunk: BytesMut,
    /// Size of the chunk at hand; 0 before the first.
    size: usize,
    /// Full chunks of the largest size, the oldest first. Once its values are gone a chunk is filled again: to touch
    /// fresh memory takes longer than to fill it.
    full: VecDeque<BytesMut>,
}

impl Values {
    /// A key or payload; none if it is something that is never written.
    pub(crate) fn value(&mut self, stored: ValueRef<'_>) -> Option<Value> {
        match stored {
            ValueRef::Null => Some(Value::Absent),
            ValueRef::Text(b"") => Some(Value::Null),
            ValueRef::Blob(bytes) => Some(Value::Bytes(self.copy(bytes))),
            _ => None,
        }
    }

    fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.len() >= SMALL {
            return Bytes::copy_from_slice(bytes);
        }
        if self.chunk.capacity() < bytes.len() {
            self.chunk = self.next_chunk(bytes.len());
        }
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }

    fn next_chunk(&mut self, least: usize) -> BytesMut {
        if self.size == LARGEST_CHUNK {
            self.full.push_back(std::mem::take(&mut self.chunk));
        }
        self.size = (2 * self.size).clamp(FIRST_CHUNK, LARGEST_CHUNK).max(least);
        if self.full.front_mut().is_some_and(|oldest| oldest.try_reclaim(LARGEST_CHUNK)) {
            return self.full.pop_front().unwrap_or_default();
        }
        if self.full.len() > KEPT {
            // Somebody holds on to its values: it goes with the last of them.
            self.full.pop_front();
        }
        BytesMut::with_capacity(self.size)
    }

    /// Headers; none if they are damaged, or more than an event has.
    pub(crate) fn headers(&mut self, stored: ValueRef<'_>) -> Option<Vec<Header>> {
        let mut rest = match stored {
            ValueRef::Null => return Some(Vec::new()),
            ValueRef::Blob(bytes) => bytes,
            _ => return None,
        };
        let mut headers = Vec::new();
        while !rest.is_empty() {
            if headers.len() == HEADERS {
                return None;
            }
            let len = take_number(&mut rest)?;
            let name = std::str::from_utf8(take(&mut rest, len)?).ok()?.to_owned();
            let value = match take_number(&mut rest)? {
                0 => Value::Absent,
                1 => Value::Null,
                more => Value::Bytes(self.copy(take(&mut rest, more - 2)?)),
            };
            headers.push(Header { name, value });
        }
        Some(headers)
    }
}

/// Headers as one blob; none if there are none.
pub(crate) fn encode_headers(headers: &[Header]) -> Option<Vec<u8>> {
    if headers.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    for header in headers {
        push_number(&mut out, header.name.len() as u64);
        out.extend_from_slice(header.name.as_bytes());
        push_number(
            &mut out,
            match &header.value {
                Value::Absent => 0,
                Value::Null => 1,
                Value::Bytes(bytes) => bytes.len() as u64 + 2,
            },
        );
        out.extend_from_slice(header.value.as_slice());
    }
    Some(out)
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    // Lengths within the limits have far fewer than nine digits of seven bits.
    for digit in 0..9 {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << (7 * digit);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = behind;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Absent),
            Just(Value::Null),
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(Value::from),
            (SMALL - 2..SMALL + 2).prop_map(|len| Value::from(vec![9; len])),
        ]
    }

    fn stored(value: &Value) -> rusqlite::types::Value {
        match Field(value).to_sql().unwrap() {
            ToSqlOutput::Borrowed(value) => value.try_into().unwrap(),
            ToSqlOutput::Owned(value) => value,
            other => panic!("{other:?} is not what a row takes"),
        }
    }

    proptest! {
        #[test]
        fn values_read_back(written in proptest::collection::vec(value(), 0..40)) {
            // One after the other into shared chunks: none may run over another.
            let mut values = Values::default();
            let read: Vec<_> = written.iter().map(|value| values.value((&stored(value)).into()).unwrap()).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn headers_read_back(written in proptest::collection::vec((".{0,200}", value()), 0..10)) {
            let written: Vec<_> = written.into_iter().map(|(name, value)| Header { name, value }).collect();
            let blob = encode_headers(&written);
            let blob = blob.as_deref().map_or(ValueRef::Null, ValueRef::Blob);
            prop_assert_eq!(Values::default().headers(blob), Some(written));
        }

        #[test]
        fn damaged_headers_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Values::default().headers(ValueRef::Blob(&bytes));
        }
    }

    #[test]
    fn chunks_are_filled_again_but_never_over_a_value_that_is_held() {
        let mut values = Values::default();
        let payload = |number: usize| vec![number.to_le_bytes()[0]; SMALL - 1];
        // Many times the chunks that are kept.
        let (mut held, mut places) = (Vec::new(), std::collections::BTreeSet::new());
        for number in 0..2_000 {
            let value = values.value(ValueRef::Blob(&payload(number))).unwrap();
            places.insert(value.as_slice().as_ptr() as usize);
            if number % 100 == 0 {
                held.push((number, value));
            }
            assert!(values.full.len() <= KEPT + 1);
        }
        assert!(places.len() < 1_000, "memory is used again");
        for (number, value) in held {
            assert_eq!(value, Value::from(payload(number)));
        }
    }

    #[test]
    fn what_is_never_written_is_refused() {
        let mut values = Values::default();
        assert_eq!(values.value(ValueRef::Integer(0)), None);
        assert_eq!(values.value(ValueRef::Text(b"text")), None);
        assert_eq!(values.headers(ValueRef::Text(b"")), None);
        assert_eq!(values.headers(ValueRef::Blob(b"\x05abc")), None, "cut off within a name");
        assert_eq!(values.headers(ValueRef::Blob(b"\x01a\x04b")), None, "cut off within a value");
        assert_eq!(values.headers(ValueRef::Blob(&[0xff; 20])), None, "a number without an end");
        assert_eq!(values.headers(ValueRef::Blob(&vec![0; 2 * HEADERS])).map(|headers| headers.len()), Some(HEADERS));
        assert_eq!(values.headers(ValueRef::Blob(&vec![0; 2 * HEADERS + 2])), None, "one too many");
    }
}
