//! Appending lines or pieces of a file to a stream, in batches of bounded size. While one becomes durable the next is
//! read: neither the disk nor whoever writes the pipe waits for the other.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use bytes::Bytes;
use serde::Serialize;
use sluice_operations::Code;
use sluice_ports::{Appended, Made, NewEvent, ShardInfo, StreamAdmin, StreamInfo, StreamStore, StreamWriter};
use sluice_transfer::limits::EVENT_BYTES;
use sluice_transfer::{Counts, Position, ShardId, StreamUri, Timestamp, Value, sha256_hex};

use crate::args::{Append, By, HostArgs};
use crate::bounds::known;
use crate::clock::now;
use crate::failure::Failure;
use crate::home::Home;
use crate::output::{self, Output, bytes, counted};

/// Bytes of a piece, unless told otherwise.
const PIECE: u64 = 1 << 20;
/// A batch is written once it has this many bytes or events. Two are held at once.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_EVENTS: usize = 8_192;
/// Bytes asked of the input at once.
const READ_BYTES: usize = 1 << 20;
/// Tries of one batch while somebody else appends to the same shard.
const ATTEMPTS: u32 = 1_000;

pub(crate) async fn run(host: &HostArgs, args: &Append, output: Output) -> Result<ExitCode, Failure> {
    #[derive(Serialize)]
    struct Told {
        stream: StreamUri,
        events: u64,
        bytes: u64,
    }
    let pieces = Pieces::open(args)?;
    let home = Home::create(host)?;
    let stream = home.stream(&args.stream)?;
    let made = stream.create(args.shards.unwrap_or(1)).await?;
    let info = known(&stream, &args.stream).await?;
    if let Some(asked) = args.shards.filter(|asked| made == Made::Before && *asked as usize != info.shards.len()) {
        let there = counted(info.shards.len() as u64, "shard");
        let what = format!("{} is there and has {there}, not {asked}: leave --shards away", args.stream);
        return Err(Failure::new(Code::Invalid, what));
    }
    let mut writer = Writer::new(&stream, &args.stream, &info, args.key.as_deref());
    let appended = append_all(pieces, &mut writer).await;
    let counts = writer.written;
    if let Err(mut failure) = appended {
        failure.message = format!(
            "{} (appended before that: {}, {})",
            failure.message,
            counted(counts.events, "event"),
            bytes(counts.bytes)
        );
        return Err(failure);
    }
    match output {
        Output::Json => {
            output::print_json(&Told { stream: args.stream.clone(), events: counts.events, bytes: counts.bytes })?;
        }
        Output::Text => {
            let text =
                format!("{}, {} appended to {}\n", counted(counts.events, "event"), bytes(counts.bytes), args.stream);
            output::print(&text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Appends a file in pieces; for the demo.
pub(crate) async fn append_file(
    stream: &dyn StreamStore,
    uri: &StreamUri,
    file: &Path,
    piece: u64,
) -> Result<Counts, Failure> {
    let pieces = Pieces::of(file, By::Bytes, piece, None)?;
    let info = known(stream, uri).await?;
    let mut writer = Writer::new(stream, uri, &info, None);
    append_all(pieces, &mut writer).await?;
    Ok(writer.written)
}

async fn append_all(pieces: Pieces, writer: &mut Writer<'_>) -> Result<(), Failure> {
    let appended = append_each(pieces, writer).await;
    writer.close().await;
    appended
}

async fn append_each(pieces: Pieces, writer: &mut Writer<'_>) -> Result<(), Failure> {
    let (mut pieces, mut batch) = read(pieces).await?;
    while !batch.is_empty() {
        // What cannot be read is told once what was read before is written; what cannot be written, at once.
        let next = async { Ok(read(pieces).await) };
        let ((), next) = tokio::try_join!(writer.write(batch), next)?;
        (pieces, batch) = next?;
    }
    Ok(())
}

/// Payloads, each with the time at which it was read.
type Batch = Vec<(Timestamp, Bytes)>;

/// Reads a batch where waiting is allowed: a pipe may stay silent for long.
async fn read(mut pieces: Pieces) -> Result<(Pieces, Batch), Failure> {
    let read = tokio::task::spawn_blocking(move || pieces.batch().map(|batch| (pieces, batch)));
    read.await.map_err(|error| Failure::new(Code::Defect, error.to_string()))?
}

/// The input, cut.
struct Pieces {
    input: Box<dyn BufRead + Send>,
    name: String,
    by: By,
    longest: u64,
    /// Bytes of the key that goes with each event.
    key: usize,
    lines: u64,
    /// Bytes of the piece before, as the next one may be as long.
    before: usize,
}

impl Pieces {
    fn open(args: &Append) -> Result<Self, Failure> {
        let default = if args.by == By::Bytes { PIECE } else { EVENT_BYTES as u64 };
        let key = args.key.as_ref().map_or(0, String::len);
        let longest = args.event_bytes.unwrap_or(default);
        if key > EVENT_BYTES || (args.by == By::Bytes && key as u64 + longest > EVENT_BYTES as u64) {
            return Err(Failure::usage(format!("--key and --event-bytes together: at most {EVENT_BYTES} bytes")));
        }
        Self::of(&args.file, args.by, longest, args.key.as_deref())
    }

    fn of(file: &Path, by: By, longest: u64, key: Option<&str>) -> Result<Self, Failure> {
        let key = key.map_or(0, str::len);
        let (input, name): (Box<dyn BufRead + Send>, _) = if file == Path::new("-") {
            // Its own buffer is small and passed over by reads that are larger.
            (Box::new(BufReader::with_capacity(READ_BYTES, io::stdin())), "stdin".to_owned())
        } else {
            let name = file.display().to_string();
            let open = || {
                let file = File::open(file)?;
                if file.metadata()?.is_dir() {
                    return Err(io::Error::from(io::ErrorKind::IsADirectory));
                }
                Ok(file)
            };
            let file = open().map_err(|error| Failure::of_io(&error, format!("{name} cannot be read")))?;
            (Box::new(BufReader::with_capacity(READ_BYTES, file)), name)
        };
        Ok(Self { input, name, by, longest, key, lines: 0, before: 0 })
    }

    /// The next batch; empty at the end. With an error what was read of it is dropped.
    fn batch(&mut self) -> Result<Batch, Failure> {
        let (mut batch, mut bytes) = (Batch::new(), 0);
        while bytes < BATCH_BYTES && batch.len() < BATCH_EVENTS {
            let Some(piece) = self.next()? else { break };
            bytes += piece.len();
            batch.push((now(), piece));
        }
        Ok(batch)
    }

    /// The next event's payload; none at the end.
    fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let mut piece = Vec::with_capacity(self.before.min(READ_BYTES));
        let failed = |error: io::Error| Failure::of_io(&error, format!("{} cannot be read", self.name));
        if self.by == By::Bytes {
            self.input.by_ref().take(self.longest).read_to_end(&mut piece).map_err(failed)?;
            return Ok((!piece.is_empty()).then(|| piece.into()));
        }
        // Key and line share an event's room.
        let longest = self.longest.min((EVENT_BYTES - self.key) as u64);
        // One byte more for the newline, so that a line that is too long shows.
        self.input.by_ref().take(longest + 1).read_until(b'\n', &mut piece).map_err(failed)?;
        if piece.is_empty() {
            return Ok(None);
        }
        self.lines += 1;
        self.before = piece.len();
        if piece.last() == Some(&b'\n') {
            piece.pop();
        }
        if piece.len() as u64 > longest {
            let what = format!(
                "line {} of {} is longer than {longest} bytes: allow longer ones with --event-bytes (at most 32MiB), or \
                 cut the file with --by bytes",
                self.lines, self.name
            );
            return Err(Failure::new(Code::EventTooLarge, what));
        }
        Ok(Some(piece.into()))
    }
}

/// A shard, and the batch on its way there.
struct Shard<'a> {
    id: ShardId,
    tail: Position,
    events: Vec<NewEvent>,
    /// Opened for the first batch.
    writer: Option<Box<dyn StreamWriter + 'a>>,
}

/// Batches on their way to the shards.
struct Writer<'a> {
    stream: &'a dyn StreamStore,
    uri: &'a StreamUri,
    shards: Vec<Shard<'a>>,
    key: Value,
    /// The shard of all events; none: one after the other.
    only: Option<usize>,
    events: u64,
    written: Counts,
}

impl<'a> Writer<'a> {
    fn new(stream: &'a dyn StreamStore, uri: &'a StreamUri, info: &StreamInfo, key: Option<&str>) -> Self {
        let shard = |info: &ShardInfo| {
            let (id, tail) = (info.shard.clone(), info.tail.clone());
            Shard { id, tail, events: Vec::new(), writer: None }
        };
        let shards: Vec<_> = info.shards.iter().map(shard).collect();
        let only = key.map(|key| shard_of(key, shards.len()));
        let key = key.map_or(Value::Absent, |key| Bytes::copy_from_slice(key.as_bytes()).into());
        Self { stream, uri, shards, key, only, events: 0, written: Counts::default() }
    }

    async fn write(&mut self, batch: Batch) -> Result<(), Failure> {
        let count = self.shards.len() as u64;
        for (time, payload) in batch {
            let shard = self.only.unwrap_or_else(|| usize::try_from(self.events % count.max(1)).unwrap_or_default());
            self.events += 1;
            let event = NewEvent { time, key: self.key.clone(), headers: Vec::new(), payload: payload.into() };
            self.shards[shard].events.push(event);
        }
        for Shard { id, tail, events, writer } in &mut self.shards {
            if events.is_empty() {
                continue;
            }
            let counts = Counts::new(events.len() as u64, events.iter().map(|event| event.payload.len() as u64).sum());
            let writer = match writer {
                Some(writer) => writer,
                None => writer.insert(self.stream.writer(id, None).await?),
            };
            *tail = append_batch(&**writer, self.uri, id, tail, events).await?;
            events.clear();
            self.written += counts;
        }
        Ok(())
    }

    async fn close(&mut self) {
        for writer in self.shards.iter_mut().filter_map(|shard| shard.writer.take()) {
            writer.close().await;
        }
    }
}

/// Appends a batch behind whatever is there. Answers the new tail.
async fn append_batch(
    writer: &dyn StreamWriter,
    uri: &StreamUri,
    shard: &ShardId,
    tail: &Position,
    events: &[NewEvent],
) -> Result<Position, Failure> {
    let mut tail = tail.clone();
    for _ in 0..ATTEMPTS {
        match writer.append(&tail, events).await? {
            Appended::Done { tail } => return Ok(tail),
            Appended::Spread { .. } => {
                return Err(Failure::new(Code::Defect, format!("{uri} spread an append over its shards")));
            }
            // Somebody else appended.
            Appended::Elsewhere { tail: there } => tail = there,
            Appended::Reserved(writer) => {
                let what = format!(
                    "{uri} is reserved for the import {writer}: wait for it, or cancel it with `sluice cancel {writer}`"
                );
                return Err(Failure::new(Code::StreamReserved, what));
            }
        }
    }
    Err(Failure::new(
        Code::Unavailable,
        format!("others append to shard {shard} of {uri} all the time: try again later"),
    ))
}

/// The shard of a key: the same one in every process and version.
fn shard_of(key: &str, shards: usize) -> usize {
    let hash = u64::from_str_radix(&sha256_hex(key.as_bytes())[..16], 16).unwrap_or_default();
    usize::try_from(hash % (shards as u64).max(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(input: &'static [u8], by: By, longest: u64) -> Result<Vec<Bytes>, String> {
        let mut pieces = Pieces { input: Box::new(input), name: "x".into(), by, longest, key: 0, lines: 0, before: 0 };
        let mut all = Vec::new();
        while let Some(piece) = pieces.next().map_err(|failure| failure.message)? {
            all.push(piece);
        }
        Ok(all)
    }

    #[test]
    fn lines_are_events_without_their_newline() {
        assert_eq!(pieces(b"", By::Lines, 9).unwrap().len(), 0);
        assert_eq!(pieces(b"\n", By::Lines, 9).unwrap(), [""]);
        assert_eq!(pieces(b"a\r\n\nb", By::Lines, 9).unwrap(), ["a\r", "", "b"]);
        assert_eq!(pieces(b"abc\nabc", By::Lines, 3).unwrap(), ["abc", "abc"]);
        assert!(pieces(b"abc\nabcd\n", By::Lines, 3).unwrap_err().starts_with("line 2 of x is longer than 3"));
        assert!(pieces(b"abcd", By::Lines, 3).is_err());
    }

    #[test]
    fn bytes_are_cut_evenly() {
        assert_eq!(pieces(b"", By::Bytes, 2).unwrap().len(), 0);
        assert_eq!(pieces(b"a\nbcd", By::Bytes, 2).unwrap(), ["a\n", "bc", "d"]);
    }

    #[test]
    fn a_key_stays_in_its_shard() {
        assert_eq!(shard_of("customer-7", 4), shard_of("customer-7", 4));
        let used: std::collections::BTreeSet<_> = (0..100).map(|n| shard_of(&n.to_string(), 4)).collect();
        assert_eq!(used.len(), 4);
    }
}
