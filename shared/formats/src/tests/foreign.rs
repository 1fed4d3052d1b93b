//! Foreign files: lines and lines of JSON.

use sluice_transfer::{FieldNames, ForeignFiles, SourceFormat};

use super::*;
use crate::compress::Compressor;
use crate::foreign_decoder;

pub(super) fn names(payload: &str, key: &str, time: &str) -> FieldNames {
    let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    FieldNames { payload: name(payload), key: name(key), time: name(time) }
}

pub(super) fn decoder(format: SourceFormat, fields: &FieldNames, compression: Compression) -> Box<dyn Decoder> {
    let files = ForeignFiles { format, inflate: true, fields: fields.clone() };
    foreign_decoder(&files, compression).unwrap()
}

/// Of what is not compressed, or says so itself.
pub(super) fn read(
    format: SourceFormat,
    fields: &FieldNames,
    object: &[u8],
    sizes: &[usize],
) -> Result<Vec<Decoded>, UnpackError> {
    read_from(decoder(format, fields, Compression::Plain), object, None, sizes)
}

pub(super) fn payloads(decoded: &[Decoded]) -> Vec<&[u8]> {
    decoded.iter().map(|event| event.payload.as_slice()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lines_are_what_stands_between_newlines(
        text in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(b'\r')], 0..300),
        cuts in proptest::collection::vec(1_usize..120, 1..5),
    ) {
        let mut wanted: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        let last = wanted.pop().unwrap();
        // CR LF is an end as LF is, and what has no end is a line if it is not empty.
        for line in &mut wanted {
            *line = line.strip_suffix(b"\r").unwrap_or(line);
        }
        wanted.extend(Some(last).filter(|last| !last.is_empty()));
        prop_assume!(sluice_transfer::known_as(&text).is_none() && !text.starts_with("\u{feff}".as_bytes()));
        prop_assume!(wanted.first().is_none_or(|first| sluice_transfer::known_as(first).is_none()));
        for compression in [Compression::Plain, Compression::Zstd, Compression::Gzip] {
            // Frames end where they like, also within a line.
            let object = match Compressor::new(compression) {
                None => text.clone(),
                Some(mut compressor) => text.chunks(cuts[0]).flat_map(|frame| compressor.compress(frame).to_vec()).collect(),
            };
            let lines = || decoder(SourceFormat::Lines, &FieldNames::default(), compression);
            let whole = read_from(lines(), &object, None, &cuts).unwrap();
            prop_assert_eq!(payloads(&whole), wanted.clone());
            for (index, event) in whole.iter().enumerate() {
                let rest = read_from(lines(), &object, Some(event.after), &cuts).unwrap();
                prop_assert_eq!(payloads(&rest), wanted[index + 1..].to_vec());
            }
            if !wanted.is_empty() {
                prop_assert_eq!(whole.last().unwrap().after, Place { offset: object.len() as u64, within: 0 });
            }
        }
    }
}

