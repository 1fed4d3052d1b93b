//! Whole transfers on the fake: what Sluice promises of Kinesis, held to Kinesis as it is.
#![cfg(test)]

mod aggregates;
mod created;
mod expired;
mod fanout;
mod live;
mod misfits;
mod ordered;
mod pace;
mod placed;
mod read_behind;
mod series;
mod shared;
mod world;

use std::sync::atomic::{AtomicBool, Ordering};

use sluice_fake_kinesis::{Behind, Fault, Faults, Millis, Mode, Operation, Record, Start};
use sluice_ports::NewEvent;
use sluice_transfer::{ImportRequest, Kind, Position, PositionSpec, ReadMode, Request, State, Timestamp, Value};

use crate::world::{FIRST, World};

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

fn shard_position(cut: &sluice_transfer::Cut) -> Position {
    cut.0.get(&FIRST.parse().unwrap()).cloned().expect("the gap is in the first shard")
}

fn number(record: &Record) -> sluice_transfer::Sequence {
    record.number.parse().unwrap()
}

/// The oldest record is gone a moment after it was looked up (row 1). Nobody named it and nobody read it: no gap.
#[tokio::test(start_paused = true)]
async fn earliest_of_a_busy_stream_completes_without_a_gap() {
    for behind in [Behind::AtHorizon, Behind::Refused, Behind::EmptyForEver] {
        let world = World::new(Faults { behind, ..Faults::real() }, 1, Vec::new());
        world.traffic(6_000, 50, 100);
        world.pass(5 * MINUTE).await;
        world.traffic(24 * 60, MINUTE, 100);
        world.pass(DAY - 4 * MINUTE).await;
        let id = world.plan_export(PositionSpec::Latest).await;
        let report = world.run(Kind::Export, &id, 60).await;
        assert_eq!((report.state, report.gaps), (State::Completed, 0), "{behind:?}: {:?}", report.error);
        assert!(report.events > 5_000, "{behind:?}: {}", report.events);
    }
}

/// An export that slept for longer than the retention tells exactly what it lost, and moves the rest.
pub(crate) async fn a_pause_longer_than_the_retention(behind: Behind, read: Option<ReadMode>) {
    let world = World { read, ..World::new(Faults { behind, ..Faults::real() }, 1, Vec::new()) };
    world.traffic(20 * 60, MINUTE, 100);
    world.pass(20 * HOUR - 1).await;
    let id = world.plan_export(PositionSpec::Latest).await;
    let before = world.held("orders");
    world.kinesis.set(Faults { behind, ..Faults::real() });
    let read = world.some(&id, 100).await;
    assert!((1..600).contains(&read), "{read} arrived");
    world.pass(14 * HOUR).await;
    let report = world.run(Kind::Export, &id, 60).await;
    let (state, gaps) = (report.state, report.gaps);
    assert_eq!((state, gaps), (State::CompletedWithGaps, 1), "{:?}", report.error);
    // What lies behind the ones that arrived, until the first record that is left.
    let (from, until) = (shard_position(&report.gap_ranges[0].from), shard_position(&report.gap_ranges[0].until));
    assert!(from.covers(&number(&before[read - 1])) && !from.covers(&number(&before[read])), "{from}");
    let lost = before.iter().filter(|record| until.covers(&number(record)) && !from.covers(&number(record))).count();
    assert_eq!(report.events, (before.len() - lost) as u64, "what was not lost arrived");
    // 34 hours have passed and some minutes: what arrived in the first 10 hours is gone.
    assert!((600..610).contains(&(read + lost)), "{read} had arrived, {lost} were lost");
}

