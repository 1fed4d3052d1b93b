//! A Kinesis in memory behind the SDK's HTTP connector, as strict as the real one about sequence numbers, with faults
//! that a test puts into it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_sdk_kinesis::config::{BehaviorVersion, Region};
use aws_sdk_kinesis::{Client, Config};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sluice_stream_kinesis::configure;

/// What happens to a call instead of its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is refused with that code.
    Refused(&'static str),
    /// It is carried out, and its answer is lost.
    Lost,
    /// Nothing: the fault is another call's.
    Passed,
}

/// What happens to a record of a `PutRecords`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Taken,
    Throttled,
    /// Written, and answered as an internal failure.
    FailedButWritten,
}

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub number: u64,
    pub millis: i64,
    pub key: String,
    pub data: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Shard {
    pub records: Vec<Stored>,
    pub closed: bool,
}

/// The server's state; tests reach into it.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub shards: Vec<Shard>,
    pub now: i64,
    pub summary: BTreeMap<&'static str, Value>,
    /// Empty answers in front of each that has records.
    pub hollow: u64,
    /// Records older than the retention are gone.
    pub trims: bool,
    /// For the next calls of an operation, one each.
    pub faults: BTreeMap<&'static str, VecDeque<Fault>>,
    /// For the next records that are put; then all are taken.
    pub fates: VecDeque<Fate>,
    /// Names of the operations that were called.
    pub calls: Vec<String>,
    /// Keys of each `PutRecords`.
    pub puts: Vec<Vec<String>>,
    /// What is put is answered as in this shard.
    pub elsewhere: Option<usize>,
    /// How many records are wanted is not looked at.
    pub generous: bool,
    /// Goes into each list of shards.
    pub more_shards: Option<&'static str>,
    /// The first number of each shard, if it is another.
    pub begins: Option<String>,
    given: u64,
}

/// Kinesis' numbers end in the same four bits, do not fit 64 of them, and are not dense.
pub(crate) fn number(index: u64) -> String {
    format!("49590338271490256608559692538361571{:021}", index * 160 + 2)
}

pub(crate) fn shard_name(index: usize) -> String {
    format!("shardId-{index:012}")
}

fn index_of(number: &str) -> Option<u64> {
    let rest = number.strip_prefix("49590338271490256608559692538361571").filter(|rest| rest.len() == 21)?;
    let rest: u64 = rest.parse().ok()?;
    (rest % 16 == 2).then_some(rest / 160)
}

