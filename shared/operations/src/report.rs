//! A transfer as people and programs see it: the same shape everywhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sluice_transfer::record::{Config, Failure, ImportConfig, ShardRecord, TransferRecord, Work};
use sluice_transfer::{
    Aggregates, BucketUri, Counts, Cut, Kind, Lacking, LeftOut, Misfits, ObjectKeys, Position, SeriesName, ShardId,
    State, StreamUri, Timestamp, TransferId, Wanted,
};

use crate::engine::{Engine, Operation};
use crate::error::OperationError;
use crate::records::{arrived, shard_records, totals};
use crate::replay::{Replay, replay, seconds_left};
use crate::retention::{Retention, lag_seconds, retention};

/// The shape of a transfer in every output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The transfer.
    pub id: TransferId,
    /// Which way.
    pub kind: Kind,
    /// The state.
    pub state: State,
    /// Events that arrived.
    pub events: u64,
    /// Bytes of payload that arrived.
    pub bytes: u64,
    /// Objects that are complete (export) or consumed (import).
    pub objects: u64,
    /// Slices that ran.
    pub slices: u64,
    /// Share that is done, 0 to 1; null where the whole is not known.
    pub progress: Option<f64>,
    /// Seconds to go at the present rate; null where not known or nothing runs.
    pub eta_seconds: Option<u64>,
    /// Seconds of the stream's time from where the slowest shard of an export stands to the stream's tip. Null where
    /// the source knows no arrivals, before each shard has read something, and once all are through.
    pub lag_seconds: Option<u64>,
    /// The cut that it has reached, in the source (export) or the target (import).
    pub cut: Cut,
    /// The manifest, once written, as an import takes it.
    pub manifest: Option<String>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// The source, as given.
    pub from: String,
    /// The target, as given.
    pub to: String,
    /// Bytes of payload a second, smoothed.
    pub bytes_per_second: f64,
    /// Gaps on record.
    pub gaps: u64,
    /// The first of them, as far as they are on record here: an import has only their number.
    #[serde(default)]
    pub gap_ranges: Vec<GapRange>,
    /// The number of records without a named field, by field; not there where none was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacking: Option<Lacking>,
    /// Events that the target of an import cannot hold, and where they are stored; not there where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misfits: Option<StoredMisfits>,
    /// Aggregates of the Kinesis Producer Library among the exported events; not there where none was seen.
    #[serde(default, skip_serializing_if = "Aggregates::is_none")]
    pub aggregates: Aggregates,
    /// The time of planning, RFC 3339.
    pub created_at: String,
    /// The time at which it came to rest or ended, RFC 3339; null while it goes on.
    #[serde(default)]
    pub ended_at: Option<String>,
    /// Seconds from its plan until now, or until it came to rest or to its end, without those at rest before.
    #[serde(default)]
    pub duration_seconds: f64,
    /// Bytes of payload a second in that time.
    #[serde(default)]
    pub average_bytes_per_second: f64,
    /// Bytes of complete objects (export) or of appended payload (import); null where an older version began it.
    #[serde(default)]
    pub bytes_written: Option<u64>,
    /// Bytes of payload a second, at most; null for no limit.
    #[serde(default)]
    pub rate: Option<u64>,
    /// How long the source of an export keeps what is not read yet; not there where it drops nothing by itself, and
    /// once all is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// The run of a series that an export is; not there for one of no series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<ReportedRun>,
    /// How an import keeps its rhythm; not there where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// What an import's plan has found so far; not there once it is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planning: Option<FoundSoFar>,
    /// Entries of an import's source that are not imported, by reason.
    #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
    pub left_out: LeftOut,
    /// The plan's notes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A run of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedRun {
    /// The series.
    pub name: SeriesName,
    /// The number of the run, from 1.
    pub number: u32,
    /// The execution that began it.
    pub begun_by: String,
    /// The execution that ran it last.
    pub run_by: String,
}

/// The sources of an import that its plan has found so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FoundSoFar {
    /// Their number.
    pub sources: u64,
    /// Their bytes that are to be imported.
    pub bytes: u64,
}

/// Events that the target of an import cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredMisfits {
    /// How many, and why.
    #[serde(flatten)]
    pub misfits: Misfits,
    /// The folder that holds them, as an import takes it: JSON Lines as Sluice writes them.
    pub folder: String,
}

/// Events that the source had lost before they were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GapRange {
    /// The first event that is lost.
    pub from: Cut,
    /// Bytes of that event that arrived before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_byte: Option<u64>,
    /// The first one behind that is not.
    pub until: Cut,
}

/// Gaps that a report names.
const GAPS_NAMED: usize = 20;

