//! Imports that consumers cannot tell from live producers: each key stands where its hash leads, in its order.

use std::collections::BTreeMap;

use sluice_fake_kinesis::{Entry, Fault, Faults, Lineage, Mode, Operation, Record, hash_of};
use sluice_ports::{NewEvent, Stored};
use sluice_transfer::record::Config;
use sluice_transfer::{
    ExportRequest, Format, ImportRequest, Kind, Placement, PositionSpec, Request, State, Timestamp, Value,
};

use crate::world::{FIRST, World};
use crate::{DAY, MINUTE};

pub(crate) fn event(key: Value, number: usize) -> NewEvent {
    NewEvent { time: Timestamp::from_millis(0), key, headers: Vec::new(), payload: Value::from(number.to_string()) }
}

/// Events of some keys, in as many shards: a shard's keys are in others as well.
pub(crate) fn sources(shards: usize, events: usize) -> Vec<Vec<NewEvent>> {
    let key = |number: usize| Value::from(format!("key {}", number % 37));
    let of = |shard: usize| (0..events).filter(move |number| number * shards / events == shard);
    (0..shards).map(|shard| of(shard).map(|number| event(key(number), number)).collect()).collect()
}

/// Exports `memory:source` and imports it into a stream; how many put requests that took.
async fn moved(world: &World, into: &str, placement: Option<Placement>) -> u64 {
    let request = ExportRequest {
        format: Some(Format::Avro),
        object_size: Some(10_000),
        ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
    };
    let id = world.plan("export", &Request::Export(request)).await;
    assert_eq!(world.run(Kind::Export, &id, 10).await.state, State::Completed);
    restored(world, into, placement).await
}

async fn restored(world: &World, into: &str, placement: Option<Placement>) -> u64 {
    let target = format!("kinesis:{into}").parse().unwrap();
    let request = ImportRequest { placement, ..ImportRequest::new("memory:archive".parse().unwrap(), target) };
    let id = world.plan("import", &Request::Import(request)).await;
    let before = world.kinesis.count("sluice", Operation::PutRecords).calls;
    let report = world.run(Kind::Import, &id, 60).await;
    assert_eq!(report.state, State::Completed, "{:?}", report.error);
    world.kinesis.count("sluice", Operation::PutRecords).calls - before
}

/// What each key holds, in its order.
pub(crate) fn by_key<'a>(records: impl Iterator<Item = &'a Record>) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records {
        found.entry(record.key.clone()).or_default().push(String::from_utf8(record.data.to_vec()).unwrap());
    }
    found
}

/// Each record lies where the hash of its key leads.
pub(crate) fn placed(shards: &[(Lineage, Vec<Record>)]) {
    for (shard, records) in shards {
        for record in records {
            assert!(shard.hashes.contains(hash_of(&record.key)), "{} is in {}", record.key, shard.shard);
        }
    }
}

/// Row 7: 4 shards into 2, 2 into 8, or any others; a key goes to the shard that its live producers send it to.
#[tokio::test(start_paused = true)]
async fn any_number_of_shards_goes_into_any_number() {
    for (from, into) in [(4, 2), (2, 8), (1, 3), (3, 3)] {
        let world = World::with(Faults::real(), into, &sources(from, 600));
        moved(&world, "orders", None).await;
        let shards = world.all("orders");
        placed(&shards);
        let found = by_key(shards.iter().flat_map(|(_, records)| records));
        assert_eq!(found.len(), 37, "{from} into {into}");
        for (key, events) in &found {
            let numbers: Vec<usize> = events.iter().map(|number| number.parse().unwrap()).collect();
            let all: Vec<usize> = (0..600).filter(|number| *key == format!("key {}", number % 37)).collect();
            assert_eq!(numbers, all, "{key}, {from} into {into}");
        }
    }
}

