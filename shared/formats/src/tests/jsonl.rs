//! Lines of JSON: what they look like, back and forth, and broken ones.

use serde_json::Value as Json;
use sluice_transfer::limits::{EVENT_BYTES, HEADERS};

use super::*;
use crate::lines::LINE_BYTES;
use crate::{JsonlDecoder, JsonlEncoder};

const ALL: [Compression; 3] = [Compression::Plain, Compression::Zstd, Compression::Gzip];

fn lines_of(compression: Compression, events: &[Event]) -> Vec<u8> {
    encode(&mut JsonlEncoder::new(&seed().shard, compression), 0, events)
}

fn read(object: &[u8]) -> Result<Vec<Decoded>, UnpackError> {
    read_from(Box::new(JsonlDecoder::new(Compression::Plain)), object, None, &[])
}

fn line(event: &Event) -> String {
    let line = String::from_utf8(lines_of(Compression::Plain, std::slice::from_ref(event))).unwrap();
    line.strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn what_a_line_looks_like() {
    let event = Event {
        time: Timestamp::from_micros(1_795_334_400_000_001),
        key: "eu".into(),
        headers: vec![
            Header { name: "trace \"id\"".to_owned(), value: Value::from(&b"\xff\x00"[..]) },
            Header { name: String::new(), value: Value::Null },
            Header { name: "none".to_owned(), value: Value::Absent },
        ],
        ..small(42, r#"{ "total" : 7.50 }"#)
    };
    assert_eq!(
        line(&event),
        concat!(
            r#"{"shard":"shardId-000000000003","sequence":"42","time":"2026-11-22T08:00:00.000001Z","key":"eu","#,
            r#""headers":[{"name":"trace \"id\"","valueBase64":"/wA="},{"name":"","value":null},{"name":"none"}],"#,
            r#""payload":{ "total" : 7.50 }}"#,
        )
    );
    let front = r#"{"shard":"shardId-000000000003","sequence":"1","time":"1970-01-01T00:00:00Z""#;
    for (payload, rest) in [
        (Value::Absent, ""),
        (Value::Null, r#","payload":null"#),
        (Value::from(""), r#","payloadBase64":"""#),
        (Value::from("null"), r#","payloadBase64":"bnVsbA==""#),
        (Value::from("text"), r#","payloadBase64":"dGV4dA==""#),
        (Value::from("\"text\""), r#","payload":"text""#),
        (Value::from("[1,\n2]"), r#","payloadBase64":"WzEsCjJd""#),
        (Value::from("7 "), r#","payloadBase64":"NyA=""#),
    ] {
        assert_eq!(line(&small(1, payload)), format!("{front}{rest}}}"));
    }
    for (key, rest) in [
        (Value::Null, r#","key":null"#),
        (Value::from(""), r#","key":"""#),
        (Value::from(&b"\xc3"[..]), r#","keyBase64":"ww==""#),
    ] {
        assert_eq!(line(&Event { key, ..small(1, Value::Absent) }), format!("{front}{rest}}}"));
    }
}

/// Payloads that are JSON, nearly JSON, or anything.
fn json_payload() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| Json::from(text).to_string()),
        "[ \\[\\]{}\",:0-9a-fnulrst\\\\\n\r-]{0,20}",
    ];
    let nested = leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
            proptest::collection::vec((any::<String>(), inner), 0..4).prop_map(|fields| {
                let fields: Vec<_> =
                    fields.iter().map(|(name, value)| format!("{}: {value}", Json::from(&name[..]))).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    });
    nested.prop_map(|text| Value::from(text.into_bytes()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn lines_are_the_inverse_however_they_are_fed(
        events in events(12),
        payloads in proptest::collection::vec(json_payload(), 0..12),
        sizes in proptest::collection::vec(prop_oneof![1_usize..40, 1_000_usize..100_000], 1..6),
    ) {
        let mut events = events;
        for (event, payload) in events.iter_mut().zip(payloads) {
            event.payload = payload;
        }
        for compression in ALL {
            let object = lines_of(compression, &events);
            let decoder = || Box::new(JsonlDecoder::new(compression));
            let whole = read_from(decoder(), &object, None, &[]).unwrap();
            assert_same(&whole, &events);
            prop_assert_eq!(whole.last().map_or(0, |last| last.after.offset), object.len() as u64);
            let fed = read_from(decoder(), &object, None, &sizes).unwrap();
            assert_same(&fed, &events);
            for (index, event) in fed.iter().enumerate() {
                let rest = read_from(decoder(), &object, Some(event.after), &sizes).unwrap();
                assert_same(&rest, &events[index + 1..]);
            }
            if compression == Compression::Plain {
                for line in object.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    prop_assert!(serde_json::from_slice::<Json>(line).is_ok(), "a foreign reader takes every line");
                }
            }
        }
    }

    #[test]
    fn no_line_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,60}", at in 0_usize..200) {
        let _ = read(&bytes);
        let mut object = lines_of(Compression::Plain, &[small(1, "{}"), small(2, "x")]);
        let at = at % object.len();
        object.splice(at..=at, text.bytes());
        let _ = read(&object);
    }
}

#[test]
fn what_is_no_event_is_named() {
    let event = |fields: &str| format!(r#"{{"shard":"0","sequence":"7","time":"2026-11-22T08:00:00Z"{fields}}}"#);
    let good = event(r#","payload":{}"#);
    let deep = event(&format!(r#","payload":{}{}"#, "[".repeat(1 << 20), "]".repeat(1 << 20)));
    let many = event(&format!(r#","headers":[{}{{"name":"n"}}]"#, r#"{"name":"n"},"#.repeat(HEADERS)));
    for (bad, why) in [
        (event(r#","colour":1"#), "unknown field `colour`"),
        (event(r#","payload":1,"payload":2"#), "duplicate field"),
        (event(r#","payload":1,"payloadBase64":"""#), "two payloads"),
        (event(r#","key":"a","keyBase64":"""#), "there twice"),
        (event(r#","keyBase64":"a""#), "base64"),
        (event(r#","key":1"#), "expected a string"),
        (event(r#","payload":"\ud8"#), "the line is no event"),
        (many, "10,000 headers"),
        (good.replace("\"7\"", "\"seven\""), "sequence is no number"),
        (good.replace("2026-11", "yesterday"), "time is none"),
        ("{}".to_owned(), "missing field `shard`"),
        ("[]".to_owned(), "the line is no event"),
        (String::new(), "the line is no event"),
        (good[..20].to_owned(), "the line is no event"),
    ] {
        let error = read(format!("{good}\n{bad}\n").as_bytes()).unwrap_err().to_string();
        assert!(error.contains(&format!("at byte {}", good.len() + 1)) && error.contains(why), "{error}");
    }
    assert!(read(deep.as_bytes()).unwrap_err().to_string().contains("no end"), "a line ends with a newline");
    let deep = read(format!("{deep}\n").as_bytes()).unwrap();
    assert_eq!(deep[0].payload.len(), 2 << 20, "what lies deep is the payload's own business");
}

#[test]
fn giant_lines_are_refused_and_large_events_are_not() {
    let largest = small(1, vec![0xfe; EVENT_BYTES]);
    assert_same(&read(&lines_of(Compression::Plain, std::slice::from_ref(&largest))).unwrap(), &[largest]);
    for compression in ALL {
        let object = match crate::compress::Compressor::new(compression) {
            None => vec![b' '; LINE_BYTES + 1],
            Some(mut compressor) => compressor.compress(&vec![b' '; LINE_BYTES + 1]).to_vec(),
        };
        let error = read_from(Box::new(JsonlDecoder::new(compression)), &object, None, &[100_000]).unwrap_err();
        assert!(matches!(error, UnpackError::TooLarge { offset: 0, .. }), "{error}");
    }
    let mut encoder = JsonlEncoder::new(&seed().shard, Compression::Plain);
    assert!(encoder.push(&small(1, vec![0; EVENT_BYTES + 1]), &mut Vec::new()).is_err());
}

#[test]
fn what_a_line_quotes_is_not_all_in_the_error() {
    let front = r#"{"shard":"0","sequence":"1","time":"1970-01-01T00:00:00Z""#;
    let long = "x".repeat(1_000_000);
    for line in [format!("{front},\"{long}\":1}}\n"), format!("{front},\"headers\":\"{long}\"}}\n")] {
        let error = read(line.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("the line is no event") && error.len() < 500, "{} bytes", error.len());
    }
}

#[test]
fn headers_past_the_limit_are_counted_and_not_built() {
    let front = r#"{"shard":"0","sequence":"1","time":"1970-01-01T00:00:00Z""#;
    let of = |header: &str, more: usize| {
        let headers = [r#"{"name":""}"#].repeat(HEADERS).into_iter().chain([header].repeat(more));
        format!("{front},\"headers\":[{}]}}\n", headers.collect::<Vec<_>>().join(","))
    };
    assert_eq!(read(of("", 0).as_bytes()).unwrap()[0].headers.len(), HEADERS);
    // What lies behind the first that is too many is only looked at as JSON: it could not be built.
    let error = read(of(r#"{"name":""},{"no":"header"}"#, 1_000).as_bytes()).unwrap_err();
    assert!(matches!(error, UnpackError::TooLarge { .. }), "{error}");
    assert!(matches!(read(of("{", 1).as_bytes()), Err(UnpackError::Damaged { .. })));
}
