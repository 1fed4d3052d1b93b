//! Reports of rules: definition, current run, last run, counts of arrived objects.

use serde::Serialize;
use sluice_ports::RuleStore;
use sluice_transfer::record::Failure;
use sluice_transfer::rule::{EndedRun, On, Rule, RuleRecord, RuleRun};
use sluice_transfer::{Request, RuleName, State, TransferId};

use super::record::{no_rule, read};
use crate::engine::Engine;
use crate::error::OperationError;

/// A rule as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleReport {
    /// Its name.
    pub name: RuleName,
    /// The objects that it waits for; null for a rule that is started from outside alone.
    pub on: Option<On>,
    /// The import or the export that it starts.
    #[serde(flatten)]
    pub starts: Request,
    /// Seconds that objects are gathered before the first run of several.
    pub gather: u32,
    /// When it was made or changed, RFC 3339.
    pub changed_at: String,
    /// Objects in its inbox, with those of the run that is under way.
    pub waiting: u64,
    /// The execution that makes its runs, or made the last one of those; none while there is nothing to do.
    pub execution: Option<String>,
    /// Whether that is alive: the host looks. Null where it did not.
    pub running: Option<bool>,
    /// The run that is not at its end; null if there is none.
    pub run: Option<CurrentRun>,
    /// The last run that is at its end; null if there is none.
    pub last: Option<LastRun>,
    /// The number of its last run.
    pub runs: u32,
    /// Objects that runs at their end have taken.
    pub taken: u64,
    /// Objects that were told of again.
    pub repeated: u64,
    /// Objects that are nothing to import.
    pub ignored: u64,
    /// Objects that may not be imported.
    pub refused: u64,
}

/// A run that is not at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentRun {
    /// Its transfer.
    pub id: TransferId,
    /// Where that stands; null if it was not planned yet.
    pub state: Option<State>,
    /// Objects that it takes.
    pub objects: u64,
    /// What it failed with; null if it did not.
    pub error: Option<Failure>,
}

/// A run at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// Its transfer.
    pub id: TransferId,
    /// How it ended.
    pub state: State,
    /// When that was seen, RFC 3339.
    pub seen_at: String,
    /// Objects that it took.
    pub objects: u64,
}

/// All rules, by their names.
pub async fn list_rules(engine: &Engine, store: &dyn RuleStore) -> Result<Vec<RuleReport>, OperationError> {
    let mut reports = Vec::new();
    for record in store.rules().await?.into_iter().filter(|record| record.rule.is_some()) {
        reports.push(report(engine, store, record).await?);
    }
    Ok(reports)
}

/// One rule.
pub async fn show_rule(engine: &Engine, store: &dyn RuleStore, name: &RuleName) -> Result<RuleReport, OperationError> {
    report(engine, store, read(store, name).await?).await
}

/// A rule as it stands.
pub(super) async fn report(
    engine: &Engine,
    store: &dyn RuleStore,
    record: RuleRecord,
) -> Result<RuleReport, OperationError> {
    let Some(Rule { on, starts, gather }) = record.rule else { return Err(no_rule(&record.name)) };
    let arrivals = store.arrivals(&record.name).await?;
    let run = match record.run {
        Some(run) => Some(current(engine, run).await?),
        None => None,
    };
    let last = |EndedRun { id, state, seen_at, objects }| LastRun { id, state, seen_at: seen_at.to_string(), objects };
    Ok(RuleReport {
        waiting: store.waiting(&record.name).await?,
        name: record.name,
        on,
        starts,
        gather,
        changed_at: record.changed_at.to_string(),
        execution: record.drain.map(|drain| drain.execution),
        running: None,
        run,
        last: record.last.map(last),
        runs: record.runs,
        taken: record.taken,
        repeated: arrivals.repeated,
        ignored: arrivals.ignored,
        refused: arrivals.refused,
    })
}

async fn current(engine: &Engine, run: RuleRun) -> Result<CurrentRun, OperationError> {
    let objects = run.takes.objects();
    let transfer = engine.checkpoints().transfer(&run.id).await?;
    let (state, error) = match transfer {
        Some(transfer) => (Some(transfer.state), transfer.failure.or(run.failure)),
        None => (None, run.failure),
    };
    Ok(CurrentRun { id: run.id, state, objects, error })
}
