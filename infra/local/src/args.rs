//! The command line. What it cannot mean is refused here, with exit code 2, before anything is touched.

#[cfg(test)]
mod reference;
mod values;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use sluice_transfer::{
    BucketUri, Compression, Format, Inflate, PositionSpec, SourceFormat, State, StreamUri, TransferId,
};

use crate::Output;
use crate::failure::{Failure, USAGE};
use crate::output;
use crate::progress::Progress;

pub(crate) use values::{Limit, absolute};
use values::{
    account, appendable, bucket, compression, deletable, event_bytes, format, inflate, limit, positive_size, rate,
    size, source, source_format, state, stream, trimmable,
};

const POSITIONS: &str = "\
Positions: earliest | latest | date, such as 2026-11-22 (from 0:00 UTC) | RFC 3339 time | ago:1h | SHARD@SEQUENCE | \
cut:SHARD@SEQUENCE,…
--from is inclusive, --until is exclusive; shards that a position does not name are not bounded. A range is one stretch \
of each shard: a time means the place in front of the first event of that time or later, so ranges that follow each \
other hold every event once. Where times are out of order a range may hold earlier events and not hold late ones; how \
many is said when the transfer begins (of an export of a local stream, and of an import).
Sizes: 8388608, 8MiB, 8MB.";

const PLACES: &str = "\
Streams: local:NAME of the home, kinesis:NAME, or a stream's ARN. Buckets: dir:PATH, s3://BUCKET/PREFIX.

AWS is found as its own tools find it: AWS_REGION, AWS_PROFILE, keys, profiles, `aws sso login`. A name means that \
account and region, also when a transfer goes on; an ARN always means the same stream. Streams of Kinesis and buckets \
of S3 are never made; local ones are.
";

/// Where an option stands that every command has.
const GLOBAL: &str = "Global options";
/// Where those stand that bound slices.
const SLICES: &str = "Slice options";

/// Moves events between streams and buckets, exactly: in bounded slices with durable checkpoints.
#[derive(Debug, Parser)]
#[command(name = "sluice", version = crate::version::text(), max_term_width = 100)]
#[command(after_help = "\
Examples:
  sluice demo                                        the main job on real bytes, in a folder of its own
  sluice append local:orders --file orders.txt       each line an event
  sluice export local:orders dir:/backup             everything up to now, as Avro
  sluice import dir:/backup/ID local:orders-copy     back, into a new stream
  sluice export kinesis:orders s3://archive/orders   the same on AWS, in any mixture
  sluice status --watch                              how far it is

Exit codes of export, import and resume: 0 completed, 3 paused or cancelled, 4 completed with gaps, 5 with failed \
destinations, 2 the command line cannot be understood or a value is out of range, 1 anything else.

An environment variable that is empty counts as one that is not set.

`sluice help COMMAND` explains each command, with examples.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub host: HostArgs,
    /// Text for people, or one JSON object
    #[arg(long, global = true, value_enum, default_value_t = Output::Text, help_heading = GLOBAL)]
    pub output: Output,
    /// What stderr shows of a transfer that moves: a bar, a line a minute, or nothing; auto is a bar on a terminal, else
    /// lines
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

Refused while an import has the stream reserved.

Example:
  sluice trim local:orders --before ago:7d"))]
    Trim(Trim),
    /// Export a stream to a bucket
    #[command(after_help = format!("\
The same --id with the same request continues that transfer, after a pause, a failure or a kill; with another request \
it is an error. --rate, slice options, --home and --bucket-owner belong to the command, not to the request. The export \
lies in BUCKET/ID, its manifest in BUCKET/ID/manifest.json. Avro and jsonl lose nothing; raw keeps payload bytes only.

{PLACES}
{POSITIONS}

Examples:
  sluice export local:orders dir:/backup --id orders-2026
  sluice export local:orders dir:/backup --from ago:1d --format raw --object-size 64MiB
  sluice export local:orders dir:/backup --format jsonl --compression gzip
  sluice export local:orders dir:/backup --rate 20MiB --slice-seconds 60
  sluice export kinesis:orders s3://archive/orders --from ago:1d --bucket-owner 123456789012
  sluice export kinesis:orders dir:/backup"))]
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

A local target is made if it is not there; the target must be empty unless --append is given. The same --id with the \
same request continues that transfer; with another request it is an error.

Into Kinesis: nobody else may write meanwhile. Its times are those of arrival; events without a key get the key '-'; \
those with headers, without a payload, or larger than the stream takes are refused.

{PLACES}
{POSITIONS}

