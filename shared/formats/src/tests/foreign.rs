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
        if wanted.last().is_some_and(|last| last.is_empty()) {
            wanted.pop();
        }
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
        ("[1]", "JSON object"),
        ("5", "JSON object"),
        ("{", "EOF"),
        ("{} {}", "trailing"),
        (r#"{"t":"noon"}"#, "RFC 3339"),
        (r#"{"t":{}}"#, "neither a number"),
        (r#"{"a":"\ud800"}"#, "hex escape"),
        (&deep, "the line is no event"),
    ] {
        let text = format!("{{}}\n{line}\n");
        let error = read(json, &names("a", "", "t"), text.as_bytes(), &[7]).unwrap_err().to_string();
        assert!(error.contains("at byte 3") && error.contains(why), "{error}");
    }
    assert!(read(json, &names("a", "", ""), b"{\"a\":\"\xff\"}\n", &[9]).unwrap_err().to_string().contains("UTF-8"));
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
        (names("body.x", "", ""), "is no record"),
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
        ("\"string\"".to_owned(), "no record"),
        (record(r#"{"name":"p","type":"Q"}"#), "no type 'Q'"),
        (record(r#"{"name":"p","type":{"type":"fixed","name":"R","size":1}}"#), "defined twice"),
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
