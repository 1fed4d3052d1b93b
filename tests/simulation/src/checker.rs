//! The invariants of the protocol, held against the stores as they really are.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use sluice_memory::{MemoryBucket, now};
use sluice_operations::Report;
use sluice_ports::{BucketStore, CheckpointStore, NewEvent, StreamStore};
use sluice_transfer::limits::SEGMENT_ENTRIES;
use sluice_transfer::manifest::{Document, ExportManifest, ManifestError, ManifestObject, ObjectIndex, Segment, Tiles};
use sluice_transfer::record::{DestinationRecord, Phase, SealedObject, ShardRecord, Work};
use sluice_transfer::{
    Checksum, Compression, Counts, Cursor, Encoding, Format, ObjectKeys, Order, Place, ShardId, State, Timestamp,
    TransferId, Value,
};

use crate::lineage::{Arrivals, FIRST, may_be_gone, number};
use crate::misfits;
use crate::pace::Rhythm;
use crate::scenario::{Scenario, Stores};
use crate::scheduler::Violation;
use crate::world::World;

/// What was last seen of a shard.
struct Seen {
    revision: u64,
    epoch: u64,
    generation: u32,
    sealed: Cursor,
    moved: Counts,
    objects: u64,
}

/// Events of one line must arrive in their order.
type Line = (Option<Value>, Option<Value>);

fn line(order: Order, event: &NewEvent) -> Line {
    match order {
        Order::Shard => (None, None),
        Order::Key => (Some(event.key.clone()), None),
        // Only those that nobody can tell apart.
        Order::None => (Some(event.key.clone()), Some(event.payload.clone())),
    }
}

/// Holds every step against the invariants.
pub(crate) struct Checker {
    world: Arc<World>,
    stores: Stores,
    scenario: Scenario,
    seen: BTreeMap<(TransferId, ShardId), Seen>,
    /// Objects that once existed, by key.
    objects: BTreeMap<String, Bytes>,
    /// What the target must come to hold, by shard; none while there is no import.
    pub expected: Option<BTreeMap<ShardId, Vec<NewEvent>>>,
    arrived: BTreeMap<ShardId, usize>,
    /// The same where keys lead to shards.
    led: Arrivals,
    /// What has not arrived, by shard and line, where not all of the order is kept.
    missing: BTreeMap<ShardId, HashMap<Line, VecDeque<NewEvent>>>,
    rhythm: Rhythm,
    /// The most that a transfer was ever said to have done.
    progress: BTreeMap<TransferId, f64>,
}

impl Checker {
    pub(crate) fn new(world: Arc<World>, stores: Stores, scenario: Scenario) -> Self {
        Self {
            world,
            stores,
            scenario,
            seen: BTreeMap::new(),
            objects: BTreeMap::new(),
            expected: None,
            arrived: BTreeMap::new(),
            led: Arrivals::default(),
            missing: BTreeMap::new(),
            rhythm: Rhythm::default(),
            progress: BTreeMap::new(),
        }
    }

    /// After every step.
    pub(crate) fn step(&mut self, id: &TransferId) -> Result<(), Violation> {
        if !self.world.take_changed() {
            return Ok(());
        }
        let Some(transfer) = now(self.stores.table.transfer(id)).map_err(|error| error.to_string())? else {
            return Ok(());
        };
        for shard in &transfer.shards {
            if let Some(record) = now(self.stores.table.shard(id, shard)).map_err(|error| error.to_string())? {
                self.shard(&record)?;
            }
        }
        self.nothing_overwritten()?;
        if let Some(expected) = &self.expected {
            self.rhythm.step(&transfer, &self.stores.target, expected, self.world.now())?;
        }
        self.target()
    }

