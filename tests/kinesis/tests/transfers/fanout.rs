//! Row 11: exports by enhanced fan-out. Each has a consumer of its own, for as long as it may read and no longer.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use sluice_fake_kinesis::{Behind, Faults, Filter, Millis, Operation, Start};
use sluice_operations::{OperationError, SliceOutcome, cancel, describe, export_slice, pause, plan, resume, settle};
use sluice_ports::{Read, ReadLimit};
use sluice_transfer::{
    ExportRequest, ImportRequest, Kind, Position, PositionSpec, ReadMode, ReadShare, Request, State, TransferId,
};

use crate::world::{FIRST, World};
use crate::{HOUR, MINUTE, a_hole_is_crossed, a_pause_longer_than_the_retention};

const FANOUT: Option<ReadMode> = Some(ReadMode::Fanout);

/// A stream of this number of shards with a backlog, and consumers that take some seconds to come and go.
async fn backlog(shards: u32, records: u64, bytes: usize) -> World {
    let faults = Faults { changing: 3_000, ..Faults::real() };
    let world = World { read: FANOUT, ..World::new(faults, shards, Vec::new()) };
    world.pass(MINUTE).await;
    world.traffic(records, 100, bytes);
    world.pass(HOUR).await;
    world
}

fn consumers(world: &World) -> Vec<String> {
    let found = world.kinesis.call("inspector", |call| call.list_stream_consumers("orders")).unwrap();
    found.into_iter().map(|consumer| consumer.name).collect()
}

/// Imports what was exported, which compares all of it with the manifest; the keys, in order.
async fn keys(world: &World) -> Vec<u64> {
    let import = ImportRequest::new("memory:archive".parse().unwrap(), "memory:copy".parse().unwrap());
    let id = world.plan("import", &Request::Import(import)).await;
    let report = world.run(Kind::Import, &id, 100).await;
    assert_eq!(report.state, State::Completed, "{:?}", report.error);
    let copy = world.engine.places.stream(&"memory:copy".parse().unwrap()).await.unwrap();
    let mut keys = Vec::new();
    for shard in copy.list().await.unwrap().shards {
        let mut from = Position::Beginning;
        loop {
            let read = copy.read(&shard.shard, &from, ReadLimit::new(1_000, 1 << 20)).await.unwrap();
            let Read::Events { events, next, at_tail, .. } = read else { panic!("nothing is trimmed") };
            keys.extend(
                events.iter().map(|event| str::from_utf8(event.key.as_slice()).unwrap().parse::<u64>().unwrap()),
            );
            from = next;
            if at_tail {
                break;
            }
        }
    }
    keys.sort_unstable();
    keys
}

fn polls(world: &World) -> u64 {
    world.kinesis.count("sluice", Operation::GetRecords).calls
}

#[tokio::test(start_paused = true)]
async fn each_event_arrives_once_from_slices_that_are_killed() {
    for seed in 0..6_u64 {
        let world = backlog(2, 2_000, 500).await;
        let id = world.plan_export(PositionSpec::Latest).await;
        for slice in 0..6_u32 {
            world.export_killed(&id, slice, 300 + (seed * 977 + u64::from(slice) * 1_409) % 9_000).await;
        }
        let report = world.run(Kind::Export, &id, 100).await;
        assert_eq!((report.state, report.events), (State::Completed, 2_000), "{:?}", report.error);
        world.pass(MINUTE).await;
        assert_eq!((consumers(&world).len(), polls(&world)), (0, 0), "it never polls, and its consumer is gone");
        assert_eq!(keys(&world).await, (0..2_000).collect::<Vec<_>>());
    }
}

/// A subscription lasts 5 minutes: a long slice makes several, and loses and doubles nothing between them.
#[tokio::test(start_paused = true)]
async fn subscriptions_that_end_are_made_again() {
    let mut world = backlog(1, 18_000, 40_000).await;
    world.slice_millis = 20 * MINUTE;
    let id = world.plan_export(PositionSpec::Latest).await;
    let began = world.kinesis.clock().millis();
    let report = world.run(Kind::Export, &id, 10).await;
    assert_eq!((report.state, report.events), (State::Completed, 18_000), "{:?}", report.error);
    let took = world.kinesis.clock().millis() - began;
    // 720 MB at two mebibytes a second.
    assert!((340_000..420_000).contains(&took), "{took} ms");
    let asked = world.kinesis.count("sluice", Operation::SubscribeToShard);
    assert!(asked.calls >= 2 && asked.records < 18_100, "{asked:?}");
}

