//! Parts that are on their way at once: how many, in which order they count, and on a line that they have to share.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use super::watched::{Between, WatchedBucket};
use async_trait::async_trait;
use futures::future::BoxFuture;
use sluice_kit::{Layered, OtherPlaces, Rig, shard};
use sluice_operations::{Settings, SliceOutcome, export_slice, plan};
use sluice_ports::{Clock, Error, ErrorKind, NewEvent, PartAnswer, Result};
use sluice_transfer::record::{Phase, ShardRecord, Work};
use sluice_transfer::{Compression, ExportRequest, Format, Request, Timestamp, TransferId, Value};

/// A part is as long as an event.
const PART: usize = 8_000;
const PARTS: u64 = 12;

/// A clock that goes on while somebody waits, by this many milliseconds with each look.
#[derive(Default)]
struct Waited(AtomicU64);

const STEP: u64 = 5;

impl Waited {
    async fn until(&self, then: u64) {
        poll_fn(|context| {
            if self.0.load(Ordering::Relaxed) >= then {
                return Poll::Ready(());
            }
            self.0.fetch_add(STEP, Ordering::Relaxed);
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

#[async_trait]
impl Clock for Waited {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).plus_millis(self.0.load(Ordering::Relaxed))
    }

    async fn sleep(&self, millis: u64) {
        self.until(self.0.load(Ordering::Relaxed).saturating_add(millis)).await;
    }
}

/// A line to the bucket.
#[derive(Default)]
struct Line {
    clock: Arc<Waited>,
    /// So long a part takes, by its number; all others 10 milliseconds.
    takes: BTreeMap<u64, u64>,
    /// So long a part takes of a line that all share, where it is one.
    share: Option<u64>,
    /// A part that is refused while this is set.
    refused: Mutex<Option<u64>>,
    /// When the line is free.
    free: Mutex<u64>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    under_way: usize,
    most: usize,
    /// Parts as they were begun, and as they were stored.
    begun: Vec<u64>,
    stored: Vec<u64>,
}

#[async_trait]
impl Between for Line {
    async fn part(&self, number: u64, _: u64, call: BoxFuture<'_, Result<PartAnswer>>) -> Result<PartAnswer> {
        if *self.refused.lock().unwrap() == Some(number) {
            return Err(Error::new(ErrorKind::Unavailable, "not now"));
        }
        let now = self.clock.0.load(Ordering::Relaxed);
        let then = if let Some(share) = self.share {
            let mut free = self.free.lock().unwrap();
            *free = now.max(*free) + share;
            *free
        } else {
            now + self.takes.get(&number).unwrap_or(&10)
        };
        {
            let mut log = self.log.lock().unwrap();
            log.begun.push(number);
            log.under_way += 1;
            log.most = log.most.max(log.under_way);
        }
        // Also where the call is given up at a deadline.
        let _under_way = Under(self);
        self.clock.until(then).await;
        let answer = call.await?;
        self.log.lock().unwrap().stored.push(number);
        Ok(answer)
    }
}

struct Under<'a>(&'a Line);

impl Drop for Under<'_> {
    fn drop(&mut self) {
        self.0.log.lock().unwrap().under_way -= 1;
    }
}

/// An export of one object over such a line.
struct Export {
    rig: Rig,
    line: Arc<Line>,
    id: TransferId,
    runtime: tokio::runtime::Runtime,
}

impl Export {
    fn new(line: Line, settings: Settings) -> Self {
        Self::of(line, settings, PART as u64, 1 << 20)
    }

