//! Imports into Kinesis in the rhythm of their source.

use sluice_fake_kinesis::{Fault, Faults, Millis, Operation, Record};
use sluice_operations::{Code, plan};
use sluice_ports::NewEvent;
use sluice_transfer::{ExportRequest, ImportRequest, Kind, Placement, Request, State, Timestamp, TransferId, Value};

use crate::world::World;
use crate::{HOUR, MINUTE};

/// So much later than due a record may arrive: a put takes its time, and so do the limits of a shard's writers.
const TOLERANCE: Millis = 1_500;

/// Events of two shards that were written side by side: bursts, some seconds between others, and two hours of silence.
/// The payload is the time.
fn sources() -> Vec<Vec<NewEvent>> {
    let times = |shard: u64| {
        let burst = (0..40).map(move |n| n * 50 + shard);
        let slow = (1..60).map(move |n| n * 7_000 + shard * 3_000);
        burst.chain(slow).chain((0..20).map(move |n| 2 * HOUR + n * 1_000 + shard))
    };
    let event = |(number, millis): (usize, u64)| NewEvent {
        time: Timestamp::from_millis(1_600_000_000_000).plus_millis(millis),
        key: Value::from(format!("key {}", number % 11)),
        headers: Vec::new(),
        payload: Value::from(millis.to_string()),
    };
    (0..2).map(|shard| times(shard).enumerate().map(event).collect()).collect()
}

fn request(placement: Option<Placement>) -> Request {
    let request = ImportRequest::new("memory:archive".parse().unwrap(), "kinesis:orders".parse().unwrap());
    Request::Import(ImportRequest { placement, pace: Some("original".parse().unwrap()), ..request })
}

async fn exported() -> World {
    let world = World::with(Faults::real(), 2, &sources());
    let export = ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap());
    let id = world.plan("export", &Request::Export(export)).await;
    assert_eq!(world.run(Kind::Export, &id, 10).await.state, State::Completed);
    world
}

/// Milliseconds since writing began at which each record arrived, with the time that it had at the source.
async fn arrived(world: &World, id: &TransferId) -> Vec<(Millis, Millis)> {
    let transfer = world.engine.checkpoints.transfer(id).await.unwrap().unwrap();
    let began = Millis::try_from(transfer.anchor.unwrap().began.micros() / 1_000).unwrap();
    let shards = world.all("orders");
    let time = |record: &Record| std::str::from_utf8(&record.data).unwrap().parse::<Millis>().unwrap();
    shards.iter().flat_map(|(_, records)| records).map(|record| (record.arrived - began, time(record))).collect()
}

#[tokio::test(start_paused = true)]
async fn records_arrive_as_far_apart_as_they_were() {
    let world = exported().await;
    // By key each shard of the target would read both of the source, one after the other.
    let by_key = plan(&world.engine, &"other".parse().unwrap(), &request(None), "test").await.unwrap_err();
    assert_eq!(by_key.code, Code::Invalid);
    assert!(by_key.message.contains("as-source"), "{}", by_key.message);

    let id = world.plan("import", &request(Some(Placement::AsSource))).await;
    let record = world.engine.checkpoints.transfer(&id).await.unwrap().unwrap();
    assert!(record.notes.iter().any(|note| note.contains("about 2 h, until")), "{:?}", record.notes);
    let report = world.run(Kind::Import, &id, 400).await;
    assert_eq!((report.state, report.events), (State::Completed, 238), "{:?}", report.error);
    let arrived = arrived(&world, &id).await;
    assert_eq!(arrived.len(), 238);
    for (at, time) in arrived {
        assert!((time..=time + TOLERANCE).contains(&at), "of {time} ms at {at} ms");
    }
    assert!(report.slices < 40, "{} slices took a shard", report.slices);
}

/// Slices are killed, puts are lost, late, or not heard of: each record arrives once, and none early.
#[tokio::test(start_paused = true)]
async fn deaths_and_late_puts_make_nothing_early() {
    for seed in 0..10_u64 {
        let world = exported().await;
        let id = world.plan("import", &request(Some(Placement::AsSource))).await;
        for slice in 0..6 {
            let fault = [Fault::AnswerLost, Fault::Lost, Fault::Late(9_000)];
            world.kinesis.script(Operation::PutRecords, [fault[usize::try_from((seed + slice) % 3).unwrap()]]);
            let killed = Some(700 + 997 * ((seed * 7 + slice * 3) % 23));
            world.import_some(&id, u32::try_from(slice).unwrap(), 1_000, killed).await;
            world.pass((seed + slice) % 5 * 4_000).await;
        }
        let report = world.run(Kind::Import, &id, 400).await;
        assert_eq!((report.state, report.events), (State::Completed, 238), "seed {seed}: {:?}", report.error);
        let arrived = arrived(&world, &id).await;
        assert_eq!(arrived.len(), 238, "seed {seed}");
        for (at, time) in arrived {
            assert!(at >= time, "seed {seed}: of {time} ms at {at} ms");
            assert!(time < HOUR || at <= time + TOLERANCE, "seed {seed}: it has caught up long since");
        }
        assert!(world.kinesis.clock().millis() > 1_700_000_000_000 + 2 * HOUR - MINUTE);
    }
}
