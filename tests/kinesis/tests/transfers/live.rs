//! Where live goes on behind an import: the cut that its report names.

use sluice_fake_kinesis::{Entry, Faults};
use sluice_transfer::{ExportRequest, ImportRequest, Kind, PositionSpec, Request, State};

use crate::MINUTE;
use crate::placed::sources;
use crate::world::{FIRST, World};

/// What live producers write after an import is what an export from its cut holds, also where the target was split.
#[tokio::test(start_paused = true)]
async fn an_export_from_the_cut_of_an_import_holds_what_came_after_it() {
    for splits in [false, true] {
        let world = World::with(Faults::real(), 2, &sources(2, 200));
        let export = ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap());
        let id = world.plan("export", &Request::Export(export)).await;
        assert_eq!(world.run(Kind::Export, &id, 10).await.state, State::Completed);
        let import = ImportRequest::new("memory:archive".parse().unwrap(), "kinesis:orders".parse().unwrap());
        let id = world.plan("import", &Request::Import(import)).await;
        world.import_some(&id, 0, 60, None).await;
        if splits {
            world.kinesis.call("owner", |call| call.split_shard("orders", FIRST, 1 << 126)).unwrap();
            world.pass(MINUTE).await;
        }
        let report = world.run(Kind::Import, &id, 60).await;
        assert_eq!((report.state, report.events), (State::Completed, 200), "{:?}", report.error);
        assert_eq!(report.cut.0.len(), if splits { 4 } else { 2 }, "{}", report.cut);

        let live = (0..50).map(|number| Entry::new(format!("key {number}"), format!("live {number}"))).collect();
        world.kinesis.call("producer", |call| call.put_records("orders", live)).unwrap();
        world.pass(MINUTE).await;
        // As a person gives it.
        let from: PositionSpec = report.cut.to_string().parse().unwrap();
        let export = ExportRequest {
            from: Some(from),
            ..ExportRequest::new("kinesis:orders".parse().unwrap(), "memory:later".parse().unwrap())
        };
        let id = world.plan("later", &Request::Export(export)).await;
        let report = world.run(Kind::Export, &id, 60).await;
        assert_eq!((report.state, report.events), (State::Completed, 50), "split: {splits}, {:?}", report.error);
    }
}
