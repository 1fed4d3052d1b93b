//! Series of exports: night after night from a stream that forgets after a day, is silent for days, and is split.

use sluice_fake_kinesis::{Faults, Operation};
use sluice_operations::{NextRun, Report, SeriesOrder, Verdict, next_run, plan, verify};
use sluice_transfer::{ExportRequest, Kind, Request, State};

use crate::world::{FIRST, World};
use crate::{DAY, HOUR};

async fn night(world: &World) -> Report {
    let request = ExportRequest {
        series: Some("nightly".parse().unwrap()),
        ..ExportRequest::new("kinesis:orders".parse().unwrap(), "memory:archive".parse().unwrap())
    };
    let order = SeriesOrder { repeated_by: None, take_over: false };
    let (next, _) = next_run(&world.engine, &request, order).await.unwrap();
    let NextRun::Begin(id) = next else { panic!("the run before is not at its end: {next:?}") };
    plan(&world.engine, &id, &Request::Export(request), "test").await.unwrap();
    let report = world.run(Kind::Export, &id, 100).await;
    let proof = verify(&world.engine, &id, &mut |_| {}).await.unwrap();
    let gaps = report.state == State::CompletedWithGaps;
    assert_eq!(proof.verdict, if gaps { Verdict::Gaps } else { Verdict::Proved }, "{:?}", proof.findings);
    report
}

#[tokio::test(start_paused = true)]
async fn silence_between_two_nights_is_no_gap_and_is_not_crossed_again() {
    let world = World::new(Faults::real(), 2, Vec::new());
    world.traffic(20, 1_000, 100);
    world.pass(HOUR).await;
    let mut events = night(&world).await.events;
    for silent in 1..=5 {
        // Shorter than the stream keeps events, and all of these expire.
        world.pass(DAY - 2 * HOUR).await;
        let before = world.kinesis.count("sluice", Operation::GetRecords).calls;
        let report = night(&world).await;
        assert_eq!((report.state, report.events), (State::Completed, 0), "night {silent}: {:?}", report.notes);
        let calls = world.kinesis.count("sluice", Operation::GetRecords).calls - before;
        // An answer comes five minutes of the stream's time further; there are two shards.
        assert!(calls < 2 * 300, "night {silent}: {calls} calls");
    }
    world.traffic(20, 1_000, 100);
    world.pass(HOUR).await;
    let report = night(&world).await;
    assert_eq!(report.state, State::Completed, "what follows a long silence follows no loss: {:?}", report.gap_ranges);
    events += report.events;
    assert_eq!(events, 40);
}

#[tokio::test(start_paused = true)]
async fn nights_that_are_further_apart_than_the_stream_keeps_events_have_a_gap() {
    // A day of silence is crossed in two minutes.
    let world = World { slice_millis: 300_000, ..World::new(Faults::real(), 1, Vec::new()) };
    world.traffic(20, 1_000, 100);
    world.pass(HOUR).await;
    assert_eq!(night(&world).await.state, State::Completed);
    world.traffic(20, 1_000, 100);
    world.pass(2 * DAY).await;
    world.traffic(5, 1_000, 100);
    world.pass(HOUR).await;
    let report = night(&world).await;
    assert_eq!((report.state, report.events, report.gaps), (State::CompletedWithGaps, 5, 1));
    world.pass(HOUR).await;
    assert_eq!(night(&world).await.state, State::Completed, "it is a gap of one night");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_split_between_two_nights_is_exported_once() {
    let world = World::new(Faults::real(), 1, Vec::new());
    world.traffic(20, 1_000, 100);
    world.pass(HOUR).await;
    let mut events = night(&world).await.events;
    world.traffic(20, 1_000, 100);
    world.pass(HOUR).await;
    world.kinesis.call("owner", |call| call.split_shard("orders", FIRST, 1 << 127)).unwrap();
    world.pass(HOUR).await;
    world.traffic(20, 1_000, 100);
    world.pass(HOUR).await;
    for _ in 0..4 {
        let report = night(&world).await;
        assert_eq!(report.state, State::Completed, "{:?} {:?}", report.gap_ranges, report.notes);
        events += report.events;
        // The parent's events expire, and it is no longer listed.
        world.pass(DAY - HOUR).await;
    }
    assert_eq!(events, 60);
}
