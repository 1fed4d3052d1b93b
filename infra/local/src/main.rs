//! `sluice`: the engine with one machine for a host. Streams, checkpoints and a bucket of its own lie in a folder, the
//! home; everything is embedded in the process. Streams and buckets of AWS are reached as the person who runs it.
//!
//! Here live the command line, the loop that calls the operations, and what people see. Decisions about a transfer
//! are the engine's, never this program's.
//!
//! **Invariant.** A process drives a transfer only while it holds that transfer's run lock, which the operating system
//! takes back when the process dies. Nothing is printed on stdout but what was asked for.

#[cfg(windows)]
compile_error!("sluice runs on Linux and macOS; on Windows use it within WSL");

mod append;
mod args;
#[cfg_attr(not(feature = "aws"), path = "without_aws.rs")]
mod aws;
mod bounds;
mod clock;
mod control;
mod demo;
mod drive;
mod environment;
mod failure;
mod home;
mod list;
mod manual;
mod output;
mod places;
mod progress;
mod read;
mod remove;
mod series;
mod signals;
mod status;
mod stop;
mod streams;
mod table;
mod transfer;
mod verify;
mod version;

use std::process::ExitCode;

use args::{Args, Command, Streams, StreamsCommand};
use failure::Failure;
use output::Output;
use places::Linked;
use progress::Show;

/// The stores that names can lead to, in the order of the help text.
const SCHEMES: &[Linked] = &[places::LOCAL, aws::KINESIS, places::DIR, aws::S3];

fn main() -> ExitCode {
    environment::without_empty_variables();
    let args = match args::parse() {
        Ok(args) => args,
        Err(exit) => return exit,
    };
    log(args.log.as_deref());
    let output = args.output;
    match run(args) {
        Ok(exit) => exit,
        Err(failure) => output::failed(output, &failure),
    }
}

/// What goes on inside, on stderr, for who asks for it.
fn log(filter: Option<&str>) {
    let filter = tracing_subscriber::EnvFilter::new(filter.unwrap_or("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn run(args: Args) -> Result<ExitCode, Failure> {
    // One thread: what waits, waits on the pool of blocking threads.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of_io(&error, "the runtime cannot be started"))?;
    let exit = runtime.block_on(command(args));
    // A read of a terminal or a pipe that never answers is not waited for.
    runtime.shutdown_background();
    exit
}

async fn command(args: Args) -> Result<ExitCode, Failure> {
    let Args { host, output, progress, command, .. } = args;
    let (host, show) = (&host, Show { output, progress });
    match command {
        Command::Demo(demo) => demo::run(&demo, output).await,
        Command::Append(append) => append::run(host, &append, output).await,
        Command::Read(read) => read::run(host, &read).await,
        Command::Streams(Streams { command: None }) => streams::list(host, output).await,
        Command::Streams(Streams { command: Some(StreamsCommand::Delete(args)) }) => {
            streams::delete(host, &args, output).await
        }
        Command::Trim(trim) => streams::trim(host, &trim, output).await,
        Command::Export(export) => transfer::export(host, export, show).await,
        Command::Import(import) => transfer::import(host, import, show).await,
        Command::Resume(resume) => transfer::resume(host, resume, show).await,
        Command::Pause(named) => control::pause(host, &named.id, output).await,
        Command::Rate(rate) => control::rate(host, &rate, output).await,
        Command::Cancel(named) => control::cancel(host, &named.id, output).await,
        Command::Status(status) => status::status(host, &status, show).await,
        Command::List(args) => list::list(host, &args, output).await,
        Command::Verify(verify) => verify::verify(host, &verify, show).await,
        Command::Remove(args) => remove::run(host, &args, output).await,
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
    }
}
