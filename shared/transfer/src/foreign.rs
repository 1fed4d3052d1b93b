//! Files that no export wrote, and how events are found in them.

use std::iter::Sum;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::{Compression, Decoded, Timestamp, Value};

/// The format of foreign files.
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
    /// The name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Lines => "lines",
            Self::Jsonl => "jsonl",
            Self::Avro => "avro",
        }
    }
}

/// The rules by which foreign files become events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignFiles {
    /// Their format.
    pub format: SourceFormat,
    /// True if files that begin like compressed ones are inflated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inflate: bool,
    /// Which fields of their records are read.
    #[serde(default, skip_serializing_if = "FieldNames::is_empty")]
    pub fields: FieldNames,
}

/// The fields of a foreign record that become payload, key and time of an event. `a.b` is the field `b` of the field
/// `a`.
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
    /// True if no field is named: then records are those that Sluice itself writes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All fields that are named.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        [&self.payload, &self.key, &self.time].into_iter().flatten().map(String::as_str)
    }
}

/// The treatment of compressed foreign files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inflate {
    /// Those that begin as gzip (RFC 1952) or Zstandard (RFC 8878) do.
    Auto,
    /// No file is inflated.
    None,
}

impl Inflate {
    /// The name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::None => "none",
        }
    }
}

/// The compression of a file, by its first bytes.
pub fn recognise(head: &[u8]) -> Compression {
    match head {
        [0x1f, 0x8b, 8, ..] => Compression::Gzip,
        // A frame, or a skippable one in front of it.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::Plain,
    }
}

/// The name of a kind of file that holds no text, by its first bytes; none for text and for what is not known.
///
/// Why: any bytes can be cut at newlines, and of a compressed or binary file that makes events of garbage.
pub fn known_as(head: &[u8]) -> Option<&'static str> {
    Some(match head {
        [0x1f, 0x8b, 8, ..] => "gzip",
        [0x1f, 0x9d, bits, ..] if (9..=16).contains(&(bits & 0x1f)) => "compress (.Z)",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "Zstandard",
        // The first block's magic stands behind the level; that of an empty file's end likewise.
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => "bzip2",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "xz",
        [0x04, 0x22, 0x4d, 0x18, ..] | [0x02, 0x21, 0x4c, 0x18, ..] => "LZ4",
        [0x89, b'L', b'Z', b'O', 0, ..] => "lzop",
        [0xff, 6, 0, 0, b's', b'N', b'a', b'P', b'p', b'Y', ..] => "framed Snappy",
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => "7z",
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => "zip",
        [b'P', b'A', b'R', b'1', 0x15, ..] => "Parquet",
        [b'O', b'b', b'j', 1, ..] => "Avro",
        // Its signature goes on with CR LF, which a line does not have.
        [0x89, b'P', b'N', b'G', ..] => "PNG",
        [b'%', b'P', b'D', b'F', b'-', ..] => "PDF",
        [0x7f, b'E', b'L', b'F', ..] => "ELF",
        [b'S', b'E', b'Q', 4..=6, ..] => "a SequenceFile",
        [b'S', b'Q', b'L', b'i', b't', b'e', b' ', b'f', b'o', b'r', b'm', b'a', b't', b' ', b'3', 0, ..] => "SQLite",
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => "UTF-32",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16",
        _ if is_utf16(head) => "UTF-16",
        _ => return None,
    })
}

/// The same for compressed files that Sluice does not inflate, whose bytes are of no use as stored.
pub fn packed_as(head: &[u8]) -> Option<&'static str> {
    let packed = ["compress (.Z)", "bzip2", "xz", "LZ4", "lzop", "framed Snappy", "7z", "zip"];
    known_as(head).filter(|name| packed.contains(name))
}

/// True if one of the first two bytes is zero, as in plain Latin text in UTF-16 without a byte order mark.
fn is_utf16(head: &[u8]) -> bool {
    matches!(head, [0, other, ..] | [other, 0, ..] if *other != 0)
}

/// Counts of records that lack a field that was named for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// Records without the field of the payload: events without a payload.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub payload: u64,
    /// Records without the field of the key: events without a key.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub key: u64,
    /// Records without the field of the time, or with a null there: events with the time of their import.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub time: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over what it skips by reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Lacking {
    /// The named fields that a record lacks.
    pub fn of(fields: &FieldNames, decoded: &Decoded) -> Self {
        let lacks = |named: &Option<String>, absent: bool| u64::from(named.is_some() && absent);
        Self {
            payload: lacks(&fields.payload, decoded.payload == Value::Absent),
            key: lacks(&fields.key, decoded.key == Value::Absent),
            time: lacks(&fields.time, decoded.time.is_none()),
        }
    }

    /// True if no record lacks anything.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Lacking {
    fn add_assign(&mut self, other: Self) {
        self.payload = self.payload.saturating_add(other.payload);
        self.key = self.key.saturating_add(other.key);
        self.time = self.time.saturating_add(other.time);
    }
}

impl Sum for Lacking {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
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

    #[test]
    fn kinds_of_files_that_are_no_text() {
        for (head, name) in [
            (&b"\x1f\x8b\x08\0"[..], "gzip"),
            (b"\x28\xb5\x2f\xfd\0", "Zstandard"),
            (b"BZh91AY&SY\x01", "bzip2"),
            (b"BZh9\x17\x72\x45\x38\x50\x90\0\0\0\0", "bzip2"),
            (b"\xfd7zXZ\0\0\x04", "xz"),
            (b"\x04\x22\x4d\x18\x64", "LZ4"),
            (b"PK\x03\x04", "zip"),
            (b"PAR1\x15\x04", "Parquet"),
            (b"\x89PNG\r\n\x1a\n\0", "PNG"),
            (b"%PDF-1.7\n", "PDF"),
            (b"\x7fELF\x02", "ELF"),
            (b"Obj\x01\x04", "Avro"),
            (b"\xff\xfe1\0", "UTF-16"),
            (b"\xfe\xff\x001", "UTF-16"),
            (b"\xff\xfe\0\x001\0\0\0", "UTF-32"),
            (b"1\x002\0", "UTF-16"),
            (b"\x001\x002", "UTF-16"),
        ] {
            assert_eq!(known_as(head), Some(name), "{head:?}");
        }
        for text in [&b""[..], b"\0", b"\0\0", b"BZh9 is no bzip2", b"PAR1,2,3", b"a", b"\xef\xbb\xbftext", b"ab\0c"] {
            assert_eq!(known_as(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_a_record_lacks_is_counted_by_field() {
        let name = |name: &str| Some(name.to_owned());
        let fields = FieldNames { payload: name("p"), key: name("k"), time: None };
        let record = |payload: Value, key: Value| Decoded {
            sequence: None,
            time: None,
            key,
            headers: Vec::new(),
            payload,
            after: crate::Place::default(),
        };
        let all = [
            record(Value::Absent, Value::from("k")),
            record(Value::Null, Value::Absent),
            record(Value::from(""), Value::Absent),
        ];
        let lacking: Lacking = all.iter().map(|record| Lacking::of(&fields, record)).sum();
        assert_eq!(lacking, Lacking { payload: 1, key: 2, time: 0 });
        assert_eq!(serde_json::to_string(&lacking).unwrap(), r#"{"payload":1,"key":2}"#);
        assert_eq!(serde_json::from_str::<Lacking>("{}").unwrap(), Lacking::default());
    }
}
