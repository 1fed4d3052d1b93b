//! What all actors of a schedule share: the clock, chance, faults that are still to come, calls that land late, and
//! the trace.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use sluice_ports::Clock;
use sluice_transfer::Timestamp;

use crate::random::Random;
use crate::shrink::{Edits, Simpler};

/// Names an actor: a slice, a settling, a finishing.
pub(crate) type ActorId = u64;

/// What befalls a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does not happen; the store says try again.
    Before,
    /// It happens; the answer is lost.
    After,
    /// It happens late, maybe past the deadline.
    SlowBefore(u64),
    /// It happens, the answer comes late, maybe past the deadline.
    SlowAfter(u64),
    /// The caller is told that nobody knows; it happens this much later.
    Late(u64),
    /// It does not happen, and its actor dies.
    KillBefore,
    /// It happens, and its actor dies.
    KillAfter,
}

/// Calls that an engine makes before it gives up.
pub(crate) const ATTEMPTS: u32 = 3;

type LateCall = Box<dyn FnOnce() + Send>;

pub(crate) struct World {
    inner: Mutex<Inner>,
}

struct Inner {
    now: Timestamp,
    random: Random,
    /// Chance of a fault for each call, in a thousand.
    fault_rate: u64,
    /// Faults that are still to come: with finitely many every transfer ends.
    faults_left: u32,
    /// Parts that are refused so many times more.
    refused: BTreeMap<(String, u64), u32>,
    timers: BTreeMap<(Timestamp, u64), Waker>,
    late: BTreeMap<(Timestamp, u64), LateCall>,
    /// Those of them that nobody was told of: they do not count as landed.
    untold: BTreeSet<u64>,
    next: u64,
    dead: BTreeSet<ActorId>,
    /// When the platform ends an actor.
    ends: BTreeMap<ActorId, Timestamp>,
    trace: Option<Vec<String>>,
    /// What is taken away from the schedule.
    edits: Edits,
    /// Happenings so far, those that were left out included.
    happenings: u64,
    steps: u64,
    /// Calls that landed late.
    landed: u64,
    /// Whether a store may have changed since that was last asked.
    changed: bool,
}

impl Inner {
    /// True if a happening happens that was drawn: it has a number, by which it can be left out.
    fn happens(&mut self) -> bool {
        let number = self.happenings;
        self.happenings += 1;
        !self.edits.leave_out(number)
    }
}

