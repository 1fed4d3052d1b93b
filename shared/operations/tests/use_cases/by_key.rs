//! Imports into a stream that cannot append conditionally, one misfortune at a time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sluice_kit::{Layered, OtherPlaces, StreamLayer};
use sluice_memory::{MemoryStream, now};
use sluice_operations::{
    Code, Engine, Finish, OperationError, Settings, Settled, SliceOrder, SliceOutcome, Verdict, export_slice, finish,
    import_slice, plan, settle, verify,
};
use sluice_ports::{
    Appended, Clock, Error, ErrorKind, NewEvent, Read, ReadLimit, Result, StreamInfo, StreamReader, StreamStore,
    StreamWriter,
};
use sluice_transfer::record::Proof;
use sluice_transfer::{
    Budget, ExportRequest, Format, Header, ImportRequest, Kind, Order, Position, Request, ShardId, Timestamp,
    TransferId, Value,
};

/// Bytes that the target takes of one event.
const LARGEST: u64 = 2_000;

/// What becomes of an append that nobody is told of.
struct Fate {
    /// Somebody else's event, which comes first.
    foreign: Option<NewEvent>,
    /// Which of its events arrive, in this order.
    arrive: Vec<usize>,
}

/// A stream that appends by key, with a fate for each of its next appends; all others are answered.
struct Target {
    inner: MemoryStream,
    fates: Mutex<VecDeque<Fate>>,
    blocked: AtomicBool,
    reads: AtomicU64,
    appended: AtomicU64,
}

fn unavailable<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Indeterminate, "nobody is told"))
}

#[async_trait]
impl StreamLayer for Target {
    fn inner(&self) -> &dyn StreamStore {
        &self.inner
    }

    async fn describe(&self) -> Result<StreamInfo> {
        Ok(StreamInfo { largest_event: LARGEST, ..self.inner.describe().await? })
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.blocked.load(Ordering::Relaxed) {
            return unavailable();
        }
        self.inner.read(shard, from, limit).await
    }

    async fn append(
        &self,
        writer: &dyn StreamWriter,
        _: &ShardId,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        let fate = self.fates.lock().unwrap().pop_front();
        let arrive: Vec<NewEvent> = match &fate {
            None => events.to_vec(),
            Some(fate) => fate.foreign.iter().cloned().chain(fate.arrive.iter().map(|n| events[*n].clone())).collect(),
        };
        self.appended.fetch_add(arrive.len() as u64, Ordering::Relaxed);
        let answer = writer.append(expected, &arrive).await?;
        if fate.is_some() { unavailable() } else { Ok(answer) }
    }
}

/// Time passes when somebody sleeps; nobody ever sleeps until a slice's deadline.
#[derive(Default)]
struct Sleepy(AtomicU64);

const DEADLINE_MILLIS: u64 = 600_000;

