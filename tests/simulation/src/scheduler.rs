//! Runs actors one poll at a time, in an order drawn from the seed.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::world::{ActorId, World};

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Actor {
    id: ActorId,
    future: Pin<Box<dyn Future<Output = ()>>>,
    flag: Arc<Flag>,
}

/// How it ended for the actor that was waited for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended<T> {
    /// It answered.
    Answered(T),
    /// It died.
    Died,
    /// It was left behind, alive.
    LeftBehind,
}

/// The actors of a schedule. Those left behind go on beside the others.
pub(crate) struct Scheduler {
    world: Arc<World>,
    actors: Vec<Actor>,
    next: ActorId,
}

/// Something does not go on any more, or an invariant does not hold.
pub(crate) type Violation = String;

impl Scheduler {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world, actors: Vec::new(), next: 1 }
    }

    pub(crate) fn next_id(&mut self) -> ActorId {
        self.next += 1;
        self.next
    }

    /// Whether an actor was left behind and has not come to its end.
    pub(crate) fn lives(&self, id: ActorId) -> bool {
        self.actors.iter().any(|actor| actor.id == id)
    }

    /// Whether nobody was left behind.
    pub(crate) fn is_alone(&self) -> bool {
        self.actors.is_empty()
    }

    /// Runs an actor, and those left behind beside it. After `patience` polls it is left behind itself. `check` is
    /// asked after every poll.
    pub(crate) fn run<T: 'static>(
        &mut self,
        id: ActorId,
        future: impl Future<Output = T> + 'static,
        mut patience: Option<u64>,
        check: &mut dyn FnMut() -> Result<(), Violation>,
    ) -> Result<Ended<T>, Violation> {
        let answer = Arc::new(Mutex::new(None));
        let slot = answer.clone();
        let future = Box::pin(async move {
            let value = future.await;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        });
        self.actors.push(Actor { id, future, flag: Arc::new(Flag(AtomicBool::new(true))) });
        loop {
            self.step(id, check)?;
            if let Some(value) = answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Ok(Ended::Answered(value));
            }
            if !self.actors.iter().any(|actor| actor.id == id) {
                return Ok(Ended::Died);
            }
            if let Some(patience) = &mut patience {
                if *patience == 0 {
                    return Ok(Ended::LeftBehind);
                }
                *patience -= 1;
            }
        }
    }

    /// Lets all that were left behind come to their ends.
    pub(crate) fn drain(&mut self, check: &mut dyn FnMut() -> Result<(), Violation>) -> Result<(), Violation> {
        while let Some(actor) = self.actors.first() {
            let id = actor.id;
            self.step(id, check)?;
        }
        // What was still to land lands.
        while self.world.advance() {
            self.world.land();
            check()?;
        }
        Ok(())
    }

    /// One poll of one actor that can go on.
    fn step(&mut self, favoured: ActorId, check: &mut dyn FnMut() -> Result<(), Violation>) -> Result<(), Violation> {
        loop {
            if self.world.land() {
                check()?;
            }
            let ready: Vec<usize> =
                (0..self.actors.len()).filter(|i| self.actors[*i].flag.0.load(Ordering::Relaxed)).collect();
            if ready.is_empty() {
                if self.world.advance() {
                    continue;
                }
                return Err("nobody can go on and nobody waits for the clock".into());
            }
            let chosen = match ready.iter().find(|i| self.actors[**i].id == favoured) {
                Some(index) if self.world.chance(600) => *index,
                _ => ready[usize::try_from(self.world.within(0, ready.len() as u64 - 1)).unwrap_or(0)],
            };
            let actor = &mut self.actors[chosen];
            actor.flag.0.store(false, Ordering::Relaxed);
            let waker = Waker::from(actor.flag.clone());
            let done = matches!(actor.future.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(()));
            if done || self.world.is_dead(actor.id) {
                // Dropped where it stands: nothing of it runs on.
                drop(self.actors.remove(chosen));
            }
            return check();
        }
    }
}
