//! Rules in memory. As with checkpoints, records are kept as their JSON text.
//!
//! **Invariant.** No method waits: each takes the lock once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_ports::{Enqueued, Error, ErrorKind, Result, RuleStore, Stored};
use sluice_transfer::rule::{Arrivals, RuleRecord, Waiting};
use sluice_transfer::{RuleName, Timestamp};

/// Rules in memory; a clone is another handle on the same ones.
#[derive(Clone, Debug, Default)]
pub struct MemoryRules(Arc<Mutex<BTreeMap<RuleName, Kept>>>);

/// All of one name.
#[derive(Debug, Default)]
struct Kept {
    /// The record's revision and its text.
    record: Option<(u64, String)>,
    arrivals: Arrivals,
    waiting: BTreeMap<String, String>,
    /// Digests of all objects that were ever put in. They stay for ever, which is long enough.
    known: BTreeSet<String>,
}

fn text<T: Serialize>(record: &T) -> Result<String> {
    serde_json::to_string(record).map_err(|error| Error::with(ErrorKind::Invalid, "a record cannot be written", error))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::with(ErrorKind::Corrupt, "a record cannot be read back", error))
}

impl Kept {
    fn write(&mut self, record: &RuleRecord) -> Result<Stored> {
        let text = text(record)?;
        let (before, is_same) =
            self.record.as_ref().map_or((0, false), |(revision, there)| (*revision, *there == text));
        if is_same {
            return Ok(Stored::Done);
        }
        if before.checked_add(1) != Some(record.revision) {
            return Ok(Stored::Mismatch);
        }
        self.record = Some((record.revision, text));
        Ok(Stored::Done)
    }
}

impl MemoryRules {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<RuleName, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl RuleStore for MemoryRules {
    async fn rules(&self) -> Result<Vec<RuleRecord>> {
        self.kept().values().filter_map(|kept| kept.record.as_ref()).map(|(_, text)| parse(text)).collect()
    }

    async fn rule(&self, name: &RuleName) -> Result<Option<RuleRecord>> {
        let kept = self.kept();
        kept.get(name).and_then(|kept| kept.record.as_ref()).map(|(_, text)| parse(text)).transpose()
    }

    async fn update_rule(&self, record: &RuleRecord) -> Result<Stored> {
        self.kept().entry(record.name.clone()).or_default().write(record)
    }

    async fn release_rule(&self, record: &RuleRecord, changes: u64) -> Result<Stored> {
        let mut kept = self.kept();
        let kept = kept.entry(record.name.clone()).or_default();
        let is_same = kept.record.as_ref().is_some_and(|(revision, _)| *revision == record.revision);
        if kept.arrivals.changes != changes && !is_same {
            return Ok(Stored::Mismatch);
        }
        kept.write(record)
    }

    async fn enqueue(&self, name: &RuleName, object: &Waiting, _: Timestamp) -> Result<Enqueued> {
        let text = text(object)?;
        let mut kept = self.kept();
        let kept = kept.entry(name.clone()).or_default();
        if !kept.known.insert(object.digest()) {
            return Ok(Enqueued::Before);
        }
        kept.waiting.insert(object.place(), text);
        Ok(Enqueued::Now)
    }

    async fn count(&self, name: &RuleName, more: Arrivals) -> Result<()> {
        let mut kept = self.kept();
        let arrivals = &mut kept.entry(name.clone()).or_default().arrivals;
        arrivals.changes += more.changes;
        arrivals.repeated += more.repeated;
        arrivals.ignored += more.ignored;
        arrivals.refused += more.refused;
        Ok(())
    }

    async fn arrivals(&self, name: &RuleName) -> Result<Arrivals> {
        Ok(self.kept().get(name).map(|kept| kept.arrivals).unwrap_or_default())
    }

    async fn head(&self, name: &RuleName, limit: usize) -> Result<Vec<Waiting>> {
        let kept = self.kept();
        let waiting = kept.get(name).into_iter().flat_map(|kept| kept.waiting.values());
        waiting.take(limit).map(|text| parse(text)).collect()
    }

    async fn waiting(&self, name: &RuleName) -> Result<u64> {
        Ok(self.kept().get(name).map_or(0, |kept| kept.waiting.len() as u64))
    }

    async fn take(&self, name: &RuleName, objects: &[Waiting]) -> Result<()> {
        if let Some(kept) = self.kept().get_mut(name) {
            for object in objects {
                kept.waiting.remove(&object.place());
            }
        }
        Ok(())
    }
}