#[test]
fn fields_of_lines_of_json() {
    let text = concat!(
        r#"{"body": {"a": [1, 2]}, "meta": {"id": "k\u0031", "at": 1795593600}}"#,
        "\n  \n",
        r#"{"meta": {"id": 7, "at": "2026-11-25T08:00:00Z"}, "body": "text \"quoted\" \n"}"#,
        "\r\n",
        r#"{"body": null, "meta": {"at": null}}"#,
        "\n",
        r#"{"other": true, "meta": 5, "body": 1, "body": 2.50}"#,
    );
    let json = SourceFormat::Jsonl;
    let events = read(json, &names("body", "meta.id", "meta.at"), text.as_bytes(), &[3]).unwrap();
    let time: Timestamp = "2026-11-25T08:00:00Z".parse().unwrap();
    let found: Vec<_> = events.iter().map(|event| (event.payload.clone(), event.key.clone(), event.time)).collect();
    assert_eq!(
        found,
        [
            (Value::from(r#"{"a": [1, 2]}"#), Value::from("k1"), Some(time)),
            (Value::from("text \"quoted\" \n"), Value::from("7"), Some(time)),
            (Value::Null, Value::Absent, None),
            (Value::from("2.50"), Value::Absent, None),
        ]
    );
    let marked = format!("\u{feff}{text}");
    let the_same = read(json, &names("body", "meta.id", "meta.at"), marked.as_bytes(), &[1_000]).unwrap();
    assert!(the_same.iter().zip(&events).all(|(one, other)| one.payload == other.payload), "a mark in front is none");
    let whole = read(json, &names("", "other", ""), marked.as_bytes(), &[1_000]).unwrap();
    assert_eq!(whole[0].payload, Value::from(text.lines().next().unwrap()));
    let within = text.replacen('\n', "\n\u{feff}", 1);
    assert!(read(json, &names("body", "", ""), within.as_bytes(), &[1_000]).is_err());
    let keyed = read(json, &names("", "other", ""), text.as_bytes(), &[1_000]).unwrap();
    assert_eq!(keyed[3].payload, Value::from(text.lines().last().unwrap()), "the whole line");
    assert_eq!(keyed[3].key, Value::from("true"));
    let own = read(json, &FieldNames::default(), text.as_bytes(), &[1_000]).unwrap_err();
    assert!(own.to_string().contains("unknown field"), "then lines are Sluice's own: {own}");
    assert!(foreign_decoder(&ForeignFiles::default(), Compression::Plain).is_none(), "raw bytes hold no events");
}

#[test]
fn lines_that_are_no_records_are_named() {
    let json = SourceFormat::Jsonl;
    let deep = format!("{{\"a\":{}", "[".repeat(1 << 20));
    for (line, why) in [
        ("[1]", "line 2, column 1: the line is no event: it is no JSON object, but a list"),
        ("5", "JSON object"),
        ("{", "EOF"),
        ("{,}", "line 2, column 2"),
        (r#"{"t":"noon"}"#, "RFC 3339"),
        (r#"{"t":{}}"#, "neither a number"),
        (r#"{"t":"9999-12-31T23:59:59-01:00"}"#, "outside the years 0 to 9999"),
        (r#"{"t":1e300}"#, "outside the years 0 to 9999"),
        (r#"{"a":"\ud80"}"#, "line 2, column"),
        (&deep, "the line is no event"),
    ] {
        let text = format!("{{}}\n{line}\n");
        for sizes in [&[7][..], &[1], &[1_000_000_000]] {
            let error = read(json, &names("a", "", "t"), text.as_bytes(), sizes).unwrap_err().to_string();
            assert!(error.contains("at byte 3: line 2,") && error.contains(why), "{error}");
        }
    }
    let error = read(json, &names("a", "", ""), b"{\"a\":\"\xff\"}\n", &[9]).unwrap_err().to_string();
    assert!(error.contains("line 1, column 7: the line is no event: it is not UTF-8"), "{error}");
    // If reading began elsewhere, a line has no number, but its byte offset is known.
    let from = Some(Place { offset: 3, within: 0 });
    let lines = decoder(json, &names("a", "", ""), Compression::Plain);
    let error = read_from(lines, b"{}\n{,}\n", from, &[9]).unwrap_err().to_string();
    assert!(error.starts_with("damaged at byte 3: column 2: the line is no event"), "{error}");
    // Sluice's own lines are counted likewise.
    let error = read(json, &FieldNames::default(), b"{\n", &[9]).unwrap_err().to_string();
    assert!(error.contains("line 1, column 1"), "{error}");
}

#[test]
fn values_follow_each_other_without_a_newline() {
    let values: Vec<String> = (0..300).map(|n| format!(r#"{{"n": {n}, "t": "{{\"}}{}"}}"#, "x".repeat(n))).collect();
    let wanted: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let fields = names("n", "t", "");
    for (between, behind) in [("", ""), (" ", "\n"), ("", "\r\n"), ("\n", ""), (" \r\n\t ", " ")] {
        let text = format!("{}{behind}", values.join(between)).into_bytes();
        for compression in [Compression::Plain, Compression::Zstd, Compression::Gzip] {
            let object = match Compressor::new(compression) {
                None => text.clone(),
                Some(mut compressor) => {
                    text.chunks(777).flat_map(|frame| compressor.compress(frame).to_vec()).collect()
                }
            };
            let lines = || decoder(SourceFormat::Jsonl, &fields, compression);
            for sizes in [&[1_000_000][..], &[13], &[1, 999]] {
                let whole = read_from(lines(), &object, None, sizes).unwrap();
                assert_eq!(payloads(&whole), wanted.iter().map(String::as_bytes).collect::<Vec<_>>());
                assert!(whole.is_sorted_by(|a, b| a.after < b.after));
                for index in [0, 1, 150, 298, 299] {
                    let rest = read_from(lines(), &object, Some(whole[index].after), sizes).unwrap();
                    assert_eq!(payloads(&rest), payloads(&whole[index + 1..]), "{between:?}, {compression:?}, {index}");
                }
            }
        }
    }
    // An error is reported after all events before it, wherever the pieces end.
    for sizes in [&[1_000][..], &[1], &[5, 2]] {
        let mut decoder = decoder(SourceFormat::Jsonl, &fields, Compression::Plain);
        let (mut rest, mut sizes, mut found) =
            (Bytes::from_static(b"{\"n\":1}{\"n\":2}x{\"n\":3}\n"), sizes.iter().cycle(), 0);
        let error = loop {
            match decoder.next() {
                Ok(Some(_)) => found += 1,
                Ok(None) => decoder.feed(rest.split_to(rest.len().min(*sizes.next().unwrap()))),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(found, 2);
        assert!(error.starts_with("damaged at byte 14: line 1, column 15: the line is no event"), "{error}");
    }
}

#[test]
fn names_with_dots_are_found_where_no_field_within_is() {
    let key = |record: &str, path: &str| {
        let text = format!("{record}\n");
        let events = read(SourceFormat::Jsonl, &names("", path, ""), text.as_bytes(), &[1_000]).unwrap();
        events[0].key.clone()
    };
    for (record, wanted) in [
        (r#"{"log.level":"INFO"}"#, Value::from("INFO")),
        (r#"{"log":{"level":"nested"},"log.level":"flat"}"#, Value::from("nested")),
        (r#"{"log":{"other":1},"log.level":"flat"}"#, Value::from("flat")),
        (r#"{"log":"text","log.level":null}"#, Value::Null),
        (r#"{"log.level":1,"log.level":2}"#, Value::from("2")),
        (r#"{"log":1}"#, Value::Absent),
    ] {
        assert_eq!(key(record, "log.level"), wanted, "{record}");
    }
    assert_eq!(key(r#"{"a.b":{"c":{"d.e":7}}}"#, "a.b.c.d.e"), Value::from("7"));
    assert_eq!(key(r#"{"a":{"b.c":{"d":{}}},"a.b.c":{"d":{"e":8}}}"#, "a.b.c.d.e"), Value::from("8"));
}

#[test]
fn half_a_surrogate_pair_becomes_a_mark() {
    let text = concat!(
        r#"{"p":"a\ud83d","k":"\ude00b"}"#,
        "\n",
        r#"{"\ud83d":1,"p":"\ud83d\ude00 \ud83dx\ud83d\ud83d \u00ed\u00a0 \ud000","k":{"x":"\ud83d"}}"#,
        "\n"
    );
    let events = read(SourceFormat::Jsonl, &names("p", "k", ""), text.as_bytes(), &[1_000]).unwrap();
    assert_eq!(events[0].payload, Value::from("a\u{fffd}"));
    assert_eq!(events[0].key, Value::from("\u{fffd}b"));
    let marked = "\u{1f600} \u{fffd}x\u{fffd}\u{fffd} \u{ed}\u{a0} \u{d000}";
    assert_eq!(events[1].payload, Value::from(marked));
    assert_eq!(events[1].key, Value::from(r#"{"x":"\ud83d"}"#), "what is no text stays as it stands");
}

#[test]
fn marks_and_ends_of_lines_are_the_same_in_every_format_of_lines() {
    let own = r#"{"shard":"0","sequence":"1","time":"2026-11-25T08:00:00Z","payload":1}"#;
    for (format, fields, line, payload) in [
        (SourceFormat::Lines, FieldNames::default(), "one", "one"),
        (SourceFormat::Jsonl, names("p", "", ""), r#"{"p":"one"}"#, "one"),
        (SourceFormat::Jsonl, names("", "p", ""), r#"{"p":"one"}"#, r#"{"p":"one"}"#),
        (SourceFormat::Jsonl, FieldNames::default(), own, "1"),
    ] {
        for sizes in [&[1_000][..], &[1], &[2]] {
            let plain = read(format, &fields, format!("{line}\n{line}\n").as_bytes(), sizes).unwrap();
            assert_eq!(payloads(&plain), [payload.as_bytes(); 2]);
            let marked = read(format, &fields, format!("\u{feff}{line}\r\n{line}\r\n").as_bytes(), sizes).unwrap();
            assert_eq!(payloads(&marked), [payload.as_bytes(); 2], "{format:?}, {sizes:?}");
        }
    }
    let lines = read(SourceFormat::Lines, &FieldNames::default(), b"a\r\r\n\r\nb\rc\nd\r", &[1_000]).unwrap();
    assert_eq!(payloads(&lines), [&b"a\r"[..], b"", b"b\rc", b"d\r"], "only CR LF is an end");
}

#[test]
fn what_is_no_text_is_refused_by_name_unless_it_is_to_be_taken_as_it_is() {
    let gzip = |bytes: &[u8]| Compressor::new(Compression::Gzip).unwrap().compress(bytes).to_vec();
    let bzip2 = include_bytes!("../../../../tests/golden/foreign/digits.bz2");
    let utf16: Vec<u8> = "a\nb\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&[0xff, 0xfe][..], &utf16].concat();
    let many = [&bzip2[..], &vec![7; 65 << 20]].concat();
    for (object, compression, why) in [
        (&bzip2[..], Compression::Plain, "it is bzip2, not text"),
        (include_bytes!("../../../../tests/golden/foreign/digits.xz"), Compression::Plain, "it is xz, not text"),
        (&gzip(b"text"), Compression::Plain, "it is gzip, not text"),
        (&gzip(&gzip(b"text")), Compression::Gzip, "it is gzip within gzip, not text"),
        (&utf16, Compression::Plain, "convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)"),
        (&marked, Compression::Plain, "it is UTF-16"),
        (b"Obj\x01\x04\n", Compression::Plain, "say format avro"),
        (&many, Compression::Plain, "it is bzip2, not text"),
    ] {
        for (format, fields) in [
            (SourceFormat::Lines, FieldNames::default()),
            (SourceFormat::Jsonl, FieldNames::default()),
            (SourceFormat::Jsonl, names("p", "", "")),
        ] {
            let error = read_from(decoder(format, &fields, compression), object, None, &[]).unwrap_err();
            assert!(matches!(&error, UnpackError::Unsupported { .. }) && error.to_string().contains(why), "{error}");
        }
    }
    let files = ForeignFiles { format: SourceFormat::Lines, inflate: false, fields: FieldNames::default() };
    let as_it_is = read_from(foreign_decoder(&files, Compression::Plain).unwrap(), &marked, None, &[]).unwrap();
    assert_eq!(payloads(&as_it_is), marked.split(|byte| *byte == b'\n').collect::<Vec<_>>());
    let error = read(SourceFormat::Avro, &names("p", "", ""), bzip2, &[]).unwrap_err().to_string();
    assert!(error.contains("it is bzip2, not an Avro object container file"), "{error}");
}

#[test]
fn frames_that_need_what_is_not_there_are_named() {
    let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
    writer.set_parameter(zstd::stream::raw::CParameter::WindowLog(28)).unwrap();
    std::io::Write::write_all(&mut writer, b"text\n").unwrap();
    let long = writer.finish().unwrap();
    // One segment of four bytes, compressed with the dictionary of the id 7; a block of these as they are.
    let with_dictionary = b"\x28\xb5\x2f\xfd\x21\x07\x04\x21\0\0text".to_vec();
    for (object, why) in [(&long, "window of more than 128 MiB"), (&with_dictionary, "with a dictionary")] {
        for sizes in [&[1_000][..], &[1], &[3]] {
            let lines = decoder(SourceFormat::Lines, &FieldNames::default(), Compression::Zstd);
            let error = read_from(lines, object, None, sizes).unwrap_err();
            assert!(matches!(&error, UnpackError::Unsupported { .. }) && error.to_string().contains(why), "{error}");
        }
    }
}