#[async_trait]
impl Clock for Sleepy {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).plus_millis(self.0.load(Ordering::Relaxed))
    }
    async fn sleep(&self, millis: u64) {
        if millis > DEADLINE_MILLIS / 2 {
            std::future::pending::<()>().await;
        }
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

fn event(key: &str, payload: &str) -> NewEvent {
    let (key, payload) = (Value::from(key.as_bytes().to_vec()), Value::from(payload.as_bytes().to_vec()));
    NewEvent { time: Timestamp::from_millis(5), key, headers: Vec::new(), payload }
}

/// Six events of two keys, two of them the same.
fn six() -> Vec<NewEvent> {
    [("a", "1"), ("a", "2"), ("b", "3"), ("a", "1"), ("b", "4"), ("b", "5")].map(|(key, p)| event(key, p)).to_vec()
}

struct Rig {
    engine: Engine,
    target: Arc<Layered<Target>>,
    id: TransferId,
    slices: AtomicU64,
}

impl Rig {
    /// An export of these events is there; their import is next.
    fn new(events: &[NewEvent]) -> Self {
        let sluice_kit::Rig { mut engine, bucket, .. } = sluice_kit::Rig::new(
            Settings { attempts: 2, landing_millis: 1_000, ..Settings::default() },
            &[events.to_vec()],
        );
        let target = Arc::new(Layered(Target {
            inner: MemoryStream::by_key(),
            fates: Mutex::default(),
            blocked: AtomicBool::default(),
            reads: AtomicU64::default(),
            appended: AtomicU64::default(),
        }));
        let (places, archive) = (engine.places.clone(), Arc::new(bucket));
        engine.places = Arc::new(OtherPlaces { places, archive, target: Some(target.clone()) });
        engine.clock = Arc::new(Sleepy::default());
        let rig = Self { engine, target, id: "export".parse().unwrap(), slices: AtomicU64::default() };
        let request = Request::Export(ExportRequest {
            format: Some(Format::Avro),
            ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
        });
        now(plan(&rig.engine, &rig.id, &request, "test")).unwrap();
        assert_eq!(rig.slice(Kind::Export), SliceOutcome::Done);
        rig.finish();
        Self { id: "import".parse().unwrap(), ..rig }
    }

    /// A rig whose import is planned and meets these fates.
    fn fated(fates: Vec<Fate>) -> Self {
        Self::ordered(None, fates)
    }

    /// The same, in such an order.
    fn ordered(order: Option<Order>, fates: Vec<Fate>) -> Self {
        let rig = Self::new(&six());
        rig.plan_in(order, None).unwrap();
        rig.target.0.fates.lock().unwrap().extend(fates);
        rig
    }

    fn plan(&self, event_size: Option<u64>) -> std::result::Result<(), OperationError> {
        self.plan_in(None, event_size)
    }

    fn plan_in(&self, order: Option<Order>, event_size: Option<u64>) -> std::result::Result<(), OperationError> {
        let request = Request::Import(ImportRequest {
            event_size,
            order,
            ..ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap())
        });
        now(plan(&self.engine, &self.id, &request, "test")).map(|_| ())
    }

    fn order(&self) -> SliceOrder {
        let deadline = self.engine.clock.now().plus_millis(DEADLINE_MILLIS);
        let slice = format!("slice-{}", self.slices.fetch_add(1, Ordering::Relaxed));
        let budget = Budget { events: None, bytes: None, deadline };
        SliceOrder { id: self.id.clone(), lane: Vec::new(), slice, budget, proof: Proof::SoleOwner }
    }

    fn slice(&self, kind: Kind) -> SliceOutcome {
        match kind {
            Kind::Export => now(export_slice(&self.engine, &self.order())).unwrap(),
            Kind::Import => now(import_slice(&self.engine, &self.order())).unwrap(),
        }
    }

    fn finish(&self) {
        assert_eq!(now(settle(&self.engine, &self.order(), None)).unwrap(), Settled::Finish);
        assert_eq!(now(finish(&self.engine, &self.order())).unwrap(), Finish::Ended);
    }

    /// Ends the import; answers the payloads that the target holds.
    fn complete(&self) -> String {
        assert_eq!(self.slice(Kind::Import), SliceOutcome::Done);
        self.finish();
        let proof = now(verify(&self.engine, &self.id, &mut |_| {})).unwrap();
        assert_eq!(proof.verdict, Verdict::Proved, "{:?}", proof.findings);
        assert_eq!(self.target.0.appended.load(Ordering::Relaxed), 6, "no event is sent twice");
        self.held()
    }

    fn held(&self) -> String {
        let events = self.target.0.inner.events(&"0".parse().unwrap());
        events.iter().map(|event| String::from_utf8_lossy(event.payload.as_slice()).into_owned()).collect()
    }

    /// The code and the message that the import fails with.
    fn failure(&self) -> (String, String) {
        match self.slice(Kind::Import) {
            SliceOutcome::Failed(failure) => (failure.code, failure.message),
            other => panic!("it fails, but it answered {other:?}"),
        }
    }
}

fn arrived(arrive: &[usize]) -> Fate {
    Fate { foreign: None, arrive: arrive.to_vec() }
}

#[test]
fn a_target_whose_appends_answer_is_not_read_before_the_end() {
    let rig = Rig::fated(Vec::new());
    assert_eq!(rig.slice(Kind::Import), SliceOutcome::Done);
    assert_eq!(rig.target.0.reads.load(Ordering::Relaxed), 0);
    assert_eq!(rig.complete(), "123145");
}

#[test]
fn of_an_unanswered_append_only_what_is_missing_is_sent() {
    for (arrive, held) in [
        (&[][..], "123145"),
        (&[2], "312145"),
        (&[2, 0], "312145"),
        (&[2, 4, 5], "345121"),
        (&[0, 2, 1, 4, 3, 5], "132415"),
    ] {
        let rig = Rig::fated(vec![arrived(arrive)]);
        assert_eq!(rig.complete(), held, "where {arrive:?} arrived");
    }
}

#[test]
fn where_no_order_is_kept_any_of_them_may_have_arrived() {
    for (arrive, held) in [
        (&[][..], "123145"),
        (&[1], "213145"),
        // Nobody can tell the two ones apart.
        (&[5, 3], "512314"),
        (&[4, 2, 0], "431215"),
        (&[5, 4, 3, 2, 1, 0], "541321"),
    ] {
        let rig = Rig::ordered(Some(Order::None), vec![arrived(arrive)]);
        assert_eq!(rig.complete(), held, "where {arrive:?} arrived");
    }
    // Of what is sent again any may arrive unheard of, too.
    let rig = Rig::ordered(Some(Order::None), vec![arrived(&[5]), arrived(&[3, 1]), arrived(&[1])]);
    assert_eq!(rig.complete().len(), 6);
    for foreign in [event("c", "9"), event("a", "9"), event("b", "5")] {
        let rig = Rig::ordered(Some(Order::None), vec![Fate { foreign: Some(foreign.clone()), arrive: vec![0, 5] }]);
        assert_eq!(rig.failure().0, Code::ForeignEvents.to_string(), "{foreign:?}");
    }
}

