//! Events from records of any schema, by the fields that become payload, key and time.

use std::fmt::Write;

use bytes::Bytes;
use sluice_transfer::limits::{EVENT_BYTES, excerpt};
use sluice_transfer::{FieldNames, Timestamp, UnpackError, Value};

use super::schema::{Meaning, Schema, Unit};
use super::varint::{Fault, Reader};
use super::walk::{Found, Steps};

/// A file's schema, and which of its fields are read.
#[derive(Debug)]
pub(super) struct Mapped {
    schema: Schema,
    /// Payload, key, time; none where each value is a payload.
    paths: Option<[Option<Vec<String>>; 3]>,
}

/// What the fields of one record make.
pub(super) struct MappedEvent {
    pub payload: Value,
    pub key: Value,
    pub time: Option<Timestamp>,
}

/// Bytes of a decimal, at most: of 616 digits.
const LONGEST_DECIMAL: usize = 256;

impl Mapped {
    /// An error where the schema has no such fields, or fields that cannot become bytes.
    pub(super) fn new(schema: &[u8], fields: &FieldNames) -> Result<Self, UnpackError> {
        let schema = Schema::parse(schema).map_err(|why| UnpackError::Damaged { offset: 0, why: excerpt(why) })?;
        let refused = |why: String| UnpackError::Unsupported { why };
        if schema.is_of_records() {
            if fields.payload.is_none() {
                let what = "its records are no events of Sluice, and which field is the payload was not said: name one \
                            (--payload-field, \"payloadField\"); there are";
                return Err(refused(format!("{what} {}", schema.fields())));
            }
            let path = |name: &Option<String>| name.as_ref().map(|name| schema.resolve(name)).transpose();
            let paths =
                [path(&fields.payload), path(&fields.key), path(&fields.time)].map(|path| path.map_err(refused));
            let [payload, key, time] = paths;
            return Ok(Self { paths: Some([payload?, key?, time?]), schema });
        }
        if !schema.is_of_leaves() {
            let what = "its values are neither records nor bytes, texts or numbers, which could become payloads: write \
                        them as records with such a field";
            return Err(refused(what.to_owned()));
        }
        if !fields.is_empty() {
            let what = "its values are no records and have no fields: leave out payloadField, keyField and timeField, and \
                        each value is a payload";
            return Err(refused(what.to_owned()));
        }
        Ok(Self { schema, paths: None })
    }

    /// The event that a record makes, or a value that is none.
    pub(super) fn event(&self, reader: &mut Reader<'_>, data: &Bytes, steps: &mut Steps) -> Result<MappedEvent, Fault> {
        let [payload, key, time] = match &self.paths {
            Some(paths) => self.schema.read(reader, paths, steps)?,
            None => [Some(self.schema.read_leaf(reader, steps)?), None, None],
        };
        let (payload, key) = (value(payload, data)?, value(key, data)?);
        if payload.len() + key.len() > EVENT_BYTES {
            return Err(Fault::TooLarge("an event has more than 32 MiB"));
        }
        Ok(MappedEvent { payload, key, time: time.map_or(Ok(None), |found| instant(&found, data))? })
    }
}

/// A field as bytes: as they stand in the block, or as a person would write them.
fn value(found: Option<Found>, data: &Bytes) -> Result<Value, Fault> {
    Ok(match found {
        None => Value::Absent,
        Some(Found::Null) => Value::Null,
        Some(Found::Bytes(range, Meaning::Bytes)) => Value::Bytes(data.slice(range)),
        Some(Found::Bytes(range, Meaning::Decimal(scale))) => Value::Bytes(decimal(&data[range], scale)?.into()),
        Some(Found::Bytes(range, Meaning::Uuid)) => Value::Bytes(uuid(&data[range]).into()),
        Some(Found::Text(text)) => Value::Bytes(text.into()),
        Some(Found::Boolean(held)) => Value::Bytes(held.to_string().into()),
        Some(Found::Long(number, _)) => Value::Bytes(number.to_string().into()),
        Some(Found::Double(number)) => Value::Bytes(number.to_string().into()),
    })
}

