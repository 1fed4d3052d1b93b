//! The streams of the home: listing, trimming and deleting them.

use std::process::ExitCode;

use serde::Serialize;
use sluice_operations::{Code, Engine, Settings, check_ends};
use sluice_ports::{ErrorKind, ShardInfo, StreamAdmin, StreamInfo, StreamReader};
use sluice_stream_local::LocalStream;
use sluice_transfer::record::{Config, ShardRecord, TransferRecord, Work};
use sluice_transfer::{Counts, Cut, Kind, Position, PositionSpec, Range, StreamUri, Timestamp};

use crate::args::{Delete, HostArgs, Trim};
use crate::bounds::{known, not_there, positions};
use crate::failure::Failure;
use crate::home::Home;
use crate::output::{self, Output, bytes, columns_of_stdout, counted, grouped};
use crate::table::{Column, Narrow, fitted};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    name: StreamUri,
    shards: usize,
    events: u64,
    bytes: u64,
    earliest: String,
    tail: String,
    writer: Option<String>,
}

#[derive(Serialize)]
struct Streams {
    streams: Vec<Told>,
}

const COLUMNS: [Column; 6] = [
    ("STREAM", false, Narrow::Keep),
    ("SHARDS", true, Narrow::Drop(2)),
    ("EVENTS", true, Narrow::Keep),
    ("BYTES", true, Narrow::Keep),
    ("EARLIEST", false, Narrow::Shorten(0)),
    ("TAIL", false, Narrow::Shorten(1)),
];

fn row(told: &Told) -> [String; 6] {
    let counts = [grouped(told.shards as u64), grouped(told.events), bytes(told.bytes)];
    let [shards, events, bytes] = counts;
    [told.name.to_string(), shards, events, bytes, told.earliest.clone(), told.tail.clone()]
}