    /// Invariants 2, 4 and 13: nothing goes back, nothing passes what is stored, progress stays within the whole.
    fn shard(&mut self, record: &ShardRecord) -> Result<(), Violation> {
        let key = (record.transfer.clone(), record.shard.clone());
        let name = format!("{} shard {}", record.transfer, record.shard);
        let sealed = match &record.work {
            Work::Export(destinations) => destinations.values().next().map(|d| d.sealed.clone()).unwrap_or_default(),
            Work::Import(import) => Cursor::at(import.tail.clone()),
        };
        let now = Seen {
            revision: record.revision,
            epoch: record.epoch,
            generation: record.generation,
            sealed,
            moved: record.moved(),
            objects: record.objects(),
        };
        if let Some(before) = self.seen.get(&key) {
            if before.revision == now.revision {
                return Ok(());
            }
            let back = [
                ("the revision", now.revision < before.revision),
                ("the epoch", now.epoch < before.epoch),
                ("the generation", now.generation < before.generation),
                ("the sealed cursor", now.sealed < before.sealed),
                ("the number of objects", now.objects < before.objects),
                // What was uploaded may be lost with its upload, and then be gone at the source: the last count is
                // exact.
                (
                    "progress",
                    record.gaps() == 0
                        && (now.moved.bytes < before.moved.bytes || now.moved.events < before.moved.events),
                ),
            ];
            if let Some((what, _)) = back.into_iter().find(|(_, back)| *back) {
                return Err(format!("{name}: {what} went back"));
            }
        }
        if let Work::Import(import) = &record.work
            && import.marks.len() > SEGMENT_ENTRIES
        {
            return Err(format!("{name}: {} marks that no segment has", import.marks.len()));
        }
        if let Work::Import(import) = &record.work {
            misfits::stored(&self.stores.work, &record.transfer, &record.shard, import)?;
        }
        if let Work::Export(destinations) = &record.work {
            if record.expected.is_some_and(|all| now.moved.bytes > all.bytes || now.moved.events > all.events) {
                return Err(format!("{name}: progress passed the whole"));
            }
            for destination in destinations.values() {
                self.stored(record, destination).map_err(|what| format!("{name}: {what}"))?;
            }
        }
        self.seen.insert(key, now);
        Ok(())
    }

    /// What the record says is stored is stored.
    fn stored(&self, record: &ShardRecord, destination: &DestinationRecord) -> Result<(), Violation> {
        for object in &destination.unlisted {
            self.object(record, object)?;
        }
        let Phase::Open(upload) = &destination.phase else { return Ok(()) };
        let key = self.key(record, destination.objects, &destination.sealed);
        let parts = now(self.stores.bucket.list_parts(&key, &upload.id)).map_err(|error| error.to_string())?;
        // An upload may be gone: then the next slice begins a new one at the sealed cursor.
        let Some(parts) = parts else { return Ok(()) };
        let mut whole = Checksum::default();
        for number in 1..=upload.parts {
            let Some(part) = parts.get(&number) else {
                return Err(format!("part {number} of {key} is on record and not stored"));
            };
            whole = whole.then(part.checksum);
        }
        if whole != upload.checksum {
            return Err(format!("the parts of {key} that are on record are not those that are stored"));
        }
        Ok(())
    }

    fn object(&self, record: &ShardRecord, object: &SealedObject) -> Result<(), Violation> {
        let key = self.key(record, object.number, &object.from);
        match self.stores.bucket.read(&key) {
            None => Err(format!("{key} is sealed and does not exist")),
            Some(bytes) if Checksum::of(&bytes) != object.checksum => Err(format!("{key} is not what was sealed")),
            Some(_) => Ok(()),
        }
    }

    fn key(&self, record: &ShardRecord, number: u64, from: &Cursor) -> String {
        let relative = ObjectKeys::object(&record.shard, number, &from.position, self.scenario.encoding);
        ObjectKeys::new("", &record.transfer).whole(&relative)
    }

    /// Invariant 5: what exists stays as it is.
    fn nothing_overwritten(&mut self) -> Result<(), Violation> {
        // Only the number of objects tells whether there is anything new; bytes are compared at the end.
        let count = self.stores.bucket.read_all().len();
        if count < self.objects.len() {
            return Err("an object disappeared".into());
        }
        if count > self.objects.len() {
            for (key, bytes) in self.stores.bucket.read_all() {
                self.objects.entry(key).or_insert(bytes);
            }
        }
        Ok(())
    }

    /// Invariant 13, as a person sees it. A cancelled transfer reports what it keeps, which may be less than had moved.
    pub(crate) fn reported(&mut self, report: &Report) -> Result<(), Violation> {
        if report.state == State::Cancelled {
            self.progress.remove(&report.id);
        }
        let Some(now) = report.progress else { return Ok(()) };
        let most = self.progress.entry(report.id.clone()).or_default();
        if now < *most || now > 1.0 {
            return Err(format!("{} says that {now} is done, after {most}", report.id));
        }
        *most = now;
        Ok(())
    }

