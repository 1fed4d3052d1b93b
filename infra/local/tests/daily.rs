//! What daily use asks for: lists, watching, rates that change, environment, completions and man pages.
#![cfg(test)]

mod common;

use common::{Stage, done, ended};
use serde_json::{Value, json};

/// Ids, in their order.
fn ids(listed: &Value) -> Vec<&str> {
    listed["transfers"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect()
}

#[test]
fn a_list_has_all_of_a_state_and_says_what_a_limit_leaves_out() {
    let stage = Stage::new();
    stage.stream("a", 10);
    for id in ["e1", "e2", "e3"] {
        stage.ok(&format!("export local:a dir:out --id {id}"));
    }
    stage.run("import dir:out local:b --id i --pack --format lines").code(1);
    stage.run("export local:a dir:out --id never --rate 1 --slice-seconds 1 --progress none --from 7@0").code(1);
    let listed = stage.json("list", 0);
    assert_eq!((ids(&listed), &listed["leftOut"]), (vec!["e3", "e2", "e1"], &json!(0)));
    let listed = stage.json("list --limit 2", 0);
    assert_eq!((ids(&listed), &listed["leftOut"]), (vec!["e3", "e2"], &json!(1)));
    let text = stage.ok("list --limit 2");
    assert!(text.err.contains("1 more is left out by --limit"), "{}", text.err);
    let head = text.text().lines().next().unwrap().to_owned();
    assert_eq!(
        head.split_whitespace().collect::<Vec<_>>(),
        ["ID", "STATE", "RUNS", "DONE", "CREATED", "AGE", "EVENTS", "BYTES", "FROM", "TO"]
    );
    assert_eq!(ids(&stage.json("list --state completed --state paused", 0)).len(), 3);
    assert!(ids(&stage.json("list --state failed", 0)).is_empty());
    assert!(stage.ok("list --state failed").err.contains("no transfers in that state"));
    stage.run("list --state running").code(2);
    stage.run("list --limit 0").code(2);
}

#[test]
fn a_list_says_which_transfer_a_process_runs() {
    let stage = Stage::new();
    stage.numbers("a", 1_000);
    // It moves nothing before it is made faster.
    let child = stage.start("export local:a dir:out --id t --rate 1 --part-size 1KiB --object-size 1MiB");
    stage.wait("t", |report| report["state"] == "TRANSFERRING");
    let listed = stage.json("list", 0);
    assert_eq!(listed["transfers"][0]["driven"], true);
    assert_eq!(stage.json("status t", 0)["driven"], true);
    assert!(stage.ok("list").text().lines().nth(1).unwrap().contains("TRANSFERRING  yes"));
    // Who runs it sees that within its next look, or this test would not end for hours.
    let report = stage.json("rate t none", 0);
    assert_eq!((&report["state"], &report["rate"]), (&json!("TRANSFERRING"), &Value::Null));
    ended(child).code(0);
    assert_eq!(stage.json("list", 0)["transfers"][0]["driven"], false);
    stage.run("rate t 5MB").fails(1, "COMPLETED and cannot be given another rate");
    stage.run("rate nobody 5MB").fails(1, "there is no transfer 'nobody'");
}

#[test]
fn another_rate_is_no_other_request_and_a_resume_has_its_own() {
    let stage = Stage::new();
    stage.numbers("a", 1_000);
    let slow = "export local:a dir:out --id t --part-size 1KiB --object-size 1MiB --rate";
    let child = stage.start(&format!("{slow} 1"));
    stage.wait("t", |report| report["state"] == "TRANSFERRING");
    assert_eq!(stage.json("pause t", 0)["rate"], 1);
    ended(child).code(3);
    let child = stage.start("resume t --rate 2");
    stage.wait("t", |report| report["state"] == "TRANSFERRING" && report["rate"] == 2);
    stage.ok("pause t");
    ended(child).code(3);
    stage.run("resume t --rate 0").code(2);
    // The same request at another rate goes on with it; without one it would keep to the last.
    let report = stage.json(&format!("{slow} 1GB"), 0);
    assert_eq!(
        (&report["state"], &report["rate"], &report["events"]),
        (&json!("COMPLETED"), &json!(1_000_000_000), &json!(1_000))
    );
    stage.ok("verify t");
    // None is no limit: of a new transfer, and of one that has one.
    assert_eq!(stage.json("export local:a dir:out --id fast --rate none", 0)["rate"], Value::Null);
    let slow_too = slow.replace("--id t", "--id u");
    let child = stage.start(&format!("{slow_too} 1"));
    stage.wait("u", |report| report["state"] == "TRANSFERRING");
    stage.ok("pause u");
    ended(child).code(3);
    let report = stage.json(&format!("{slow_too} none"), 0);
    assert_eq!((&report["state"], &report["rate"]), (&json!("COMPLETED"), &Value::Null));
    stage.ok("import dir:out/u local:b --rate none");
    let again = stage.json(&format!("{slow} 5"), 0);
    assert_eq!(again["rate"], 1_000_000_000, "what is at its end has the rate that it had");
    stage.run("export local:a dir:elsewhere --id t --rate 5").fails(1, "taken by another request");
}

#[test]
fn a_watch_for_programs_is_one_object_a_line() {
    let stage = Stage::new();
    stage.numbers("a", 1_000);
    let child = stage.start("export local:a dir:out --id t --rate 1 --part-size 1KiB --object-size 1MiB");
    stage.wait("t", |report| report["state"] == "TRANSFERRING");
    let watch = stage.start("status t --watch --output json");
    stage.ok("pause t");
    ended(child).code(3);
    let lines = ended(watch).code(0).lines();
    assert_eq!(lines.last().unwrap()["state"], "PAUSED");
    assert!(lines.iter().all(|line| line["id"] == "t"));
    assert_eq!(stage.ok("status t --watch --output json").lines().len(), 1);
}

#[test]
fn a_summary_says_how_long_how_fast_and_how_much_was_written() {
    let stage = Stage::new();
    stage.stream("a", 1_000);
    let done = stage.ok("export local:a dir:out --id e --format raw --progress lines");
    assert_eq!(done.err, "", "a line is written after a minute");
    let text = done.text();
    for line in ["written   976.6 KiB", "took      ", " on average"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let report = stage.json("status e", 0);
    assert_eq!(report["bytesWritten"], 1_000_000);
    assert!(report["durationSeconds"].as_f64() > Some(0.0) && report["averageBytesPerSecond"].as_f64() > Some(1.0));
    assert!(report["endedAt"].as_str() > report["createdAt"].as_str());
    let report = stage.json("import dir:out/e local:b --id i --event-size 1000", 0);
    assert_eq!(report["bytesWritten"], 1_000_000);
    assert!(report["cut"].as_str().unwrap().starts_with("cut:"));
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let stage = Stage::new();
    stage.stream("a", 1);
    let mut command = stage.command("streams --home home");
    for name in ["SLUICE_HOME", "SLUICE_LOG", "SLUICE_BUCKET_OWNER", "AWS_PROFILE", "AWS_REGION"] {
        command.env(name, "");
    }
    assert!(done(&mut command).code(0).text().contains("local:a"));
    // As without the variable: no home is where the default is.
    let mut command = stage.command("list");
    let done = done(command.env("SLUICE_HOME", "")).code(0);
    assert!(done.err.contains("no home at .sluice"), "{}", done.err);
    if !cfg!(feature = "aws") {
        return;
    }
    // Not "a profile without a name".
    let mut command = stage.command("read kinesis:orders");
    for name in ["AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"] {
        command.env(name, "");
    }
    let home = stage.path("nobody");
    let done = common::done(command.env("HOME", home).env("AWS_EC2_METADATA_DISABLED", "true")).code(1);
    assert!(done.err.contains("AWS_REGION"), "{}", done.err);
}

#[test]
fn help_is_wrapped_once_with_global_options_apart() {
    let stage = Stage::new();
    let root = stage.ok("--help").text();
    let commands = root.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<_> = commands
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect();
    assert!(names.len() > 15 && names.contains(&"completions".to_owned()), "{names:?}");
    for line in std::iter::once("--help".to_owned()).chain(names.iter().map(|name| format!("help {name}"))) {
        let text = stage.ok(&line).text();
        for found in text.lines() {
            assert!(found.chars().count() <= 100, "{line}: {found}");
        }
        if line == "help help" {
            continue;
        }
        let global = text.split("Global options:").nth(1).unwrap_or_else(|| panic!("{line}: {text}"));
        assert!(global.contains("--home") && global.contains("--progress") && global.contains("--output"));
        // A line that was broken by hand and again by the terminal leaves a short one among long ones.
        let paragraphs =
            text.split("\n\n").filter(|paragraph| !paragraph.contains("\n  ") && !paragraph.starts_with("  "));
        for paragraph in paragraphs {
            let lines: Vec<_> = paragraph.lines().collect();
            for pair in lines.windows(2) {
                let next = pair[1].split_whitespace().next().unwrap_or_default();
                let would_fit = pair[0].chars().count() + 1 + next.chars().count() <= 100;
                let new_sentence =
                    pair[0].ends_with(['.', '…']) || pair[1].starts_with("--") || pair[1].starts_with("Sizes");
                assert!(!would_fit || new_sentence, "{line}: {:?} before {next}", pair[0]);
            }
        }
    }
    assert!(stage.ok("help import").text().contains("\n  sluice import dir:/backup/orders-2026 local:orders-copy\n"));
}

#[test]
fn completions_and_man_pages_know_every_command() {
    let stage = Stage::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = stage.ok(&format!("completions {shell}")).text();
        for word in ["export", "slice-seconds", "streams", "progress"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    stage.run("completions tcsh").code(2);
    let page = stage.ok("man").text();
    assert!(page.contains(".TH sluice 1") && page.contains("sluice\\-export(1)"), "{page}");
    assert!(stage.ok("man export").text().contains("\\-\\-object\\-size"));
    stage.run("man frobnicate").fails(2, "there is no command 'frobnicate'");
    stage.ok("man --dir pages");
    let pages = stage.files("pages");
    assert!(pages.len() > 15 && pages.iter().any(|page| page.ends_with("sluice-streams.1")), "{pages:?}");
    assert!(!stage.path("home").exists());
}

#[test]
fn a_date_is_a_position() {
    let stage = Stage::new();
    stage.stream("a", 3);
    assert_eq!(stage.ok("read local:a --from 2020-01-01 --until 2999-12-31").lines().len(), 3);
    assert!(stage.ok("read local:a --from 2999-12-31").out.is_empty());
    stage.run("read local:a --from 2020-13-01").fails(2, "a date");
}
