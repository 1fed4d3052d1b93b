//! While a target makes one object's events durable, the import reads the next object, and no more than that one.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use super::watched::{Between, WatchedBucket};
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use sluice_kit::{Layered, OtherPlaces, Rig, StreamLayer, shard};
use sluice_memory::{MemoryBucket, MemoryStream};
use sluice_operations::{Finish, Settings, Settled, SliceOutcome, finish, import_slice, plan, settle};
use sluice_ports::{Appended, NewEvent, Result, StreamStore, StreamWriter};
use sluice_transfer::manifest::{Document, ExportManifest, ManifestObject, Segment};
use sluice_transfer::{
    Compression, ExportRequest, Format, ImportRequest, ObjectKeys, Position, Request, ShardId, Timestamp, TransferId,
    Value,
};

const SHARDS: usize = 2;
const EVENTS: usize = 15;
/// Bytes of an event: more than a unit of any format has, so that an object ends where its size says.
const EVENT: usize = 300_000;
/// Bytes of an object, about: some events, and the last object of a shard is a shorter one.
const OBJECT: u64 = 600_000;
/// An append that nobody reads beside is given up after so many looks.
const PATIENCE: usize = 1_000;

/// An object of the export.
#[derive(Debug)]
struct Object {
    key: String,
    bytes: u64,
    /// Events of its shard up to its end.
    until: usize,
}

/// What happened so far.
#[derive(Default)]
struct Log {
    /// Objects that bytes were got of: shard, number in it, and how many bytes.
    gets: Vec<(usize, usize, u64)>,
    /// Events of each shard that the target answered for.
    appended: [usize; SHARDS],
    /// Appends that waited until something behind them was read.
    waited: usize,
    /// The most bytes that were got and of which not all events were in the target.
    most_held: u64,
}

/// The objects of each shard, and what becomes of them.
struct Watch {
    objects: Vec<Vec<Object>>,
    log: Mutex<Log>,
}

impl Watch {
    fn got(&self, key: &str, bytes: u64) {
        let (number, index) = self.find(key).unwrap();
        let mut log = self.log.lock().unwrap();
        // Told here and not only at the end: an append that finds everything read before would else be what is blamed.
        let done = self.objects[number].partition_point(|object| object.until <= log.appended[number]);
        assert!(index < done + 2, "{key} is read while only {done} objects of its shard are in the target");
        log.gets.push((number, index, bytes));
        let held = log.gets.iter().filter(|(number, index, _)| {
            // An object counts as a whole until its last event is in the target.
            log.appended[*number] < self.objects[*number][*index].until
        });
        log.most_held = log.most_held.max(held.map(|(_, _, bytes)| bytes).sum());
    }

    /// The shard of an object, and its number in it; none for what is no object.
    fn find(&self, key: &str) -> Option<(usize, usize)> {
        let find = |(number, objects): (usize, &Vec<Object>)| {
            objects.iter().position(|object| object.key == key).map(|index| (number, index))
        };
        self.objects.iter().enumerate().find_map(find)
    }
}

#[async_trait]
impl Between for Watch {
    async fn get(&self, key: &str, call: BoxFuture<'_, Result<Bytes>>) -> Result<Bytes> {
        if self.find(key).is_none() {
            return call.await;
        }
        // As over a network, nothing is there at once: whoever reads has to be polled again beside the append.
        tokio::task::yield_now().await;
        let bytes = call.await?;
        self.got(key, bytes.len() as u64);
        Ok(bytes)
    }
}

/// A target that makes nothing durable before the next object is read.
struct Target {
    inner: MemoryStream,
    watch: Arc<Watch>,
}

impl Target {
    /// Waits until an object behind that many events of a shard is read. One that was read before the append began does
    /// not count: whoever reads two objects and then writes two reads nothing while it writes.
    async fn until_read_behind(&self, number: usize, until: usize) {
        let objects = &self.watch.objects[number];
        let last = objects.iter().position(|object| until <= object.until).unwrap();
        assert_eq!(until, objects[last].until, "an append holds one object, so that the next one is all that is ahead");
        if last + 1 == objects.len() {
            return;
        }
        let before = self.watch.log.lock().unwrap().gets.len();
        let mut polls = 0;
        let read = poll_fn(|context| {
            let log = self.watch.log.lock().unwrap();
            if log.gets[before..].iter().any(|(of, index, _)| *of == number && *index > last) {
                return Poll::Ready(());
            }
            polls += 1;
            assert!(
                polls <= PATIENCE,
                "nothing behind {} is read while its events are on their way to the target",
                objects[last].key
            );
            context.waker().wake_by_ref();
            Poll::Pending
        });
        read.await;
        self.watch.log.lock().unwrap().waited += 1;
    }
}

#[async_trait]
impl StreamLayer for Target {
    fn inner(&self) -> &dyn StreamStore {
        &self.inner
    }

    async fn append(
        &self,
        writer: &dyn StreamWriter,
        id: &ShardId,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        let number = (0..SHARDS).find(|number| shard(*number) == *id).unwrap();
        let until = self.watch.log.lock().unwrap().appended[number] + events.len();
        self.until_read_behind(number, until).await;
        let answer = writer.append(expected, events).await?;
        assert!(matches!(answer, Appended::Done { .. }), "{answer:?}");
        self.watch.log.lock().unwrap().appended[number] = until;
        Ok(answer)
    }
}

