//! A host that receives events of objects, over stores in memory, and the workflow that runs its executions.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use sluice_memory::{MemoryBucket, MemoryClock, MemoryExecutions, MemoryPlaces, MemoryStream};
use sluice_ports::{BucketStore, Clock, Error, ErrorKind, Places, Result, StreamAdmin, StreamStore};
use sluice_transfer::{BucketUri, StreamUri};

use super::super::*;
use crate::rig::{handed, host_of, invocation};

/// Buckets by their names; `closed` is on no list. Streams as [`MemoryPlaces`] has them.
#[derive(Clone, Default)]
pub(super) struct Named {
    pub(super) places: MemoryPlaces,
    pub(super) incoming: MemoryBucket,
    pub(super) archive: MemoryBucket,
}

impl Named {
    pub(super) fn open(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let path = uri.rest.trim_start_matches('/');
        let (name, key) = path.split_once('/').unwrap_or((path, ""));
        let bucket = match name {
            "incoming" => &self.incoming,
            "archive" => &self.archive,
            "work" => &self.places.work,
            _ => return Err(Error::new(ErrorKind::Denied, format!("{name} is on no list"))),
        };
        Ok((Arc::new(bucket.clone()), key.to_owned()))
    }
}

#[async_trait]
impl Places for Named {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        self.places.stream(uri).await
    }

    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.open(uri)
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.open(uri)
    }

    fn work(&self) -> BucketUri {
        "s3://work".parse().unwrap()
    }

    fn object(&self, bucket: &BucketUri, key: &str) -> String {
        let path = bucket.rest.trim_start_matches('/');
        format!("s3://{}/{key}", path.split('/').next().unwrap_or_default())
    }
}

pub(super) struct World {
    pub(super) host: Host,
    pub(super) named: Named,
    pub(super) clock: Arc<MemoryClock>,
    pub(super) executions: MemoryExecutions,
}

/// How an execution ended: its output, or the error that it failed with.
pub(super) type End = std::result::Result<Value, OperationError>;

impl World {
    /// A source of ten events, and a target of one shard that is empty.
    pub(super) async fn new() -> Self {
        let named = Named::default();
        let mut host = host_of(&named.places, 10).await;
        named.places.target.create(1).await.unwrap();
        let clock = Arc::new(MemoryClock::stepping());
        let executions = MemoryExecutions::default();
        host.engine.clock = clock.clone();
        host.engine.places = Arc::new(named.clone());
        host.executions = Some(Arc::new(executions.clone()));
        Self { host, named, clock, executions }
    }

    pub(super) async fn with_rule() -> Self {
        let world = Self::new().await;
        world.run("make", rule()).await.unwrap();
        world
    }

    /// An object arrives, `told` times.
    pub(super) async fn arrives(&self, key: &str, text: &str, millis: i64, told: usize) -> Vec<crate::Handled> {
        self.named.incoming.put_foreign(key, text.to_owned());
        self.told(key, millis, told).await
    }

    pub(super) async fn told(&self, key: &str, millis: i64, times: usize) -> Vec<crate::Handled> {
        let (bucket, _) = self.named.open(&"s3://incoming".parse().unwrap()).unwrap();
        let info = bucket.head(key).await.unwrap().unwrap();
        let time = sluice_transfer::Timestamp::from_millis(1_700_000_000_000 + millis).to_string();
        let event = json!({"source": "aws.s3", "detail-type": "Object Created", "time": time, "detail": {
            "bucket": {"name": "incoming"},
            "object": {"key": key, "size": info.size, "etag": info.etag, "sequencer": format!("{millis:016X}")}}});
        let mut handled = Vec::new();
        for _ in 0..times {
            let answer = crate::trigger(&self.host, event.clone(), &invocation(&self.host, 60_000)).await;
            handled.push(answer.unwrap_or_else(|Refused(error)| panic!("{error}")));
        }
        handled
    }

    /// Runs an execution to its end, as the workflow does.
    pub(super) async fn run(&self, name: &str, input: Value) -> End {
        self.executions.run(name, &input.to_string());
        let end = self.course(name, &input, u32::MAX).await;
        self.executions.end(name, if end.is_ok() { "SUCCEEDED" } else { "FAILED" });
        end.map(|end| end.expect("it ends"))
    }

    /// Runs all executions that wait to be run, by the order of their names, and answers how they end.
    pub(super) async fn run_launched(&self) -> BTreeMap<String, End> {
        let mut ends = BTreeMap::new();
        for (full, input) in self.executions.inputs() {
            let name = full.strip_prefix("execution:").unwrap().to_owned();
            let looked = sluice_ports::Executions::look(&self.executions, &full).await.unwrap();
            if looked == Execution::Runs {
                let input = serde_json::from_str(&input).unwrap();
                ends.insert(name.clone(), self.run(&name, input).await);
            }
        }
        ends
    }

