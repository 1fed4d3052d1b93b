//! What a schedule moves, and how: drawn from its seed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sluice_kit::Layered;
use sluice_memory::{MemoryBucket, MemoryCheckpoints, MemoryStream, now};
use sluice_operations::{Engine, Settings};
use sluice_ports::{
    Appended, BucketStore, Capabilities, CheckpointStore, Error, ErrorKind, NewEvent, Places, Result, ShardLimits,
    StreamAdmin, StreamStore, append_once,
};
use sluice_transfer::{
    BucketUri, Compression, Cut, Encoding, ExportRequest, Format, HashRange, ImportRequest, OnMisfit, Order, Position,
    PositionSpec, ReadShare, Request, Sequence, ShardId, StreamUri, Tempo, Value, key_hash,
};

use crate::by_key::{BlindStream, LANDING_MILLIS, Unanswered};
use crate::events::{event, plain};
use crate::faulty::Faulty;
use crate::guards::{CredulousBucket, Guard, LooseCheckpoints, loose_source, loose_target};
use crate::lineage::{self, Lineage};
use crate::misfits;
use crate::pace::{self, LULL_MILLIS};
use crate::random::Random;
use crate::shrink::{Edits, Simpler};
use crate::world::{ATTEMPTS, ActorId, VirtualClock, World};

/// An actor's lease ends, and the platform ends it, so long after its deadline.
pub(crate) const LEASE_MARGIN_MILLIS: u64 = 150;

/// What is moved and in which pieces.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub shards: u32,
    pub events: Vec<Vec<NewEvent>>,
    pub encoding: Encoding,
    pub part_size: u64,
    /// Parts of a shard that are on their way at once, where memory has room.
    pub parts_at_once: usize,
    pub object_size: u64,
    pub event_size: u64,
    pub read_bytes: usize,
    pub read_events: usize,
    pub append_bytes: usize,
    /// The largest part that an import holds.
    pub part_bytes: u64,
    /// Of each shard the events from the one of that number to the one of this are imported, if some of them are there.
    pub range: Option<(u64, u64)>,
    /// So long a record may stay behind what is stored.
    pub record_millis: u64,
    /// A plan leaves off so long after its beginning; none for one that may last.
    pub plan_millis: Option<u64>,
    /// What a plan found goes on record once in so long.
    pub found_millis: u64,
    pub slice_events: Option<u64>,
    pub slice_bytes: Option<u64>,
    /// The same bytes uploaded twice get another etag, as in a bucket under KMS.
    pub fresh_etags: bool,
    /// Somebody else's object stands where the first one of shard 0 should go.
    pub foreign: bool,
    /// The source may be trimmed while it is read.
    pub trims: bool,
    /// The target cannot append conditionally.
    pub by_key: bool,
    /// The target is there before and has this many shards: keys decide where events go.
    pub placed: Option<u32>,
    /// The order that an import asks for; none for the default.
    pub order: Option<Order>,
    /// The pace that an import asks for; none for as fast as it goes.
    pub pace: Option<Tempo>,
    /// Keys lead to shards in source and target, and these are split and merged.
    pub lineage: Option<Lineage>,
    /// Bytes that the target takes of an event, and then no headers; none if it holds every event.
    pub largest: Option<u64>,
    /// The source cannot tell what a range holds.
    pub uncounted: bool,
    /// The user may cancel.
    pub cancels: bool,
    pub fault_rate: u64,
    pub faults: u32,
}

