use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use sluice_memory::{MemoryBucket, MemoryClock, MemoryExecutions, MemoryPlaces, MemoryStream};
use sluice_ports::{BucketStore, Clock, Error, ErrorKind, Places, Result, StreamAdmin, StreamStore};
use sluice_transfer::{BucketUri, StreamUri};

use super::*;
use crate::rig::{handed, host_of, invocation};

/// Buckets by their names; `closed` is on no list. Streams as [`MemoryPlaces`] has them.
#[derive(Clone, Default)]
struct Named {
    places: MemoryPlaces,
    incoming: MemoryBucket,
    archive: MemoryBucket,
}

impl Named {
    fn open(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
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

struct World {
    host: Host,
    named: Named,
    clock: Arc<MemoryClock>,
    executions: MemoryExecutions,
}

/// How an execution ended: its output, or the error that it failed with.
type End = std::result::Result<Value, OperationError>;

impl World {
    /// A source of ten events, and a target of one shard that is empty.
    async fn new() -> Self {
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

    async fn with_rule() -> Self {
        let world = Self::new().await;
        world.run("make", rule()).await.unwrap();
        world
    }

    /// An object arrives, `told` times.
    async fn arrives(&self, key: &str, text: &str, millis: i64, told: usize) -> Vec<crate::Handled> {
        self.named.incoming.put_foreign(key, text.to_owned());
        self.told(key, millis, told).await
    }

    async fn told(&self, key: &str, millis: i64, times: usize) -> Vec<crate::Handled> {
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
    async fn run(&self, name: &str, input: Value) -> End {
        self.executions.run(name, &input.to_string());
        let end = self.course(name, &input, u32::MAX).await;
        self.executions.end(name, if end.is_ok() { "SUCCEEDED" } else { "FAILED" });
        end.map(|end| end.expect("it ends"))
    }

    /// Runs all executions that wait to be run, by the order of their names, and answers how they end.
    async fn run_launched(&self) -> BTreeMap<String, End> {
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
    async fn course(
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

    async fn wave(&self, turn: &Value, execution: &str) {
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

    async fn report(&self) -> Value {
        let mut said = self.run("look", json!({"rules": {}})).await.unwrap();
        said["rules"][0].take()
    }

    /// The payloads in the target, in order.
    fn arrived(&self) -> Vec<String> {
        payloads(&self.named.places.target)
    }
}

fn payloads(stream: &MemoryStream) -> Vec<String> {
    let text = |event: &sluice_transfer::Event| match &event.payload {
        sluice_transfer::Value::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("a payload that is {other:?}"),
    };
    stream.events(&"0".parse().unwrap()).iter().map(text).collect()
}

fn rule() -> Value {
    json!({"rule": {"name": "replay", "on": {"bucket": "incoming", "prefix": "orders/", "suffix": ".txt"},
        "import": {"stream": "memory:target", "format": "lines"}}})
}

/// The same for whatever the objects are called.
fn of_all() -> Value {
    let mut rule = rule();
    rule["rule"]["on"].as_object_mut().unwrap().remove("suffix");
    rule
}

fn key(number: i64) -> String {
    format!("orders/{number:03}.txt")
}

#[tokio::test]
async fn a_hundred_objects_at_once_are_one_import_in_order() {
    let world = World::with_rule().await;
    let mut handled = Vec::new();
    // The last ones first, some of them twice.
    for number in (0..100).rev() {
        let told = if number % 7 == 0 { 2 } else { 1 };
        handled.extend(world.arrives(&key(number), &format!("a{number}\nb{number}\n"), number / 10, told).await);
    }
    let sum = |of: fn(&crate::Handled) -> u64| handled.iter().map(of).sum::<u64>();
    assert_eq!((sum(|one| one.waiting), sum(|one| one.repeated)), (100, 15));
    let ends = world.run_launched().await;
    assert_eq!(ends.len(), 1, "all of them mean one execution: {ends:?}");
    let expected: Vec<String> = (0..100).flat_map(|number| [format!("a{number}"), format!("b{number}")]).collect();
    assert_eq!(world.arrived(), expected);
    let report = world.report().await;
    assert_eq!((&report["runs"], &report["taken"], &report["waiting"]), (&json!(1), &json!(100), &json!(0)));
    assert_eq!((&report["repeated"], &report["execution"]), (&json!(15), &json!(null)), "{report}");
    assert_eq!(report["last"]["id"], "replay-000001");
    let list = world.named.places.work.read("rules/replay/run-000001.json").expect("a list of what it takes");
    assert!(list.starts_with(b"{\"sluice\":\"object-list\""));
    // What was taken is known.
    let again = world.told(&key(3), 0, 1).await;
    assert_eq!((again[0].waiting, again[0].repeated), (0, 1));
    world.run_launched().await;
    assert_eq!(world.arrived().len(), 200);
}

#[tokio::test]
async fn the_next_run_goes_on_behind_the_last() {
    let world = World::with_rule().await;
    for number in 0..3 {
        world.arrives(&key(number), &format!("a{number}\n"), number, 1).await;
        let ends = world.run_launched().await;
        assert!(ends.values().all(std::result::Result::is_ok), "{ends:?}");
    }
    assert_eq!(world.arrived(), ["a0", "a1", "a2"]);
    let report = world.report().await;
    assert_eq!((&report["runs"], &report["last"]["id"]), (&json!(3), &json!("replay-000003")));
}

#[tokio::test]
async fn what_comes_while_a_run_is_under_way_is_the_next_run_of_the_same_execution() {
    let world = World::with_rule().await;
    world.arrives(&key(1), "a1\n", 1, 1).await;
    let (name, input) = ("slow", json!({"fire": "replay"}));
    world.executions.run(name, &input.to_string());
    // Cut off behind its plan, and alive.
    assert_eq!(world.course(name, &input, 2).await, Ok(None));
    let handled = world.arrives(&key(2), "a2\n", 2, 1).await;
    assert_eq!(handled[0].launched, 0, "an execution makes the runs already");
    let beside = world.run("beside", input.clone()).await.unwrap();
    assert_eq!(beside["rule"]["execution"], "execution:slow", "{beside}");
    assert!(world.course(name, &input, u32::MAX).await.unwrap().is_some());
    assert_eq!(world.arrived(), ["a1", "a2"]);
    assert_eq!(world.report().await["runs"], 2);
}

#[tokio::test]
async fn wherever_an_execution_dies_the_next_one_takes_all_once() {
    for states in 0..12 {
        let world = World::with_rule().await;
        for number in 0..5 {
            world.arrives(&key(number), &format!("a{number}\n"), number, 1).await;
        }
        let input = json!({"fire": "replay"});
        world.executions.run("dies", &input.to_string());
        let is_through = world.course("dies", &input, states).await.unwrap().is_some();
        world.executions.end("dies", "ABORTED");
        world.arrives(&key(7), "a7\n", 7, 2).await;
        let ends = world.run_launched().await;
        assert!(ends.values().all(std::result::Result::is_ok), "behind {states} states: {ends:?}");
        assert_eq!(world.arrived(), ["a0", "a1", "a2", "a3", "a4", "a7"], "behind {states} states");
        let report = world.report().await;
        assert_eq!((&report["waiting"], &report["taken"]), (&json!(0), &json!(6)), "behind {states}: {report}");
        assert!(is_through || states < 11, "the test does not reach the end");
    }
}

/// The bus tells of the stop before the next object comes, or while it is being brought to rest.
#[tokio::test]
async fn a_stopped_execution_is_taken_up_by_the_next() {
    for settles in [0, 1, u32::MAX] {
        let world = World::with_rule().await;
        world.arrives(&key(1), "a1\n", 1, 1).await;
        let input = json!({"fire": "replay"});
        world.executions.run("dies", &input.to_string());
        assert_eq!(world.course("dies", &input, 2).await, Ok(None));
        world.executions.end("dies", "ABORTED");
        let stopped = json!({"stopped": {"executionArn": "execution:dies", "name": "dies", "status": "ABORTED",
            "input": input.to_string(), "error": null, "cause": "by hand"}});
        let rested = world.course("rests", &stopped, settles).await.unwrap();
        assert_eq!(rested.is_some(), settles > 1);
        if let Some(rested) = rested {
            assert_eq!((&rested["id"], &rested["state"]), (&json!("replay-000001"), &json!("PAUSED")));
        }
        world.arrives(&key(2), "a2\n", 2, 1).await;
        let ends = world.run_launched().await;
        assert!(ends.values().all(std::result::Result::is_ok), "{ends:?}");
        assert_eq!(world.arrived(), ["a1", "a2"], "{settles} states of its rest");
    }
}

#[tokio::test]
async fn an_export_is_imported_once_and_only_by_its_root() {
    let world = World::with_rule().await;
    world.run("change", of_all()).await.unwrap();
    let export = json!({"export": {"stream": "memory:source", "to": "s3://incoming/orders", "id": "out",
        "format": "jsonl"}});
    world.run("out", export).await.unwrap();
    let keys: Vec<String> = world.named.incoming.read_all().into_keys().collect();
    assert!(keys.len() > 2, "{keys:?}");
    for (number, key) in (0..).zip(&keys) {
        world.told(key, number, 2).await;
    }
    world.run_launched().await;
    assert_eq!(payloads(&world.named.places.target), payloads(&world.named.places.source));
    let report = world.report().await;
    assert_eq!((&report["runs"], &report["taken"], &report["repeated"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(report["ignored"], json!(2 * (keys.len() - 1)), "{report}");
}

#[tokio::test]
async fn nothing_goes_round_in_a_circle_or_past_the_lists() {
    let world = World::with_rule().await;
    world.arrives(&key(1), "a1\n", 1, 1).await;
    world.run_launched().await;
    let export = json!({"export": {"stream": "memory:target", "to": "s3://incoming/orders", "id": "out"}});
    world.run("out", export).await.unwrap();
    let handled = world.told("orders/out/manifest.json", 2, 1).await;
    assert_eq!((handled[0].refused, handled[0].launched), (1, 0), "an export of the target itself");
    let closed = json!({"rule": {"name": "closed", "on": {"bucket": "closed"}, "import": {"stream": "memory:target"}}});
    assert_eq!(world.run("make", closed).await.unwrap_err().code, Code::Denied);
    let own = json!({"rule": {"name": "own", "on": {"bucket": "work"}, "import": {"stream": "memory:target"}}});
    assert_eq!(world.run("make", own).await.unwrap_err().code, Code::Invalid);
    assert_eq!(world.arrives("orders/manifest.json", "{}", 3, 1).await[0].ignored, 1, "somebody else's");
    assert_eq!(world.arrives("orders/a.csv", "x", 3, 1).await[0].unasked, 1);
    world.run("change", of_all()).await.unwrap();
    for (key, size) in [("orders/", ""), ("orders/.hidden.txt", "x"), ("orders/_tmp/a.txt", "x")] {
        assert_eq!(world.arrives(key, size, 3, 1).await[0].ignored, 1, "{key}");
    }
    assert_eq!(world.arrives("others/a.txt", "x", 3, 1).await[0].unasked, 1);
    assert_eq!(world.report().await["refused"], 1);
}

#[tokio::test]
async fn a_run_that_fails_stops_the_rule_until_it_goes_on() {
    let world = World::with_rule().await;
    world.arrives(&key(1), "a1\n", 1, 1).await;
    // Somebody else holds the target.
    let (stream, other) = ("memory:target".parse().unwrap(), "other".parse().unwrap());
    world.host.engine.checkpoints.reserve_writer(&stream, &other).await.unwrap();
    let ends = world.run_launched().await;
    let failed = ends.into_values().next().unwrap().unwrap_err();
    assert_eq!(failed.code, Code::StreamReserved);
    let report = world.report().await;
    assert_eq!(report["run"]["id"], "replay-000001");
    assert_eq!((&report["running"], &report["waiting"]), (&json!(false), &json!(1)), "{report}");
    assert_eq!(report["run"]["error"]["code"], "StreamReserved", "{report}");
    world.host.engine.checkpoints.release_writer(&stream, &other).await.unwrap();
    world.arrives(&key(2), "a2\n", 2, 1).await;
    let ends = world.run_launched().await;
    assert!(ends.values().all(std::result::Result::is_ok), "{ends:?}");
    assert_eq!(world.arrived(), ["a1", "a2"], "nothing is skipped");
    assert_eq!(world.report().await["last"]["id"], "replay-000002");
}

#[tokio::test]
async fn a_run_that_can_never_be_planned_is_given_up_by_hand() {
    let world = World::new().await;
    let jsonl = json!({"rule": {"name": "replay", "on": {"bucket": "incoming"},
        "import": {"stream": "memory:target", "format": "jsonl", "payloadField": "p"}}});
    world.run("make", jsonl).await.unwrap();
    world.arrives("bad", "no json\n", 1, 1).await;
    let ends = world.run_launched().await;
    assert_eq!(ends.into_values().next().unwrap().unwrap_err().code, Code::ObjectUnreadable);
    world.arrives("good", "{\"p\": \"x\"}\n", 2, 1).await;
    assert!(world.run_launched().await.values().all(std::result::Result::is_err), "it comes first");
    let cancelled = world.run("give-up", json!({"cancel": "replay-000001"})).await;
    assert_eq!(cancelled, Ok(json!({"cancelled": "replay-000001"})));
    world.run("on", json!({"fire": "replay"})).await.unwrap();
    assert_eq!(world.arrived(), ["x"]);
    let unknown = world.run("other", json!({"cancel": "replay-000009"})).await.unwrap_err();
    assert_eq!(unknown.code, Code::TransferNotFound);
}

#[tokio::test]
async fn what_is_gone_or_replaced_is_passed_over_and_said() {
    let world = World::with_rule().await;
    for number in 1..4 {
        world.arrives(&key(number), &format!("a{number}\n"), number, 1).await;
    }
    world.named.incoming.remove(&key(1));
    world.arrives(&key(2), "another\n", 9, 1).await;
    world.run_launched().await;
    assert_eq!(world.arrived(), ["a3", "another"]);
    let run = world.run("look", json!({"describe": "replay-000001"})).await.unwrap();
    assert!(
        run["notes"][0].as_str().unwrap().starts_with("2 objects of rules/replay/run-000001.json left out"),
        "{run}"
    );
    // Nothing of a run is left.
    world.arrives(&key(5), "a5\n", 10, 1).await;
    world.named.incoming.remove(&key(5));
    let ends = world.run_launched().await;
    assert!(ends.values().all(std::result::Result::is_ok), "{ends:?}");
    let report = world.report().await;
    assert_eq!((&report["run"], &report["last"]["state"]), (&json!(null), &json!("CANCELLED")), "{report}");
}

#[tokio::test]
async fn a_removed_rule_takes_nothing_and_its_name_goes_on_counting() {
    let world = World::with_rule().await;
    world.arrives(&key(1), "a1\n", 1, 1).await;
    world.run_launched().await;
    world.arrives(&key(2), "a2\n", 2, 1).await;
    let removed = world.run("remove", json!({"removeRule": "replay"})).await;
    assert_eq!(removed, Ok(json!({"removed": "replay", "waiting": 1, "run": null})));
    let ends = world.run_launched().await;
    assert!(ends.values().all(|end| end.as_ref().is_err_and(|error| error.code == Code::NotFound)), "{ends:?}");
    assert_eq!(world.arrives(&key(3), "a3\n", 3, 1).await[0].unasked, 1);
    assert_eq!(world.run("remove", json!({"removeRule": "replay"})).await.unwrap_err().code, Code::NotFound);
    assert_eq!(world.run("look", json!({"rules": {}})).await, Ok(json!({"rules": []})));
    world.run("make", rule()).await.unwrap();
    let same = world.run("make", rule()).await.unwrap();
    assert_eq!(same["rule"]["import"]["append"], true);
    world.arrives(&key(4), "a4\n", 4, 1).await;
    world.run_launched().await;
    assert_eq!(world.arrived(), ["a1", "a4"]);
    assert_eq!(world.report().await["last"]["id"], "replay-000002", "no id is used twice");
}

#[tokio::test]
async fn an_export_is_started_from_outside_and_once_more_for_a_start_beside_it() {
    let world = World::new().await;
    let export = json!({"rule": {"name": "out", "export": {"stream": "memory:source", "to": "s3://archive/all"}}});
    world.run("make", export).await.unwrap();
    let fire = json!({"fire": "out"});
    world.run("first", fire.clone()).await.unwrap();
    assert_eq!(world.report().await["runs"], 1);
    world.executions.run("slow", &fire.to_string());
    assert_eq!(world.course("slow", &fire, 1).await, Ok(None));
    world.run("beside", fire.clone()).await.unwrap();
    world.course("slow", &fire, u32::MAX).await.unwrap();
    let report = world.report().await;
    assert_eq!((&report["runs"], &report["execution"]), (&json!(3), &json!(null)), "{report}");
}

#[tokio::test]
async fn a_series_is_started_from_outside() {
    let world = World::new().await;
    let export = json!({"rule": {"name": "out",
        "export": {"stream": "memory:source", "to": "s3://archive/all", "series": "nightly"}}});
    world.run("make", export).await.unwrap();
    for number in 1..3 {
        world.run(&format!("night-{number}"), json!({"fire": "out"})).await.unwrap();
        let report = world.report().await;
        assert_eq!((&report["runs"], &report["last"]["state"]), (&json!(number), &json!("COMPLETED")), "{report}");
    }
    let keys: Vec<_> = world.named.archive.read_all().into_keys().filter(|key| key.contains("-end.json")).collect();
    assert_eq!(keys, ["all/nightly/run-00000001-end.json", "all/nightly/run-00000002-end.json"]);
}

#[tokio::test]
async fn a_rule_stays_with_its_bucket_and_its_kind() {
    let world = World::with_rule().await;
    let mut elsewhere = rule();
    elsewhere["rule"]["on"]["bucket"] = json!("archive");
    let name = elsewhere["rule"]["name"].clone();
    let export = json!({"rule": {"name": name, "export": {"stream": "memory:source", "to": "s3://archive/x"}}});
    for (number, other) in [elsewhere, export].into_iter().enumerate() {
        let refused = world.run(&format!("change-{number}"), other).await.unwrap_err();
        assert_eq!(refused.code, Code::IllegalState);
        assert!(refused.message.contains("removeRule"), "{}", refused.message);
    }
}

#[tokio::test]
async fn an_object_of_a_bucket_that_the_rule_left_is_refused_and_holds_nothing_up() {
    let world = World::with_rule().await;
    let name: RuleName = rule()["rule"]["name"].as_str().unwrap().parse().unwrap();
    world.arrives("orders/b.txt", "b\n", 2, 1).await;
    let there = world.host.rules.head(&name, 9).await.unwrap();
    let stray = sluice_transfer::rule::Waiting { bucket: "archive".to_owned(), ..there[0].clone() };
    let until = world.clock.now().plus_millis(1_000);
    world.host.rules.enqueue(&name, &stray, until).await.unwrap();
    assert_eq!(world.host.rules.waiting(&name).await.unwrap(), 2);
    world.run_launched().await;
    assert_eq!(world.host.rules.waiting(&name).await.unwrap(), 0);
    assert_eq!(world.host.rules.arrivals(&name).await.unwrap().refused, 1);
    assert_eq!(payloads(&world.named.places.target).len(), 1);
}

#[tokio::test]
async fn a_series_is_imported_whole_and_goes_on_with_what_was_added() {
    let world = World::new().await;
    let export = json!({"export": {"stream": "memory:source", "to": "s3://archive/x", "series": "nightly"}});
    for number in 1..=2 {
        world.run(&format!("out-{number}"), export.clone()).await.unwrap();
    }
    let import = json!({"import": {"source": "s3://archive/x", "stream": "memory:target", "series": "nightly",
        "id": "back"}});
    let end = world.run("in-1", import.clone()).await.unwrap();
    assert_eq!(end, json!({"series": "nightly", "imported": 2}));
    assert_eq!(payloads(&world.named.places.target), payloads(&world.named.places.source));
    assert_eq!(world.run("in-2", import.clone()).await.unwrap(), end, "again it has nothing to do");
    world.run("out-3", export).await.unwrap();
    assert_eq!(world.run("in-3", import).await.unwrap()["imported"], 3);
    assert_eq!(payloads(&world.named.places.target), payloads(&world.named.places.source));
    let bounded = json!({"import": {"source": "s3://archive/x", "stream": "memory:target", "series": "nightly",
        "from": "earliest"}});
    assert!(world.run("bounded", bounded).await.unwrap_err().message.contains("taken whole"));
}
