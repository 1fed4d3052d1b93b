//! Printing a stream's events.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};
use sluice_operations::{Code, Settings, check_bounds, check_order};
use sluice_ports::{Error, Read as Answer, ReadLimit, StreamReader};
use sluice_transfer::{Event, Position, PositionSpec, ShardId, StreamUri, Value};

use crate::args::{HostArgs, Read};
use crate::bounds::{known, positions};
use crate::clock::sleep;
use crate::failure::Failure;
use crate::home::{Home, engine_without_home};
use crate::places::is_local;

/// Bounds of one read of the store.
const READ_EVENTS: usize = 4_096;
const READ_BYTES: usize = 4 << 20;
/// How often a read is tried again, and the first wait, in milliseconds; each is twice the one before.
const ATTEMPTS: u32 = 5;
const FIRST_WAIT: u64 = 200;

pub(crate) async fn run(host: &HostArgs, args: &Read) -> Result<ExitCode, Failure> {
    let engine = if is_local(&args.stream) {
        Home::open(host)?.without_checkpoints(Settings::default())
    } else {
        engine_without_home(host)
    };
    let stream = engine.places.stream(&args.stream).await?;
    let stream = &*stream;
    let info = known(stream, &args.stream).await?;
    check_bounds(args.from.as_ref(), args.until.as_ref(), engine.clock.now())?;
    let from = args.from.clone().unwrap_or(PositionSpec::Earliest);
    let until = args.until.clone().unwrap_or(PositionSpec::Latest);
    let starts = positions(&engine, stream, &info, ("from", &from), |shard| shard.earliest.clone()).await?;
    let ends = positions(&engine, stream, &info, ("until", &until), |shard| shard.tail.clone()).await?;
    if args.from.is_some() && args.until.is_some() {
        for (shard, (start, end)) in info.shards.iter().zip(starts.iter().zip(&ends)) {
            check_order((&from, start), (&until, end), &shard.shard)?;
        }
    }
    let mut printer = Printer {
        out: BufWriter::with_capacity(1 << 16, io::stdout().lock()),
        payload: args.payload,
        left: args.limit.unwrap_or(u64::MAX),
    };
    for ((shard, start), end) in info.shards.into_iter().zip(starts).zip(ends) {
        let end = end.min(shard.tail);
        printer.shard(stream, &args.stream, &shard.shard, start, &end).await?;
    }
    printer.out.flush().map_err(|error| Failure::of_stdout(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// Tries again, a few times, while a store is in trouble.
async fn patiently<T>(mut call: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    for attempt in 0..ATTEMPTS {
        match call().await {
            Err(error) if error.kind().is_transient() => sleep(FIRST_WAIT << attempt).await,
            answer => return answer,
        }
    }
    call().await
}

/// Writes events until nobody wants more.
struct Printer<W> {
    out: W,
    payload: bool,
    left: u64,
}

impl<W: Write> Printer<W> {
    async fn shard(
        &mut self,
        stream: &dyn StreamReader,
        uri: &StreamUri,
        shard: &ShardId,
        mut position: Position,
        end: &Position,
    ) -> Result<(), Failure> {
        while position < *end && self.left > 0 {
            let events = usize::try_from(self.left).unwrap_or(usize::MAX).min(READ_EVENTS);
            let limit = ReadLimit::new(events, READ_BYTES);
            let (events, next, at_tail) = match patiently(async || stream.read(shard, &position, limit).await).await? {
                Answer::Events { events, next, at_tail, .. } => (events, next, at_tail),
                Answer::Trimmed { earliest } => {
                    // What was printed before it stays printed.
                    self.out.flush().map_err(|error| Failure::of_stdout(&error))?;
                    let first = earliest.next_sequence().map_or_else(|| "end".to_owned(), |first| first.to_string());
                    let what = format!(
                        "shard {shard} of {uri} has been trimmed: its earliest event is {shard}@{first}; read from there, \
                         or from earliest"
                    );
                    return Err(Failure::new(Code::NotFound, what));
                }
            };
            for event in events.iter().take_while(|event| end.covers(&event.sequence)) {
                self.event(shard, event).map_err(|error| Failure::of_stdout(&error))?;
                self.left -= 1;
            }
            if at_tail || next <= position {
                break;
            }
            position = next;
        }
        Ok(())
    }

    fn event(&mut self, shard: &ShardId, event: &Event) -> io::Result<()> {
        if self.payload {
            return self.out.write_all(event.payload.as_slice());
        }
        // Written field by field, since their order is part of what is promised.
        write!(self.out, r#"{{"shard":"{shard}","sequence":"{}","time":"{}""#, event.sequence, event.time)?;
        if let Some((name, json)) = named("key", &event.key) {
            write!(self.out, r#","{name}":{json}"#)?;
        }
        let headers: Vec<Json> = event.headers.iter().map(header).collect();
        write!(self.out, r#","headers":{}"#, Json::Array(headers))?;
        if let Some((name, json)) = named("payload", &event.payload) {
            write!(self.out, r#","{name}":{json}"#)?;
        }
        self.out.write_all(b"}\n")
    }
}

fn header(header: &sluice_transfer::Header) -> Json {
    let mut object = Map::new();
    object.insert("name".to_owned(), header.name.clone().into());
    object.extend(named("value", &header.value));
    Json::Object(object)
}

/// A value under its name: text where it is UTF-8, else base64, and nothing where it is absent.
fn named(name: &str, value: &Value) -> Option<(String, Json)> {
    match value {
        Value::Absent => None,
        Value::Null => Some((name.to_owned(), Json::Null)),
        Value::Bytes(bytes) => Some(match std::str::from_utf8(bytes) {
            Ok(text) => (name.to_owned(), text.into()),
            Err(_) => (format!("{name}Base64"), STANDARD.encode(bytes).into()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_transfer::{Header, Sequence, Timestamp};

    fn line(key: Value, headers: Vec<Header>, payload: Value) -> String {
        let mut printer = Printer { out: Vec::new(), payload: false, left: 1 };
        let event = Event { sequence: Sequence::new(7), time: Timestamp::from_millis(0), key, headers, payload };
        printer.event(&"0".parse().unwrap(), &event).unwrap();
        String::from_utf8(printer.out).unwrap()
    }

    #[test]
    fn absent_null_and_empty_are_kept_apart() {
        let start = r#"{"shard":"0","sequence":"7","time":"1970-01-01T00:00:00Z""#;
        assert_eq!(line(Value::Absent, vec![], Value::Null), format!("{start},\"headers\":[],\"payload\":null}}\n"));
        let empty = || Value::from(&b""[..]);
        let header = |value| Header { name: "a\"b".into(), value };
        assert_eq!(
            line(empty(), vec![header(Value::Absent), header(empty())], (&b"\xff"[..]).into()),
            format!(
                "{start},\"key\":\"\",\"headers\":[{{\"name\":\"a\\\"b\"}},{{\"name\":\"a\\\"b\",\"value\":\"\"}}],\
                 \"payloadBase64\":\"/w==\"}}\n"
            )
        );
    }
}
