//! Files of others: lines, lines of JSON, and Avro as the crate `apache-avro` writes it.

use apache_avro::types::Value as Theirs;
use sluice_transfer::{FieldNames, ForeignFiles, SourceFormat, Unpacked};

use super::*;
use crate::avro::varint::{put_long, put_size};
use crate::compress::Compressor;
use crate::foreign_decoder;

fn names(payload: &str, key: &str, time: &str) -> FieldNames {
    let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    FieldNames { payload: name(payload), key: name(key), time: name(time) }
}

fn decoder(format: SourceFormat, fields: &FieldNames, compression: Compression) -> Box<dyn Decoder> {
    let files = ForeignFiles { format, inflate: true, fields: fields.clone() };
    foreign_decoder(&files, compression).unwrap()
}

/// Of what is not compressed, or says so itself.
fn read(
    format: SourceFormat,
    fields: &FieldNames,
    object: &[u8],
    sizes: &[usize],
) -> Result<Vec<Decoded>, UnpackError> {
    read_from(decoder(format, fields, Compression::Plain), object, None, sizes)
}

fn payloads(decoded: &[Decoded]) -> Vec<&[u8]> {
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
    // Whose number is not known, where reading began elsewhere, is still known by its byte.
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
    // What is wrong is told behind all in front of it, wherever the pieces end.
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

#[test]
fn times_that_other_readers_refuse_are_refused() {
    let avro = |at: i64| {
        let object = written(&[order(None, at, union(0, Theirs::Null))], apache_avro::Codec::Null);
        read(SourceFormat::Avro, &names("body", "", "meta.at"), &object, &[1_000])
    };
    // The last millisecond of the year 9999, and the one behind it.
    assert!(avro(253_402_300_799_999).is_ok());
    for at in [253_402_300_800_000, i64::MAX, i64::MIN] {
        let error = avro(at).unwrap_err().to_string();
        assert!(error.contains("outside the years 0 to 9999"), "{error}");
    }
}

const SCHEMA: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
    {"name":"skipped","type":{"type":"array","items":{"type":"map","values":["null","double"]}}},
    {"name":"meta","type":["null",{"type":"record","name":"Meta","fields":[
        {"name":"id","type":["null","string"]},
        {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"parent","type":["null","Meta"]}]}]},
    {"name":"state","type":{"type":"enum","name":"State","symbols":["OPEN","PAID"]}},
    {"name":"sum","type":{"type":"fixed","name":"Sum","size":4}},
    {"name":"body","type":["null","bytes","string","int","boolean","float"]},
    {"name":"done","type":"boolean"}]}"#;

fn union(branch: u32, value: Theirs) -> Theirs {
    Theirs::Union(branch, Box::new(value))
}

fn order(id: Option<&str>, at: i64, body: Theirs) -> Theirs {
    let map = |n: usize| Theirs::Map((0..n).map(|n| (n.to_string(), union(1, Theirs::Double(0.5)))).collect());
    let id = id.map_or_else(|| union(0, Theirs::Null), |id| union(1, Theirs::String(id.to_owned())));
    let at = ("at".to_owned(), Theirs::TimestampMillis(at));
    let none = ("parent".to_owned(), union(0, Theirs::Null));
    let inner = Theirs::Record(vec![("id".to_owned(), id.clone()), at.clone(), none]);
    let meta = Theirs::Record(vec![("id".to_owned(), id), at, ("parent".to_owned(), union(1, inner))]);
    Theirs::Record(vec![
        ("skipped".to_owned(), Theirs::Array(vec![map(0), map(3)])),
        ("meta".to_owned(), union(1, meta)),
        ("state".to_owned(), Theirs::Enum(1, "PAID".to_owned())),
        ("sum".to_owned(), Theirs::Fixed(4, vec![1, 2, 3, 4])),
        ("body".to_owned(), body),
        ("done".to_owned(), Theirs::Boolean(true)),
    ])
}