    /// The states of the workflow; none if it was cut off behind that many of them.
    pub(super) async fn course(
        &self,
        name: &str,
        input: &Value,
        states: u32,
    ) -> std::result::Result<Option<Value>, OperationError> {
        let execution = MemoryExecutions::full(name);
        let fired = input.get("fire").is_some() || input.pointer("/import/series").is_some();
        let invoked = || invocation(&self.host, 600_000);
        let plan = async || {
            let started = json!({"input": input, "name": name, "execution": execution});
            let begun = crate::plan(&self.host, handed(started), &invoked()).await;
            begun.map(|begun| serde_json::to_value(begun).unwrap()).map_err(|Refused(error)| error)
        };
        let mut turn = plan().await?;
        for _ in 0..states.min(10_000) {
            self.clock.pass(turn["waitSeconds"].as_u64().unwrap() * 1_000);
            let again = json!({"id": turn["id"], "execution": execution, "fired": fired, "next": turn["next"],
                "troubles": turn["troubles"], "verification": turn["verification"]});
            let next = match turn["next"].as_str().unwrap() {
                "move" => {
                    self.wave(&turn, &execution).await;
                    let settled = crate::settle(&self.host, handed(again), &invoked()).await;
                    settled.map(|turn| serde_json::to_value(turn).unwrap())
                }
                "settle" => {
                    let settled = crate::settle(&self.host, handed(again), &invoked()).await;
                    settled.map(|turn| serde_json::to_value(turn).unwrap())
                }
                "finish" => {
                    let finished = crate::finish(&self.host, handed(again), &invoked()).await;
                    finished.map(|turn| serde_json::to_value(turn).unwrap())
                }
                "plan" => {
                    let again = json!({"id": turn["id"], "execution": execution});
                    let begun = crate::plan(&self.host, handed(again), &invoked()).await;
                    begun.map(|begun| serde_json::to_value(begun).unwrap())
                }
                _ if turn["fails"] == true => {
                    let error = &turn["result"]["error"];
                    let code = Code::named(error["code"].as_str().unwrap()).unwrap();
                    return Err(OperationError::new(code, error["message"].as_str().unwrap()));
                }
                _ if turn["again"] == true => plan().await.map_err(Refused),
                _ => return Ok(Some(turn["result"].clone())),
            };
            turn = next.map_err(|Refused(error)| error)?;
        }
        Ok(None)
    }

    pub(super) async fn wave(&self, turn: &Value, execution: &str) {
        for lane in turn["lanes"].as_array().unwrap() {
            for slice in 0.. {
                let asked = json!({"id": turn["id"], "lane": lane["lane"], "of": lane["of"],
                    "slice": format!("{execution}#{slice}#{}", self.clock.now().micros()), "died": null});
                let on = invocation(&self.host, 600_000);
                let answer = match turn["kind"].as_str().unwrap() {
                    "export" => crate::export(&self.host, handed(asked), &on).await,
                    _ => crate::import(&self.host, handed(asked), &on).await,
                };
                let answer = serde_json::to_value(answer.unwrap_or_else(|Refused(error)| panic!("{error}"))).unwrap();
                if answer["next"] == "done" {
                    break;
                }
                assert!(slice < 100, "a lane does not end: {answer}");
            }
        }
    }

    pub(super) async fn report(&self) -> Value {
        let mut said = self.run("look", json!({"rules": {}})).await.unwrap();
        said["rules"][0].take()
    }

    /// The payloads in the target, in order.
    pub(super) fn arrived(&self) -> Vec<String> {
        payloads(&self.named.places.target)
    }
}

pub(super) fn payloads(stream: &MemoryStream) -> Vec<String> {
    let text = |event: &sluice_transfer::Event| match &event.payload {
        sluice_transfer::Value::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("a payload that is {other:?}"),
    };
    stream.events(&"0".parse().unwrap()).iter().map(text).collect()
}

pub(super) fn rule() -> Value {
    json!({"rule": {"name": "replay", "on": {"bucket": "incoming", "prefix": "orders/", "suffix": ".txt"},
        "import": {"stream": "memory:target", "format": "lines"}}})
}

/// The same for objects of any name.
pub(super) fn of_all() -> Value {
    let mut rule = rule();
    rule["rule"]["on"].as_object_mut().unwrap().remove("suffix");
    rule
}

pub(super) fn key(number: i64) -> String {
    format!("orders/{number:03}.txt")
}
