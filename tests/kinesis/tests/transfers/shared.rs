//! Row 4: what all exports of a stream take of its reading limits together, and what they leave to others.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use sluice_fake_kinesis::{Count, Faults, Filter, Millis, Operation, Start};
use sluice_operations::{Report, SliceOutcome, describe, export_slice, pause, settle};
use sluice_transfer::{ExportRequest, Format, Kind, ReadShare, Request, ShardId, State, TransferId};

use crate::world::{FIRST, World};
use crate::{HOUR, MINUTE};

/// Bytes of a record.
const RECORD: usize = 40_000;

/// A stream of one shard with a backlog of this many records, an hour old.
async fn backlog(records: u64) -> World {
    let world = World::new(Faults::real(), 1, Vec::new());
    world.pass(MINUTE).await;
    world.traffic(records, 100, RECORD);
    world.pass(HOUR).await;
    world
}

async fn plan(world: &World, id: &str, share: Option<f64>) -> TransferId {
    let request = ExportRequest {
        read_share: share.map(|share| ReadShare::new(share).unwrap()),
        ..ExportRequest::new("kinesis:orders".parse().unwrap(), "memory:archive".parse().unwrap())
    };
    world.plan(id, &Request::Export(request)).await
}

/// Runs exports at the same time, and says how long the last one took.
async fn run(world: &World, ids: &[TransferId]) -> (Vec<Report>, Millis) {
    let began = world.kinesis.clock().millis();
    let reports = join_all(ids.iter().map(|id| world.run(Kind::Export, id, 500))).await;
    (reports, world.kinesis.clock().millis() - began)
}

/// A consumer that takes what exports leave: half of the calls, and nearly half of the bytes, again and again.
async fn neighbour(world: &World, done: &AtomicBool) -> Count {
    let begin =
        || world.kinesis.call("neighbour", |call| call.get_shard_iterator("orders", FIRST, &Start::TrimHorizon));
    let mut iterator = begin().unwrap();
    while !done.load(Ordering::Relaxed) {
        if let Ok(answer) = world.kinesis.call("neighbour", |call| call.get_records(&iterator, 12)) {
            iterator = if answer.records.is_empty() { begin().unwrap() } else { answer.next.unwrap() };
        }
        world.pass(500).await;
    }
    world.kinesis.count("neighbour", Operation::GetRecords)
}

#[tokio::test(start_paused = true)]
async fn exports_together_leave_a_neighbour_its_half() {
    for count in 1..=3 {
        let world = backlog(600).await;
        let mut ids = Vec::new();
        for number in 0..count {
            ids.push(plan(&world, &format!("export-{number}"), None).await);
        }
        let done = AtomicBool::new(false);
        let exports = async {
            let (reports, took) = run(&world, &ids).await;
            done.store(true, Ordering::Relaxed);
            (reports, took)
        };
        let ((reports, took), seen) = tokio::join!(exports, neighbour(&world, &done));
        for report in &reports {
            assert_eq!((report.state, report.events), (State::Completed, 600), "{:?}", report.error);
        }
        assert_eq!(seen.throttled, 0, "beside {count} exports, of {} calls", seen.calls);
        let own = world.kinesis.count("sluice", Operation::GetRecords);
        assert!(own.throttled * 100 <= own.calls, "{} of {} calls of {count} exports", own.throttled, own.calls);
        // Half of two mebibytes a second, less what slices of a minute wind down for, and fetch and do not use.
        let share = f64::from(count) * 600.0 * RECORD as f64 / 1_048_576.0 / (took as f64 / 1_000.0);
        assert!(share > 0.7, "{count} exports used {share} of their half in {took} ms");
        assert!(share <= 1.0, "{count} exports took {share} of their half in {took} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn an_export_alone_is_hardly_ever_throttled() {
    for (share, most) in [(0.1, 0.0), (0.5, 0.0), (1.0, 0.01)] {
        let world = backlog(600).await;
        let id = plan(&world, "export", Some(share)).await;
        let (reports, took) = run(&world, &[id]).await;
        assert_eq!((reports[0].state, reports[0].events), (State::Completed, 600), "{:?}", reports[0].error);
        let own = world.kinesis.count("sluice", Operation::GetRecords);
        assert!(own.throttled as f64 <= most * own.calls as f64, "{} of {} calls at {share}", own.throttled, own.calls);
        let used = 600.0 * RECORD as f64 / 2_097_152.0 / (took as f64 / 1_000.0);
        assert!((share * 0.7..=share * 1.02).contains(&used), "{used} of the limits were used at {share}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_gone_holds_its_share_for_no_longer_than_it_may_live() {
    let world = backlog(200).await;
    let dead = plan(&world, "dead", None).await;
    // Its slice ends, and nobody goes on with it.
    world.some(&dead, 50).await;
    let id = plan(&world, "next", None).await;
    let (reports, took) = run(&world, &[id]).await;
    assert_eq!((reports[0].state, reports[0].events), (State::Completed, 200), "{:?}", reports[0].error);
    // A lease of a minute and ten seconds, less what the slice of the first took, and eight seconds to read.
    assert!((60_000..95_000).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn one_that_rests_leaves_its_share() {
    let world = backlog(200).await;
    let first = plan(&world, "first", None).await;
    world.some(&first, 50).await;
    pause(&world.engine, &first).await.unwrap();
    settle(&world.engine, &world.order_of(&first, Vec::new()), None).await.unwrap();
    assert_eq!(describe(&world.engine, &first).await.unwrap().state, State::Paused);
    let id = plan(&world, "next", None).await;
    let (reports, took) = run(&world, &[id]).await;
    assert_eq!((reports[0].state, reports[0].events), (State::Completed, 200), "{:?}", reports[0].error);
    assert!(took < 20_000, "{took} ms");
    let readers = world.engine.checkpoints.readers(&"kinesis:orders".parse().unwrap()).await.unwrap().unwrap();
    assert!(readers.readers.is_empty(), "who is through leaves, too: {readers:?}");
}

/// A rate is the transfer's, however many lanes it has.
#[tokio::test(start_paused = true)]
async fn lanes_together_keep_the_rate() {
    const RATE: u64 = 100_000;
    let world = World::new(Faults::real(), 4, Vec::new());
    world.pass(MINUTE).await;
    world.traffic(12_000, 5, 1_000);
    world.pass(HOUR).await;
    let request = ExportRequest {
        format: Some(Format::Raw),
        rate: Some(RATE),
        part_size: Some(20_000),
        object_size: Some(200_000),
        ..ExportRequest::new("kinesis:orders".parse().unwrap(), "memory:archive".parse().unwrap())
    };
    let id = world.plan("export", &Request::Export(request)).await;
    let page = world.kinesis.call("inspector", |call| call.list_shards("orders", Filter::default(), None)).unwrap();
    let shards: Vec<ShardId> = page.shards.iter().map(|shard| shard.shard.parse().unwrap()).collect();
    let lanes = [shards[..1].to_vec(), shards[1..].to_vec()];
    let orders: Vec<_> = lanes.into_iter().map(|lane| world.order_of(&id, lane)).collect();
    let slices = orders.iter().map(|order| export_slice(&world.engine, order));
    for outcome in join_all(slices).await {
        assert_eq!(outcome.unwrap(), SliceOutcome::More);
    }
    let moved = describe(&world.engine, &id).await.unwrap().bytes;
    let whole = RATE * world.slice_millis / 1_000;
    assert!(moved <= whole + RATE, "{moved} bytes in a minute, of {whole}");
    assert!(moved >= whole * 3 / 4, "{moved} bytes in a minute, of {whole}");
}
