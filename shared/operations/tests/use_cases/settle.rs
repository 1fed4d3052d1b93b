//! Settling while somebody else may be at work.

use sluice_kit::{Rig, shard};
use sluice_memory::now;
use sluice_operations::{Runner, Settings, Settled, SliceOrder, Wish, begin, pause, settle};
use sluice_transfer::record::{Failure, Owner, Proof};
use sluice_transfer::{ExportRequest, Format, Request, State, TransferId};

/// A host settles with a failure once; after a wait it settles without it.
#[test]
fn a_failure_is_kept_until_owners_have_come_to_rest_also_if_a_pause_is_wanted() {
    for paused in [false, true] {
        let rig = Rig::new(Settings::default(), &[vec![]]);
        let id: TransferId = "t".parse().unwrap();
        let request = Request::Export(ExportRequest {
            format: Some(Format::Avro),
            ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
        });
        now(begin(&rig.engine, &id, Wish::Start(&request), Runner { execution: "a", alone: true, deadline: None }))
            .unwrap();
        let own = |owner: Option<Owner>| {
            let mut record = now(rig.engine.checkpoints.shard(&id, &shard(0))).unwrap().unwrap();
            record.revision += 1;
            record.owner = owner;
            now(rig.engine.checkpoints.update_shard(&record, &[])).unwrap();
        };
        let lease_until = rig.engine.clock.now().plus_millis(1_000_000);
        own(Some(Owner { slice: "alive".to_owned(), lease_until }));
        if paused {
            now(pause(&rig.engine, &id)).unwrap();
        }
        let settled = |failure| {
            let order = SliceOrder { proof: Proof::None, ..rig.order(&id, 1_000_000) };
            now(settle(&rig.engine, &order, failure)).unwrap()
        };
        let failure = Failure { code: "Denied".to_owned(), message: "it".to_owned() };
        assert!(matches!(settled(Some(failure.clone())), Settled::Busy { .. }));
        own(None);
        assert_eq!(settled(None), Settled::Ended);
        let record = now(rig.engine.checkpoints.transfer(&id)).unwrap().unwrap();
        assert_eq!((record.state, record.failure), (State::Failed, Some(failure)), "paused: {paused}");
    }
}
