//! Aggregates of the Kinesis Producer Library (row 8). AWS's consumer libraries show the events inside, and drop those
//! whose hash lies outside of the shard.

use std::collections::BTreeMap;

use sluice_fake_kinesis::{Entry, Fault, Faults, Hashes, Lineage, Mode, Operation, Record, hash_of};
use sluice_kit::aggregate;
use sluice_operations::{Code, plan};
use sluice_transfer::{
    Aggregate, Event, ExportRequest, ImportRequest, Kind, MisfitReason, OnMisfit, Request, Sequence, State, Value,
};

use crate::MINUTE;
use crate::world::World;

/// Aggregates put to each shard.
const EACH: usize = 30;
/// Events in each of them.
const HELD: usize = 20;

/// Puts aggregates as the library does: each to the shard of the events in it, by an explicit hash and under one key.
async fn produce(world: &World) {
    let shards = world.all("orders");
    for round in 0..EACH {
        for (shard, _) in &shards {
            let keys: Vec<String> = keys(shard.hashes).collect();
            let payloads: Vec<String> = (0..HELD).map(|index| format!("{}", round * HELD + index)).collect();
            let events: Vec<_> = payloads
                .iter()
                .enumerate()
                .map(|(index, payload)| (&keys[index % 7][..], None, payload.as_bytes()))
                .collect();
            let explicit_hash = Some(hash_of(&keys[0]));
            let entry = Entry { explicit_hash, ..Entry::new("a", aggregate(&events)) };
            world.kinesis.call("producer", |call| call.put_records("orders", vec![entry])).unwrap();
        }
        world.pass(1_000).await;
    }
    world.pass(MINUTE).await;
}

/// Keys that lead to a shard.
fn keys(hashes: Hashes) -> impl Iterator<Item = String> {
    (0..).map(|number| format!("key {number}")).filter(move |key| hashes.contains(hash_of(key))).take(7)
}

/// What consumers see of each key, in its order: of an aggregate the events that belong to the shard.
fn consumed(shards: &[(Lineage, Vec<Record>)]) -> BTreeMap<String, Vec<usize>> {
    let mut seen: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (shard, records) in shards {
        for record in records {
            let event = Event {
                sequence: Sequence::new(0),
                time: sluice_transfer::Timestamp::default(),
                key: Value::from(record.key.clone()),
                headers: Vec::new(),
                payload: Value::Bytes(record.data.clone()),
            };
            let events = match Aggregate::of(&event.payload) {
                Some(aggregate) => aggregate.events(&event),
                None => vec![event],
            };
            for event in events {
                let key = String::from_utf8(event.key.as_slice().to_vec()).unwrap();
                if shard.hashes.contains(hash_of(&key)) {
                    let number = std::str::from_utf8(event.payload.as_slice()).unwrap().parse().unwrap();
                    seen.entry(key).or_default().push(number);
                }
            }
        }
    }
    seen
}

async fn exported(world: &World, deaggregate: bool) {
    let (stream, to) = ("kinesis:orders".parse().unwrap(), "memory:archive".parse().unwrap());
    let request = ExportRequest { deaggregate, object_size: Some(20_000), ..ExportRequest::new(stream, to) };
    let id = world.plan("export", &Request::Export(request)).await;
    let report = world.run(Kind::Export, &id, 60).await;
    assert_eq!(report.state, State::Completed, "{:?}", report.error);
    let shards = world.all("orders").len();
    let whole = if deaggregate { (0, 0) } else { ((shards * EACH) as u64, (shards * EACH * HELD) as u64) };
    assert_eq!((report.aggregates.records, report.aggregates.user_records), whole);
}

fn import(into: &str) -> Request {
    let target = format!("kinesis:{into}").parse().unwrap();
    Request::Import(ImportRequest::new("memory:archive".parse().unwrap(), target))
}

