//! Planning an import: sources, target, reservation.

use std::sync::Arc;

use sluice_ports::{
    Appends, BucketStore, ErrorKind, Made, NewEvent, Reservation, ShardInfo, StreamAdmin, StreamInfo, StreamReader,
    StreamStore, WriterAnswer,
};
use sluice_transfer::limits::{EVENT_BYTES, MISFITS, SHARDS};
use sluice_transfer::manifest::SourceList;
use sluice_transfer::record::{Config, ImportConfig, ImportRecord, ShardRecord, TransferRecord, Work};
use sluice_transfer::{
    Compression, Counts, EventDigest, Format, ImportRequest, ObjectKeys, OnMisfit, Placement, Position, Range, Request,
    Rhythm, ShardId, State, StreamUri, Tempo, Timestamp, TransferId, Value, counted,
};

use super::foreign::Asked;
use super::keeping::{ListWriter, list_key};
use super::list::{Sources, Taken, write_root};
use super::order;
use super::placement::{place, shards_to_make};
use super::progress::{Stage, Unfinished};
use super::range::Bounds;
use super::resolved::Resolved;
use super::rhythm::{note, rhythm};
use super::sources::{Source, find};
use crate::ending::release;
use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::objects::get_document;

/// Bytes of an event where the source has none of its own, unless told otherwise or the target takes less.
const EVENT_SIZE: u64 = 1 << 20;
/// Room for a key, where such an event fills all that a target takes: its target may give it one (Kinesis: 256
/// characters at most; Kinesis Data Streams, API reference, `PutRecord`).
const KEY_ROOM: u64 = 256;
/// So long the description of the target holds that was made before the sources were listed, in milliseconds.
const SEEN_MILLIS: u64 = 60_000;
/// While a target is being made it is looked at once in so long, in milliseconds.
const CREATION_LOOK_MILLIS: u64 = 2_000;

/// A record of the transfer while its plan goes on. Its configuration is preliminary.
pub(super) async fn draft(
    engine: &Engine,
    id: &TransferId,
    request: &ImportRequest,
    execution: &str,
) -> Result<TransferRecord, OperationError> {
    let began = engine.clock.now();
    let config = ImportConfig {
        bucket: request.source.clone(),
        work: engine.places().work(),
        list: list_key(engine, id, began).await?,
        stream: request.stream.clone(),
        format: Format::Raw,
        compression: Compression::Plain,
        foreign: None,
        event_size: request.event_size.unwrap_or(EVENT_SIZE),
        largest_event: None,
        pack: request.pack,
        placement: None,
        order: None,
        on_misfit: request.on_misfit.unwrap_or_default(),
        time: began,
        rhythm: None,
        rate: request.rate,
    };
    let (request, config) = (Request::Import(request.clone()), Config::Import(config));
    Ok(TransferRecord::being_planned(id.clone(), execution.to_owned(), request, config, began))
}

