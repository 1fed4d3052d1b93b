//! Whole transfers between Kinesis and a bucket in memory, on virtual time: the engine, the adapter, the SDK.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_kinesis::config::{BehaviorVersion, Region};
use aws_sdk_kinesis::{Client, Config};
use sluice_fake_kinesis::{Entry, Faults, Filter, Kinesis, Lineage, Millis, Mode, Record, Start};
use sluice_kit::Rig;
use sluice_operations::{
    Engine, Finish, Report, Settings, Settled, SliceOrder, SliceOutcome, describe, export_slice, finish, import_slice,
    plan, settle,
};
use sluice_ports::{BucketStore, NewEvent, Places, Result, StreamStore};
use sluice_stream_kinesis::{KinesisStream, configure};
use sluice_transfer::record::Proof;
use sluice_transfer::{
    BucketUri, Budget, Compression, ExportRequest, Format, Kind, PositionSpec, ReadMode, Request, ShardId, StreamUri,
    TransferId,
};

/// How long a slice may run, in milliseconds of virtual time, unless told.
const SLICE_MILLIS: Millis = 60_000;
/// Slices in a row that end in trouble, after which a host gives up.
const TROUBLES: u32 = 10;
/// Small objects, so that some are complete after a few events.
const OBJECT_BYTES: u64 = 10_000;
/// The first shard of each stream.
pub(crate) const FIRST: &str = "shardId-000000000000";

pub(crate) struct World {
    pub kinesis: Kinesis,
    pub engine: Engine,
    pub slice_millis: Millis,
    /// How exports read.
    pub read: Option<ReadMode>,
}

/// `kinesis:NAME` leads to the fake, by an adapter that remembers nothing, as each function begins; other names lead
/// to memory.
struct KinesisPlaces {
    kinesis: Kinesis,
    others: Arc<dyn Places>,
    /// Why no stream is made; none if one may be.
    makes_none: Option<&'static str>,
}

#[async_trait]
impl Places for KinesisPlaces {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        if uri.scheme != "kinesis" {
            return self.others.stream(uri).await;
        }
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
            .endpoint_url("http://kinesis.invalid")
            .allow_no_auth()
            .http_client(self.kinesis.http_client("sluice"));
        let client = Client::from_conf(configure(config).build());
        let stream = KinesisStream::new(client, &uri.name, Arc::new(self.kinesis.clock()));
        Ok(Arc::new(match self.makes_none {
            Some(why) => stream.never_made(why),
            None => stream,
        }))
    }

    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.others.bucket(uri).await
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.others.source(uri).await
    }

    fn work(&self) -> BucketUri {
        self.others.work()
    }
}

impl World {
    /// With a stream `orders`, and these events in the one shard of `memory:source`.
    pub(crate) fn new(faults: Faults, shards: u32, source: Vec<NewEvent>) -> Self {
        Self::with(faults, shards, &[source])
    }

    /// With a stream `orders`, and these events in the shards of `memory:source`.
    pub(crate) fn with(faults: Faults, shards: u32, source: &[Vec<NewEvent>]) -> Self {
        let kinesis = Kinesis::new();
        kinesis.set(faults);
        kinesis.call("owner", |call| call.create_stream("orders", shards, Mode::Provisioned)).unwrap();
        let Rig { mut engine, .. } = Rig::new(Settings { read_events: 50, ..Settings::default() }, source);
        let places = KinesisPlaces { kinesis: kinesis.clone(), others: engine.places.clone(), makes_none: None };
        engine.places = Arc::new(places);
        engine.clock = Arc::new(kinesis.clock());
        Self { kinesis, engine, slice_millis: SLICE_MILLIS, read: None }
    }

    /// No stream is made from now on, for this reason.
    pub(crate) fn make_none(&mut self, why: &'static str) {
        let (kinesis, others) = (self.kinesis.clone(), self.engine.places.clone());
        self.engine.places = Arc::new(KinesisPlaces { kinesis, others, makes_none: Some(why) });
    }

    pub(crate) async fn pass(&self, millis: Millis) {
        self.kinesis.clock().pass(millis).await;
    }

    /// One record of this many bytes lands every so many milliseconds, from now on.
    pub(crate) fn traffic(&self, count: u64, every: Millis, bytes: usize) {
        let now = self.kinesis.clock().millis();
        for number in 0..count {
            let entry = Entry::new(number.to_string(), vec![b'x'; bytes]);
            let put = self.kinesis.call("producer", |call| call.put_later("orders", now + number * every, vec![entry]));
            put.expect("a record that fits");
        }
    }

    /// All that the first shard of a stream holds, whatever the limits are.
    pub(crate) fn held(&self, stream: &str) -> Vec<Record> {
        self.held_by(stream, FIRST)
    }

    /// A stream's shards and all that they hold, whatever the limits are; parents first.
    pub(crate) fn all(&self, stream: &str) -> Vec<(Lineage, Vec<Record>)> {
        let page = self.kinesis.call("inspector", |call| call.list_shards(stream, Filter::default(), None));
        let shards = page.expect("a stream that is there").shards;
        shards.into_iter().map(|shard| (shard.clone(), self.held_by(stream, &shard.shard))).collect()
    }

