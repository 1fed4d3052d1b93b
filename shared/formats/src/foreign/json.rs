//! Values of JSON that others wrote: one object a line, or several behind each other, of which some fields become an
//! event.
//!
//! A text becomes the bytes that it stands for, any other value the bytes that stand in the line; null and a field that
//! is not there are kept apart. Half of a surrogate pair, which no bytes stand for, becomes U+FFFD. A line of nothing
//! but spaces holds no event.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use sluice_transfer::limits::EVENT_BYTES;
use sluice_transfer::{Compression, Decoded, FieldNames, Timestamp, Value};

use crate::lines::{Line, LineDecoder, LineFault, LineFormat, Read};

pub(super) struct MappedJson {
    fields: FieldNames,
}

pub(super) fn decoder(fields: FieldNames, compression: Compression) -> LineDecoder<MappedJson> {
    LineDecoder::of(MappedJson { fields }, compression)
}

impl LineFormat for MappedJson {
    fn read(&self, line: &Line) -> Result<Read, LineFault> {
        // Looked at whole, so that a value is refused for what it is, whichever fields are asked for.
        let mut values = serde_json::Deserializer::from_slice(&line.bytes).into_iter::<&RawValue>();
        let Some(json) = values.next() else { return Ok(Read::Nothing) };
        let json = json.map_err(|error| no_json(&line.bytes, &error))?;
        let used = values.byte_offset();
        let text = json.get();
        if !text.starts_with('{') {
            let list =
                if text.starts_with('[') { ", but a list: write its items a line each (jq -c '.[]')" } else { "" };
            return Err(LineFault::damaged(format!("it is no JSON object{list}")));
        }
        let find = |name: &Option<String>| name.as_deref().map(|name| field(text, name)).transpose();
        let payload = match find(&self.fields.payload)? {
            None => Value::Bytes(line.bytes.slice_ref(text.as_bytes())),
            Some(found) => value(&line.bytes, found)?,
        };
        let key = find(&self.fields.key)?.map_or(Ok(Value::Absent), |found| value(&line.bytes, found))?;
        let time = find(&self.fields.time)?.flatten().map_or(Ok(None), time)?;
        if payload.len() + key.len() > EVENT_BYTES {
            return Err(LineFault::TooLarge("an event has more than 32 MiB"));
        }
        let event = Decoded { sequence: None, time, key, headers: Vec::new(), payload, after: line.after };
        Ok(Read::Event(event, used))
    }

    fn may_end_open(&self) -> bool {
        true
    }

    fn splits(&self) -> bool {
        true
    }
}

/// Why a line does not begin with a value. The parser looks at UTF-8 once a value is whole, and then says less.
fn no_json(line: &[u8], error: &serde_json::Error) -> LineFault {
    let read = &line[..error.column().min(line.len())];
    match std::str::from_utf8(read) {
        Err(wrong) if wrong.error_len().is_some() => {
            LineFault::Damaged("it is not UTF-8".to_owned(), Some(wrong.valid_up_to() + 1))
        }
        _ => LineFault::json(error),
    }
}

/// A field of an object; of several that have the name, the last one, as in most readers. `a.b` is the field `b` of the
/// field `a`, or, where there is no such one, the field `a.b`.
fn field<'a>(text: &'a str, path: &str) -> Result<Option<&'a RawValue>, LineFault> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let named = reader.deserialize_map(Named(path)).map_err(|error| LineFault::json(&error))?;
    for (len, found) in named {
        if len == path.len() {
            return Ok(Some(found));
        }
        if found.get().starts_with('{')
            && let Some(found) = field(found.get(), &path[len + 1..])?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Finds the fields of an object whose names a path begins with, and reads past all others. The shortest comes first.
struct Named<'n>(&'n str);

impl<'de> Visitor<'de> for Named<'_> {
    type Value = Vec<(usize, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut found: Self::Value = Vec::new();
        while let Some(Text(name)) = fields.next_key()? {
            let rest = self.0.as_bytes().strip_prefix(&name[..]);
            if rest.is_none_or(|rest| !matches!(rest, [] | [b'.', ..])) {
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = fields.next_value()?;
            match found.binary_search_by_key(&name.len(), |(len, _)| *len) {
                Ok(at) => found[at].1 = value,
                Err(at) => found.insert(at, (name.len(), value)),
            }
        }
        Ok(found)
    }
}

/// The bytes that a text of JSON stands for. Half of a surrogate pair is in them as if it were a character.
struct Text<'de>(Cow<'de, [u8]>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Whole;

        impl<'de> Visitor<'de> for Whole {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(bytes)))
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(bytes.to_vec())))
            }
        }

        from.deserialize_bytes(Whole)
    }
}

/// Puts U+FFFD where half of a surrogate pair stands, which has as many bytes.
fn without_halves(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let Some(next) = memchr::memchr(0xed, &bytes[at..]) {
        at += next;
        if let Some(half) = bytes.get_mut(at..at + 3).filter(|half| half[1] >= 0xa0) {
            half.copy_from_slice("\u{fffd}".as_bytes());
        }
        at += 1;
    }
    bytes
}

/// What a field becomes.
fn value(line: &Bytes, found: Option<&RawValue>) -> Result<Value, LineFault> {
    let Some(raw) = found else { return Ok(Value::Absent) };
    Ok(match raw.get() {
        "null" => Value::Null,
        text if text.starts_with('"') => match text.as_bytes() {
            // As it lies in the line, which is kept for it.
            [_, plain @ .., _] if memchr::memchr(b'\\', plain).is_none() => Value::Bytes(line.slice_ref(plain)),
            _ => {
                let Text(bytes) = serde_json::from_str(text).map_err(|error| LineFault::json(&error))?;
                Value::Bytes(without_halves(bytes.into_owned()).into())
            }
        },
        json => Value::Bytes(line.slice_ref(json.as_bytes())),
    })
}

/// A time as others write it: RFC 3339, or a number of any usual unit.
fn time(raw: &RawValue) -> Result<Option<Timestamp>, LineFault> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Time {
        Whole(i64),
        Fraction(f64),
        Text(String),
    }
    let time: Timestamp = match serde_json::from_str(raw.get()) {
        _ if raw.get() == "null" => return Ok(None),
        Ok(Time::Whole(number)) => Timestamp::of_any_unit(number),
        Ok(Time::Fraction(number)) => Timestamp::of_any_fraction(number),
        Ok(Time::Text(text)) => text.parse().map_err(|error| LineFault::damaged(format!("its time: {error}")))?,
        Err(_) => return Err(LineFault::damaged("its time is neither a number nor an RFC 3339 time")),
    };
    // What lies outside no other reader takes.
    let within = time.within_calendar().ok_or_else(|| LineFault::damaged("its time lies outside the years 0 to 9999"));
    within.map(Some)
}
