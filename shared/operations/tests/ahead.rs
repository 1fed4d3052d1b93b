//! An import reads the next object while it appends the events of one, and no further than its memory has room.
#![cfg(test)]

mod rig;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use rig::{Rig, shard};
use sluice_operations::{Settings, SliceOutcome, import_slice, plan};
use sluice_ports::memory::now;
use sluice_ports::{
    Appended, BucketStore, Capabilities, CompleteAnswer, Listed, Metadata, NewEvent, ObjectInfo, OpenUpload,
    PartAnswer, Places, PutAnswer, Read, ReadLimit, Reservation, Result, StreamInfo, StreamStore,
};
use sluice_transfer::record::PartEntry;
use sluice_transfer::{
    BucketUri, Checksum, Compression, Counts, ExportRequest, Format, ImportRequest, Position, Range, Request, ShardId,
    StreamUri, Timestamp, TransferId, UploadId, Value,
};

const EVENT: usize = 1_000;
/// Two events.
const OBJECT: usize = 2 * EVENT;
const EVENTS: usize = 24;

/// How far objects were read and events appended, in bytes of the whole.
#[derive(Default)]
struct Marks {
    /// The data objects, as they follow each other.
    objects: Vec<String>,
    read: AtomicUsize,
    appended: AtomicUsize,
    /// Furthest that reading was in front of what was appended.
    ahead: Mutex<Vec<usize>>,
}

/// A bucket, or a stream, that tells what is done with it.
struct Marked<S: ?Sized> {
    inner: Arc<S>,
    marks: Arc<Marks>,
}

#[async_trait]
impl BucketStore for Marked<dyn BucketStore> {
    async fn capabilities(&self) -> Result<Capabilities> {
        self.inner.capabilities().await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        self.inner.head(key).await
    }

    async fn get(&self, key: &str, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
        let bytes = self.inner.get(key, pin, offset, len).await?;
        if let Some(number) = self.marks.objects.iter().position(|object| object == key) {
            let read = number * OBJECT + usize::try_from(offset).unwrap() + bytes.len();
            self.marks.read.fetch_max(read, Ordering::Relaxed);
        }
        Ok(bytes)
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        self.inner.put(key, bytes, checksum, metadata).await
    }

    async fn create_upload(&self, key: &str, metadata: &Metadata) -> Result<UploadId> {
        self.inner.create_upload(key, metadata).await
    }

    async fn upload_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: u64,
        offset: u64,
        bytes: Bytes,
        checksum: Checksum,
    ) -> Result<PartAnswer> {
        self.inner.upload_part(key, upload, number, offset, bytes, checksum).await
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>> {
        self.inner.list_parts(key, upload).await
    }

    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[PartEntry],
        checksum: Checksum,
    ) -> Result<CompleteAnswer> {
        self.inner.complete(key, upload, parts, checksum).await
    }

    async fn abort(&self, key: &str, upload: &UploadId) -> Result<()> {
        self.inner.abort(key, upload).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        self.inner.list(prefix, after, limit).await
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>> {
        self.inner.list_uploads(prefix).await
    }
}

#[async_trait]
impl StreamStore for Marked<dyn StreamStore> {
    async fn describe(&self) -> Result<StreamInfo> {
        self.inner.describe().await
    }

    async fn create(&self, shards: u32) -> Result<bool> {
        self.inner.create(shards).await
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        self.inner.read(shard, from, limit).await
    }

    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position> {
        self.inner.position_at(shard, time).await
    }

    async fn measure(&self, shard: &ShardId, range: &Range) -> Result<Option<Counts>> {
        self.inner.measure(shard, range).await
    }

