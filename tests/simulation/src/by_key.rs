//! A target that cannot append conditionally, as an actor sees it.
//!
//! What the protocol asks of the world is modelled, and no more. An append that does not answer leaves of each key any
//! number of its first events, keys interleaved in any order; of a whole shard's order the first events; and where no
//! order is kept any of its events, some of them later than others. It lands at the latest [`LANDING_MILLIS`] after it was
//! sent, and none is sent once the platform has ended the invocation, which is when its lease ends.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use sluice_kit::StreamLayer;
use sluice_ports::{Appended, Error, ErrorKind, NewEvent, Read, ReadLimit, Result, StreamStore, StreamWriter};
use sluice_transfer::{Order, Placement, Position, ShardId, TransferId, Value};

use crate::faulty::{Faulty, FaultyWriter};
use crate::world::{Fault, Sleep, World};

/// So long after it was sent an append lands at the latest.
pub(crate) const LANDING_MILLIS: u64 = 80;

/// The events in an order in which they may arrive: those of one line as they are, lines in any order. Only so many.
fn arriving(world: &World, events: &[NewEvent], many: usize, order: Order) -> Vec<NewEvent> {
    let mut keys: Vec<VecDeque<&NewEvent>> = Vec::new();
    let mut places: HashMap<Option<(&Value, usize)>, usize> = HashMap::new();
    for (number, event) in events.iter().enumerate() {
        let line = match order {
            Order::Shard => None,
            Order::Key => Some((&event.key, 0)),
            Order::None => Some((&event.key, number)),
        };
        let place = *places.entry(line).or_insert_with(|| {
            keys.push(VecDeque::new());
            keys.len() - 1
        });
        keys[place].push_back(event);
    }
    let mut arriving = Vec::with_capacity(many);
    while arriving.len() < many && !keys.is_empty() {
        let chosen = usize::try_from(world.within(0, keys.len() as u64 - 1)).unwrap_or(0);
        match keys[chosen].pop_front() {
            Some(event) => arriving.push(event.clone()),
            None => drop(keys.swap_remove(chosen)),
        }
    }
    arriving
}

/// One append, ready to happen.
struct Append {
    inner: Arc<dyn StreamStore>,
    shard: ShardId,
    fence: Option<TransferId>,
    expected: Position,
    events: Vec<NewEvent>,
    way: (Placement, Order),
}

impl Append {
    /// The append of what was its own events until now, which are these from now on.
    fn again(&mut self, events: Vec<NewEvent>) -> Self {
        let (inner, shard, fence) = (self.inner.clone(), self.shard.clone(), self.fence.clone());
        Self {
            inner,
            shard,
            fence,
            expected: self.expected.clone(),
            events: std::mem::replace(&mut self.events, events),
            way: self.way,
        }
    }

    async fn run(self) -> Result<Appended> {
        let writer = self.inner.writer(&self.shard, self.fence.as_ref()).await?;
        writer.append_ordered(&self.expected, &self.events, self.way).await
    }
}

impl FaultyWriter<'_> {
    pub(crate) async fn append_in_order(
        &self,
        expected: &Position,
        events: &[NewEvent],
        way: (Placement, Order),
    ) -> Result<Appended> {
        let Self { store, shard, fence } = self;
        let name = format!("stream.append by {} {shard} {} events at {expected}", way.1.name(), events.len());
        store.world.pause().await;
        let fault = store.world.draw(true);
        if let Some(Fault::SlowBefore(millis)) = fault {
            Sleep::new(store.world.clone(), millis).await;
        }
        if store.world.is_over(store.actor) {
            store.world.note(|| format!("actor {:<3} {name}: the platform has ended it", store.actor));
            return store.die().await;
        }
        let answered = matches!(fault, None | Some(Fault::SlowBefore(_) | Fault::SlowAfter(_)));
        let most = events.len() as u64;
        let many = usize::try_from(if answered { most } else { store.world.within(0, most) }).unwrap_or(0);
        store.world.note(|| match fault {
            Some(fault) => format!("actor {:<3} {name}  <- {fault:?}, {many} arrive", store.actor),
            None => format!("actor {:<3} {name}", store.actor),
        });
        store.world.touch();
        let mut append = Append {
            inner: store.inner.clone(),
            shard: shard.clone(),
            fence: fence.clone(),
            expected: expected.clone(),
            events: arriving(&store.world, events, many, way.1),
            way,
        };
        match fault {
            None | Some(Fault::SlowBefore(_)) => append.run().await,
            Some(Fault::Before) => Err(Error::new(ErrorKind::Throttled, format!("{name} was refused for now"))),
            Some(Fault::KillBefore) => store.die().await,
            Some(Fault::After) => {
                let _ = append.run().await;
                Faulty::<dyn StreamStore>::lost(&name)
            }
            Some(Fault::KillAfter) => {
                let _ = append.run().await;
                store.die().await
            }
            Some(Fault::SlowAfter(millis)) => {
                let answer = append.run().await;
                Sleep::new(store.world.clone(), millis).await;
                answer
            }
            Some(Fault::Late(millis)) => {
                if way.1 == Order::None {
                    // Several requests are in flight; those that answered do not tell of the others.
                    let soon = usize::try_from(store.world.within(0, many as u64)).unwrap_or(0);
                    let late = append.events.split_off(soon);
                    let _ = append.again(late).run().await;
                }
                let (world, actor) = (store.world.clone(), store.actor);
                let landing = move || {
                    world.note(|| format!("actor {actor:<3} {} events land late", append.events.len()));
                    world.touch();
                    // The stores in memory answer at once.
                    let _ = append.run().now_or_never();
                };
                store.world.later(millis.min(LANDING_MILLIS), Box::new(landing));
                store.world.pause().await;
                Faulty::<dyn StreamStore>::lost(&name)
            }
        }
    }
}

/// Appends that were not answered to whoever made them, by shard: where each was expected to begin.
pub(crate) type Unanswered = HashMap<ShardId, Position>;

/// A guard taken out: whoever looks behind the record's tail after an append that was not answered sees nothing.
#[derive(Clone)]
pub(crate) struct BlindStream {
    pub inner: Arc<dyn StreamStore>,
    pub unanswered: Arc<Mutex<Unanswered>>,
}

impl BlindStream {
    fn unanswered(&self) -> MutexGuard<'_, Unanswered> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StreamLayer for BlindStream {
    fn inner(&self) -> &dyn StreamStore {
        &*self.inner
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        if self.unanswered().get(shard) == Some(from) {
            return Ok(Read::Events { events: Vec::new(), next: from.clone(), at_tail: true, reached: None });
        }
        self.inner.read(shard, from, limit).await
    }

    async fn append(
        &self,
        writer: &dyn StreamWriter,
        shard: &ShardId,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        self.append_ordered(writer, shard, expected, events, (Placement::AsSource, Order::Key)).await
    }

    async fn append_ordered(
        &self,
        writer: &dyn StreamWriter,
        shard: &ShardId,
        expected: &Position,
        events: &[NewEvent],
        way: (Placement, Order),
    ) -> Result<Appended> {
        self.unanswered().insert(shard.clone(), expected.clone());
        let answer = writer.append_ordered(expected, events, way).await?;
        self.unanswered().remove(shard);
        Ok(answer)
    }

    async fn append_by_key(
        &self,
        writer: &dyn StreamWriter,
        shard: &ShardId,
        expected: &Position,
        events: &[NewEvent],
    ) -> Result<Appended> {
        self.unanswered().insert(shard.clone(), expected.clone());
        let answer = writer.append_by_key(expected, events).await?;
        self.unanswered().remove(shard);
        Ok(answer)
    }
}