    fn of(line: Line, settings: Settings, part_size: u64, object_size: u64) -> Self {
        let event = |number: u64| NewEvent {
            time: Timestamp::from_millis(0),
            key: Value::Absent,
            headers: Vec::new(),
            payload: Value::from(vec![number.to_le_bytes()[0]; PART]),
        };
        let mut rig = Rig::new(settings, &[(0..PARTS).map(event).collect()]);
        let line = Arc::new(line);
        rig.engine.clock = line.clock.clone();
        rig.engine.places = Arc::new(OtherPlaces {
            places: rig.engine.places.clone(),
            archive: Arc::new(Layered(WatchedBucket { inner: rig.bucket.clone(), between: line.clone() })),
            target: None,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let id: TransferId = "export".parse().unwrap();
        let request = Request::Export(ExportRequest {
            format: Some(Format::Raw),
            compression: Some(Compression::Plain),
            object_size: Some(object_size),
            part_size: Some(part_size),
            ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
        });
        runtime.block_on(plan(&rig.engine, &id, &request, "test")).unwrap();
        Self { rig, line, id, runtime }
    }

    fn slice(&self, millis: u64) -> SliceOutcome {
        self.runtime.block_on(export_slice(&self.rig.engine, &self.rig.order(&self.id, millis))).unwrap()
    }

    fn record(&self) -> ShardRecord {
        let read = async || self.rig.engine.checkpoints.shard(&self.id, &shard(0)).await;
        self.runtime.block_on(read()).unwrap().unwrap()
    }

    /// Parts that are on record.
    fn counted(&self) -> u64 {
        let Work::Export(destinations) = self.record().work else { panic!("it is an export") };
        let destination = destinations.into_values().next().unwrap();
        match destination.phase {
            Phase::Open(upload) => upload.parts,
            Phase::Idle | Phase::Closing(_) => panic!("an upload is open"),
        }
    }

    /// The object is there, and is the events.
    fn is_whole(&self) {
        let objects = self.rig.bucket.read_all();
        let (_, bytes) = objects.iter().find(|(key, _)| key.starts_with("export/data/")).unwrap();
        let events: Vec<u8> = (0..PARTS).flat_map(|number| vec![number.to_le_bytes()[0]; PART]).collect();
        assert!(bytes[..] == events[..]);
    }
}

fn settings() -> Settings {
    Settings { read_bytes: 2 * PART, memory_bytes: 100 * PART as u64, wind_down_millis: 2_000, ..Settings::default() }
}

#[test]
fn three_are_on_their_way_and_count_in_their_order() {
    // The first of them takes longest.
    let takes = (1..=PARTS).map(|number| (number, 10 + 100 * (3 - number % 3))).collect();
    let export = Export::new(Line { takes, ..Line::default() }, settings());
    assert_eq!(export.slice(1_000_000), SliceOutcome::Done);
    export.is_whole();
    let log = export.line.log.lock().unwrap();
    assert_eq!(log.most, 3);
    // Whoever takes them down in another order has an object that cannot be completed, and sends them again.
    assert!(log.begun.iter().copied().eq(1..=PARTS), "{:?}", log.begun);
    assert!(!log.stored.is_sorted(), "{:?}", log.stored);
}

#[test]
fn the_last_one_is_sent_with_those_before_it() {
    // Where the object has its size, and where the range ends in the middle of a part.
    for (part, object) in [(PART as u64, PARTS * PART as u64), (PART as u64 + 500, 1 << 20)] {
        let takes = (PARTS - 2..=PARTS).map(|number| (number, 500)).collect();
        let export = Export::of(Line { takes, ..Line::default() }, settings(), part, object);
        let before = export.line.clock.0.load(Ordering::Relaxed);
        assert_eq!(export.slice(1_000_000), SliceOutcome::Done);
        export.is_whole();
        assert_eq!(export.line.log.lock().unwrap().begun.len() as u64, PARTS);
        let took = export.line.clock.0.load(Ordering::Relaxed) - before;
        assert!((500..1_000).contains(&took), "{took} ms: the last three took 500 each");
    }
}

#[test]
fn behind_one_that_fails_nothing_counts() {
    let export = Export::new(Line { refused: Mutex::new(Some(3)), ..Line::default() }, settings());
    assert_eq!(export.slice(1_000_000), SliceOutcome::More, "two of them moved");
    assert!(export.line.log.lock().unwrap().stored.contains(&4), "it was sent beside the one that failed");
    assert_eq!(export.counted(), 2);
    let idle = export.record().idle_slices;
    for _ in 0..2 {
        let outcome = export.slice(1_000_000);
        assert!(matches!(outcome, SliceOutcome::Interrupted(_)), "nothing moves: {outcome:?}");
    }
    assert_eq!(export.record().idle_slices, idle, "a bucket in trouble says nothing of the shard");
    *export.line.refused.lock().unwrap() = None;
    assert_eq!(export.slice(1_000_000), SliceOutcome::Done);
    export.is_whole();
}

#[test]
fn on_a_slow_line_a_slice_ends_before_its_deadline() {
    // Each of three takes 4.8 seconds where one takes 1.6, which is less than the 2 of winding down.
    let export = Export::new(Line { share: Some(1_600), ..Line::default() }, settings());
    let mut slices = 1;
    loop {
        let before = export.line.clock.0.load(Ordering::Relaxed);
        match export.slice(20_000) {
            SliceOutcome::Done => break,
            SliceOutcome::More => assert!(export.record().owner.is_none(), "the shard is given back"),
            other => panic!("{other:?} after {slices} slices"),
        }
        assert!(export.line.clock.0.load(Ordering::Relaxed) - before < 20_000);
        slices += 1;
    }
    export.is_whole();
    assert!((2..6).contains(&slices), "{slices} slices");
    let log = export.line.log.lock().unwrap();
    assert_eq!(log.begun.len() as u64, PARTS, "none is sent twice: {:?}", log.begun);
}

#[test]
fn where_three_have_no_time_one_has() {
    let export = Export::new(Line { share: Some(9_000), ..Line::default() }, settings());
    let outcomes: Vec<_> =
        (0..100).map(|_| export.slice(20_000)).take_while(|out| *out != SliceOutcome::Done).collect();
    assert!(outcomes.len() < 40, "{} slices for {PARTS} parts, of which each has time for one", outcomes.len());
    export.is_whole();
}

#[test]
fn a_slice_that_moved_something_is_not_idle_however_it_ended() {
    // The eighth hangs.
    let takes = [(8, 1_000_000)].into();
    let export = Export::new(Line { takes, ..Line::default() }, Settings { record_millis: 0, ..settings() });
    assert_eq!(export.slice(20_000), SliceOutcome::More);
    assert!(export.record().owner.is_some(), "it ended at its deadline");
    assert!(export.counted() > 5);
    assert_eq!(export.record().idle_slices, 0);
    export.slice(20_000);
    assert_eq!(export.record().idle_slices, 1, "nothing moved in this one");
}

#[test]
fn parts_that_no_longer_fit_the_memory_are_refused_by_name() {
    let mut export = Export::new(Line::default(), settings());
    let whole = export.rig.engine.settings.largest_part;
    export.rig.engine.settings.largest_part = PART as u64 - 1;
    let SliceOutcome::Failed(failure) = export.slice(20_000) else { panic!("it runs") };
    assert_eq!(failure.code, "OutOfRange");
    assert!(failure.message.contains("8000 bytes, and at most 7999"), "{}", failure.message);
    assert_eq!(export.record().slices, 0, "no shard was taken");
    export.rig.engine.settings.largest_part = whole;
    assert_eq!(export.slice(1_000_000), SliceOutcome::Done);
    export.is_whole();
}