#[test]
fn of_a_shards_order_the_first_ones_have_arrived() {
    for (arrive, held) in [(&[][..], "123145"), (&[0, 1, 2], "123145"), (&[0, 1, 2, 3, 4, 5], "123145")] {
        let rig = Rig::ordered(Some(Order::Shard), vec![arrived(arrive)]);
        assert_eq!(rig.complete(), held, "where {arrive:?} arrived");
    }
    // What is in front of one that is there is there, too: it is waited for, and not sent again out of its order.
    let rig = Rig::ordered(Some(Order::Shard), vec![arrived(&[2])]);
    assert_eq!(rig.slice(Kind::Import), SliceOutcome::More);
    assert_eq!(rig.held(), "3");
}

#[test]
fn what_was_missing_and_not_answered_either_is_found_with_the_rest() {
    // Missing are 1, 2 and 1: first one of them arrives, then the other two, and nobody is told of any.
    let rig = Rig::fated(vec![arrived(&[2, 4, 5]), arrived(&[0]), arrived(&[0, 1])]);
    assert_eq!(rig.complete(), "345121");
}

#[test]
fn a_slice_that_could_not_look_tells_the_next_one() {
    let rig = Rig::fated(vec![arrived(&[2, 0])]);
    rig.target.0.blocked.store(true, Ordering::Relaxed);
    assert!(matches!(rig.slice(Kind::Import), SliceOutcome::Interrupted(_)));
    rig.target.0.blocked.store(false, Ordering::Relaxed);
    let before = rig.engine.clock.now();
    assert_eq!(rig.complete(), "312145");
    let waited = rig.engine.clock.now().millis_since(before);
    assert!(waited >= rig.engine.settings.landing_millis, "it waits for what is still to land: {waited} ms");
}

#[test]
fn what_nobody_sent_stops_the_import() {
    // Another key, another payload, and our own events where they cannot be: not the first ones of their keys.
    for foreign in [event("c", "9"), event("a", "9"), event("a", "2"), event("b", "5")] {
        let rig = Rig::fated(vec![Fate { foreign: Some(foreign.clone()), arrive: vec![0, 2] }]);
        let (code, message) = rig.failure();
        assert_eq!(code, Code::ForeignEvents.to_string(), "{foreign:?}: {message}");
        assert!(message.contains("memory:target holds an event at 0@0"), "{message}");
    }
}

#[test]
fn an_event_that_the_target_cannot_hold_is_named_and_not_sent() {
    let headers = vec![Header { name: "h".to_owned(), value: Value::Null }];
    let large = "x".repeat(usize::try_from(LARGEST).unwrap());
    let cases = [
        (NewEvent { headers, ..event("a", "1") }, Code::Invalid, "keeps no headers"),
        (NewEvent { payload: Value::Null, ..event("a", "1") }, Code::Invalid, "keeps no event without a payload"),
        (event("a", &large), Code::EventTooLarge, "it has 2001 bytes (payload, key and headers) of at most 2000"),
    ];
    for (odd, code, why) in cases {
        let rig = Rig::new(&[six(), vec![odd]].concat());
        rig.plan(None).unwrap();
        let (failed, message) = rig.failure();
        assert_eq!(failed, code.to_string(), "{message}");
        assert!(message.starts_with("export/data/shard=0/") && message.contains(".avro: "), "{message}");
        assert!(message.contains("memory:target cannot hold its last event") && message.contains(why), "{message}");
        assert_eq!(rig.held().len(), six().len(), "what stands in front of it is sent");
    }
}

#[test]
fn an_event_size_that_the_target_does_not_take_is_refused() {
    let rig = Rig::new(&six());
    now(rig.target.0.create(1)).unwrap();
    // The stream in memory gives such events a key of two bytes.
    for size in [LARGEST + 1, LARGEST, LARGEST - 1] {
        let error = rig.plan(Some(size)).unwrap_err();
        assert_eq!(error.code, Code::OutOfRange);
        assert!(error.message.contains("memory:target takes events of 2000 bytes, of which 2 go to a key"), "{error}");
        assert!(error.message.ends_with("choose 1998 or less"), "{error}");
    }
    // Avro has events of its own: that is what is wrong now.
    assert_eq!(rig.plan(Some(LARGEST - 2)).unwrap_err().code, Code::Invalid);
}
