//! Planning an export: bounds, sizes, destination.

use std::collections::BTreeMap;

use sluice_ports::{Capabilities, ErrorKind, ListedShard, ShardInfo, StreamFacts, StreamListing, StreamReader};
use sluice_transfer::limits::{LARGEST_OBJECT, PARTS_PER_OBJECT, SHARDS};
use sluice_transfer::record::{
    Config, DestinationConfig, DestinationRecord, ExportConfig, ShardRecord, TimeBounds, Work,
};
use sluice_transfer::{
    Cut, DestinationName, Encoding, ExportRequest, LeftOut, ObjectKeys, Position, PositionSpec, Range, ReadMode,
    ReadShare, ReadShareError, SeriesRun, ShardId, Timestamp, TransferId, are, counted, parents_first,
};

use super::bounds::{check_bounds, check_ends, check_order, check_shards, check_whole, position, time_of};
use super::headroom::Slowest;
use super::notes::Notes;
use super::resolved::{Resolved, unknown_stream};
use crate::engine::{Engine, Settings};
use crate::error::{Code, OperationError};
use crate::export::target::{same_source, source};
use crate::series::{PlannedRun, planned_notes, same_stream};

/// Encoded bytes of an object, unless told otherwise.
const OBJECT_SIZE: u64 = 256 << 20;
/// Encoded bytes of a part, unless told otherwise or an object needs larger ones.
const PART_SIZE: u64 = 8 << 20;

/// What to do where a number lies behind the stream's end.
const MADE_ANEW: &str = "It was perhaps made anew: then export it from earliest, under a new id";

pub(super) async fn resolve(
    engine: &Engine,
    id: &TransferId,
    request: &ExportRequest,
    execution: &str,
) -> Result<Resolved, OperationError> {
    let reader = reader(engine, id, request).await?;
    let (bucket, prefix) = engine.places().bucket(&request.to).await?;
    let capabilities = bucket.capabilities().await?;
    if !capabilities.create_only {
        return Err(OperationError::new(
            Code::Invalid,
            format!("{} cannot create an object only where there is none, so nothing is safe there", request.to),
        ));
    }
    let (part_size, object_size) = sizes(request, capabilities, &engine.settings)?;
    if request.rate == Some(0) {
        return Err(OperationError::new(Code::OutOfRange, "rate: at least 1 byte a second"));
    }
    if request.read_share.is_some_and(|share| !share.is_enough()) {
        return Err(OperationError::new(Code::OutOfRange, format!("readShare: {ReadShareError}")));
    }
    let root = ObjectKeys::new(&prefix, id).whole(ObjectKeys::root());
    if bucket.head(&root).await?.is_some() {
        return Err(OperationError::new(
            Code::ForeignObject,
            format!("{root} in {} is the manifest of another export: choose another id or prefix", request.to),
        ));
    }
    let Encoding { format, compression } = Encoding::resolve(request.format, request.compression)
        .map_err(|error| OperationError::new(Code::OutOfRange, error.to_string()))?;
    let destination =
        DestinationConfig { bucket: request.to.clone(), prefix, format, compression, part_size, object_size };
    let mut config = ExportConfig {
        rate: request.rate,
        deaggregate: request.deaggregate,
        read_share: Some(request.read_share.unwrap_or(engine.settings.read_share)),
        reader,
        ..ExportConfig::new(request.stream.clone(), [(DestinationName::only(), destination)].into())
    };
    let planned = PlannedRun::of(engine, id, request, execution).await?;
    config.series = planned.as_ref().map(PlannedRun::run);
    let Found { shards, facts, mut notes } = shards(engine, id, request, &config).await?;
    config.by_time = shards.iter().any(|shard| shard.times.is_some());
    (config.source_created, config.retention_millis) = (facts.created, facts.retention_millis);
    let shares = facts.limits.is_some() && config.reader.is_none();
    config.read_share = config.read_share.filter(|_| shares);
    if let (Some(planned), Some(run)) = (planned, config.series.take()) {
        let names: Vec<_> = shards.iter().map(|shard| shard.shard.clone()).collect();
        let hole = run.hole(&names, facts.retention_millis, engine.clock.now());
        // The last thing that a plan does before the transfer is on record: what is refused begins no run.
        let run = planned.begin(SeriesRun { source_created: facts.created, hole, ..*run }).await?;
        notes.extend(planned_notes(&run));
        config.series = Some(run);
    }
    Ok(Resolved { config: Config::Export(config), shards, left_out: LeftOut::default(), notes })
}