impl Scenario {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5ce0_a210);
        let shards = u32::try_from(random.within(1, 3)).unwrap_or(1);
        // A block of Avro is 64 KiB: objects of several parts need events of that order.
        let large = random.chance(250);
        let unit = if large { 1_000 } else { 1 };
        let longest = if random.chance(200) { 900 } else { 60 } * unit;
        let events: Vec<Vec<NewEvent>> = (0..shards)
            .map(|_| {
                let many = if random.chance(100) { 0 } else { random.size(1, if large { 12 } else { 30 }) };
                (0..many).map(|n| event(&mut random, n, longest.min(150_000))).collect()
            })
            .collect();
        // Drawn apart, so that schedules of before stay what they were.
        let mut apart = Random::new(seed ^ 0x0b7e_7b1e);
        let by_key = apart.chance(350);
        let events = if by_key { events.into_iter().map(|shard| plain(&mut apart, shard)).collect() } else { events };
        let scale = unit as u64;
        // At most some hundred parts in all.
        let all: usize = events.iter().flatten().map(|event| event.payload.len()).sum();
        let part_size = (random.within(1, 120) * scale).max(all as u64 / 100);
        let format = if random.chance(600) { Format::Avro } else { Format::Raw };
        let encoding = encoding(seed, format);
        let longest_shard = events.iter().map(Vec::len).max().unwrap_or_default();
        let placed = placed(seed, encoding, shards);
        let events = if placed.is_some() { events.into_iter().map(keyed).collect() } else { events };
        let (part_bytes, range) = reading(seed, encoding, part_size, longest_shard);
        let lineage = Lineage::draw(seed, encoding, &events);
        let is_plain = lineage.is_none();
        // What goes by itself may go unread, and is no gap then: nobody could tell it from what was trimmed.
        let kept = lineage.as_ref().is_none_or(|lineage| lineage.horizon.is_none());
        Self {
            shards,
            largest: misfits::draw(seed, encoding, &events),
            events,
            encoding,
            part_size,
            object_size: if random.chance(300) {
                random.within(1, part_size).max(all as u64 / 100)
            } else {
                random.within(part_size, part_size.max(900 * scale))
            },
            event_size: (random.within(1, 90) * scale).max(all as u64 / 150),
            read_bytes: random.size(200, 900) * unit,
            read_events: random.size(1, 9),
            append_bytes: (random.size(1, 200) * unit).max(all / 150),
            part_bytes,
            range: range.filter(|_| is_plain),
            parts_at_once: Random::new(seed ^ 0x7a12_2b5e).size(1, 4),
            record_millis: record_millis(seed),
            plan_millis: Random::new(seed ^ 0x91a7_0ff5).chance(600).then(|| Random::new(seed ^ 0x91a7).within(0, 150)),
            found_millis: Random::new(seed ^ 0xf0_07d5).within(0, 300),
            slice_events: random.chance(300).then(|| random.within(1, 12)),
            slice_bytes: random.chance(300).then(|| (random.within(1, 300) * scale).max(all as u64 / 150)),
            fresh_etags: random.chance(500),
            foreign: random.chance(30) && is_plain,
            trims: random.chance(150) && kept,
            cancels: random.chance(50),
            by_key: by_key || !is_plain,
            placed: placed.filter(|_| is_plain),
            lineage,
            order: order(seed).filter(|_| is_plain),
            pace: pace::draw(seed, encoding).filter(|_| is_plain),
            uncounted: apart.chance(300),
            fault_rate: random.within(5, 120),
            faults: u32::try_from(random.within(0, 25)).unwrap_or(0),
        }
    }
}

impl Scenario {
    /// What edits leave of it.
    pub(crate) fn edited(mut self, edits: &Edits) -> Self {
        if edits.make(Simpler::OneShard) {
            self.shards = 1;
            self.events.truncate(1);
            self.lineage.iter_mut().for_each(Lineage::one_shard);
        }
        if let Some(most) = edits.events {
            self.events.iter_mut().for_each(|events| events.truncate(most));
            self.lineage.iter_mut().for_each(|lineage| lineage.truncate(most));
        }
        if edits.make(Simpler::LongSlices) {
            (self.slice_events, self.slice_bytes, self.plan_millis) = (None, None, None);
        }
        if edits.make(Simpler::OnePart) {
            self.parts_at_once = 1;
        }
        if edits.make(Simpler::PromptRecords) {
            self.record_millis = 0;
        }
        if edits.make(Simpler::Whole) {
            self.range = None;
        }
        if edits.make(Simpler::Plain) {
            self.encoding.compression = Compression::Plain;
        }
        if edits.make(Simpler::Unplaced) {
            self.placed = None;
        }
        if edits.make(Simpler::ByKey) {
            self.order = None;
        }
        if edits.make(Simpler::AtOnce) {
            self.pace = None;
        }
        self.largest = self.largest.filter(|_| !edits.make(Simpler::Fitting));
        let kept = edits.make(Simpler::Kept);
        self.lineage.iter_mut().filter(|_| kept).for_each(|lineage| lineage.horizon = None);
        self.fresh_etags &= !edits.make(Simpler::SameEtags);
        self.uncounted &= !edits.make(Simpler::Counted);
        self.trims &= !edits.make(Simpler::Untrimmed);
        self.cancels &= !edits.make(Simpler::Uncancelled);
        self
    }
}

