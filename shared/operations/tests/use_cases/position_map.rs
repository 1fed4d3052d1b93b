//! The marks of an import are its position map: where in the target events of the source stand.

use std::sync::Arc;

use sluice_kit::{Rig, shard};
use sluice_memory::{MemoryBucket, MemoryPlaces, now};
use sluice_operations::Settings;
use sluice_ports::{NewEvent, StreamAdmin};
use sluice_transfer::manifest::{Document, Segment};
use sluice_transfer::record::Mark;
use sluice_transfer::{ExportRequest, Format, ImportRequest, Placement, Position, Request, Timestamp, Value};

const EVENTS: usize = 60;

/// An event whose payload says which one of its shard it is.
fn event(of: usize, number: usize) -> NewEvent {
    NewEvent {
        time: Timestamp::from_millis(0),
        key: Value::from(format!("key {number}")),
        headers: Vec::new(),
        payload: Value::from(format!("{of} {number}")),
    }
}

/// Imports two shards into a target of so many; the marks of each of its shards.
fn imported(placement: Placement, shards: usize) -> (Rig, Vec<Vec<Mark>>) {
    let source: Vec<Vec<NewEvent>> = (0..2).map(|of| (0..EVENTS).map(|number| event(of, number)).collect()).collect();
    let settings = Settings { read_events: 7, record_millis: 0, ..Settings::default() };
    let mut rig = Rig::new(settings, &source);
    let work = MemoryBucket::new();
    let (source, target, bucket) = (rig.source.clone(), rig.target.clone(), rig.bucket.clone());
    rig.engine.places = Arc::new(MemoryPlaces { source, target, bucket, work: work.clone() });
    now(rig.target.create(u32::try_from(shards).unwrap())).unwrap();
    let export = ExportRequest {
        format: Some(Format::Avro),
        ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
    };
    rig.transfer("export", &Request::Export(export), 1_000_000_000).unwrap();
    let import = ImportRequest {
        placement: Some(placement),
        ..ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap())
    };
    rig.transfer("import", &Request::Import(import), 1_000_000_000).unwrap();
    let documents = work.read_all();
    let of = |number: usize| {
        let folder = format!("/manifest/shard={}/", shard(number));
        let segments = documents.iter().filter(|(key, _)| key.contains(&folder));
        segments.flat_map(|(_, bytes)| Segment::<Mark>::from_bytes(bytes).unwrap().entries).collect()
    };
    let marks = (0..shards).map(of).collect();
    (rig, marks)
}

#[test]
fn shard_by_shard_a_mark_is_the_same_event_in_both() {
    let (_, marks) = imported(Placement::AsSource, 2);
    for (number, marks) in marks.iter().enumerate() {
        assert!(marks.len() > 3, "{} marks", marks.len());
        for mark in marks {
            let origin = mark.origin.as_ref().unwrap();
            assert_eq!((&origin.shard, &Position::After(origin.sequence.clone())), (&shard(number), &mark.target));
        }
        assert_eq!(marks.last().unwrap().origin.as_ref().unwrap().sequence.as_u64(), Some(EVENTS as u64 - 1));
    }
}

/// In front of a mark stand all events of its origin's shard up to the origin, and behind it those that follow.
#[test]
fn by_key_a_mark_parts_the_events_of_each_source() {
    let (rig, marks) = imported(Placement::Key, 3);
    for (number, marks) in marks.iter().enumerate() {
        let events = rig.target.events(&shard(number));
        assert!(marks.len() > 3, "{} marks", marks.len());
        assert!(marks.windows(2).all(|pair| pair[0].target < pair[1].target), "{marks:?}");
        for mark in marks {
            let origin = mark.origin.as_ref().unwrap();
            let (mut last, mut next) = (None, None);
            for event in &events {
                let text = String::from_utf8_lossy(event.payload.as_slice()).into_owned();
                let (of, place) = text.split_once(' ').unwrap();
                let place: u64 = place.parse().unwrap();
                if of != origin.shard.as_str() {
                    continue;
                }
                if mark.target.covers(&event.sequence) {
                    last = Some(place);
                } else {
                    next = next.or(Some(place));
                }
            }
            assert_eq!(last, origin.sequence.as_u64(), "{mark:?}");
            assert!(next.is_none_or(|next| Some(next) > last), "{mark:?}");
        }
    }
}
