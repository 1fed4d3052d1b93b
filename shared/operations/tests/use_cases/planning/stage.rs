//! A world in which imports are planned: stores in memory that count, and that fail once when a test says so.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use sluice_kit::{BucketLayer, CheckpointLayer, Layered, StreamLayer};
use sluice_memory::{MemoryBucket, MemoryCheckpoints, MemoryClock, MemoryStream, now};
use sluice_operations::{Begun, Engine, OperationError, Runner, Settings, SliceOrder, Wish, begin, call};
use sluice_ports::{
    BucketStore, Capabilities, CheckpointStore, Created, Error, ErrorKind, Metadata, Places, PutAnswer, Result, Stored,
    StreamStore,
};
use sluice_transfer::record::{Proof, TransferRecord};
use sluice_transfer::{
    Answer, BucketUri, Budget, Call, Checksum, Course, ImportRequest, Kind, Pacing, Request, StreamUri, TransferId,
};

/// Ends a plan at one of its writes.
#[derive(Default)]
pub(super) struct Fuse {
    /// Writes until then; none for never.
    pub left: Mutex<Option<u64>>,
    /// True if that write happens, and only its answer is lost.
    pub happens: Mutex<bool>,
}

impl Fuse {
    async fn write<T>(&self, write: impl Future<Output = Result<T>>) -> Result<T> {
        let mut blown = false;
        if let Some(left) = &mut *self.left.lock().unwrap() {
            blown = *left == 0;
            *left = left.wrapping_sub(1);
        }
        if !blown {
            return write.await;
        }
        let happens = *self.happens.lock().unwrap();
        if happens {
            write.await?;
        }
        Err(Error::new(ErrorKind::Indeterminate, "died"))
    }
}

pub(super) struct Fused<S> {
    inner: S,
    fuse: Arc<Fuse>,
}

#[async_trait]
impl BucketLayer for Fused<MemoryBucket> {
    fn inner(&self) -> &dyn BucketStore {
        &self.inner
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        self.fuse.write(self.inner.put(key, bytes, checksum, metadata)).await
    }
}

#[async_trait]
impl CheckpointLayer for Fused<MemoryCheckpoints> {
    fn inner(&self) -> &dyn CheckpointStore {
        &self.inner
    }

    async fn create_transfer(&self, record: &TransferRecord) -> Result<Created<TransferRecord>> {
        self.fuse.write(self.inner.create_transfer(record)).await
    }

    async fn update_transfer(&self, record: &TransferRecord) -> Result<Stored> {
        self.fuse.write(self.inner.update_transfer(record)).await
    }
}

/// Counts how often the target is described or listed.
pub(super) struct Described {
    inner: MemoryStream,
    pub times: AtomicU64,
}

impl StreamLayer for Described {
    fn inner(&self) -> &dyn StreamStore {
        &self.inner
    }

    fn called(&self, name: &'static str, _: bool) {
        self.times.fetch_add(u64::from(["describe", "list"].contains(&name)), Ordering::Relaxed);
    }
}

struct Site {
    archive: Arc<dyn BucketStore>,
    work: Arc<Layered<Fused<MemoryBucket>>>,
    source: MemoryStream,
    target: Arc<Layered<Described>>,
}

#[async_trait]
impl Places for Site {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        Ok(if uri.name == "target" { self.target.clone() } else { Arc::new(self.source.clone()) })
    }

    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        Ok(if uri.rest == "work" { (self.work.clone(), String::new()) } else { (self.archive.clone(), String::new()) })
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        Ok((self.archive.clone(), uri.rest.clone()))
    }

    fn work(&self) -> BucketUri {
        BucketUri { scheme: "memory".into(), rest: "work".into() }
    }
}

pub(super) struct Stage {
    pub engine: Engine,
    pub id: TransferId,
    pub table: MemoryCheckpoints,
    pub target: Arc<Layered<Described>>,
    pub fuse: Arc<Fuse>,
    pub work: MemoryBucket,
}

/// Documents by their keys in the folder of a list.
pub(super) type List = BTreeMap<String, Bytes>;

