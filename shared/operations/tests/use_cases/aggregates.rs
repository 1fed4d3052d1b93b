//! Aggregates of the Kinesis Producer Library: counted where they stay whole, and taken apart where that is asked for.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use sluice_kit::{Rig, aggregate, shard};
use sluice_memory::now;
use sluice_operations::{Code, Settings, describe};
use sluice_ports::{NewEvent, Read, ReadLimit, StreamReader};
use sluice_transfer::manifest::{Document, ExportManifest};
use sluice_transfer::{
    Aggregates, Compression, ExportRequest, Format, ImportRequest, Position, Request, Timestamp, Value,
};

/// A record of the source: the sizes of the events in it, or that of an ordinary one.
#[derive(Clone, Debug)]
enum Record {
    Ordinary(usize),
    Aggregate(Vec<usize>),
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![(0..60_usize).prop_map(Record::Ordinary), vec(0..60_usize, 1..9).prop_map(Record::Aggregate),]
}

/// Key and payload of the events of a record, which no other record has.
fn events(number: usize, record: &Record) -> Vec<(String, Bytes)> {
    let event = |(index, size): (usize, &usize)| {
        let name = format!("{number}.{index}");
        let payload = name.bytes().cycle().take(*size).collect();
        (name, payload)
    };
    match record {
        Record::Ordinary(size) => vec![event((0, size))],
        Record::Aggregate(sizes) => sizes.iter().enumerate().map(event).collect(),
    }
}

fn written(number: usize, record: &Record) -> NewEvent {
    let events = events(number, record);
    let (key, payload) = match record {
        Record::Ordinary(_) => events.into_iter().next().unwrap(),
        Record::Aggregate(_) => {
            let events: Vec<_> = events.iter().map(|(key, payload)| (&key[..], None, &payload[..])).collect();
            ("a".to_owned(), aggregate(&events))
        }
    };
    let time = Timestamp::from_millis(1_700_000_000_000 + i64::try_from(number).unwrap());
    NewEvent { time, key: Value::Bytes(key.into()), headers: Vec::new(), payload: payload.into() }
}

fn rig(records: &[Record]) -> Rig {
    let written = records.iter().enumerate().map(|(number, record)| written(number, record)).collect();
    // Reads smaller than most aggregates.
    Rig::new(Settings { read_events: 3, wind_down_millis: 0, ..Settings::default() }, &[written])
}

fn export(deaggregate: bool) -> ExportRequest {
    ExportRequest {
        deaggregate,
        part_size: Some(150),
        object_size: Some(400),
        ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
    }
}

fn manifest(rig: &Rig) -> ExportManifest {
    let all = rig.bucket.read_all();
    let (_, root) = all.iter().find(|(key, _)| key.ends_with("/manifest.json")).unwrap();
    ExportManifest::from_bytes(root).unwrap()
}

fn import() -> Request {
    Request::Import(ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap()))
}

fn target(rig: &Rig) -> Vec<(String, Bytes)> {
    let limit = ReadLimit::new(usize::MAX, usize::MAX);
    let Read::Events { events, .. } = now(rig.target.read(&shard(0), &Position::Beginning, limit)).unwrap() else {
        panic!("trimmed")
    };
    let bytes = |value: &Value| Bytes::copy_from_slice(value.as_slice());
    let text = |value: &Value| String::from_utf8(bytes(value).into()).unwrap();
    events.iter().map(|event| (text(&event.key), bytes(&event.payload))).collect()
}

proptest! {
    #[test]
    fn what_is_taken_apart_arrives_one_by_one(
        records in vec(record(), 1..9),
        steps in 60..600_u64,
        (format, compression) in proptest::sample::select(&[
            (Format::Avro, Compression::Zstd),
            (Format::Jsonl, Compression::Plain),
        ][..]),
    ) {
        let rig = rig(&records);
        let request = ExportRequest { format: Some(format), compression: Some(compression), ..export(true) };
        rig.transfer("export", &Request::Export(request), steps).unwrap();
        let all: Vec<_> = records.iter().enumerate().flat_map(|(number, record)| events(number, record)).collect();
        let root = manifest(&rig);
        prop_assert!(root.deaggregated && root.shards[0].aggregates.is_none());
        prop_assert_eq!(root.counts.events, all.len() as u64);
        rig.transfer("import", &import(), steps).unwrap();
        prop_assert_eq!(target(&rig), all);
    }

    #[test]
    fn what_stays_whole_is_counted(records in vec(record(), 1..9), steps in 60..600_u64, raw: bool) {
        let rig = rig(&records);
        let request = ExportRequest { format: raw.then_some(Format::Raw), ..export(false) };
        rig.transfer("export", &Request::Export(request), steps).unwrap();
        let held = |record: &Record| match record {
            Record::Ordinary(_) => Aggregates::default(),
            Record::Aggregate(sizes) => Aggregates { records: 1, user_records: sizes.len() as u64 },
        };
        let counted = records.iter().map(held).sum::<Aggregates>();
        let root = manifest(&rig);
        prop_assert_eq!((root.deaggregated, root.shards[0].aggregates), (false, counted));
        prop_assert_eq!(root.counts.events, records.len() as u64);
        let report = now(describe(&rig.engine, &"export".parse().unwrap())).unwrap();
        prop_assert_eq!(report.aggregates, counted);
    }
}

#[test]
fn a_range_of_events_within_records_is_exported_where_records_are_taken_apart() {
    let rig = rig(&[Record::Aggregate(vec![5; 6]), Record::Aggregate(vec![5; 6])]);
    let bounds = |deaggregate| ExportRequest {
        from: Some("0@0#2".parse().unwrap()),
        until: Some("0@1#4".parse().unwrap()),
        ..export(deaggregate)
    };
    let refused = rig.transfer("whole", &Request::Export(bounds(false)), 1_000).unwrap_err();
    assert_eq!(Code::named(&refused.code), Some(Code::Invalid));
    assert!(refused.message.contains("0@0#2 lies within a record"), "{}", refused.message);
    rig.transfer("export", &Request::Export(bounds(true)), 1_000).unwrap();
    rig.transfer("import", &import(), 1_000).unwrap();
    let keys: Vec<_> = target(&rig).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["0.2", "0.3", "0.4", "0.5", "1.0", "1.1", "1.2", "1.3"]);
}
