//! Imports of a range of an export: what arrives is just the range, and of the objects only the parts that hold it are
//! read, whatever else is wrong with them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sluice_kit::{Rig, shard};
use sluice_operations::Settings;
use sluice_ports::NewEvent;
use sluice_transfer::manifest::{Document, ExportManifest, Extent, ManifestObject, ObjectIndex, Segment};
use sluice_transfer::{
    Compression, Cursor, Cut, Event, ExportRequest, Format, ImportRequest, ObjectKeys, Position, PositionSpec, Range,
    Request, Sequence, Timestamp, Value,
};

const SHARDS: usize = 2;
/// In front of an object's first unit stands less than this.
const HEADER: usize = 2_000;
const ENCODINGS: [(Format, Compression); 5] = [
    (Format::Avro, Compression::Plain),
    (Format::Avro, Compression::Zstd),
    (Format::Jsonl, Compression::Plain),
    (Format::Jsonl, Compression::Gzip),
    (Format::Raw, Compression::Plain),
];

/// Bytes that no codec makes fewer, so that objects have several units.
fn event(shard: usize, n: usize, size: usize, time: i64) -> NewEvent {
    let mut state = (shard as u64) << 32 | n as u64 | 1 << 63;
    let bytes = (0..size).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    });
    let payload = Value::Bytes(bytes.collect::<Vec<u8>>().into());
    NewEvent { time: Timestamp::from_millis(time), key: Value::Absent, headers: Vec::new(), payload }
}

fn export((format, compression): (Format, Compression), part: u64, object: u64) -> Request {
    Request::Export(ExportRequest {
        format: Some(format),
        compression: Some(compression),
        object_size: Some(object),
        part_size: Some(part),
        ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
    })
}

fn import(format: Format, from: Option<PositionSpec>, until: Option<PositionSpec>) -> Request {
    Request::Import(ImportRequest {
        from,
        until,
        event_size: (format == Format::Raw).then_some(1_000),
        ..ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap())
    })
}

/// What an export wrote, as its manifest lists it: of each shard its objects and their parts.
fn objects(rig: &Rig) -> Vec<Vec<(String, Vec<Extent>)>> {
    let all: BTreeMap<_, _> = rig.bucket.read_all();
    let read = |end: &str| all.iter().find(|(key, _)| key.ends_with(end)).map(|(_, bytes)| bytes.clone());
    let root = ExportManifest::from_bytes(&read(ObjectKeys::root()).unwrap()).unwrap();
    let shards = root.shards.iter().map(|shard| {
        let segments = (1..=shard.segments.count).flat_map(|number| {
            let bytes = read(&ObjectKeys::segment(&shard.shard, number)).unwrap();
            Segment::<ManifestObject>::from_bytes(&bytes).unwrap().entries
        });
        let objects = segments.map(|listed| {
            let index = read(&ObjectKeys::index(&shard.shard, listed.object.number));
            assert_eq!(index.is_some(), listed.object.parts.is_some());
            let extents = index.map_or_else(
                || vec![Extent::whole(&listed.object)],
                |bytes| {
                    let index = ObjectIndex::from_bytes(&bytes).unwrap();
                    index.check(&listed.object).unwrap();
                    index.extents()
                },
            );
            let key = all.keys().find(|key| key.ends_with(&listed.key)).unwrap().clone();
            (key, extents)
        });
        objects.collect()
    });
    shards.collect()
}

/// Makes sure that parts without an event of the range are not read, and the indexes of objects without any neither,
/// but where they tell what a time means.
fn spoil(rig: &Rig, number: usize, objects: &[(String, Vec<Extent>)], range: &Range, by_time: bool) {
    for (object, (key, extents)) in objects.iter().enumerate() {
        if !by_time && extents.len() > 1 && !extents.iter().any(|extent| extent.meets(range)) {
            let index = ObjectKeys::index(&shard(number), object as u64);
            assert!(rig.bucket.remove(&format!("export/{index}")));
        }
        // What a time means is looked for in the part behind the range too, if its events are not in the order of time.
        let tells = |extent: &Extent| by_time && extent.from == Cursor::at(range.until.clone());
        for extent in extents.iter().filter(|extent| !extent.meets(range) && !tells(extent)) {
            let bytes = usize::try_from(extent.bytes.start).unwrap()..usize::try_from(extent.bytes.end).unwrap();
            rig.bucket.mutate(key, |object| {
                for byte in &mut object[bytes.start.max(HEADER).min(bytes.end)..bytes.end] {
                    *byte ^= 0xff;
                }
            });
        }
    }
}

/// What a bound means in a shard, whose events these are.
fn position(spec: &PositionSpec, number: usize, events: &[NewEvent], unbounded: Position) -> Position {
    match spec {
        PositionSpec::Time(time) => {
            let first = events.iter().position(|event| event.time >= *time);
            first.map_or(Position::End, |first| Position::before(&Sequence::new(first as u64)))
        }
        PositionSpec::Sequence { shard: named, sequence } if *named == shard(number) => Position::before(sequence),
        PositionSpec::Cut(Cut(positions)) => positions.get(&shard(number)).cloned().unwrap_or(unbounded),
        _ => unbounded,
    }
}

