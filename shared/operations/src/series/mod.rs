//! Series of exports: which run comes next, who has it, and its end.
//!
//! **Invariant.** What is decided here is decided by documents in the bucket that are made only where there is none, so
//! it holds between machines that know nothing of each other. A machine's own records say only whether a run is its own.

pub(crate) mod chain;
pub(crate) mod documents;

use std::collections::BTreeSet;

use sluice_ports::StreamFacts;
use sluice_transfer::record::{Config, ExportConfig, TransferRecord};
use sluice_transfer::{
    BucketUri, ExportRequest, ObjectKeys, RunEnding, SeriesEnd, SeriesName, SeriesRun, State, TransferId, counted,
};

use crate::engine::{Engine, Operation};
use crate::error::{Code, OperationError};
use crate::objects::{abort_below, each_below};
use chain::{Chain, Met};
use documents::{Series, Standing, taken};

/// Runs of one day for which a name is looked for.
const RUNS_OF_A_DAY: u32 = 10_000;

/// What comes next in a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextRun {
    /// The last run is this host's own and not at its end: that comes first. With a name of who repeats it, the run
    /// that it began, in whatever state.
    GoOn(TransferId),
    /// A run begins, under this id.
    Begin(TransferId),
}

/// What a host may do to a series beside its next run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesOrder<'a> {
    /// The caller, if it may ask again for the run that it began: an execution, whose plan may be repeated.
    pub repeated_by: Option<&'a str>,
    /// Take the place of a run that another host began and cannot bring to its end.
    pub take_over: bool,
}

/// The next run of the request's series. It may be asked again at any time. The run is put on record by its plan.
///
/// # Errors
/// `SeriesTaken` if another host has a run that is not at its end, `Invalid` if the request names no series, or the
/// series is of another stream.
pub fn next_run<'a>(
    engine: &'a Engine,
    request: &'a ExportRequest,
    order: SeriesOrder<'a>,
) -> Operation<'a, (NextRun, Vec<String>)> {
    Box::pin(async move {
        let Some(name) = &request.series else {
            return Err(OperationError::new(Code::Invalid, "the export names no series"));
        };
        let series = Series::open(engine, &request.to, name).await?;
        let mut notes = Vec::new();
        loop {
            let run = match series.standing().await? {
                Standing::New => return Ok((NextRun::Begin(new_id(engine, &series, 0).await?), notes)),
                Standing::Ended(run, end) => {
                    check_stream(engine, request, &run).await?;
                    if order.take_over && end.ending == RunEnding::TakenOver {
                        // Who took its place may have died before it was through.
                        notes.push(left_by(&series, &run).await?);
                    }
                    let is_its = run.host.id == engine.places().host().id;
                    if is_its && order.repeated_by.is_some_and(|execution| execution == run.execution) {
                        return Ok((NextRun::GoOn(run.transfer), notes));
                    }
                    return Ok((NextRun::Begin(new_id(engine, &series, run.number).await?), notes));
                }
                Standing::Open(run) => run,
            };
            check_stream(engine, request, &run).await?;
            if run.host.id == engine.places().host().id {
                match engine.checkpoints().transfer(&run.transfer).await? {
                    // Its plan was cut off.
                    None if is_untouched(&series, &run).await? => return Ok((NextRun::Begin(run.transfer), notes)),
                    // Its records are lost, so its objects cannot be continued.
                    None => end_without_records(&series, &run, &mut notes).await?,
                    Some(record) if !record.state.is_final() => {
                        if order.take_over {
                            let own =
                                format!("{} is this host's own, so there is no place to take: it goes on", record.id);
                            notes.push(own);
                        }
                        return Ok((NextRun::GoOn(run.transfer), notes));
                    }
                    Some(record) => end_of(&series, &run, &record).await?,
                }
            } else if let Some((manifest, root)) = series.manifest(&run).await? {
                // Its host died in front of the last document, which follows from the manifest.
                series.put_end(&SeriesEnd::completed(&run, &manifest, root)).await?;
            } else if order.take_over {
                // If it came to its end at this moment, that end stays.
                series.put_end(&SeriesEnd::without(&run, RunEnding::TakenOver)).await?;
            } else {
                return Err(taken(&run));
            }
        }
    })
}

