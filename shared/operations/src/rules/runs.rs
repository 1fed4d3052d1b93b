//! The runs of a rule, one after the other.
//!
//! **Invariant.** What a run takes is on record before it begins. It is taken out of the inbox when the run is at its
//! end, and before the record forgets it. So a death at any point takes nothing twice.

use sluice_ports::{RuleStore, Stored};
use sluice_transfer::limits::LISTED_OBJECTS;
use sluice_transfer::manifest::{ListedObject, ObjectList};
use sluice_transfer::record::ManifestRef;
use sluice_transfer::rule::{Arrivals, Drain, RUNS_AT_A_TIME, Rule, RuleRecord, RuleRun, Takes, Waiting, rule_of};
use sluice_transfer::{BucketUri, ExportRequest, ImportRequest, Request, RuleName, State, TransferId};

use super::record::{read, watched, write};
use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::objects::{get_document, put_own};

/// What the execution that makes the runs of a rule does next.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleStep {
    /// It waits this number of seconds for more objects, and asks again.
    Wait(u64),
    /// It starts this transfer, or goes on with it; behind its end it asks again.
    Start(TransferId, Box<Request>),
    /// It starts the next run of a series, says which one ([`note_series_run`]), and asks again behind its end.
    Series(Box<ExportRequest>),
    /// Nothing is left to do: the rule is free.
    Idle,
    /// It has made many runs: the rule is free, and another execution is to go on.
    HandOver,
    /// Another execution makes the runs by now.
    Taken,
    /// The rule was removed.
    Removed,
}

/// The next step of an execution that makes a rule's runs, or wants to. `dead` is the one that made them before and is
/// known to have ended. Can be repeated.
pub async fn drain_rule(
    engine: &Engine,
    store: &dyn RuleStore,
    name: &RuleName,
    execution: &str,
    dead: Option<&str>,
) -> Result<RuleStep, OperationError> {
    loop {
        let record = read(store, name).await?;
        let is_ours = record.drain.as_ref().is_some_and(|drain| drain.execution == execution);
        let Some(rule) = record.rule.clone() else {
            if !is_ours || write(store, &record, RuleRecord { drain: None, ..record.clone() }).await?.is_some() {
                return Ok(RuleStep::Removed);
            }
            continue;
        };
        match &record.drain {
            Some(drain) if drain.execution == execution => {}
            Some(drain) if Some(drain.execution.as_str()) != dead => return Ok(RuleStep::Taken),
            _ => {
                let began = engine.clock.now();
                let drain = Some(Drain { execution: execution.to_owned(), began, runs: 0, changes: 0 });
                // What an execution before has left comes first, and then a run of this one's own.
                let run = record.run.clone().map(|run| RuleRun { is_anothers: true, failure: None, ..run });
                write(store, &record, RuleRecord { drain, run, ..record.clone() }).await?;
                continue;
            }
        }
        if let Some(run) = &record.run {
            match engine.checkpoints().transfer(&run.id).await? {
                Some(transfer) if transfer.state.is_final() => {
                    end(engine, store, &record, transfer.state).await?;
                    continue;
                }
                Some(transfer) => {
                    return Ok(RuleStep::Start(run.id.clone(), Box::new(transfer.request.without_rate())));
                }
                None => return begin(engine, &rule, run),
            }
        }
        if let Some(step) = next(engine, store, &record, &rule).await? {
            return Ok(step);
        }
    }
}

/// The run that is at its end is forgotten, and what it took.
async fn end(
    engine: &Engine,
    store: &dyn RuleStore,
    record: &RuleRecord,
    state: State,
) -> Result<Option<RuleRecord>, OperationError> {
    if let Some(run) = &record.run {
        let objects = taken(engine, record, &run.takes).await?;
        store.take(&record.name, &objects).await?;
    }
    let mut ended = record.clone();
    ended.ended(state, engine.clock.now());
    write(store, record, ended).await
}

/// The objects that a run takes, as they wait.
async fn taken(engine: &Engine, record: &RuleRecord, takes: &Takes) -> Result<Vec<Waiting>, OperationError> {
    let list = match takes {
        Takes::Nothing => return Ok(Vec::new()),
        Takes::Manifest(object) => return Ok(vec![(**object).clone()]),
        Takes::List { list, .. } => list,
    };
    let (work, _) = engine.places().bucket(&engine.places().work()).await?;
    let document: ObjectList = get_document(&*work, &list.key, Some(&list.sha256)).await?;
    let bucket = document.bucket.rest.trim_start_matches('/').to_owned();
    let waiting = |object: ListedObject| Waiting {
        version: record.version,
        time: object.time.unwrap_or_default(),
        bucket: bucket.clone(),
        key: object.key,
        object_version: object.version,
        etag: object.etag,
        sequencer: object.sequencer,
        size: object.size,
        is_manifest: false,
    };
    Ok(document.objects.into_iter().map(waiting).collect())
}

