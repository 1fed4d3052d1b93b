//! The proof of an import is made while it is written.

use sluice_fake_kinesis::{Fault, Faults, Operation};
use sluice_operations::{SliceOutcome, import_slice};
use sluice_transfer::{ExportRequest, ImportRequest, Kind, Request, State, TransferId};

use crate::placed::sources;
use crate::world::World;

/// Enough that each shard takes some seconds: it takes 1,000 a second.
const EVENTS: usize = 8_000;

async fn planned(world: &World) -> TransferId {
    let request = ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap());
    let id = world.plan("export", &Request::Export(request)).await;
    assert_eq!(world.run(Kind::Export, &id, 10).await.state, State::Completed);
    let request = ImportRequest::new("memory:archive".parse().unwrap(), "kinesis:orders".parse().unwrap());
    world.plan("import", &Request::Import(request)).await
}

/// Records that were read of the target so far.
fn read(world: &World) -> u64 {
    world.kinesis.count("sluice", Operation::GetRecords).records
}

#[tokio::test(start_paused = true)]
async fn little_is_left_for_the_end_and_nothing_is_read_twice() {
    let mut world = World::with(Faults::real(), 2, &sources(2, EVENTS));
    world.engine.settings.read_events = 1_000;
    let id = planned(&world).await;
    let (events, before) = (EVENTS as u64, read(&world));
    assert_eq!(import_slice(&world.engine, &world.order_of(&id, Vec::new())).await.unwrap(), SliceOutcome::Done);
    let meanwhile = read(&world) - before;
    assert!(meanwhile > events * 4 / 5, "{meanwhile} of {events} were read back by then");
    let report = world.run(Kind::Import, &id, 10).await;
    assert_eq!((report.state, report.events), (State::Completed, events), "{:?}", report.error);
    let all = read(&world) - before;
    assert!(all < events * 11 / 10, "{all} were read to compare {events}");
}

/// Deaths lose no comparison, and doubtful events are not compared too early.
#[tokio::test(start_paused = true)]
async fn it_goes_on_behind_deaths_and_doubts() {
    for seed in 0..20_u64 {
        let world = World::with(Faults::real(), 2, &sources(2, EVENTS / 4));
        let id = planned(&world).await;
        for slice in 0..4 {
            let fault = [Fault::AnswerLost, Fault::Lost, Fault::Late(seed * 1_000), Fault::Passed];
            world.kinesis.script(Operation::PutRecords, [Fault::Passed, fault[usize::try_from(seed % 4).unwrap()]]);
            let killed_after = (slice % 2 == 0).then_some(300 + seed * 97);
            world.import_some(&id, slice, 300, killed_after).await;
            world.pass(seed * 500).await;
        }
        let report = world.run(Kind::Import, &id, 100).await;
        assert_eq!((report.state, report.events), (State::Completed, EVENTS as u64 / 4), "{seed}: {:?}", report.error);
    }
}
