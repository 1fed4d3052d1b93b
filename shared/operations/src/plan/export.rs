//! Planning an export: bounds, sizes, destination.

use sluice_ports::{Capabilities, ErrorKind, ShardInfo, StreamInfo, StreamStore};
use sluice_transfer::limits::{LARGEST_OBJECT, PARTS_PER_OBJECT, SHARDS};
use sluice_transfer::record::{Config, DestinationConfig, DestinationRecord, ExportConfig, ShardRecord, Work};
use sluice_transfer::{
    Cut, DestinationName, Encoding, ExportRequest, LeftOut, ObjectKeys, Position, PositionSpec, Range, ShardId,
    Timestamp, TransferId,
};

use super::notes::Notes;
use super::resolved::{Resolved, unknown_stream};
use crate::engine::{Engine, Settings};
use crate::error::{Code, OperationError};

/// Encoded bytes of an object, unless told otherwise.
const OBJECT_SIZE: u64 = 256 << 20;
/// Encoded bytes of a part, unless told otherwise or an object needs larger ones.
const PART_SIZE: u64 = 8 << 20;

pub(super) async fn resolve(
    engine: &Engine,
    id: &TransferId,
    request: &ExportRequest,
) -> Result<Resolved, OperationError> {
    let (bucket, prefix) = engine.places.bucket(&request.to).await?;
    let capabilities = engine.persist(async || bucket.capabilities().await).await?;
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
    let root = ObjectKeys::new(&prefix, id).whole(ObjectKeys::root());
    if engine.persist(async || bucket.head(&root).await).await?.is_some() {
        return Err(OperationError::new(
            Code::ForeignObject,
            format!("{root} in {} is the manifest of another export: choose another id or prefix", request.to),
        ));
    }
    let Encoding { format, compression } = Encoding::resolve(request.format, request.compression)
        .map_err(|error| OperationError::new(Code::OutOfRange, error.to_string()))?;
    let destination =
        DestinationConfig { bucket: request.to.clone(), prefix, format, compression, part_size, object_size };
    let config = ExportConfig {
        stream: request.stream.clone(),
        destinations: [(DestinationName::only(), destination)].into(),
        rate: request.rate,
    };
    let (shards, notes) = shards(engine, id, request, &config).await?;
    Ok(Resolved { config: Config::Export(config), shards, left_out: LeftOut::default(), notes })
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

/// The shards' records, their bounds resolved now.
pub(super) async fn shards(
    engine: &Engine,
    id: &TransferId,
    request: &ExportRequest,
    config: &ExportConfig,
) -> Result<(Vec<ShardRecord>, Notes), OperationError> {
    let stream = engine.places.stream(&config.stream).await?;
    let info = match engine.persist(async || stream.describe().await).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(unknown_stream(&config.stream));
        }
        answer => answer?,
    };
    if info.shards.len() > SHARDS {
        let found = info.shards.len();
        return Err(OperationError::new(
            Code::OutOfRange,
            format!("{} has {found} shards; this version takes {SHARDS} in one transfer", config.stream),
        ));
    }
    let from = request.from.clone().unwrap_or(PositionSpec::Earliest);
    let until = request.until.clone().unwrap_or(PositionSpec::Latest);
    let window = Window::of(request, engine.clock.now())?;
    let mut notes = Notes::default();
    let starts = bounds(engine, &*stream, &info, "from", &from).await?;
    let ends = bounds(engine, &*stream, &info, "until", &until).await?;
    let mut records = Vec::with_capacity(info.shards.len());
    for ((shard, start), end) in info.shards.iter().zip(starts).zip(ends) {
        check_order(shard, request, start.as_ref(), end.as_ref(), &mut notes)?;
        let start = start.unwrap_or_else(|| shard.earliest.clone());
        let end = end.unwrap_or_else(|| shard.tail.clone());
        // An end behind the tail is the tail: an export is bounded by what is there. An end in front of the start
        // is an empty range.
        let range = Range { until: end.min(shard.tail.clone()).max(start.clone()), from: start };
        window.note_strays(engine, &*stream, shard, &range, &mut notes).await?;
        let expected = engine.persist(async || stream.measure(&shard.shard, &range).await).await?;
        let destinations =
            config.destinations.keys().map(|name| (name.clone(), DestinationRecord::new(range.from.clone()))).collect();
        records.push(ShardRecord::new(id.clone(), shard.shard.clone(), range, expected, Work::Export(destinations)));
    }
    Ok((records, notes))
}