/// The name of the export's own reader, if it asks for one. `Invalid` where the source registers none.
async fn reader(engine: &Engine, id: &TransferId, request: &ExportRequest) -> Result<Option<String>, OperationError> {
    if request.read != Some(ReadMode::Fanout) {
        return Ok(None);
    }
    let stream = engine.places().stream(&request.stream).await?;
    let name = stream.reader_name(id, &request.to.to_string());
    name.map(Some).ok_or_else(|| {
        let what = format!("read: {} has no enhanced fan-out, which Kinesis has: read it by polling", request.stream);
        OperationError::new(Code::Invalid, what)
    })
}

/// Part and object size, checked against what the bucket takes.
fn sizes(request: &ExportRequest, bucket: Capabilities, settings: &Settings) -> Result<(u64, u64), OperationError> {
    let refuse = |what: String| Err(OperationError::new(Code::OutOfRange, what));
    let (largest, way_out) = (settings.largest_part, settings.hints.larger_parts);
    let object = request.object_size.unwrap_or(OBJECT_SIZE);
    if object == 0 || object > LARGEST_OBJECT {
        return refuse(format!("objectSize: {object} bytes; it must be 1 to {LARGEST_OBJECT}"));
    }
    // A default part grows with the object, so that any object size works by itself.
    let needed = object.div_ceil(PARTS_PER_OBJECT).next_multiple_of(1 << 20);
    let part = request.part_size.unwrap_or(PART_SIZE.max(needed)).min(object.max(request.part_size.unwrap_or(0)));
    if part == 0 || part > largest {
        return refuse(format!(
            "partSize: {part} bytes; it must be 1 to {largest}, since parts are held in memory: {way_out}"
        ));
    }
    if part < bucket.smallest_part && object > part {
        return refuse(format!(
            "partSize: {part} bytes; the bucket takes parts of at least {} bytes",
            bucket.smallest_part
        ));
    }
    let parts = object.div_ceil(part);
    if parts > PARTS_PER_OBJECT {
        return refuse(format!(
            "partSize: an object of {object} bytes would have {parts} parts of {part} bytes; S3 takes {PARTS_PER_OBJECT}: \
             use parts of at least {needed} bytes, or smaller objects"
        ));
    }
    Ok((part, object))
}

/// What the plan of an export finds in its source.
pub(super) struct Found {
    /// The shards' records.
    pub shards: Vec<ShardRecord>,
    /// What concerns the stream as a whole.
    pub facts: StreamFacts,
    /// What is to be said of the request.
    pub notes: Notes,
}

/// The shards' records. Their bounds are resolved now, or are times that reading resolves.
pub(super) async fn shards(
    engine: &Engine,
    id: &TransferId,
    request: &ExportRequest,
    config: &ExportConfig,
) -> Result<Found, OperationError> {
    let stream = source(&*engine.places(), config).await?;
    // Before the listing: a shard that is split off later gets only events that arrive later.
    let now = engine.clock.now();
    let listing = match stream.list().await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(unknown_stream(&config.stream));
        }
        answer => answer?,
    };
    same_source(config, listing.facts)?;
    let names: Vec<_> = listing.shards.iter().map(|shard| &shard.shard).collect();
    let request = &continued(config, request, &names);
    if let Some(run) = &config.series {
        same_stream(run, listing.facts)?;
    }
    if listing.shards.len() > SHARDS {
        let found = listing.shards.len();
        return Err(OperationError::new(
            Code::OutOfRange,
            format!("{} has {found} shards; this version takes {SHARDS} in one transfer", config.stream),
        ));
    }
    let window = Window::of(request, now)?;
    check_shards("from", &window.from, &names)?;
    check_shards("until", &window.until, &names)?;
    if !config.deaggregate {
        check_whole("from", &window.from, &names)?;
        check_whole("until", &window.until, &names)?;
    }
    let mut notes = Notes::default();
    window.note_retention(listing.facts.retention_millis, &mut notes);
    notes.extend(window.note_headroom(config, &listing));
    note_reader(request, config, listing.shards.len(), &mut notes);
    if request.read_share.is_some() && config.reader.is_none() && listing.facts.limits.is_none() {
        notes.push(format!("readShare: {} sets no limits for readers, so there is nothing to share", config.stream));
    }
    let mut records = Vec::with_capacity(listing.shards.len());
    let (mut holds, mut within) = (false, false);
    // So a reader of the manifest gets the events of a key in order.
    for place in parents_first(&listing.shards, |listed| (Some(&listed.shard), &listed.parents)) {
        let ListedShard { shard, parents, hashes, ends } = listing.shards[place].clone();
        let (range, times, expected) = if let Some((earliest, tail)) = ends {
            let info =
                ShardInfo { shard: shard.clone(), earliest, tail, parents: parents.clone(), hashes, closed: false };
            let range = range(&*stream, &info, request, &window, config, &mut notes).await?;
            holds |= info.earliest < info.tail;
            within |= range.from < info.tail;
            let expected = stream.measure(&info.shard, &range).await?;
            (range, None, expected)
        } else {
            let (range, mut times) = window.of_shard(&shard)?;
            if let Some(reached) = reached_before(config, &shard) {
                if range.from == Position::Beginning {
                    // Nothing of it is in the series: what is older was left out.
                    times.from = Some(reached);
                } else {
                    // Else an event behind a silence longer than the retention would seem to follow lost ones.
                    times.heard_nothing(&range.from, reached);
                }
            }
            (range, Some(times), None)
        };
        let destinations =
            config.destinations.keys().map(|name| (name.clone(), DestinationRecord::new(range.from.clone()))).collect();
        let record = ShardRecord::new(id.clone(), shard, range, expected, Work::Export(destinations));
        records.push(ShardRecord { times, parents, hashes, ..record });
    }
    if holds && !within {
        window.note_late(&mut notes);
    }
    Ok(Found { shards: records, facts: listing.facts, notes })
}