/// Describes a transfer as it stands.
pub fn describe<'a>(engine: &'a Engine, id: &'a TransferId) -> Operation<'a, Report> {
    Box::pin(async move {
        let transfer = engine.transfer(id).await?;
        let shards = shard_records(engine, &transfer).await?;
        Ok(report(engine, &transfer, &shards))
    })
}

/// Some transfers, the youngest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfers {
    /// The current reports.
    pub reports: Vec<Report>,
    /// The number of other transfers.
    pub left_out: usize,
}

/// More than any store holds, and no number that one cannot take.
const ALL: usize = i32::MAX as usize;

/// Describes the youngest transfers, at most `limit`, that are in one of the states; in any where none is named.
pub async fn transfers(engine: &Engine, states: &[State], limit: usize) -> Result<Transfers, OperationError> {
    // Without a state to look for, one more than asked for would tell that there are more, but not how many.
    let mut found = engine.checkpoints().transfers(&of(states), ALL).await?;
    found.retain(|transfer| states.is_empty() || states.contains(&state(transfer)));
    let left_out = found.len().saturating_sub(limit);
    found.truncate(limit);
    let mut reports = Vec::with_capacity(found.len());
    for transfer in found {
        let shards = shard_records(engine, &transfer).await?;
        reports.push(report(engine, &transfer, &shards));
    }
    Ok(Transfers { reports, left_out })
}

/// The state that reports show. A plan that was asked to rest shows as paused: no execution goes on with it.
fn state(transfer: &TransferRecord) -> State {
    match (transfer.state, transfer.wanted) {
        (State::Preparing, Wanted::Paused) => State::Paused,
        (state, _) => state,
    }
}

/// The states on record of transfers that reports show in one of these.
fn of(states: &[State]) -> Vec<State> {
    let rests = states.contains(&State::Paused) && !states.contains(&State::Preparing);
    states.iter().copied().chain(rests.then_some(State::Preparing)).collect()
}

fn report(engine: &Engine, transfer: &TransferRecord, shards: &[ShardRecord]) -> Report {
    let totals = totals(transfer, shards, transfer.state);
    let (from, to) = ends(&transfer.config);
    let runs = matches!(transfer.state, State::Transferring | State::Verifying);
    let active = || shards.iter().filter(|shard| shard.owner.is_some() && !shard.is_drained());
    let bytes_per_second = if runs { active().fold(0.0, |sum, shard| sum + shard.pace.bytes_per_second) } else { 0.0 };
    // While it is planned some records are not made yet.
    let all_there = shards.len() == transfer.shards.len() || !transfer.state.is_active();
    let done = all_there && !shards.is_empty() && shards.iter().all(ShardRecord::is_drained);
    let progress = progress(transfer, shards, done);
    let now = engine.clock.now();
    let worked_millis = transfer.worked_millis(now);
    Report {
        id: transfer.id.clone(),
        kind: transfer.kind,
        state: state(transfer),
        events: totals.moved.events,
        bytes: totals.moved.bytes,
        objects: totals.objects,
        slices: totals.slices,
        progress,
        eta_seconds: if runs && !done { time_left(transfer, shards, progress, bytes_per_second, now) } else { None },
        lag_seconds: lag_seconds(transfer, shards, now),
        cut: cut(shards),
        manifest: manifest(engine, transfer),
        error: transfer.failure.clone(),
        from,
        to,
        bytes_per_second,
        gaps: totals.gaps,
        gap_ranges: shards.iter().flat_map(gaps).take(GAPS_NAMED).collect(),
        lacking: lacking(&transfer.config, shards),
        misfits: misfits(engine, &transfer.config, shards),
        aggregates: shards.iter().map(aggregates).sum(),
        created_at: transfer.created_at.to_string(),
        ended_at: (!state(transfer).is_active()).then(|| transfer.updated_at.to_string()),
        duration_seconds: worked_millis as f64 / 1_000.0,
        average_bytes_per_second: average(totals.moved.bytes, worked_millis),
        bytes_written: shards.iter().map(ShardRecord::written).sum(),
        rate: transfer.rate(),
        retention: retention(transfer, shards, now),
        series: series(transfer),
        replay: replay(transfer, shards, now),
        planning: transfer.planning.as_ref().map(|found| FoundSoFar { sources: found.sources, bytes: found.bytes }),
        left_out: transfer.left_out.clone(),
        notes: transfer.notes.clone(),
    }
}

fn series(transfer: &TransferRecord) -> Option<ReportedRun> {
    let Config::Export(config) = &transfer.config else { return None };
    let run = config.series.as_ref()?;
    let (begun_by, run_by) = (run.execution.clone(), transfer.execution.clone());
    Some(ReportedRun { name: run.series.clone(), number: run.number, begun_by, run_by })
}