Examples:
  sluice import dir:/backup/orders-2026 local:orders-copy
  sluice import dir:/backup/orders-2026 local:one-day --from 2026-11-22 --until 2026-11-23
  sluice import dir:/backup/orders-2026/manifest.json local:orders-copy --append
  sluice import dir:/data/images local:images --event-size 4MiB --pack
  sluice import dir:/var/log/app local:logs --format lines
  sluice import dir:/data/orders local:orders --format jsonl --payload-field order --time-field at
  sluice import s3://archive/orders/ID kinesis:orders-copy"))]
    Import(Import),
    /// Show a transfer; without ID the latest one
    #[command(after_help = "Examples:\n  sluice status orders-2026 --watch\n  sluice status --output json")]
    Status(Status),
    /// List all transfers, the youngest first
    #[command(after_help = "\
RUNS says of a transfer that is not at its end whether a process drives it now. On a terminal names are shortened and \
columns left out until a line fits; a pipe and --output json have everything.

Examples:
  sluice list --limit 20
  sluice list --state paused --state failed")]
    List(List),
    /// Bring a transfer to rest, also one that another process runs
    #[command(after_help = "Example:\n  sluice pause orders-2026")]
    Pause(Named),
    /// Let a paused, failed or killed transfer go on
    #[command(after_help = "Examples:\n  sluice resume orders-2026\n  sluice resume orders-2026 --rate 20MB")]
    Resume(Resume),
    /// Make a transfer slower or faster, also while another process runs it
    #[command(after_help = "\
Whoever runs the transfer sees it within seconds. One at rest goes on at that rate.

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
    /// Read again all that a transfer moved, and compare it with its records
    #[command(after_help = "\
Exit codes: 0 proved, 1 a mismatch, 4 gaps, 5 something could not be proved.