    /// Invariant 8, for a target that need not keep all of the order: of each line it holds the first events, each once.
    fn target_by_key(&mut self) -> Result<(), Violation> {
        let order = self.scenario.order.unwrap_or_default();
        let of = match order {
            Order::Shard => "shard",
            Order::Key => "key",
            Order::None => "kind",
        };
        for (shard, events) in self.expected.iter().flatten() {
            let missing = match self.missing.entry(shard.clone()) {
                Entry::Occupied(missing) => missing.into_mut(),
                Entry::Vacant(place) => {
                    let mut by_line: HashMap<Line, VecDeque<NewEvent>> = HashMap::new();
                    for event in events {
                        let event = self.stores.target.as_stored(event.clone()).map_err(|error| error.to_string())?;
                        by_line.entry(line(order, &event)).or_default().push_back(event);
                    }
                    place.insert(by_line)
                }
            };
            let arrived = self.arrived.entry(shard.clone()).or_default();
            for (n, event) in self.stores.target.events(shard).into_iter().enumerate().skip(*arrived) {
                let event = NewEvent::from(event);
                if missing.get_mut(&line(order, &event)).and_then(VecDeque::pop_front) != Some(event) {
                    return Err(format!("event {n} of the target's shard {shard} is not the next one of its {of}"));
                }
                *arrived = n + 1;
            }
        }
        Ok(())
    }

    /// Invariant 8: the target is always a beginning of what it must come to hold.
    fn target(&mut self) -> Result<(), Violation> {
        if self.scenario.lineage.is_some() {
            let Some(expected) = &self.expected else { return Ok(()) };
            return self.led.step(&self.stores.target, expected);
        }
        if self.scenario.by_key {
            return self.target_by_key();
        }
        let Some(expected) = &self.expected else { return Ok(()) };
        for (shard, events) in expected {
            let there = self.stores.target.events(shard);
            let arrived = self.arrived.entry(shard.clone()).or_default();
            for (n, event) in there.iter().enumerate().skip(*arrived) {
                let same = events.get(n).is_some_and(|wanted| {
                    (wanted.key == event.key && wanted.headers == event.headers && wanted.payload == event.payload)
                        && (self.scenario.encoding.format == Format::Raw || wanted.time == event.time)
                });
                if !same {
                    return Err(format!("event {n} of the target's shard {shard} is not the one that comes next"));
                }
            }
            *arrived = there.len();
        }
        Ok(())
    }

    /// All objects are as they were when they first existed.
    pub(crate) fn objects_unchanged(&self) -> Result<(), Violation> {
        let there = self.stores.bucket.read_all();
        match self.objects.iter().find(|(key, bytes)| there.get(*key) != Some(bytes)) {
            Some((key, _)) => Err(format!("{key} was overwritten")),
            None => Ok(()),
        }
    }

    /// Invariant 8 at the end: all of it arrived.
    pub(crate) fn all_arrived(&mut self) -> Result<(), Violation> {
        if let (Some(_), Some(expected)) = (&self.scenario.lineage, &self.expected) {
            return self.led.all(&self.stores.target, expected);
        }
        for (shard, events) in self.expected.iter().flatten() {
            let there = self.stores.target.events(shard).len();
            if there != events.len() {
                return Err(format!("shard {shard} of the target holds {there} events instead of {}", events.len()));
            }
        }
        Ok(())
    }
}

/// Invariant 1, from the manifest alone: its objects, decoded in order, and its gaps are the source. Answers what an
/// import of it must bring, by shard.
pub(crate) fn decode(
    bucket: &MemoryBucket,
    root: &str,
    scenario: &Scenario,
    complete: bool,
    now: Timestamp,
) -> Result<BTreeMap<ShardId, Vec<NewEvent>>, Violation> {
    let text = |error: ManifestError| error.to_string();
    let read = |key: &str| bucket.read(key).ok_or_else(|| format!("{key} does not exist"));
    let manifest = ExportManifest::from_bytes(&read(root)?).map_err(text)?;
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut all = BTreeMap::new();
    for shard in &manifest.shards {
        let mut tiles = Tiles::new(shard);
        let mut bytes = Vec::new();
        for number in 1..=shard.segments.count {
            let key = ObjectKeys::segment(&shard.shard, number);
            let document = Segment::<ManifestObject>::from_bytes(&read(&format!("{folder}/{key}"))?);
            for object in document.map_err(text)?.entries {
                tiles.object(shard, &object).map_err(text)?;
                let there = read(&format!("{folder}/{}", object.key))?;
                if Checksum::of(&there) != object.object.checksum {
                    return Err(format!("{} is not what the manifest says", object.key));
                }
                if object.object.parts.is_some() {
                    let key = ObjectKeys::index(&shard.shard, object.object.number);
                    check_index(&read(&format!("{folder}/{key}"))?, &object, &there).map_err(text)?;
                }
                bytes.push(there);
            }
        }
        tiles.finish(shard).map_err(text)?;
        let first = if scenario.lineage.is_some() { FIRST } else { 0 };
        let behind = |n: usize| crate::scenario::before(n as u64 + 1 + first);
        let lost = |n: usize| {
            let position = behind(n);
            shard.gaps.iter().any(|gap| gap.from.position < position && position <= gap.until.position)
        };
        let end = |n: usize| complete || behind(n) <= shard.until.position;
        let gone = |n: usize, event| may_be_gone(scenario.lineage.as_ref(), shard, (n, event), now);
        let source = scenario.events[number(&shard.shard)].iter().enumerate();
        let source = source.filter(|(n, event)| !lost(*n) && end(*n) && !gone(*n, event));
        let (numbers, kept): (Vec<usize>, Vec<&NewEvent>) = source.unzip();
        let wanted = |n: usize| scenario.range.is_none_or(|(from, until)| (from..until).contains(&(n as u64)));
        let events = match scenario.encoding.format {
            Format::Avro | Format::Jsonl => {
                let events = units(scenario.encoding, &bytes, &kept)?.into_iter().zip(numbers);
                events.filter(|(_, n)| wanted(*n)).map(|(event, _)| event).collect()
            }
            Format::Raw => raw(&bytes, &kept, shard, scenario, complete)?,
        };
        all.insert(shard.shard.clone(), events);
    }
    Ok(all)
}