/// The bounds of an export that are times.
struct Window {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Window {
    /// `OutOfRange` if nothing can lie between the bounds, whatever the stream holds.
    fn of(request: &ExportRequest, now: Timestamp) -> Result<Self, OperationError> {
        let time = |spec: &Option<PositionSpec>| match spec {
            Some(PositionSpec::Time(time)) => Some(*time),
            Some(PositionSpec::Ago(millis)) => Some(now.minus_millis(*millis)),
            _ => None,
        };
        let refuse = |what: String| Err(OperationError::new(Code::OutOfRange, what));
        let window = Self { from: time(&request.from), until: time(&request.until) };
        match (window.from, window.until) {
            (Some(from), Some(until)) if from >= until => {
                refuse(format!("from: nothing lies between {from} and {until}: from is to be the earlier one"))
            }
            _ if request.from == Some(PositionSpec::Latest) => refuse(
                "from: nothing lies behind latest: an export ends where the stream ends when it is planned".to_owned(),
            ),
            _ if request.until == Some(PositionSpec::Earliest) => {
                refuse("until: nothing lies in front of earliest".to_owned())
            }
            _ => Ok(window),
        }
    }

    /// Says it where times are out of order at the edges. A range is one stretch of positions: from the first event of
    /// `from` or later up to the first of `until` or later. So ranges that follow each other have every event once.
    async fn note_strays(
        &self,
        engine: &Engine,
        stream: &dyn StreamStore,
        shard: &ShardInfo,
        range: &Range,
        notes: &mut Notes,
    ) -> Result<(), OperationError> {
        let count = async |range: Range, time: Timestamp| {
            engine.persist(async || stream.count_before(&shard.shard, &range, time).await).await
        };
        let name = &shard.shard;
        if let Some(from) = self.from
            && let Some(early @ 1..) = count(range.clone(), from).await?
        {
            notes.push(format!(
                "shard {name}: times are out of order: {early} events behind the first one of {from} or later are earlier, \
                 and are exported too"
            ));
        }
        let behind = Range { from: range.until.clone(), until: shard.tail.clone() };
        if let Some(until) = self.until
            && let Some(before) = count(behind.clone(), until).await?
        {
            let outside = match self.from {
                Some(from) => count(behind, from).await?.unwrap_or_default(),
                None => 0,
            };
            let late = before.saturating_sub(outside);
            if late > 0 {
                notes.push(format!(
                    "shard {name}: times are out of order: {late} events behind the first one of {until} or later are \
                     earlier, and are not exported"
                ));
            }
        }
        Ok(())
    }
}

/// Refuses bounds that contradict each other in a shard, and says where one lies outside of what is there.
fn check_order(
    shard: &ShardInfo,
    request: &ExportRequest,
    start: Option<&Position>,
    end: Option<&Position>,
    notes: &mut Notes,
) -> Result<(), OperationError> {
    let name = &shard.shard;
    let said = |spec: &Option<PositionSpec>| spec.as_ref().map(ToString::to_string).unwrap_or_default();
    let numbered = matches!(request.until, Some(PositionSpec::Sequence { .. } | PositionSpec::Cut(_)));
    match (start, end) {
        (Some(start), Some(end)) if request.from.is_some() && request.until.is_some() && start > end => {
            Err(OperationError::new(
                Code::OutOfRange,
                format!(
                    "from: {} lies behind until, {}, in shard {name} ({start} and {end}): nothing lies between",
                    said(&request.from),
                    said(&request.until)
                ),
            ))
        }
        (_, Some(end)) if *end < shard.earliest && shard.earliest < shard.tail => {
            notes.push(format!(
                "shard {name}: until lies in front of the first event that is still there, {}: nothing is exported",
                shard.earliest
            ));
            Ok(())
        }
        (_, Some(end)) if numbered && *end > shard.tail => {
            notes.push(format!("shard {name}: until lies behind the stream's end: the export ends at {}", shard.tail));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What a bound means for each shard of a stream, in their order; none where it does not bound it. `field` is what
/// messages call it.
pub async fn bounds(
    engine: &Engine,
    stream: &dyn StreamStore,
    info: &StreamInfo,
    field: &str,
    spec: &PositionSpec,
) -> Result<Vec<Option<Position>>, OperationError> {
    check_shards(field, spec, &info.shards.iter().map(|shard| &shard.shard).collect::<Vec<_>>())?;
    let now = engine.clock.now();
    let mut positions = Vec::with_capacity(info.shards.len());
    for shard in &info.shards {
        positions.push(position(engine, stream, shard, spec, now).await?);
    }
    Ok(positions)
}

/// What a bound means for a shard; none if it does not bound it.
async fn position(
    engine: &Engine,
    stream: &dyn StreamStore,
    shard: &ShardInfo,
    spec: &PositionSpec,
    now: Timestamp,
) -> Result<Option<Position>, OperationError> {
    let at =
        |time: Timestamp| async move { engine.persist(async || stream.position_at(&shard.shard, time).await).await };
    Ok(match spec {
        PositionSpec::Earliest => Some(shard.earliest.clone()),
        PositionSpec::Latest => Some(shard.tail.clone()),
        PositionSpec::Time(time) => Some(at(*time).await?),
        PositionSpec::Ago(millis) => Some(at(now.minus_millis(*millis)).await?),
        PositionSpec::Sequence { shard: named, sequence } => {
            (*named == shard.shard).then(|| Position::before(sequence))
        }
        PositionSpec::Cut(Cut(positions)) => positions.get(&shard.shard).cloned(),
    })
}

/// Shards that a message names.
const SHOWN: usize = 20;

/// A bound that names a shard must name one that is there.
pub(super) fn check_shards(field: &str, spec: &PositionSpec, shards: &[&ShardId]) -> Result<(), OperationError> {
    let named: Vec<&ShardId> = match spec {
        PositionSpec::Sequence { shard, .. } => vec![shard],
        PositionSpec::Cut(cut) => cut.0.keys().collect(),
        _ => Vec::new(),
    };
    match named.into_iter().find(|name| !shards.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let there: Vec<_> = shards.iter().take(SHOWN).map(ToString::to_string).collect();
            let more = shards.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Err(OperationError::new(
                Code::NotFound,
                format!("{field}: there is no shard '{name}', but {}{more}", there.join(", ")),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(object: Option<u64>, part: Option<u64>, smallest_part: u64) -> Result<(u64, u64), String> {
        let request = ExportRequest {
            stream: "local:a".parse().unwrap(),
            to: "dir:b".parse().unwrap(),
            format: None,
            compression: None,
            from: None,
            until: None,
            object_size: object,
            part_size: part,
            rate: None,
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
    fn of_many_shards_some_are_named_and_all_are_counted() {
        let shards: Vec<ShardId> = (0..1_000).map(|n| format!("s{n}").parse().unwrap()).collect();
        let refused = check_shards("from", &"x@1".parse().unwrap(), &shards.iter().collect::<Vec<_>>()).unwrap_err();
        assert!(refused.message.ends_with("s18, s19 and 980 more") && refused.message.len() < 300, "{refused}");
    }

    #[test]
    fn bounds_with_nothing_between_are_refused_before_a_stream_is_asked() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let window = |from: &str, until: &str| {
            let spec = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
            let request = ExportRequest {
                stream: "local:a".parse().unwrap(),
                to: "dir:b".parse().unwrap(),
                format: None,
                compression: None,
                from: spec(from),
                until: spec(until),
                object_size: None,
                part_size: None,
                rate: None,
            };
            Window::of(&request, now).map(drop).map_err(|error| (error.code, error.message))
        };
        for (from, until) in
            [("", ""), ("ago:2h", "ago:1h"), ("ago:1h", ""), ("", "ago:1h"), ("0@5", "0@3"), ("", "latest")]
        {
            assert_eq!(window(from, until), Ok(()), "{from} {until}");
        }
        for (from, until) in [
            ("ago:1h", "ago:2h"),
            ("ago:1h", "2026-11-22T11:00:00Z"),
            ("2026-11-22T11:00:00Z", "2026-11-22T10:00:00Z"),
            ("latest", ""),
            ("", "earliest"),
        ] {
            let (code, message) = window(from, until).unwrap_err();
            assert_eq!(code, Code::OutOfRange, "{from} {until}");
            assert!(message.contains("nothing lies"), "{message}");
        }
    }
}