/// To whole bytes, so that it reads back as it was.
fn average(bytes: u64, millis: u64) -> f64 {
    (bytes as f64 * 1_000.0 / millis.max(1) as f64).round()
}

fn gaps(shard: &ShardRecord) -> impl Iterator<Item = GapRange> {
    let destinations = match &shard.work {
        Work::Export(destinations) => Some(destinations.values()),
        Work::Import(_) => None,
    };
    destinations.into_iter().flatten().flat_map(|destination| &destination.gaps).map(|gap| GapRange {
        from: Cut::of(shard.shard.clone(), gap.from.position.clone()),
        from_byte: (gap.from.offset > 0).then_some(gap.from.offset),
        until: Cut::of(shard.shard.clone(), gap.until.position.clone()),
    })
}

/// Aggregates in what is complete.
fn aggregates(shard: &ShardRecord) -> Aggregates {
    match &shard.work {
        Work::Export(work) => work.values().map(|destination| destination.aggregates).next().unwrap_or_default(),
        Work::Import(_) => Aggregates::default(),
    }
}

/// What the records of an import lack, if fields of them were named.
fn lacking(config: &Config, shards: &[ShardRecord]) -> Option<Lacking> {
    let Config::Import(ImportConfig { foreign: Some(files), .. }) = config else { return None };
    let of = |shard: &ShardRecord| match &shard.work {
        Work::Import(import) => import.lacking,
        Work::Export(_) => Lacking::default(),
    };
    (!files.fields.is_empty()).then(|| shards.iter().map(of).sum())
}

/// What the target of an import cannot hold, and where it is stored.
fn misfits(engine: &Engine, config: &Config, shards: &[ShardRecord]) -> Option<StoredMisfits> {
    let Config::Import(config) = config else { return None };
    let all: Vec<Misfits> = shards.iter().map(ShardRecord::misfits).collect();
    let misfits: Misfits = all.iter().sum();
    let key = format!("{}/{}", config.folder(), ObjectKeys::MISFITS);
    (!misfits.is_none()).then(|| StoredMisfits { misfits, folder: engine.places().object(&config.work, &key) })
}

fn manifest(engine: &Engine, transfer: &TransferRecord) -> Option<String> {
    let key = &transfer.manifest.as_ref()?.key;
    let bucket = match &transfer.config {
        Config::Export(config) => &config.destinations.values().next()?.bucket,
        Config::Import(config) => &config.work,
    };
    Some(engine.places().object(bucket, key))
}

fn ends(config: &Config) -> (String, String) {
    let pair = |stream: &StreamUri, bucket: &BucketUri| (stream.to_string(), bucket.to_string());
    match config {
        Config::Export(config) => {
            let to: Vec<_> = config.destinations.values().map(|destination| destination.bucket.to_string()).collect();
            (config.stream.to_string(), to.join(", "))
        }
        Config::Import(config) => {
            let (stream, bucket) = pair(&config.stream, &config.bucket);
            (bucket, stream)
        }
    }
}

/// Where a transfer is in its stream. The shards that continue an import's target shard are told, too; several may have
/// put events into one of them.
fn cut(shards: &[ShardRecord]) -> Cut {
    let mut cut = BTreeMap::<ShardId, Position>::new();
    let mut reach = |shard: &ShardId, at: &Position| {
        let known = cut.entry(shard.clone()).or_default();
        *known = at.clone().max(std::mem::take(known));
    };
    for shard in shards {
        reach(&shard.shard, &reached(shard));
        if let Work::Import(import) = &shard.work {
            import.continued.iter().for_each(|(continued, tail)| reach(continued, tail));
        }
    }
    Cut(cut)
}

fn reached(shard: &ShardRecord) -> Position {
    match &shard.work {
        Work::Export(destinations) => {
            destinations.values().map(|destination| destination.sealed.position.clone()).min().unwrap_or_default()
        }
        Work::Import(import) => import.tail.clone(),
    }
}

/// Share of what was counted, or, where a source cannot count, the shards' shares by sequence numbers in the mean. A
/// drained shard is done whatever was expected of it.
fn progress(transfer: &TransferRecord, shards: &[ShardRecord], done: bool) -> Option<f64> {
    if done {
        return Some(1.0);
    }
    if shards.len() < transfer.shards.len() || shards.is_empty() {
        return Some(0.0);
    }
    let Some((moved, whole)) = counted(shards, transfer.state) else { return in_the_mean(shards) };
    Some(if whole > 0.0 { moved / whole } else { 0.0 })
}

