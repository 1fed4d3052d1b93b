//! How often a transfer writes to the table: at most once for each part, and at most four times for an empty slice.
//!
//! The operations run over the memory stores; a decorator of the table counts. Time stands still, so that no write is
//! owed to the clock: what is counted is what the protocol needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sluice_kit::{CheckpointLayer, Layered};
use sluice_memory::{MemoryCheckpoints, MemoryClock, MemoryStream, now};
use sluice_operations::{
    Engine, Finish, Runner, Settings, Settled, SliceOrder, SliceOutcome, Wish, begin, call, export_slice, finish,
    import_slice, pause, plan, settle,
};
use sluice_ports::{CheckpointStore, NewEvent};
use sluice_transfer::limits::SEGMENT_ENTRIES;
use sluice_transfer::record::{Proof, Work};
use sluice_transfer::{
    Budget, Call, Course, ExportRequest, Format, ImportRequest, Kind, Pacing, Request, Timestamp, TransferId, Value,
};

/// Writes that a transfer needs besides those for its parts: its own record, its shards', claim and release of a few
/// slices, the states it goes through.
const BESIDES: u64 = 16;
const PART: u64 = 1_000;

/// Counts what is written. A checkpoint and the pages of the ledger that go with it are one write: one transaction.
#[derive(Default)]
struct Counting {
    inner: MemoryCheckpoints,
    writes: AtomicU64,
    reads: AtomicU64,
}

impl CheckpointLayer for Counting {
    fn inner(&self) -> &dyn CheckpointStore {
        &self.inner
    }

    fn called(&self, _: &'static str, writes: bool) {
        let calls = if writes { &self.writes } else { &self.reads };
        calls.fetch_add(1, Ordering::Relaxed);
    }
}

/// An engine over the memory stores.
struct Rig {
    engine: Engine,
    table: Arc<Layered<Counting>>,
    source: MemoryStream,
    target: MemoryStream,
}

impl Rig {
    /// Over a source of one shard with this many events of so many bytes.
    fn new(events: u64, bytes: usize) -> Self {
        let new: Vec<NewEvent> = (0..events)
            .map(|n| NewEvent {
                time: Timestamp::from_millis(0),
                key: Value::Absent,
                headers: Vec::new(),
                payload: Value::Bytes(Bytes::from(vec![n.to_le_bytes()[0]; bytes])),
            })
            .collect();
        let settings = Settings { read_bytes: 4_000, append_bytes: 2_000, ..Settings::default() };
        let sluice_kit::Rig { mut engine, source, target, .. } = sluice_kit::Rig::new(settings, &[new]);
        let table = Arc::new(Layered(Counting::default()));
        engine.checkpoints = table.clone();
        engine.clock = Arc::new(MemoryClock::still());
        Self { engine, table, source, target }
    }

    fn order(&self, id: &TransferId, slice: u64, budget: Option<u64>) -> SliceOrder {
        let deadline = self.engine.clock.now().plus_millis(60_000);
        let budget = Budget { events: budget, bytes: None, deadline };
        SliceOrder {
            id: id.clone(),
            lane: Vec::new(),
            slice: format!("slice-{slice}"),
            budget,
            proof: Proof::SoleOwner,
        }
    }

    /// Writes to the table since the last time that this was asked.
    fn writes(&self) -> u64 {
        self.table.0.writes.swap(0, Ordering::Relaxed)
    }

    /// Calls of the table since the last time that these or the writes were asked for.
    fn calls(&self) -> u64 {
        self.writes() + self.table.0.reads.swap(0, Ordering::Relaxed)
    }

    /// A slice of that kind.
    fn slice(&self, kind: Kind, order: &SliceOrder) -> SliceOutcome {
        match kind {
            Kind::Export => now(export_slice(&self.engine, order)).unwrap(),
            Kind::Import => now(import_slice(&self.engine, order)).unwrap(),
        }
    }