/// All but the events themselves.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |events: &Vec<NewEvent>| events.iter().map(|event| event.payload.len()).collect::<Vec<_>>();
        let payloads: Vec<_> = self.events.iter().map(bytes).collect();
        write!(f, "bytes of payload by shard: {payloads:?}; {:?}", Self { events: Vec::new(), ..self.clone() })
    }
}

/// Half of all that would be plain Avro or raw bytes is something else; drawn apart, as above.
fn encoding(seed: u64, format: Format) -> Encoding {
    let mut apart = Random::new(seed ^ 0x2c0d_ec50);
    let others = Encoding::ALL.into_iter().filter(|one| (one.format == Format::Raw) == (format == Format::Raw));
    let others: Vec<_> = others.filter(|one| !one.is_of_version_1()).collect();
    let plain = Encoding { format, compression: Compression::Plain };
    if apart.chance(500) { others[apart.size(0, others.len() - 1)] } else { plain }
}

/// Another number of shards than the source has, now and then, where events have keys; drawn apart, as above.
fn placed(seed: u64, encoding: Encoding, shards: u32) -> Option<u32> {
    let mut apart = Random::new(seed ^ 0x91ac_ed91);
    let others: Vec<u32> = (1..=4).filter(|count| *count != shards).collect();
    let count = others[apart.size(0, others.len() - 1)];
    (encoding.format != Format::Raw && apart.chance(250)).then_some(count)
}

/// The order that an import asks for, in a half of all; drawn apart, as above.
fn order(seed: u64) -> Option<Order> {
    let orders = [None, None, None, Some(Order::Key), Some(Order::Shard), Some(Order::None), Some(Order::None)];
    orders[Random::new(seed ^ 0x0bde_0bde).size(0, orders.len() - 1)]
}

/// The events, each with a key.
fn keyed(events: Vec<NewEvent>) -> Vec<NewEvent> {
    let with_key = |(n, event): (usize, NewEvent)| match event.key {
        Value::Bytes(ref key) if !key.is_empty() => event,
        _ => NewEvent { key: Value::from(format!("key {}", n % 3).into_bytes()), ..event },
    };
    events.into_iter().enumerate().map(with_key).collect()
}

/// What each shard of a target must come to hold, if keys decide which takes an event.
pub(crate) fn by_hashes(sources: BTreeMap<ShardId, Vec<NewEvent>>, shards: u32) -> BTreeMap<ShardId, Vec<NewEvent>> {
    let ranges = HashRange::equal(u16::try_from(shards).unwrap_or(u16::MAX));
    let all: Vec<NewEvent> = sources.into_values().flatten().collect();
    let of = |range: HashRange| all.iter().filter(move |event| range.contains(key_hash(event.key.as_slice()))).cloned();
    let name = |number: usize| number.to_string().parse().expect("a number is a shard's name");
    ranges.into_iter().enumerate().map(|(number, range)| (name(number), of(range).collect())).collect()
}

/// How an import reads: what it holds of a part, and the range that it takes, where the objects hold positions.
fn reading(seed: u64, encoding: Encoding, part_size: u64, events: usize) -> (u64, Option<(u64, u64)>) {
    let mut apart = Random::new(seed ^ 0x1de4_1de4);
    let part_bytes = if apart.chance(300) { apart.within(1, part_size) } else { u64::MAX };
    let ranged = encoding.format != Format::Raw && apart.chance(300);
    let from = apart.within(0, events as u64 / 2);
    (part_bytes, ranged.then(|| (from, apart.within(from + 1, events as u64 + 1))))
}

/// Records are written at once, or every now and then; drawn apart, as above.
fn record_millis(seed: u64) -> u64 {
    let mut apart = Random::new(seed ^ 0x9ac_e0f3);
    if apart.chance(400) { 0 } else { apart.within(1, 2_000) }
}

