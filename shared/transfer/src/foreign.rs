//! Files that no export wrote, and how events are found in them.

use serde::{Deserialize, Serialize};

use crate::{Compression, Timestamp};

/// What such files hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceFormat {
    /// Any bytes, cut into events.
    #[default]
    Raw,
    /// Lines of text, each a payload.
    Lines,
    /// Lines of JSON: records of others if fields of them are named, else as Sluice writes them.
    Jsonl,
    /// Avro object container files: likewise.
    Avro,
}

impl SourceFormat {
    /// As a request names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Lines => "lines",
            Self::Jsonl => "jsonl",
            Self::Avro => "avro",
        }
    }
}

/// How events are found in such files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignFiles {
    /// What they hold.
    pub format: SourceFormat,
    /// Whether each is inflated that begins as if it were compressed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inflate: bool,
    /// Which fields of their records are read.
    #[serde(default, skip_serializing_if = "FieldNames::is_empty")]
    pub fields: FieldNames,
}

/// Fields of a record that others wrote, by what they become of an event. `a.b` is the field `b` of the field `a`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldNames {
    /// Becomes the payload. Unless given, the payload is the whole record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// Becomes the key. Unless given, events have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Becomes the time. Unless given, events have the one at which their import was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

impl FieldNames {
    /// Whether none is given: then records are those that Sluice itself writes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All that are given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        [&self.payload, &self.key, &self.time].into_iter().flatten().map(String::as_str)
    }
}

/// Whether files that are compressed are read as what they were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inflate {
    /// Those that begin as gzip (RFC 1952) or Zstandard (RFC 8878) do.
    Auto,
    /// None is.
    None,
}

impl Inflate {
    /// As a request names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::None => "none",
        }
    }
}

/// What a file is compressed with, by the bytes that it begins with.
pub fn recognise(head: &[u8]) -> Compression {
    match head {
        [0x1f, 0x8b, 8, ..] => Compression::Gzip,
        // A frame, or a skippable one in front of it.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::Plain,
    }
}

impl Timestamp {
    /// A number that others wrote as a time, since 1970: seconds, or, where that would be past the year 5138, milli-,
    /// micro- or nanoseconds, whichever comes first in that order.
    pub fn of_any_unit(number: i64) -> Self {
        Self::from_micros(match number.unsigned_abs() {
            0..SECONDS => number * 1_000_000,
            SECONDS..MILLIS => number * 1_000,
            MILLIS..MICROS => number,
            _ => number.div_euclid(1_000),
        })
    }

    /// The same of a number with a fraction.
    pub fn of_any_fraction(number: f64) -> Self {
        let micros = match number.abs() {
            size if size < 1e11 => number * 1e6,
            size if size < 1e14 => number * 1e3,
            size if size < 1e17 => number,
            _ => number / 1e3,
        };
        #[expect(clippy::cast_possible_truncation, reason = "the nearest that there is")]
        Self::from_micros(micros.round() as i64)
    }
}

/// The first numbers that are no seconds, milliseconds and microseconds any more.
const SECONDS: u64 = 100_000_000_000;
const MILLIS: u64 = 1_000 * SECONDS;
const MICROS: u64 = 1_000 * MILLIS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_any_unit() {
        let time: Timestamp = "2026-11-25T08:00:00Z".parse().unwrap();
        let seconds = 1_795_593_600;
        for number in [seconds, seconds * 1_000, seconds * 1_000_000, seconds * 1_000_000_000] {
            assert_eq!(Timestamp::of_any_unit(number), time, "{number}");
        }
        assert_eq!(Timestamp::of_any_unit(-1), Timestamp::from_micros(-1_000_000));
        for number in [i64::MIN, i64::MAX] {
            assert_eq!(Timestamp::of_any_unit(number).micros(), number.div_euclid(1_000));
        }
        assert_eq!(Timestamp::of_any_fraction(1_795_593_600.25), time.plus_millis(250));
        assert_eq!(Timestamp::of_any_fraction(1_795_593_600_250.5).micros(), time.plus_millis(250).micros() + 500);
        assert_eq!(Timestamp::of_any_fraction(-1.5), Timestamp::from_micros(-1_500_000));
        assert_eq!(Timestamp::of_any_fraction(f64::MAX), Timestamp::from_micros(i64::MAX));
    }

    #[test]
    fn what_files_begin_with() {
        assert_eq!(recognise(&[0x1f, 0x8b, 8, 0]), Compression::Gzip);
        assert_eq!(recognise(&[0x28, 0xb5, 0x2f, 0xfd]), Compression::Zstd);
        assert_eq!(recognise(&[0x5a, 0x2a, 0x4d, 0x18]), Compression::Zstd);
        for other in [&b""[..], b"\x1f\x8b", b"{\"a\":1}", b"PK\x03\x04"] {
            assert_eq!(recognise(other), Compression::Plain);
        }
    }
}
