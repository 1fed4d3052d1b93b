//! The command line. What it cannot mean is refused here, with exit code 2, before anything is touched.

#[cfg(test)]
mod reference;
mod streams;
mod transfers;
mod values;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::Output;
use crate::failure::{Failure, USAGE};
use crate::output;
use crate::places;
use crate::progress::Progress;

pub(crate) use streams::{Append, By, Delete, Read, Streams, StreamsCommand, Trim};
pub(crate) use transfers::{Export, Import, List, Named, Proof, Rate, Remove, Resume, SliceArgs, Status, Verify};
use values::account;
pub(crate) use values::{Limit, absolute};

const POSITIONS: &str = "\
Positions: earliest | latest | date, such as 2026-11-22 (from 0:00 UTC) | RFC 3339 time | ago:1h | SHARD@SEQUENCE | \
cut:SHARD@SEQUENCE,…
--from is inclusive, --until is exclusive; shards that a position does not name are not bounded. A range is one stretch \
of each shard: a time means the place in front of the first event of that time or later, so ranges that follow each \
other hold every event once. Where times are out of order a range may hold earlier events and not hold late ones; how \
many is said when the transfer begins (of an export of a local stream, and of an import).
Sizes: 8388608, 8MiB, 8MB.";

const AWS: &str = "\
AWS is found as its own tools find it: AWS_REGION, AWS_PROFILE, keys, profiles, `aws sso login`. A name means that \
account and region, also when a transfer goes on; an ARN always means the same stream. Streams of Kinesis are \
made only by `import --create-target`, buckets of S3 never; local ones are.
";

/// Where an option stands that every command has.
const GLOBAL: &str = "Global options";
/// Where those stand that bound slices.
const SLICES: &str = "Slice options";

/// Archives, replays and moves the history of streams, exactly, for teams that must show that nothing was lost. To see it
/// in seconds: `sluice demo`.
#[derive(Debug, Parser)]
#[command(name = "sluice", version = crate::version::text(), max_term_width = 100)]
#[command(after_help = "\
Examples:
  sluice demo                                        the main job on real bytes, in its own folder
  sluice append local:orders --file orders.txt       each line an event
  sluice export local:orders dir:/backup             everything up to now, as Avro
  sluice import dir:/backup/ID local:orders-copy     back, into a new stream
  sluice export kinesis:orders s3://archive/orders   the same on AWS, in any mixture
  sluice status --watch                              how far it is

Exit codes of export, import and resume: 0 completed, 3 paused or cancelled, 4 completed with gaps or misfits, 5 with \
failed destinations, 2 the command line cannot be understood or a value is out of range, 1 anything else.

An environment variable that is empty counts as one that is not set.

`sluice help COMMAND` explains each command, with examples.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub host: HostArgs,
    /// Text for people, or one JSON object
    #[arg(long, global = true, value_enum, default_value_t = Output::Text, help_heading = GLOBAL)]
    pub output: Output,
    /// What stderr shows of a transfer that moves: a bar, a line a minute, or nothing; auto is a bar on a terminal,
    /// else lines
    #[arg(long, global = true, value_enum, default_value_t = Progress::Auto, value_name = "HOW", help_heading = GLOBAL)]
    pub progress: Progress,
    /// Log to stderr: error, warn, info, debug, or a filter such as `sluice_operations=debug`
    #[arg(long, global = true, env = "SLUICE_LOG", value_name = "FILTER", help_heading = GLOBAL)]
    pub log: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

/// What this machine brings to every transfer.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct HostArgs {
    /// Where local streams, and all transfers, are kept
    #[arg(long, global = true, env = "SLUICE_HOME", default_value = ".sluice", value_name = "DIR", help_heading = GLOBAL)]
    pub home: PathBuf,
    /// The account that must own the buckets of S3; S3 refuses those of others [default: any]
    #[arg(
        long,
        global = true,
        env = "SLUICE_BUCKET_OWNER",
        value_name = "ACCOUNT",
        value_parser = account,
        help_heading = GLOBAL
    )]
    pub bucket_owner: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the main job on real bytes: append, export with a pause, import, compare
    #[command(after_help = "\
Works in a fresh folder in the temporary directory, which stays, and prints where everything lies. Exits with 0 only if everything that came back equals what went in.

Example:
  sluice demo --file /var/log/syslog")]
    Demo(Demo),
    /// Append events to a stream; it is made if it is not there
    #[command(after_help = "\
