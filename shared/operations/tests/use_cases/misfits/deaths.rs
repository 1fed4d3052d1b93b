//! Slices that die at each of their writes, before it and after it.

use std::collections::BTreeSet;

use super::*;

/// A process that dies at its n-th write, before or after it: none of its calls has an effect any more.
struct Life {
    left: AtomicU64,
    after: bool,
    dead: AtomicBool,
    /// The calls that were made, to see that all kinds are among those at which somebody dies.
    calls: Mutex<Vec<&'static str>>,
}

impl Life {
    fn new(writes: u64, after: bool) -> Arc<Self> {
        let (left, dead) = (AtomicU64::new(writes), AtomicBool::new(false));
        Arc::new(Self { left, after, dead, calls: Mutex::default() })
    }

    async fn write<T>(&self, name: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.dead.load(Ordering::Relaxed) {
            self.calls.lock().unwrap().push(name);
            if self.left.load(Ordering::Relaxed) > 0 {
                self.left.fetch_sub(1, Ordering::Relaxed);
                return call.await;
            }
            self.dead.store(true, Ordering::Relaxed);
            if self.after {
                drop(call.await);
            }
        }
        Err(Error::new(ErrorKind::Deadline, "the process is dead"))
    }
}

struct Mortal<S: ?Sized> {
    life: Arc<Life>,
    inner: Arc<S>,
}

#[async_trait]
impl BucketLayer for Mortal<dyn BucketStore> {
    fn inner(&self) -> &dyn BucketStore {
        &*self.inner
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        let name = if key.contains("/misfits/") { "misfit" } else { "document" };
        self.life.write(name, self.inner.put(key, bytes, checksum, metadata)).await
    }
}

#[async_trait]
impl CheckpointLayer for Mortal<dyn CheckpointStore> {
    fn inner(&self) -> &dyn CheckpointStore {
        &*self.inner
    }

    async fn update_shard(
        &self,
        record: &sluice_transfer::record::ShardRecord,
        pages: &[(DestinationName, LedgerPage)],
    ) -> Result<Stored> {
        self.life.write("record", self.inner.update_shard(record, pages)).await
    }
}

#[async_trait]
impl StreamLayer for Mortal<dyn StreamStore> {
    fn inner(&self) -> &dyn StreamStore {
        &*self.inner
    }

    async fn append(
        &self,
        writer: &dyn StreamWriter,
        _: &ShardId,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        // Half of an append by key may be all that arrives of it.
        let half = if self.inner.promises().appends == sluice_ports::Appends::ByKey {
            events.len().div_ceil(2)
        } else {
            events.len()
        };
        let dies = self.life.left.load(Ordering::Relaxed) == 0;
        let events = if dies { &events[..half] } else { events };
        self.life.write("append", writer.append(expected, events)).await
    }

    async fn append_ordered(
        &self,
        writer: &dyn StreamWriter,
        shard: &ShardId,
        expected: &Position,
        events: &[NewEvent],
        _: (Placement, Order),
    ) -> Result<Appended> {
        self.append(writer, shard, expected, events).await
    }
}

/// Slices that die before one lives on: fewer than a transfer without movement takes.
const DEATHS: u64 = 12;

struct MortalPlaces {
    life: Arc<Life>,
    places: Arc<dyn Places>,
}

#[async_trait]
impl Places for MortalPlaces {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        let inner = self.places.stream(uri).await?;
        Ok(Arc::new(Layered(Mortal { life: self.life.clone(), inner })))
    }

    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let (inner, prefix) = self.places.bucket(uri).await?;
        Ok((Arc::new(Layered(Mortal { life: self.life.clone(), inner })), prefix))
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.places.source(uri).await
    }

    fn work(&self) -> BucketUri {
        self.places.work()
    }
}

/// Runs an import whose slices die at the n-th write each, and answers what was written in front of the first death.
fn dies(target: MemoryStream, settings: Settings, order: Option<Order>, writes: u64, after: bool) -> Vec<&'static str> {
    let events: Vec<_> = mixed();
    let rig = exported(target, settings, &events, Format::Avro);
    let id: TransferId = "import".parse().unwrap();
    let request = ImportRequest { order, ..import(Some(OnMisfit::Store)) };
    now(plan(&rig.engine, &id, &Request::Import(request), "test")).unwrap();
    let (checkpoints, places) = (rig.engine.checkpoints.clone(), rig.engine.places.clone());
    let mut calls = Vec::new();
    for round in 0.. {
        assert!(round <= DEATHS, "it does not end");
        let life = Life::new(if round < DEATHS { writes } else { u64::MAX }, after);
        let rig = Rig {
            engine: sluice_operations::Engine {
                checkpoints: Arc::new(Layered(Mortal { life: life.clone(), inner: checkpoints.clone() })),
                places: Arc::new(MortalPlaces { life: life.clone(), places: places.clone() }),
                clock: rig.engine.clock.clone(),
                settings: rig.engine.settings,
            },
            source: rig.source.clone(),
            target: rig.target.clone(),
            bucket: rig.bucket.clone(),
        };
        let outcome = now(import_slice(&rig.engine, &rig.order(&id, 1_000_000)));
        if round == 0 {
            calls.clone_from(&life.calls.lock().unwrap());
        }
        match outcome.unwrap() {
            SliceOutcome::Done => break,
            SliceOutcome::More | SliceOutcome::Fenced => {}
            other => panic!("writes {writes}, after {after}: {other:?}"),
        }
    }
    assert_eq!(now(settle(&rig.engine, &rig.order(&id, 1_000_000), None)).unwrap(), Settled::Finish);
    assert_eq!(now(finish(&rig.engine, &rig.order(&id, 1_000_000))).unwrap(), Finish::Ended);
    let report = now(describe(&rig.engine, &id)).unwrap();
    assert_eq!((report.state, report.events), (State::CompletedWithMisfits, 7), "{:?}", report.error);
    let (fitting, misfits): (Vec<_>, Vec<_>) = events.into_iter().partition(fits);
    let sorted = |mut events: Vec<NewEvent>| {
        events.sort_by(|a, b| a.payload.as_slice().cmp(b.payload.as_slice()));
        events.into_iter().map(|event| event.payload).collect::<Vec<_>>()
    };
    assert_eq!(sorted(of_target(&rig.target)), sorted(fitting), "writes {writes}, after {after}");
    assert_eq!(imported_again(&files(&*work(&*rig.engine.places))), misfits, "writes {writes}, after {after}");
    let proof = now(verify(&rig.engine, &id, &mut |_| {})).unwrap();
    assert_eq!(proof.verdict, Verdict::Misfits, "writes {writes}, after {after}: {:?}", proof.findings);
    calls
}

#[test]
fn a_death_at_any_step_loses_no_event_and_doubles_none() {
    for by_key in [false, true] {
        for record_millis in [0, 250] {
            for order in [None, Some(Order::None)] {
                let mut all = BTreeSet::new();
                for writes in 1..30 {
                    for after in [false, true] {
                        let target = if by_key { MemoryStream::by_key() } else { MemoryStream::new() };
                        let settings = Settings { record_millis, ..settings() };
                        all.extend(dies(target.narrow(LARGEST), settings, order, writes, after));
                    }
                }
                assert!(["append", "misfit", "record"].iter().all(|call| all.contains(call)), "{all:?}");
            }
        }
    }
}