/// A neighbour takes all that pollers have together, and is never throttled.
#[tokio::test(start_paused = true)]
async fn a_neighbour_that_takes_all_limits_is_not_throttled() {
    let world = backlog(1, 1_000, 40_000).await;
    let id = world.plan_export(PositionSpec::Latest).await;
    let begin =
        || world.kinesis.call("neighbour", |call| call.get_shard_iterator("orders", FIRST, &Start::TrimHorizon));
    let (mut iterator, done) = (begin().unwrap(), AtomicBool::new(false));
    let neighbour = async {
        while !done.load(Ordering::Relaxed) {
            // 2 MB a second.
            if let Ok(answer) = world.kinesis.call("neighbour", |call| call.get_records(&iterator, 10)) {
                iterator = if answer.records.is_empty() { begin().unwrap() } else { answer.next.unwrap() };
            }
            world.pass(200).await;
        }
    };
    let export = async {
        let report = world.run(Kind::Export, &id, 60).await;
        done.store(true, Ordering::Relaxed);
        report
    };
    let (report, ()) = tokio::join!(export, neighbour);
    assert_eq!((report.state, report.events), (State::Completed, 1_000), "{:?}", report.error);
    let count = world.kinesis.count("neighbour", Operation::GetRecords);
    assert!(count.throttled == 0 && count.calls > 50, "{count:?}");
    assert_eq!(polls(&world), 0);
    let readers = world.engine.checkpoints.readers(&"kinesis:orders".parse().unwrap()).await.unwrap();
    assert!(readers.is_none(), "it is not among those that share: {readers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_is_there_while_slices_may_read() {
    let world = backlog(1, 600, 500).await;
    let id = world.plan_export(PositionSpec::Latest).await;
    assert_eq!(consumers(&world).len(), 1, "registered by the plan");
    world.some(&id, 100).await;
    assert_eq!(consumers(&world).len(), 1);
    pause(&world.engine, &id).await.unwrap();
    settle(&world.engine, &world.order_of(&id, Vec::new()), None).await.unwrap();
    assert_eq!(describe(&world.engine, &id).await.unwrap().state, State::Paused);
    // While it is still on its way out.
    resume(&world.engine, &id, "again").await.unwrap();
    world.some(&id, 100).await;
    assert_eq!(consumers(&world).len(), 1, "registered again");
    let report = world.run(Kind::Export, &id, 60).await;
    assert_eq!((report.state, report.events), (State::Completed, 600), "{:?}", report.error);
    world.pass(MINUTE).await;
    assert!(consumers(&world).is_empty());
    assert_eq!(keys(&world).await, (0..600).collect::<Vec<_>>());
}

/// A plan dies at any moment. The next one of that id finds what it registered, and the end removes it.
#[tokio::test(start_paused = true)]
async fn a_plan_that_died_leaves_no_second_consumer() {
    for after in (0..4_500).step_by(150) {
        let world = backlog(1, 20, 500).await;
        let request = ExportRequest {
            read: FANOUT,
            ..ExportRequest::new("kinesis:orders".parse().unwrap(), "memory:archive".parse().unwrap())
        };
        let (id, request): (TransferId, _) = ("export".parse().unwrap(), Request::Export(request));
        tokio::select! {
            planned = plan(&world.engine, &id, &request, "first") => { planned.unwrap(); }
            () = world.pass(after) => {}
        }
        plan(&world.engine, &id, &request, "second").await.unwrap();
        assert_eq!(consumers(&world).len(), 1, "after {after} ms");
        let report = world.run(Kind::Export, &id, 20).await;
        assert_eq!((report.state, report.events), (State::Completed, 20), "{:?}", report.error);
        world.pass(MINUTE).await;
        assert!(consumers(&world).is_empty(), "after {after} ms");
    }
}

/// The settling of a cancelled export dies at any moment. The next one removes the consumer.
#[tokio::test(start_paused = true)]
async fn a_cancelled_export_leaves_no_consumer() {
    for after in (0..300).step_by(10) {
        let world = backlog(1, 300, 500).await;
        let id = world.plan_export(PositionSpec::Latest).await;
        world.some(&id, 100).await;
        cancel(&world.engine, &id).await.unwrap();
        let order = world.order_of(&id, Vec::new());
        tokio::select! {
            settled = settle(&world.engine, &order, None) => { settled.unwrap(); }
            () = world.pass(after) => {}
        }
        world.run(Kind::Export, &id, 20).await;
        assert_eq!(describe(&world.engine, &id).await.unwrap().state, State::Cancelled);
        world.pass(MINUTE).await;
        assert!(consumers(&world).is_empty(), "after {after} ms");
    }
}

/// Lanes that begin together register one consumer, though an account has few such calls a second.
#[tokio::test(start_paused = true)]
async fn lanes_that_begin_together_register_one_consumer() {
    let world = backlog(24, 480, 500).await;
    let id = world.plan_export(PositionSpec::Latest).await;
    let name = consumers(&world).remove(0);
    world.kinesis.call("somebody", |call| call.deregister_stream_consumer("orders", &name)).unwrap();
    world.pass(MINUTE).await;
    let shards = world.engine.checkpoints.transfer(&id).await.unwrap().unwrap().shards;
    let orders: Vec<_> = shards.into_iter().map(|shard| world.order_of(&id, vec![shard])).collect();
    for outcome in join_all(orders.iter().map(|order| export_slice(&world.engine, order))).await {
        let outcome = outcome.unwrap();
        assert!(!matches!(outcome, SliceOutcome::Failed(_)), "{outcome:?}");
    }
    assert_eq!(consumers(&world), [name]);
    let report = world.run(Kind::Export, &id, 60).await;
    assert_eq!((report.state, report.events), (State::Completed, 480), "{:?}", report.error);
}

/// Somebody removes the consumer while a slice reads: the next slice registers it.
#[tokio::test(start_paused = true)]
async fn a_consumer_that_was_removed_is_registered_again() {
    let world = backlog(1, 600, 40_000).await;
    let id = world.plan_export(PositionSpec::Latest).await;
    let removal = async {
        world.pass(4_000).await;
        let name = consumers(&world).remove(0);
        world.kinesis.call("somebody", |call| call.deregister_stream_consumer("orders", &name)).unwrap();
    };
    let (report, ()) = tokio::join!(world.run(Kind::Export, &id, 60), removal);
    assert_eq!((report.state, report.events), (State::Completed, 600), "{:?}", report.error);
    world.pass(MINUTE).await;
    assert!(consumers(&world).is_empty());
}

/// Parents in front of children, and each event once, of a stream that was split and is split again meanwhile.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_split_is_read_whole() {
    let world = backlog(1, 300, 500).await;
    world.kinesis.call("owner", |call| call.split_shard("orders", FIRST, 1 << 127)).unwrap();
    world.pass(MINUTE).await;
    let now = world.kinesis.clock().millis();
    for number in 300..600_u64 {
        let entry = sluice_fake_kinesis::Entry::new(number.to_string(), vec![b'x'; 500]);
        world.kinesis.call("producer", |call| call.put_later("orders", now + number * 10, vec![entry])).unwrap();
    }
    world.pass(HOUR).await;
    let id = world.plan_export(PositionSpec::Latest).await;
    world.some(&id, 100).await;
    world.kinesis.call("owner", |call| call.split_shard("orders", "shardId-000000000001", 1 << 126)).unwrap();
    let report = world.run(Kind::Export, &id, 60).await;
    assert_eq!((report.state, report.events), (State::Completed, 600), "{:?}", report.error);
    let shards = world.kinesis.call("inspector", |call| call.list_shards("orders", Filter::default(), None)).unwrap();
    assert_eq!(shards.shards.len(), 5);
    let planned: Vec<String> =
        world.engine.checkpoints.transfer(&id).await.unwrap().unwrap().shards.iter().map(ToString::to_string).collect();
    assert_eq!(planned, [FIRST, "shardId-000000000001", "shardId-000000000002"]);
    assert_eq!(keys(&world).await, (0..600).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn losses_are_told_as_to_a_poller() {
    for behind in [Behind::AtHorizon, Behind::Refused, Behind::EmptyForEver] {
        a_pause_longer_than_the_retention(behind, FANOUT).await;
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_crossed_as_by_a_poller() {
    a_hole_is_crossed(3, FANOUT).await;
    a_hole_is_crossed(30, FANOUT).await;
}

async fn refused(world: &World, stream: &str) -> OperationError {
    let request = ExportRequest {
        read: FANOUT,
        ..ExportRequest::new(stream.parse().unwrap(), "memory:archive".parse().unwrap())
    };
    plan(&world.engine, &"refused".parse().unwrap(), &Request::Export(request), "test").await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_fan_out_or_without_room_is_refused() {
    let world = backlog(1, 10, 500).await;
    let error = refused(&world, "memory:source").await;
    assert!(error.message.contains("no enhanced fan-out"), "{error}");
    assert!(world.engine.checkpoints.transfer(&"refused".parse().unwrap()).await.unwrap().is_none());
    for number in 0..20 {
        let name = format!("other-{number}");
        world.kinesis.call("others", |call| call.register_stream_consumer("orders", &name)).unwrap();
        world.pass(1_000).await;
    }
    let error = refused(&world, "kinesis:orders").await;
    assert_eq!(error.code.to_string(), "NoRoom", "{error}");
    assert!(error.message.contains("deregister-stream-consumer"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_fan_out_costs() {
    let world = backlog(2, 10, 500).await;
    let request = ExportRequest {
        read: FANOUT,
        read_share: Some(ReadShare::HALF),
        ..ExportRequest::new("kinesis:orders".parse().unwrap(), "memory:archive".parse().unwrap())
    };
    let id = world.plan("export", &Request::Export(request)).await;
    let notes = world.engine.checkpoints.transfer(&id).await.unwrap().unwrap().notes.join(" ");
    assert!(
        notes.contains("each hour of it for each of 2 shards") && notes.contains("readShare has no effect"),
        "{notes}"
    );
    let millis: Millis = world.kinesis.clock().millis();
    let report = world.run(Kind::Export, &id, 10).await;
    assert_eq!((report.state, report.events), (State::Completed, 10), "{:?}", report.error);
    assert!(world.kinesis.clock().millis() - millis < 30_000, "the tip is seen within two subscriptions");
}