Lines (the default): each line is an event, without its newline (a carriage return in front of it stays). A last line \
without a newline counts; an empty file appends nothing. Bytes: the file is cut every --event-bytes.

With --key all events go to the shard that the key's hash names; without, event i goes to shard i mod n, i counting \
from 0 in each call. An event's time is when it was read. Appending twice appends twice: a call that fails says how \
many events it had appended. Only local streams: to Kinesis, `aws kinesis put-records` writes.

Examples:
  seq 1000 | sluice append local:numbers
  sluice append local:orders --file orders.txt --key customer-7 --shards 4
  sluice append local:disk --file image.bin --by bytes --event-bytes 1MiB")]
    Append(Append),
    /// Print a stream's events, one JSON object a line
    #[command(after_help = format!("\
Fields: shard, sequence, time, key, headers, payload. Bytes that are not UTF-8 come as keyBase64, payloadBase64 and \
valueBase64. What an event does not have is left out; null is null. Shards come one after the other, in order.

{POSITIONS}

Examples:
  sluice read local:orders --from ago:1h --limit 10
  sluice read kinesis:orders --from ago:5m
  sluice read local:disk --payload > image.bin"))]
    Read(Read),
    /// List the local streams: shards, events, bytes, and the cuts at which they begin and end; or delete one
    #[command(after_help = "\
Examples:
  sluice streams
  sluice streams delete local:orders-copy")]
    Streams(Streams),
    /// Drop the events of all shards of a local stream in front of a position, and give the disk back
    #[command(after_help = format!("\
{POSITIONS}

Refused are a number behind the stream's end and a time in the future: latest drops all that is there. Refused is also \
what an export that is not at its end has not stored yet, and anything while an import has the stream reserved.

Example:
  sluice trim local:orders --before ago:7d"))]
    Trim(Trim),
    /// Export a stream to a bucket
    #[command(after_help = format!("\
The same --id with the same request continues that transfer, after a pause, a failure or a kill; with another request \
it is an error. --rate, slice options, --home and --bucket-owner belong to the command, not to the request. The export \
lies in BUCKET/ID, its manifest in BUCKET/ID/manifest.json. Avro and jsonl lose nothing; raw keeps payload bytes only.

{places}

{AWS}
{POSITIONS}

Examples:
  sluice export local:orders dir:/backup --id orders-2026
  sluice export local:orders dir:/backup --from ago:1d --format raw --object-size 64MiB
  sluice export local:orders dir:/backup --format jsonl --compression gzip
  sluice export local:orders dir:/backup --rate 20MiB --slice-seconds 60
  sluice export kinesis:orders s3://archive/orders --from ago:1d --bucket-owner 123456789012
  sluice export kinesis:orders dir:/backup", places = places::help()))]
    Export(Export),
    /// Import a bucket's objects into a stream
    #[command(after_help = format!("\
SOURCE: an export's manifest, a folder that holds one manifest, a folder of any files, or one file. Files that are not \
an export's are cut into events of --event-size (1 MiB), each file by itself; --pack fills each event to its size \
across files. Or they hold events of their own: --format lines, each line one (LF or CR LF end it); --format jsonl or \
avro with the names of fields, where a.b is the field b of the field a, or else the field a.b. Values of JSON may follow \
each other without newlines. Without names jsonl and avro are what Sluice itself writes, wherever it lies, and values of \
Avro that are no records are payloads. A field that none of the first records has is refused before anything is \
written; records that lack one are counted in the report and the import's manifest.

Of a folder these are left out, and counted: symbolic links, pipes, names that are not UTF-8, names that begin with . \
or _ (but _column=value), unfinished files (.tmp, ._COPYING_, .inprogress). --all-files takes the last two. A folder \
with an export and other files is refused: name one.

Of an export a range can be taken, with --from and --until: only the parts of objects that hold it are read. Raw \
objects do not hold where events end, so there a range begins and ends where parts do.

With --pace original events are appended as far apart in time as they were at the source, with 10x ten times closer. \
All shards keep step. The plan says until when; a pause moves the rest, and what is late catches up. Events must have \
times.

A local target is made if it is not there; the target must be empty unless --append is given. The same --id with the \
same request continues that transfer; with another request it is an error.

Into Kinesis: nobody else may write meanwhile. Its times are those of arrival; events without a key get the key '-'; \
those with headers, without a payload, or larger than the stream takes are refused.

{places}