/// Nobody is held to them. Exports note what they take of them all the same.
const LIMITS: ShardLimits = ShardLimits { written: 1_000, read: 2_000 };

/// The source of a scenario whose shards are only written to.
fn written(scenario: &Scenario) -> MemoryStream {
    let source = MemoryStream::new();
    now(source.create(scenario.shards)).expect("a new stream can be made");
    for (shard, events) in scenario.events.iter().enumerate() {
        let mut tail = Position::Beginning;
        for event in events {
            let shard = shard.to_string().parse().expect("a number is a shard's name");
            let appended = now(append_once(&source, &shard, None, &tail, std::slice::from_ref(event)));
            let Ok(Appended::Done { tail: next }) = appended else { panic!("{appended:?}") };
            tail = next;
        }
    }
    source
}

/// The stores of a schedule, as they really are.
#[derive(Clone)]
pub(crate) struct Stores {
    pub source: MemoryStream,
    pub target: MemoryStream,
    pub bucket: MemoryBucket,
    pub work: MemoryBucket,
    pub table: MemoryCheckpoints,
    /// The bucket and the table as actors get them: without a guard, if one is taken out.
    seen_bucket: Arc<dyn BucketStore>,
    seen_table: Arc<dyn CheckpointStore>,
    without: Option<Guard>,
    /// Appends to the target that were not answered, where the guard against them is taken out.
    unanswered: Arc<Mutex<Unanswered>>,
}

impl Stores {
    /// The scenario gets the events as the source has them.
    pub(crate) fn new(world: &Arc<World>, scenario: &mut Scenario, without: Option<Guard>) -> Self {
        let source = match &scenario.lineage {
            Some(lineage) => {
                let source = lineage.source(world);
                scenario.events = lineage::events(&source);
                scenario.shards = u32::try_from(scenario.events.len()).unwrap_or(u32::MAX);
                source
            }
            None => written(scenario),
        };
        let target = match &scenario.lineage {
            Some(lineage) => lineage.target(),
            None if scenario.by_key => MemoryStream::by_key(),
            None => MemoryStream::new(),
        };
        let target = scenario.largest.map_or(target.clone(), |largest| target.narrow(largest));
        if let Some(shards) = scenario.placed {
            now(target.create(shards)).expect("a new stream can be made");
        }
        let bucket = MemoryBucket::with(Capabilities { create_only: true, smallest_part: 1, attests_content: false });
        let bucket = if scenario.fresh_etags { bucket.with_fresh_etags() } else { bucket };
        let table = MemoryCheckpoints::new();
        let (plain_bucket, plain_table): (Arc<dyn BucketStore>, Arc<dyn CheckpointStore>) =
            (Arc::new(bucket.clone()), Arc::new(table.clone()));
        Self {
            // A service cannot count, and has limits that readers share.
            source: if scenario.uncounted { source.uncounted().limited(LIMITS) } else { source },
            target,
            bucket,
            work: MemoryBucket::new(),
            table,
            seen_bucket: match without {
                Some(Guard::HeadAfterComplete) => Arc::new(Layered(CredulousBucket::new(plain_bucket))),
                _ => plain_bucket,
            },
            seen_table: match without {
                Some(without @ (Guard::EpochCondition | Guard::ClosingAhead)) => {
                    Arc::new(Layered(LooseCheckpoints { inner: plain_table, without }))
                }
                _ => plain_table,
            },
            without,
            unanswered: Arc::default(),
        }
    }

