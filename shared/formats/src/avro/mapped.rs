//! Events from records of any schema, by the fields that become payload, key and time.

use bytes::Bytes;
use sluice_transfer::limits::EVENT_BYTES;
use sluice_transfer::{FieldNames, Timestamp, Value};

use super::schema::{Found, Schema, Steps, Unit};
use super::varint::{Fault, Reader};

/// A file's schema, and which of its fields are read.
#[derive(Debug)]
pub(super) struct Mapped {
    schema: Schema,
    /// Payload, key, time.
    paths: [Option<Vec<String>>; 3],
}

/// What the fields of one record make.
pub(super) struct MappedEvent {
    pub payload: Value,
    pub key: Value,
    pub time: Option<Timestamp>,
}

impl Mapped {
    /// An error where the schema has no such fields, or fields that cannot become bytes.
    pub(super) fn new(schema: &[u8], fields: &FieldNames) -> Result<Self, String> {
        if fields.payload.is_none() {
            return Err("which field is the payload was not said".to_owned());
        }
        let schema = Schema::parse(schema)?;
        fields.iter().try_for_each(|path| schema.check(path))?;
        let path = |name: &Option<String>| name.as_ref().map(|name| name.split('.').map(str::to_owned).collect());
        Ok(Self { schema, paths: [path(&fields.payload), path(&fields.key), path(&fields.time)] })
    }

    /// The event that a record makes.
    pub(super) fn event(&self, reader: &mut Reader<'_>, data: &Bytes, steps: &mut Steps) -> Result<MappedEvent, Fault> {
        let [payload, key, time] = self.schema.read(reader, &self.paths, steps)?;
        let (payload, key) = (value(payload, data), value(key, data));
        if payload.len() + key.len() > EVENT_BYTES {
            return Err(Fault::TooLarge("an event has more than 32 MiB"));
        }
        Ok(MappedEvent { payload, key, time: time.map_or(Ok(None), |found| instant(&found, data))? })
    }
}

/// A field as bytes: as they stand in the block, or as a person would write them.
fn value(found: Option<Found>, data: &Bytes) -> Value {
    match found {
        None => Value::Absent,
        Some(Found::Null) => Value::Null,
        Some(Found::Bytes(range)) => Value::Bytes(data.slice(range)),
        Some(Found::Text(text)) => Value::Bytes(text.into()),
        Some(Found::Boolean(held)) => Value::Bytes(held.to_string().into()),
        Some(Found::Long(number, _)) => Value::Bytes(number.to_string().into()),
        Some(Found::Double(number)) => Value::Bytes(number.to_string().into()),
    }
}

fn instant(found: &Found, data: &Bytes) -> Result<Option<Timestamp>, Fault> {
    const DAY: i64 = 86_400_000_000;
    let micros = |number: i64| Ok(Some(Timestamp::from_micros(number)));
    let text = |text: &[u8]| {
        let time = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        time.map(Some).ok_or(Fault::Damaged("a time is no RFC 3339 time"))
    };
    match found {
        Found::Null => Ok(None),
        Found::Long(number, Unit::Days) => micros(number.saturating_mul(DAY)),
        Found::Long(number, Unit::Millis) => micros(number.saturating_mul(1_000)),
        Found::Long(number, Unit::Micros) => micros(*number),
        Found::Long(number, Unit::Nanos) => micros(number.div_euclid(1_000)),
        Found::Long(number, Unit::None) => Ok(Some(Timestamp::of_any_unit(*number))),
        Found::Long(_, Unit::TimeOfDay) => Err(Fault::Damaged("a time is one of some day, not of a certain one")),
        Found::Double(number) => Ok(Some(Timestamp::of_any_fraction(*number))),
        Found::Bytes(range) => text(&data[range.clone()]),
        Found::Text(held) => text(held.as_bytes()),
        Found::Boolean(_) => Err(Fault::Damaged("a time is true or false")),
    }
}
