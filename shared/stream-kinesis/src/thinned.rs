//! The JSON of an answer without its payloads: they are most of it, and a parser looks at each of their bytes.
//!
//! **Invariant.** A text is cut out as a whole, and nothing between texts is. So what is left is JSON exactly if the answer
//! is, but for what stands in the payloads, which the decoder of base 64 looks at.

use std::borrow::Cow;
use std::io::Write;

use memchr::memchr2;
use memchr::memmem::Finder;

/// In front of a payload. No text has these bytes: a quote in a text has a backslash in front, so the second one here ends
/// a name, and the third one begins its value.
const FRONT: &[u8] = b"\"Data\":\"";
/// In front of the number of a payload that was cut out. Base 64 has no such character.
const MARK: u8 = b'#';
/// Shorter payloads are left where they are: a parser is as fast. If the first one is so, all are.
const SHORTEST: usize = 512;

/// An answer without its payloads.
pub(crate) struct Thinned<'a> {
    /// What is left: in place of each payload its number.
    pub rest: Cow<'a, [u8]>,
    payloads: Vec<&'a [u8]>,
}

impl<'a> Thinned<'a> {
    pub(crate) fn of(body: &'a [u8]) -> Self {
        let (mut rest, mut payloads) = (Vec::with_capacity(body.len() / 4), Vec::new());
        let (finder, mut left) = (Finder::new(FRONT), body);
        while let Some(at) = finder.find(left) {
            let (front, text) = left.split_at(at + FRONT.len());
            rest.extend_from_slice(front);
            left = text;
            // One with escapes is the parser's.
            let end = memchr2(b'"', b'\\', text).filter(|end| text[*end] == b'"' && *end >= SHORTEST);
            if let Some(end) = end {
                rest.push(MARK);
                // Into memory.
                let _ = write!(rest, "{}", payloads.len());
                payloads.push(&text[..end]);
                left = &text[end..];
            } else if payloads.is_empty() || text.first() == Some(&MARK) {
                // Nothing is cut out, so what looks like a number stands for no payload.
                payloads.clear();
                return Self { rest: Cow::Borrowed(body), payloads };
            }
        }
        rest.extend_from_slice(left);
        Self { rest: Cow::Owned(rest), payloads }
    }

    /// The payload that a text of the rest stands for, in base 64; none if it was never cut out.
    pub(crate) fn payload<'b>(&self, text: &'b str) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        match text.strip_prefix(char::from(MARK)) {
            Some(number) => self.payloads.get(number.parse::<usize>().ok()?).copied(),
            None => Some(text.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The JSON with the payloads in their places again.
    fn whole(thinned: &Thinned<'_>) -> Option<Value> {
        fn put_back(thinned: &Thinned<'_>, value: &mut Value) -> Option<()> {
            match value {
                Value::String(text) if text.starts_with('#') => {
                    let payload = thinned.payload(text).expect("a payload that was cut out");
                    *text = String::from_utf8(payload.to_vec()).ok()?;
                    Some(())
                }
                Value::Array(all) => all.iter_mut().try_for_each(|value| put_back(thinned, value)),
                Value::Object(all) => all.values_mut().try_for_each(|value| put_back(thinned, value)),
                _ => Some(()),
            }
        }
        let mut value = serde_json::from_slice(&thinned.rest).ok()?;
        put_back(thinned, &mut value).map(|()| value)
    }

    /// Texts without marks, among them what looks like the front of a payload.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[^#]{0,80}",
            Just("\"Data\":\"".to_owned()),
            Just("Data".to_owned()),
            "[A-Za-z0-9+/]{500,600}={0,2}"
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![text().prop_map(Value::from), any::<i32>().prop_map(Value::from), Just(Value::Null)];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((prop_oneof![Just("Data".to_owned()), text()], inner), 0..6)
                    .prop_map(|all| Value::Object(all.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// For any JSON, spelt in both ways.
        #[test]
        fn what_was_cut_out_can_be_put_back(value in value(), pretty: bool) {
            let body = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
            prop_assert_eq!(whole(&Thinned::of(&body)), Some(value));
        }

        /// Bytes left out anywhere: what was JSON no longer is, or is other JSON; the rest tells the same.
        #[test]
        fn what_is_no_json_stays_so(value in value(), at: prop::sample::Index, count in 1_usize..4) {
            let mut body = value.to_string().into_bytes();
            let at = at.index(body.len());
            body.drain(at..body.len().min(at + count));
            prop_assert_eq!(whole(&Thinned::of(&body)), serde_json::from_slice(&body).ok());
        }
    }

    #[test]
    fn long_payloads_are_cut_out_and_no_others() {
        let long = "A".repeat(SHORTEST);
        let body = json!([{ "Data": long }, { "Data": "QQ==" }, { "Data": format!("{long}\\") }, { "Other": long }]);
        let body = body.to_string();
        let thinned = Thinned::of(body.as_bytes());
        assert_eq!(thinned.payloads, [long.as_bytes()]);
        assert_eq!(*thinned.rest, *body.replacen(&long, "#0", 1).as_bytes());
        assert_eq!(thinned.payload("#1"), None);
        assert_eq!(thinned.payload("#x"), None);
        assert_eq!(thinned.payload("QQ=="), Some(&b"QQ=="[..]));
        let body = json!([{ "Data": "QQ==" }, { "Data": long }]).to_string();
        assert_eq!(*Thinned::of(body.as_bytes()).rest, *body.as_bytes(), "where the first is short");
    }
}
