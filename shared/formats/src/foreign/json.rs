//! Lines of JSON that others wrote: one object each, of which some fields become an event.
//!
//! A text becomes the bytes that it stands for, any other value the bytes that stand in the line; null and a field that
//! is not there are kept apart. A line of nothing but spaces holds no event.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use sluice_transfer::limits::{EVENT_BYTES, excerpt};
use sluice_transfer::{Compression, Decoded, FieldNames, Place, Timestamp, Value};

use crate::lines::{Line, LineDecoder, LineFault, LineFormat};

pub(super) struct MappedJson {
    fields: FieldNames,
}

pub(super) fn decoder(fields: FieldNames, compression: Compression) -> LineDecoder<MappedJson> {
    LineDecoder::of(MappedJson { fields }, compression)
}

impl LineFormat for MappedJson {
    fn event(&self, line: &Line) -> Result<Option<Decoded>, LineFault> {
        let text = std::str::from_utf8(&line.bytes).map_err(|_| LineFault::damaged("it is not UTF-8"))?;
        // Some writers begin a file with the mark of UTF-8, which is no part of JSON (RFC 8259, section 8.1).
        let begins = line.begin == Place::default();
        let text = text.strip_prefix('\u{feff}').filter(|_| begins).unwrap_or(text);
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        // Looked at whole, so that a line is refused for what it is, whichever fields are asked for.
        serde_json::from_str::<&RawValue>(text).map_err(|error| LineFault::Damaged(excerpt(error)))?;
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
        Ok(Some(Decoded { sequence: None, time, key, headers: Vec::new(), payload, after: line.after }))
    }

    fn may_end_open(&self) -> bool {
        true
    }
}

/// A field of an object; of several that have the name, the last one, as in most readers.
fn field<'a>(text: &'a str, path: &str) -> Result<Option<&'a RawValue>, LineFault> {
    let (mut found, mut text) = (None, text);
    for (depth, name) in path.split('.').enumerate() {
        if depth > 0 {
            let Some(value) = found.map(RawValue::get) else { return Ok(None) };
            if !value.starts_with('{') {
                return Ok(None);
            }
            text = value;
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        found = reader.deserialize_map(Named(name)).map_err(|error| LineFault::Damaged(excerpt(error)))?;
    }
    Ok(found)
}

/// Finds a field of an object, and reads past all others.
struct Named<'n>(&'n str);

impl<'de> Visitor<'de> for Named<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = fields.next_key::<Cow<'de, str>>()? {
            if name == self.0 {
                found = Some(fields.next_value()?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// What a field becomes.
fn value(line: &Bytes, found: Option<&RawValue>) -> Result<Value, LineFault> {
    let Some(raw) = found else { return Ok(Value::Absent) };
    Ok(match raw.get() {
        "null" => Value::Null,
        text if text.starts_with('"') => {
            let text: String = serde_json::from_str(text).map_err(|error| LineFault::Damaged(excerpt(error)))?;
            Value::Bytes(text.into())
        }
        // It lies in the line, which is kept for it.
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
    match serde_json::from_str(raw.get()) {
        _ if raw.get() == "null" => Ok(None),
        Ok(Time::Whole(number)) => Ok(Some(Timestamp::of_any_unit(number))),
        Ok(Time::Fraction(number)) => Ok(Some(Timestamp::of_any_fraction(number))),
        Ok(Time::Text(text)) => {
            text.parse().map(Some).map_err(|error| LineFault::Damaged(format!("its time: {error}")))
        }
        Err(_) => Err(LineFault::damaged("its time is neither a number nor an RFC 3339 time")),
    }
}
