//! The server, and a stream of it that a test has for itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::{Client, Config};
use sluice_ports::{Appended, Clock, ErrorKind, NewEvent, Read, ReadLimit, StreamReader, append_once};
use sluice_stream_kinesis::{KinesisStream, configure};
use sluice_transfer::{Event, Position, ShardId, Timestamp};

pub(crate) const MUCH: ReadLimit = ReadLimit::new(10_000, 100 << 20);

pub(crate) struct SystemClock;

#[async_trait]
#[expect(clippy::disallowed_methods, reason = "the server's clock is the machine's")]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        Timestamp::from_micros(i64::try_from(since.as_micros()).expect("microseconds"))
    }

    async fn sleep(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// Whoever runs the tests has to know what was not.
pub(crate) fn not_run(why: &str) {
    println!("not run: {why}");
}

/// Times of ferrokinesis 0.7.0 are whole seconds; its `AT_TIMESTAMP` behind the last record begins at the first one.
const TIMES: &str = "it has no times within a second, and finds the first record for a time behind the last one";

/// What servers break, by their names in `SLUICE_TEST_KINESIS_SERVER`: a test here, or a property of the suite.
const BROKEN: [(&str, What, &str); 2] =
    [("ferrokinesis", What::Test("positions_and_ends"), TIMES), ("ferrokinesis", What::Property("times"), TIMES)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Test(&'static str),
    Property(&'static str),
}

/// What the server breaks. Each is told with its count.
fn broken() -> impl Iterator<Item = What> {
    let server = std::env::var("SLUICE_TEST_KINESIS_SERVER").unwrap_or_default();
    BROKEN.into_iter().filter(move |(of, ..)| *of == server).map(|(_, what, _)| what)
}

fn tell(what: What) {
    let (server, all) = (std::env::var("SLUICE_TEST_KINESIS_SERVER").unwrap_or_default(), broken().count());
    let (_, _, why) =
        BROKEN.into_iter().find(|(of, broken, _)| *of == server && *broken == what).expect("it is listed");
    not_run(&format!("{what:?}, one of {all} that are left out on {server}: {why}"));
}

/// True if a test is left out on this server.
pub(crate) fn is_left_out(test: &'static str) -> bool {
    let left_out = broken().any(|what| what == What::Test(test));
    if left_out {
        tell(What::Test(test));
    }
    left_out
}

/// Properties of the suite that are left out on this server.
pub(crate) fn properties_left_out() -> Vec<&'static str> {
    let properties = broken().filter_map(|what| if let What::Property(name) = what { Some(name) } else { None });
    properties.inspect(|name| tell(What::Property(name))).collect()
}

pub(crate) fn client() -> Option<Client> {
    let Ok(endpoint) = std::env::var("SLUICE_TEST_KINESIS") else {
        not_run("SLUICE_TEST_KINESIS names no endpoint");
        return None;
    };
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint);
    Some(Client::from_conf(configure(config).build()))
}

pub(crate) struct World {
    pub client: Client,
    pub name: String,
    pub stream: KinesisStream,
    pub shards: Vec<ShardId>,
}

impl World {
    /// A new stream; none where no server is.
    pub(crate) async fn new(what: &str, shards: i32) -> Option<Self> {
        let client = client()?;
        let name = format!("sluice-{what}-{}", SystemClock.now().micros());
        let made = client.create_stream().stream_name(&name).shard_count(shards).send().await;
        made.expect("the server makes a stream");
        let stream = open(&client, &name);
        for _ in 0..100 {
            match stream.describe().await {
                Ok(info) => {
                    assert!(info.is_empty());
                    let shards = info.shards.into_iter().map(|shard| shard.shard).collect();
                    return Some(Self { client, name, stream, shards });
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
            SystemClock.sleep(100).await;
        }
        panic!("the stream is never ready");
    }

    pub(crate) async fn append(&self, shard: usize, events: &[NewEvent]) -> Position {
        let answer = append_once(&self.stream, &self.shards[shard], None, &Position::Beginning, events).await;
        match answer.expect("an append is answered") {
            Appended::Done { tail } => tail,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn read_all(&self, shard: usize, from: &Position, limit: ReadLimit) -> Vec<Event> {
        let (mut position, mut all) = (from.clone(), Vec::new());
        loop {
            match self.stream.read(&self.shards[shard], &position, limit).await.expect("a read is answered") {
                Read::Events { events, next, at_tail, .. } => {
                    assert!(events.len() <= limit.events.max(1));
                    let in_front = events.iter().rev().skip(1).map(|event| event.payload.len() + event.key.len());
                    assert!(events.len() < 2 || in_front.sum::<usize>() < limit.bytes);
                    all.extend(events);
                    position = next;
                    if at_tail {
                        return all;
                    }
                }
                Read::Trimmed { earliest } => panic!("{position} is trimmed to {earliest}"),
            }
        }
    }

    /// As another process sees it.
    pub(crate) fn anew(&self) -> Self {
        let stream = open(&self.client, &self.name);
        Self { client: self.client.clone(), name: self.name.clone(), stream, shards: self.shards.clone() }
    }

    pub(crate) async fn remove(self) {
        let removed = self.client.delete_stream().stream_name(&self.name).send().await;
        removed.expect("the server removes a stream");
    }
}

pub(crate) fn open(client: &Client, name: &str) -> KinesisStream {
    KinesisStream::new(client.clone(), name, Arc::new(SystemClock))
}
