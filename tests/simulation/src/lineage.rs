//! Streams as Kinesis has them: keys lead to shards by their hashes, and shards are split and merged. The source was,
//! while it was written; the target is, while it is imported into. The source's horizon may move.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use sluice_memory::{MemoryStream, now};
use sluice_ports::{Appended, NewEvent, StreamAdmin, StreamReader, StreamStore};
use sluice_transfer::manifest::ShardManifest;
use sluice_transfer::{Encoding, Format, Position, Sequence, ShardId, Timestamp, Value, key_hash};

use crate::events::plain;
use crate::random::Random;
use crate::scheduler::Violation;
use crate::world::{VirtualClock, World};

/// Shards that the target has when the import begins, at most.
const TARGETS: u64 = 4;

/// The number of a shard's first event, where keys lead to shards.
pub(crate) const FIRST: u64 = 1;

/// How the source came to be, and the target's shards.
#[derive(Clone)]
pub(crate) struct Lineage {
    /// Shards that the source begins with.
    shards: u32,
    steps: Vec<Step>,
    /// Shards that the target is made with, and what was changed before the import.
    target: u32,
    changes: Vec<Change>,
    pub horizon: Option<Horizon>,
}

/// A source whose events go after a while. All in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon {
    /// Between two events.
    every: u64,
    /// So long an event is kept.
    retention: u64,
    /// How far a read comes in silence.
    stride: u64,
}

#[derive(Clone)]
enum Step {
    Event(NewEvent),
    Change(Change),
}

/// A change of the open shards, by their place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Split(usize),
    Merge(usize),
}

impl Change {
    fn draw(random: &mut Random) -> Self {
        let place = random.size(0, 7);
        if random.chance(600) { Self::Split(place) } else { Self::Merge(place) }
    }

    /// From what the world draws.
    fn of(world: &World) -> Self {
        let place = usize::try_from(world.within(0, 7)).unwrap_or(0);
        if world.chance(600) { Self::Split(place) } else { Self::Merge(place) }
    }

    /// Makes it, as far as there are such shards.
    fn make(self, stream: &MemoryStream) {
        let open = stream.open_shards();
        let _ = match self {
            Self::Split(place) => stream.split(&open[place % open.len()].0).map(drop),
            Self::Merge(_) if open.len() < 2 => Ok(()),
            Self::Merge(place) => {
                let low = place % (open.len() - 1);
                stream.merge(&open[low].0, &open[low + 1].0).map(drop)
            }
        };
    }
}

/// All but the events.
impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut changes = Vec::new();
        for (events, step) in self.steps.iter().enumerate() {
            if let Step::Change(change) = step {
                changes.push((events - changes.len(), change));
            }
        }
        f.debug_struct("Lineage")
            .field("shards", &self.shards)
            .field("changes_behind", &changes)
            .field("target", &self.target)
            .field("changes", &self.changes)
            .field("horizon", &self.horizon)
            .finish()
    }
}

impl Lineage {
    /// For one in four schedules whose events have keys; drawn apart, so that schedules of before stay what they were.
    pub(crate) fn draw(seed: u64, encoding: Encoding, events: &[Vec<NewEvent>]) -> Option<Self> {
        let mut random = Random::new(seed ^ 0x11ea_6e00);
        if encoding.format == Format::Raw || !random.chance(250) {
            return None;
        }
        let keys = random.within(1, 12);
        let many = random.within(20, 120);
        let all = plain(&mut random, events.iter().flatten().cloned().collect());
        let mut steps = Vec::new();
        for event in all {
            if random.chance(many) {
                steps.push(Step::Change(Change::draw(&mut random)));
            }
            let key = Value::from(format!("key {}", random.within(1, keys)).into_bytes());
            steps.push(Step::Event(NewEvent { key, ..event }));
        }
        let horizon = random.chance(400).then(|| Horizon {
            every: random.within(1, 400),
            retention: random.within(1_000, 60_000),
            stride: random.within(50, 20_000),
        });
        let shards = u32::try_from(random.within(1, 3)).unwrap_or(1);
        let target = u32::try_from(random.within(1, TARGETS)).unwrap_or(1);
        let changes = (0..random.size(0, 3)).map(|_| Change::draw(&mut random)).collect();
        Some(Self { shards, steps, target, changes, horizon })
    }

    /// With `most` events at most.
    pub(crate) fn truncate(&mut self, most: usize) {
        let mut left = most;
        self.steps.retain(|step| match step {
            Step::Event(_) if left == 0 => false,
            Step::Event(_) => {
                left -= 1;
                true
            }
            Step::Change(_) => true,
        });
    }

    /// Of one shard each, which stay.
    pub(crate) fn one_shard(&mut self) {
        (self.shards, self.target) = (1, 1);
        self.changes.clear();
        self.steps.retain(|step| matches!(step, Step::Event(_)));
    }

    /// The source, written.
    pub(crate) fn source(&self, world: &Arc<World>) -> MemoryStream {
        let source = MemoryStream::new().hashed();
        let source = match self.horizon {
            Some(Horizon { retention, stride, .. }) => {
                source.by_arrival(Arc::new(VirtualClock(world.clone())), retention, stride)
            }
            None => source,
        };
        now(source.create(self.shards)).expect("a new stream can be made");
        let first = "0".parse().expect("a number is a shard's name");
        for step in &self.steps {
            match step {
                Step::Change(change) => change.make(&source),
                Step::Event(event) => {
                    let events = std::slice::from_ref(event);
                    let writer = now(source.writer(&first, None)).expect("a store in memory opens a writer");
                    let appended = now(writer.append_by_key(&Position::Beginning, events));
                    let stored = matches!(appended, Ok(Appended::Done { .. } | Appended::Spread { .. }));
                    assert!(stored, "{appended:?}");
                }
            }
            world.pass(self.horizon.map_or(0, |horizon| horizon.every));
        }
        source
    }

