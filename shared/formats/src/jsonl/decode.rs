//! Lines into events.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sluice_transfer::limits::{EVENT_BYTES, HEADERS};
use sluice_transfer::{Compression, Decoded, Header, Value};

use crate::lines::{Line, LineDecoder, LineFault, LineFormat, Read};

/// Lines as [`crate::JsonlEncoder`] writes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnLines;

/// Reads JSON Lines as [`crate::JsonlEncoder`] writes them.
pub(crate) type JsonlDecoder = LineDecoder<OwnLines>;

impl JsonlDecoder {
    /// Reads objects that are compressed so.
    pub(crate) fn new(compression: Compression) -> Self {
        Self::of(OwnLines, compression)
    }
}

impl LineFormat for OwnLines {
    fn read(&self, line: &Line) -> Result<Read, LineFault> {
        event_of(line).map(|event| Read::whole(event, line))
    }

    fn may_end_open(&self) -> bool {
        false
    }
}

/// A line's fields. Nothing is built of them before they are known to be these.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fields<'a> {
    #[serde(borrow, rename = "shard")]
    _shard: Cow<'a, str>,
    #[serde(borrow)]
    sequence: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow, default)]
    key: Text<'a>,
    #[serde(borrow, default)]
    key_base64: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "few")]
    headers: Vec<HeaderFields<'a>>,
    #[serde(borrow, default, deserialize_with = "there")]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload_base64: Option<Cow<'a, str>>,
    /// Of an event that an import could not send: where it stood, and why. That is no part of the event.
    #[serde(rename = "misfit", default)]
    _misfit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HeaderFields<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Text<'a>,
    #[serde(borrow, default)]
    value_base64: Option<Cow<'a, str>>,
}

/// A text that may be missing in two ways.
#[derive(Default)]
enum Text<'a> {
    #[default]
    Absent,
    Null,
    There(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Option::<Cow<'a, str>>::deserialize(from)?;
        Ok(text.map_or(Self::Null, Self::There))
    }
}

/// JSON that is there, though it may be null.
fn there<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// As many headers as an event may have, and one more that tells of too many: a line of 64 MiB has room for millions,
/// and each is far larger here than there.
fn few<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Vec<HeaderFields<'a>>, D::Error> {
    struct Few<'a>(PhantomData<HeaderFields<'a>>);

    impl<'de: 'a, 'a> Visitor<'de> for Few<'a> {
        type Value = Vec<HeaderFields<'a>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of headers")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut of: A) -> Result<Self::Value, A::Error> {
            let mut headers = Vec::new();
            while headers.len() <= HEADERS {
                match of.next_element()? {
                    Some(header) => headers.push(header),
                    None => return Ok(headers),
                }
            }
            while of.next_element::<IgnoredAny>()?.is_some() {}
            Ok(headers)
        }
    }

    from.deserialize_seq(Few(PhantomData))
}

fn event_of(line: &Line) -> Result<Decoded, LineFault> {
    let fields: Fields<'_> = serde_json::from_slice(&line.bytes).map_err(|error| LineFault::json(&error))?;
    let sequence = fields.sequence.parse().map_err(|_| LineFault::damaged("its sequence is no number"))?;
    let time = fields.time.parse().map_err(|_| LineFault::damaged("its time is none"))?;
    if fields.headers.len() > HEADERS {
        return Err(LineFault::TooLarge("an event has more than 10,000 headers"));
    }
    let key = text_value(fields.key, fields.key_base64)?;
    let mut size = key.len();
    let mut headers = Vec::with_capacity(fields.headers.len());
    for header in fields.headers {
        let value = text_value(header.value, header.value_base64)?;
        size += header.name.len() + value.len();
        headers.push(Header { name: header.name.into_owned(), value });
    }
    let payload = match (fields.payload, fields.payload_base64) {
        (None, None) => Value::Absent,
        (Some(json), None) if json.get() == "null" => Value::Null,
        // It lies in the line, which is kept for it.
        (Some(json), None) => Value::Bytes(line.bytes.slice_ref(json.get().as_bytes())),
        (None, Some(text)) => base64_value(&text)?,
        (Some(_), Some(_)) => return Err(LineFault::damaged("it has two payloads")),
    };
    if size + payload.len() > EVENT_BYTES {
        return Err(LineFault::TooLarge("an event has more than 32 MiB"));
    }
    Ok(Decoded { sequence: Some(sequence), time: Some(time), key, headers, payload, after: line.after })
}

fn text_value(text: Text<'_>, base64: Option<Cow<'_, str>>) -> Result<Value, LineFault> {
    match (text, base64) {
        (Text::Absent, None) => Ok(Value::Absent),
        (Text::Null, None) => Ok(Value::Null),
        (Text::There(text), None) => Ok(Value::Bytes(text.into_owned().into())),
        (Text::Absent, Some(text)) => base64_value(&text),
        (_, Some(_)) => Err(LineFault::damaged("a value is there twice")),
    }
}

fn base64_value(text: &str) -> Result<Value, LineFault> {
    let bytes = STANDARD.decode(text).map_err(|error| LineFault::damaged(format!("base64: {error}")))?;
    Ok(Value::Bytes(bytes.into()))
}