/// Finds the sources, or goes on with that, and resolves the request once all are found. Answers the shards of the
/// target that take something, whose records are made later.
pub(super) async fn resolve(
    engine: &Engine,
    list: &mut ListWriter<'_>,
    id: &TransferId,
    request: &ImportRequest,
) -> Result<(Resolved, Vec<ShardId>), Unfinished> {
    check_sizes(request)?;
    let (bucket, path) = engine.places().source(&request.source).await?;
    let stream = engine.places().target(&request.stream).await?;
    let mut seen = None;
    if list.progress.stage == Stage::Start {
        // What is wrong with the target is said before all sources are looked at.
        seen = target(&*stream, request).await?.map(|info| (info, engine.clock.now()));
        if let Some((info, _)) = &seen {
            check_target(info, request, id)?;
            event_size(&*stream, info, request)?;
        }
    }
    let (asked, bounds) = (Asked::of(request)?, Bounds::of(request, list.began()));
    let source = Source { engine, bucket: &*bucket, path: &path, uri: &request.source, asked: &asked, bounds: &bounds };
    // Large, and once in a plan.
    let mut sources = Box::pin(find(&source, list)).await?;
    if !sources.are_cut() && (request.event_size.is_some() || request.pack) {
        let what =
            "eventSize and pack cut bytes into events; these sources hold events of their own, which stay as they are";
        return Err(OperationError::new(Code::Invalid, what).into());
    }
    let info = match seen.filter(|(_, at)| engine.clock.now().millis_since(*at) < SEEN_MILLIS) {
        Some((info, _)) => {
            check_shards(&sources)?;
            info
        }
        None => made_target(engine, &*stream, request, &mut sources, id).await?,
    };
    let on_misfit = request.on_misfit.unwrap_or_default();
    let (taken, notes) = place((request.placement, on_misfit), &sources, &info, &request.stream)?;
    sources.notes.extend(notes);
    let rhythm = in_rhythm(request, &sources, &taken)?;
    sources.notes.extend(rhythm.map(|rhythm| note(&rhythm, engine.clock.now())));
    sources.notes.extend(order::note(request.order, &*stream, &request.stream, taken.len()));
    if let Some(intake) = stream.intake()
        && let Some(retention) = stream.facts().await?.retention_millis
    {
        // What foreign files hold nobody knows.
        let counts = sources.shards.iter().filter_map(|shard| shard.counts).sum();
        let at_least = rhythm.and_then(|rhythm| rhythm.millis()).unwrap_or_default() / 1_000;
        sources.notes.extend(order::in_time(counts, intake, at_least, retention, &request.stream, taken.len())?);
    }
    let (folder, left_out) = (list.folder(), sources.left_out.clone());
    let bucket = sources.bucket.clone().unwrap_or_else(|| request.source.clone());
    let root = write_root(engine, id, &bucket, folder, &sources.shards, &taken, left_out).await?;
    let config = ImportConfig {
        bucket,
        work: engine.places().work(),
        list: root,
        stream: request.stream.clone(),
        format: sources.encoding.format,
        compression: sources.encoding.compression,
        foreign: sources.foreign,
        // Of a target that was made just now too, which told nothing before.
        event_size: event_size(&*stream, &info, request)?,
        largest_event: Some(info.largest_event),
        pack: request.pack || sources.joined,
        placement: placement(&*stream, &taken),
        order: order::resolved(request.order, &*stream),
        on_misfit,
        time: engine.clock.now(),
        rhythm,
        rate: request.rate,
    };
    if on_misfit == OnMisfit::Store {
        sources.notes.push(misfits(engine, &config, info.largest_event));
    }
    let (left_out, notes) = (sources.left_out, sources.notes);
    let shards = taken.into_iter().map(|one| one.shard).collect();
    Ok((Resolved { config: Config::Import(config), shards: Vec::new(), left_out, notes }, shards))
}

fn check_sizes(request: &ImportRequest) -> Result<(), OperationError> {
    if request.rate == Some(0) {
        return Err(OperationError::new(Code::OutOfRange, "rate: at least 1 byte a second"));
    }
    match request.event_size {
        Some(size) if size == 0 || size > EVENT_BYTES as u64 => {
            let what = format!("eventSize: {size} bytes; it must be 1 to {EVENT_BYTES}");
            Err(OperationError::new(Code::OutOfRange, what))
        }
        _ => Ok(()),
    }
}

fn check_shards(sources: &Sources) -> Result<(), OperationError> {
    let listed = sources.shards.len();
    if listed > SHARDS {
        let what = format!("the source has {listed} shards; this version takes {SHARDS} in one transfer");
        return Err(OperationError::new(Code::OutOfRange, what));
    }
    Ok(())
}

/// The rhythm that is asked for, in the shards that take the events.
fn in_rhythm(request: &ImportRequest, sources: &Sources, taken: &[Taken]) -> Result<Option<Rhythm>, OperationError> {
    let factor = request.pace.and_then(Tempo::factor);
    factor.map_or(Ok(None), |factor| rhythm(factor, sources, taken))
}

/// The note on events that the target cannot hold.
fn misfits(engine: &Engine, config: &ImportConfig, largest: u64) -> String {
    let folder = engine.places().object(&config.work, &format!("{}/{}", config.folder(), ObjectKeys::MISFITS));
    format!(
        "misfits: events that {} cannot hold, such as those of more than {largest} bytes, are stored in {folder}, at most \
         {MISFITS} for each shard of it",
        config.stream
    )
}

/// The placement as slices need to know it.
fn placement(stream: &dyn StreamStore, taken: &[Taken]) -> Option<Placement> {
    if taken.iter().any(|one| one.hashes.is_some()) {
        return Some(Placement::Key);
    }
    stream.promises().needs_keys.then_some(Placement::AsSource)
}