/// Each event is another, and of the same size, so that all objects hold as many.
fn event(number: usize, n: usize) -> NewEvent {
    let payload = Value::from(format!("{number}/{n:06}").into_bytes().repeat(EVENT.div_ceil(8))[..EVENT].to_vec());
    NewEvent { time: Timestamp::from_millis(5), key: Value::Absent, headers: Vec::new(), payload }
}

/// What the export wrote, as its manifest lists it.
fn objects(bucket: &MemoryBucket) -> Vec<Vec<Object>> {
    let read = |key: &str| bucket.read(&format!("export/{key}")).unwrap();
    let root = ExportManifest::from_bytes(&read(ObjectKeys::root())).unwrap();
    let shards = root.shards.iter().map(|shard| {
        let segments = (1..=shard.segments.count).flat_map(|number| {
            let bytes = read(&ObjectKeys::segment(&shard.shard, number));
            Segment::<ManifestObject>::from_bytes(&bytes).unwrap().entries
        });
        let mut until = 0;
        let objects = segments.map(|ManifestObject { key, object }| {
            until += usize::try_from(object.counts.events).unwrap();
            Object { key: format!("export/{key}"), bytes: object.checksum.len, until }
        });
        objects.collect()
    });
    shards.collect()
}

/// Imports an export of such objects, with memory for this many shards at once.
async fn import(format: Format, shards_at_once: u64) {
    let events: Vec<Vec<NewEvent>> =
        (0..SHARDS).map(|number| (0..EVENTS).map(|n| event(number, n)).collect()).collect();
    let mut rig = Rig::new(Settings { wind_down_millis: 0, ..Settings::default() }, &events);
    let export = Request::Export(ExportRequest {
        format: Some(format),
        compression: Some(Compression::Plain),
        object_size: Some(OBJECT),
        part_size: Some(OBJECT),
        ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
    });
    rig.transfer("export", &export, 1_000_000_000).unwrap();

    let objects = objects(&rig.bucket);
    let an_object = objects[0][0].until;
    for objects in &objects {
        let (last, others) = objects.split_last().unwrap();
        assert!(others.len() > 3 && last.until == EVENTS, "{objects:?}");
        assert!((1..).zip(others).all(|(n, object)| object.until == n * an_object), "{objects:?}");
    }
    let count: usize = objects.iter().map(Vec::len).sum();
    let bytes: u64 = objects.iter().flatten().map(|object| object.bytes).sum();
    let largest = objects.iter().flatten().map(|object| object.bytes).max().unwrap();

    // An append holds the events of one object; an object is one part, which is held, so that it is read once.
    let mut settings =
        Settings { append_bytes: an_object * EVENT, read_bytes: EVENT, part_bytes: largest, ..rig.engine.settings };
    // As much as the import takes one shard to need.
    settings.memory_bytes =
        shards_at_once * ((2 * settings.append_bytes + settings.read_bytes) as u64 + settings.part_bytes);
    rig.engine.settings = settings;
    let watch = Arc::new(Watch { objects, log: Mutex::default() });
    rig.engine.places = Arc::new(OtherPlaces {
        places: rig.engine.places.clone(),
        archive: Arc::new(Layered(WatchedBucket { inner: rig.bucket.clone(), between: watch.clone() })),
        target: Some(Arc::new(Layered(Target { inner: rig.target.clone(), watch: watch.clone() }))),
    });

    let id: TransferId = "import".parse().unwrap();
    let request = Request::Import(ImportRequest {
        event_size: (format == Format::Raw).then_some(EVENT as u64),
        ..ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap())
    });
    plan(&rig.engine, &id, &request, "test").await.unwrap();
    let order = rig.order(&id, 1_000_000_000);
    assert_eq!(import_slice(&rig.engine, &order).await.unwrap(), SliceOutcome::Done);
    assert_eq!(settle(&rig.engine, &order, None).await.unwrap(), Settled::Finish);
    assert_eq!(finish(&rig.engine, &order).await.unwrap(), Finish::Ended);

    for (number, events) in events.iter().enumerate() {
        let arrived: Vec<_> = rig.target.events(&shard(number)).into_iter().map(|event| event.payload).collect();
        let sent: Vec<_> = events.iter().map(|event| event.payload.clone()).collect();
        assert!(arrived == sent, "shard {number} arrives as it was");
    }
    let log = watch.log.lock().unwrap();
    assert_eq!(log.waited, count - SHARDS, "every append but a shard's last had the next object read beside it");
    assert_eq!(log.gets.iter().map(|(_, _, bytes)| bytes).sum::<u64>(), bytes, "everything is read once");
    // One object is on its way. What is read ahead ends with the event that makes it `append_bytes`, which is the last
    // one of the next object, so nothing asks for the object behind that. A second one is always held at some time, as
    // there are always two of full size in a row.
    assert_eq!(log.most_held, shards_at_once * 2 * largest, "of each shard at work two objects are held");
    assert!(log.most_held <= settings.memory_bytes, "{} of {} bytes", log.most_held, settings.memory_bytes);
}

#[tokio::test]
async fn while_one_object_is_written_the_next_one_is_read() {
    for format in [Format::Avro, Format::Jsonl, Format::Raw] {
        import(format, 1).await;
    }
}

#[tokio::test]
async fn with_memory_for_two_shards_each_of_them_reads_one_object_ahead() {
    for format in [Format::Avro, Format::Jsonl, Format::Raw] {
        import(format, 2).await;
    }
}
