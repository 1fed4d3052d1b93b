//! Rules and their inboxes.

use async_trait::async_trait;
use sluice_transfer::rule::{Arrivals, RuleRecord, Waiting};
use sluice_transfer::{RuleName, Timestamp};

use crate::{Result, Stored};

/// The answer to putting an object into an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It waits now.
    Now,
    /// It was put there before; by now it may have been taken.
    Before,
}

/// The rules of a stack, and the objects that wait for each. Only a host that receives events of objects has these: the engine
/// knows none. Reads see every write that was answered before.
///
/// A write of a rule that repeats, revision and all, what is stored answers [`Stored::Done`], as those of
/// [`crate::CheckpointStore`] do.
#[async_trait]
pub trait RuleStore: Send + Sync {
    /// All rules, those that were removed too, by their names.
    async fn rules(&self) -> Result<Vec<RuleRecord>>;

    /// A rule; none if there never was one of that name.
    async fn rule(&self, name: &RuleName) -> Result<Option<RuleRecord>>;

    /// Writes a rule on condition that the stored revision is one below the given record's. One that was never written
    /// counts as revision 0.
    async fn update_rule(&self, record: &RuleRecord) -> Result<Stored>;

    /// As [`Self::update_rule`], and only if nothing changed in the inbox since [`Arrivals::changes`] was that number.
    async fn release_rule(&self, record: &RuleRecord, changes: u64) -> Result<Stored>;

    /// Puts an object into a rule's inbox, unless one of its digest was put there before. It is known again until
    /// `known_until` at least.
    async fn enqueue(&self, name: &RuleName, object: &Waiting, known_until: Timestamp) -> Result<Enqueued>;

    /// Adds to what was counted of a rule. If the answer is lost it may be added twice.
    async fn count(&self, name: &RuleName, more: Arrivals) -> Result<()>;

    /// What was counted of a rule.
    async fn arrivals(&self, name: &RuleName) -> Result<Arrivals>;

    /// The first objects of an inbox, in order of [`Waiting::place`], at most `limit`.
    async fn head(&self, name: &RuleName, limit: usize) -> Result<Vec<Waiting>>;

    /// The number of objects in an inbox.
    async fn waiting(&self, name: &RuleName) -> Result<u64>;

    /// Takes objects out of an inbox. Those that are not there are no error. They stay known.
    async fn take(&self, name: &RuleName, objects: &[Waiting]) -> Result<()>;
}
