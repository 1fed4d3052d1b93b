//! Rules: made, changed, listed and removed as data; the objects that arrive for them; their runs.
//!
//! A host that receives events of objects has a store of rules beside its engine. It starts and looks at executions; what they
//! are to do is decided here.

mod inbox;
mod record;
mod report;
mod runs;

use serde::Serialize;
use sluice_ports::RuleStore;
use sluice_transfer::limits::{KEY_BYTES, RULE_NAMES, RULES};
use sluice_transfer::rule::{LONGEST_GATHER_SECONDS, On, Rule, RuleRecord};
use sluice_transfer::{Request, RuleName, TransferId};

pub use self::inbox::{Arrival, arrive};
use self::record::{clear, no_rule, read, watched, write};
pub use self::report::{RuleReport, list_rules, show_rule};
pub use self::runs::{AfterRefusal, GivenUp, RuleStep, drain_rule, give_up_run, note_series_run, refused_run};
use crate::engine::Engine;
use crate::error::{Code, OperationError};

/// Bytes of a rule as JSON: all rules are read for each object that arrives.
const RULE_BYTES: usize = 8 << 10;

/// A rule that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemovedRule {
    /// Its name.
    pub removed: RuleName,
    /// Objects that waited for it and are given up, with those of the run.
    pub waiting: u64,
    /// The run that was not at its end, whose transfer is left as it is; null if there was none.
    pub run: Option<TransferId>,
}

/// Makes a rule, or changes the one of that name. The same again changes nothing.
pub async fn make_rule(
    engine: &Engine,
    store: &dyn RuleStore,
    name: &RuleName,
    mut rule: Rule,
) -> Result<RuleReport, OperationError> {
    check(engine, &mut rule).await?;
    loop {
        let before = store.rule(name).await?;
        if let Some(record) = before.as_ref().filter(|record| record.rule.as_ref() == Some(&rule)) {
            return report::report(engine, store, record.clone()).await;
        }
        let is_new = before.as_ref().is_none_or(|record| record.rule.is_none());
        let mut before = before.unwrap_or_else(|| RuleRecord::new(name.clone()));
        let changed_at = engine.clock.now();
        if is_new {
            check_room(store, before.revision == 0).await?;
            // Of two that make it at once only one comes further: what arrives for its rule the other does not clear.
            let free = RuleRecord { rule: None, changed_at, ..before.clone() };
            let Some(free) = write(store, &before, free).await? else { continue };
            // What came for one of that name while it was removed.
            clear(store, name).await?;
            before = free;
        }
        if let Some(there) = &before.rule {
            check_change(name, there, &rule)?;
        }
        if let Some(record) =
            write(store, &before, RuleRecord { rule: Some(rule.clone()), changed_at, ..before.clone() }).await?
        {
            return report::report(engine, store, record).await;
        }
    }
}

/// What waits for a rule lies in its bucket, and is imported.
fn check_change(name: &RuleName, there: &Rule, rule: &Rule) -> Result<(), OperationError> {
    let bucket = |rule: &Rule| rule.on.as_ref().map(|on| on.bucket.clone());
    if bucket(there) == bucket(rule) && there.starts.kind() == rule.starts.kind() {
        return Ok(());
    }
    let what = format!(
        r#"the rule '{name}' is one of another bucket, or starts the other kind of transfer, and that does not change: remove it with {{"removeRule": "{name}"}}, and make it anew"#
    );
    Err(OperationError::new(Code::IllegalState, what))
}

async fn check_room(store: &dyn RuleStore, is_new_name: bool) -> Result<(), OperationError> {
    let rules = store.rules().await?;
    let alive = rules.iter().filter(|record| record.rule.is_some()).count();
    if alive >= RULES {
        let what = format!(r#"there are {alive} rules, and at most {RULES}: remove one with {{"removeRule": "NAME"}}"#);
        return Err(OperationError::new(Code::OutOfRange, what));
    }
    if is_new_name && rules.len() >= RULE_NAMES {
        let what = format!("{RULE_NAMES} names of rules are taken for ever: use that of a rule that was removed");
        return Err(OperationError::new(Code::OutOfRange, what));
    }
    Ok(())
}

/// Refuses a rule that could never do anything.
async fn check(engine: &Engine, rule: &mut Rule) -> Result<(), OperationError> {
    let refused = |code, what: String| Err(OperationError::new(code, what));
    if rule.gather > LONGEST_GATHER_SECONDS {
        let what = format!("rule.gather: {} seconds; it may be up to {LONGEST_GATHER_SECONDS}", rule.gather);
        return refused(Code::OutOfRange, what);
    }
    let places = engine.places();
    match (&mut rule.starts, &rule.on) {
        (Request::Import(request), Some(on)) => {
            check_on(on)?;
            if watched(request, on) == places.work() {
                let what = "rule.on.bucket: this is the stack's own bucket, in which nothing arrives for anybody";
                return refused(Code::Invalid, what.to_owned());
            }
            request.append = true;
            request.stream = places.canonical(&request.stream).await?;
            places.target(&request.stream).await?;
            places.source(&request.source).await?;
        }
        (Request::Export(request), None) => {
            request.stream = places.canonical(&request.stream).await?;
            places.stream(&request.stream).await?;
            places.bucket(&request.to).await?;
        }
        (Request::Import(_), None) => {
            let what = r#"rule.on: an import waits for objects: write {"bucket": "incoming", "prefix": "orders/"}"#;
            return refused(Code::Invalid, what.to_owned());
        }
        (Request::Export(_), Some(_)) => {
            let what = r#"rule.on: an export waits for no object; it is started with {"fire": "NAME"}"#;
            return refused(Code::Invalid, what.to_owned());
        }
    }
    let bytes = serde_json::to_vec(rule).map_or(0, |json| json.len());
    if bytes > RULE_BYTES {
        return refused(Code::OutOfRange, format!("the rule has {bytes} bytes; it may have {RULE_BYTES}"));
    }
    Ok(())
}

fn check_on(on: &On) -> Result<(), OperationError> {
    for (field, text) in [("prefix", &on.prefix), ("suffix", &on.suffix)] {
        if text.len() > KEY_BYTES {
            let what = format!("rule.on.{field}: it has {} bytes, and a key at most {KEY_BYTES}", text.len());
            return Err(OperationError::new(Code::OutOfRange, what));
        }
    }
    if on.bucket.is_empty() || on.bucket.contains('/') || on.bucket.contains(':') {
        let what = "rule.on.bucket: write the bucket's name alone, such as incoming".to_owned();
        return Err(OperationError::new(Code::Invalid, what));
    }
    Ok(())
}

/// Removes a rule, and what waits for it. A run that is under way goes on as any transfer. Can be repeated.
pub async fn remove_rule(
    engine: &Engine,
    store: &dyn RuleStore,
    name: &RuleName,
) -> Result<RemovedRule, OperationError> {
    loop {
        let record = read(store, name).await?;
        if record.rule.is_none() {
            let waiting = clear(store, name).await?;
            if waiting == 0 {
                return Err(no_rule(name));
            }
            return Ok(RemovedRule { removed: name.clone(), waiting, run: None });
        }
        let run = record.run.as_ref().map(|run| run.id.clone());
        let changed_at = engine.clock.now();
        let removed = RuleRecord { rule: None, run: None, changed_at, ..record.clone() };
        if write(store, &record, removed).await?.is_some() {
            return Ok(RemovedRule { removed: name.clone(), waiting: clear(store, name).await?, run });
        }
    }
}