fn written(values: &[Theirs], codec: apache_avro::Codec) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(SCHEMA).unwrap();
    let mut writer = apache_avro::Writer::with_codec(&schema, Vec::new(), codec);
    for value in values {
        writer.append(value.clone()).unwrap();
        if matches!(value, Theirs::Record(_)) {
            writer.flush().unwrap();
        }
    }
    writer.into_inner().unwrap()
}

#[test]
fn fields_of_avro_of_any_schema() {
    let values = [
        order(Some("a"), 1_795_593_600_123, union(1, Theirs::Bytes(vec![0, 255]))),
        order(None, -1, union(2, Theirs::String("text".to_owned()))),
        order(Some(""), 0, union(0, Theirs::Null)),
        order(Some("d"), 5, union(3, Theirs::Int(-42))),
        order(Some("e"), 5, union(4, Theirs::Boolean(true))),
        order(Some("f"), 5, union(5, Theirs::Float(1.5))),
    ];
    let avro = SourceFormat::Avro;
    for codec in [apache_avro::Codec::Null, apache_avro::Codec::Deflate(apache_avro::DeflateSettings::default())] {
        let object = written(&values, codec);
        let events = read(avro, &names("body", "meta.parent.id", "meta.at"), &object, &[5]).unwrap();
        let found: Vec<_> = events.iter().map(|event| (event.payload.clone(), event.key.clone())).collect();
        assert_eq!(
            found,
            [
                (Value::from(&[0, 255][..]), Value::from("a")),
                (Value::from("text"), Value::Null),
                (Value::Null, Value::from("")),
                (Value::from("-42"), Value::from("d")),
                (Value::from("true"), Value::from("e")),
                (Value::from("1.5"), Value::from("f")),
            ]
        );
        assert_eq!(events[0].time, Some(Timestamp::from_micros(1_795_593_600_123_000)));
        for (index, event) in events.iter().enumerate() {
            let decoder = decoder(avro, &names("body", "", ""), Compression::Plain);
            let rest = read_from(decoder, &object, Some(event.after), &[11]).unwrap();
            let wanted: Vec<_> = events[index + 1..].iter().map(|event| &event.payload).collect();
            assert_eq!(rest.iter().map(|event| &event.payload).collect::<Vec<_>>(), wanted);
        }
        let others = read(avro, &names("sum", "state", ""), &object, &[]).unwrap();
        assert_eq!((&others[0].payload, &others[0].key), (&Value::from(&[1, 2, 3, 4][..]), &Value::from("PAID")));
    }
    for (fields, why) in [
        (names("meta", "", ""), "other values within"),
        (names("body", "meta.name", ""), "no field 'meta.name'; there are id, at, parent"),
        (names("body.x", "", ""), "no field 'body.x'; there are skipped, meta,"),
        (
            names("", "", ""),
            "which field is the payload was not said: name one (--payload-field, \"payloadField\"); there are skipped,",
        ),
        (names("", "body", ""), "was not said"),
    ] {
        let error = read(avro, &fields, &written(&values, apache_avro::Codec::Null), &[]).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

/// A file of a schema and one block, as a hostile writer makes it.
fn hostile(schema: &str, count: i64, data: &[u8]) -> Vec<u8> {
    let mut file = b"Obj\x01".to_vec();
    put_size(&mut file, 1);
    for text in [b"avro.schema", schema.as_bytes()] {
        put_size(&mut file, text.len());
        file.extend_from_slice(text);
    }
    file.push(0);
    file.extend_from_slice(&[7; 16]);
    put_long(&mut file, count);
    put_size(&mut file, data.len());
    file.extend_from_slice(data);
    file.extend_from_slice(&[7; 16]);
    file
}

#[test]
fn hostile_schemas_end() {
    let avro = SourceFormat::Avro;
    let record = |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let many =
        |schema: &str, count: i64, data: &[u8]| read(avro, &names("p", "", ""), &hostile(schema, count, data), &[]);
    let of = |schema: &str, data: &[u8]| many(schema, 1, data);
    // Itself within itself, without end and without a byte.
    let endless = record(r#"{"name":"self","type":"R"},{"name":"p","type":"bytes"}"#);
    assert!(of(&endless, &[0; 9]).unwrap_err().to_string().contains("too deep"));
    // Records of records of nothing, two to the sixtieth.
    let mut nothing = r#"{"type":"record","name":"N0","fields":[]}"#.to_owned();
    for n in 1..60 {
        let before = n - 1;
        nothing = format!(
            r#"{{"type":"record","name":"N{n}","fields":[{{"name":"a","type":{nothing}}},{{"name":"b","type":"N{before}"}}]}}"#
        );
        if nothing.matches("record").count() > 24 {
            break;
        }
    }
    let wide = record(&format!(r#"{{"name":"n","type":{nothing}}},{{"name":"p","type":"bytes"}}"#));
    assert!(of(&wide, &[0; 9]).unwrap_err().to_string().contains("too many values"));
    // A thousand nothings for each of its bytes, in each of many events.
    let mut nothing = r#"{"type":"record","name":"N0","fields":[]}"#.to_owned();
    for n in 1..10 {
        let before = n - 1;
        nothing = format!(
            r#"{{"type":"record","name":"N{n}","fields":[{{"name":"a","type":{nothing}}},{{"name":"b","type":"N{before}"}}]}}"#
        );
    }
    let wide = record(&format!(r#"{{"name":"n","type":{nothing}}},{{"name":"p","type":"bytes"}}"#));
    assert_eq!(many(&wide, 50, &[0; 50]).unwrap().len(), 50);
    assert!(many(&wide, 50_000, &vec![0; 50_000]).unwrap_err().to_string().contains("too many values"));
    // Bytes that nobody looks at earn nothing.
    let mut deep = nothing.clone();
    for n in 10..22 {
        let before = n - 1;
        deep = format!(
            r#"{{"type":"record","name":"N{n}","fields":[{{"name":"a","type":{deep}}},{{"name":"b","type":"N{before}"}}]}}"#
        );
    }
    let wide =
        record(&format!(r#"{{"name":"s","type":"bytes"}},{{"name":"n","type":{deep}}},{{"name":"p","type":"bytes"}}"#));
    let mut data = Vec::new();
    put_size(&mut data, 4 << 20);
    data.resize(data.len() + (4 << 20) + 1, 0);
    assert!(of(&wide, &data).unwrap_err().to_string().contains("too many values"));
    // As many as people have fields that are seldom set.
    let seldom: Vec<_> = (0..50).map(|n| format!(r#"{{"name":"f{n}","type":"null"}}"#)).collect();
    let wide = record(&format!(r#"{},{{"name":"p","type":"bytes"}}"#, seldom.join(",")));
    assert_eq!(many(&wide, 40_000, &vec![0; 40_000]).unwrap().len(), 40_000);
    // Whoever is short of time can leave off among such events, and among blocks that are empty.
    let file = Bytes::from(hostile(&wide, 40_000, &vec![0; 40_000]));
    for sought in [0, 30_000] {
        let mut decoder = decoder(avro, &names("p", "", ""), Compression::Plain);
        let begin = decoder.head(&file).unwrap();
        let mut reached = Place { offset: begin, within: sought };
        decoder.seek(reached);
        decoder.feed(file.slice(usize::try_from(begin).unwrap()..));
        let (mut events, mut told) = (sought, 0);
        loop {
            match decoder.step().unwrap() {
                Unpacked::Event(event) => (events, reached) = (events + 1, event.after),
                // Never in front of what was sought, or handed out: it would come twice.
                Unpacked::Passed(place) => {
                    assert_eq!(place, reached);
                    told += 1;
                }
                Unpacked::Hungry => break,
            }
        }
        assert!(events == 40_000 && told > 1, "{events} events, told {told} times");
    }
    // Any number of nothings.
    let nulls = record(r#"{"name":"n","type":{"type":"array","items":"null"}},{"name":"p","type":"bytes"}"#);
    let mut data = Vec::new();
    put_long(&mut data, i64::MAX);
    data.extend_from_slice(&[0, 2, b'p']);
    assert_eq!(of(&nulls, &data).unwrap()[0].payload, Value::from("p"));
    let of_day = r#"{"name":"p","type":{"type":"int","logicalType":"time-millis"}}"#;
    let timed = read(avro, &names("p", "", "p"), &hostile(&record(of_day), 1, &[2]), &[]).unwrap_err();
    assert!(timed.to_string().contains("of some day"), "{timed}");
    for (schema, why) in [
        ("\"string\"".to_owned(), "no records and have no fields"),
        (r#"{"type":"array","items":"string"}"#.to_owned(), "neither records nor bytes"),
        (record(r#"{"name":"p","type":"Q"}"#), "no type 'Q'"),
        (record(r#"{"name":"p","type":{"type":"fixed","name":"R","size":1}}"#), "defined twice, and not alike"),
        (record(r#"{"name":"p","type":{"type":"record","name":"R","fields":[]}}"#), "defined twice, and not alike"),
        (record(r#"{"name":"p"}"#), "no type"),
        (record(r#"{"name":"p","type":7}"#), "neither a name"),
        ("{".to_owned(), "no JSON"),
    ] {
        let error = of(&schema, &[0; 4]).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let fixed = record(r#"{"name":"p","type":{"type":"fixed","name":"F","size":18446744073709551615}}"#);
    assert!(of(&fixed, &[0; 4]).unwrap_err().to_string().contains("past the end"));
    let simple = record(r#"{"name":"p","type":"bytes"}"#);
    assert!(read(avro, &names("p", "", ""), &hostile(&simple, i64::MAX, &[0]), &[]).is_err());
}

#[test]
fn avro_of_values_that_are_no_records() {
    for (schema, data, wanted) in [
        (r#""string""#, &b"\x02a\x04bc"[..], [Value::from("a"), Value::from("bc")]),
        (r#"{"type":"bytes"}"#, b"\x02\xff\x00", [Value::from(&[0xff][..]), Value::from("")]),
        (r#"["null","long"]"#, b"\x00\x02\x03", [Value::Null, Value::from("-2")]),
    ] {
        let events = read(SourceFormat::Avro, &FieldNames::default(), &hostile(schema, 2, data), &[3]).unwrap();
        let found: Vec<_> = events.iter().map(|event| event.payload.clone()).collect();
        assert_eq!(found, wanted, "{schema}");
        let error = decode(&hostile(schema, 2, data)).unwrap_err().to_string();
        assert!(error.contains("not Sluice's"), "an export's objects hold events: {error}");
    }
    // Records of several kinds: a field that one has not is one that is not there.
    let kinds = r#"[{"type":"record","name":"A","fields":[{"name":"p","type":"string"}]},
        {"type":"record","name":"B","fields":[{"name":"q","type":"string"}]}]"#;
    let events =
        read(SourceFormat::Avro, &names("p", "q", ""), &hostile(kinds, 2, b"\x00\x02a\x02\x02b"), &[]).unwrap();
    let found: Vec<_> = events.iter().map(|event| (event.payload.clone(), event.key.clone())).collect();
    assert_eq!(found, [(Value::from("a"), Value::Absent), (Value::Absent, Value::from("b"))]);
}

#[test]
fn types_that_are_defined_again_in_the_same_way() {
    let point = r#"{"type":"record","name":"Point","fields":[{"name":"x","type":"int","doc":"DOC"},
        {"name":"up","type":["null","Point"]},{"name":"of","type":{"type":"enum","name":"E","symbols":["A"]}}]}"#;
    let schema = |second: &str| {
        format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":{point}}},{{"name":"b","type":{second}}},
            {{"name":"p","type":"string"}}]}}"#
        )
    };
    let data = b"\x02\x00\x00\x04\x02\x06\x00\x00\x00\x02p";
    let payload = |second: &str| {
        let object = hostile(&schema(second), 1, data);
        read(SourceFormat::Avro, &names("p", "b.up.x", ""), &object, &[]).map(|events| events[0].key.clone())
    };
    assert_eq!(payload(point), Ok(Value::from("3")));
    assert_eq!(payload(&point.replace("DOC", "another")), Ok(Value::from("3")));
    assert_eq!(payload(r#""Point""#), Ok(Value::from("3")));
    for (from, to) in [("\"int\"", "\"string\""), ("\"x\"", "\"y\""), ("[\"A\"]", "[\"B\"]"), ("[\"null\",", "[")] {
        let error = payload(&point.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains("defined twice, and not alike"), "{error}");
    }
}

#[test]
fn logical_types_of_bytes_are_written_out() {
    let schema = r#"{"type":"record","name":"R","fields":[
        {"name":"sum","type":["null",{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}]},
        {"name":"fixed","type":{"type":"fixed","name":"F","size":4,"logicalType":"decimal","precision":9}},
        {"name":"id","type":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}},
        {"name":"none","type":{"type":"bytes","logicalType":"decimal","precision":2,"scale":3}}]}"#;
    let data = [&b"\x02\x04\xcf\xc7\xff\xff\xff\xfe"[..], &[0xab; 16], b"\x02x"].concat();
    let of = |payload: &str, key: &str| {
        let events = read(SourceFormat::Avro, &names(payload, key, ""), &hostile(schema, 1, &data), &[]).unwrap();
        (events[0].payload.clone(), events[0].key.clone())
    };
    assert_eq!(of("sum", "fixed"), (Value::from("-123.45"), Value::from("-2")));
    assert_eq!(
        of("id", "none"),
        (Value::from("abababab-abab-abab-abab-abababababab"), Value::from("x")),
        "an invalid one is none"
    );
}

#[test]
fn headers_of_hundreds_of_kilobytes() {
    let field = |n| format!(r#"{{"name":"f{n}","type":"null","doc":"{}"}},"#, "x".repeat(90));
    let fields = (0..4_000).map(field).collect::<Vec<_>>().concat();
    let schema = format!(r#"{{"type":"record","name":"R","fields":[{fields}{{"name":"p","type":"string"}}]}}"#);
    assert!(schema.len() > 400 << 10);
    let object = hostile(&schema, 1, b"\x02a");
    let events = read(SourceFormat::Avro, &names("p", "", ""), &object, &[]).unwrap();
    assert_eq!(payloads(&events), [b"a"]);
    let many =
        format!(r#"{{"type":"record","name":"R","fields":[{}{{"name":"p","type":"string"}}]}}"#, "1,".repeat(400_000));
    let error =
        read(SourceFormat::Avro, &names("p", "", ""), &hostile(&many, 1, b"\x02a"), &[]).unwrap_err().to_string();
    assert!(error.contains("more than 300000 values"), "{error}");
}

/// Python's fastavro wrote these, of nine records with the field `s`.
#[test]
fn every_codec_of_others() {
    for (codec, object) in [
        ("snappy", &include_bytes!("../../../../tests/golden/foreign/snappy.avro")[..]),
        ("bzip2", include_bytes!("../../../../tests/golden/foreign/bzip2.avro")),
        ("xz", include_bytes!("../../../../tests/golden/foreign/xz.avro")),
    ] {
        let events = read(SourceFormat::Avro, &names("s", "", ""), object, &[7]).unwrap();
        assert_eq!(payloads(&events), [b"x"; 9], "{codec}");
    }
}