pub(crate) async fn list(host: &HostArgs, output: Output) -> Result<ExitCode, Failure> {
    let mut streams = Vec::new();
    let mut failures = Vec::new();
    match Home::find(host)? {
        Some(home) => {
            for name in LocalStream::list(&home.streams())? {
                let uri = StreamUri { scheme: "local".to_owned(), name };
                match told(&home.stream(&uri)?, uri.clone()).await {
                    Ok(told) => streams.push(told),
                    Err(failure) if failure.code == Code::NotFound.to_string() => output::note(&format!(
                        "{uri} was never made, its file is empty: `sluice append` and `sluice import` make it, \
                         `sluice streams delete {uri}` removes the file"
                    )),
                    Err(failure) => failures.push(failure),
                }
            }
        }
        None => output::note(&format!("there is no home at {} yet", host.home.display())),
    }
    match output {
        Output::Json => output::print_json(&Streams { streams })?,
        // Not printed if streams cannot be read.
        Output::Text if streams.is_empty() && !failures.is_empty() => {}
        Output::Text if streams.is_empty() => output::note("there are no streams"),
        Output::Text => {
            let rows: Vec<_> = streams.iter().map(row).collect();
            let (text, columns) = fitted(&COLUMNS, &rows, columns_of_stdout());
            output::print(&text)?;
            output::note_left_out(&columns);
        }
    }
    // What could be listed is; what could not is an error all the same.
    for failure in &failures {
        output::note(&format!("error: {}", failure.message));
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn told(stream: &dyn StreamReader, uri: StreamUri) -> Result<Told, Failure> {
    let info = known(stream, &uri).await?;
    let mut counts = Counts::default();
    for shard in &info.shards {
        let range = Range { from: shard.earliest.clone(), until: shard.tail.clone() };
        counts += stream.measure(&shard.shard, &range).await?.unwrap_or_default();
    }
    let cut = |position: fn(&ShardInfo) -> &Position| {
        Cut(info.shards.iter().map(|shard| (shard.shard.clone(), position(shard).clone())).collect()).to_string()
    };
    Ok(Told {
        shards: info.shards.len(),
        events: counts.events,
        bytes: counts.bytes,
        earliest: cut(|shard| &shard.earliest),
        tail: cut(|shard| &shard.tail),
        writer: info.writer.as_ref().map(ToString::to_string),
        name: uri,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trimmed {
    #[serde(flatten)]
    stream: Told,
    dropped_events: u64,
    dropped_bytes: u64,
}

pub(crate) async fn trim(host: &HostArgs, args: &Trim, output: Output) -> Result<ExitCode, Failure> {
    let home = Home::open(host)?;
    let engine = home.looking(Settings::default());
    let stream = home.stream(&args.stream)?;
    let info = known(&stream, &args.stream).await?;
    check_before(&args.before, &info, engine.clock.now())?;
    // Shards that the position does not name keep what they have.
    let before = positions(&engine, &stream, &info, ("before", &args.before), |shard| shard.earliest.clone()).await?;
    // Never beyond what was there when the command began.
    let drops = info.shards.iter().zip(before).map(|(shard, before)| (shard, before.min(shard.tail.clone())));
    let drops: Vec<_> = drops.filter(|(shard, before)| *before > shard.earliest).collect();
    check_needs(&engine, &args.stream, &drops).await?;
    let mut dropped = Counts::default();
    for (shard, before) in drops {
        let range = Range { from: shard.earliest.clone(), until: before };
        let counts = stream.measure(&shard.shard, &range).await?.unwrap_or_default();
        stream.trim(&shard.shard, &range.until).await?;
        dropped += counts;
    }
    stream.give_back().await?;
    let told = told(&stream, args.stream.clone()).await?;
    match output {
        Output::Json => {
            output::print_json(&Trimmed {
                stream: told,
                dropped_events: dropped.events,
                dropped_bytes: dropped.bytes,
            })?;
        }
        Output::Text => {
            let of = |events, size| format!("{}, {}", counted(events, "event"), bytes(size));
            let (gone, left) = (of(dropped.events, dropped.bytes), of(told.events, told.bytes));
            output::print(&format!("{} now begins at {}; dropped: {gone}; left: {left}\n", told.name, told.earliest))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses what would drop all events though it looks as if it kept some.
fn check_before(before: &PositionSpec, info: &StreamInfo, now: Timestamp) -> Result<(), Failure> {
    check_ends("before", before, &info.shards, "Say `latest` to drop all that is there")?;
    match before {
        PositionSpec::Time(time) if *time > now => {
            let what = format!("before: {time} is in the future; say `latest` to drop all that is there");
            Err(Failure::new(Code::OutOfRange, what))
        }
        _ => Ok(()),
    }
}

/// Refuses to drop what an export that is not at its end has not stored yet.
async fn check_needs(engine: &Engine, uri: &StreamUri, drops: &[(&ShardInfo, Position)]) -> Result<(), Failure> {
    let transfers = match unfinished(engine, uri).await {
        // Streams need no records, and those cannot be asked: nobody goes on with their transfers here either.
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid | ErrorKind::Newer) => {
            output::note(&format!("note: whether a transfer needs what is dropped is not known: {error}"));
            return Ok(());
        }
        transfers => transfers?,
    };
    for transfer in transfers.iter().filter(|transfer| transfer.kind == Kind::Export) {
        for (shard, before) in drops {
            let record = engine.checkpoints.shard(&transfer.id, &shard.shard).await?;
            if record.is_none_or(|record| is_needed(&record, shard, before)) {
                return Err(needed_by(uri, transfer));
            }
        }
    }
    Ok(())
}

/// True if an event in front of that position is left to be stored.
fn is_needed(record: &ShardRecord, shard: &ShardInfo, before: &Position) -> bool {
    let Work::Export(destinations) = &record.work else { return false };
    let until = &record.range.until;
    // What lies behind the last complete object may have to be read again.
    let stored = destinations.values().map(|destination| &destination.sealed.position).min();
    shard.earliest < *until && stored.is_some_and(|stored| stored < before && stored < until)
}

/// The transfers of a stream that are not at their end.
async fn unfinished(engine: &Engine, uri: &StreamUri) -> sluice_ports::Result<Vec<TransferRecord>> {
    let mut transfers = engine.checkpoints.transfers(&[], i32::MAX as usize).await?;
    transfers.retain(|transfer| {
        let named = match &transfer.config {
            Config::Export(config) => &config.stream,
            Config::Import(config) => &config.stream,
        };
        named == uri && !transfer.state.is_final()
    });
    Ok(transfers)
}

fn needed_by(uri: &StreamUri, transfer: &TransferRecord) -> Failure {
    let what = format!(
        "{uri} is needed by the transfer {}, which is {}: let that end, or cancel it, first",
        transfer.id, transfer.state
    );
    Failure::new(Code::IllegalState, what)
}

pub(crate) async fn delete(host: &HostArgs, args: &Delete, output: Output) -> Result<ExitCode, Failure> {
    #[derive(Serialize)]
    struct Deleted {
        deleted: StreamUri,
    }
    let home = Home::open(host)?;
    let stream = home.stream(&args.stream)?;
    let is_there = match stream.describe().await {
        // A file may be there all the same, of a stream that was never made. No transfer needs that.
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        answer => answer.map(|_| true)?,
    };
    let engine = home.looking(Settings::default());
    if is_there && let Some(transfer) = unfinished(&engine, &args.stream).await?.first() {
        return Err(needed_by(&args.stream, transfer));
    }
    stream.delete().await.map_err(|error| not_there(error, &args.stream))?;
    match output {
        Output::Json => output::print_json(&Deleted { deleted: args.stream.clone() })?,
        Output::Text => output::print(&format!("{} is deleted\n", args.stream))?,
    }
    Ok(ExitCode::SUCCESS)
}
