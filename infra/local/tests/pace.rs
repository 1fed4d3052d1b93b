//! Imports in the rhythm of their source, by the command.
#![cfg(test)]

mod common;

use common::{Stage, ended, signal};
use serde_json::json;

const FIRST: u64 = 1_795_334_400_000;

/// A stream `a` of events that are this many milliseconds apart, and an export of it.
fn exported(millis: &[u64]) -> Stage {
    let stage = Stage::new();
    let line = |millis: &u64| format!("{{\"at\":{},\"n\":{millis}}}\n", FIRST + millis);
    std::fs::create_dir(stage.path("in")).unwrap();
    std::fs::write(stage.path("in/a.jsonl"), millis.iter().map(line).collect::<String>()).unwrap();
    stage.ok("import dir:in local:a --format jsonl --time-field at");
    stage.ok("export local:a dir:out --id e");
    stage
}

#[test]
fn an_import_lasts_as_long_as_its_source_did() {
    let stage = exported(&[0, 300, 900, 1_500]);
    let done = stage.ok("import dir:out/e local:b --id t --pace original");
    assert!(done.err.contains("note: pace: in the original rhythm: about 1 s, until 20"), "{}", done.err);
    let report = stage.json("status t", 0);
    assert_eq!((&report["state"], &report["events"]), (&json!("COMPLETED"), &json!(4)));
    // How late a busy machine makes it is not held here; that is what the tests on virtual time are for.
    assert!(report["durationSeconds"].as_f64() >= Some(1.5), "{report}");
    assert_eq!((&report["replay"]["pace"], &report["replay"]["endsAt"]), (&json!("original"), &json!(null)));
    assert_eq!(stage.payload("b"), stage.payload("a"));
    let fast = stage.json("import dir:out/e local:c --id f --pace 10x", 0);
    assert!(fast["durationSeconds"].as_f64() >= Some(0.15), "{fast}");
    assert_eq!(fast["replay"]["pace"], "10x");
    // The pace is part of the request.
    stage.run("import dir:out/e local:c --id f --pace 20x").fails(1, "taken by another request");
    stage.ok("verify t");
}

#[test]
fn a_silence_of_hours_is_waited_for_and_a_stop_is_obeyed_in_it() {
    let stage = exported(&[0, 7_200_000, 7_200_001]);
    for slices in ["", " --slice-seconds 1"] {
        let id = format!("t{}", slices.len());
        let child = stage.start(&format!("import dir:out/e local:b{id} --id {id} --pace original{slices}"));
        let report = stage.wait(&id, |report| report["replay"]["nextAt"].is_string());
        assert_eq!(report["events"], 1);
        let left = report["etaSeconds"].as_u64().unwrap();
        assert!((7_100..=7_201).contains(&left), "{report}");
        let text = stage.ok(&format!("status {id}")).text();
        assert!(text.contains("silence at the source: the next event is due at 20"), "{text}");
        signal(&child, "INT");
        let done = ended(child).code(3);
        assert!(done.text().contains("PAUSED") && !done.err.contains("waited"), "{} {}", done.text(), done.err);
        assert_eq!(stage.events(&format!("b{id}")).len(), 1);
        let paused = stage.json(&format!("status {id}"), 0);
        assert_eq!((&paused["state"], &paused["etaSeconds"]), (&json!("PAUSED"), &json!(null)));
    }
    // It goes on in its rhythm, until another process gives it up.
    let child = stage.start("resume t0");
    stage.wait("t0", |report| report["state"] == "TRANSFERRING" && report["replay"]["nextAt"].is_string());
    assert_eq!(stage.json("cancel t0", 0)["state"], "CANCELLED");
    ended(child).code(3);
}

#[test]
fn a_pace_that_cannot_be_kept_is_refused_with_the_way_out() {
    let stage = exported(&[0, 300]);
    stage.ok("export local:a dir:out --id raw --format raw");
    stage
        .run("import dir:out/raw local:b --pace original")
        .fails(1, "export the stream again with format avro or jsonl");
    stage.run("import dir:in local:b --format lines --pace 2x").fails(1, "--time-field");
    stage.run("import dir:out/e local:b --pace 10").fails(2, "write original, max, or a factor such as 10x");
    stage.ok("import dir:in local:b --format lines --pace max");
}