#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_the_retention_where_iterators_begin_at_the_horizon() {
    a_pause_longer_than_the_retention(Behind::AtHorizon, None).await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_the_retention_where_old_numbers_are_refused() {
    a_pause_longer_than_the_retention(Behind::Refused, None).await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_the_retention_where_iterators_answer_nothing() {
    a_pause_longer_than_the_retention(Behind::EmptyForEver, None).await;
}

/// Row 5: a closed shard disappears with its last record. Nobody named its records, so the export completes without
/// them.
#[tokio::test(start_paused = true)]
async fn a_shard_that_expires_before_it_is_read_is_no_failure() {
    let world = World::new(Faults::real(), 1, Vec::new());
    world.traffic(10, 1_000, 100);
    world.pass(HOUR).await;
    world.kinesis.call("owner", |call| call.split_shard("orders", FIRST, 1_u128 << 127)).unwrap();
    world.pass(HOUR).await;
    let id = world.plan_export(PositionSpec::Latest).await;
    world.pass(2 * DAY).await;
    let report = world.run(Kind::Export, &id, 60).await;
    assert_eq!((report.state, report.events, report.gaps), (State::Completed, 0, 0), "{:?}", report.error);
}

/// A plan searches for nothing (row 3): at most 3 calls a shard, however long it was idle.
#[tokio::test(start_paused = true)]
async fn a_plan_of_idle_shards_takes_three_calls_a_shard() {
    let world = World::new(Faults::real(), 4, Vec::new());
    world.traffic(100, 1_000, 100);
    world.pass(20 * HOUR).await;
    world.plan_export(PositionSpec::Latest).await;
    let count = |operation| world.kinesis.count("sluice", operation).calls;
    let calls = count(Operation::GetShardIterator) + count(Operation::GetRecords);
    assert!(calls <= 3 * 4, "{calls} calls for 4 shards");
}

/// Row 10: a stream that was deleted and made again under its name is another one. Nothing of it is exported, and no
/// gap is made of what the old one held.
#[tokio::test(start_paused = true)]
async fn a_stream_that_was_made_again_is_refused() {
    for begun in [true, false] {
        let world = World::new(Faults { changing: 20_000, ..Faults::real() }, 1, Vec::new());
        world.pass(MINUTE).await;
        world.traffic(200, 1_000, 100);
        world.pass(HOUR).await;
        let id = world.plan_export(PositionSpec::Latest).await;
        let read = if begun { world.some(&id, 100).await } else { 0 };
        world.kinesis.call("owner", |call| call.delete_stream("orders")).unwrap();
        world.pass(MINUTE).await;
        world.kinesis.call("owner", |call| call.create_stream("orders", 1, Mode::Provisioned)).unwrap();
        world.pass(MINUTE).await;
        world.traffic(200, 1_000, 100);
        world.pass(HOUR).await;
        let report = world.run(Kind::Export, &id, 60).await;
        assert_eq!((report.state, report.gaps, report.events), (State::Failed, 0, read as u64));
        let error = report.error.expect("a reason");
        assert_eq!(error.code, "SourceChanged");
        assert!(error.message.contains("kinesis:orders was deleted and made again"), "{}", error.message);
    }
}

/// Silence is progress (row 3): a hole of many days is crossed by slices of a minute.
pub(crate) async fn a_hole_is_crossed(days: u64, read: Option<ReadMode>) {
    let world = World { read, ..World::new(Faults::real(), 1, Vec::new()) };
    world.kinesis.call("owner", |call| call.increase_stream_retention_period("orders", 8_760)).unwrap();
    world.traffic(10, 1_000, 100);
    world.pass(days * DAY).await;
    world.traffic(10, 1_000, 100);
    world.pass(HOUR).await;
    let id = world.plan_export(PositionSpec::Latest).await;
    let report = world.run(Kind::Export, &id, 120).await;
    assert_eq!((report.state, report.events), (State::Completed, 20), "{:?}", report.error);
}

#[tokio::test(start_paused = true)]
async fn a_hole_of_three_days_is_crossed() {
    a_hole_is_crossed(3, None).await;
}

#[tokio::test(start_paused = true)]
async fn a_hole_of_thirty_days_is_crossed() {
    a_hole_is_crossed(30, None).await;
}

fn events(count: u32) -> Vec<NewEvent> {
    let event = |number: u32| NewEvent {
        time: Timestamp::from_millis(0),
        key: Value::from(format!("key {number}")),
        headers: Vec::new(),
        payload: Value::from(format!("payload {number}")),
    };
    (0..count).map(event).collect()
}

/// Imports 100 events, where the first request meets a fault; what stands in the target then.
async fn imported(fault: Fault) -> Vec<Record> {
    let world = World::new(Faults::real(), 1, events(100));
    let export: sluice_transfer::ExportRequest =
        sluice_transfer::ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap());
    let id = world.plan("export", &Request::Export(export)).await;
    assert_eq!(world.run(Kind::Export, &id, 10).await.state, State::Completed);
    let import = ImportRequest::new("memory:archive".parse().unwrap(), "kinesis:orders".parse().unwrap());
    let id = world.plan("import", &Request::Import(import)).await;
    world.kinesis.script(Operation::PutRecords, [fault]);
    let report = world.run(Kind::Import, &id, 60).await;
    assert_eq!((report.state, report.events), (State::Completed, 100), "{fault:?}: {:?}", report.error);
    world.pass(5 * MINUTE).await;
    world.held("orders")
}

/// Row 9: a put without an answer is looked for before it is sent again.
#[tokio::test(start_paused = true)]
async fn a_put_that_is_lost_or_landed_unheard_is_not_doubled() {
    for fault in [Fault::Passed, Fault::AnswerLost, Fault::Lost] {
        assert_eq!(imported(fault).await.len(), 100, "{fault:?}");
    }
}

/// Row 9: a put that lands after its time-out of 30 seconds is waited for.
#[tokio::test(start_paused = true)]
async fn a_put_that_lands_late_is_not_doubled() {
    for late in [3_000, 25_000] {
        assert_eq!(imported(Fault::Late(30_000 + late)).await.len(), 100, "{late} ms late");
    }
}

/// Row 4: an export reads a backlog beside a consumer that polls once a second, and that is never throttled.
#[tokio::test(start_paused = true)]
async fn an_export_leaves_a_neighbour_its_share() {
    let world = World::new(Faults::real(), 1, Vec::new());
    world.traffic(1_000, 500, 40_000);
    world.pass(HOUR).await;
    let id = world.plan_export(PositionSpec::Latest).await;
    let start = world.kinesis.call("neighbour", |call| call.get_shard_iterator("orders", FIRST, &Start::Latest));
    let (mut iterator, done) = (start.unwrap(), AtomicBool::new(false));
    let neighbour = async {
        while !done.load(Ordering::Relaxed) {
            if let Ok(answer) = world.kinesis.call("neighbour", |call| call.get_records(&iterator, 1_000)) {
                iterator = answer.next.unwrap();
            }
            world.pass(1_000).await;
        }
    };
    let export = async {
        let report = world.run(Kind::Export, &id, 60).await;
        done.store(true, Ordering::Relaxed);
        report
    };
    let (report, ()) = tokio::join!(export, neighbour);
    assert_eq!((report.state, report.events), (State::Completed, 1_000));
    let count = world.kinesis.count("neighbour", Operation::GetRecords);
    assert_eq!(count.throttled, 0, "of {} calls", count.calls);
    assert!(count.calls >= 20, "40 MB at a fair share take half a minute: {}", count.calls);
}
