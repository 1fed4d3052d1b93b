//! A service that answers the calls of Kinesis from memory, in a process of its own, so that its work is not counted:
//! the model that Sluice's tests have (`tests/kinesis`), behind a socket.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::json;
use sluice_fake_kinesis::{Count, Entry, Faults, Kinesis, Mode, Operation};

use super::{SOURCE, TARGET};
use crate::http::{Answer, Request};
use crate::payload::Payloads;
use crate::{Load, Result};

/// Bodies up to this are kept, in bytes: 500 records of 1 MiB cannot be, 10 MiB in base 64 can.
const KEPT: u64 = 16 << 20;
/// Records of one request while the source is filled.
const FILLED: usize = 500;
/// Of keys that have a Zipf share, the one in a thousand events of the last.
const KEYS: usize = 1_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    load: Load,
    /// Shards of both streams
    #[arg(long, default_value_t = 4)]
    shards: u32,
    /// A thousand keys have Zipf shares; else equal ones
    #[arg(long)]
    zipf: bool,
    /// Enforce AWS's limits of a shard
    #[arg(long)]
    limits: bool,
    /// Milliseconds from a `PutRecords` to its answer
    #[arg(long, default_value_t = 0)]
    latency: u64,
}

/// Serves until its process is ended. Prints the port first: its caller then knows where and when.
/// `GET /counts` answers what was asked so far, `GET /keys` how many events of the source have each key.
pub(crate) fn serve(service: &Serve) -> Result<()> {
    let (kinesis, keys) = filled(service)?;
    let keys: Arc<str> = json!(keys).to_string().into();
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    for connection in listener.incoming() {
        let (connection, kinesis, keys, latency) = (connection?, kinesis.clone(), keys.clone(), service.latency);
        thread::spawn(move || {
            // A connection that breaks off is its client's to notice.
            if let Err(error) = answer(&connection, &kinesis, &keys, latency) {
                eprintln!("a connection ended: {error}");
            }
        });
    }
    Ok(())
}

/// The service with its two streams, and how many events of the source have each key.
fn filled(service: &Serve) -> Result<(Kinesis, BTreeMap<String, usize>)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let kinesis = Kinesis::beginning(u64::try_from(now)?);
    let (mut keys, mut given) = (Keys::new(service.zipf), BTreeMap::new());
    let made = kinesis.call("owner", |call| {
        call.create_stream(SOURCE, service.shards, Mode::Provisioned)?;
        call.create_stream(TARGET, service.shards, Mode::Provisioned)?;
        let (mut payloads, mut left) = (Payloads::new(), service.load.events());
        while left > 0 {
            let count = left.min(FILLED);
            let entries = (0..count).map(|_| {
                let mut payload = Vec::with_capacity(service.load.event);
                payloads.push(&mut payload, service.load.event);
                let key = keys.next();
                *given.entry(key.clone()).or_insert(0) += 1;
                Entry::new(key, Bytes::from(payload))
            });
            let entries = entries.collect::<Vec<_>>();
            for chunk in entries.chunks((4 << 20) / service.load.event.max(1) + 1) {
                for landed in call.put_records(SOURCE, chunk.to_vec())? {
                    landed?;
                }
            }
            left -= count;
        }
        Ok::<_, sluice_fake_kinesis::Refused>(())
    });
    made?;
    kinesis.set(Faults { read_limits: service.limits, write_limits: service.limits, ..Faults::default() });
    Ok((kinesis, given))
}

fn answer(connection: &TcpStream, kinesis: &Kinesis, keys: &str, latency: u64) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut input = BufReader::with_capacity(256 << 10, connection);
    let mut output = connection;
    while let Some(request) = Request::read(&mut input, &mut output, KEPT)? {
        let answer = if request.is("GET") {
            let told = if request.bucket == "keys" { keys.to_owned() } else { counts(kinesis) };
            Answer::new(200).body(told.as_bytes())
        } else {
            let header = |name: &str| request.header(name).unwrap_or_default();
            let target = header("x-amz-target");
            if latency > 0 && target.ends_with(".PutRecords") {
                thread::sleep(Duration::from_millis(latency));
            }
            let body = request.body.as_deref().ok_or("a body that is too large")?;
            let (status, body) = kinesis.answer("client", target, header("content-type"), body);
            Answer::new(status).with("content-type", "application/x-amz-json-1.1").body(body.as_bytes())
        };
        output.write_all(&answer.to_bytes(false))?;
    }
    Ok(())
}

fn counts(kinesis: &Kinesis) -> String {
    let told = |operation| {
        let Count { calls, throttled, refused, records, records_throttled, empty, .. } =
            kinesis.count("client", operation);
        json!({
            "calls": calls, "throttled": throttled, "refused": refused, "records": records,
            "recordsThrottled": records_throttled, "empty": empty,
        })
    };
    json!({ "GetRecords": told(Operation::GetRecords), "PutRecords": told(Operation::PutRecords) }).to_string()
}

/// Keys of events, one after the other: each in its turn, or drawn with Zipf shares.
struct Keys {
    /// Sums of the shares up to each key; empty where they are equal.
    sums: Vec<f64>,
    state: u64,
    given: usize,
}

impl Keys {
    fn new(zipf: bool) -> Self {
        let shares = (1..=KEYS).map(|rank| 1.0 / rank as f64);
        let sums = shares.scan(0.0, |sum, share| {
            *sum += share;
            Some(*sum)
        });
        Self { sums: if zipf { sums.collect() } else { Vec::new() }, state: 0x5107_1ce5_eed0_0001, given: 0 }
    }

    fn next(&mut self) -> String {
        self.given += 1;
        let Some(all) = self.sums.last() else { return format!("key-{}", self.given % KEYS) };
        // Marsaglia's xorshift: the same in every run.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let drawn = (self.state >> 11) as f64 / (1_u64 << 53) as f64 * all;
        format!("key-{}", self.sums.partition_point(|sum| *sum <= drawn))
    }
}
