//! What Kinesis answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use aws_sdk_kinesis::config::{BehaviorVersion, Region};
use aws_sdk_kinesis::{Client, Config};
use sluice_ports::{Clock, NewEvent, Read, ReadLimit, StreamAdmin, StreamReader, append_once};
use sluice_stream_kinesis::{KinesisStream, configure};
use sluice_transfer::{Position, ShardId, Timestamp, Value};

use crate::answers::{Script, case, done, named, played, read, written};

/// Empty answers are followed a thousand times; from here on there is no stream any more.
const MOST_READS: usize = 100;

/// Time that passes by being slept.
#[derive(Default)]
struct Slept(AtomicU64);

#[async_trait]
impl Clock for Slept {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).plus_millis(self.0.load(Ordering::Relaxed))
    }

    async fn sleep(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

fn client() -> (Client, Script) {
    let script = Script::default();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .endpoint_url("http://fuzz.invalid")
        .allow_no_auth()
        .http_client(script.network());
    (Client::from_conf(configure(config).build()), script)
}

/// A call of the port, which one the first byte says, and what Kinesis answers meanwhile.
pub fn kinesis(bytes: &[u8]) {
    thread_local! {
        static CLIENT: (Client, Script) = client();
    }
    let Some((client, _, kind)) = played(&CLIENT, bytes, Some(("GetRecords", MOST_READS))) else { return };
    let stream = KinesisStream::new(client, "orders", Arc::new(Slept::default()));
    done(ask(&stream, kind % 6));
}

async fn ask(stream: &KinesisStream, kind: u8) {
    let shard: ShardId = "shard-0".parse().expect("a plain name");
    let after = |number: &str| Position::After(number.parse().expect("a number"));
    match kind {
        0 => {
            for found in read(stream.describe().await).into_iter().flat_map(|info| info.shards) {
                assert!(found.earliest <= found.tail, "{} ends in front of its beginning", found.shard);
            }
        }
        1 => reads(stream, &shard, Position::Beginning).await,
        2 => reads(stream, &shard, after("5")).await,
        3 => {
            for millis in [0, 1_600_000_000_000, 1_700_000_000_500, i64::MAX] {
                read(stream.position_at(&shard, Timestamp::from_millis(millis)).await);
            }
        }
        4 => {
            let event = |key: &str| NewEvent {
                time: Timestamp::default(),
                key: Value::from(key.as_bytes().to_vec()),
                headers: Vec::new(),
                payload: Value::from(b"payload".to_vec()),
            };
            let events = [event("a"), event("b"), event("a")];
            written(append_once(stream, &shard, None, &after("5"), &events).await);
        }
        _ => drop(written(stream.create(1).await)),
    }
}

/// Whatever is answered, events come in order and behind where they were asked for.
async fn reads(stream: &KinesisStream, shard: &ShardId, mut from: Position) {
    for _ in 0..5 {
        match read(stream.read(shard, &from, ReadLimit::new(3, 100)).await) {
            Some(Read::Events { events, next, .. }) => {
                assert!(events.len() <= 3 && events.is_sorted_by(|a, b| a.sequence < b.sequence), "out of order");
                assert!(events.iter().all(|event| !from.covers(&event.sequence)), "read twice");
                assert!(events.iter().all(|event| next.covers(&event.sequence)), "read again");
                assert!(next >= from, "back from {from} to {next}");
                from = next;
            }
            Some(Read::Trimmed { earliest }) => {
                assert!(earliest > from, "nothing is lost between {from} and {earliest}");
                from = earliest;
            }
            None => return,
        }
    }
}

const SUMMARY: &str = r#"{"StreamDescriptionSummary":{"StreamName":"orders","StreamARN":"arn","StreamStatus":"ACTIVE","RetentionPeriodHours":24,"StreamCreationTimestamp":1,"EnhancedMonitoring":[],"OpenShardCount":1}}"#;
const SHARDS: &str = r#"{"Shards":[{"ShardId":"shard-0","ParentShardId":"shard-9","SequenceNumberRange":{"StartingSequenceNumber":"1"},"HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"9"}}]}"#;
const CLOSED: &str = r#"{"Shards":[{"ShardId":"shard-0","SequenceNumberRange":{"StartingSequenceNumber":"001","EndingSequenceNumber":"99"},"HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"9"}}]}"#;
const ENDLESS: &str = r#"{"Shards":[],"NextToken":"again"}"#;
const ITERATOR: &str = r#"{"ShardIterator":"i"}"#;
const RECORDS: &str = r#"{"Records":[{"SequenceNumber":"5","PartitionKey":"a","Data":"AAEC","ApproximateArrivalTimestamp":1699999999.277},{"SequenceNumber":"7","PartitionKey":"b","Data":"","ApproximateArrivalTimestamp":1.7e9}],"NextShardIterator":"j","MillisBehindLatest":1}"#;
const LAST: &str = r#"{"Records":[{"SequenceNumber":"9","PartitionKey":"a","Data":"AA=="}],"MillisBehindLatest":0}"#;
const EMPTY: &str = r#"{"Records":[],"NextShardIterator":"k","MillisBehindLatest":9}"#;
const TAKEN: &str = r#"{"FailedRecordCount":1,"Records":[{"ShardId":"shard-0","SequenceNumber":"11"},{"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"m"}]}"#;
const TAKEN_ONE: &str = r#"{"FailedRecordCount":0,"Records":[{"ShardId":"shard-0","SequenceNumber":"12"}]}"#;
const TAKEN_TWO: &str =
    r#"{"Records":[{"ShardId":"shard-0","SequenceNumber":"12"},{"ShardId":"shard-0","SequenceNumber":"13"}]}"#;

/// Where mutating begins.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let (summary, shards, iterator) =
        (("DescribeStreamSummary|200", SUMMARY), ("ListShards|200", SHARDS), ("GetShardIterator|200", ITERATOR));
    let (records, last, empty) = (("GetRecords|200", RECORDS), ("GetRecords|200", LAST), ("GetRecords|200", EMPTY));
    let long = format!(r#"{{"__type":"AccessDeniedException","message":"{}"}}"#, "x".repeat(9_000));
    let backwards = RECORDS.replace("\"7\"", "\"2\"");
    let twice = RECORDS.replace("\"7\"", "\"5\"");
    named(vec![
        ("describe", case(0, &[summary, shards, iterator, records, last])),
        ("describe-closed", case(0, &[summary, ("ListShards|200", CLOSED), iterator, last])),
        ("describe-for-ever", case(0, &[summary, ("ListShards|200", ENDLESS)])),
        ("read", case(1, &[summary, shards, iterator, records, last])),
        ("read-empty", case(1, &[summary, shards, iterator, empty])),
        ("read-backwards", case(1, &[summary, shards, iterator, ("GetRecords|200", &backwards), last])),
        ("read-twice", case(1, &[summary, shards, iterator, ("GetRecords|200", &twice), last])),
        ("read-behind", case(2, &[summary, shards, iterator, records, last])),
        ("read-trimmed", case(2, &[summary, shards, iterator, last])),
        (
            "read-expired",
            case(
                1,
                &[summary, shards, iterator, records, ("GetRecords|400", r#"{"__type":"ExpiredIteratorException"}"#)],
            ),
        ),
        ("time", case(3, &[summary, shards, iterator, records, last])),
        ("append", case(4, &[summary, shards, ("PutRecords|200", TAKEN), ("PutRecords|200", TAKEN_ONE)])),
        ("append-two", case(4, &[summary, shards, ("PutRecords|200", TAKEN_TWO), ("PutRecords|200", TAKEN_ONE)])),
        ("create", case(5, &[("*|400", r#"{"__type":"ResourceNotFoundException","message":"no"}"#)])),
        ("a-long-message", case(0, &[("*|400", &long)])),
    ])
}