    /// Plans, moves and finishes; answers the writes of all of it, and the slices.
    fn transfer(&self, id: &str, request: &Request, budget: Option<u64>) -> (u64, u64) {
        let id: TransferId = id.parse().unwrap();
        self.writes();
        let runner = Runner { execution: "test", alone: true, deadline: None };
        let begun = now(begin(&self.engine, &id, Wish::Start(request), runner)).unwrap();
        let (mut course, mut slices) = (Course::from(begun.call), 0);
        for _ in 0..3_000 {
            if course.call == Call::End {
                return (self.writes(), slices);
            }
            let order = self.order(&id, slices, budget);
            slices += u64::from(course.call == Call::Slice);
            let answer = now(call(&self.engine, request.kind(), &course.call, &order)).unwrap();
            course = course.after(answer, &Pacing::default());
            assert_eq!((course.wait_millis, course.troubles), (0, 0), "nothing is in the way");
            assert!(!matches!(course.call, Call::Settle(Some(_))), "{course:?}");
        }
        panic!("it does not end");
    }
}

fn export(format: Format, parts_in_an_object: u64) -> Request {
    Request::Export(ExportRequest {
        format: Some(format),
        object_size: Some(PART * parts_in_an_object),
        part_size: Some(PART),
        ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
    })
}

fn import() -> Request {
    Request::Import(ImportRequest {
        event_size: Some(PART),
        ..ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap())
    })
}

#[test]
fn an_object_of_many_parts_takes_a_write_for_each_or_for_some_at_once() {
    let parts = 2_000;
    // Where time stands still all parts are stored at once, and it is their number that has them written.
    let at_once = Settings::default().record_millis;
    for (record_millis, least, most) in [(0, parts / 2, parts + BESIDES), (at_once, parts / 32, parts / 32 + BESIDES)] {
        let mut rig = Rig::new(parts, usize::try_from(PART).unwrap());
        rig.engine.settings.record_millis = record_millis;
        let (writes, _) = rig.transfer("export", &export(Format::Raw, parts), None);
        println!("one object of {parts} parts, a write in {record_millis} ms: {writes} writes");
        assert!(writes <= most, "{writes} writes for {parts} parts");
        assert!(writes > least, "{writes} writes: parts that nobody remembers");
    }
}

#[test]
fn objects_of_one_part_take_a_write_for_each() {
    let objects = 500;
    let rig = Rig::new(objects, usize::try_from(PART).unwrap());
    let (writes, _) = rig.transfer("export", &export(Format::Raw, 1), None);
    println!("{objects} objects of one part: {writes} writes");
    assert!(writes <= objects + BESIDES, "{writes} writes for {objects} objects");
    assert!(writes >= objects, "{writes} writes: objects whose end is not on record before they are");
}

#[test]
fn an_import_takes_a_write_for_each_batch_at_most() {
    let events = 2_000;
    // An append takes two events: 2,000 bytes.
    let batches = events / 2;
    let at_once = Settings::default().record_millis;
    for (record_millis, least, most) in
        [(0, batches, batches + BESIDES), (at_once, batches / 32, batches / 32 + BESIDES)]
    {
        let mut rig = Rig::new(events, usize::try_from(PART).unwrap());
        rig.engine.settings.record_millis = record_millis;
        rig.transfer("export", &export(Format::Raw, events), None);
        let (writes, _) = rig.transfer("import", &import(), None);
        let shard = "0".parse().unwrap();
        assert_eq!(rig.target.events(&shard).len(), rig.source.events(&shard).len());
        println!("an import of {events} events in batches of 2, a write in {record_millis} ms: {writes} writes");
        assert!((least..=most).contains(&writes), "{writes} writes for {events} events");
    }
}

#[test]
fn slices_add_a_few_writes_each() {
    let parts = 400;
    let mut rig = Rig::new(parts, usize::try_from(PART).unwrap());
    rig.engine.settings.record_millis = 0;
    let (writes, slices) = rig.transfer("export", &export(Format::Raw, parts), Some(20));
    println!("{parts} parts in {slices} slices: {writes} writes");
    assert!(slices >= 20, "{slices} slices");
    assert!(writes <= parts + 4 * slices + BESIDES, "{writes} writes for {parts} parts in {slices} slices");
}