Example:
  sluice verify orders-2026")]
    Verify(Named),
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
pub(crate) struct Remove {
    /// The transfer
    pub id: TransferId,
    /// Also what its manifest names in its bucket
    #[arg(long)]
    pub objects: bool,
    /// Do not ask
    #[arg(long, requires = "objects")]
    pub yes: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Streams {
    #[command(subcommand)]
    pub command: Option<StreamsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StreamsCommand {
    /// Delete a local stream and all its events, for good
    #[command(after_help = "\
Refused while an import has it reserved, while a transfer that is not at its end names it, and while another process \
has it open.

Example:
  sluice streams delete local:orders-copy")]
    Delete(Delete),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Delete {
    /// Such as `local:orders`
    #[arg(value_parser = deletable)]
    pub stream: StreamUri,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct List {
    /// Only those in this state; may be given again [default: all]
    #[arg(long = "state", value_name = "STATE", value_parser = state)]
    pub states: Vec<State>,
    /// At most so many [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// What to move; the command itself unless given
    #[arg(long, value_name = "F")]
    pub file: Option<PathBuf>,
}

/// How input becomes events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Each line an event.
    Lines,
    /// As many bytes an event as --event-bytes says.
    Bytes,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Append {
    /// Such as `local:orders`
    #[arg(value_parser = appendable)]
    pub stream: StreamUri,
    /// A file, or - for stdin
    #[arg(long, value_name = "F", default_value = "-")]
    pub file: PathBuf,
    /// How the input becomes events
    #[arg(long, value_enum, default_value_t = By::Lines)]
    pub by: By,
    /// Bytes of an event (bytes, default 1MiB), or of the longest line that is taken (lines, default 32MiB)
    #[arg(long, value_name = "N", value_parser = event_bytes)]
    pub event_bytes: Option<u64>,
    /// The key of all events; without it they have none
    #[arg(long, value_name = "K")]
    pub key: Option<String>,
    /// Shards of a stream that is made now [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub shards: Option<u32>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Read {
    /// Such as `local:orders` or `kinesis:orders`
    #[arg(value_parser = stream)]
    pub stream: StreamUri,
    /// First event, inclusive [default: earliest]
    #[arg(long, value_name = "P")]
    pub from: Option<PositionSpec>,
    /// End, exclusive [default: latest]
    #[arg(long, value_name = "P")]
    pub until: Option<PositionSpec>,
    /// At most so many events
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// The payloads' bytes alone, joined
    #[arg(long)]
    pub payload: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Trim {
    /// Such as `local:orders`
    #[arg(value_parser = trimmable)]
    pub stream: StreamUri,
    /// The first event that stays; latest drops them all
    #[arg(long, value_name = "P")]
    pub before: PositionSpec,
}

/// Bounds of each slice.
#[expect(clippy::struct_field_names, reason = "the fields' names are the options'")]
#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct SliceArgs {
    /// End a slice after so many events [default: no bound]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = SLICES)]
    pub slice_events: Option<u64>,
    /// End a slice after so many bytes of payload [default: no bound]
    #[arg(long, value_name = "N", value_parser = positive_size, help_heading = SLICES)]
    pub slice_bytes: Option<u64>,
    /// End a slice after so many seconds
    #[arg(
        long,
        value_name = "S",
        default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        help_heading = SLICES
    )]
    pub slice_seconds: u64,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// Such as `local:orders` or `kinesis:orders`
    #[arg(value_parser = stream)]
    pub stream: StreamUri,
    /// Such as `dir:/backup` (it is made if it is not there) or `s3://archive/orders`
    #[arg(value_parser = bucket)]
    pub bucket: BucketUri,
    /// How events become bytes [default: avro]
    #[arg(long, value_name = "avro|jsonl|raw", value_parser = format)]
    pub format: Option<Format>,
    /// How bytes are made fewer: deflate is avro's, gzip that of the others [default: zstd for avro, else none]
    #[arg(long, value_name = "none|zstd|gzip|deflate", value_parser = compression)]
    pub compression: Option<Compression>,
    /// Encoded bytes at which an object is closed [default: 256MiB]
    #[arg(long, value_name = "N", value_parser = size)]
    pub object_size: Option<u64>,
    /// Encoded bytes at which a part is uploaded [default: 8MiB, or what the object size needs]
    #[arg(long, value_name = "N", value_parser = size)]
    pub part_size: Option<u64>,
    /// First event, inclusive [default: earliest]
    #[arg(long, value_name = "P")]
    pub from: Option<PositionSpec>,
    /// End, exclusive [default: latest, as of now]
    #[arg(long, value_name = "P")]
    pub until: Option<PositionSpec>,
    /// Bytes of payload a second, at most; `sluice rate` changes it while it runs
    #[arg(long, value_name = "BYTES/s", value_parser = rate)]
    pub rate: Option<u64>,
    #[command(flatten)]
    pub slices: SliceArgs,
    /// The transfer's name [default: one is made]
    #[arg(long, value_name = "ID")]
    pub id: Option<TransferId>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// Such as `dir:/backup/orders-2026` or `s3://archive/orders/ID`; a slash at its end means a folder
    #[arg(value_parser = source)]
    pub source: BucketUri,
    /// Such as `local:orders-copy` or `kinesis:orders-copy`
    #[arg(value_parser = stream)]
    pub stream: StreamUri,
    /// First event of an export, inclusive, by its sequence number or time there [default: earliest]
    #[arg(long, value_name = "P")]
    pub from: Option<PositionSpec>,
    /// End, exclusive [default: latest]
    #[arg(long, value_name = "P")]
    pub until: Option<PositionSpec>,
    /// What files are that are no export's [default: raw]
    #[arg(long, value_name = "raw|lines|jsonl|avro", value_parser = source_format)]
    pub format: Option<SourceFormat>,
    /// Whether such files are inflated that are gzip or zstd [default: auto, but none for raw]
    #[arg(long, value_name = "auto|none", value_parser = inflate)]
    pub compression: Option<Inflate>,
    /// The field of a record that is the payload, `a.b` for one within [default, jsonl: the whole line; where no field is
    /// named at all, lines are Sluice's own]
    #[arg(long, value_name = "NAME")]
    pub payload_field: Option<String>,
    /// The field that is the key [default: events have none]
    #[arg(long, value_name = "NAME")]
    pub key_field: Option<String>,
    /// The field that is the time: RFC 3339, or a number since 1970, of s below 10^11, of ms below 10^14, of us below
    /// 10^17, else of ns [default: now]
    #[arg(long, value_name = "NAME")]
    pub time_field: Option<String>,
    /// Bytes of an event, where the source has no events of its own [default: 1MiB]
    #[arg(long, value_name = "N", value_parser = size)]
    pub event_size: Option<u64>,
    /// Take hidden files of a folder too, names with . or _ in front, and unfinished ones, such as a.tmp
    #[arg(long)]
    pub all_files: bool,
    /// Fill each event to its size across files
    #[arg(long)]
    pub pack: bool,
    /// The target may hold events already; they stay
    #[arg(long)]
    pub append: bool,
    /// Bytes of payload a second, at most; `sluice rate` changes it while it runs
    #[arg(long, value_name = "BYTES/s", value_parser = rate)]
    pub rate: Option<u64>,
    #[command(flatten)]
    pub slices: SliceArgs,
    /// The transfer's name [default: one is made]
    #[arg(long, value_name = "ID")]
    pub id: Option<TransferId>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Status {
    /// The transfer; the latest one unless given
    pub id: Option<TransferId>,
    /// Go on until the transfer is at rest or at its end
    #[arg(long)]
    pub watch: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Named {
    /// The transfer
    pub id: TransferId,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Resume {
    /// The transfer
    pub id: TransferId,
    /// Bytes of payload a second, at most, from now on; none for no limit [default: as before]
    #[arg(long, value_name = "BYTES/s", value_parser = limit)]
    pub rate: Option<Limit>,
    #[command(flatten)]
    pub slices: SliceArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rate {
    /// The transfer
    pub id: TransferId,
    /// Bytes of payload a second, at most; none for no limit
    #[arg(value_name = "BYTES/s", value_parser = limit)]
    pub rate: Limit,
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
