//! One slice: what bounds it, and what it asks before going on.

use std::sync::{Arc, Mutex};

use sluice_ports::{CheckpointStore, Places};
use sluice_transfer::record::{Proof, TransferRecord};
use sluice_transfer::{Budget, Counts, Remaining, ShardId, Throttle, Timestamp, TransferId, Wanted};
use tracing::{Span, field};

use crate::engine::Engine;
use crate::error::Stop;
use crate::stores::{Deadline, Patience};

/// What a host tells a slice.
#[derive(Clone, Debug)]
pub struct SliceOrder {
    /// The transfer.
    pub id: TransferId,
    /// Shards to work on; empty for all of the transfer's.
    pub lane: Vec<ShardId>,
    /// Names this invocation, unlike any other.
    pub slice: String,
    /// Its bounds.
    pub budget: Budget,
    /// What the host knows of the owners before.
    pub proof: Proof,
}

/// What shards are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To move events: a slice proper.
    Move,
    /// To bring them to rest. Closes them for slices of this generation that are late, and is never shut out itself.
    Rest,
    /// To check what arrived.
    Check,
}

/// So long a deadline is put off at once, in milliseconds.
const EXTENSION_MILLIS: u64 = 60_000;

/// A slice at work. Shared by all shards of its lane.
pub(crate) struct Slice<'a> {
    pub engine: &'a Engine,
    pub order: &'a SliceOrder,
    pub generation: u32,
    pub purpose: Purpose,
    /// The records, until the deadline.
    pub checkpoints: Arc<dyn CheckpointStore>,
    /// Streams and buckets by name, until the deadline: those that it opens as well.
    pub places: Arc<dyn Places>,
    /// How long this slice waits for stores, and for anything else.
    pub patience: Patience,
    deadline: Deadline,
    shared: Mutex<Shared>,
}

struct Shared {
    spent: Counts,
    /// Whether a record was written by which a shard is further than before.
    moved: bool,
    /// This slice's part of the transfer's rate: so many shards of so many.
    portion: (u64, u64),
    rate: Option<u64>,
    throttle: Option<Throttle>,
    wanted: Wanted,
    asked_at: Option<Timestamp>,
}

impl Shared {
    /// Limits the slice, from now on, to its part of this many bytes a second; none for no limit.
    fn limit(&mut self, rate: Option<u64>, now: Timestamp) {
        let (own, all) = self.portion;
        let part = |rate: u64| u64::try_from(u128::from(rate) * u128::from(own) / u128::from(all.max(1)));
        let rate = rate.map(|rate| part(rate).unwrap_or(u64::MAX).max(1));
        if self.rate == rate {
            return;
        }
        self.rate = rate;
        match (&mut self.throttle, rate) {
            (Some(throttle), Some(rate)) => throttle.set_rate(rate, now),
            (throttle, rate) => *throttle = rate.map(|rate| Throttle::new(rate, now)),
        }
    }
}

impl<'a> Slice<'a> {
    pub(crate) fn new(engine: &'a Engine, order: &'a SliceOrder, transfer: &TransferRecord, rate: Option<u64>) -> Self {
        // The host's span has a field for it.
        Span::current().record("generation", transfer.generation);
        let now = engine.clock.now();
        let deadline = Deadline::new(order.budget.deadline);
        let patience = engine.patience(Some(deadline.clone()));
        Self {
            checkpoints: patience.over(engine.checkpoints.clone()),
            places: patience.over(engine.places.clone()),
            patience,
            deadline,
            engine,
            order,
            generation: transfer.generation,
            purpose: Purpose::Move,
            shared: Mutex::new(Shared {
                spent: Counts::default(),
                moved: false,
                portion: (1, 1),
                rate,
                throttle: rate.map(|rate| Throttle::new(rate, now)),
                wanted: transfer.wanted,
                asked_at: Some(now),
            }),
        }
    }