/// The record holds what an import has not listed yet, so this must not grow with slices that are too short to be
/// written in between.
#[test]
fn an_import_of_many_short_slices_leaves_a_small_record() {
    let events = 300;
    let rig = Rig::new(events, usize::try_from(PART).unwrap());
    rig.transfer("export", &export(Format::Raw, events), None);
    let (id, shard) = ("import".parse().unwrap(), "0".parse().unwrap());
    now(plan(&rig.engine, &id, &import(), "test")).unwrap();
    let mut slices = 0;
    while rig.slice(Kind::Import, &rig.order(&id, slices, Some(1))) == SliceOutcome::More {
        let record = now(rig.table.shard(&id, &shard)).unwrap().unwrap();
        let Work::Import(import) = &record.work else { panic!("{record:?}") };
        assert!(import.marks.len() <= SEGMENT_ENTRIES, "{} marks after {slices} slices", import.marks.len());
        slices += 1;
    }
    assert!(slices >= events - 1, "{slices} slices");
}

#[test]
fn an_empty_slice_takes_four_writes_at_most() {
    for format in [Format::Raw, Format::Avro] {
        let rig = Rig::new(0, 0);
        let id: TransferId = "export".parse().unwrap();
        now(plan(&rig.engine, &id, &export(format, 10), "test")).unwrap();
        rig.writes();
        let order = rig.order(&id, 0, None);
        assert_eq!(now(export_slice(&rig.engine, &order)).unwrap(), SliceOutcome::Done);
        let sliced = rig.writes();
        assert_eq!(now(settle(&rig.engine, &order, None)).unwrap(), Settled::Finish);
        let settled = rig.writes();
        println!("an empty slice: {sliced} writes, settling it {settled}");
        assert!((1..=4).contains(&(sliced + settled)), "{sliced} writes, and {settled} to settle");
        // And once more, as when its answer was lost.
        now(export_slice(&rig.engine, &order)).unwrap();
        assert!(rig.writes() <= 4);
        assert_eq!(now(finish(&rig.engine, &order)).unwrap(), Finish::Ended);
    }
}

/// Reads count too: a slice that finds nothing to do, because all is moved or a pause is wanted, costs four calls.
#[test]
fn a_slice_with_nothing_to_do_takes_four_calls_at_most() {
    let events = 10;
    let exported = || {
        let rig = Rig::new(events, usize::try_from(PART).unwrap());
        rig.transfer("export", &export(Format::Raw, 1), None);
        rig
    };
    for kind in [Kind::Export, Kind::Import] {
        for paused in [false, true] {
            let (rig, id, request): (Rig, TransferId, Request) = match kind {
                Kind::Export => (exported(), "again".parse().unwrap(), export(Format::Raw, 1)),
                Kind::Import => (exported(), "import".parse().unwrap(), import()),
            };
            now(plan(&rig.engine, &id, &request, "test")).unwrap();
            if paused {
                now(pause(&rig.engine, &id)).unwrap();
            } else {
                assert_eq!(rig.slice(kind, &rig.order(&id, 0, None)), SliceOutcome::Done);
            }
            rig.calls();
            let order = rig.order(&id, 1, None);
            let outcome = rig.slice(kind, &order);
            assert_eq!(outcome, if paused { SliceOutcome::Stopped } else { SliceOutcome::Done });
            let sliced = rig.calls();
            let settled = now(settle(&rig.engine, &order, None)).unwrap();
            assert_eq!(settled, if paused { Settled::Ended } else { Settled::Finish });
            let settling = rig.calls();
            println!("{kind:?}, paused {paused}: an empty slice takes {sliced} calls, settling it {settling}");
            assert!((1..=4).contains(&sliced), "{sliced} calls");
        }
    }
}