impl Stage {
    /// What is found goes on record at the end of each invocation only, which may look at the clock twice at least.
    pub(super) fn new(archive: Arc<dyn BucketStore>) -> Self {
        let (table, target, work) = (MemoryCheckpoints::new(), MemoryStream::new(), MemoryBucket::new());
        let fuse = Arc::new(Fuse::default());
        let target = Arc::new(Layered(Described { inner: target, times: AtomicU64::new(0) }));
        let places = Site {
            archive,
            work: Arc::new(Layered(Fused { inner: work.clone(), fuse: fuse.clone() })),
            source: MemoryStream::new(),
            target: target.clone(),
        };
        let settings = Settings { wind_down_millis: 0, plan_millis: u64::MAX, attempts: 1, ..Settings::default() };
        let engine = Engine {
            checkpoints: Arc::new(Layered(Fused { inner: table.clone(), fuse: fuse.clone() })),
            places: Arc::new(places),
            clock: Arc::new(MemoryClock::stepping()),
            settings,
        };
        Self { engine, id: "import".parse().unwrap(), table, target, fuse, work }
    }

    /// Of a bucket that takes objects, for any size of parts.
    pub(super) fn bucket() -> MemoryBucket {
        MemoryBucket::with(Capabilities { create_only: true, smallest_part: 1, attests_content: false })
    }

    pub(super) fn order(&self, millis: u64) -> SliceOrder {
        let deadline = self.engine.clock.now().plus_millis(millis);
        let budget = Budget { events: None, bytes: None, deadline };
        let (id, slice) = (self.id.clone(), "slice".to_owned());
        SliceOrder { id, lane: Vec::new(), slice, budget, proof: Proof::SoleOwner }
    }

    /// Begins as an execution beside which others may live, for that many milliseconds.
    pub(super) fn begin(
        &self,
        wish: Wish<'_>,
        execution: &str,
        millis: u64,
    ) -> std::result::Result<Begun, OperationError> {
        let deadline = Some(self.engine.clock.now().plus_millis(millis));
        now(begin(&self.engine, &self.id, wish, Runner { execution, alone: false, deadline }))
    }

    /// Plans in invocations of that many milliseconds, until something else is to be called: that, and the number of
    /// invocations. One that dies is followed by the next.
    pub(super) fn plan(&self, request: &Request, millis: u64) -> (Call, u64) {
        let mut course = Course::from(Call::Plan);
        for invocations in 1..100_000 {
            let begun = self.begin(Wish::Start(request), "a", millis);
            course = match begun {
                Ok(begun) => Course::from(begun.call),
                Err(error) => course.after(Answer::Trouble(error.to_failure()), &Pacing::default()),
            };
            if course.call != Call::Plan {
                return (course.call, invocations);
            }
        }
        panic!("it does not end");
    }

    /// One more call of the plan's.
    pub(super) fn go_on(&self, millis: u64) -> Call {
        let answer = now(call(&self.engine, Kind::Import, &Call::Plan, &self.order(millis))).unwrap();
        Course::from(Call::Plan).after(answer, &Pacing::default()).call
    }

    pub(super) fn record(&self) -> Option<TransferRecord> {
        now(self.table.transfer(&self.id)).unwrap()
    }

    /// The list that the plan wrote, without what it kept on its way.
    pub(super) fn list(&self) -> List {
        let record = self.record().unwrap();
        assert!(record.planning.is_none(), "{record:?}");
        let sluice_transfer::record::Config::Import(config) = record.config else { panic!("an import") };
        let folder = config.list.rsplit_once('/').unwrap().0;
        let all = self.work.read_all().into_iter();
        let below = all.filter_map(|(key, bytes)| Some((key.strip_prefix(folder)?.to_owned(), bytes)));
        below.filter(|(key, _)| !key.contains("/progress-")).collect()
    }
}

pub(super) fn import(source: &str) -> ImportRequest {
    ImportRequest::new(format!("memory:{source}").parse().unwrap(), "memory:target".parse().unwrap())
}
