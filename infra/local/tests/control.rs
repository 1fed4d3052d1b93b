//! Pause, resume, cancel and death, while a rate holds the transfer back.
#![cfg(test)]

mod common;

use common::{Done, Stage, ended, signal};
use serde_json::json;

const EVENTS: usize = 24_000;
/// Small parts and objects, so that there are several of each.
const EXPORT: &str =
    "export local:a dir:out --id t --compression none --object-size 400KiB --part-size 50KiB --rate 60KB";

/// A stream of several batches, and its export on its way.
fn exporting() -> (Stage, std::process::Child) {
    let stage = Stage::new();
    stage.numbers("a", EVENTS);
    let child = stage.start(EXPORT);
    stage.wait_for_movement("t");
    (stage, child)
}

/// A stream, exported whole, and its import on its way.
fn importing() -> (Stage, std::process::Child) {
    let stage = Stage::new();
    stage.numbers("a", EVENTS);
    stage.ok("export local:a dir:out --id e --compression none --object-size 400KiB");
    let child = stage.start("import dir:out/e local:b --id t --rate 60KB");
    stage.wait_for_movement("t");
    (stage, child)
}

/// The export came to its end and is right.
fn is_exported(stage: &Stage) {
    let report = stage.json("status t", 0);
    assert_eq!((&report["state"], &report["events"]), (&json!("COMPLETED"), &json!(EVENTS)));
    stage.ok("verify t");
    assert_eq!(stage.open_uploads("out"), 0);
    stage.ok("import dir:out/t local:copy");
    assert_eq!(stage.payload("copy"), stage.payload("a"));
}

fn is_paused(done: Done) {
    let done = done.code(3);
    assert!(done.text().contains("PAUSED"), "{}", done.text());
    let hint = done.err.lines().last().unwrap().to_owned();
    assert!(hint.contains(env!("CARGO_BIN_EXE_sluice")) && hint.ends_with("resume t"), "{hint}");
}

#[test]
fn a_stream_that_was_made_again_is_not_gone_on_with() {
    let (stage, child) = exporting();
    stage.ok("pause t");
    is_paused(ended(child));
    // As a person does who knows nothing of transfers.
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(stage.path(&format!("home/streams/a.sqlite{suffix}")));
    }
    stage.numbers("a", EVENTS);
    let done = stage.run("resume t --rate none --output json").fails(1, "local:a was deleted and made again");
    assert_eq!(done.json()["error"]["code"], "SourceChanged");
    let hint = done.err.lines().last().unwrap();
    assert!(hint.contains("it cannot go on") && hint.ends_with("cancel t"), "{hint}");
    stage.ok("cancel t");
    assert!(stage.path("out/t/cancelled.json").exists());
    stage.ok("export local:a dir:out --id new");
}

#[test]
fn ctrl_c_pauses_and_the_command_that_is_printed_goes_on() {
    let (stage, child) = exporting();
    signal(&child, "INT");
    let done = ended(child);
    let hint = done.err.lines().last().unwrap().split_once("go on with: ").unwrap().1.to_owned();
    is_paused(done);
    assert_eq!(stage.open_uploads("out"), 0);
    let report = stage.json("status t", 0);
    assert_eq!(report["state"], "PAUSED");
    let words: Vec<&str> = hint.split_whitespace().collect();
    // From anywhere. The rate belongs to the request, so it is not in the way of the slices' options.
    let resumed = std::process::Command::new(words[0]).args(&words[1..]).args(["--output", "json"]).output().unwrap();
    assert_eq!(resumed.status.code(), Some(0));
    is_exported(&stage);
}

#[test]
fn sigterm_pauses_an_import_and_the_same_command_goes_on() {
    let (stage, child) = importing();
    signal(&child, "TERM");
    is_paused(ended(child));
    assert!(stage.events("b").len() < EVENTS);
    // The target is kept for it.
    stage.with_input("append local:b", b"x\n").fails(1, "reserved for the import t");
    stage.run("import dir:out/e local:b --id other --append").fails(1, "reserved for the import t");
    stage.ok("import dir:out/e local:b --id t --rate 60KB");
    assert_eq!(stage.payload("b"), stage.payload("a"));
    stage.ok("verify t");
    stage.with_input("append local:b", b"x\n").code(0);
}

#[test]
fn a_second_ctrl_c_kills() {
    let (stage, mut child) = exporting();
    signal(&child, "INT");
    // It may come to rest before the second one arrives; then there is nobody to kill.
    for _ in 0..1_000 {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        signal(&child, "INT");
    }
    let done = ended(child);
    assert!(done.code == 130 || done.code == 3, "{}", done.code);
    stage.ok("resume t");
    is_exported(&stage);
}

#[test]
fn another_process_pauses_and_resumes() {
    let (stage, child) = exporting();
    let report = stage.json("pause t", 0);
    assert_eq!((&report["state"], &report["error"]), (&json!("PAUSED"), &json!(null)));
    is_paused(ended(child));
    assert_eq!(stage.json("pause t", 0)["state"], "PAUSED");
    assert_eq!(stage.open_uploads("out"), 0);
    stage.ok("resume t --slice-events 9000 --slice-seconds 10");
    is_exported(&stage);
    // Those of both processes; how many the pause left to do is not said.
    assert!(stage.json("status t", 0)["slices"].as_u64() >= Some(2));
}

