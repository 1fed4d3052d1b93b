//! Values of the port in the form in which S3 writes them, and back.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sluice_ports::{Error, ErrorKind, Metadata, Result};
use sluice_transfer::limits::PARTS_PER_OBJECT;
use sluice_transfer::{Checksum, UploadId, check_key, check_readable};

/// A checksum as `x-amz-checksum-crc64nvme` has it: eight bytes, the highest first, in base64.
pub(crate) fn crc(checksum: Checksum) -> String {
    STANDARD.encode(checksum.crc.to_be_bytes())
}

/// A checksum of `len` bytes. None if it is none of bytes but of checksums: those end with a dash and the number of
/// parts.
pub(crate) fn checksum(crc: &str, len: u64) -> Option<Checksum> {
    let bytes = <[u8; 8]>::try_from(STANDARD.decode(crc).ok()?).ok()?;
    Some(Checksum { crc: u64::from_be_bytes(bytes), len })
}

/// Bytes of an etag or of an upload's name; Amazon's own have less than 200. They go on record.
const NAME_BYTES: usize = 2_048;

/// Whether a service may call something so.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len())
}

/// An etag without the quotes in which it came.
pub(crate) fn etag(quoted: &str) -> String {
    let bare = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    bare.unwrap_or(quoted).to_owned()
}

/// An etag as S3 wants to read it.
pub(crate) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// A number of bytes as the SDK has it.
pub(crate) fn size(bytes: Option<i64>) -> Option<u64> {
    bytes.and_then(|bytes| u64::try_from(bytes).ok())
}

/// A key to write to.
pub(crate) fn key(key: &str) -> Result<()> {
    check_key(key).map_err(|error| invalid(error.to_string()))
}

/// A key to read: others may have chosen it, by the rules of S3.
pub(crate) fn readable(key: &str) -> Result<()> {
    check_readable(key).map_err(|error| invalid(error.to_string()))
}

/// A key as a listing has it that was asked to encode keys as in a URL, since XML has no way to write all of them
/// (Amazon S3 API reference, `ListObjectsV2`, `EncodingType`). None if it is no text.
pub(crate) fn decoded(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A part's number.
pub(crate) fn number(key: &str, number: u64) -> Result<i32> {
    match i32::try_from(number) {
        Ok(small) if (1..=PARTS_PER_OBJECT).contains(&number) => Ok(small),
        _ => Err(invalid(format!("{key}: there is no part {number}"))),
    }
}

/// An upload's name; none if S3 cannot have given it. An empty one would make another request of a part: a put.
pub(crate) fn upload(id: &UploadId) -> Option<&str> {
    let UploadId(id) = id;
    (is_name(id) && id.bytes().all(|byte| byte.is_ascii_graphic())).then_some(id.as_str())
}

/// The checksum is of as many bytes as there are. Whether it is theirs S3 finds.
pub(crate) fn as_long(key: &str, bytes: &[u8], checksum: Checksum) -> Result<()> {
    let len = bytes.len() as u64;
    if len == checksum.len {
        return Ok(());
    }
    Err(invalid(format!("{key}: {len} bytes came with a checksum of {}", checksum.len)))
}

/// Metadata as headers. Values that are no plain ASCII, or that begin or end with a space, are escaped as in a URL,
/// since S3 gives those back in another form (Amazon S3 user guide, "Working with object metadata").
pub(crate) fn headers(key: &str, metadata: &Metadata) -> Result<HashMap<String, String>> {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
    };
    if let Some(name) = metadata.keys().find(|name| !is_name(name)) {
        return Err(invalid(format!("{key}: '{}' is no name for metadata", name.escape_debug())));
    }
    Ok(metadata.iter().map(|(name, value)| (name.clone(), escaped(value))).collect())
}

fn escaped(value: &str) -> String {
    let last = value.len().saturating_sub(1);
    let mut out = String::with_capacity(value.len());
    for (at, byte) in value.bytes().enumerate() {
        let inner_space = byte == b' ' && at > 0 && at < last;
        if inner_space || (byte.is_ascii_graphic() && byte != b'%') {
            out.push(char::from(byte));
        } else {
            out.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    out
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or_default().to_ascii_uppercase()
}

/// The value that a header stands for; itself, if it is none of ours.
pub(crate) fn unescaped(header: &str) -> String {
    let mut pieces = header.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let byte = piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let Some(byte) = byte else { return header.to_owned() };
        bytes.push(byte);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap_or_else(|_| header.to_owned())
}

pub(crate) fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_written_as_s3_does() {
        let sum = Checksum { crc: 0xae8b_1486_0a79_9888, len: 9 };
        assert_eq!(crc(sum), "rosUhgp5mIg=");
        assert_eq!(checksum("rosUhgp5mIg=", 9), Some(sum));
        for other in ["rosUhgp5mIg=-2", "rosUhgp5mIg", "AAAA", "", "~"] {
            assert_eq!(checksum(other, 9), None, "{other}");
        }
    }

    #[test]
    fn keys_of_a_listing_are_decoded() {
        for (encoded, key) in [
            ("a/b", Some("a/b")),
            ("a+b%2Bc%25", Some("a b+c%")),
            ("%01%0A//%5C", Some("\u{1}\n//\\")),
            ("z%C3%BCrich", Some("zürich")),
            ("zürich", Some("zürich")),
            ("%FF", None),
            ("%", None),
            ("%1", None),
            ("%ü1", None),
            ("%zz", None),
        ] {
            assert_eq!(decoded(encoded).as_deref(), key, "{encoded}");
        }
    }

    #[test]
    fn etags_lose_their_quotes_once() {
        for (came, kept) in [("\"a-1\"", "a-1"), ("a-1", "a-1"), ("\"\"a\"\"", "\"a\""), ("\"", "\"")] {
            assert_eq!(etag(came), kept);
        }
        assert_eq!(etag(&quoted("a-1")), "a-1");
    }

    #[test]
    fn only_names_that_s3_gives_are_uploads() {
        for (id, is_one) in [("VXBsb2Fk.a_b-c~", true), ("", false), ("ü\0", false), ("a b", false), ("a\n", false)] {
            assert_eq!(upload(&UploadId(id.to_owned())).is_some(), is_one, "{id:?}");
        }
    }

    #[test]
    fn metadata_are_plain_headers() {
        for (value, header) in [
            ("after 4/2 (x)", "after 4/2 (x)"),
            ("", ""),
            (" ", "%20"),
            (" a b ", "%20a b%20"),
            ("zürich", "z%C3%BCrich"),
            ("100%", "100%25"),
            ("a\r\nb", "a%0D%0Ab"),
        ] {
            let metadata = Metadata::from([("sluice-from".to_owned(), value.to_owned())]);
            assert_eq!(headers("k", &metadata).unwrap()["sluice-from"], header);
            assert_eq!(unescaped(header), value);
        }
        for foreign in ["100%", "%zz", "%ü", "%FF"] {
            assert_eq!(unescaped(foreign), foreign);
        }
        for name in ["A", "", "a b", "ü"] {
            let metadata = Metadata::from([(name.to_owned(), String::new())]);
            assert_eq!(headers("k", &metadata).unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
        }
    }
}
