//! Series: whatever hosts, deaths, trims and cancels come in between, the runs tile the stream.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use proptest::prelude::*;
use sluice_kit::{BucketLayer, CheckpointLayer, Layered, append, shard};
use sluice_memory::{MemoryBucket, MemoryCheckpoints, MemoryClock, MemoryStream, now};
use sluice_operations::{
    Code, Engine, NextRun, OperationError, Runner, SeriesOrder, Settings, SliceOrder, Verdict, Wish, begin, call,
    cancel, next_run, verify_place,
};
use sluice_ports::{
    BucketStore, Capabilities, CheckpointStore, Clock, Created, Error, ErrorKind, Metadata, NewEvent, Places,
    PutAnswer, Result, Stored, StreamAdmin, StreamReader, StreamStore,
};
use sluice_transfer::manifest::{Document, ExportManifest};
use sluice_transfer::record::{Proof, TransferRecord};
use sluice_transfer::{
    BucketUri, Budget, Call, Checksum, Course, ExportRequest, HostName, Kind, Pacing, Position, Request, SeriesEnd,
    SeriesKeys, SeriesRun, State, StreamUri, TransferId, Value,
};

/// A process that dies at one of its writes: none of its calls has an effect any more.
struct Mortal<S: ?Sized> {
    left: Arc<AtomicU64>,
    inner: Arc<S>,
}

impl<S: ?Sized> Mortal<S> {
    async fn write<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let lives = |left: u64| left.checked_sub(1);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lives) {
            Ok(1) => {
                // The last one has its effect, and no answer.
                drop(call.await);
                Err(Error::new(ErrorKind::Denied, "the process is dead"))
            }
            Ok(_) => call.await,
            Err(_) => Err(Error::new(ErrorKind::Denied, "the process is dead")),
        }
    }
}

#[async_trait]
impl BucketLayer for Mortal<dyn BucketStore> {
    fn inner(&self) -> &dyn BucketStore {
        &*self.inner
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        self.write(self.inner.put(key, bytes, checksum, metadata)).await
    }
}

#[async_trait]
impl CheckpointLayer for Mortal<dyn CheckpointStore> {
    fn inner(&self) -> &dyn CheckpointStore {
        &*self.inner
    }

    async fn create_transfer(&self, record: &TransferRecord) -> Result<Created<TransferRecord>> {
        self.write(self.inner.create_transfer(record)).await
    }

    async fn update_transfer(&self, record: &TransferRecord) -> Result<Stored> {
        self.write(self.inner.update_transfer(record)).await
    }
}

/// One stream, one bucket, and a host with a name.
struct Site {
    stream: MemoryStream,
    bucket: MemoryBucket,
    left: Arc<AtomicU64>,
    host: String,
}

#[async_trait]
impl Places for Site {
    async fn stream(&self, _: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        Ok(Arc::new(self.stream.clone()))
    }

    async fn bucket(&self, _: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let mortal = Mortal::<dyn BucketStore> { left: self.left.clone(), inner: Arc::new(self.bucket.clone()) };
        Ok((Arc::new(Layered(mortal)), "archive".to_owned()))
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        Ok((Arc::new(self.bucket.clone()), uri.rest.clone()))
    }

    fn work(&self) -> BucketUri {
        archive()
    }

    fn host(&self) -> HostName {
        HostName { id: self.host.clone(), place: format!("the place of {}", self.host) }
    }
}

fn archive() -> BucketUri {
    "memory:archive".parse().unwrap()
}

fn request() -> ExportRequest {
    ExportRequest {
        series: Some("nightly".parse().unwrap()),
        ..ExportRequest::new("memory:orders".parse().unwrap(), archive())
    }
}

/// A stream and a bucket, and the records of each host.
struct World {
    stream: MemoryStream,
    bucket: MemoryBucket,
    clock: Arc<MemoryClock>,
    records: Mutex<Vec<MemoryCheckpoints>>,
}

impl World {
    fn new(shards: u32) -> Self {
        let stream = MemoryStream::new();
        now(stream.create(shards)).unwrap();
        Self::of(stream, Arc::new(MemoryClock::stepping()))
    }

    fn of(stream: MemoryStream, clock: Arc<MemoryClock>) -> Self {
        let bucket = MemoryBucket::with(Capabilities { create_only: true, smallest_part: 1, attests_content: false });
        let records = Mutex::new(vec![MemoryCheckpoints::new(), MemoryCheckpoints::new()]);
        Self { stream, bucket, clock, records }
    }