/// The transfer of the last run of the request's series, if this host has it; whatever became of it.
pub fn last_run<'a>(engine: &'a Engine, request: &'a ExportRequest) -> Operation<'a, Option<TransferId>> {
    Box::pin(async move {
        let Some(name) = &request.series else { return Ok(None) };
        let series = Series::open(engine, &request.to, name).await?;
        let run = match series.standing().await? {
            Standing::New => return Ok(None),
            Standing::Open(run) | Standing::Ended(run, _) => run,
        };
        Ok((run.host.id == engine.places().host().id).then_some(run.transfer))
    })
}

/// A complete run of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteRun {
    /// Its number, from 1.
    pub number: u32,
    /// Its manifest, as an import takes it.
    pub manifest: String,
}

/// The complete runs of a series in their order, and what is to be said of the others. Each goes on exactly where the one
/// before ended.
///
/// # Errors
/// `NotFound` if there is no such series, `ManifestInvalid` if a document of it is missing, or a run does not go on with
/// the one before.
pub fn runs<'a>(
    engine: &'a Engine,
    place: &'a BucketUri,
    name: &'a SeriesName,
) -> Operation<'a, (Vec<CompleteRun>, Vec<String>)> {
    Box::pin(async move {
        let series = Series::look(engine, place, name).await?;
        let mut chain = Chain::new(&series).await?;
        let (mut runs, mut notes) = (Vec::new(), Vec::new());
        while let Some(met) = chain.next().await? {
            match met {
                Met::Complete(link) => {
                    let manifest = engine.places().object(place, &link.root);
                    runs.push(CompleteRun { number: link.number, manifest });
                }
                passed => notes.extend(passed.why_not(name)),
            }
        }
        Ok((runs, notes))
    })
}

/// A run continues the stream of those before.
async fn check_stream(engine: &Engine, request: &ExportRequest, run: &SeriesRun) -> Result<(), OperationError> {
    let stream = engine.places().canonical(&request.stream).await?;
    if stream == run.stream {
        return Ok(());
    }
    let what = format!(
        "series {} in {} is of {}, not of {stream}: name the stream so if it is the same one, else give this stream's \
         series another name",
        run.series, request.to, run.stream
    );
    Err(OperationError::new(Code::Invalid, what))
}

/// A name for a run of today that no transfer and no export has, and no run behind which `last` is the last one: also
/// one that was given up may still have a host that writes.
async fn new_id(engine: &Engine, series: &Series, last: u32) -> Result<TransferId, OperationError> {
    let (name, today) = (&series.name, engine.clock.now());
    let id = |nth| name.run_id(today, nth).map_err(|error| OperationError::new(Code::Invalid, error.to_string()));
    let (of_today, mut taken) = (id(1)?, BTreeSet::new());
    for number in (1..=last).rev() {
        let run = series.run(number).await?.transfer;
        if !run.as_str().starts_with(of_today.as_str()) {
            break;
        }
        taken.insert(run);
    }
    for nth in 1..=RUNS_OF_A_DAY {
        let id = id(nth)?;
        if taken.contains(&id) {
            continue;
        }
        let folder = format!("{}/", ObjectKeys::new(&series.prefix, &id).folder());
        let is_free = engine.checkpoints().transfer(&id).await?.is_none()
            && series.bucket.list(&folder, None, 1).await?.is_empty();
        if is_free {
            return Ok(id);
        }
    }
    let what = format!("series {name}: it has {RUNS_OF_A_DAY} runs of today");
    Err(OperationError::new(Code::OutOfRange, what))
}

