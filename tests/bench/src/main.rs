//! What the machine gives without Sluice, so that a rate of Sluice's can be held against something of the same run.
//!
//! Each baseline does one job on the same payloads as the transfers that `bench.py` runs, and prints one line of JSON:
//! seconds, CPU seconds and bytes of the job alone, without the start of the process and the making of payloads. That
//! favours the baseline: of Sluice the whole process is counted.
#![expect(clippy::disallowed_methods, reason = "it measures time, and the server's threads are its own")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]

mod codec;
mod http;
mod kinesis;
mod measure;
mod memory;
mod payload;
mod rows;
mod sink;
mod upload;
mod write;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use codec::Codec;

/// Anything that stops a baseline; there is nothing to be done about it but to say it.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Debug, Parser)]
#[command(about)]
struct Args {
    #[command(subcommand)]
    what: What,
}

/// Payload of a job: this many bytes in events of one size.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Load {
    /// Bytes of payload in all
    #[arg(long)]
    bytes: usize,
    /// Bytes of an event's payload
    #[arg(long)]
    event: usize,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the payloads, a line each: what the source streams are made of
    Payloads(Load),
    /// Copy the payloads within memory, one event after the other
    Copy(Load),
    /// Write the payloads to files and sync each at its end
    Write {
        #[command(flatten)]
        load: Load,
        /// A folder to write to
        #[arg(long)]
        folder: PathBuf,
        /// Bytes of a file
        #[arg(long, default_value_t = 256 << 20)]
        object: usize,
        /// Bytes of one write
        #[arg(long, default_value_t = 8 << 20)]
        part: usize,
        /// Sync behind each write too, as whoever must not lose a part does
        #[arg(long)]
        sync_parts: bool,
    },
    /// Compress the payloads, joined, and take them apart again
    Codec {
        #[command(flatten)]
        load: Load,
        #[arg(long, value_enum)]
        codec: Codec,
    },
    /// Insert the payloads into a table like a local stream's, and read them again
    Sqlite {
        #[command(flatten)]
        load: Load,
        /// A folder for the file
        #[arg(long)]
        folder: PathBuf,
    },
    /// Upload the payloads from memory with the SDK, to the endpoint of the environment
    S3Upload {
        #[command(flatten)]
        load: Load,
        #[arg(long)]
        bucket: String,
        #[arg(long)]
        key: String,
        /// Bytes of an object
        #[arg(long, default_value_t = 256 << 20)]
        object: usize,
        /// Bytes of a part
        #[arg(long, default_value_t = 8 << 20)]
        part: usize,
        /// As the SDK does it by itself: a checksum that it makes, and a payload that it signs
        #[arg(long)]
        by_default: bool,
    },
    /// Read the stream `source` with the SDK and upload its payloads, to the endpoints of the environment: a loop that does
    /// no more than that
    KinesisExport(kinesis::Export),
    /// Put the events of files into the stream `target` with the SDK: a loop that does no more than that
    KinesisImport(kinesis::Import),
    /// Serve Kinesis from memory, on a port of 127.0.0.1 that is printed, with a stream `source` that holds the payloads
    KinesisServe(kinesis::Serve),
    /// Serve the calls of S3 that an export makes, on a port of 127.0.0.1 that is printed, and forget what is uploaded
    S3Sink,
}

fn main() -> ExitCode {
    match run(Args::parse().what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: What) -> Result<()> {
    match what {
        What::Payloads(load) => payload::print(load),
        What::Copy(load) => memory::run(load),
        What::Write { load, folder, object, part, sync_parts } => write::run(load, &folder, object, part, sync_parts),
        What::Codec { load, codec } => codec::run(load, codec),
        What::Sqlite { load, folder } => rows::run(load, &folder),
        What::S3Upload { load, bucket, key, object, part, by_default } => {
            upload::run(load, &upload::Target { bucket, key, object, part, by_default })
        }
        What::KinesisExport(job) => kinesis::export(&job),
        What::KinesisImport(job) => kinesis::import(&job),
        What::KinesisServe(service) => kinesis::serve(&service),
        What::S3Sink => sink::run(),
    }
}
