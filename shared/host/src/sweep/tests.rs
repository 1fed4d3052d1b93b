use std::sync::Arc;

use serde_json::json;
use sluice_memory::{MemoryClock, MemoryExecutions, MemoryPlaces};
use sluice_operations::Report;
use sluice_ports::{BucketStore, Clock, Metadata};
use sluice_transfer::TransferId;

use super::*;
use crate::answer::Next;
use crate::plan::Begun;
use crate::rig::{begin, handed, host_of, invocation};

struct Rig {
    host: Host,
    places: MemoryPlaces,
    executions: MemoryExecutions,
    clock: Arc<MemoryClock>,
}

impl Rig {
    async fn new() -> Self {
        let places = MemoryPlaces::default();
        let (executions, clock) = (MemoryExecutions::default(), Arc::new(MemoryClock::still()));
        let mut host = host_of(&places, 100).await;
        host.engine.clock = clock.clone();
        host.executions = Some(Arc::new(executions.clone()));
        host.config.keep_days = 30;
        Self { host, places, executions, clock }
    }

    /// An execution of that name begins an export.
    async fn start(&self, name: &str) {
        self.executions.run(name, "{}");
        let input = json!({"export": {"stream": "memory:source", "to": "memory:archive", "id": "export"}});
        let asked = json!({"input": input, "name": name, "execution": MemoryExecutions::full(name)});
        crate::plan(&self.host, handed(asked), &invocation(&self.host, 600_000)).await.unwrap();
    }

    async fn slice(&self) {
        let lane = json!({"id": "export", "lane": 0, "of": 1, "slice": "s", "died": null});
        crate::export(&self.host, handed(lane), &invocation(&self.host, 600_000)).await.unwrap();
    }

    async fn sweep(&self) -> Swept {
        sweep(&self.host, json!({}), &invocation(&self.host, 600_000)).await.unwrap()
    }

    async fn since(&self) -> u64 {
        let record = self.host.sweep.swept().await.unwrap().unwrap();
        let id: TransferId = "export".parse().unwrap();
        self.clock.now().millis_since(record.seen[&id].since)
    }

    async fn report(&self) -> Report {
        describe(&self.host.engine, &"export".parse().unwrap()).await.unwrap()
    }
}

fn run<F: Future<Output = ()>>(test: F) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
}

#[test]
fn a_transfer_that_runs_is_left_alone_and_its_silence_is_measured() {
    run(async {
        let rig = Rig::new().await;
        rig.start("one").await;
        let expected = Swept { active: 1, ..Swept::default() };
        assert_eq!(rig.sweep().await, expected);
        rig.clock.pass(300_000);
        assert_eq!((rig.sweep().await, rig.since().await), (expected.clone(), 300_000));
        rig.slice().await;
        assert_eq!((rig.sweep().await, rig.since().await), (expected, 0), "it has moved");
        assert_eq!(rig.executions.inputs().len(), 1, "nothing was started");
    });
}