    fn held_by(&self, stream: &str, shard: &str) -> Vec<Record> {
        let mut iterator = None;
        self.kinesis.change(|faults| (faults.read_limits, faults.call_limits, faults.silence) = (false, false, None));
        let mut held = Vec::new();
        loop {
            let answer = self.kinesis.call("inspector", |call| {
                let iterator =
                    iterator.take().map_or_else(|| call.get_shard_iterator(stream, shard, &Start::TrimHorizon), Ok)?;
                call.get_records(&iterator, 10_000)
            });
            let answer = answer.expect("a stream that is there");
            let more = !answer.records.is_empty();
            held.extend(answer.records);
            iterator = answer.next;
            if !more {
                return held;
            }
        }
    }

    /// Puts an export of `orders` on record.
    pub(crate) async fn plan_export(&self, until: PositionSpec) -> TransferId {
        let request = ExportRequest {
            format: Some(Format::Jsonl),
            compression: Some(Compression::Plain),
            from: Some(PositionSpec::Earliest),
            until: Some(until),
            object_size: Some(OBJECT_BYTES),
            read: self.read,
            ..ExportRequest::new("kinesis:orders".parse().unwrap(), "memory:archive".parse().unwrap())
        };
        self.plan("export", &Request::Export(request)).await
    }

    pub(crate) async fn plan(&self, id: &str, request: &Request) -> TransferId {
        let id: TransferId = id.parse().unwrap();
        plan(&self.engine, &id, request, "test").await.expect("a plan that is taken");
        id
    }

    fn order(&self, id: &TransferId, slice: u32, events: Option<u64>) -> SliceOrder {
        let deadline = self.engine.clock.now().plus_millis(self.slice_millis);
        let budget = Budget { events, bytes: None, deadline };
        SliceOrder {
            id: id.clone(),
            lane: Vec::new(),
            slice: format!("slice-{slice}"),
            budget,
            proof: Proof::SoleOwner,
        }
    }

    /// A slice of one lane, or of all shards where none is named.
    pub(crate) fn order_of(&self, id: &TransferId, lane: Vec<ShardId>) -> SliceOrder {
        let slice = lane.first().map_or_else(|| "all".to_owned(), |shard| format!("lane-{shard}"));
        SliceOrder { lane, slice, ..self.order(id, 0, None) }
    }

    /// One slice of an export, of about this many events; how many arrived.
    pub(crate) async fn some(&self, id: &TransferId, events: u64) -> usize {
        let outcome = export_slice(&self.engine, &self.order(id, 0, Some(events))).await.unwrap();
        assert_eq!(outcome, SliceOutcome::More);
        usize::try_from(describe(&self.engine, id).await.unwrap().events).unwrap()
    }

    /// One slice of an export, as if its function were killed after this number of milliseconds.
    pub(crate) async fn export_killed(&self, id: &TransferId, slice: u32, killed_after: Millis) {
        let order = self.order(id, slice, None);
        tokio::select! {
            outcome = export_slice(&self.engine, &order) => {
                outcome.unwrap();
            }
            () = self.pass(killed_after) => {}
        }
    }

    /// One slice of an import of this many events at most, as if its function were killed after so many milliseconds,
    /// if any.
    pub(crate) async fn import_some(&self, id: &TransferId, slice: u32, events: u64, killed_after: Option<Millis>) {
        let order = self.order(id, slice, Some(events));
        let run = import_slice(&self.engine, &order);
        match killed_after {
            None => {
                run.await.unwrap();
            }
            Some(millis) => {
                tokio::select! {
                    outcome = run => {
                        outcome.unwrap();
                    }
                    () = self.pass(millis) => {}
                }
            }
        }
    }

    /// Runs a transfer on as a host does, in slices of a minute, so many at most; how it then stands.
    pub(crate) async fn run(&self, kind: Kind, id: &TransferId, slices: u32) -> Report {
        let mut troubles = 0;
        for slice in 1..=slices {
            let order = self.order(id, slice, None);
            let outcome = match kind {
                Kind::Export => export_slice(&self.engine, &order).await.unwrap(),
                Kind::Import => import_slice(&self.engine, &order).await.unwrap(),
            };
            let failure = match outcome {
                SliceOutcome::Failed(failure) => Some(failure),
                SliceOutcome::Interrupted(failure) if troubles == TROUBLES => Some(failure),
                SliceOutcome::Interrupted(_) => {
                    troubles += 1;
                    self.pass(SLICE_MILLIS).await;
                    continue;
                }
                SliceOutcome::Busy { wait_millis } | SliceOutcome::Waiting { wait_millis } => {
                    self.pass(wait_millis).await;
                    continue;
                }
                _ => None,
            };
            troubles = 0;
            match settle(&self.engine, &self.order(id, slice, None), failure).await.unwrap() {
                Settled::Again => {}
                Settled::Busy { wait_millis } => self.pass(wait_millis).await,
                Settled::Finish => {
                    while finish(&self.engine, &self.order(id, slice, None)).await.unwrap() != Finish::Ended {
                        self.pass(1_000).await;
                    }
                    break;
                }
                Settled::Ended => break,
            }
        }
        describe(&self.engine, id).await.unwrap()
    }
}