/// The request of a run of a series, which begins where the last one ended. A shard that is no longer listed has no
/// events any more; one that the last run did not know begins with its first event.
fn continued(config: &ExportConfig, request: &ExportRequest, listed: &[&ShardId]) -> ExportRequest {
    let Some(Cut(cut)) = config.series.as_ref().and_then(|run| run.from.clone()) else { return request.clone() };
    let there: BTreeMap<_, _> = cut.into_iter().filter(|(shard, _)| listed.contains(&shard)).collect();
    ExportRequest { from: (!there.is_empty()).then_some(PositionSpec::Cut(Cut(there))), ..request.clone() }
}

/// Of a run of a series: all that arrived in that shard before this time is in the runs before.
fn reached_before(config: &ExportConfig, shard: &ShardId) -> Option<Timestamp> {
    let run = config.series.as_ref()?;
    let is_continued = run.from.as_ref()?.0.contains_key(shard);
    run.previous.as_ref().filter(|_| is_continued)?.reached
}

/// Says what a reader of its own costs and what it spares others.
fn note_reader(request: &ExportRequest, config: &ExportConfig, shards: usize, notes: &mut Notes) {
    let Some(reader) = &config.reader else { return };
    notes.push(format!(
        "read: fanout: {} is read as the registered consumer {reader}. AWS charges for it: each hour of it for each of \
         {}, and each byte that it reads. It is removed when the export comes to rest or ends. Other readers are not \
         throttled",
        config.stream,
        counted(shards as u64, "shard"),
    ));
    if request.read_share.is_some() {
        notes.push(
            "readShare has no effect: an export by fanout takes nothing of the limits that readers share".to_owned(),
        );
    }
}

/// The bounds of a shard whose ends are known.
async fn range(
    stream: &dyn StreamReader,
    shard: &ShardInfo,
    request: &ExportRequest,
    window: &Window,
    config: &ExportConfig,
    notes: &mut Notes,
) -> Result<Range, OperationError> {
    check_ends("from", &window.from, std::slice::from_ref(shard), MADE_ANEW)?;
    let start = position(stream, shard, &window.from, window.now).await?;
    let end = position(stream, shard, &window.until, window.now).await?;
    if let (Some(from), Some(start), Some(until), Some(end)) = (&request.from, &start, &request.until, &end) {
        check_order((from, start), (until, end), &shard.shard)?;
    }
    note_ends(shard, request, end.as_ref(), notes);
    let start = start.unwrap_or_else(|| shard.earliest.clone());
    let end = end.unwrap_or_else(|| shard.tail.clone());
    // An end behind the tail is the tail: an export is bounded by what is there. An end in front of the start is an
    // empty range.
    let goes_on = config.series.as_ref().is_some_and(|run| run.from.is_some());
    if goes_on && start < shard.earliest {
        notes.push(format!(
            "shard {}: what lies between {start}, where the run before ended, and {} is gone: it is a gap",
            shard.shard, shard.earliest
        ));
    }
    let range = Range { until: end.min(shard.tail.clone()).max(start.clone()), from: start };
    window.note_strays(stream, shard, &range, notes).await?;
    Ok(range)
}

