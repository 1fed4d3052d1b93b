//! The orders that an import may keep, each of them exact whatever dies, is lost or lands late.

use sluice_fake_kinesis::{Fault, Faults, Filter, Lineage, Millis, Operation, Record, hash_of};
use sluice_transfer::{ExportRequest, ImportRequest, Kind, Order, Placement, Request, State, TransferId, Value};

use crate::placed::{by_key, event, placed, sources};
use crate::world::World;

/// Exports `memory:source` and plans its import.
async fn planned(world: &World, order: Option<Order>, placement: Option<Placement>) -> TransferId {
    let request = ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap());
    let id = world.plan("export", &Request::Export(request)).await;
    assert_eq!(world.run(Kind::Export, &id, 10).await.state, State::Completed);
    let request = ImportRequest {
        order,
        placement,
        ..ImportRequest::new("memory:archive".parse().unwrap(), "kinesis:orders".parse().unwrap())
    };
    world.plan("import", &Request::Import(request)).await
}

/// One of the changes that happen to a stream.
fn reshard(world: &World, change: u64) {
    let shards =
        world.kinesis.call("inspector", |call| call.list_shards("orders", Filter::AtLatest, None)).unwrap().shards;
    let mut open = shards;
    open.sort_by_key(|shard| shard.hashes.first);
    let at = usize::try_from(change).unwrap() % open.len();
    let shard = &open[at];
    world.kinesis.call("owner", |call| match open.get(at + 1) {
        Some(next) if change.is_multiple_of(3) => {
            call.merge_shards("orders", &shard.shard, &next.shard).unwrap();
        }
        _ => {
            let middle = shard.hashes.first + (shard.hashes.last - shard.hashes.first) / 2 + 1;
            call.split_shard("orders", &shard.shard, middle).unwrap();
        }
    });
}

/// Imports 600 events in slices that are killed at any moment, with puts that are lost, late or not heard of, into a
/// stream that is split and merged meanwhile. What stands in it then.
async fn resharded_and_killed(seed: u64, order: Option<Order>) -> Vec<(Lineage, Vec<Record>)> {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |most: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % most
    };
    let world = World::with(Faults::real(), 2, &sources(2, 600));
    let id = planned(&world, order, None).await;
    for slice in 0..8 {
        let killed = (next(2) == 0).then(|| next(3_000));
        // A put of a function that was killed is waited for half a minute since that is known.
        let fault = [Fault::AnswerLost, Fault::Lost, Fault::Late(next(30_000)), Fault::Passed];
        let faults: Vec<Fault> = (0..next(3)).map(|_| fault[usize::try_from(next(4)).unwrap()]).collect();
        world.kinesis.script(Operation::PutRecords, faults);
        world.import_some(&id, slice, 40 + next(60), killed).await;
        if next(2) == 0 {
            reshard(&world, next(1_000));
        }
        world.pass(next(20_000)).await;
    }
    let report = world.run(Kind::Import, &id, 100).await;
    assert_eq!((report.state, report.events), (State::Completed, 600), "seed {seed}: {:?}", report.error);
    let shards = world.all("orders");
    placed(&shards);
    shards
}