    /// A process of a host, which lives for that many writes.
    fn engine(&self, host: usize, writes: u64) -> Engine {
        let left = Arc::new(AtomicU64::new(writes));
        let site = Site {
            stream: self.stream.clone(),
            bucket: self.bucket.clone(),
            left: left.clone(),
            host: format!("host {host}"),
        };
        let inner: Arc<dyn CheckpointStore> = Arc::new(self.records.lock().unwrap()[host].clone());
        Engine {
            checkpoints: Arc::new(Layered(Mortal::<dyn CheckpointStore> { left, inner })),
            places: Arc::new(site),
            clock: self.clock.clone(),
            settings: Settings { attempts: 1, ..Settings::default() },
        }
    }

    fn write(&self, number: usize, events: u64) {
        let tail = now(self.stream.describe()).unwrap().shards[number].tail.clone();
        let payload = |n| Value::from(format!("{number} {n}").into_bytes());
        let time = self.clock.now();
        let event = |n| NewEvent { time, key: Value::Absent, headers: Vec::new(), payload: payload(n) };
        let events: Vec<_> = (0..events).map(event).collect();
        append(&self.stream, number, &tail, &events);
    }

    /// One call of the command: what is left of the run before, and a new run.
    fn run(&self, host: usize, writes: u64, take_over: bool) -> std::result::Result<State, OperationError> {
        let engine = self.engine(host, writes);
        loop {
            let order = SeriesOrder { repeated_by: None, take_over };
            let (next, _) = now(next_run(&engine, &request(), order))?;
            let (id, again) = match next {
                NextRun::Begin(id) => (id, false),
                NextRun::GoOn(id) => (id, true),
            };
            let state = drive(&engine, &id, again)?;
            if !again || !state.is_complete() {
                return Ok(state);
            }
        }
    }

    fn documents<D: Document>(&self, key: impl Fn(&SeriesKeys, u32) -> String) -> Vec<D> {
        let keys = SeriesKeys::new("archive", &"nightly".parse().unwrap());
        let read = |number| self.bucket.read(&key(&keys, number)).map(|bytes| D::from_bytes(&bytes).unwrap());
        (1..).map_while(read).collect()
    }

    fn ends(&self) -> Vec<SeriesEnd> {
        self.documents(SeriesKeys::end)
    }
}

fn drive(engine: &Engine, id: &TransferId, again: bool) -> std::result::Result<State, OperationError> {
    let request = Request::Export(request());
    let wish = if again { Wish::Resume } else { Wish::Start(&request) };
    let begun = now(begin(engine, id, wish, Runner { execution: "test", alone: true, deadline: None }))?;
    let mut course = Course::from(begun.call);
    for _ in 0..1_000 {
        match &course.call {
            Call::End => break,
            Call::GiveUp(failure) => return Err(OperationError::new(Code::Unavailable, failure.message.clone())),
            _ => {}
        }
        let deadline = engine.clock.now().plus_millis(100_000);
        let budget = Budget { events: None, bytes: None, deadline };
        let order =
            SliceOrder { id: id.clone(), lane: Vec::new(), slice: "slice".to_owned(), budget, proof: Proof::SoleOwner };
        let answer = now(call(engine, Kind::Export, &course.call, &order))?;
        course = course.after(answer, &Pacing::default());
    }
    Ok(now(engine.checkpoints.transfer(id))?.map_or(State::Preparing, |record| record.state))
}

fn proved(world: &World) -> sluice_operations::PlaceVerification {
    let series = "nightly".parse().unwrap();
    now(verify_place(&world.engine(0, u64::MAX), &archive(), Some(&series), &mut |_| {})).unwrap()
}

#[test]
fn each_run_begins_where_the_last_one_ended_on_whatever_host() {
    let world = World::new(2);
    for night in 0..6 {
        world.write(night % 2, 3);
        assert_eq!(world.run(night % 2, u64::MAX, false), Ok(State::Completed), "night {night}");
    }
    let ends = world.ends();
    let ids: Vec<_> = ends.iter().map(|end| end.transfer.to_string()).collect();
    assert_eq!(ids[..2], ["nightly-2023-11-14", "nightly-2023-11-14-2"]);
    assert_eq!(ends.iter().map(|end| end.counts.events).collect::<Vec<_>>(), [3; 6]);
    let manifest = |end: &SeriesEnd| {
        let root = end.manifest.clone().unwrap();
        ExportManifest::from_bytes(&world.bucket.read(&format!("archive/{}", root.key)).unwrap()).unwrap()
    };
    let last = manifest(&ends[5]);
    assert_eq!(last.previous.as_deref(), Some("nightly-2023-11-14-5/manifest.json"));
    assert_eq!(last.series.unwrap().number, 6);
    let proof = proved(&world);
    assert_eq!((proof.verdict, proof.counts.events, proof.exports.len()), (Verdict::Proved, 18, 6));
}