/// The index is the object's, and each of its parts is there as it says.
fn check_index(index: &[u8], listed: &ManifestObject, object: &Bytes) -> Result<(), ManifestError> {
    let index = ObjectIndex::from_bytes(index)?;
    index.check(&listed.object)?;
    for (part, extent) in index.parts.iter().zip(index.extents()) {
        let within = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX).min(object.len());
        if Checksum::of(&object[within(extent.bytes.start)..within(extent.bytes.end)]) != part.checksum {
            let why = format!("the part at byte {} is another", extent.bytes.start);
            return Err(ManifestError::Index { number: index.number, why });
        }
    }
    Ok(())
}

fn units(encoding: Encoding, objects: &[Bytes], kept: &[&NewEvent]) -> Result<Vec<NewEvent>, Violation> {
    let mut events = Vec::new();
    for object in objects {
        let mut decoder = sluice_formats::decoder(encoding).ok_or("it has no decoder")?;
        let first = decoder.head(object).map_err(|error| error.to_string())?;
        decoder.seek(Place { offset: first, within: 0 });
        decoder.feed(object.slice(usize::try_from(first).unwrap_or(0)..));
        while let Some(decoded) = decoder.next().map_err(|error| error.to_string())? {
            events.push(NewEvent {
                time: decoded.time.unwrap_or_default(),
                key: decoded.key,
                headers: decoded.headers,
                payload: decoded.payload,
            });
        }
        decoder.finish().map_err(|error| error.to_string())?;
    }
    if events.iter().ne(kept.iter().copied()) {
        return Err(format!("the objects hold {} events that are not the source's {}", events.len(), kept.len()));
    }
    Ok(events)
}

fn inflated(compression: Compression, objects: &[Bytes]) -> Result<Vec<u8>, Violation> {
    let mut bytes = Vec::new();
    for object in objects {
        let mut inflater = sluice_formats::Inflater::new(compression);
        inflater.feed(object.clone());
        while let Some(piece) = inflater.piece().map_err(|error| error.to_string())? {
            bytes.extend_from_slice(&piece.bytes);
        }
        inflater.finish().map_err(|error| error.to_string())?;
    }
    Ok(bytes)
}

fn raw(
    objects: &[Bytes],
    kept: &[&NewEvent],
    shard: &sluice_transfer::manifest::ShardManifest,
    scenario: &Scenario,
    complete: bool,
) -> Result<Vec<NewEvent>, Violation> {
    let bytes = inflated(scenario.encoding.compression, objects)?;
    let source: Vec<u8> = kept.iter().flat_map(|event| event.payload.as_slice().iter().copied()).collect();
    // A gap, or a cancel, may begin in the middle of an event, whose beginning was sent.
    let cut = !complete || shard.gaps.iter().any(|gap| gap.from.offset > 0);
    if !cut && bytes != source {
        return Err(format!("the objects hold {} bytes that are not the source's {}", bytes.len(), source.len()));
    }
    let size = usize::try_from(scenario.event_size).unwrap_or(1);
    let event = |payload: &[u8]| NewEvent {
        time: Timestamp::default(),
        key: Value::Absent,
        headers: Vec::new(),
        payload: Value::Bytes(Bytes::copy_from_slice(payload)),
    };
    Ok(bytes.chunks(size).map(event).collect())
}