/// What a shard held before it was split comes before what its children held, and both where live producers go on.
#[tokio::test(start_paused = true)]
async fn what_was_split_is_restored_in_the_order_of_its_keys() {
    let world = World::new(Faults::real(), 2, Vec::new());
    let put = |round: usize| {
        let entries = (0..40).map(|key| Entry::new(format!("key {key}"), format!("{round}"))).collect();
        world.kinesis.call("producer", |call| call.put_records("orders", entries)).unwrap();
    };
    put(0);
    world.pass(MINUTE).await;
    world.kinesis.call("owner", |call| call.split_shard("orders", FIRST, 1 << 125)).unwrap();
    world.pass(MINUTE).await;
    put(1);
    world.pass(MINUTE).await;
    world
        .kinesis
        .call("owner", |call| call.merge_shards("orders", "shardId-000000000003", "shardId-000000000001"))
        .unwrap();
    world.pass(MINUTE).await;
    put(2);
    world.pass(MINUTE).await;
    let id = world.plan_export(PositionSpec::Latest).await;
    assert_eq!(world.run(Kind::Export, &id, 60).await.state, State::Completed);

    world.kinesis.call("owner", |call| call.create_stream("copy", 3, Mode::Provisioned)).unwrap();
    world.pass(MINUTE).await;
    restored(&world, "copy", None).await;
    let shards = world.all("copy");
    placed(&shards);
    let found = by_key(shards.iter().flat_map(|(_, records)| records));
    assert_eq!(found.len(), 40);
    assert!(found.values().all(|rounds| rounds == &["0", "1", "2"]), "{found:?}");
}

/// Row 5: a closed shard takes nothing, and is not tried.
#[tokio::test(start_paused = true)]
async fn closed_shards_are_never_chosen() {
    let world = World::with(Faults::real(), 1, &sources(2, 300));
    world.kinesis.call("owner", |call| call.split_shard("orders", FIRST, 1 << 127)).unwrap();
    world.pass(MINUTE).await;
    moved(&world, "orders", None).await;
    let shards = world.all("orders");
    placed(&shards);
    assert_eq!(shards.iter().map(|(_, records)| records.len()).sum::<usize>(), 300);
    assert!(shards.iter().all(|(shard, records)| records.is_empty() == shard.ending.is_some()));
}

/// Events without a key have no order to keep: they are spread, and fill requests.
#[tokio::test(start_paused = true)]
async fn events_without_a_key_are_spread_and_fill_requests() {
    let lines = (0..4_000).map(|number| event(Value::Absent, number)).collect();
    let world = World::with(Faults::real(), 4, &[lines]);
    let requests = moved(&world, "orders", None).await;
    assert!(requests <= 400, "{requests} requests for 4,000 events");
    let shards = world.all("orders");
    placed(&shards);
    for (shard, records) in &shards {
        assert!((800..1_200).contains(&records.len()), "{} of 4,000 in {}", records.len(), shard.shard);
    }
    let mut numbers: Vec<usize> =
        by_key(shards.iter().flat_map(|(_, records)| records)).values().flatten().map(|n| n.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..4_000).collect::<Vec<_>>());
}

/// An import that a version before began gave no keys by place: it goes on in the same way.
#[tokio::test(start_paused = true)]
async fn an_import_of_before_goes_on_without_keys_by_place() {
    let world = World::with(Faults::real(), 1, &[(0..40).map(|number| event(Value::Absent, number)).collect()]);
    let request = ExportRequest {
        format: Some(Format::Avro),
        ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
    };
    let id = world.plan("export", &Request::Export(request)).await;
    assert_eq!(world.run(Kind::Export, &id, 10).await.state, State::Completed);
    let request = ImportRequest {
        placement: Some(Placement::AsSource),
        ..ImportRequest::new("memory:archive".parse().unwrap(), "kinesis:orders".parse().unwrap())
    };
    let id = world.plan("import", &Request::Import(request)).await;
    let mut record = world.engine.checkpoints.transfer(&id).await.unwrap().unwrap();
    let Config::Import(config) = &mut record.config else { panic!("an import") };
    assert_eq!(config.placement.take(), Some(Placement::AsSource));
    record.revision += 1;
    assert_eq!(world.engine.checkpoints.update_transfer(&record).await.unwrap(), Stored::Done);
    assert_eq!(world.run(Kind::Import, &id, 60).await.state, State::Completed);
    assert_eq!(by_key(world.held("orders").iter()).into_keys().collect::<Vec<_>>(), ["-"]);
}

