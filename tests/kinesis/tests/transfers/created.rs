//! Imports that make their target.

use sluice_fake_kinesis::{Entry, Faults, Mode, Operation, Status};
use sluice_operations::{Code, OperationError, plan};
use sluice_ports::NewEvent;
use sluice_transfer::record::TransferRecord;
use sluice_transfer::{ExportRequest, ImportRequest, Kind, PositionSpec, Request, State, Timestamp, TransferId, Value};

use crate::MINUTE;
use crate::world::{FIRST, World};

/// A stream takes 40 seconds to be made.
fn faults() -> Faults {
    Faults { changing: 40_000, ..Faults::real() }
}

fn events(count: usize) -> Vec<NewEvent> {
    let event = |number: usize| NewEvent {
        time: Timestamp::from_millis(0),
        key: Value::from(format!("key {}", number % 7)),
        headers: Vec::new(),
        payload: Value::from(number.to_string()),
    };
    (0..count).map(event).collect()
}

/// 300 events in three shards, exported.
async fn exported() -> World {
    let world = World::with(faults(), 1, &[events(100), events(100), events(100)]);
    let export = ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap());
    let id = world.plan("export", &Request::Export(export)).await;
    assert_eq!(world.run(Kind::Export, &id, 10).await.state, State::Completed);
    world
}

fn import(create_target: bool) -> Request {
    let request = ImportRequest::new("memory:archive".parse().unwrap(), "kinesis:copy".parse().unwrap());
    Request::Import(ImportRequest { create_target, ..request })
}

fn id() -> TransferId {
    "import".parse().unwrap()
}

async fn planned(world: &World, request: &Request) -> Result<TransferRecord, OperationError> {
    plan(&world.engine, &id(), request, "test").await.map(|planned| planned.transfer)
}

#[tokio::test(start_paused = true)]
async fn a_missing_target_is_made_with_as_many_shards_as_the_source_had() {
    let world = exported().await;
    let record = planned(&world, &import(true)).await.unwrap();
    assert_eq!((record.version, record.shards.len()), (6, 3));
    assert!(record.notes.contains(&"target: kinesis:copy was made, with 3 shards".to_owned()), "{:?}", record.notes);
    let report = world.run(Kind::Import, &id(), 60).await;
    assert_eq!((report.state, report.events), (State::Completed, 300), "{:?}", report.error);
    assert_eq!(world.all("copy").iter().map(|(_, records)| records.len()).sum::<usize>(), 300);
    assert_eq!(world.kinesis.count("sluice", Operation::CreateStream).calls, 1);
}

/// Those that others continue need no shard of their own.
#[tokio::test(start_paused = true)]
async fn of_a_source_that_was_split_the_last_shards_count() {
    let world = World::new(faults(), 1, Vec::new());
    world.pass(MINUTE).await;
    let entries = (0..40).map(|key| Entry::new(format!("key {key}"), "before")).collect();
    world.kinesis.call("producer", |call| call.put_records("orders", entries)).unwrap();
    world.kinesis.call("owner", |call| call.split_shard("orders", FIRST, 1 << 127)).unwrap();
    world.pass(MINUTE).await;
    let export = world.plan_export(PositionSpec::Latest).await;
    assert_eq!(world.run(Kind::Export, &export, 60).await.state, State::Completed);
    let record = planned(&world, &import(true)).await.unwrap();
    assert_eq!(record.shards.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_nobody_asked_for_is_not_made() {
    let world = exported().await;
    let error = planned(&world, &import(false)).await.unwrap_err();
    assert_eq!(error.code, Code::NotFound);
    for part in ["`aws kinesis create-stream --stream-name copy --shard-count 3`", "--create-target", "createTarget"] {
        assert!(error.message.contains(part), "{part}: {error}");
    }
    assert_eq!(world.kinesis.count("sluice", Operation::CreateStream).calls, 0);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_may_make_none_says_so() {
    let mut world = exported().await;
    world.make_none("the parameter CreateTargets of the stack is not true");
    let error = planned(&world, &import(true)).await.unwrap_err();
    assert_eq!(error.code, Code::Denied);
    assert!(error.message.contains("CreateTargets") && error.message.contains("create-stream"), "{error}");
    assert_eq!(world.kinesis.count("sluice", Operation::CreateStream).calls, 0);
}

/// A plan may die at any moment: the next one finds the stream made, or on its way.
#[tokio::test(start_paused = true)]
async fn a_plan_that_died_is_gone_on_with() {
    for killed_after in [0, 20, 40, 60, 80, 500, 5_000, 30_000, 41_000] {
        let world = exported().await;
        let request = import(true);
        tokio::select! {
            planned = planned(&world, &request) => drop(planned.unwrap()),
            () = world.pass(killed_after) => {}
        }
        let record = planned(&world, &import(true)).await.unwrap();
        assert_eq!(record.shards.len(), 3, "killed after {killed_after} ms");
        let report = world.run(Kind::Import, &id(), 60).await;
        assert_eq!((report.state, report.events), (State::Completed, 300), "{killed_after}: {:?}", report.error);
        let made = world.kinesis.count("sluice", Operation::CreateStream);
        assert!(made.calls - made.refused <= 1, "killed after {killed_after} ms: {made:?}");
    }
}

/// Not for ever: who waits is told, and the next plan goes on.
#[tokio::test(start_paused = true)]
async fn a_target_that_takes_long_is_waited_for_by_the_next_plan() {
    let world = exported().await;
    world.kinesis.change(|faults| faults.changing = 400_000);
    let error = planned(&world, &import(true)).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.message.contains("300 s after it was made"), "{error}");
    assert_eq!(planned(&world, &import(true)).await.unwrap().shards.len(), 3);
}

/// One that is being deleted under its name is not taken for the target, nor given up on.
#[tokio::test(start_paused = true)]
async fn a_stream_of_that_name_that_is_being_deleted_gives_way() {
    let world = exported().await;
    world.kinesis.call("owner", |call| call.create_stream("copy", 1, Mode::Provisioned)).unwrap();
    world.pass(MINUTE).await;
    world.kinesis.call("owner", |call| call.delete_stream("copy")).unwrap();
    assert_eq!(planned(&world, &import(true)).await.unwrap().shards.len(), 3);
    let summary = world.kinesis.call("inspector", |call| call.describe_stream_summary("copy")).unwrap();
    assert_eq!((summary.status, summary.open_shards), (Status::Active, 3));
}
