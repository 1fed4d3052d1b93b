//! Events that Kinesis cannot hold: each in a file of its own, while functions die and puts are not answered.

use sluice_fake_kinesis::{Fault, Faults, Operation};
use sluice_operations::{Verdict, verify};
use sluice_ports::NewEvent;
use sluice_transfer::{
    ExportRequest, Format, Header, ImportRequest, Kind, MisfitReason, OnMisfit, Request, State, Value,
};

use crate::placed::{event, placed};
use crate::world::World;

/// Events of which every seventh does not fit, for one reason after the other.
fn mixed() -> Vec<NewEvent> {
    let key = |number: usize| Value::from(format!("key {}", number % 11));
    let odd = |number: usize| {
        let plain = event(key(number), number);
        match number / 7 % 4 {
            0 => NewEvent { headers: vec![Header { name: "h".to_owned(), value: Value::Null }], ..plain },
            1 => NewEvent { key: Value::from("k".repeat(257)), ..plain },
            2 => NewEvent { payload: Value::Null, ..plain },
            _ => NewEvent { payload: Value::from(vec![b'x'; (1 << 20) + number]), ..plain },
        }
    };
    (0..120).map(|number| if number % 7 == 3 { odd(number) } else { event(key(number), number) }).collect()
}

async fn planned(world: &World, into: &str) -> sluice_transfer::TransferId {
    let request = ExportRequest {
        format: Some(Format::Avro),
        ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
    };
    let id = world.plan("export", &Request::Export(request)).await;
    assert_eq!(world.run(Kind::Export, &id, 10).await.state, State::Completed);
    let request = ImportRequest {
        on_misfit: Some(OnMisfit::Store),
        ..ImportRequest::new("memory:archive".parse().unwrap(), format!("kinesis:{into}").parse().unwrap())
    };
    world.plan("import", &Request::Import(request)).await
}

/// The number of files of the import's misfits.
async fn files(world: &World) -> usize {
    let (work, _) = world.engine.places.bucket(&world.engine.places.work()).await.unwrap();
    work.list("imports/import/misfits/", None, 1_000).await.unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn misfits_of_kinesis_are_stored_once_through_deaths() {
    let world = World::with(Faults::real(), 3, &[mixed()]);
    let id = planned(&world, "orders").await;
    for slice in 0..8 {
        let faults = [Fault::AnswerLost, Fault::Late(9_000), Fault::Lost];
        world.kinesis.script(Operation::PutRecords, [faults[slice as usize % 3], Fault::Passed]);
        world.import_some(&id, slice, 15, (slice % 2 == 1).then_some(300)).await;
        world.pass(5_000).await;
    }
    let report = world.run(Kind::Import, &id, 200).await;
    assert_eq!(report.state, State::CompletedWithMisfits, "{:?}", report.error);
    let odd = mixed().len() / 7;
    let told = report.misfits.expect("misfits").misfits;
    assert_eq!((told.events, report.events), (odd as u64, (mixed().len() - odd) as u64));
    let reasons: Vec<_> = told.reasons.keys().copied().collect();
    assert_eq!(reasons, [MisfitReason::Size, MisfitReason::Headers, MisfitReason::Key, MisfitReason::Payload]);
    assert_eq!(files(&world).await, odd);
    let shards = world.all("orders");
    placed(&shards);
    let mut held: Vec<usize> = shards
        .iter()
        .flat_map(|(_, records)| records)
        .map(|record| std::str::from_utf8(&record.data).unwrap().parse().unwrap())
        .collect();
    held.sort_unstable();
    assert_eq!(held, (0..120).filter(|number| number % 7 != 3).collect::<Vec<_>>());
    let proof = verify(&world.engine, &id, &mut |_| {}).await.unwrap();
    assert_eq!((proof.verdict, proof.misfits.events), (Verdict::Misfits, odd as u64), "{:?}", proof.findings);
}

/// The key that an event is given for its place is not its own.
#[tokio::test(start_paused = true)]
async fn keys_are_stored_as_they_were_in_the_source() {
    let headers = vec![Header { name: "h".to_owned(), value: Value::Null }];
    let odd = NewEvent { headers, ..event(Value::Absent, 7) };
    let world = World::with(Faults::real(), 1, &[vec![event(Value::Absent, 6), odd]]);
    let id = planned(&world, "orders").await;
    let report = world.run(Kind::Import, &id, 5).await;
    assert_eq!((report.state, report.events), (State::CompletedWithMisfits, 1), "{:?}", report.error);
    let (work, _) = world.engine.places.bucket(&world.engine.places.work()).await.unwrap();
    let file = work.list("imports/import/misfits/", None, 2).await.unwrap().remove(0);
    let line = String::from_utf8(work.get(&file.key, None, 0, file.size).await.unwrap().to_vec()).unwrap();
    assert!(
        line.contains(r#""headers":[{"name":"h","value":null}],"payload":7"#) && !line.contains(r#""key":"#),
        "{line}"
    );
}