/// What is led to its shard fails once that is closed, and nothing stands twice or in another shard.
#[tokio::test(start_paused = true)]
async fn shard_for_shard_fails_in_a_target_that_is_split() {
    let world = World::with(Faults::real(), 1, &sources(1, 200));
    let request = ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap());
    let id = world.plan("export", &Request::Export(request)).await;
    assert_eq!(world.run(Kind::Export, &id, 10).await.state, State::Completed);
    let request = ImportRequest {
        placement: Some(Placement::AsSource),
        ..ImportRequest::new("memory:archive".parse().unwrap(), "kinesis:orders".parse().unwrap())
    };
    let id = world.plan("import", &Request::Import(request)).await;
    world.import_some(&id, 0, 60, None).await;
    world.kinesis.call("owner", |call| call.split_shard("orders", FIRST, 1 << 127)).unwrap();
    world.pass(MINUTE).await;
    world.kinesis.script(Operation::PutRecords, [Fault::AnswerLost]);
    let report = world.run(Kind::Import, &id, 60).await;
    assert_eq!(report.state, State::Failed);
    assert!(report.error.unwrap().message.contains("split or merged"));
    let shards = world.all("orders");
    assert_eq!(shards.iter().map(|(_, records)| records.len()).collect::<Vec<_>>(), [60, 0, 0]);
}

/// The target was split, and its closed shard expired while the import slept.
#[tokio::test(start_paused = true)]
async fn a_shard_that_expired_is_continued() {
    let mut world = World::with(Faults::real(), 1, &sources(1, 200));
    // As they are by default: a day of silence takes some hundred calls to cross.
    world.slice_millis = 5 * MINUTE;
    let request = ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap());
    let id = world.plan("export", &Request::Export(request)).await;
    assert_eq!(world.run(Kind::Export, &id, 10).await.state, State::Completed);
    let import = ImportRequest::new("memory:archive".parse().unwrap(), "kinesis:orders".parse().unwrap());
    let id = world.plan("import", &Request::Import(import)).await;
    world.kinesis.call("owner", |call| call.split_shard("orders", FIRST, 1 << 127)).unwrap();
    world.pass(2 * DAY).await;
    let report = world.run(Kind::Import, &id, 60).await;
    assert_eq!((report.state, report.events), (State::Completed, 200), "{:?}", report.error);
    let shards = world.all("orders");
    placed(&shards);
    assert_eq!(shards.iter().map(|(_, records)| records.len()).sum::<usize>(), 200);
}

/// Slices that are shorter than what is waited for after a death get on together.
#[tokio::test(start_paused = true)]
async fn short_slices_wait_together_for_what_a_dead_one_sent() {
    let mut world = World::with(Faults::real(), 1, &sources(1, 200));
    world.slice_millis = 20_000;
    let request = ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap());
    let id = world.plan("export", &Request::Export(request)).await;
    assert_eq!(world.run(Kind::Export, &id, 10).await.state, State::Completed);
    let import = ImportRequest::new("memory:archive".parse().unwrap(), "kinesis:orders".parse().unwrap());
    let id = world.plan("import", &Request::Import(import)).await;
    world.kinesis.script(Operation::PutRecords, [Fault::Late(10_000)]);
    world.import_some(&id, 0, 200, Some(100)).await;
    let report = world.run(Kind::Import, &id, 12).await;
    assert_eq!((report.state, report.events), (State::Completed, 200), "{:?}", report.error);
    assert_eq!(world.held("orders").len(), 200);
}

/// Shard for shard, on request.
#[tokio::test(start_paused = true)]
async fn shards_stay_what_they_were_if_that_is_asked_for() {
    let source = sources(2, 200);
    let world = World::with(Faults::real(), 3, &source);
    moved(&world, "orders", Some(Placement::AsSource)).await;
    let shards = world.all("orders");
    for (events, (_, records)) in source.iter().zip(&shards) {
        let (sent, held): (Vec<_>, Vec<_>) = (
            events.iter().map(|event| event.payload.as_slice().to_vec()).collect(),
            records.iter().map(|record| record.data.to_vec()).collect(),
        );
        let sorted = |mut all: Vec<Vec<u8>>| {
            all.sort();
            all
        };
        assert_eq!(sorted(sent), sorted(held));
    }
    assert!(shards[2].1.is_empty());
}