/// The bounds of an export, for all shards.
struct Window {
    /// Its beginning, as requested or by default.
    from: PositionSpec,
    /// Its end, as requested or by default.
    until: PositionSpec,
    /// The beginning, if it is a time.
    from_time: Option<Timestamp>,
    /// The end, if it is a time.
    until_time: Option<Timestamp>,
    /// The time of the plan.
    now: Timestamp,
}

impl Window {
    /// `OutOfRange` if nothing can lie between the bounds, whatever the stream holds.
    fn of(request: &ExportRequest, now: Timestamp) -> Result<Self, OperationError> {
        check_bounds(request.from.as_ref(), request.until.as_ref(), now)?;
        let time = |spec: &Option<PositionSpec>| spec.as_ref().and_then(|spec| time_of(spec, now));
        let refuse = |what: &str| Err(OperationError::new(Code::OutOfRange, what));
        let window = Self {
            from: request.from.clone().unwrap_or(PositionSpec::Earliest),
            until: request.until.clone().unwrap_or(PositionSpec::Latest),
            from_time: time(&request.from),
            until_time: time(&request.until),
            now,
        };
        match (&request.from, &request.until) {
            (Some(PositionSpec::Latest), _) => {
                refuse("from: nothing lies behind latest: an export ends where the stream ends when it is planned")
            }
            (_, Some(PositionSpec::Earliest)) => refuse("until: nothing lies in front of earliest"),
            _ => Ok(window),
        }
    }

    /// The bounds of a shard whose ends are not known: numbers if the request names numbers, else times. The time of
    /// the plan bounds it too: an export is bounded by what is there.
    fn of_shard(&self, shard: &ShardId) -> Result<(Range, TimeBounds), OperationError> {
        let (from, until) = (self.from.number_in(shard), self.until.number_in(shard));
        let range = Range { from: from.unwrap_or(Position::Beginning), until: until.unwrap_or(Position::End) };
        if let Some(from) = self.from_time.filter(|from| *from > self.now) {
            let what = format!("from: {from} lies in the future: nothing has arrived there");
            return Err(OperationError::new(Code::OutOfRange, what));
        }
        // Arrivals have whole milliseconds. What arrived in that of the plan belongs to it.
        let planned = Timestamp::from_millis(self.now.micros().div_euclid(1_000)).plus_millis(1);
        let until = self.until_time.map_or(planned, |until| until.min(planned));
        Ok((range, TimeBounds::new(self.from_time, until)))
    }

    /// Notes each bound that lies in front of the retained events.
    fn note_retention(&self, retention_millis: Option<u64>, notes: &mut Notes) {
        let Some(retention) = retention_millis else { return };
        let horizon = self.now.minus_millis(retention);
        let hours = counted(retention / 3_600_000, "hour");
        if let Some(from) = self.from_time.filter(|from| *from < horizon) {
            notes.push(format!(
                "from: the stream keeps events for {hours}: what arrived between {from} and {horizon} is gone"
            ));
        }
        if let Some(until) = self.until_time.filter(|until| *until <= horizon) {
            notes.push(format!("until: the stream keeps events for {hours}: nothing in front of {until} is left"));
        }
    }

    /// Says when retention overtakes the read at its slowest. Nothing is known of a beginning that is a number.
    fn note_headroom(&self, config: &ExportConfig, listing: &StreamListing) -> Option<String> {
        if self.from_time.is_none() && self.from != PositionSpec::Earliest {
            return None;
        }
        let until = self.until_time.map_or(self.now, |until| until.min(self.now));
        let (from, shards, rate) = (self.from_time, listing.shards.len(), config.rate);
        let shared = config.read_share.unwrap_or(ReadShare::HALF);
        let share = if config.reader.is_some() { ReadShare::ALL } else { shared };
        Slowest { from, until, shards, rate, share }.note(listing.facts, self.now)
    }

    /// Notes a beginning that is later than all events.
    fn note_late(&self, notes: &mut Notes) {
        if let Some(from) = self.from_time {
            notes.push(format!("from: {from} is later than all events of the stream: nothing is exported"));
        }
    }