/// Bytes of an event where the source has none of its own: as told, if the target takes such an event.
fn event_size(stream: &dyn StreamStore, info: &StreamInfo, request: &ImportRequest) -> Result<u64, OperationError> {
    let largest = info.largest_event;
    let Some(size) = request.event_size else {
        return Ok(EVENT_SIZE.min(largest.saturating_sub(KEY_ROOM)).max(1));
    };
    let refused = |why: String| OperationError::new(Code::OutOfRange, format!("eventSize: {size} bytes; {why}"));
    let payload = Value::from(vec![0; usize::try_from(size).unwrap_or(usize::MAX)]);
    let event = NewEvent { time: Timestamp::default(), key: Value::Absent, headers: Vec::new(), payload };
    let kept = stream.as_stored(event).map_err(|error| refused(error.to_string()))?;
    if kept.size() > largest {
        let beside = kept.size() - size;
        return Err(refused(format!(
            "{} takes events of {largest} bytes{}: choose {} or less",
            request.stream,
            if beside > 0 { format!(", of which {beside} go to a key") } else { String::new() },
            largest.saturating_sub(beside)
        )));
    }
    Ok(size)
}

/// The target as it is. One that is missing is made once the sources are checked, if it may be. A plan that died in
/// between left a stream behind, and this one goes on with that.
async fn made_target(
    engine: &Engine,
    stream: &dyn StreamStore,
    request: &ImportRequest,
    sources: &mut Sources,
    id: &TransferId,
) -> Result<StreamInfo, OperationError> {
    check_shards(sources)?;
    let (begun, mut asked) = (engine.clock.now(), false);
    let info = loop {
        let error = match stream.describe().await {
            Ok(info) => break info,
            Err(error) => error,
        };
        match error.kind() {
            // More than once where one of that name is still being deleted.
            ErrorKind::NotFound => {
                let shards = shards_to_make(request.placement, sources);
                // What cannot be placed is said before a stream is made, which may cost money.
                let placement = (request.placement, request.on_misfit.unwrap_or_default());
                let (taken, _) = place(placement, sources, &new_stream(shards)?, &request.stream)?;
                in_rhythm(request, sources, &taken)?;
                sources.notes.extend(make(stream, request, shards).await?);
                if !std::mem::replace(&mut asked, true) {
                    continue;
                }
            }
            // It is being made: by this plan, or by one that died.
            ErrorKind::Unavailable if request.create_target => {}
            _ => return Err(error.into()),
        }
        let left = engine.settings.creation_millis.saturating_sub(engine.clock.now().millis_since(begun));
        if left == 0 {
            let (target, waited) = (&request.stream, engine.settings.creation_millis / 1_000);
            let what = format!("{target} takes no events {waited} s after it was made; plan again to go on: {error}");
            return Err(OperationError::new(Code::Unavailable, what));
        }
        engine.clock.sleep(left.min(CREATION_LOOK_MILLIS)).await;
    };
    check_target(&info, request, id)?;
    Ok(info)
}

/// A stream as it is once it is made with this number of shards, as far as places in it go.
fn new_stream(shards: u32) -> Result<StreamInfo, OperationError> {
    let shard = |number: u32| {
        let shard = number
            .to_string()
            .parse()
            .map_err(|error| OperationError::new(Code::Defect, format!("a shard's name: {error}")))?;
        let (earliest, tail) = (Position::Beginning, Position::Beginning);
        Ok(ShardInfo { shard, earliest, tail, parents: Vec::new(), hashes: None, closed: false })
    };
    let shards = (0..shards).map(shard).collect::<Result<_, OperationError>>()?;
    Ok(StreamInfo { shards, writer: None, largest_event: EVENT_BYTES as u64 })
}

/// Makes the target, if streams of its store cost nothing or the request asks for it. Answers a note if it was made now
/// and costs money.
async fn make(
    stream: &dyn StreamAdmin,
    request: &ImportRequest,
    shards: u32,
) -> Result<Option<String>, OperationError> {
    let Some(command) = stream.create_command(shards) else {
        stream.create(shards).await?;
        return Ok(None);
    };
    if request.create_target {
        let answer = stream.create(shards).await?;
        let made = || format!("target: {} was made, with {}", request.stream, counted(shards.into(), "shard"));
        return Ok((answer == Made::Now).then(made));
    }
    let what = format!(
        "there is no stream {}: make it with `{command}`, or let the import make it (--create-target, \"createTarget\": \
         true)",
        request.stream
    );
    Err(OperationError::new(Code::NotFound, what))
}

