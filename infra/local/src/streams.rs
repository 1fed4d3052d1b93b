//! The streams of the home: listing and trimming them.

use std::process::ExitCode;

use serde::Serialize;
use sluice_operations::{Code, Settings};
use sluice_ports::StreamStore;
use sluice_stream_local::LocalStream;
use sluice_transfer::record::Config;
use sluice_transfer::{Counts, Cut, Range, StreamUri};

use crate::args::{Delete, HostArgs, Trim};
use crate::bounds::{known, positions};
use crate::failure::Failure;
use crate::home::Home;
use crate::output::{self, Output, bytes, columns_of_stdout, grouped};
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
            let places = home.places();
            for name in LocalStream::list(&home.streams())? {
                let uri = StreamUri { scheme: "local".to_owned(), name };
                match told(&places.local(&uri)?, uri).await {
                    Ok(told) => streams.push(told),
                    Err(failure) => failures.push(failure),
                }
            }
        }
        None => output::note(&format!("there is no home at {} yet", host.home.display())),
    }
    match output {
        Output::Json => output::print_json(&Streams { streams })?,
        // Not said of those that cannot be looked at.
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

async fn told(stream: &dyn StreamStore, uri: StreamUri) -> Result<Told, Failure> {
    let info = known(stream, &uri).await?;
    let mut counts = Counts::default();
    for shard in &info.shards {
        let range = Range { from: shard.earliest.clone(), until: shard.tail.clone() };
        counts += stream.measure(&shard.shard, &range).await?.unwrap_or_default();
    }
    let cut = |position: fn(&sluice_ports::ShardInfo) -> &sluice_transfer::Position| {
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

pub(crate) async fn trim(host: &HostArgs, args: &Trim, output: Output) -> Result<ExitCode, Failure> {
    let home = Home::open(host)?;
    let engine = home.without_checkpoints(Settings::default());
    let stream = home.places().local(&args.stream)?;
    let info = known(&stream, &args.stream).await?;
    // Shards that the position does not name keep what they have.
    let before = positions(&engine, &stream, &info, ("before", &args.before), |shard| shard.earliest.clone()).await?;
    for (shard, before) in info.shards.iter().zip(before) {
        // Never beyond what was there when the command began.
        let before = before.min(shard.tail.clone());
        if before > shard.earliest {
            stream.trim(&shard.shard, &before).await?;
        }
    }
    stream.give_back().await?;
    let told = told(&stream, args.stream.clone()).await?;
    match output {
        Output::Json => output::print_json(&told)?,
        Output::Text => {
            let counts = format!("{} events, {}", grouped(told.events), bytes(told.bytes));
            output::print(&format!("{} now begins at {}; {counts} are left\n", told.name, told.earliest))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn delete(host: &HostArgs, args: &Delete, output: Output) -> Result<ExitCode, Failure> {
    #[derive(Serialize)]
    struct Deleted {
        deleted: StreamUri,
    }
    let home = Home::open(host)?;
    let stream = home.places().local(&args.stream)?;
    known(&stream, &args.stream).await?;
    let engine = home.looking(Settings::default());
    for transfer in engine.checkpoints.transfers(i32::MAX as usize).await? {
        let named = match &transfer.config {
            Config::Export(config) => &config.stream,
            Config::Import(config) => &config.stream,
        };
        if *named == args.stream && !transfer.state.is_final() {
            let what = format!(
                "{} is needed by the transfer {}, which is {}: let that end, or cancel it, first",
                args.stream, transfer.id, transfer.state
            );
            return Err(Failure::new(Code::IllegalState, what));
        }
    }
    stream.delete().await?;
    match output {
        Output::Json => output::print_json(&Deleted { deleted: args.stream.clone() })?,
        Output::Text => output::print(&format!("{} is deleted\n", args.stream))?,
    }
    Ok(ExitCode::SUCCESS)
}
