//! Words and options of what works on streams alone.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use sluice_transfer::{PositionSpec, StreamUri};

use super::values::{appendable, deletable, event_bytes, stream, trimmable};

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
    /// At most this many events
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