/// The numbers of all events, as they stand there; parents are listed in front of their children.
fn numbers(shards: &[(Lineage, Vec<Record>)]) -> Vec<usize> {
    let all = shards.iter().flat_map(|(_, records)| records);
    all.map(|record| std::str::from_utf8(&record.data).unwrap().parse().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn by_key_each_event_arrives_once_in_the_order_of_its_key() {
    for seed in 0..40 {
        let shards = resharded_and_killed(seed, None).await;
        let found = by_key(shards.iter().flat_map(|(_, records)| records));
        for (key, events) in &found {
            let numbers: Vec<usize> = events.iter().map(|number| number.parse().unwrap()).collect();
            let all: Vec<usize> = (0..600).filter(|number| *key == format!("key {}", number % 37)).collect();
            assert_eq!(numbers, all, "seed {seed}, {key}");
        }
        assert_eq!(found.len(), 37, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_order_each_event_arrives_once() {
    let mut in_disorder = 0;
    for seed in 0..40 {
        let shards = resharded_and_killed(seed, Some(Order::None)).await;
        let mut numbers = numbers(&shards);
        in_disorder += u32::from(!numbers.is_sorted());
        numbers.sort_unstable();
        assert_eq!(numbers, (0..600).collect::<Vec<_>>(), "seed {seed}");
    }
    assert!(in_disorder > 20, "{in_disorder} of 40");
}

/// The source's shards hold 0 to 299 and 300 to 599, and are read one after the other. Where shards of the target are
/// merged, the events of both stand side by side, each in their order.
#[tokio::test(start_paused = true)]
async fn by_shard_each_event_arrives_once_in_the_order_of_its_shard() {
    for seed in 0..40 {
        let shards = resharded_and_killed(seed, Some(Order::Shard)).await;
        for (shard, records) in &shards {
            for first in [0, 1_u128 << 127] {
                let lane = records.iter().filter(|record| hash_of(&record.key) >> 127 == first >> 127).cloned();
                let of_lane = numbers(&[(shard.clone(), lane.collect())]);
                assert!(of_lane.is_sorted(), "seed {seed}, {}: {of_lane:?}", shard.shard);
            }
        }
        let mut numbers = numbers(&shards);
        numbers.sort_unstable();
        assert_eq!(numbers, (0..600).collect::<Vec<_>>(), "seed {seed}");
    }
}

/// Shard for shard, in the order of the source's: each shard of the target is the source's, event by event.
#[tokio::test(start_paused = true)]
async fn a_shard_is_restored_event_by_event() {
    let source = sources(2, 200);
    let world = World::with(Faults::real(), 2, &source);
    let id = planned(&world, Some(Order::Shard), Some(Placement::AsSource)).await;
    world.kinesis.script(Operation::PutRecords, [Fault::Passed, Fault::AnswerLost, Fault::Passed, Fault::Late(40_000)]);
    let report = world.run(Kind::Import, &id, 60).await;
    assert_eq!((report.state, report.events), (State::Completed, 200), "{:?}", report.error);
    for (events, (_, records)) in source.iter().zip(world.all("orders")) {
        let sent = events.iter().map(|event| event.payload.as_slice().to_vec());
        assert!(sent.eq(records.iter().map(|record| record.data.to_vec())));
    }
}

/// How long 2,000 events of one key take in such an order, in milliseconds, and in how many requests.
async fn of_one_key(order: Option<Order>) -> (Millis, u64) {
    let world =
        World::with(Faults::real(), 1, &[(0..2_000).map(|n| event(Value::from("key".to_owned()), n)).collect()]);
    let id = planned(&world, order, None).await;
    let began = world.kinesis.clock().millis();
    world.import_some(&id, 0, 2_000, None).await;
    let took = world.kinesis.clock().millis() - began;
    let report = world.run(Kind::Import, &id, 60).await;
    assert_eq!((report.state, report.events), (State::Completed, 2_000), "{:?}", report.error);
    (took, world.kinesis.count("sluice", Operation::PutRecords).calls)
}

/// What the plan says of the orders' speeds.
#[tokio::test(start_paused = true)]
async fn without_an_order_one_key_is_as_fast_as_many() {
    let (one_by_one, requests) = of_one_key(None).await;
    assert_eq!(requests, 2_000);
    let (filled, requests) = of_one_key(Some(Order::None)).await;
    assert!(requests <= 100, "{requests} requests");
    assert!(filled * 3 < one_by_one, "{filled} ms, and one by one {one_by_one}");
}

#[tokio::test(start_paused = true)]
async fn the_plan_tells_how_fast_an_order_is() {
    let world = World::with(Faults::real(), 4, &sources(1, 10));
    let id = planned(&world, Some(Order::Shard), None).await;
    let record = world.engine.checkpoints.transfer(&id).await.unwrap().unwrap();
    assert_eq!(record.version, 6);
    let told = record.notes.iter().find(|note| note.starts_with("order: shard: ")).unwrap();
    assert!(told.contains("at most 400 events a second into 4 shards"), "{told}");
}
