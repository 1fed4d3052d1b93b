//! What a person does from outside, whenever it comes, and what the records say of it then.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use sluice_kit::{BucketLayer, Layered, OtherPlaces, Rig, shard};
use sluice_memory::{MemoryBucket, now};
use sluice_operations::{
    Code, Engine, Finish, Settings, Settled, SliceOrder, SliceOutcome, cancel, describe, export_slice, finish,
    import_slice, limit, pause, plan, resume, settle,
};
use sluice_ports::{BucketStore, Clock, Error, ErrorKind, Metadata, NewEvent, Places, PutAnswer, StreamStore};
use sluice_transfer::record::{Config, Proof};
use sluice_transfer::{
    BucketUri, Budget, Checksum, Compression, Counts, ExportRequest, Format, ImportRequest, Request, SourceFormat,
    State, StreamUri, Timestamp, TransferId, Value,
};

/// What happens at some instant.
type Happening = Box<dyn FnOnce() + Send>;

/// A clock that a test moves: by hand, or by this many milliseconds with each look.
struct TestClock {
    millis: AtomicU64,
    step: u64,
    /// What happens with the look in front of which there are so many more.
    happens: Mutex<Option<(u64, Happening)>>,
}

impl TestClock {
    fn stepping(step: u64) -> Arc<Self> {
        Arc::new(Self { millis: AtomicU64::new(0), step, happens: Mutex::new(None) })
    }

    fn pass(&self, millis: u64) {
        self.millis.fetch_add(millis, Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let due = {
            let mut happens = self.happens.lock().unwrap();
            match &mut *happens {
                Some((0, _)) => happens.take(),
                Some((looks, _)) => {
                    *looks -= 1;
                    None
                }
                None => None,
            }
        };
        if let Some((_, happening)) = due {
            happening();
        }
        let millis = self.millis.fetch_add(self.step, Ordering::Relaxed);
        Timestamp::from_millis(1_700_000_000_000).plus_millis(millis)
    }

    async fn sleep(&self, _: u64) {
        // Only whoever waits for a deadline sleeps here.
        std::future::pending::<()>().await;
    }
}

fn order(id: &TransferId, deadline: Timestamp) -> SliceOrder {
    let budget = Budget { events: None, bytes: None, deadline };
    SliceOrder { id: id.clone(), lane: Vec::new(), slice: "slice".to_owned(), budget, proof: Proof::SoleOwner }
}

fn event(size: usize) -> NewEvent {
    let payload = Value::from(vec![b'x'; size]);
    NewEvent { time: Timestamp::default(), key: Value::Absent, headers: Vec::new(), payload }
}

fn export(object_size: Option<u64>, part_size: Option<u64>) -> Request {
    Request::Export(ExportRequest {
        stream: "memory:source".parse().unwrap(),
        to: "memory:archive".parse().unwrap(),
        format: Some(Format::Jsonl),
        compression: Some(Compression::Plain),
        series: None,
        from: None,
        until: None,
        object_size,
        part_size,
        deaggregate: false,
        read_share: None,
        read: None,
        rate: None,
    })
}

fn import() -> ImportRequest {
    ImportRequest {
        format: Some(SourceFormat::Lines),
        ..ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap())
    }
}

#[test]
fn a_rate_that_is_changed_at_rest_makes_no_work_of_the_rest() {
    let rig = Rig::new(Settings::default(), &[vec![event(1)]]);
    let clock = TestClock::stepping(0);
    let engine = Engine { clock: clock.clone(), ..rig.engine.clone() };
    let id: TransferId = "t".parse().unwrap();
    now(plan(&engine, &id, &export(None, None), "test")).unwrap();
    clock.pass(7_000);
    now(pause(&engine, &id)).unwrap();
    let settled = now(settle(&engine, &order(&id, clock.now().plus_millis(60_000)), None)).unwrap();
    assert_eq!(settled, Settled::Ended);
    let paused = now(describe(&engine, &id)).unwrap();
    assert_eq!((paused.state, paused.duration_seconds), (State::Paused, 7.0));

    clock.pass(3_600_000);
    now(limit(&engine, &id, Some(5))).unwrap();
    let limited = now(describe(&engine, &id)).unwrap();
    assert_eq!((limited.rate, limited.duration_seconds), (Some(5), 7.0));
    assert_eq!(limited.ended_at, paused.ended_at, "it came to rest when it did");
    clock.pass(1_800_000);
    now(resume(&engine, &id, "test")).unwrap();
    clock.pass(2_000);
    let seconds = || format!("{:.3}", now(describe(&engine, &id)).unwrap().duration_seconds);
    assert_eq!(seconds(), "9.000");
    // At work a change is an instant of its own, and no rest.
    now(limit(&engine, &id, None)).unwrap();
    clock.pass(1_000);
    assert_eq!(seconds(), "10.000");
}