fn bound(kind: u8, at: u64) -> PositionSpec {
    let sequence = Sequence::new(at);
    match kind {
        0 => PositionSpec::Time(Timestamp::from_millis(i64::try_from(at).unwrap() * 100)),
        1 => PositionSpec::Sequence { shard: shard(1), sequence },
        _ => PositionSpec::Cut(Cut((0..SHARDS).map(|number| (shard(number), Position::before(&sequence))).collect())),
    }
}

fn carried(events: &[Event]) -> Vec<(Timestamp, Value)> {
    events.iter().map(|event| (event.time, event.payload.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_arrives_is_the_range_and_nothing_else_is_read(
        encoding in proptest::sample::select(&ENCODINGS[..4]),
        events in proptest::collection::vec((0_usize..40_000, -150_i64..150), 1..40),
        (part, parts) in (20_000_u64..300_000, 1_u64..5),
        (read_bytes, part_bytes) in (20_000_usize..200_000, prop_oneof![Just(10_000_u64), Just(10_000_000)]),
        steps in prop_oneof![Just(200_u64), Just(1_000), Just(1_000_000_000)],
        (kind, from, until) in (0_u8..3, 0_u64..45, 0_u64..45),
    ) {
        let shards: Vec<Vec<NewEvent>> = (0..SHARDS)
            .map(|number| {
                let event = |(n, (size, jitter)): (usize, &(usize, i64))| {
                    event(number, n, *size, i64::try_from(n).unwrap() * 100 + jitter)
                };
                events.iter().skip(number).enumerate().map(event).collect()
            })
            .collect();
        let settings =
            Settings { read_bytes, part_bytes, read_events: 7, wind_down_millis: 0, ..Settings::default() };
        let rig = Rig::new(settings, &shards);
        rig.transfer("export", &export(encoding, part, part * parts), 1_000_000_000).unwrap();

        let ranges: Vec<Range> = shards
            .iter()
            .enumerate()
            .map(|(number, events)| Range {
                from: position(&bound(kind, from), number, events, Position::Beginning),
                until: position(&bound(kind, until), number, events, Position::End),
            })
            .collect();
        for (number, (objects, range)) in objects(&rig).iter().zip(&ranges).enumerate() {
            // To find what a time means the part that holds it is read, though the range then turns out to be empty.
            if !range.is_empty() {
                spoil(&rig, number, objects, range, kind == 0);
            }
        }
        let wanted: Vec<Vec<(Timestamp, Value)>> = shards
            .iter()
            .zip(&ranges)
            .map(|(events, range)| {
                let wanted = |n: &usize| {
                    let sequence = Sequence::new(*n as u64);
                    !range.from.covers(&sequence) && range.until.covers(&sequence)
                };
                (0..events.len()).filter(wanted).map(|n| (events[n].time, events[n].payload.clone())).collect()
            })
            .collect();
        // Between two times that are the same nothing can lie; between two numbers that are, nothing happens to.
        let wrong = if kind == 0 { from >= until } else { from > until };
        let (from, until) = (bound(kind, from), bound(kind, until));
        let outcome = rig.transfer("import", &import(encoding.0, Some(from), Some(until)), steps);
        if wrong {
            let failure = outcome.unwrap_err();
            prop_assert_eq!(failure.code, "OutOfRange");
            prop_assert!(failure.message.contains("nothing lies between"), "{}", failure.message);
            return Ok(());
        }
        if wanted.iter().all(Vec::is_empty) {
            prop_assert_eq!(outcome.unwrap_err().code, "NothingToImport");
            return Ok(());
        }
        prop_assert_eq!(outcome, Ok(()));
        for (number, wanted) in wanted.iter().enumerate() {
            prop_assert_eq!(&carried(&rig.target.events(&shard(number))), wanted);
        }
    }

    #[test]
    fn raw_bytes_are_taken_where_parts_end_with_an_event(
        sizes in proptest::collection::vec(0_usize..3_000, 1..40),
        (part, parts) in (500_u64..5_000, 1_u64..5),
        (from, until) in (0_u64..45, 0_u64..45),
        by_time in any::<bool>(),
    ) {
        let events: Vec<NewEvent> =
            sizes.iter().enumerate().map(|(n, size)| event(0, n, *size, i64::try_from(n).unwrap())).collect();
        let rig = Rig::new(Settings { wind_down_millis: 0, ..Settings::default() }, std::slice::from_ref(&events));
        rig.transfer("export", &export(ENCODINGS[4], part, part * parts), 1_000_000_000).unwrap();
        let bound = |at: u64| {
            if by_time {
                PositionSpec::Time(Timestamp::from_millis(i64::try_from(at).unwrap()))
            } else {
                PositionSpec::Sequence { shard: shard(0), sequence: Sequence::new(at) }
            }
        };
        let range = Range {
            from: Position::before(&Sequence::new(from)),
            until: Position::before(&Sequence::new(until)),
        };
        let listed = objects(&rig);
        let all: Vec<Extent> = listed[0].iter().flat_map(|(_, extents)| extents.clone()).collect();
        let meeting: Vec<&Extent> = all.iter().filter(|extent| extent.meets(&range)).collect();
        spoil(&rig, 0, &listed[0], &range, by_time);
        let outcome = rig.transfer("import", &import(Format::Raw, Some(bound(from)), Some(bound(until))), 1_000_000_000);
        if from > until || by_time && from == until {
            prop_assert_eq!(outcome.unwrap_err().code, "OutOfRange");
            return Ok(());
        }
        // A time may also lie where it is not known whether its event begins in front of the part.
        let refused = by_time && outcome.as_ref().is_err_and(|failure| failure.code == "Invalid");
        if refused || meeting.iter().any(|extent| !extent.lies_within(&range)) {
            let failure = outcome.unwrap_err();
            prop_assert_eq!(&failure.code, "Invalid");
            prop_assert!(failure.message.contains("nearest such place"), "{}", failure.message);
        } else if meeting.is_empty() {
            prop_assert_eq!(outcome.unwrap_err().code, "NothingToImport");
        } else {
            prop_assert_eq!(outcome, Ok(()));
            let wanted: Vec<u8> = (from..until.min(events.len() as u64))
                .flat_map(|n| events[usize::try_from(n).unwrap()].payload.as_slice().to_vec())
                .collect();
            let arrived: Vec<u8> =
                rig.target.events(&shard(0)).iter().flat_map(|event| event.payload.as_slice().to_vec()).collect();
            prop_assert_eq!(arrived, wanted);
        }
    }
}

/// An export of one shard, whose objects have several parts each.
fn archived() -> Rig {
    let events: Vec<NewEvent> = (0..40).map(|n| event(0, n, 20_000, i64::try_from(n).unwrap())).collect();
    let rig = Rig::new(Settings { wind_down_millis: 0, ..Settings::default() }, &[events]);
    rig.transfer("export", &export(ENCODINGS[0], 100_000, 300_000), 1_000_000_000).unwrap();
    rig
}

fn remove_indexes(rig: &Rig) {
    let keys = rig.bucket.read_all().into_keys().filter(|key| key.contains("/index/"));
    assert!(keys.map(|key| assert!(rig.bucket.remove(&key))).count() > 1);
}

#[test]
fn without_its_index_an_object_is_compared_as_one() {
    let rig = archived();
    remove_indexes(&rig);
    rig.transfer("import", &import(Format::Avro, None, None), 1_000_000_000).unwrap();
    assert_eq!(rig.target.events(&shard(0)).len(), 40);
}

#[test]
fn a_range_that_needs_an_index_says_so_without_it() {
    let rig = archived();
    remove_indexes(&rig);
    let from = PositionSpec::Sequence { shard: shard(0), sequence: Sequence::new(3) };
    let failure = rig.transfer("import", &import(Format::Avro, Some(from), None), 1_000_000_000).unwrap_err();
    assert!(failure.code == "NotFound" && failure.message.contains("/index/00000000.json"), "{failure:?}");
}

#[test]
fn bounds_in_the_wrong_order_are_refused_as_those_of_an_export_are() {
    let rig = archived();
    for (from, until) in [("0@30", "0@20"), ("cut:0@30", "0@20"), ("1970-01-02", "1970-01-01")] {
        let bound = |text: &str| Some(text.parse().unwrap());
        let failure = rig.transfer("t", &import(Format::Avro, bound(from), bound(until)), 1_000_000_000).unwrap_err();
        assert_eq!(failure.code, "OutOfRange", "{failure:?}");
        assert!(failure.message.contains("nothing lies between"), "{failure:?}");
    }
    let bound = || Some("0@30".parse().unwrap());
    let failure = rig.transfer("t", &import(Format::Avro, bound(), bound()), 1_000_000_000).unwrap_err();
    assert_eq!(failure.code, "NothingToImport", "an empty range is in order");
}

#[test]
fn bounds_are_for_exports_and_name_their_shards() {
    let rig = archived();
    let from = PositionSpec::Sequence { shard: "7".parse().unwrap(), sequence: Sequence::new(3) };
    let failure = rig.transfer("one", &import(Format::Avro, Some(from), None), 1_000_000_000).unwrap_err();
    assert!(failure.code == "NotFound" && failure.message.contains("no shard '7'"), "{failure:?}");
    for (key, _) in rig.bucket.read_all().into_iter().filter(|(key, _)| !key.contains("/data/")) {
        rig.bucket.remove(&key);
    }
    let key = rig.bucket.read_all().into_keys().next().unwrap();
    let Request::Import(request) = import(Format::Avro, None, Some(PositionSpec::Latest)) else { panic!("an import") };
    let request =
        Request::Import(ImportRequest { source: format!("memory:archive/{key}").parse().unwrap(), ..request });
    let failure = rig.transfer("two", &request, 1_000_000_000).unwrap_err();
    assert!(failure.code == "Invalid" && failure.message.contains("no export's"), "{failure:?}");
}