#[test]
fn of_two_hosts_one_wins_and_the_other_is_told_who() {
    let world = World::new(1);
    world.write(0, 5);
    // It dies once the run is its own.
    world.run(0, 1, false).unwrap_err();
    let refused = world.run(1, u64::MAX, false).unwrap_err();
    assert_eq!(refused.code, Code::SeriesTaken);
    for said in ["run 1", "nightly-2023-11-14", "host 0", "--take-over"] {
        assert!(refused.message.contains(said), "{said}: {refused}");
    }
    // A run that was planned before it was taken does not begin.
    let id = "nightly-2023-11-14-2".parse().unwrap();
    assert_eq!(drive(&world.engine(1, u64::MAX), &id, false).unwrap_err().code, Code::SeriesTaken);
    assert_eq!(world.run(0, u64::MAX, false), Ok(State::Completed));
    assert_eq!(world.run(1, u64::MAX, false), Ok(State::Completed));
    assert_eq!(proved(&world).counts.events, 5);
}

#[test]
fn a_host_whose_place_was_taken_does_not_complete_its_run() {
    let world = World::new(1);
    world.write(0, 5);
    // Everything is moved, and its manifest is not written yet.
    let id = "nightly-2023-11-14".parse().unwrap();
    let engine = world.engine(0, u64::MAX);
    let asked = Request::Export(request());
    let runner = Runner { execution: "test", alone: true, deadline: None };
    now(begin(&engine, &id, Wish::Start(&asked), runner)).unwrap();
    assert_eq!(world.run(1, u64::MAX, true), Ok(State::Completed));
    assert_eq!(drive(&engine, &id, true), Ok(State::Failed));
    let failure = now(engine.checkpoints.transfer(&id)).unwrap().unwrap().failure.unwrap();
    assert_eq!(failure.code, "SeriesTaken");
    let proof = proved(&world);
    assert_eq!((proof.verdict, proof.counts.events, proof.exports.len()), (Verdict::Proved, 5, 1));
    assert!(proof.series[0].contains("another host took its place"), "{:?}", proof.series);
}

#[test]
fn a_run_that_was_given_up_leaves_its_range_to_the_next() {
    let world = World::new(1);
    world.write(0, 5);
    world.run(0, 4, false).unwrap_err();
    let engine = world.engine(0, u64::MAX);
    let id = "nightly-2023-11-14".parse().unwrap();
    now(cancel(&engine, &id)).unwrap();
    assert_eq!(drive(&engine, &id, false), Ok(State::Cancelled));
    world.write(0, 2);
    assert_eq!(world.run(1, u64::MAX, false), Ok(State::Completed));
    let proof = proved(&world);
    assert_eq!((proof.verdict, proof.counts.events, proof.exports.len()), (Verdict::Proved, 7, 1));
}

#[test]
fn a_run_whose_records_are_lost_is_given_up_once_it_wrote_something() {
    let world = World::new(2);
    world.write(1, 1);
    world.run(0, 4, false).unwrap_err();
    assert!(world.bucket.read_all().keys().any(|key| key.contains("/data/")), "it wrote an object");
    world.records.lock().unwrap()[0] = MemoryCheckpoints::new();
    world.write(1, 1);
    assert_eq!(world.run(0, u64::MAX, false), Ok(State::Completed));
    let proof = proved(&world);
    assert_eq!((proof.verdict, proof.counts.events, proof.exports.len()), (Verdict::Proved, 2, 1));
    assert_eq!(world.ends()[0].ending, sluice_transfer::RunEnding::Cancelled);
}

#[test]
fn what_was_trimmed_between_two_runs_is_a_gap_and_said_by_the_plan() {
    let world = World::new(1);
    world.write(0, 5);
    assert_eq!(world.run(0, u64::MAX, false), Ok(State::Completed));
    world.write(0, 5);
    now(world.stream.trim(&shard(0), &"after:7".parse().unwrap())).unwrap();
    assert_eq!(world.run(0, u64::MAX, false), Ok(State::CompletedWithGaps));
    let id = "nightly-2023-11-14-2".parse().unwrap();
    let notes = now(world.engine(0, 0).checkpoints.transfer(&id)).unwrap().unwrap().notes;
    assert!(notes[0].contains("is gone: it is a gap"), "{notes:?}");
    assert_eq!(world.run(0, u64::MAX, false), Ok(State::Completed), "it is one of that run alone");
    let proof = proved(&world);
    assert_eq!((proof.verdict, proof.counts.events), (Verdict::Gaps, 7));
}