    /// Says it where times are out of order at the edges. A range is one stretch of positions: from the first event of
    /// `from` or later up to the first of `until` or later. So ranges that follow each other have every event once.
    async fn note_strays(
        &self,
        stream: &dyn StreamReader,
        shard: &ShardInfo,
        range: &Range,
        notes: &mut Notes,
    ) -> Result<(), OperationError> {
        let count = async |range: Range, time: Timestamp| stream.count_before(&shard.shard, &range, time).await;
        let name = &shard.shard;
        if let Some(from) = self.from_time
            && let Some(early @ 1..) = count(range.clone(), from).await?
        {
            notes.push(format!(
                "shard {name}: times are out of order: {} behind the first one of {from} or later {are} earlier, and \
                 {are} exported too",
                counted(early, "event"),
                are = are(early)
            ));
        }
        let behind = Range { from: range.until.clone(), until: shard.tail.clone() };
        if let Some(until) = self.until_time
            && let Some(before) = count(behind.clone(), until).await?
        {
            let outside = match self.from_time {
                Some(from) => count(behind, from).await?.unwrap_or_default(),
                None => 0,
            };
            let late = before.saturating_sub(outside);
            if late > 0 {
                notes.push(format!(
                    "shard {name}: times are out of order: {} behind the first one of {until} or later {are} earlier, \
                     and {are} not exported",
                    counted(late, "event"),
                    are = are(late)
                ));
            }
        }
        Ok(())
    }
}

/// Notes an end outside the retained range.
fn note_ends(shard: &ShardInfo, request: &ExportRequest, end: Option<&Position>, notes: &mut Notes) {
    let name = &shard.shard;
    let numbered = matches!(request.until, Some(PositionSpec::Sequence { .. } | PositionSpec::Cut(_)));
    match end {
        Some(end) if *end <= shard.earliest && shard.earliest < shard.tail => notes.push(format!(
            "shard {name}: until lies in front of the first event that is still there, {}: nothing is exported",
            shard.earliest
        )),
        Some(end) if numbered && *end > shard.tail => {
            notes.push(format!("shard {name}: until lies behind the stream's end: the export ends at {}", shard.tail));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(object: Option<u64>, part: Option<u64>, smallest_part: u64) -> Result<(u64, u64), String> {
        let request = ExportRequest {
            object_size: object,
            part_size: part,
            ..ExportRequest::new("local:a".parse().unwrap(), "dir:b".parse().unwrap())
        };
        let bucket = Capabilities { create_only: true, smallest_part, attests_content: false };
        sizes(&request, bucket, &Settings::default()).map_err(|error| error.message)
    }

    #[test]
    fn sizes_that_fit() {
        assert_eq!(sized(None, None, 1), Ok((8 << 20, 256 << 20)));
        assert_eq!(sized(Some(1_000), None, 5 << 20), Ok((1_000, 1_000)));
        assert_eq!(sized(Some(10_000), Some(1), 1), Ok((1, 10_000)));
        // 1 TiB needs parts of 105 MiB, which are chosen where none are asked for.
        assert_eq!(sized(Some(1 << 40), None, 5 << 20), Ok((105 << 20, 1 << 40)));
    }

    #[test]
    fn sizes_that_do_not() {
        assert!(sized(Some(0), None, 1).unwrap_err().starts_with("objectSize: 0 bytes"));
        assert!(sized(None, Some(0), 1).unwrap_err().starts_with("partSize: 0 bytes"));
        assert!(sized(Some(10_001), Some(1), 1).unwrap_err().contains("10001 parts"));
        assert!(sized(Some(64 << 20), Some(1 << 20), 5 << 20).unwrap_err().contains("at least 5242880"));
        assert!(sized(Some(u64::MAX), None, 1).unwrap_err().starts_with("objectSize"));
        assert!(!sized(None, Some(0), 1).unwrap_err().contains("SliceMemory"), "only a host of functions has that");
    }

    #[test]
    fn bounds_with_nothing_between_are_refused_before_a_stream_is_asked() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let window = |from: &str, until: &str| {
            let spec = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
            let request = ExportRequest {
                from: spec(from),
                until: spec(until),
                ..ExportRequest::new("local:a".parse().unwrap(), "dir:b".parse().unwrap())
            };
            Window::of(&request, now).map(drop).map_err(|error| (error.code, error.message))
        };
        for (from, until) in
            [("", ""), ("ago:2h", "ago:1h"), ("ago:1h", ""), ("", "ago:1h"), ("0@5", "0@5"), ("", "latest")]
        {
            assert_eq!(window(from, until), Ok(()), "{from} {until}");
        }
        for (from, until) in [
            ("ago:1h", "ago:2h"),
            ("ago:1h", "2026-11-22T11:00:00Z"),
            ("2026-11-22T11:00:00Z", "2026-11-22T10:00:00Z"),
            ("0@5", "0@3"),
            ("cut:0@5,1@1", "1@0"),
            ("latest", ""),
            ("", "earliest"),
        ] {
            let (code, message) = window(from, until).unwrap_err();
            assert_eq!(code, Code::OutOfRange, "{from} {until}");
            assert!(message.contains("nothing lies"), "{message}");
        }
    }
}