    /// Is not durable before something behind it was read, and a while longer.
    async fn append(
        &self,
        shard: &ShardId,
        writer: Option<&TransferId>,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        let marks = &self.marks;
        let end = marks.appended.load(Ordering::Relaxed) + events.len() * EVENT;
        // The first object behind that of the last of these events.
        let behind = end.next_multiple_of(OBJECT);
        let mut polls = 0;
        poll_fn(|context| {
            polls += 1;
            let is_read = marks.read.load(Ordering::Relaxed) > behind || behind >= EVENTS * EVENT;
            assert!(is_read || polls < 1_000, "nothing behind byte {behind} is read while those in front are appended");
            if is_read && polls > 100 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        marks.ahead.lock().unwrap().push(marks.read.load(Ordering::Relaxed) - (end - events.len() * EVENT));
        marks.appended.store(end, Ordering::Relaxed);
        self.inner.append(shard, writer, expected, events).await
    }

    async fn reserve(&self, writer: &TransferId) -> Result<Reservation> {
        self.inner.reserve(writer).await
    }

    async fn release(&self, writer: &TransferId) -> Result<()> {
        self.inner.release(writer).await
    }

    async fn trim(&self, shard: &ShardId, before: &Position) -> Result<()> {
        self.inner.trim(shard, before).await
    }
}

/// The places of an import between marked stores.
struct Between {
    places: Arc<dyn Places>,
    marks: Arc<Marks>,
}

#[async_trait]
impl Places for Between {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        Ok(Arc::new(Marked { inner: self.places.stream(uri).await?, marks: self.marks.clone() }))
    }

    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.places.bucket(uri).await
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let (inner, prefix) = self.places.source(uri).await?;
        Ok((Arc::new(Marked { inner, marks: self.marks.clone() }), prefix))
    }

    fn work(&self) -> BucketUri {
        self.places.work()
    }

    fn object(&self, bucket: &BucketUri, key: &str) -> String {
        self.places.object(bucket, key)
    }
}

#[test]
fn the_next_object_is_read_while_one_is_appended() {
    let event = |number: usize| NewEvent {
        time: Timestamp::from_millis(0),
        key: Value::Absent,
        headers: Vec::new(),
        payload: Value::Bytes(Bytes::from(vec![number.to_le_bytes()[0]; EVENT])),
    };
    let settings = Settings {
        append_bytes: OBJECT,
        read_bytes: EVENT,
        part_bytes: OBJECT as u64,
        wind_down_millis: 0,
        ..Settings::default()
    };
    let mut rig = Rig::new(settings, &[(0..EVENTS).map(event).collect()]);
    let export = Request::Export(ExportRequest {
        stream: "memory:source".parse().unwrap(),
        to: "memory:archive".parse().unwrap(),
        format: Some(Format::Raw),
        compression: Some(Compression::Plain),
        from: None,
        until: None,
        object_size: Some(OBJECT as u64),
        part_size: Some(OBJECT as u64),
        rate: None,
    });
    rig.transfer("export", &export, 1_000_000_000).unwrap();
    let keys = rig.bucket.read_all().into_keys();
    let objects: Vec<_> = keys.filter(|key| key.starts_with("export/data/")).collect();
    assert_eq!(objects.len(), EVENTS * EVENT / OBJECT);
    let marks = Arc::new(Marks { objects, ..Marks::default() });
    rig.engine.places = Arc::new(Between { places: rig.engine.places.clone(), marks: marks.clone() });
    let import = Request::Import(ImportRequest {
        event_size: Some(EVENT as u64),
        ..ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap())
    });
    let id: TransferId = "import".parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        plan(&rig.engine, &id, &import, "test").await.unwrap();
        let outcome = import_slice(&rig.engine, &rig.order(&id, 1_000_000_000)).await.unwrap();
        assert_eq!(outcome, SliceOutcome::Done);
    });
    let limit = ReadLimit { events: usize::MAX, bytes: usize::MAX };
    let Read::Events { events, .. } = now(rig.target.read(&shard(0), &Position::Beginning, limit)).unwrap() else {
        panic!("nothing was trimmed");
    };
    let first = |payload: &[u8]| usize::from(payload[0]);
    assert!(events.iter().map(|event| first(event.payload.as_slice())).eq(0..EVENTS));
    let ahead = marks.ahead.lock().unwrap();
    assert!(ahead.len() > 3, "{ahead:?}");
    // What a shard of an import is reckoned to hold: what is appended, the batch behind it, what is taken apart, and
    // the part that it is taken of.
    let room = 2 * settings.append_bytes + settings.read_bytes + OBJECT;
    assert!(ahead.iter().all(|bytes| *bytes <= room), "{ahead:?}, {room} at most");
}