#[test]
fn a_transfer_whose_execution_is_gone_comes_to_rest() {
    run(async {
        let rig = Rig::new().await;
        rig.start("one").await;
        rig.executions.end("one", "ABORTED");
        let expected = Swept { active: 1, lost: 1, started: 1, ..Swept::default() };
        assert_eq!(rig.sweep().await, expected);
        // As long as the execution that settles it runs, there is no other.
        assert_eq!(rig.sweep().await, Swept { started: 0, ..expected.clone() });
        let stopped = |(_, input): &(String, String)| input.starts_with(r#"{"stopped""#);
        let (name, input) = rig.executions.inputs().into_iter().find(stopped).unwrap();
        // One that died as well is followed by another.
        rig.executions.end(name.strip_prefix("execution:").unwrap(), "FAILED");
        rig.clock.pass(300_000);
        assert_eq!(rig.sweep().await, expected);
        let input: serde_json::Value = serde_json::from_str(&input).unwrap();
        let asked = json!({"input": input, "name": "two", "execution": "execution:two"});
        let Begun::Turn(turn) = crate::plan(&rig.host, handed(asked), &invocation(&rig.host, 600_000)).await.unwrap()
        else {
            panic!("a turn")
        };
        assert_eq!(turn.next, Next::Settle);
        crate::settle(&rig.host, handed(json!({"id": "export"})), &invocation(&rig.host, 600_000)).await.unwrap();
        let report = rig.report().await;
        assert_eq!((report.state, report.error.unwrap().code.as_str()), (State::Paused, "ExecutionStopped"));
        assert_eq!(rig.sweep().await, Swept::default());
    });
}

#[test]
fn who_resumes_meanwhile_is_not_disturbed() {
    run(async {
        let rig = Rig::new().await;
        rig.start("one").await;
        rig.executions.end("one", "ABORTED");
        rig.sweep().await;
        let (_, input) = rig.executions.inputs().into_iter().find(|(_, input)| input.contains("stopped")).unwrap();
        rig.executions.run("two", "{}");
        let asked = json!({"input": {"resume": "export"}, "name": "two", "execution": "execution:two"});
        crate::plan(&rig.host, handed(asked), &invocation(&rig.host, 600_000)).await.unwrap();
        let input: serde_json::Value = serde_json::from_str(&input).unwrap();
        let late = json!({"input": input, "name": "late", "execution": "execution:late"});
        let said = crate::plan(&rig.host, handed(late), &invocation(&rig.host, 600_000)).await.unwrap();
        assert!(matches!(said, Begun::Nothing(_)));
        assert_eq!(rig.report().await.state, State::Transferring);
        assert_eq!(rig.sweep().await, Swept { active: 1, ..Swept::default() });
    });
}

#[test]
fn a_rule_that_nobody_works_for_is_woken() {
    run(async {
        let rig = Rig::new().await;
        let name: sluice_transfer::RuleName = "replay".parse().unwrap();
        let rule = json!({"name": "replay", "on": {"bucket": "incoming", "prefix": "", "suffix": ""},
            "import": {"stream": "memory:target", "format": "lines"}});
        let asked = json!({"input": {"rule": rule}, "name": "make", "execution": "execution:make"});
        crate::plan(&rig.host, handed(asked), &invocation(&rig.host, 600_000)).await.unwrap();
        assert_eq!(rig.sweep().await, Swept::default(), "nothing waits");
        let object = sluice_transfer::rule::Waiting {
            version: 1,
            time: rig.clock.now(),
            bucket: "incoming".to_owned(),
            key: "a".to_owned(),
            object_version: None,
            etag: Some("e".to_owned()),
            sequencer: None,
            size: Some(1),
            is_manifest: false,
        };
        rig.host.rules.enqueue(&name, &object, rig.clock.now()).await.unwrap();
        assert_eq!(rig.sweep().await, Swept { woken: 1, ..Swept::default() }, "nobody was started");
        let fired: Vec<_> = rig.executions.inputs().into_values().collect();
        assert_eq!(fired, [r#"{"fire":"replay"}"#]);
        // Its execution works for it, then it is stopped, then it fails.
        let mut record = host_rule(&rig, &name).await;
        let drain = |execution: &str| sluice_transfer::rule::Drain {
            execution: MemoryExecutions::full(execution),
            began: rig.clock.now(),
            runs: 0,
            changes: 0,
        };
        record.drain = Some(drain("works"));
        record.revision += 1;
        rig.host.rules.update_rule(&record).await.unwrap();
        rig.executions.run("works", "{}");
        assert_eq!(rig.sweep().await, Swept::default());
        rig.executions.end("works", "ABORTED");
        assert_eq!(rig.sweep().await, Swept { woken: 1, ..Swept::default() });
        record.run = Some(sluice_transfer::rule::RuleRun {
            id: "replay-000001".parse().unwrap(),
            takes: sluice_transfer::rule::Takes::Nothing,
            failure: None,
            is_anothers: false,
        });
        record.drain = Some(drain("refused"));
        record.revision += 1;
        rig.host.rules.update_rule(&record).await.unwrap();
        rig.executions.run("refused", "{}");
        rig.executions.end("refused", "FAILED");
        assert_eq!(rig.sweep().await, Swept::default(), "it has said why");
    });
}

async fn host_rule(rig: &Rig, name: &sluice_transfer::RuleName) -> RuleRecord {
    rig.host.rules.rule(name).await.unwrap().unwrap()
}

#[test]
fn who_asks_again_goes_on_where_the_execution_is_gone() {
    run(async {
        let rig = Rig::new().await;
        rig.start("one").await;
        let again = async |name: &str| {
            rig.start(name).await;
            rig.host.engine.checkpoints.transfer(&"export".parse().unwrap()).await.unwrap().unwrap().execution
        };
        assert_eq!(again("two").await, "execution:one", "it runs there");
        rig.executions.end("one", "TIMED_OUT");
        assert_eq!(again("three").await, "execution:three");
    });
}

#[test]
fn nobody_can_write_that_an_execution_was_stopped_that_runs() {
    run(async {
        let rig = Rig::new().await;
        rig.start("one").await;
        let detail = json!({"executionArn": "execution:one", "name": "one", "status": "ABORTED",
            "input": r#"{"export": {"stream": "memory:source", "to": "memory:archive", "id": "export"}}"#});
        let asked = json!({"input": {"stopped": detail}, "name": "x", "execution": "execution:x"});
        let said = crate::plan(&rig.host, handed(asked.clone()), &invocation(&rig.host, 600_000)).await;
        assert!(said.unwrap_err().0.message.contains("runs"));
        assert_eq!(rig.report().await.state, State::Transferring);
        rig.executions.end("one", "ABORTED");
        let Begun::Turn(turn) = crate::plan(&rig.host, handed(asked), &invocation(&rig.host, 600_000)).await.unwrap()
        else {
            panic!("a turn")
        };
        assert_eq!(turn.next, Next::Settle);
    });
}

#[test]
fn what_late_slices_leave_open_is_aborted_once_none_can_be_alive() {
    run(async {
        let rig = Rig::new().await;
        begin(&rig.host, "export").await;
        rig.slice().await;
        for next in ["finish", "finish"] {
            crate::settle(&rig.host, handed(json!({"id": "export"})), &invocation(&rig.host, 600_000)).await.unwrap();
            let asked = json!({"id": "export", "next": next, "verification": null});
            crate::finish(&rig.host, handed(asked), &invocation(&rig.host, 600_000)).await.unwrap();
        }
        assert_eq!(rig.report().await.state, State::Completed);
        let late = "export/data/shard=0/late";
        rig.places.bucket.create_upload(late, &Metadata::default()).await.unwrap();
        assert_eq!(rig.sweep().await, Swept::default(), "a slice of it may be alive");
        rig.clock.pass(3_700_000);
        assert_eq!(rig.sweep().await, Swept { ended: 1, aborted: 1, expiring: 1, ..Swept::default() });
        assert_eq!(rig.places.bucket.open_uploads(), 0);
        rig.clock.pass(3_700_000);
        assert_eq!(rig.sweep().await, Swept::default(), "once is enough");
    });
}