    /// The target, empty.
    pub(crate) fn target(&self) -> MemoryStream {
        let target = MemoryStream::by_key().hashed();
        now(target.create(self.target)).expect("a new stream can be made");
        self.changes.iter().for_each(|change| change.make(&target));
        target
    }
}

/// Draws whether somebody splits or merges shards of a stream soon, whatever is under way.
pub(crate) fn reshards(world: &Arc<World>, stream: &MemoryStream) -> bool {
    if !world.happens(150) {
        return false;
    }
    let (change, wait) = (Change::of(world), world.within(0, 1_500));
    world.note(|| format!("in {wait} ms somebody makes a {change:?} of shards"));
    let (then, stream) = (world.clone(), stream.clone());
    let made = move || {
        then.note(|| format!("a {change:?} of shards"));
        then.touch();
        change.make(&stream);
    };
    world.then(wait, Box::new(made));
    true
}

/// The shards of a stream by their numbers, so that parents come before children.
fn by_number(stream: &MemoryStream) -> Vec<sluice_ports::ShardInfo> {
    let mut shards = now(stream.describe()).map(|info| info.shards).unwrap_or_default();
    shards.sort_by_key(|info| number(&info.shard));
    shards
}

pub(crate) fn number(shard: &ShardId) -> usize {
    shard.as_str().parse().expect("shards in memory have numbers")
}

/// All events of a stream, by shard.
pub(crate) fn events(stream: &MemoryStream) -> Vec<Vec<NewEvent>> {
    let of = |shard: &ShardId| stream.events(shard).into_iter().map(NewEvent::from).collect();
    by_number(stream).iter().map(|info| of(&info.shard)).collect()
}

/// What a target must come to hold whose keys lead to shards, and what of it has arrived.
#[derive(Default)]
pub(crate) struct Arrivals {
    /// What has not arrived, by key.
    missing: Option<HashMap<Value, VecDeque<NewEvent>>>,
    arrived: BTreeMap<ShardId, usize>,
}

impl Arrivals {
    /// Of each key the target holds the first events, each once, parents before children; and each stands in a shard
    /// that its key leads to.
    pub(crate) fn step(
        &mut self,
        target: &MemoryStream,
        expected: &BTreeMap<ShardId, Vec<NewEvent>>,
    ) -> Result<(), Violation> {
        let missing = match &mut self.missing {
            Some(missing) => missing,
            none => none.insert(by_key(target, expected)?),
        };
        for info in by_number(target) {
            let shard = info.shard;
            let arrived = self.arrived.entry(shard.clone()).or_default();
            for (n, event) in target.events(&shard).into_iter().enumerate().skip(*arrived) {
                let event = NewEvent::from(event);
                if info.hashes.is_some_and(|hashes| !hashes.contains(key_hash(event.key.as_slice()))) {
                    return Err(format!("event {n} of the target's shard {shard} stands where its key does not lead"));
                }
                if missing.get_mut(&event.key).and_then(VecDeque::pop_front) != Some(event) {
                    return Err(format!("event {n} of the target's shard {shard} is not the next one of its key"));
                }
                *arrived = n + 1;
            }
        }
        Ok(())
    }

    /// All of it is there.
    pub(crate) fn all(
        &mut self,
        target: &MemoryStream,
        expected: &BTreeMap<ShardId, Vec<NewEvent>>,
    ) -> Result<(), Violation> {
        self.step(target, expected)?;
        let missing: usize = self.missing.iter().flat_map(HashMap::values).map(VecDeque::len).sum();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} events have not arrived in the target")) }
    }
}

fn by_key(
    target: &MemoryStream,
    expected: &BTreeMap<ShardId, Vec<NewEvent>>,
) -> Result<HashMap<Value, VecDeque<NewEvent>>, Violation> {
    let mut shards: Vec<_> = expected.iter().collect();
    shards.sort_by_key(|(shard, _)| number(shard));
    let mut keys: HashMap<Value, VecDeque<NewEvent>> = HashMap::new();
    for event in shards.into_iter().flat_map(|(_, events)| events) {
        let event = target.as_stored(event.clone()).map_err(|error| error.to_string())?;
        keys.entry(event.key.clone()).or_default().push_back(event);
    }
    Ok(keys)
}

/// True if the horizon may have passed the event of that number before the shard was read up to it: nobody named it,
/// and nobody had read it. The shard's range begins behind it then. If all events were gone, the range says nothing.
pub(crate) fn may_be_gone(
    lineage: Option<&Lineage>,
    shard: &ShardManifest,
    (n, event): (usize, &NewEvent),
    now: Timestamp,
) -> bool {
    let Some(horizon) = lineage.and_then(|lineage| lineage.horizon) else { return false };
    let in_front = shard.began.is_none() || shard.from.position.covers(&Sequence::new(n as u64 + FIRST));
    in_front && event.time.plus_millis(horizon.retention) <= now
}
