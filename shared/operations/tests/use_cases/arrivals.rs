//! Exports of a stream that knows its events by when they arrived: bounds are times, events go after a while, and
//! silence takes many reads.

use std::sync::Arc;

use sluice_kit::{Rig, shard};
use sluice_memory::{MemoryClock, MemoryStream, now};
use sluice_operations::{Report, Settings, SliceOutcome, describe, export_slice, finish, pause, plan, resume, settle};
use sluice_ports::{BucketStore, NewEvent, ShardLimits, StreamAdmin, StreamReader, append_once};
use sluice_transfer::manifest::{Document, ExportManifest};
use sluice_transfer::record::{TransferRecord, Work};
use sluice_transfer::{Gap, Position, Request, Sequence, State, Timestamp, TransferId, Value};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

struct World {
    rig: Rig,
    clock: Arc<MemoryClock>,
}

impl World {
    /// One shard whose events are kept for so long.
    fn new(retention: u64) -> Self {
        let clock = Arc::new(MemoryClock::stepping());
        let source = MemoryStream::new().by_arrival(clock.clone(), retention, 5 * MINUTE);
        now(source.create(1)).unwrap();
        let settings = Settings { read_events: 3, wind_down_millis: 0, ..Settings::default() };
        Self { rig: Rig::with(settings, source, MemoryStream::new(), clock.clone()), clock }
    }

    /// An event arrives, and then such a time passes.
    fn arrives(&self, name: u64, passes: u64) {
        let payload = Value::Bytes(format!("event {name}").into_bytes().into());
        let event = NewEvent { time: Timestamp::default(), key: Value::Absent, headers: Vec::new(), payload };
        let tail = now(self.rig.source.describe()).unwrap().shards.remove(0).tail;
        now(append_once(&self.rig.source, &shard(0), None, &tail, &[event])).unwrap();
        self.clock.pass(passes);
    }

    fn report(&self, id: &TransferId) -> Report {
        now(describe(&self.rig.engine, id)).unwrap()
    }