    /// The engine as an actor has it: behind faults.
    pub(crate) fn engine(&self, world: &Arc<World>, actor: ActorId, scenario: &Scenario) -> Engine {
        let mut target: Arc<dyn StreamStore> =
            Arc::new(Faulty::<dyn StreamStore>::new(world, actor, Arc::new(self.target.clone())));
        if self.without == Some(Guard::Reconcile) {
            target = Arc::new(Layered(BlindStream { inner: target, unanswered: self.unanswered.clone() }));
        }
        let source: Arc<dyn StreamStore> =
            Arc::new(Faulty::<dyn StreamStore>::new(world, actor, Arc::new(self.source.clone())));
        let (source, target) = (loose_source(self.without, source), loose_target(self.without, target));
        let work = Arc::new(Faulty::<dyn BucketStore>::new(world, actor, Arc::new(self.work.clone())));
        let places = ActorPlaces {
            source,
            target,
            bucket: Arc::new(Faulty::<dyn BucketStore>::new(world, actor, self.seen_bucket.clone())),
            work: misfits::loose_work(world, self.without, work),
        };
        Engine {
            checkpoints: Arc::new(Faulty::<dyn CheckpointStore>::new(world, actor, self.seen_table.clone())),
            places: Arc::new(places),
            clock: Arc::new(VirtualClock(world.clone())),
            settings: Settings {
                poll_millis: 100,
                wind_down_millis: 60,
                lease_margin_millis: LEASE_MARGIN_MILLIS,
                // For some shards, with several parts on their way.
                memory_bytes: 16 * (scenario.read_bytes as u64 + scenario.part_size),
                largest_part: u64::MAX,
                parts_at_once: scenario.parts_at_once,
                read_bytes: scenario.read_bytes,
                part_bytes: scenario.part_bytes,
                read_events: scenario.read_events,
                append_bytes: scenario.append_bytes,
                shown_millis: 0,
                lull_millis: LULL_MILLIS,
                creation_millis: 1_000,
                landing_millis: if self.without == Some(Guard::LandingWait) { 0 } else { LANDING_MILLIS },
                longest_stream: 1 << 20,
                record_millis: scenario.record_millis,
                plan_millis: scenario.found_millis,
                read_share: ReadShare::HALF,
                attempts: ATTEMPTS,
                hints: Settings::default().hints,
            },
        }
    }
}

struct ActorPlaces {
    source: Arc<dyn StreamStore>,
    target: Arc<dyn StreamStore>,
    bucket: Arc<dyn BucketStore>,
    work: Arc<dyn BucketStore>,
}

#[async_trait]
impl Places for ActorPlaces {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        match uri.name.as_str() {
            "source" => Ok(self.source.clone()),
            "target" => Ok(self.target.clone()),
            name => Err(Error::new(ErrorKind::NotFound, format!("no stream {name}"))),
        }
    }

    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        match uri.rest.as_str() {
            "archive" => Ok((self.bucket.clone(), String::new())),
            "work" => Ok((self.work.clone(), String::new())),
            rest => Err(Error::new(ErrorKind::NotFound, format!("no bucket {rest}"))),
        }
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        match uri.rest.as_str() {
            "archive" => Ok((self.bucket.clone(), "export".to_owned())),
            rest => Err(Error::new(ErrorKind::NotFound, format!("no bucket {rest}"))),
        }
    }

    fn work(&self) -> BucketUri {
        BucketUri { scheme: "memory".into(), rest: "work".into() }
    }

    fn object(&self, _: &BucketUri, key: &str) -> String {
        key.to_owned()
    }
}

pub(crate) fn export_request(scenario: &Scenario) -> Request {
    Request::Export(ExportRequest {
        format: Some(scenario.encoding.format),
        compression: Some(scenario.encoding.compression),
        object_size: Some(scenario.object_size),
        part_size: Some(scenario.part_size),
        ..ExportRequest::new(
            StreamUri { scheme: "memory".into(), name: "source".into() },
            BucketUri { scheme: "memory".into(), rest: "archive".into() },
        )
    })
}

pub(crate) fn import_request(scenario: &Scenario) -> Request {
    let bound = |number: u64| {
        let shards =
            (0..scenario.shards).map(|shard| (shard.to_string().parse().expect("a shard's name"), before(number)));
        PositionSpec::Cut(Cut(shards.collect()))
    };
    Request::Import(ImportRequest {
        from: scenario.range.map(|(from, _)| bound(from)),
        until: scenario.range.map(|(_, until)| bound(until)),
        order: scenario.order,
        pace: scenario.pace,
        on_misfit: scenario.largest.map(|_| OnMisfit::Store),
        event_size: (scenario.encoding.format == Format::Raw).then_some(scenario.event_size),
        ..ImportRequest::new(
            BucketUri { scheme: "memory".into(), rest: "archive".into() },
            StreamUri { scheme: "memory".into(), name: "target".into() },
        )
    })
}

/// In front of the n-th event.
pub(crate) fn before(n: u64) -> Position {
    Position::before(&Sequence::new(n))
}
