//! A slice opens the writer of each shard that it claims, for its own import, and closes it before it gives the shard
//! back: nothing runs on between two slices.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sluice_kit::{Layered, OtherPlaces, Rig, StreamLayer, shard};
use sluice_memory::{MemoryStream, now};
use sluice_operations::{Settings, SliceOrder, SliceOutcome, import_slice, plan};
use sluice_ports::{Appended, Error, ErrorKind, NewEvent, Result, StreamStore, StreamWriter};
use sluice_transfer::{Budget, ExportRequest, ImportRequest, Position, Request, ShardId, Timestamp, TransferId, Value};

const SHARDS: usize = 3;

/// What happened to writers: the shard, and what.
type Log = Arc<Mutex<Vec<(ShardId, &'static str)>>>;

/// A target that notes what becomes of its writers. The writer of `broken` cannot be opened, and that of `full` appends
/// nothing.
struct Target {
    inner: MemoryStream,
    log: Log,
    broken: Option<ShardId>,
    full: Option<ShardId>,
}

struct Noted<'s> {
    inner: Box<dyn StreamWriter + 's>,
    target: &'s Target,
    shard: ShardId,
}

#[async_trait]
impl StreamWriter for Noted<'_> {
    async fn append(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        self.target.note(&self.shard, "append");
        if self.target.full.as_ref() == Some(&self.shard) {
            return Err(Error::new(ErrorKind::Full, "no room"));
        }
        self.inner.append(expected, events).await
    }

    async fn close(self: Box<Self>) {
        self.target.note(&self.shard, "close");
        self.inner.close().await;
    }
}

impl Target {
    fn note(&self, shard: &ShardId, what: &'static str) {
        self.log.lock().unwrap().push((shard.clone(), what));
    }
}

#[async_trait]
impl StreamLayer for Target {
    fn inner(&self) -> &dyn StreamStore {
        &self.inner
    }

    async fn writer<'s>(&'s self, shard: &ShardId, fence: Option<&TransferId>) -> Result<Box<dyn StreamWriter + 's>> {
        assert_eq!(fence.map(TransferId::as_str), Some("import"));
        if self.broken.as_ref() == Some(shard) {
            return Err(Error::new(ErrorKind::Denied, "it cannot be opened"));
        }
        self.note(shard, "open");
        let inner = self.inner.writer(shard, fence).await?;
        Ok(Box::new(Noted { inner, target: self, shard: shard.clone() }))
    }
}

/// One slice of an import of some events into each of three shards. Answers what became of the writers of each.
fn slice(events: Option<u64>, broken: Option<usize>, full: Option<usize>) -> (SliceOutcome, Vec<Vec<&'static str>>) {
    let event = || NewEvent {
        time: Timestamp::default(),
        key: Value::Absent,
        headers: Vec::new(),
        payload: Value::from(vec![b'a'; 10]),
    };
    let settings = Settings { read_events: 2, wind_down_millis: 0, ..Settings::default() };
    let mut rig = Rig::new(settings, &vec![vec![event(); 6]; SHARDS]);
    let export =
        Request::Export(ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap()));
    rig.transfer("export", &export, 1_000_000_000).unwrap();
    let log = Log::default();
    let (broken, full) = (broken.map(shard), full.map(shard));
    let target = Target { inner: rig.target.clone(), log: log.clone(), broken, full };
    let (places, archive) = (rig.engine.places.clone(), Arc::new(rig.bucket.clone()));
    rig.engine.places = Arc::new(OtherPlaces { places, archive, target: Some(Arc::new(Layered(target))) });
    let id: TransferId = "import".parse().unwrap();
    let import =
        Request::Import(ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap()));
    now(plan(&rig.engine, &id, &import, "test")).unwrap();
    assert!(log.lock().unwrap().is_empty(), "a plan writes nothing");
    let order = rig.order(&id, 1_000_000);
    let order = SliceOrder { budget: Budget { events, ..order.budget }, ..order };
    let outcome = now(import_slice(&rig.engine, &order)).unwrap();
    let log = log.lock().unwrap();
    let of = |number| log.iter().filter(|(of, _)| *of == shard(number)).map(|(_, what)| *what).collect();
    (outcome, (0..SHARDS).map(of).collect())
}

/// One writer, opened first and closed last.
fn is_closed(writer: &[&str]) -> bool {
    let inner = writer.strip_prefix(&["open"]).and_then(|writer| writer.strip_suffix(&["close"]));
    inner.is_some_and(|inner| inner.iter().all(|what| *what == "append"))
}

#[test]
fn each_shard_has_a_writer_of_its_own_that_is_closed() {
    let (outcome, writers) = slice(None, None, None);
    assert_eq!(outcome, SliceOutcome::Done);
    assert!(writers.iter().all(|writer| is_closed(writer) && writer.len() == 5), "{writers:?}");
}

#[test]
fn a_slice_that_is_cut_off_closes_what_it_opened() {
    let (outcome, writers) = slice(Some(3), None, None);
    assert!(matches!(outcome, SliceOutcome::More), "{outcome:?}");
    assert!(writers.iter().any(|writer| writer.contains(&"append")), "{writers:?}");
    assert!(writers.iter().all(|writer| writer.is_empty() || is_closed(writer)), "{writers:?}");
}

#[test]
fn a_writer_whose_append_fails_is_closed_too() {
    let (outcome, writers) = slice(None, None, Some(1));
    assert!(!matches!(outcome, SliceOutcome::Done), "{outcome:?}");
    assert_eq!(writers[1][..2], ["open", "append"], "{writers:?}");
    assert!(writers.iter().all(|writer| is_closed(writer)), "{writers:?}");
}

#[test]
fn one_that_cannot_be_opened_fails_its_shard() {
    let (outcome, writers) = slice(None, Some(2), None);
    let SliceOutcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert!(failure.message.contains("it cannot be opened"), "{failure:?}");
    assert!(writers[2].is_empty() && is_closed(&writers[0]) && is_closed(&writers[1]), "{writers:?}");
}