/// An import of one compressed stream of lines, of which a slice has moved some.
fn begun(lines: &str, id: &TransferId) -> Rig {
    let settings = Settings {
        read_bytes: 20,
        read_events: 5,
        wind_down_millis: 0,
        poll_millis: 0,
        longest_stream: u64::MAX,
        ..Settings::default()
    };
    let rig = Rig::new(settings, &[Vec::new()]);
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(lines.as_bytes()).unwrap();
    rig.bucket.put_foreign("export/a", writer.finish().unwrap());
    now(plan(&rig.engine, id, &Request::Import(import()), "test")).unwrap();
    assert_eq!(now(import_slice(&rig.engine, &rig.order(id, 2_500))).unwrap(), SliceOutcome::More);
    rig
}

#[test]
fn a_pause_gives_the_shard_back_wherever_a_stream_is_read_again_from_its_beginning() {
    let lines: String = (0..1_500).flat_map(|n| [(n * 7_919 % 10_007).to_string(), "\n".to_owned()]).collect();
    let id: TransferId = "t".parse().unwrap();
    let mut unmoved = 0;
    for looks in (5..300).step_by(5) {
        let rig = begun(&lines, &id);
        let before = rig.target.events(&shard(0)).len();
        assert!(before > 100);
        let clock = TestClock::stepping(1);
        let engine = Engine { clock: clock.clone(), ..rig.engine.clone() };
        let (other, named) = (rig.engine.clone(), id.clone());
        let happening = move || drop(now(pause(&other, &named)).unwrap());
        *clock.happens.lock().unwrap() = Some((looks, Box::new(happening)));
        let outcome = now(import_slice(&engine, &order(&id, clock.now().plus_millis(1_000_000)))).unwrap();
        assert_eq!(outcome, SliceOutcome::Stopped, "after {looks} looks");
        let record = now(rig.engine.checkpoints.shard(&id, &shard(0))).unwrap().unwrap();
        assert_eq!(record.owner, None, "after {looks} looks");
        unmoved += usize::from(rig.target.events(&shard(0)).len() == before);

        assert_eq!(now(settle(&rig.engine, &rig.order(&id, 1_000_000), None)).unwrap(), Settled::Ended);
        now(resume(&rig.engine, &id, "test")).unwrap();
        assert_eq!(now(import_slice(&rig.engine, &rig.order(&id, 1_000_000))).unwrap(), SliceOutcome::Done);
        let after = rig.order(&id, 1_000_000);
        assert_eq!(now(settle(&rig.engine, &after, None)).unwrap(), Settled::Finish);
        assert_eq!(now(finish(&rig.engine, &after)).unwrap(), Finish::Ended);
        let arrived: Vec<u8> =
            rig.target.events(&shard(0)).iter().flat_map(|event| [event.payload.as_slice(), b"\n"].concat()).collect();
        assert!(arrived == lines.as_bytes());
    }
    assert!(unmoved > 5, "{unmoved} pauses came while the stream was read again");
}

/// Places whose archive is gone.
struct Gone(Arc<dyn Places>);

#[async_trait]
impl Places for Gone {
    async fn stream(&self, uri: &StreamUri) -> sluice_ports::Result<Arc<dyn StreamStore>> {
        self.0.stream(uri).await
    }

    async fn bucket(&self, uri: &BucketUri) -> sluice_ports::Result<(Arc<dyn BucketStore>, String)> {
        self.0.bucket(uri).await
    }

    async fn source(&self, uri: &BucketUri) -> sluice_ports::Result<(Arc<dyn BucketStore>, String)> {
        Err(Error::new(ErrorKind::NotFound, format!("there is no {uri}")))
    }

    fn work(&self) -> BucketUri {
        self.0.work()
    }

    fn object(&self, bucket: &BucketUri, key: &str) -> String {
        self.0.object(bucket, key)
    }
}