{AWS}
{POSITIONS}

Examples:
  sluice import dir:/backup/orders-2026 local:orders-copy
  sluice import dir:/backup/orders-2026 local:one-day --from 2026-11-22 --until 2026-11-23
  sluice import dir:/backup/orders-2026/manifest.json local:orders-copy --append
  sluice import dir:/backup/orders-2026 local:replayed --pace 10x
  sluice import dir:/data/images local:images --event-size 4MiB --pack
  sluice import dir:/var/log/app local:logs --format lines
  sluice import dir:/data/orders local:orders --format jsonl --payload-field order --time-field at
  sluice import s3://archive/orders/ID kinesis:orders-copy", places = places::help()))]
    Import(Import),
    /// Show a transfer; without ID the latest one
    #[command(after_help = "Examples:\n  sluice status orders-2026 --watch\n  sluice status --output json")]
    Status(Status),
    /// List all transfers, or all exports that lie in a place, the youngest first
    #[command(after_help = "\
RUNS says of a transfer that is not at its end whether a process drives it now. On a terminal names are shortened and \
columns left out until a line fits; a pipe and --output json have everything.

Examples:
  sluice list --limit 20
  sluice list --state paused --state failed
  sluice list s3://archive/orders")]
    List(List),
    /// Bring a transfer to rest, also one that another process runs
    #[command(after_help = "Example:\n  sluice pause orders-2026")]
    Pause(Named),
    /// Let a paused, failed or killed transfer go on
    #[command(after_help = "Examples:\n  sluice resume orders-2026\n  sluice resume orders-2026 --rate 20MB")]
    Resume(Resume),
    /// Make a transfer slower or faster, also while another process runs it
    #[command(after_help = "\
A running transfer follows within seconds. A paused one resumes at that rate.

Examples:
  sluice rate orders-2026 20MB
  sluice rate orders-2026 none")]
    Rate(Rate),
    /// Give a transfer up; what is complete stays
    #[command(after_help = "Example:\n  sluice cancel orders-2026")]
    Cancel(Named),
    /// Take away the record of a transfer that is at its end
    #[command(after_help = "\
Without --objects all that it moved stays. With --objects the files that its manifest names are shown and, after a yes, \
removed for good; only from dir: buckets. Whatever else lies in its folder stays, and is named.

Examples:
  sluice remove orders-2026
  sluice remove orders-2026 --objects --yes")]
    Remove(Remove),
    /// Read again all that a transfer moved, or all exports that lie in a place, and compare it with what is on record
    #[command(after_help = "\
A place is verified by its manifests alone, on any machine: each export in it, and of each series that its runs go on \
exactly where the one before ended.

Exit codes: 0 proved, 1 a mismatch, 4 gaps or misfits, 5 something could not be proved.

Examples:
  sluice verify orders-2026
  sluice verify dir:/backup
  sluice verify s3://archive/orders --series nightly")]
    Verify(Verify),
    /// Print what makes a shell complete this command's words
    #[command(after_help = "\
Examples:
  sluice completions bash > ~/.local/share/bash-completion/completions/sluice
  sluice completions zsh > ~/.zfunc/_sluice
  sluice completions fish > ~/.config/fish/completions/sluice.fish")]
    Completions(Completions),
    /// Print a man page, or write all of them into a folder
    #[command(after_help = "\
Examples:
  sluice man > sluice.1
  sluice man export > sluice-export.1
  sluice man --dir ~/.local/share/man/man1")]
    Man(Man),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// A command; the page of `sluice` itself unless given
    #[arg(value_name = "COMMAND")]
    pub page: Option<String>,
    /// The folder that all pages are written into; it is made if it is not there
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// What to move; the command itself unless given
    #[arg(long, value_name = "F")]
    pub file: Option<PathBuf>,
}

/// Reads the command line; the exit code if that is all there is to do.
pub(crate) fn parse() -> Result<Args, ExitCode> {
    Args::try_parse().map_err(|error| {
        // Fails only if the terminal is gone.
        let _ = error.print();
        if error.use_stderr() && wants_json() {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            output::failed_json(&Failure::usage(first.strip_prefix("error: ").unwrap_or(first)));
        }
        if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
    })
}

/// Whether a command line that cannot be understood asks for JSON all the same.
fn wants_json() -> bool {
    let args: Vec<_> = std::env::args_os().collect();
    args.iter().any(|arg| arg == "--output=json")
        || args.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
