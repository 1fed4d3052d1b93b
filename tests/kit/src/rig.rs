//! A world in memory in which whole transfers run.
#![expect(clippy::missing_panics_doc, reason = "a rig that cannot be made is a test that fails")]

use std::sync::Arc;

use sluice_memory::{MemoryBucket, MemoryCheckpoints, MemoryClock, MemoryPlaces, MemoryStream, now};
use sluice_operations::{Engine, Runner, Settings, SliceOrder, Wish, begin, call};
use sluice_ports::{Appended, Capabilities, Clock, NewEvent, StreamAdmin, append_once};
use sluice_transfer::record::{Failure, Proof};
use sluice_transfer::{Budget, Call, Course, Pacing, Position, Request, ShardId, TransferId};

/// A source, a bucket and a target, with an engine among them. Its clock goes on with each look at it.
pub struct Rig {
    /// The engine; its stores and its clock can be replaced.
    pub engine: Engine,
    /// The source, `memory:source`.
    pub source: MemoryStream,
    /// The target, `memory:target`.
    pub target: MemoryStream,
    /// The archive, `memory:archive`.
    pub bucket: MemoryBucket,
}

/// The name of a shard.
pub fn shard(number: usize) -> ShardId {
    number.to_string().parse().expect("stores in memory take what they are given")
}

/// Appends where the stream ends.
pub fn append(stream: &MemoryStream, number: usize, tail: &Position, events: &[NewEvent]) {
    let appended = now(append_once(stream, &shard(number), None, tail, events))
        .expect("stores in memory take what they are given");
    assert!(matches!(appended, Appended::Done { .. }), "{appended:?}");
}

impl Rig {
    /// With a source of such shards, and parts of any size.
    pub fn new(settings: Settings, shards: &[Vec<NewEvent>]) -> Self {
        let (source, target) = (MemoryStream::new(), MemoryStream::new());
        now(source.create(u32::try_from(shards.len()).expect("stores in memory take what they are given")))
            .expect("stores in memory take what they are given");
        for (number, events) in shards.iter().enumerate().filter(|(_, events)| !events.is_empty()) {
            append(&source, number, &Position::Beginning, events);
        }
        Self::with(settings, source, target, Arc::new(MemoryClock::stepping()))
    }

    /// With these streams, and parts of any size.
    pub fn with(settings: Settings, source: MemoryStream, target: MemoryStream, clock: Arc<dyn Clock>) -> Self {
        let bucket = MemoryBucket::with(Capabilities { create_only: true, smallest_part: 1, attests_content: false });
        let places = MemoryPlaces {
            source: source.clone(),
            target: target.clone(),
            bucket: bucket.clone(),
            work: MemoryBucket::new(),
        };
        let engine =
            Engine { checkpoints: Arc::new(MemoryCheckpoints::default()), places: Arc::new(places), clock, settings };
        Self { engine, source, target, bucket }
    }

    /// The next slice of a transfer, of `steps` steps of the clock.
    pub fn order(&self, id: &TransferId, steps: u64) -> SliceOrder {
        let deadline = self.engine.clock.now().plus_millis(1 + steps);
        let budget = Budget { events: None, bytes: None, deadline };
        SliceOrder { id: id.clone(), lane: Vec::new(), slice: "slice".to_owned(), budget, proof: Proof::SoleOwner }
    }

    /// Runs a transfer to its end, in slices of `steps` steps.
    pub fn transfer(&self, id: &str, request: &Request, steps: u64) -> Result<(), Failure> {
        let id: TransferId = id.parse().expect("stores in memory take what they are given");
        let runner = Runner { execution: "test", alone: true, deadline: None };
        let begun = now(begin(&self.engine, &id, Wish::Start(request), runner)).map_err(|error| error.to_failure())?;
        let mut course = Course::from(begun.call);
        for _ in 0..20_000 {
            let steps = match &course.call {
                Call::Plan | Call::Slice => steps,
                Call::Settle(None) | Call::Finish => 1_000_000_000,
                Call::Settle(Some(failure)) | Call::GiveUp(failure) => return Err(failure.clone()),
                Call::End => return Ok(()),
            };
            let answer = now(call(&self.engine, request.kind(), &course.call, &self.order(&id, steps)))
                .expect("stores in memory take what they are given");
            course = course.after(answer, &Pacing::default());
        }
        panic!("it does not end");
    }
}