#[test]
fn what_may_have_expired_unseen_between_two_runs_is_said() {
    const HOUR: u64 = 3_600_000;
    let clock = Arc::new(MemoryClock::stepping());
    let stream = MemoryStream::new().by_arrival(clock.clone(), 24 * HOUR, HOUR);
    now(stream.create(1)).unwrap();
    let world = World::of(stream, clock.clone());
    assert_eq!(world.run(0, u64::MAX, false), Ok(State::Completed), "nothing was ever written");
    clock.pass(23 * HOUR);
    assert_eq!(world.run(0, u64::MAX, false), Ok(State::Completed), "nothing can have been dropped");
    clock.pass(30 * HOUR);
    assert_eq!(world.run(0, u64::MAX, false), Ok(State::CompletedWithGaps), "somebody may have written meanwhile");
    let hole = world.documents::<SeriesRun>(SeriesKeys::begin)[2].hole.unwrap();
    assert!((5 * HOUR..7 * HOUR).contains(&hole.max.millis_since(hole.min)), "{hole:?}");
    let proof = proved(&world);
    assert_eq!(proof.verdict, Verdict::Gaps);
    assert!(proof.exports[2].findings[0].contains("if anything did"), "{:?}", proof.exports[2]);
}

#[test]
fn a_stream_that_was_made_again_begins_no_run() {
    let world = World::new(1);
    world.write(0, 3);
    assert_eq!(world.run(0, u64::MAX, false), Ok(State::Completed));
    world.stream.delete();
    now(world.stream.create(1)).unwrap();
    let refused = world.run(0, u64::MAX, false).unwrap_err();
    assert!(matches!(refused.code, Code::SourceChanged | Code::OutOfRange), "{refused:?}");
    assert_eq!(world.ends().len(), 1, "nothing was begun");
}

#[test]
fn a_missing_document_is_seen() {
    let world = World::new(1);
    for _ in 0..3 {
        world.write(0, 2);
        world.run(0, u64::MAX, false).unwrap();
    }
    let keys = SeriesKeys::new("archive", &"nightly".parse().unwrap());
    world.bucket.remove(&keys.end(2));
    let proof = proved(&world);
    assert_eq!(proof.verdict, Verdict::Mismatch, "{proof:?}");
    world.bucket.remove(&keys.end(3));
    assert_eq!(world.run(0, u64::MAX, false).unwrap_err().code, Code::ManifestInvalid);
}

/// What happens to a series.
#[derive(Clone, Debug)]
enum Act {
    Write {
        shard: usize,
        events: u64,
    },
    Trim {
        shard: usize,
        events: u64,
    },
    Run {
        host: usize,
        writes: u64,
        take_over: bool,
    },
    /// The records of a host are lost.
    Lose {
        host: usize,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_usize..2, 1_u64..5).prop_map(|(shard, events)| Act::Write { shard, events }),
        1 => (0_usize..2, 1_u64..4).prop_map(|(shard, events)| Act::Trim { shard, events }),
        6 => (0_usize..2, 1_u64..40, any::<bool>())
            .prop_map(|(host, writes, take_over)| Act::Run { host, writes, take_over }),
        1 => (0_usize..2).prop_map(|host| Act::Lose { host }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn runs_tile_the_stream_whatever_happens(acts in proptest::collection::vec(act(), 1..25)) {
        let world = World::new(2);
        let mut written = [0_u64; 2];
        for act in acts {
            match act {
                Act::Write { shard, events } => {
                    world.write(shard, events);
                    written[shard] += events;
                }
                Act::Trim { shard: number, events } => {
                    let info = now(world.stream.describe()).unwrap().shards[number].clone();
                    let first = info.earliest.next_sequence().unwrap();
                    let before = first.to_string().parse::<u64>().unwrap() + events;
                    let before = Position::before(&before.to_string().parse().unwrap()).min(info.tail);
                    now(world.stream.trim(&shard(number), &before)).unwrap();
                }
                // Whether it dies is left open: what counts is what it leaves.
                Act::Run { host, writes, take_over } => drop(world.run(host, writes, take_over)),
                Act::Lose { host } => world.records.lock().unwrap()[host] = MemoryCheckpoints::new(),
            }
        }
        prop_assert!(world.run(0, u64::MAX, true).unwrap().is_complete());
        let proof = proved(&world);
        prop_assert!(matches!(proof.verdict, Verdict::Proved | Verdict::Gaps), "{:?}", proof);
        // The runs tile all from the first event that was there to the tail: nothing is left between them.
        let cut = world.ends().last().unwrap().cut.clone().unwrap();
        for number in 0..2 {
            let tail = now(world.stream.describe()).unwrap().shards[number].tail.clone();
            prop_assert_eq!(cut.0.get(&shard(number)), Some(&tail));
        }
        if proof.verdict == Verdict::Proved {
            let begin = world.documents::<SeriesRun>(SeriesKeys::begin);
            prop_assert!(begin.iter().all(|run| run.hole.is_none()));
        }
        prop_assert!(proof.counts.events <= written.iter().sum());
    }
}