type Refused = (&'static str, String);

fn refused<T>(code: &'static str) -> Result<T, Refused> {
    Err((code, format!("{code}, said the fake")))
}

impl State {
    pub(crate) fn with_shards(count: usize) -> Self {
        let shards = (0..count).map(|_| Shard::default()).collect();
        Self { shards, now: 1_700_000_000_000, given: 10, ..Self::default() }
    }

    pub(crate) fn put(&mut self, shard: usize, key: &str, data: &[u8]) -> u64 {
        self.given += 1;
        let stored = Stored { number: self.given, millis: self.now, key: key.to_owned(), data: data.to_vec() };
        self.shards[shard].records.push(stored);
        self.given
    }

    fn shard(&self, body: &Value) -> Result<usize, Refused> {
        let found = (0..self.shards.len()).find(|index| body["ShardId"] == shard_name(*index));
        found.map_or_else(|| refused("ResourceNotFoundException"), Ok)
    }

    fn answer(&mut self, operation: &str, body: &Value) -> Result<Value, Refused> {
        let names = [("StreamName", "orders"), ("StreamARN", "arn:aws:kinesis:eu-west-1:123456789012:stream/orders")];
        // A token names the stream as well.
        let tokened = operation == "GetRecords" || body["NextToken"].is_string();
        if !tokened && !names.iter().any(|(field, name)| body[*field] == *name) {
            return refused("ResourceNotFoundException");
        }
        if self.trims {
            let oldest = self.now - 24 * 3_600_000;
            self.shards.iter_mut().for_each(|shard| shard.records.retain(|record| record.millis >= oldest));
        }
        match operation {
            "DescribeStreamSummary" => Ok(self.describe()),
            "ListShards" => Ok(self.list()),
            "GetShardIterator" => self.iterator(body),
            "GetRecords" => self.records(body),
            "PutRecords" => Ok(self.put_records(body)),
            "CreateStream" => Ok(json!({})),
            _ => refused("UnknownOperationException"),
        }
    }

    fn describe(&self) -> Value {
        let mut summary = json!({
            "StreamName": "orders", "StreamARN": "arn", "StreamStatus": "ACTIVE", "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": 1, "EnhancedMonitoring": [], "OpenShardCount": self.shards.len(),
        });
        for (field, value) in &self.summary {
            summary[*field] = value.clone();
        }
        json!({ "StreamDescriptionSummary": summary })
    }

    fn list(&self) -> Value {
        let shard = |(index, shard): (usize, &Shard)| {
            let mut range = json!({ "StartingSequenceNumber": self.begins.clone().unwrap_or_else(|| number(1)) });
            if shard.closed {
                range["EndingSequenceNumber"] = json!(number(1_000_000_000));
            }
            json!({
                "ShardId": shard_name(index), "SequenceNumberRange": range, "ParentShardId": shard_name(99),
                "HashKeyRange": { "StartingHashKey": index.to_string(), "EndingHashKey": index.to_string() },
            })
        };
        let shards: Vec<_> = self.shards.iter().enumerate().map(shard).collect();
        json!({ "Shards": shards, "NextToken": self.more_shards })
    }

    /// An iterator is the shard, the number it begins at, and the empty answers to come.
    fn iterator(&self, body: &Value) -> Result<Value, Refused> {
        let shard = self.shard(body)?;
        let begin = match body["ShardIteratorType"].as_str() {
            Some("TRIM_HORIZON") => 0,
            Some("AT_SEQUENCE_NUMBER") => match body["StartingSequenceNumber"].as_str().and_then(index_of) {
                Some(number) => number,
                None => return refused("InvalidArgumentException"),
            },
            Some("AT_TIMESTAMP") => {
                let seconds = body["Timestamp"].as_f64().unwrap_or_default();
                // Half a millisecond more, so that it is rounded.
                let time = Duration::from_secs_f64(seconds + 0.000_5).as_millis();
                let time = i64::try_from(time).unwrap_or(i64::MAX);
                if time > self.now {
                    return refused("InvalidArgumentException");
                }
                let found = self.shards[shard].records.iter().find(|record| record.millis >= time);
                found.map_or(self.given + 1, |record| record.number)
            }
            _ => return refused("ValidationException"),
        };
        Ok(json!({ "ShardIterator": format!("{shard}/{begin}/{}", self.hollow) }))
    }

    fn records(&self, body: &Value) -> Result<Value, Refused> {
        let iterator: Vec<usize> =
            body["ShardIterator"].as_str().unwrap_or_default().split('/').flat_map(str::parse).collect();
        let [shard, begin, hollow] = iterator[..] else { return refused("InvalidArgumentException") };
        let begin = begin as u64;
        let limit = body["Limit"].as_u64().and_then(|limit| limit.try_into().ok()).unwrap_or(10_000);
        let limit = if self.generous { 10_000 } else { limit };
        let held = &self.shards[shard];
        let rest: Vec<_> = held.records.iter().filter(|record| record.number >= begin).collect();
        if hollow > 0 && !rest.is_empty() {
            let next = format!("{shard}/{begin}/{}", hollow - 1);
            return Ok(json!({ "Records": [], "NextShardIterator": next, "MillisBehindLatest": 1 }));
        }
        let (mut answered, mut bytes) = (Vec::new(), 0);
        for record in rest.iter().take(limit) {
            bytes += record.data.len() + record.key.len();
            if bytes > 10 << 20 && !answered.is_empty() {
                break;
            }
            answered.push(json!({
                "SequenceNumber": number(record.number), "PartitionKey": record.key,
                "Data": STANDARD.encode(&record.data), "ApproximateArrivalTimestamp": record.millis as f64 / 1_000.0,
            }));
        }
        let last = answered.len().checked_sub(1).map(|last| rest[last].number + 1);
        let behind = u8::from(answered.len() < rest.len());
        let mut answer = json!({ "MillisBehindLatest": behind });
        if behind > 0 || !held.closed {
            answer["NextShardIterator"] = json!(format!("{shard}/{}/{}", last.unwrap_or(begin), self.hollow));
        }
        answer["Records"] = json!(answered);
        Ok(answer)
    }

    fn put_records(&mut self, body: &Value) -> Value {
        let entries = body["Records"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.puts.push(entries.iter().map(|entry| text(&entry["PartitionKey"])).collect());
        let (mut results, mut failed) = (Vec::new(), 0);
        for entry in &entries {
            let fate = self.fates.pop_front().unwrap_or(Fate::Taken);
            let shard: usize = text(&entry["ExplicitHashKey"]).parse().expect("a hash of a shard");
            let data = STANDARD.decode(text(&entry["Data"])).expect("base64");
            let mut put = || self.put(shard, &text(&entry["PartitionKey"]), &data);
            let code = match fate {
                Fate::Taken => {
                    let number = number(put());
                    let shard = shard_name(self.elsewhere.unwrap_or(shard));
                    results.push(json!({ "ShardId": shard, "SequenceNumber": number }));
                    continue;
                }
                Fate::Throttled => "ProvisionedThroughputExceededException",
                Fate::FailedButWritten => {
                    put();
                    "InternalFailure"
                }
            };
            failed += 1;
            results.push(json!({ "ErrorCode": code, "ErrorMessage": "said the fake" }));
        }
        json!({ "FailedRecordCount": failed, "Records": results })
    }
}

/// The server, shared between its client and the test.
#[derive(Clone, Debug)]
pub(crate) struct Server(pub(crate) Arc<Mutex<State>>);

impl HttpConnector for Server {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").and_then(|target| target.strip_prefix("Kinesis_20131202."));
        let operation = target.expect("a call of Kinesis").to_owned();
        let body = serde_json::from_slice(request.body().bytes().expect("a body in memory")).expect("a body in JSON");
        let mut state = self.state();
        state.calls.push(operation.clone());
        let fault = state.faults.get_mut(operation.as_str()).and_then(VecDeque::pop_front);
        let answer = match fault {
            Some(Fault::Refused(code)) => refused(code),
            Some(Fault::Lost) => {
                let _ = state.answer(&operation, &body);
                return HttpConnectorFuture::ready(Err(ConnectorError::io("the connection was reset".into())));
            }
            Some(Fault::Passed) | None => state.answer(&operation, &body),
        };
        let (status, body) = match answer {
            Ok(body) => (200, body),
            Err((code @ "InternalFailure", message)) => (500, json!({ "__type": code, "message": message })),
            Err((code, message)) => (400, json!({ "__type": code, "message": message })),
        };
        let mut response = HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body.to_string()));
        response.headers_mut().insert("content-type", "application/x-amz-json-1.1");
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl Server {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with the state in its hands")
    }

    pub(crate) fn client(&self) -> Client {
        let connector = SharedHttpConnector::new(self.clone());
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
            .endpoint_url("http://fake.invalid")
            .allow_no_auth()
            .http_client(http_client_fn(move |_, _| connector.clone()));
        Client::from_conf(configure(config).build())
    }
}