/// A number in two's complement, the highest byte first, as a person writes it, with `scale` digits behind the point.
fn decimal(bytes: &[u8], scale: usize) -> Result<String, Fault> {
    const NINE_DIGITS: u64 = 1_000_000_000;
    if bytes.len() > LONGEST_DECIMAL {
        return Err(Fault::TooLarge("a decimal has more than 256 bytes"));
    }
    let is_negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let flip = if is_negative { 0xff } else { 0 };
    let (mut limbs, mut carry) = (Vec::new(), u64::from(is_negative));
    // Four bytes at once, the lowest first; those in front of the highest are like its sign.
    for chunk in bytes.rchunks(4) {
        let magnitude = chunk.iter().fold(0, |sum, byte| sum << 8 | u64::from(byte ^ flip)) + carry;
        limbs.push(magnitude & 0xffff_ffff);
        carry = magnitude >> 32;
    }
    let mut groups = Vec::new();
    while limbs.iter().any(|limb| *limb > 0) {
        let mut rest = 0;
        for limb in limbs.iter_mut().rev() {
            let whole = rest << 32 | *limb;
            (*limb, rest) = (whole / NINE_DIGITS, whole % NINE_DIGITS);
        }
        groups.push(format!("{rest:09}"));
    }
    let digits: String = groups.into_iter().rev().collect();
    let digits = digits.trim_start_matches('0');
    // At least one digit stands in front of the point.
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let (sign, point) = (if is_negative { "-" } else { "" }, if scale > 0 { "." } else { "" });
    Ok(format!("{sign}{whole}{point}{fraction}"))
}

/// Sixteen bytes as RFC 9562 writes them (section 4).
fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing into a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn instant(found: &Found, data: &Bytes) -> Result<Option<Timestamp>, Fault> {
    // What lies outside no other reader takes.
    let within =
        |time: Timestamp| time.within_calendar().ok_or(Fault::Damaged("a time lies outside the years 0 to 9999"));
    time(found, data)?.map(within).transpose()
}

fn time(found: &Found, data: &Bytes) -> Result<Option<Timestamp>, Fault> {
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
        Found::Bytes(range, Meaning::Decimal(scale)) => {
            let number = decimal(&data[range.clone()], *scale)?.parse().map(Timestamp::of_any_fraction);
            number.map(Some).map_err(|_| Fault::Damaged("a time is no number"))
        }
        Found::Bytes(range, _) => text(&data[range.clone()]),
        Found::Text(held) => text(held.as_bytes()),
        Found::Boolean(_) => Err(Fault::Damaged("a time is true or false")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_as_a_person_writes_them() {
        for (bytes, scale, text) in [
            (&[][..], 0, "0"),
            (&[], 2, "0.00"),
            (&[0], 2, "0.00"),
            (&[1], 0, "1"),
            (&[1], 3, "0.001"),
            (&[0xff], 3, "-0.001"),
            (&[0x30, 0x39], 2, "123.45"),
            (&[0xcf, 0xc7], 2, "-123.45"),
            (&[0, 0, 0, 0, 0x30, 0x39], 2, "123.45"),
            (&[0x80], 0, "-128"),
            (&[0x80, 0, 0, 0], 0, "-2147483648"),
            (&[0xff, 0xff, 0xff, 0xff, 0xff], 0, "-1"),
            (&[0x0d, 0xe0, 0xb6, 0xb3, 0xa7, 0x64, 0, 0], 18, "1.000000000000000000"),
        ] {
            assert_eq!(decimal(bytes, scale).as_deref(), Ok(text), "{bytes:?}, {scale}");
        }
        assert_eq!(decimal(&[1; LONGEST_DECIMAL], 0).map(|text| text.len()), Ok(615));
        assert!(decimal(&[1; LONGEST_DECIMAL + 1], 0).is_err());
        assert_eq!(uuid(&[0x12; 16]), "12121212-1212-1212-1212-121212121212");
    }

    proptest! {
        #[test]
        fn decimals_are_the_numbers_that_their_bytes_are(number in any::<i128>(), zeros in 0_usize..9) {
            let sign = if number < 0 { 0xff } else { 0 };
            let bytes = [vec![sign; zeros], number.to_be_bytes().to_vec()].concat();
            prop_assert_eq!(decimal(&bytes, 0), Ok(number.to_string()));
            let text = decimal(&bytes, 5).unwrap();
            prop_assert_eq!(text.replace('.', "").parse::<i128>().ok(), Some(number));
            prop_assert_eq!(text.len() - text.find('.').unwrap(), 6);
        }
    }
}