/// A run that is on record, and whose transfer is not: as the rule is by now.
fn begin(engine: &Engine, rule: &Rule, run: &RuleRun) -> Result<RuleStep, OperationError> {
    let request = match (&rule.starts, &run.takes, &rule.on) {
        (Request::Export(request), Takes::Nothing, _) if request.series.is_some() => {
            return Ok(RuleStep::Series(Box::new(request.clone())));
        }
        (Request::Export(_), Takes::Nothing, _) => rule.starts.clone(),
        (Request::Import(request), Takes::Manifest(object), Some(on)) => {
            let place = engine.places().object(&watched(request, on), &object.key);
            Request::Import(of_manifest(request, named(&place)?))
        }
        (Request::Import(request), Takes::List { list, .. }, Some(_)) => {
            let place = engine.places().object(&engine.places().work(), &list.key);
            Request::Import(ImportRequest { source: named(&place)?, ..request.clone() })
        }
        _ => {
            let what = format!(
                r#"the run {} was begun before the rule was changed to another kind: give it up with {{"cancel": "{}"}}"#,
                run.id, run.id
            );
            return Err(OperationError::new(Code::IllegalState, what));
        }
    };
    Ok(RuleStep::Start(run.id.clone(), Box::new(request)))
}

fn named(place: &str) -> Result<BucketUri, OperationError> {
    place.parse().map_err(|error| OperationError::new(Code::Invalid, format!("{error}")))
}

/// The import of an export, which says itself what its objects are.
fn of_manifest(request: &ImportRequest, source: BucketUri) -> ImportRequest {
    ImportRequest {
        source,
        format: None,
        compression: None,
        payload_field: None,
        key_field: None,
        time_field: None,
        event_size: None,
        pack: false,
        all_files: false,
        ..request.clone()
    }
}

/// What comes where no run is under way; none if it is to be looked at again.
async fn next(
    engine: &Engine,
    store: &dyn RuleStore,
    record: &RuleRecord,
    rule: &Rule,
) -> Result<Option<RuleStep>, OperationError> {
    let Some(drain) = &record.drain else { return Ok(None) };
    // Before the inbox is read: an object that comes later changes the count.
    let changes = store.arrivals(&record.name).await?.changes;
    let head = match &rule.starts {
        Request::Import(_) => store.head(&record.name, LISTED_OBJECTS).await?,
        Request::Export(_) => Vec::new(),
    };
    if let Some(on) = &rule.on {
        // Told of by somebody who had read a rule of that name that was removed since.
        let strays: Vec<_> = head.iter().filter(|object| object.bucket != on.bucket).cloned().collect();
        if !strays.is_empty() {
            tracing::warn!(rule = %record.name, objects = strays.len(), "objects of another bucket are refused");
            store.take(&record.name, &strays).await?;
            store.count(&record.name, Arrivals { refused: strays.len() as u64, ..Arrivals::default() }).await?;
            return Ok(None);
        }
    }
    let is_through = match &rule.starts {
        Request::Import(_) => head.is_empty(),
        Request::Export(_) => drain.runs > 0 && drain.changes == changes,
    };
    if is_through {
        let free = RuleRecord { revision: record.revision + 1, drain: None, ..record.clone() };
        let released = store.release_rule(&free, changes).await? == Stored::Done;
        return Ok(released.then_some(RuleStep::Idle));
    }
    if drain.runs >= RUNS_AT_A_TIME {
        let free = write(store, record, RuleRecord { drain: None, ..record.clone() }).await?;
        return Ok(free.map(|_| RuleStep::HandOver));
    }
    let ready = drain.began.plus_millis(u64::from(rule.gather) * 1_000);
    let left = ready.millis_since(engine.clock.now());
    if drain.runs == 0 && !head.is_empty() && left > 0 {
        return Ok(Some(RuleStep::Wait(left.div_ceil(1_000))));
    }
    let takes = match (&rule.starts, &rule.on) {
        (Request::Export(request), _) if request.series.is_some() => {
            return Ok(Some(RuleStep::Series(Box::new(request.clone()))));
        }
        (Request::Import(request), Some(on)) => choose(engine, record, watched(request, on), head).await?,
        _ => Takes::Nothing,
    };
    let id = format!("{}-{:06}", record.name, record.runs + 1);
    let id = id.parse().map_err(|error| OperationError::new(Code::Defect, format!("{error}")))?;
    note(store, record, RuleRun { id, takes, failure: None, is_anothers: false }, changes).await?;
    Ok(None)
}