    fn plan(&self, id: &str, more: &str) -> TransferId {
        let id: TransferId = id.parse().unwrap();
        let request = format!(r#"{{"export":{{"stream":"memory:source","to":"memory:archive"{more}}}}}"#);
        let request: Request = serde_json::from_str(&request).unwrap();
        now(plan(&self.rig.engine, &id, &request, "test")).unwrap();
        id
    }

    /// One slice; whether it is the last.
    fn slice(&self, id: &TransferId, steps: u64) -> bool {
        match now(export_slice(&self.rig.engine, &self.rig.order(id, steps))).unwrap() {
            SliceOutcome::Failed(failure) => panic!("{failure:?}"),
            outcome => matches!(outcome, SliceOutcome::Done),
        }
    }

    fn end(&self, id: &TransferId) -> (TransferRecord, ExportManifest) {
        let order = self.rig.order(id, 1_000_000);
        now(settle(&self.rig.engine, &order, None)).unwrap();
        now(finish(&self.rig.engine, &order)).unwrap();
        let record = now(self.rig.engine.checkpoints.transfer(id)).unwrap().unwrap();
        let key = &record.manifest.as_ref().unwrap().key;
        let (bucket, len) = (&self.rig.bucket, now(self.rig.bucket.head(key)).unwrap().unwrap().size);
        let manifest = ExportManifest::from_bytes(&now(bucket.get(key, None, 0, len)).unwrap()).unwrap();
        (record, manifest)
    }

    /// Runs it to its end in slices of this many steps; how many there were.
    fn run(&self, id: &TransferId, steps: u64) -> u32 {
        (1..1_000).find(|_| self.slice(id, steps)).unwrap_or_else(|| {
            panic!("it does not end: {:?}", now(self.rig.engine.checkpoints.shard(id, &shard(0))).unwrap())
        })
    }
}

fn before(number: u64) -> Position {
    Position::before(&Sequence::new(number))
}

#[test]
fn a_plan_looks_into_no_shard_and_what_arrives_behind_it_is_not_exported() {
    let world = World::new(DAY);
    for name in 0..5 {
        world.arrives(name, 10);
    }
    let id = world.plan("all", "");
    world.arrives(5, 10);
    world.run(&id, 10_000);
    let (record, manifest) = world.end(&id);
    assert_eq!((record.state, manifest.counts.events), (State::Completed, 5));
    let listed = &manifest.shards[0];
    assert_eq!((&listed.from.position, &listed.until.position), (&Position::Beginning, &before(5)));
    assert!(listed.began < listed.reached, "{listed:?}");
}

#[test]
fn the_oldest_is_where_reading_begins_and_nothing_is_missed_that_nobody_named() {
    let world = World::new(HOUR);
    for name in 0..20 {
        world.arrives(name, 5 * MINUTE);
    }
    let id = world.plan("busy", "");
    // Retention moves on between the plan and the first slice.
    world.clock.pass(12 * MINUTE);
    world.run(&id, 1_000);
    let (record, manifest) = world.end(&id);
    assert_eq!((record.state, record.totals.gaps), (State::Completed, 0));
    let listed = &manifest.shards[0];
    assert_eq!(listed.from.position, before(11), "the first that was still there");
    assert_eq!(manifest.counts.events, 9);
    assert!(listed.began.is_some());
}

#[test]
fn a_pause_longer_than_retention_is_a_gap_of_what_was_named() {
    let world = World::new(HOUR);
    for name in 0..30 {
        world.arrives(name, MINUTE);
    }
    let id = world.plan("slow", r#","partSize":20,"objectSize":20"#);
    let stored = (0..100)
        .map(|_| {
            assert!(!world.slice(&id, 60), "it has more to do");
            let record = now(world.rig.engine.checkpoints.shard(&id, &shard(0))).unwrap().unwrap();
            let Work::Export(destinations) = &record.work else { panic!("an export") };
            destinations.values().next().unwrap().stored().clone()
        })
        .find(|stored| stored.position > before(3))
        .expect("something is stored");
    // What the slice had read is gone, and what follows it; three of the range are left.
    world.clock.pass(56 * MINUTE + 30_000);
    world.run(&id, 1_000);
    let (record, manifest) = world.end(&id);
    assert_eq!(record.state, State::CompletedWithGaps);
    let listed = &manifest.shards[0];
    assert_eq!(listed.from.position, Position::Beginning);
    let lost = Gap { from: listed.gaps[0].from.clone(), until: sluice_transfer::Cursor::at(before(27)) };
    assert_eq!(listed.gaps, [lost]);
    assert_eq!(listed.until.position, before(30));
    assert!(listed.gaps[0].from >= stored, "the gap begins behind what is stored");
}

#[test]
fn lag_and_headroom_are_told_until_all_is_read() {
    let world = World::new(DAY);
    for name in 0..40 {
        world.arrives(name, 15 * MINUTE);
    }
    let id = world.plan("slow", r#","partSize":20,"objectSize":20"#);
    assert_eq!((world.report(&id).lag_seconds, world.report(&id).retention.unwrap().headroom_seconds), (None, None));
    let mut slices = 0..100;
    assert!(slices.any(|_| !world.slice(&id, 60) && world.report(&id).events > 0), "something is read");
    let told = world.report(&id);
    let (lag, kept) = (told.lag_seconds.unwrap(), told.retention.unwrap());
    assert!((30_000..36_000).contains(&lag), "ten hours lie behind the first events: {lag}");
    assert_eq!((kept.seconds, kept.headroom_seconds), (86_400, Some(86_400 - lag - 1)), "less the parts of a second");
    now(pause(&world.rig.engine, &id)).unwrap();
    now(settle(&world.rig.engine, &world.rig.order(&id, 1_000_000), None)).unwrap();
    let told = world.report(&id);
    assert_eq!(told.state, State::Paused);
    let kept = told.retention.unwrap();
    let (dropped, headroom): (Timestamp, _) =
        (kept.overtaken_at.unwrap().parse().unwrap(), kept.headroom_seconds.unwrap());
    let left = dropped.millis_since(sluice_ports::Clock::now(&*world.clock)) / 1_000;
    assert!(left.abs_diff(headroom) <= 2, "at rest its next event goes at {dropped}, in {headroom} s");
    now(resume(&world.rig.engine, &id, "test")).unwrap();
    world.run(&id, 1_000);
    let (record, _) = world.end(&id);
    assert_eq!(record.state, State::Completed);
    assert_eq!((world.report(&id).lag_seconds, world.report(&id).retention), (None, None));
}

#[test]
fn a_retention_that_was_raised_since_the_plan_is_seen() {
    let mut world = World::new(DAY);
    for name in 0..40 {
        world.arrives(name, 15 * MINUTE);
    }
    let id = world.plan("slow", r#","partSize":20,"objectSize":20"#);
    let raised = world.rig.source.clone().by_arrival(world.clock.clone(), 2 * DAY, 5 * MINUTE);
    let rig = Rig::with(world.rig.engine.settings, raised, MemoryStream::new(), world.clock.clone());
    world.rig.engine.places = rig.engine.places;
    assert!(!world.slice(&id, 60), "it has more to do");
    assert_eq!(world.report(&id).retention.unwrap().seconds, 172_800);
}

#[test]
fn the_plan_says_when_retention_overtakes_a_slow_read() {
    let world = World::new(DAY);
    let limits = ShardLimits { written: 1_000, read: 2_000 };
    let limited = world.rig.source.clone().limited(limits);
    let rig = Rig::with(world.rig.engine.settings, limited, MemoryStream::new(), world.clock.clone());
    let notes = |id: &str, more: &str| {
        let request = format!(r#"{{"export":{{"stream":"memory:source","to":"memory:archive"{more}}}}}"#);
        let request: Request = serde_json::from_str(&request).unwrap();
        now(plan(&rig.engine, &id.parse().unwrap(), &request, "test")).unwrap().transfer.notes
    };
    assert!(notes("fast", "").is_empty());
    for (id, more) in [("rated", r#","rate":500"#), ("shared", r#","readShare":0.25"#)] {
        let told = notes(id, &format!(r#"{more},"from":"ago:20h""#));
        assert!(
            told[0].starts_with("retention overtakes this read at 20") && told[0].contains("500 bytes"),
            "{told:?}"
        );
    }
    let unlimited = world.plan("unlimited", r#","readShare":0.25"#);
    let record = now(world.rig.engine.checkpoints.transfer(&unlimited)).unwrap().unwrap();
    assert!(record.notes[0].contains("memory:source sets no limits"), "{:?}", record.notes);
    assert_eq!(record.version, 6, "an older one cannot compare the request");
}

#[test]
fn silence_is_crossed_over_any_number_of_slices() {
    let world = World::new(40 * DAY);
    world.arrives(0, 30 * DAY);
    world.arrives(1, 3 * DAY);
    let id = world.plan("silent", "");
    let slices = world.run(&id, 1_000);
    assert!(slices > 10, "{slices} slices");
    let (record, manifest) = world.end(&id);
    assert_eq!((record.state, manifest.counts.events, record.totals.gaps), (State::Completed, 2, 0));
}

#[test]
fn a_shard_that_holds_nothing_ends_where_it_began() {
    let world = World::new(DAY);
    world.clock.pass(3 * DAY);
    let id = world.plan("empty", "");
    world.run(&id, 10_000);
    let (record, manifest) = world.end(&id);
    assert_eq!((record.state, manifest.counts.events, manifest.objects), (State::Completed, 0, 0));
    world.arrives(0, 1);
    let id = world.plan("next", &format!(r#","from":"cut:0@{}""#, 0));
    world.run(&id, 10_000);
    assert_eq!(world.end(&id).1.counts.events, 1, "what follows goes on there");
}

#[test]
fn windows_of_times_have_every_event_once() {
    let world = World::new(365 * DAY);
    let mut edges = Vec::new();
    for (name, passes) in (0..12).zip([1, 400 * MINUTE, 7].into_iter().cycle()) {
        if name % 4 == 0 {
            edges.push(sluice_ports::Clock::now(&*world.clock));
        }
        world.arrives(name, passes);
    }
    edges.push(sluice_ports::Clock::now(&*world.clock));
    let mut events = 0;
    for (number, edge) in edges.windows(2).enumerate() {
        let id = world.plan(&format!("w{number}"), &format!(r#","from":"{}","until":"{}""#, edge[0], edge[1]));
        world.run(&id, 300);
        let (record, manifest) = world.end(&id);
        assert_eq!((record.state, manifest.counts.events), (State::Completed, 4), "window {number}");
        assert_eq!(manifest.shards[0].from.position, before(events));
        events += 4;
    }
}