/// The target, if it is there and need not be waited for.
async fn target(stream: &dyn StreamReader, request: &ImportRequest) -> Result<Option<StreamInfo>, OperationError> {
    match stream.describe().await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        // Perhaps a plan that died has begun to make it.
        Err(error) if error.kind() == ErrorKind::Unavailable && request.create_target => Ok(None),
        answer => Ok(Some(answer?)),
    }
}

fn check_target(info: &StreamInfo, request: &ImportRequest, id: &TransferId) -> Result<(), OperationError> {
    let stream = &request.stream;
    if let Some(writer) = info.writer.as_ref().filter(|writer| *writer != id) {
        return Err(reserved(stream, writer));
    }
    if !info.is_empty() && !request.append {
        return Err(OperationError::new(
            Code::StreamNotEmpty,
            format!(
                "{stream} holds events already: import into a new stream, or say append (--append, \"append\": true) to keep them and go on behind them"
            ),
        ));
    }
    Ok(())
}

fn reserved(stream: &StreamUri, writer: &TransferId) -> OperationError {
    OperationError::new(
        Code::StreamReserved,
        format!("{stream} is reserved for the import {writer}: wait for it, cancel it, or import into another stream"),
    )
}

/// Reserves the target, in the table and, where it can, in the store itself, and describes it once more: what was true
/// when the sources were looked at need not be so any more, and only from here on nobody else can move its end. Answers
/// none if somebody else has planned the transfer meanwhile.
pub(super) async fn reserve(
    engine: &Engine,
    transfer: &TransferRecord,
    uri: &StreamUri,
) -> Result<Option<StreamInfo>, OperationError> {
    let id = &transfer.id;
    if let WriterAnswer::HeldBy(writer) = engine.checkpoints().reserve_writer(uri, id).await? {
        return Err(reserved(uri, &writer));
    }
    let stream = engine.places().target(uri).await?;
    if let Reservation::HeldBy(writer) = stream.reserve(id).await? {
        engine.checkpoints().release_writer(uri, id).await?;
        return Err(reserved(uri, &writer));
    }
    if engine.transfer(id).await?.state != State::Preparing {
        // Somebody else has planned it meanwhile, and may be through with it.
        if engine.transfer(id).await?.state.is_final() {
            release(engine, transfer).await?;
        }
        return Ok(None);
    }
    let Request::Import(request) = &transfer.request else { return Ok(None) };
    let info = stream.describe().await?;
    if let Err(error) = check_target(&info, request, id) {
        release(engine, transfer).await?;
        return Err(error);
    }
    Ok(Some(info))
}

/// The shards' records: what is to come, and where the target ends now.
pub(super) async fn shards(
    engine: &Engine,
    id: &TransferId,
    config: &ImportConfig,
    info: &StreamInfo,
) -> Result<Vec<ShardRecord>, OperationError> {
    let (work, _): (Arc<dyn BucketStore>, _) = engine.places().bucket(&config.work).await?;
    let list: SourceList = get_document(&*work, &config.list, None).await?;
    let stream = engine.places().target(&config.stream).await?;
    let tail = |shard: &ShardId| info.shards.iter().find(|there| there.shard == *shard).map(|there| there.tail.clone());
    list.shards
        .iter()
        .map(|listed| {
            let tail = tail(&listed.shard).ok_or_else(|| {
                OperationError::new(Code::NotFound, format!("{} has no shard {} any more", config.stream, listed.shard))
            })?;
            let range = Range { from: tail.clone(), until: Position::End };
            // Raw files do not say how many events they make.
            let expected = match config.format {
                // What lines, records and compressed files come to is not known before, nor what is of whose keys.
                _ if config.foreign.is_some() || listed.hashes.is_some() => None,
                Format::Avro | Format::Jsonl => listed.counts,
                Format::Raw => {
                    let bytes = listed.counts.map_or(listed.bytes, |counts| counts.bytes);
                    Some(Counts::new(bytes.div_ceil(config.event_size), bytes))
                }
            };
            let mut record = ImportRecord::new(listed.entries, tail, listed.gaps.len() as u64);
            if stream.promises().appends == Appends::ByKey {
                record.digest = EventDigest::unordered();
            }
            let work = Work::Import(Box::new(record));
            let record = ShardRecord::new(id.clone(), listed.shard.clone(), range, expected, work);
            Ok(ShardRecord { hashes: listed.hashes, ..record })
        })
        .collect()
}
