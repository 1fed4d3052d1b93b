//! Which payloads stand in a line as they are.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// How deep arrays and objects may lie in each other: a line adds one, and readers stop at 100 and more.
const DEPTH: u32 = 64;

/// The text of a payload that every JSON reader takes for the same value, and that comes back byte for byte: no line
/// break, which would end the line; nothing around it, which a reader drops; not `null`, which means another thing.
pub(super) fn embeddable(payload: &[u8]) -> Option<&str> {
    let (first, last) = (payload.first()?, payload.last()?);
    let begins = matches!(first, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f');
    if !begins || last.is_ascii_whitespace() || memchr::memchr2(b'\n', b'\r', payload).is_some() {
        return None;
    }
    let text = std::str::from_utf8(payload).ok()?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let sound = Sound { left: DEPTH }.deserialize(&mut reader).and_then(|()| reader.end());
    sound.ok().map(|()| text)
}

/// JSON whose strings are Unicode, whose numbers are finite, and which is not deeper than this.
#[derive(Clone, Copy)]
struct Sound {
    left: u32,
}

impl Sound {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1).ok_or_else(|| E::custom("it is too deep"))?;
        Ok(Self { left })
    }
}

impl<'de> DeserializeSeed<'de> for Sound {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Sound {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let within = self.deeper()?;
        while items.next_element_seed(within)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let within = self.deeper()?;
        while fields.next_key_seed(within)?.is_some() {
            fields.next_value_seed(within)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_reader_takes_stands_in_place() {
        let deepest = format!("{}{}", "[".repeat(64), "]".repeat(64));
        for text in [
            "{}",
            "[]",
            "0",
            "-1.5e3",
            "true",
            "false",
            r#""""#,
            r#""ä\u00e4\ud83d\ude00""#,
            r#"{ "a" : [ 1 , null ] }"#,
            "123456789012345678901234567890",
            r#"{"a":1,"a":2}"#,
            "\"\u{2028}\"",
            &deepest,
        ] {
            assert_eq!(embeddable(text.as_bytes()), Some(text));
        }
    }

    #[test]
    fn what_may_come_back_otherwise_does_not() {
        let deeper = format!("{}{}", "[".repeat(65), "]".repeat(65));
        let endless = "[".repeat(1 << 20);
        for text in [
            "",
            " ",
            "null",
            " 1",
            "1 ",
            "1\t",
            "[1,\n2]",
            "[1,\r2]",
            "01",
            "+1",
            "NaN",
            "1e999",
            "-1e999",
            "{",
            "{}{}",
            "1 2",
            "'a'",
            r#""\ud800""#,
            r#""\udc00a""#,
            "\"\u{1}\"",
            r#"{"\ud800":1}"#,
            "nul",
            "tru",
            "\u{feff}1",
            &deeper,
            &endless,
        ] {
            assert_eq!(embeddable(text.as_bytes()), None, "{:?}", &text[..text.len().min(20)]);
        }
        assert_eq!(embeddable(b"\"\xff\""), None);
    }
}