/// Puts the end of a run on record whose transfer is at its end: its host died in between.
async fn end_of(series: &Series, run: &SeriesRun, record: &TransferRecord) -> Result<(), OperationError> {
    let end = match series.manifest(run).await? {
        Some((manifest, root)) => SeriesEnd::completed(run, &manifest, root),
        None if record.state == State::Cancelled => SeriesEnd::without(run, RunEnding::Cancelled),
        None => {
            let what = format!("the manifest of {}, which is {}, is missing: put it back", run.transfer, record.state);
            return Err(OperationError::new(Code::ObjectMissing, what));
        }
    };
    series.put_end(&end).await.map(drop)
}

/// Whether a run has made no object.
async fn is_untouched(series: &Series, run: &SeriesRun) -> Result<bool, OperationError> {
    let folder = format!("{}/", ObjectKeys::new(&series.prefix, &run.transfer).folder());
    Ok(series.bucket.list(&folder, None, 1).await?.is_empty())
}

/// Puts the end of a run on record that this host has no record of any more: it is complete if its manifest is there,
/// else it is given up, and the next run has its range.
async fn end_without_records(series: &Series, run: &SeriesRun, notes: &mut Vec<String>) -> Result<(), OperationError> {
    let end = if let Some((manifest, root)) = series.manifest(run).await? {
        SeriesEnd::completed(run, &manifest, root)
    } else {
        notes.push(left_by(series, run).await?);
        SeriesEnd::without(run, RunEnding::Cancelled)
    };
    series.put_end(&end).await.map(drop)
}

/// What a run left whose place was taken: its uploads are aborted, its objects are counted.
async fn left_by(series: &Series, run: &SeriesRun) -> Result<String, OperationError> {
    let folder = format!("{}/", ObjectKeys::new(&series.prefix, &run.transfer).folder());
    let (uploads, _) = abort_below(&*series.bucket, &folder, 1).await?;
    let (mut objects, mut bytes) = (0_u64, 0_u64);
    each_below(&*series.bucket, &folder, |file| (objects, bytes) = (objects + 1, bytes + file.size)).await?;
    Ok(format!(
        "run {} of series {}, {}, was begun at {} and is given up: its range is exported again. It left {} of {bytes} \
         bytes in {folder}, which no manifest names, and {} that were aborted",
        run.number,
        run.series,
        run.transfer,
        run.host.place,
        counted(objects, "object"),
        counted(uploads, "open upload"),
    ))
}

/// A run that is planned, and whether its beginning is in the bucket already.
pub(crate) struct PlannedRun {
    series: Series,
    run: SeriesRun,
    begun: bool,
}

impl PlannedRun {
    /// The run of that transfer; none for an export of no series.
    ///
    /// # Errors
    /// `SeriesTaken` if the series has another run that is not at its end.
    pub(crate) async fn of(
        engine: &Engine,
        id: &TransferId,
        request: &ExportRequest,
        execution: &str,
    ) -> Result<Option<Self>, OperationError> {
        let Some(name) = &request.series else { return Ok(None) };
        let series = Series::open(engine, &request.to, name).await?;
        if ObjectKeys::new(&series.prefix, id).folder() == series.keys.folder() {
            let what = format!("series: the export and its series are both called {id}: choose another id");
            return Err(OperationError::new(Code::Invalid, what));
        }
        let (number, end) = match series.standing().await? {
            Standing::New => (1, None),
            Standing::Ended(run, end) => {
                check_stream(engine, request, &run).await?;
                (run.number + 1, Some((run, end)))
            }
            Standing::Open(run) if run.transfer == *id && run.host.id == engine.places().host().id => {
                return Ok(Some(Self { series, run: *run, begun: true }));
            }
            Standing::Open(run) => return Err(taken(&run)),
        };
        let (before, end) = end.unzip();
        let run = SeriesRun {
            series: name.clone(),
            number,
            transfer: id.clone(),
            stream: request.stream.clone(),
            source_created: before.and_then(|run| run.source_created),
            from: end.as_ref().and_then(|end| end.cut.clone()),
            previous: end.and_then(|end| end.previous),
            host: engine.places().host(),
            execution: execution.to_owned(),
            created: engine.clock.now(),
            hole: None,
        };
        Ok(Some(Self { series, run, begun: false }))
    }

