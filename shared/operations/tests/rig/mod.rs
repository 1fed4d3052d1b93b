//! A world in memory in which whole transfers run.

use std::sync::Arc;

use sluice_operations::{
    Engine, Finish, Settings, Settled, SliceOrder, SliceOutcome, export_slice, finish, import_slice, plan, settle,
};
use sluice_ports::memory::{MemoryBucket, MemoryCheckpoints, MemoryClock, MemoryPlaces, MemoryStream, now};
use sluice_ports::{Appended, Capabilities, NewEvent, StreamStore};
use sluice_transfer::record::{Failure, Proof};
use sluice_transfer::{Budget, Kind, Position, Request, ShardId, TransferId};

/// A source, a bucket and a target, with an engine among them. Its clock goes on with each look at it.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) target: MemoryStream,
    pub(crate) bucket: MemoryBucket,
}

pub(crate) fn shard(number: usize) -> ShardId {
    number.to_string().parse().unwrap()
}

pub(crate) fn append(stream: &MemoryStream, number: usize, tail: &Position, events: &[NewEvent]) {
    let appended = now(stream.append(&shard(number), None, tail, events)).unwrap();
    assert!(matches!(appended, Appended::Done { .. }), "{appended:?}");
}

impl Rig {
    /// With a source of such shards, and parts of any size.
    pub(crate) fn new(settings: Settings, shards: &[Vec<NewEvent>]) -> Self {
        let (source, target) = (MemoryStream::new(), MemoryStream::new());
        now(source.create(u32::try_from(shards.len()).unwrap())).unwrap();
        for (number, events) in shards.iter().enumerate() {
            append(&source, number, &Position::Beginning, events);
        }
        let bucket = MemoryBucket::with(Capabilities { create_only: true, smallest_part: 1, attests_content: false });
        let places = MemoryPlaces { source, target: target.clone(), bucket: bucket.clone(), work: MemoryBucket::new() };
        let engine = Engine {
            checkpoints: Arc::new(MemoryCheckpoints::default()),
            places: Arc::new(places),
            clock: Arc::new(MemoryClock::stepping()),
            settings,
        };
        Self { engine, target, bucket }
    }

    pub(crate) fn order(&self, id: &TransferId, steps: u64) -> SliceOrder {
        let deadline = self.engine.clock.now().plus_millis(1 + steps);
        let budget = Budget { events: None, bytes: None, deadline };
        SliceOrder { id: id.clone(), lane: Vec::new(), slice: "slice".to_owned(), budget, proof: Proof::SoleOwner }
    }

    /// A transfer to its end, in slices of so many steps.
    pub(crate) fn transfer(&self, id: &str, request: &Request, steps: u64) -> Result<(), Failure> {
        let id: TransferId = id.parse().unwrap();
        now(plan(&self.engine, &id, request, "test")).map_err(|error| error.to_failure())?;
        for _ in 0..10_000 {
            let order = self.order(&id, steps);
            let outcome = match request.kind() {
                Kind::Export => now(export_slice(&self.engine, &order)).unwrap(),
                Kind::Import => now(import_slice(&self.engine, &order)).unwrap(),
            };
            if let SliceOutcome::Failed(failure) = outcome {
                return Err(failure);
            }
            let after = self.order(&id, 1_000_000_000);
            if now(settle(&self.engine, &after, None)).unwrap() == Settled::Finish {
                assert_eq!(now(finish(&self.engine, &after)).unwrap(), Finish::Ended);
                return Ok(());
            }
        }
        panic!("it does not end");
    }
}
