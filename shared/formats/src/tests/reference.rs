//! Another implementation of Avro reads what is written here, and writes what is read here.

use std::collections::HashMap;

use apache_avro::types::Value as Avro;
use apache_avro::{Reader, Schema, Writer};

use super::*;
use crate::AVRO_SCHEMA;

fn schema() -> Schema {
    Schema::parse_str(AVRO_SCHEMA).unwrap()
}

fn nullable(value: &Value) -> (Avro, Avro) {
    let union = match value {
        Value::Absent | Value::Null => Avro::Union(0, Box::new(Avro::Null)),
        Value::Bytes(bytes) => Avro::Union(1, Box::new(Avro::Bytes(bytes.to_vec()))),
    };
    (union, Avro::Boolean(*value == Value::Null))
}

fn record(fields: Vec<(&str, Avro)>) -> Avro {
    Avro::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// An event as that implementation holds it.
fn avro(event: &Event) -> Avro {
    let header = |header: &Header| {
        let (value, null) = nullable(&header.value);
        record(vec![("name", Avro::String(header.name.clone())), ("value", value), ("value_null", null)])
    };
    let (key, key_null) = nullable(&event.key);
    let (payload, payload_null) = nullable(&event.payload);
    record(vec![
        ("sequence", Avro::String(event.sequence.to_string())),
        ("time", Avro::TimestampMicros(event.time.micros())),
        ("key", key),
        ("key_null", key_null),
        ("headers", Avro::Array(event.headers.iter().map(header).collect())),
        ("payload", payload),
        ("payload_null", payload_null),
    ])
}

fn written_by_reference(events: &[Event], block_size: usize, metadata: HashMap<String, Avro>) -> Vec<u8> {
    let schema = schema();
    let mut writer =
        Writer::builder().schema(&schema).writer(Vec::new()).block_size(block_size).user_metadata(metadata).build();
    for event in events {
        writer.append(avro(event)).unwrap();
    }
    writer.into_inner().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_object_is_read_by_the_reference(events in events(12)) {
        let object = object_of(1, &events);
        let read: Vec<Avro> = Reader::new(&object[..]).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(read, events.iter().map(avro).collect::<Vec<_>>());
    }

    #[test]
    fn every_object_of_the_reference_is_read(
        events in events(12),
        block_size in prop_oneof![1_usize..500, 50_000_usize..1_000_000],
        names in proptest::collection::vec("[a-z]{1,9}", 0..6),
        size in 1_usize..70_000,
    ) {
        let metadata = names.into_iter().map(|name| (name, Avro::Bytes(b"of theirs".to_vec()))).collect();
        let object = written_by_reference(&events, block_size, metadata);
        assert_same(&decode_from(&object, None, &[size]).unwrap(), &events);
    }
}

#[test]
fn the_schema_is_the_one_that_the_reference_finds_in_an_object() {
    let object = object_of(0, &[]);
    let reader = Reader::new(&object[..]).unwrap();
    assert_eq!(reader.writer_schema(), &schema());
}

#[test]
fn a_reader_s_default_for_a_flag_is_absent() {
    // A file without flags, read with our schema: null means absent.
    let without = r#"{"type":"record","name":"Event","namespace":"sluice","fields":[
        {"name":"sequence","type":"string"},
        {"name":"time","type":{"type":"long","logicalType":"timestamp-micros"}},
        {"name":"payload","type":["null","bytes"]}]}"#;
    let theirs = Schema::parse_str(without).unwrap();
    let mut writer = Writer::new(&theirs, Vec::new());
    let null = Avro::Union(0, Box::new(Avro::Null));
    let fields =
        vec![("sequence", Avro::String("5".to_owned())), ("time", Avro::TimestampMicros(0)), ("payload", null)];
    writer.append(record(fields)).unwrap();
    let object = writer.into_inner().unwrap();
    let ours = schema();
    let read = Reader::with_schema(&ours, &object[..]).unwrap().next().unwrap().unwrap();
    assert_eq!(read, avro(&small(5, Value::Absent)));
    // Here it is refused: positions of fields are not resolved.
    let error = decode(&object).unwrap_err().to_string();
    assert!(error.contains("schema is not Sluice's: its 'sluice.Event' has other fields"), "{error}");
}
