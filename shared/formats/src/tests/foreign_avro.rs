//! Foreign Avro: as the crate `apache-avro` writes it, and hostile.

use apache_avro::types::Value as Theirs;
use sluice_transfer::{FieldNames, SourceFormat, Unpacked};

use super::foreign::*;
use super::*;
use crate::avro::varint::{put_long, put_size};

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