/// Puts a run on record.
async fn note(
    store: &dyn RuleStore,
    record: &RuleRecord,
    run: RuleRun,
    changes: u64,
) -> Result<Option<RuleRecord>, OperationError> {
    let drain = record.drain.clone().map(|drain| Drain { changes, ..drain });
    let begun = RuleRecord { run: Some(run), runs: record.runs + 1, drain, ..record.clone() };
    write(store, record, begun).await
}

/// What a run takes of the objects at an inbox's head: an export of ours alone, or all others up to one.
async fn choose(
    engine: &Engine,
    record: &RuleRecord,
    bucket: BucketUri,
    head: Vec<Waiting>,
) -> Result<Takes, OperationError> {
    if let Some(first) = head.first().filter(|first| first.is_manifest) {
        return Ok(Takes::Manifest(Box::new(first.clone())));
    }
    let listed = |object: Waiting| ListedObject {
        key: object.key,
        etag: object.etag,
        size: object.size,
        version: object.object_version,
        sequencer: object.sequencer,
        time: Some(object.time),
    };
    let objects: Vec<_> = head.into_iter().take_while(|object| !object.is_manifest).map(listed).collect();
    let count = objects.len() as u64;
    let (work, prefix) = engine.places().bucket(&engine.places().work()).await?;
    let place = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let folder = format!("{place}rules/{}", record.name);
    let list = ObjectList { bucket, may_change: true, objects };
    let (key, sha256) = put_own(&*work, &folder, &format!("run-{:06}", record.runs + 1), &list).await?;
    Ok(Takes::List { list: ManifestRef { key: format!("{folder}/{key}"), sha256 }, objects: count })
}

/// The run of a series that the execution goes on with, on record. `is_anothers` if somebody else had begun it: then one
/// of the rule's own follows.
pub async fn note_series_run(
    store: &dyn RuleStore,
    name: &RuleName,
    execution: &str,
    id: &TransferId,
    is_anothers: bool,
) -> Result<(), OperationError> {
    loop {
        let record = read(store, name).await?;
        if record.run.as_ref().is_some_and(|run| run.id == *id)
            || record.drain.as_ref().is_none_or(|drain| drain.execution != execution)
        {
            return Ok(());
        }
        let changes = store.arrivals(name).await?.changes;
        let run = RuleRun { id: id.clone(), takes: Takes::Nothing, failure: None, is_anothers };
        if note(store, &record, run, changes).await?.is_some() {
            return Ok(());
        }
    }
}

/// A rule behind a run that could not be planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRefusal {
    /// It goes on without the run, whose objects are all gone.
    GoesOn,
    /// It rests, with the reason on record.
    Rests,
}

/// Puts on record that a run could not be planned.
pub async fn refused_run(
    engine: &Engine,
    store: &dyn RuleStore,
    name: &RuleName,
    id: &TransferId,
    error: &OperationError,
) -> Result<AfterRefusal, OperationError> {
    loop {
        let record = read(store, name).await?;
        let Some(run) = record.run.clone().filter(|run| run.id == *id) else { return Ok(AfterRefusal::Rests) };
        let is_gone = error.code == Code::NothingToImport && matches!(run.takes, Takes::List { .. });
        let written = if is_gone {
            end(engine, store, &record, State::Cancelled).await?
        } else {
            let run = RuleRun { failure: Some(error.to_failure()), ..run };
            write(store, &record, RuleRecord { run: Some(run), ..record.clone() }).await?
        };
        if written.is_some() {
            return Ok(if is_gone { AfterRefusal::GoesOn } else { AfterRefusal::Rests });
        }
    }
}

/// The answer to giving up a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// The rule is free of it.
    Now,
    /// No rule has a run of that id without a transfer.
    NoSuchRun,
}

/// Gives up the run of a rule that could not be planned, so that there is no transfer to cancel.
pub async fn give_up_run(engine: &Engine, store: &dyn RuleStore, id: &TransferId) -> Result<GivenUp, OperationError> {
    let Some(name) = rule_of(id) else { return Ok(GivenUp::NoSuchRun) };
    loop {
        let Some(record) = store.rule(&name).await? else { return Ok(GivenUp::NoSuchRun) };
        if record.run.as_ref().is_none_or(|run| run.id != *id) || engine.checkpoints().transfer(id).await?.is_some() {
            return Ok(GivenUp::NoSuchRun);
        }
        if end(engine, store, &record, State::Cancelled).await?.is_some() {
            return Ok(GivenUp::Now);
        }
    }
}