#[test]
fn of_a_cancelled_export_whose_bucket_is_gone_no_more_has_moved_than_was_sealed() {
    let mut rig = Rig::new(Settings::default(), &[(0..30).map(|_| event(1_000)).collect()]);
    let id: TransferId = "t".parse().unwrap();
    now(plan(&rig.engine, &id, &export(Some(5_000), Some(1_000)), "test")).unwrap();
    let order = rig.order(&id, 1_000_000);
    let part = SliceOrder { budget: Budget { events: Some(13), ..order.budget }, ..order.clone() };
    now(export_slice(&rig.engine, &part)).unwrap();
    let record = now(rig.engine.checkpoints.shard(&id, &shard(0))).unwrap().unwrap();
    assert!(record.moved().events > record.kept().events && record.kept().events > 0, "an upload is open");

    rig.engine.places = Arc::new(Gone(rig.engine.places.clone()));
    now(cancel(&rig.engine, &id)).unwrap();
    assert_eq!(now(settle(&rig.engine, &order, None)).unwrap(), Settled::Ended);
    let transfer = now(rig.engine.checkpoints.transfer(&id)).unwrap().unwrap();
    assert_eq!((transfer.state, transfer.totals.moved), (State::Cancelled, record.kept()));
    assert_eq!(now(describe(&rig.engine, &id)).unwrap().events, record.kept().events);
}

/// A bucket whose answer to a put of data gets lost, while that is wanted.
struct Silent(MemoryBucket, Arc<AtomicBool>);

#[async_trait]
impl BucketLayer for Silent {
    fn inner(&self) -> &dyn BucketStore {
        &self.0
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        checksum: Checksum,
        metadata: &Metadata,
    ) -> sluice_ports::Result<PutAnswer> {
        let answer = self.0.put(key, bytes, checksum, metadata).await;
        if key.contains("/data/") && self.1.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Indeterminate, "no answer"));
        }
        answer
    }
}

#[test]
fn what_is_sealed_on_the_way_to_rest_is_in_the_totals() {
    for cancels in [true, false] {
        let settings = Settings { attempts: 1, ..Settings::default() };
        let mut rig = Rig::new(settings, &[(0..3).map(|_| event(1_000)).collect()]);
        let silent = Arc::new(AtomicBool::new(true));
        rig.engine.places = Arc::new(OtherPlaces {
            places: rig.engine.places.clone(),
            archive: Arc::new(Layered(Silent(rig.bucket.clone(), silent.clone()))),
            target: None,
        });
        let id: TransferId = "t".parse().unwrap();
        now(plan(&rig.engine, &id, &export(None, None), "test")).unwrap();
        let order = rig.order(&id, 1_000_000);
        let outcome = now(export_slice(&rig.engine, &order)).unwrap();
        assert!(matches!(outcome, SliceOutcome::Interrupted(_)), "{outcome:?}");
        silent.store(false, Ordering::Relaxed);
        if cancels {
            now(cancel(&rig.engine, &id)).unwrap();
        } else {
            now(pause(&rig.engine, &id)).unwrap();
        }
        assert_eq!(now(settle(&rig.engine, &order, None)).unwrap(), Settled::Ended);
        let transfer = now(rig.engine.checkpoints.transfer(&id)).unwrap().unwrap();
        assert_eq!(transfer.state, if cancels { State::Cancelled } else { State::Paused });
        assert_eq!(
            (transfer.totals.moved, transfer.totals.objects),
            (Counts::new(3, 3_000), 1),
            "{:?}",
            transfer.state
        );
    }
}

#[test]
fn a_folder_is_another_source_than_what_is_called_so() {
    let rig = Rig::new(Settings::default(), &[Vec::new()]);
    rig.bucket.put_foreign("export/a", "one\n");
    let id: TransferId = "t".parse().unwrap();
    let of = |source: &str| Request::Import(ImportRequest { source: source.parse().unwrap(), ..import() });
    let planned = |source: &str| now(plan(&rig.engine, &id, &of(source), "test"));
    assert!(!planned("memory:archive/").unwrap().before);
    assert!(planned("memory:archive/").unwrap().before);
    let code = |source: &str| planned(source).map(drop).map_err(|error| error.code);
    assert_eq!(code("memory:archive"), Err(Code::RequestDiffers));
    assert_eq!(code("memory:archive//"), Err(Code::RequestDiffers));

    // A record of before targets were asked for their largest event never had the slash.
    let mut old = now(rig.engine.checkpoints.transfer(&id)).unwrap().unwrap();
    old.id = "old".parse().unwrap();
    old.request = of("memory:archive");
    let Config::Import(config) = &mut old.config else { panic!("an import") };
    config.largest_event = None;
    now(rig.engine.checkpoints.create_transfer(&old)).unwrap();
    for source in ["memory:archive", "memory:archive/"] {
        assert!(now(plan(&rig.engine, &old.id, &of(source), "test")).unwrap().before, "{source}");
    }
    let other = now(plan(&rig.engine, &old.id, &of("memory:elsewhere"), "test")).unwrap_err();
    assert_eq!(other.code, Code::RequestDiffers);
}