#[test]
fn another_process_cancels() {
    let (stage, child) = exporting();
    assert_eq!(stage.json("cancel t", 0)["state"], "CANCELLED");
    let done = ended(child).code(3);
    assert!(done.text().contains("CANCELLED"));
    assert_eq!(stage.open_uploads("out"), 0);
    stage.run("resume t").fails(1, "CANCELLED");
    assert_eq!(stage.json("cancel t", 0)["state"], "CANCELLED");
    // The same command reports what became of it.
    assert_eq!(stage.json(EXPORT, 3)["state"], "CANCELLED");
}

#[test]
fn a_cancelled_import_gives_its_target_back() {
    let (stage, child) = importing();
    stage.ok("pause t");
    ended(child).code(3);
    assert_eq!(stage.json("cancel t", 0)["state"], "CANCELLED");
    let there = stage.events("b").len();
    assert!(there > 0 && there < EVENTS);
    stage.ok("import dir:out/e local:b --append");
    assert_eq!(stage.events("b").len(), there + EVENTS);
}

#[test]
fn two_processes_do_not_drive_one_transfer() {
    let (stage, child) = exporting();
    for line in [EXPORT, "resume t"] {
        stage.run(line).fails(1, "status t --watch");
    }
    stage.ok("pause t");
    ended(child).code(3);
}

#[test]
fn after_a_kill_the_same_command_goes_on_at_once() {
    let (stage, mut child) = exporting();
    child.kill().unwrap();
    ended(child).code(-1);
    let status = stage.ok("status t");
    assert!(status.err.contains("no process runs it"), "{}", status.err);
    stage.ok(EXPORT);
    is_exported(&stage);
}

#[test]
fn after_a_kill_resume_goes_on_at_once() {
    let (stage, mut child) = importing();
    child.kill().unwrap();
    ended(child).code(-1);
    stage.ok("resume t");
    assert_eq!(stage.payload("b"), stage.payload("a"));
    stage.ok("verify t");
}

#[test]
fn after_a_kill_it_can_be_paused_and_cancelled() {
    let (stage, mut child) = exporting();
    child.kill().unwrap();
    ended(child).code(-1);
    assert_eq!(stage.json("pause t", 0)["state"], "PAUSED");
    assert_eq!(stage.open_uploads("out"), 0);
    assert_eq!(stage.json("cancel t", 0)["state"], "CANCELLED");
}

#[test]
fn a_pause_ends_a_watch() {
    let (stage, child) = exporting();
    let watch = stage.start("status t --watch");
    stage.ok("pause t");
    ended(child).code(3);
    let text = ended(watch).code(0).text();
    assert!(text.contains("PAUSED"), "{text}");
}

#[test]
fn what_was_trimmed_during_a_pause_is_a_gap() {
    let (stage, child) = exporting();
    stage.ok("pause t");
    ended(child).code(3);
    let report = stage.json("status t", 0);
    let reached: usize = report["cut"].as_str().unwrap().split_once('@').unwrap().1.parse().unwrap();
    stage.trim_from_elsewhere("a", &format!("0@{}", reached + 100));
    let report = stage.json("resume t", 4);
    assert_eq!((&report["state"], &report["gaps"]), (&json!("COMPLETED_WITH_GAPS"), &json!(1)));
    assert_eq!(report["events"], json!(EVENTS - 100));
    let (from, until) = (format!("cut:0@{reached}"), format!("cut:0@{}", reached + 100));
    assert_eq!(report["gapRanges"], json!([{"from": from, "until": until}]));
    assert!(stage.ok("status t").text().contains(&format!("from {from} until {until}")));
    let manifest = std::fs::read_to_string(stage.path("out/t/manifest.json")).unwrap();
    let gap = format!(r#""gaps":[{{"from":"after:{}","until":"after:{}"}}]"#, reached - 1, reached + 99);
    assert!(manifest.contains(&gap), "{gap} is not in {manifest}");
    assert_eq!(stage.json("verify t", 4)["verdict"], "GAPS");
    assert_eq!(stage.json(EXPORT, 4)["state"], "COMPLETED_WITH_GAPS");
    // An import of it says so, too.
    assert_eq!(stage.json("import dir:out/t local:b", 4)["events"], json!(EVENTS - 100));
}

#[test]
fn an_object_that_was_edited_during_a_pause_is_found_at_the_end() {
    let (stage, child) = exporting();
    stage.ok("pause t");
    is_paused(ended(child));
    let object = &stage.objects("out")[0];
    let mut bytes = std::fs::read(object).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(object, &bytes).unwrap();
    stage.run("resume t").fails(1, "is not what was exported");
    bytes[last] ^= 1;
    std::fs::write(object, &bytes).unwrap();
    stage.ok("resume t");
    is_exported(&stage);
}

#[test]
fn processes_that_come_at_once_do_not_lock_each_other_out() {
    for _ in 0..8 {
        let stage = Stage::new();
        stage.numbers("a", 100);
        // The first ones make the checkpoints' file.
        let others: Vec<_> = (0..4).map(|_| stage.start("list")).collect();
        stage.ok("export local:a dir:out --id t");
        for child in others {
            ended(child).code(0);
        }
    }
}
