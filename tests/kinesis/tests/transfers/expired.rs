//! The proof of an import whose events were dropped since, by the target's retention.

use sluice_fake_kinesis::Faults;
use sluice_operations::{Verdict, Verification, verify};
use sluice_ports::NewEvent;
use sluice_transfer::{ExportRequest, ImportRequest, Kind, Request, State, Timestamp, TransferId, Value};

use crate::world::{FIRST, World};
use crate::{HOUR, MINUTE};

fn event(number: usize) -> NewEvent {
    NewEvent {
        time: Timestamp::from_millis(0),
        key: Value::from(format!("key {}", number % 7)),
        headers: Vec::new(),
        payload: Value::from(number.to_string()),
    }
}

/// An import of 200 events is planned.
async fn planned(append: bool) -> (World, TransferId) {
    let mut world = World::with(Faults::real(), 1, &[(0..200).map(event).collect()]);
    // As they are by default: a day of silence takes some hundred calls to cross.
    world.slice_millis = 5 * MINUTE;
    if append {
        world.traffic(1, 1, 100);
        world.pass(MINUTE).await;
    }
    let export = ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap());
    let id = world.plan("export", &Request::Export(export)).await;
    assert_eq!(world.run(Kind::Export, &id, 10).await.state, State::Completed);
    let import = ImportRequest {
        append,
        ..ImportRequest::new("memory:archive".parse().unwrap(), "kinesis:orders".parse().unwrap())
    };
    let id = world.plan("import", &Request::Import(import)).await;
    (world, id)
}

async fn verified(world: &World, id: &TransferId) -> Verification {
    verify(&world.engine, id, &mut |_| {}).await.unwrap()
}

/// Whether anything stood in front of them or not: a loss behind a position is seen, one at the beginning is not.
#[tokio::test(start_paused = true)]
async fn events_that_have_expired_are_counted_and_prove_nothing() {
    for append in [false, true] {
        let (world, id) = planned(append).await;
        world.import_some(&id, 0, 60, None).await;
        let first = world.held("orders").len() - usize::from(append);
        world.kinesis.set(Faults::real());
        world.pass(20 * HOUR).await;
        let report = world.run(Kind::Import, &id, 60).await;
        assert_eq!((report.state, report.events), (State::Completed, 200), "{:?}", report.error);
        assert_eq!(verified(&world, &id).await.verdict, Verdict::Proved, "all is still there");

        world.pass(10 * HOUR).await;
        let some = verified(&world, &id).await;
        assert_eq!((some.verdict, some.expired), (Verdict::Unproved, first as u64), "{:?}", some.findings);
        assert_eq!(some.counts.events + some.expired, 200);
        assert!(some.findings[0].contains(&format!("{first} of 200 imported events were trimmed")), "{some:?}");

        world.pass(20 * HOUR).await;
        let none = verified(&world, &id).await;
        assert_eq!((none.verdict, none.expired, none.counts.events), (Verdict::Unproved, 200, 0), "{none:?}");
    }
}

/// A shard that was split is no longer listed once its events have expired.
#[tokio::test(start_paused = true)]
async fn a_shard_that_expired_as_a_whole_is_counted_too() {
    let (world, id) = planned(false).await;
    world.import_some(&id, 0, 60, None).await;
    let first = world.held("orders").len() as u64;
    world.kinesis.set(Faults::real());
    world.kinesis.call("owner", |call| call.split_shard("orders", FIRST, 1 << 127)).unwrap();
    world.pass(MINUTE).await;
    let report = world.run(Kind::Import, &id, 60).await;
    assert_eq!((report.state, report.events), (State::Completed, 200), "{:?}", report.error);
    assert_eq!(verified(&world, &id).await.verdict, Verdict::Proved);
    world.pass(40 * HOUR).await;
    let after = verified(&world, &id).await;
    assert_eq!((after.verdict, after.expired), (Verdict::Unproved, 200), "{first} stood in the shard: {after:?}");
}

/// What lies in the target too much is a mismatch, however old it is.
#[tokio::test(start_paused = true)]
async fn more_events_than_were_sent_are_a_mismatch_whatever_has_expired() {
    let (world, id) = planned(false).await;
    assert_eq!(world.run(Kind::Import, &id, 60).await.state, State::Completed);
    let shard = FIRST.parse().unwrap();
    let mut record = world.engine.checkpoints.shard(&id, &shard).await.unwrap().unwrap();
    let sluice_transfer::record::Work::Import(work) = &mut record.work else { panic!("an import") };
    work.counts = sluice_transfer::Counts::new(150, 200);
    record.revision += 1;
    assert_eq!(world.engine.checkpoints.update_shard(&record, &[]).await.unwrap(), sluice_ports::Stored::Done);
    world.pass(23 * HOUR).await;
    assert_eq!(verified(&world, &id).await.verdict, Verdict::Mismatch);
}
