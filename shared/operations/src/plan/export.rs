//! Planning an export: bounds, sizes, destination.

use sluice_ports::{Capabilities, ErrorKind, ShardInfo, StreamInfo, StreamStore};
use sluice_transfer::limits::{LARGEST_OBJECT, PARTS_PER_OBJECT, SHARDS};
use sluice_transfer::record::{Config, DestinationConfig, DestinationRecord, ExportConfig, ShardRecord, Work};
use sluice_transfer::{
    Cut, DestinationName, Encoding, ExportRequest, ObjectKeys, Position, PositionSpec, Range, ShardId, Timestamp,
    TransferId,
};

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
    let shards = shards(engine, id, request, &config).await?;
    Ok(Resolved { config: Config::Export(config), shards })
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
) -> Result<Vec<ShardRecord>, OperationError> {
    let stream = engine.places.stream(&config.stream).await?;
    let info = match engine.persist(async || stream.describe().await).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(unknown_stream(
                &config.stream,
                "; check its name, account and region; `sluice streams` lists the local ones",
            ));
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
    let starts = bounds(engine, &*stream, &info, "from", &from).await?;
    let ends = bounds(engine, &*stream, &info, "until", &until).await?;
    let mut records = Vec::with_capacity(info.shards.len());
    for ((shard, start), end) in info.shards.iter().zip(starts).zip(ends) {
        let start = start.unwrap_or_else(|| shard.earliest.clone());
        let end = end.unwrap_or_else(|| shard.tail.clone());
        // An end behind the tail is the tail: an export is bounded by what is there. An end in front of the start
        // is an empty range.
        let range = Range { until: end.min(shard.tail.clone()).max(start.clone()), from: start };
        let expected = engine.persist(async || stream.measure(&shard.shard, &range).await).await?;
        let destinations =
            config.destinations.keys().map(|name| (name.clone(), DestinationRecord::new(range.from.clone()))).collect();
        records.push(ShardRecord::new(id.clone(), shard.shard.clone(), range, expected, Work::Export(destinations)));
    }
    Ok(records)
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
            let there: Vec<_> = shards.iter().take(20).map(ToString::to_string).collect();
            Err(OperationError::new(
                Code::NotFound,
                format!("{field}: there is no shard '{name}', but {}", there.join(", ")),
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
    }
}