    /// As the export's configuration has it.
    pub(crate) fn run(&self) -> Box<SeriesRun> {
        Box::new(self.run.clone())
    }

    /// Puts the run on record in the bucket, with what its plan has learnt; answers it as it stands there. From here
    /// on no other host can have it.
    pub(crate) async fn begin(self, run: SeriesRun) -> Result<Box<SeriesRun>, OperationError> {
        // What may be lost is known by the last look alone.
        let hole = run.hole;
        let there = if self.begun { self.run } else { self.series.put_run(&run).await? };
        Ok(Box::new(SeriesRun { hole, ..there }))
    }
}

/// Refuses a source that is another stream than the one of the runs before.
pub(crate) fn same_stream(run: &SeriesRun, facts: StreamFacts) -> Result<(), OperationError> {
    match (run.source_created, facts.created) {
        (Some(before), Some(now)) if before != now => {
            let what = format!(
                "{} was deleted and made again: that of series {} was made at {before}, this one at {now}. Begin a \
                 series of another name with it",
                run.stream, run.series
            );
            Err(OperationError::new(Code::SourceChanged, what))
        }
        _ => Ok(()),
    }
}

/// Puts the end of a completed run on record in its bucket. Nothing to do for an export of no series.
///
/// # Errors
/// `SeriesTaken` if another host took its place.
pub(crate) async fn end_completed(engine: &Engine, transfer: &TransferRecord) -> Result<(), OperationError> {
    let Some((run, series)) = of(engine, transfer).await? else { return Ok(()) };
    let Some((manifest, root)) = series.manifest(run).await? else {
        let what = format!("the manifest of {} was written and is missing", transfer.id);
        return Err(OperationError::new(Code::ObjectMissing, what));
    };
    let end = SeriesEnd::completed(run, &manifest, root);
    let there = series.put_end(&end).await?;
    if there == end {
        return Ok(());
    }
    let what = format!(
        "series {}: another host took the place of run {} while it was not at its end, so {} is no part of the series. \
         Its events are in the run after it. Its manifest is complete, and can be imported by itself",
        run.series, run.number, transfer.id
    );
    Err(OperationError::new(Code::SeriesTaken, what))
}

/// Puts the end of a run that was given up on record in its bucket, if it has none.
/// Answers what is to be said of it: it may have come to its end before.
pub(crate) async fn end_given_up(engine: &Engine, transfer: &TransferRecord) -> Result<Option<String>, OperationError> {
    let Some((run, series)) = of(engine, transfer).await? else { return Ok(None) };
    let end = series.put_end(&SeriesEnd::without(run, RunEnding::Cancelled)).await?;
    let said = || format!("run {} of series {} was complete before: it stays a part of it", run.number, run.series);
    Ok(end.ending.is_complete().then(said))
}

/// The run that a transfer is, and its series.
async fn of<'a>(
    engine: &Engine,
    transfer: &'a TransferRecord,
) -> Result<Option<(&'a SeriesRun, Series)>, OperationError> {
    let Config::Export(ExportConfig { series: Some(run), destinations, .. }) = &transfer.config else {
        return Ok(None);
    };
    let Some(destination) = destinations.values().next() else { return Ok(None) };
    Ok(Some((run, Series::open(engine, &destination.bucket, &run.series).await?)))
}

/// The key of the manifest that a run continues, as its own manifest tells it.
pub(crate) fn previous_key(run: Option<&SeriesRun>) -> Option<String> {
    run?.previous.as_ref().map(|previous| previous.manifest.key.clone())
}

/// What the plan of a run notes for a person.
pub(crate) fn planned_notes(run: &SeriesRun) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(hole) = run.hole {
        notes.push(format!(
            "the run before reached {}, and the stream keeps events since {}: what arrived between them is lost, if \
             anything did",
            hole.min, hole.max
        ));
    }
    notes
}
