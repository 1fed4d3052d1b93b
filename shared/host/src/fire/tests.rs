mod world;

use serde_json::json;
use sluice_ports::Clock;

use self::world::{World, key, of_all, payloads, rule};
use super::*;

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
        assert!(ends.values().all(Result::is_ok), "{ends:?}");
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
        assert!(ends.values().all(Result::is_ok), "behind {states} states: {ends:?}");
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
        assert!(ends.values().all(Result::is_ok), "{ends:?}");
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
    assert!(ends.values().all(Result::is_ok), "{ends:?}");
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
    assert!(world.run_launched().await.values().all(Result::is_err), "it comes first");
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
    assert!(ends.values().all(Result::is_ok), "{ends:?}");
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