impl World {
    pub(crate) fn new(seed: u64, traced: bool, edits: Edits) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                now: Timestamp::from_millis(1_700_000_000_000),
                random: Random::new(edits.draw.map_or(seed, |draw| seed ^ draw.rotate_right(20))),
                fault_rate: 0,
                faults_left: 0,
                refused: BTreeMap::new(),
                timers: BTreeMap::new(),
                late: BTreeMap::new(),
                untold: BTreeSet::new(),
                next: 0,
                dead: BTreeSet::new(),
                ends: BTreeMap::new(),
                trace: traced.then(Vec::new),
                edits,
                happenings: 0,
                steps: 0,
                landed: 0,
                changed: true,
            }),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner().now
    }

    pub(crate) fn chance(&self, in_a_thousand: u64) -> bool {
        self.inner().random.chance(in_a_thousand)
    }

    /// Draws whether something happens that can be left out.
    pub(crate) fn happens(&self, in_a_thousand: u64) -> bool {
        let mut inner = self.inner();
        inner.random.chance(in_a_thousand) && inner.happens()
    }

    /// Happenings so far, those that were left out included.
    pub(crate) fn happenings(&self) -> u64 {
        self.inner().happenings
    }

    pub(crate) fn within(&self, low: u64, high: u64) -> u64 {
        self.inner().random.within(low, high)
    }

    pub(crate) fn arm(&self, fault_rate: u64, faults: u32) {
        let mut inner = self.inner();
        (inner.fault_rate, inner.faults_left) = (fault_rate, faults);
    }

    /// Faults that have not come yet.
    pub(crate) fn faults_left(&self) -> u32 {
        self.inner().faults_left
    }

    pub(crate) fn steps(&self) -> u64 {
        self.inner().steps
    }

    /// Calls that landed late.
    pub(crate) fn landed(&self) -> u64 {
        self.inner().landed
    }

    /// A store may have changed.
    pub(crate) fn touch(&self) {
        self.inner().changed = true;
    }

    /// Whether a store may have changed since this was last asked.
    pub(crate) fn take_changed(&self) -> bool {
        std::mem::take(&mut self.inner().changed)
    }

    /// Adds a line to the trace, if there is one.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        let mut inner = self.inner();
        let now = inner.now;
        if let Some(trace) = &mut inner.trace {
            trace.push(format!("{:>9} ms  {}", now.millis_since(Timestamp::from_millis(1_700_000_000_000)), line()));
        }
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        self.inner().trace.take().unwrap_or_default()
    }

    /// Draws what befalls a call. Reads cannot happen late.
    pub(crate) fn draw(&self, writes: bool) -> Option<Fault> {
        let mut inner = self.inner();
        inner.steps += 1;
        let rate = inner.fault_rate;
        if inner.faults_left == 0 || !inner.random.chance(rate) {
            return None;
        }
        inner.faults_left -= 1;
        let wait = if inner.random.chance(500) { inner.random.within(1, 200) } else { inner.random.within(200, 6_000) };
        let fault = match inner.random.within(0, if writes { 9 } else { 4 }) {
            0 => Fault::Before,
            1 => Fault::SlowBefore(wait),
            2 => Fault::SlowAfter(wait),
            3 | 4 => Fault::KillBefore,
            5 | 6 => Fault::After,
            7 => Fault::Late(wait),
            _ => Fault::KillAfter,
        };
        inner.happens().then_some(fault)
    }

    /// Whether a part of an upload is refused for now: one that is, so often that its slice gives up, while those that
    /// were sent behind it may be stored.
    pub(crate) fn refuses(&self, upload: &str, number: u64) -> bool {
        let mut inner = self.inner();
        let part = (upload.to_owned(), number);
        let left = match inner.refused.remove(&part) {
            Some(left) => left,
            None if inner.faults_left > 0 && inner.random.chance(10) => {
                inner.faults_left -= 1;
                if inner.happens() { ATTEMPTS } else { 0 }
            }
            None => 0,
        };
        if left > 1 {
            inner.refused.insert(part, left - 1);
        }
        left > 0
    }

    /// A call that happens after its caller was told that nobody knows.
    pub(crate) fn later(&self, millis: u64, call: LateCall) {
        let mut inner = self.inner();
        let due = inner.now.plus_millis(millis);
        inner.next += 1;
        let key = (due, inner.next);
        inner.late.insert(key, call);
    }

    /// What happens by itself so much later.
    pub(crate) fn then(&self, millis: u64, what: LateCall) {
        let mut inner = self.inner();
        let due = inner.now.plus_millis(millis);
        inner.next += 1;
        let number = inner.next;
        inner.untold.insert(number);
        inner.late.insert((due, number), what);
    }

    pub(crate) fn kill(&self, actor: ActorId) {
        self.inner().dead.insert(actor);
    }

    /// The platform ends an actor then, whatever it does.
    pub(crate) fn end_at(&self, actor: ActorId, at: Timestamp) {
        self.inner().ends.insert(actor, at);
    }

    /// Whether the platform has ended an actor.
    pub(crate) fn is_over(&self, actor: ActorId) -> bool {
        let inner = self.inner();
        inner.ends.get(&actor).is_some_and(|at| *at <= inner.now)
    }

    pub(crate) fn is_dead(&self, actor: ActorId) -> bool {
        self.inner().dead.contains(&actor)
    }

    /// Lets calls land that are due. Answers whether any did.
    pub(crate) fn land(&self) -> bool {
        let mut any = false;
        loop {
            let call = {
                let mut inner = self.inner();
                let now = inner.now;
                match inner.late.first_key_value() {
                    Some((key, _)) if key.0 <= now => {
                        inner.late.pop_first().map(|((_, number), call)| (inner.untold.remove(&number), call))
                    }
                    _ => None,
                }
            };
            let Some((untold, call)) = call else { return any };
            call();
            self.inner().landed += u64::from(!untold);
            any = true;
        }
    }

    /// Moves the clock to the next thing that waits for it. Answers whether there is any.
    pub(crate) fn advance(&self) -> bool {
        let mut inner = self.inner();
        let timer = inner.timers.first_key_value().map(|(key, _)| key.0);
        let late = inner.late.first_key_value().map(|(key, _)| key.0);
        let Some(next) = timer.into_iter().chain(late).min() else { return false };
        inner.now = inner.now.max(next);
        let now = inner.now;
        while let Some((key, _)) = inner.timers.first_key_value()
            && key.0 <= now
        {
            if let Some((_, waker)) = inner.timers.pop_first() {
                waker.wake();
            }
        }
        true
    }

    /// Moves the clock, whoever waits.
    pub(crate) fn pass(&self, millis: u64) {
        let mut inner = self.inner();
        inner.now = inner.now.plus_millis(millis);
    }

    /// Where other actors may go first, some time later.
    pub(crate) async fn pause(self: &Arc<Self>) {
        let millis = {
            let mut inner = self.inner();
            let millis = if inner.random.chance(700) { 0 } else { inner.random.within(1, 30) };
            if inner.edits.make(Simpler::Calm) { 0 } else { millis }
        };
        if millis == 0 { Yield(false).await } else { Sleep::new(self.clone(), millis).await }
    }
}

/// The clock that actors hold.
pub(crate) struct VirtualClock(pub Arc<World>);

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep(&self, millis: u64) {
        Sleep::new(self.0.clone(), millis).await;
    }
}

struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Waits for the virtual clock.
pub(crate) struct Sleep {
    world: Arc<World>,
    due: Timestamp,
    key: Option<(Timestamp, u64)>,
}

impl Sleep {
    pub(crate) fn new(world: Arc<World>, millis: u64) -> Self {
        let due = world.now().plus_millis(millis);
        Self { world, due, key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let world = self.world.clone();
        let mut inner = world.inner();
        if inner.now >= self.due {
            return Poll::Ready(());
        }
        let key = self.key.unwrap_or_else(|| {
            inner.next += 1;
            (self.due, inner.next)
        });
        self.key = Some(key);
        inner.timers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.world.inner().timers.remove(&key);
        }
    }
}