    /// For something else than moving events.
    pub(crate) fn with_purpose(
        engine: &'a Engine,
        order: &'a SliceOrder,
        transfer: &TransferRecord,
        purpose: Purpose,
    ) -> Self {
        Self { purpose, ..Self::new(engine, order, transfer, None) }
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        // A panic elsewhere leaves nothing half-done in here.
        self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// When it must be over.
    fn deadline(&self) -> Timestamp {
        self.deadline.at()
    }

    /// Puts the deadline off, for work that cannot be left off. Only where no other host may take over.
    pub(crate) fn extend(&self) {
        self.deadline.extend(EXTENSION_MILLIS + self.engine.settings.wind_down_millis);
    }

    /// When the lease of what this slice claims ends.
    pub(crate) fn lease_until(&self) -> Timestamp {
        self.deadline().plus_millis(self.engine.settings.lease_margin_millis)
    }

    /// Milliseconds until the slice winds down.
    pub(crate) fn millis_left(&self) -> u64 {
        self.deadline().minus_millis(self.engine.settings.wind_down_millis).millis_since(self.engine.clock.now())
    }

    /// Whether there is time to begin something.
    pub(crate) fn has_time(&self) -> bool {
        self.has_time_for(0)
    }

    /// Whether there is time to begin something that takes this many milliseconds.
    pub(crate) fn has_time_for(&self, millis: u64) -> bool {
        let needed = self.engine.settings.wind_down_millis.saturating_add(millis);
        self.engine.clock.now().plus_millis(needed) < self.deadline()
    }

    /// What is left of the budget, the deadline aside.
    pub(crate) fn remaining(&self) -> Remaining {
        let spent = self.shared().spent;
        self.order.budget.remaining(spent)
    }

    /// Counts what was read or written, and waits as the rate demands, as long as there is time.
    pub(crate) async fn count_and_wait(&self, counts: Counts) {
        let now = self.engine.clock.now();
        let mark = {
            let mut shared = self.shared();
            shared.spent += counts;
            shared.throttle.as_mut().map(|throttle| throttle.take(counts.bytes, now))
        };
        if let Some(mark) = mark {
            self.wait_for(mark, || self.has_time()).await;
        }
    }

    /// Waits until the rate has paid for all up to the mark; in short steps, so that a pause and another rate are seen
    /// in time.
    async fn wait_for(&self, mark: u128, may_wait: impl Fn() -> bool) {
        loop {
            let now = self.engine.clock.now();
            // A rate that was lifted and set again counts from the beginning.
            let owed = |throttle: &mut Throttle| throttle.wait(mark.min(throttle.taken()), now);
            let wait = self.shared().throttle.as_mut().map_or(0, owed);
            if wait == 0 || !may_wait() || !self.wanted().await.is_ok_and(|wanted| wanted == Wanted::Running) {
                return;
            }
            let left = self.deadline().millis_since(now).max(1);
            self.engine.clock.sleep(wait.min(self.engine.settings.poll_millis.clamp(1, 1_000)).min(left)).await;
        }
    }

    /// The transfer's rate is that of all its lanes together: this slice gets the part of its own shards that are not
    /// through. Of all shards it is known how many were not through when the transfer was settled, before any lane that
    /// runs now, so the parts add up to no more than the whole.
    pub(crate) fn divide_rate(&self, transfer: &TransferRecord, own: usize) {
        if self.order.lane.is_empty() {
            return;
        }
        let (own, now) = (own as u64, self.engine.clock.now());
        let mut shared = self.shared();
        shared.portion = (own, transfer.totals.left.unwrap_or(transfer.shards.len() as u64).max(own));
        shared.limit(transfer.rate(), now);
    }

    /// Whether another shard may be taken.
    pub(crate) fn has_room(&self) -> bool {
        self.has_time() && self.remaining() != Remaining::Exhausted
    }

    /// What is on record by now brings a shard further.
    pub(crate) fn note_movement(&self) {
        self.shared().moved = true;
    }

    /// Whether anything that is on record brought a shard further.
    pub(crate) fn has_moved(&self) -> bool {
        self.shared().moved
    }

    /// Whether it waits between reads or appends, so as not to be faster than was asked for.
    pub(crate) fn is_rated(&self) -> bool {
        self.shared().rate.is_some()
    }

    /// Bytes that may be read or sent at once: under a rate no more than a part of a second's worth.
    pub(crate) fn at_once(&self, most: usize) -> usize {
        self.in_a_second(most, 4)
    }

    /// As [`Self::at_once`], of a store that is called about once a second.
    pub(crate) fn at_a_call(&self, most: usize) -> usize {
        self.in_a_second(most, 1)
    }

    /// Bytes of one of this many calls in a second.
    fn in_a_second(&self, most: usize, calls: u64) -> usize {
        let part = |rate: u64| usize::try_from(rate / calls).unwrap_or(usize::MAX).max(1);
        self.shared().rate.map_or(most, |rate| most.min(part(rate)))
    }

    /// At a slice's end, waits for what the rate still owes, so that short slices are no faster than long ones. What is
    /// owed when a transfer is to come to rest is let go: nothing follows.
    pub(crate) async fn wait_for_rate(&self) {
        let mark = self.shared().throttle.as_ref().map(Throttle::taken);
        if let Some(mark) = mark {
            self.wait_for(mark, || self.engine.clock.now() < self.deadline()).await;
        }
    }

    /// What the user wants, as of the last few seconds. An older generation's slice is fenced here.
    pub(crate) async fn wanted(&self) -> Result<Wanted, Stop> {
        let now = self.engine.clock.now();
        let (known, asked_at) = {
            let shared = self.shared();
            (shared.wanted, shared.asked_at)
        };
        if asked_at.is_some_and(|at| now.millis_since(at) < self.engine.settings.poll_millis) {
            return Ok(known);
        }
        self.read_wanted().await
    }

    /// What the user wants, as of now; the rate as well.
    pub(crate) async fn read_wanted(&self) -> Result<Wanted, Stop> {
        let id = &self.order.id;
        let transfer = self.checkpoints.transfer(id).await?.ok_or_else(|| self.engine.no_transfer(id))?;
        if transfer.generation != self.generation || !transfer.state.is_active() {
            return Err(Stop::Fenced);
        }
        let now = self.engine.clock.now();
        let mut shared = self.shared();
        if self.purpose == Purpose::Move {
            shared.limit(transfer.rate(), now);
        }
        shared.wanted = transfer.wanted;
        shared.asked_at = Some(now);
        Ok(transfer.wanted)
    }
}

/// Around all that is done for a shard: whatever is logged there says which shard it is, and once it is held, under
/// which epoch. As spans have levels too, and one that is filtered out takes its fields with it, it has the highest.
pub(crate) fn shard_span(shard: &ShardId) -> Span {
    tracing::error_span!("shard", %shard, epoch = field::Empty)
}