async fn made(world: &World, name: &str, shards: u32) {
    world.kinesis.call("owner", |call| call.create_stream(name, shards, Mode::Provisioned)).unwrap();
    world.pass(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn where_one_shard_takes_all_of_them_they_stay_whole() {
    let world = World::new(Faults::real(), 4, Vec::new());
    produce(&world).await;
    exported(&world, false).await;
    made(&world, "copy", 2).await;
    let id = world.plan("import", &import("copy")).await;
    // Some answers are lost, some puts are late, and a function dies.
    for slice in 0..6 {
        let faults = [Fault::AnswerLost, Fault::Late(9_000), Fault::Lost];
        world.kinesis.script(Operation::PutRecords, [faults[slice as usize % 3], Fault::Passed]);
        world.import_some(&id, slice, 10, (slice % 2 == 1).then_some(2_000)).await;
        world.pass(5_000).await;
    }
    let report = world.run(Kind::Import, &id, 200).await;
    assert_eq!(report.state, State::Completed, "{:?}", report.error);
    let (source, copy) = (world.all("orders"), world.all("copy"));
    assert_eq!(copy.iter().map(|(_, records)| records.len()).sum::<usize>(), 4 * EACH);
    assert!(copy.iter().flat_map(|(_, records)| records).all(|record| record.key == "a"));
    assert_eq!(consumed(&source).values().map(Vec::len).sum::<usize>(), 4 * EACH * HELD);
    assert_eq!(consumed(&copy), consumed(&source));
}

#[tokio::test(start_paused = true)]
async fn what_consumers_would_drop_is_refused_and_goes_one_by_one() {
    let world = World::new(Faults::real(), 2, Vec::new());
    produce(&world).await;
    exported(&world, false).await;
    made(&world, "copy", 8).await;
    let refused = plan(&world.engine, &"torn".parse().unwrap(), &import("copy"), "test").await.unwrap_err();
    assert_eq!(refused.code, Code::Invalid);
    let message = refused.to_string();
    assert!(message.starts_with("60 aggregates") && message.contains("deaggregate"), "{message}");
    assert!(world.all("copy").iter().all(|(_, records)| records.is_empty()));

    let world = World::new(Faults::real(), 2, Vec::new());
    produce(&world).await;
    exported(&world, true).await;
    made(&world, "copy", 8).await;
    let id = world.plan("import", &import("copy")).await;
    let report = world.run(Kind::Import, &id, 200).await;
    assert_eq!(report.state, State::Completed, "{:?}", report.error);
    assert_eq!(consumed(&world.all("copy")), consumed(&world.all("orders")));
    assert_eq!(report.events, (2 * EACH * HELD) as u64);
}

/// The others are stored, an aggregate as one event.
#[tokio::test(start_paused = true)]
async fn what_consumers_would_drop_is_stored_if_that_is_asked_for() {
    let world = World::new(Faults::real(), 2, Vec::new());
    produce(&world).await;
    exported(&world, false).await;
    made(&world, "copy", 8).await;
    let Request::Import(request) = import("copy") else { panic!("an import") };
    let request = Request::Import(ImportRequest { on_misfit: Some(OnMisfit::Store), ..request });
    let id = world.plan("import", &request).await;
    let report = world.run(Kind::Import, &id, 200).await;
    assert_eq!(report.state, State::CompletedWithMisfits, "{:?}", report.error);
    let told = report.misfits.unwrap().misfits;
    assert_eq!(told.reasons, BTreeMap::from([(MisfitReason::Aggregate, told.events)]));
    assert_eq!(told.events + report.events, 2 * EACH as u64);
    assert!(report.notes.iter().any(|note| note.starts_with("misfits: 60 aggregates")), "{:?}", report.notes);
    let copied: usize = world.all("copy").iter().map(|(_, records)| records.len()).sum();
    assert_eq!(copied as u64, report.events, "no torn aggregate is sent");
}

/// The stream was split after the plan had looked at it.
#[tokio::test(start_paused = true)]
async fn what_no_shard_takes_any_more_fails_by_name() {
    let world = World::new(Faults::real(), 1, Vec::new());
    produce(&world).await;
    exported(&world, false).await;
    made(&world, "copy", 1).await;
    let id = world.plan("import", &import("copy")).await;
    world.import_some(&id, 0, 10, None).await;
    world.kinesis.call("owner", |call| call.split_shard("copy", crate::world::FIRST, 1 << 127)).unwrap();
    world.pass(MINUTE).await;
    let report = world.run(Kind::Import, &id, 60).await;
    assert_eq!(report.state, State::Failed);
    assert!(report.error.unwrap().message.contains("across shards"));
    assert_eq!(world.all("copy").iter().map(|(_, records)| records.len()).collect::<Vec<_>>(), [10, 0, 0]);
}
