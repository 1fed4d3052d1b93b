//! A world on virtual time in which imports in rhythm run, and which writes down what arrives when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::{Either, select};
use sluice_kit::{Layered, OtherPlaces, Rig, StreamLayer};
use sluice_memory::{MemoryBucket, MemoryStream, VirtualClock};
use sluice_operations::{
    Engine, OperationError, Report, Runner, Settings, SliceOrder, Wish, begin, call, describe, plan,
};
use sluice_ports::{Appended, Clock, NewEvent, StreamStore, StreamWriter};
use sluice_transfer::record::{Proof, TransferRecord};
use sluice_transfer::{
    Answer, Budget, Call, Course, ExportRequest, Format, ImportRequest, Kind, Pacing, Position, Request, ShardId,
    SliceOutcome, Timestamp, TransferId, Value,
};

/// What arrived: the shard, its time at the source, and when, in milliseconds since the stage was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub shard: ShardId,
    /// Milliseconds behind the first time of all.
    pub time: u64,
    pub at: u64,
}

/// The first time of the source.
pub(super) fn first() -> Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

/// An event this number of milliseconds later.
pub(super) fn event(millis: u64) -> NewEvent {
    let payload = Value::from(format!("at {millis}"));
    let time = first().plus_millis(millis);
    NewEvent { time, key: Value::from(format!("k{}", millis % 5)), headers: Vec::new(), payload }
}

pub(super) fn events(millis: impl IntoIterator<Item = u64>) -> Vec<NewEvent> {
    millis.into_iter().map(event).collect()
}

/// A target that notes what arrives, each append of which takes this number of milliseconds.
struct Noted {
    inner: MemoryStream,
    clock: VirtualClock,
    append_millis: Arc<AtomicU64>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

#[async_trait]
impl StreamLayer for Noted {
    fn inner(&self) -> &dyn StreamStore {
        &self.inner
    }

    async fn append(
        &self,
        writer: &dyn StreamWriter,
        shard: &ShardId,
        expected: &Position,
        events: &[NewEvent],
    ) -> sluice_ports::Result<Appended> {
        let appended = writer.append(expected, events).await?;
        if matches!(appended, Appended::Done { .. }) {
            let at = self.clock.millis();
            let arrived = |event: &NewEvent| {
                let time = event.time.millis_since(first());
                Arrival { shard: shard.clone(), time, at }
            };
            self.arrivals.lock().unwrap().extend(events.iter().map(arrived));
        }
        self.clock.sleep(self.append_millis.load(Ordering::Relaxed)).await;
        Ok(appended)
    }
}

pub(super) struct Stage {
    pub engine: Engine,
    pub clock: VirtualClock,
    pub bucket: MemoryBucket,
    pub target: MemoryStream,
    pub append_millis: Arc<AtomicU64>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    /// Slices that were called, and milliseconds that they took together.
    pub slices: AtomicU64,
    pub slice_millis: AtomicU64,
    pub id: TransferId,
}

/// A slice's time, in milliseconds.
pub(super) const SLICE_MILLIS: u64 = 300_000;

impl Stage {
    /// Over an export of these shards, of `format`.
    pub(super) fn exported(shards: &[Vec<NewEvent>], format: Format) -> Self {
        let stage = Self::new(shards);
        let request = ExportRequest {
            format: Some(format),
            object_size: Some(600),
            part_size: Some(600),
            ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
        };
        let export: TransferId = "export".parse().unwrap();
        stage.drive(&export, &Request::Export(request), &Pacing::default());
        stage.slices.store(0, Ordering::Relaxed);
        stage.slice_millis.store(0, Ordering::Relaxed);
        stage
    }

    /// Over a source of these shards.
    pub(super) fn new(shards: &[Vec<NewEvent>]) -> Self {
        let (clock, settings) = (VirtualClock::default(), Settings { poll_millis: 500, ..Settings::default() });
        let Rig { mut engine, bucket, target, .. } = Rig::new(settings, shards);
        let (arrivals, append_millis) = (Arc::default(), Arc::default());
        let noted = Noted {
            inner: target.clone(),
            clock: clock.clone(),
            append_millis: Arc::clone(&append_millis),
            arrivals: Arc::clone(&arrivals),
        };
        engine.places = Arc::new(OtherPlaces {
            places: engine.places.clone(),
            archive: Arc::new(bucket.clone()),
            target: Some(Arc::new(Layered(noted))),
        });
        engine.clock = Arc::new(clock.clone());
        Self {
            engine,
            clock,
            bucket,
            target,
            append_millis,
            arrivals,
            slices: AtomicU64::new(0),
            slice_millis: AtomicU64::new(0),
            id: "import".parse().unwrap(),
        }
    }

    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }

    pub(super) fn plan(&self, request: &Request) -> Result<TransferRecord, OperationError> {
        let planned = self.clock.run(plan(&self.engine, &self.id, request, "test"))?;
        Ok(planned.transfer)
    }

    pub(super) fn record(&self) -> TransferRecord {
        self.clock.run(self.engine.checkpoints.transfer(&self.id)).unwrap().unwrap()
    }

    pub(super) fn report(&self) -> Report {
        self.clock.run(describe(&self.engine, &self.id)).unwrap()
    }

    /// When writing began, in milliseconds since the stage was made.
    pub(super) fn began(&self) -> u64 {
        self.record().anchor.unwrap().began.millis_since(Timestamp::from_millis(1_700_000_000_000))
    }

    pub(super) fn order(&self, id: &TransferId) -> SliceOrder {
        let slice = format!("slice-{}", self.slices.load(Ordering::Relaxed));
        let budget = Budget { events: None, bytes: None, deadline: self.engine.clock.now().plus_millis(SLICE_MILLIS) };
        SliceOrder { id: id.clone(), lane: Vec::new(), slice, budget, proof: Proof::SoleOwner }
    }

    /// A slice that dies after this number of milliseconds unless it has ended. Answers its outcome.
    pub(super) fn slice(&self, dies_after: u64) -> Option<SliceOutcome> {
        self.slices.fetch_add(1, Ordering::Relaxed);
        let order = self.order(&self.id);
        let slice = Box::pin(call(&self.engine, Kind::Import, &Call::Slice, &order));
        let ended = self.clock.run(select(slice, self.clock.sleep(dies_after)));
        match ended {
            Either::Left((answer, _)) => match answer.unwrap() {
                Answer::Slice(outcome) => Some(outcome),
                other => panic!("{other:?}"),
            },
            Either::Right(_) => None,
        }
    }

    /// Runs a transfer to its end, or to rest, as a host does.
    pub(super) fn drive(&self, id: &TransferId, request: &Request, pacing: &Pacing) {
        let runner = Runner { execution: "test", alone: true, deadline: None };
        let begun = self.clock.run(begin(&self.engine, id, Wish::Start(request), runner)).unwrap();
        self.follow(id, request.kind(), begun.call, pacing);
    }

    fn follow(&self, id: &TransferId, kind: Kind, first: Call, pacing: &Pacing) {
        let mut course = Course::from(first);
        for _ in 0..20_000 {
            self.clock.pass(course.wait_millis);
            match &course.call {
                Call::End => return,
                Call::Settle(Some(failure)) | Call::GiveUp(failure) => panic!("{failure:?}"),
                Call::Slice => {
                    self.slices.fetch_add(1, Ordering::Relaxed);
                }
                Call::Plan | Call::Settle(None) | Call::Finish => {}
            }
            let begun = self.clock.millis();
            let answer = self.clock.run(call(&self.engine, kind, &course.call, &self.order(id))).unwrap();
            if course.call == Call::Slice {
                self.slice_millis.fetch_add(self.clock.millis() - begun, Ordering::Relaxed);
            }
            course = course.after(answer, pacing);
        }
        panic!("it does not end");
    }

    /// Runs the import.
    pub(super) fn import(&self, request: &Request) -> Report {
        self.drive(&self.id, request, &Pacing::default());
        self.report()
    }

    /// Each event arrived no earlier than it was due, and no more than this many milliseconds later.
    pub(super) fn check(&self, thousandths: u64, tolerance: u64) {
        let from = self.record().rhythm().unwrap().from.millis_since(first());
        let (began, mut highest) = (self.began(), std::collections::BTreeMap::<ShardId, u64>::new());
        for arrival in self.arrivals() {
            let highest = highest.entry(arrival.shard.clone()).or_default();
            *highest = arrival.time.max(*highest);
            let due = began + (highest.saturating_sub(from) * 1_000).div_ceil(thousandths);
            assert!(arrival.at >= due, "{arrival:?} is early: due at {due}");
            assert!(arrival.at <= due + tolerance, "{arrival:?} is late: due at {due}");
        }
    }
}

/// An import of the archive at a pace.
pub(super) fn import(pace: &str) -> Request {
    Request::Import(paced(pace))
}

pub(super) fn paced(pace: &str) -> ImportRequest {
    let request = ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap());
    ImportRequest { pace: Some(pace.parse().unwrap()), ..request }
}