/// What moved and what is to move; none if a shard's source cannot count.
fn counted(shards: &[ShardRecord], state: State) -> Option<(f64, f64)> {
    let (mut moved, mut whole) = (0.0, 0.0);
    for shard in shards {
        // An event counts as a byte, so that empty ones count.
        let all = weight(shard.expected?);
        whole += all;
        let done = arrived(shard, state) + shard.misfits().counts();
        moved += if shard.is_drained() { all } else { weight(done).min(all) };
    }
    Some((moved, whole))
}

fn weight(counts: Counts) -> f64 {
    (counts.bytes + counts.events) as f64
}

/// None until something has moved.
fn in_the_mean(shards: &[ShardRecord]) -> Option<f64> {
    let share = |shard: &ShardRecord| {
        if shard.is_drained() {
            return Some(1.0);
        }
        match shard.expected {
            Some(all) if weight(all) > 0.0 => Some((weight(shard.moved()) / weight(all)).min(1.0)),
            Some(_) => None,
            None => shard.share.as_ref().map(|share| share.done),
        }
    };
    let known: Vec<f64> = shards.iter().filter_map(share).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / shards.len() as f64)
}

/// An import in rhythm ends when its last event is due, all else once its bytes have moved.
fn time_left(
    transfer: &TransferRecord,
    shards: &[ShardRecord],
    progress: Option<f64>,
    rate: f64,
    now: Timestamp,
) -> Option<u64> {
    let at_this_rate = eta(shards, progress, rate);
    match transfer.rhythm() {
        Some(_) => seconds_left(transfer, shards, progress, at_this_rate, now),
        None => at_this_rate,
    }
}

/// Bytes to go at the present rate. Where a source cannot count, what is left is to what moved as the shares are.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
fn eta(shards: &[ShardRecord], progress: Option<f64>, rate: f64) -> Option<u64> {
    if rate < 1.0 {
        return None;
    }
    let left: Option<u64> = shards
        .iter()
        .filter(|shard| !shard.is_drained())
        .map(|shard| shard.expected.map(|expected| expected.bytes.saturating_sub(shard.moved().bytes)))
        .sum();
    let moved: u64 = shards.iter().map(|shard| shard.moved().bytes).sum();
    let estimated = || progress.filter(|done| *done > 0.0).map(|done| moved as f64 * (1.0 - done) / done);
    left.map(|bytes| bytes as f64).or_else(estimated).map(|bytes| (bytes / rate).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use sluice_transfer::Range;
    use sluice_transfer::record::{ImportRecord, Share};

    use super::*;

    fn shard(expected: Option<Counts>, share: Option<f64>, moved: u64) -> ShardRecord {
        let mut import = ImportRecord::new(1, Position::Beginning, 0);
        import.counts = Counts::new(0, moved);
        let range = Range { from: Position::Beginning, until: Position::End };
        let work = Work::Import(Box::new(import));
        let mut record = ShardRecord::new("t".parse().unwrap(), "0".parse().unwrap(), range, expected, work);
        record.share = share.map(|done| Share { since: None, done });
        record
    }

    fn drained() -> ShardRecord {
        ShardRecord { work: Work::Export(BTreeMap::new()), ..shard(None, None, 0) }
    }

    #[test]
    fn where_a_source_cannot_count_the_shards_count_alike() {
        let half = shard(Some(Counts::new(0, 200)), None, 100);
        for (shards, expected) in [
            (vec![shard(None, None, 0), shard(None, None, 0)], None),
            (vec![shard(None, Some(0.5), 7), shard(None, None, 0)], Some(0.25)),
            (vec![shard(None, Some(0.5), 7), drained()], Some(0.75)),
            (vec![shard(None, Some(0.25), 7), half.clone()], Some(0.375)),
        ] {
            assert_eq!(counted(&shards, State::Transferring), None);
            assert_eq!(in_the_mean(&shards), expected);
        }
        assert_eq!(counted(&[half], State::Transferring), Some((100.0, 200.0)));
    }

    #[test]
    fn the_time_remaining_is_told_from_the_share_where_nothing_is_counted() {
        let counted = [shard(Some(Counts::new(0, 300)), None, 100)];
        assert_eq!(eta(&counted, Some(0.3), 10.0), Some(20));
        // 100 bytes were a quarter, so 300 are left.
        let uncounted = [shard(None, Some(0.25), 100)];
        assert_eq!(eta(&uncounted, Some(0.25), 10.0), Some(30));
        assert_eq!(eta(&uncounted, Some(0.25), 0.5), None, "nothing moves");
        assert_eq!(eta(&uncounted, Some(0.0), 10.0), None, "nothing is known");
        assert_eq!(eta(&uncounted, None, 10.0), None);
    }
}
