//! Series of exports: thirty nights with kills, a home that is lost, and a trim; and the answer to a second machine.
#![cfg(test)]

mod common;

use std::thread::sleep;
use std::time::Duration;

use common::{Stage, ended};
use serde_json::{Value, json};

/// Moves a stream, and nothing else, into a home of its own: the home that exported it is lost.
fn lose_the_home(stage: &Stage) {
    let (home, kept) = (stage.path("home"), stage.path("kept"));
    std::fs::create_dir(&kept).unwrap();
    std::fs::rename(home.join("streams"), kept.join("streams")).unwrap();
    std::fs::remove_dir_all(&home).unwrap();
    stage.with_input("append local:other", b"a home that is new\n").code(0);
    std::fs::remove_dir_all(home.join("streams")).unwrap();
    std::fs::rename(kept.join("streams"), home.join("streams")).unwrap();
    std::fs::remove_dir(kept).unwrap();
}

#[test]
fn thirty_nights_tile_the_stream_whatever_comes_in_between() {
    let stage = Stage::new();
    let night = "export local:clicks dir:archive --series nightly --part-size 1KiB --object-size 4KiB --progress none";
    let (mut written, mut gaps) = (0, 0);
    for number in 0..30_u64 {
        let lines = (written..written + 300).map(|n| format!("click {n}\n")).collect::<Vec<_>>().concat();
        written += 300;
        stage.with_input("append local:clicks --key eu", lines.as_bytes()).code(0);
        if number == 10 {
            lose_the_home(&stage);
        }
        if number == 20 {
            // What came since the last night is lost up to the middle of it.
            stage.ok(&format!("trim local:clicks --before 0@{}", written - 150));
        }
        if number % 3 == 1 {
            // Killed at some moment, before its end or behind it.
            let mut child = stage.start(night);
            sleep(Duration::from_millis(3 * number));
            drop(child.kill());
            ended(child);
        }
        let told = stage.run(&format!("{night} --output json"));
        let code = told.code;
        assert!(code == 0 || (code == 4 && number >= 20), "night {number}: {code} {}", told.err);
        gaps += i32::from(code == 4);
    }
    assert_eq!(gaps, 1, "the gap is one of one night");

    let proof = stage.json("verify dir:archive --series nightly", 4);
    assert_eq!((&proof["verdict"], &proof["counts"]["events"]), (&json!("GAPS"), &json!(written - 150)));
    let runs = proof["exports"].as_array().unwrap();
    assert!(runs.len() >= 30, "{} runs", runs.len());
    let with_gaps: Vec<_> = runs.iter().filter(|run| run["verdict"] == "GAPS").collect();
    assert!(with_gaps.len() == 1 && with_gaps[0]["findings"][0].as_str().unwrap().contains("cut:0@6000"), "{proof}");
    assert!(runs.iter().all(|run| run["verdict"] != "MISMATCH"));

    stage.run("import dir:archive local:again --series nightly --id again --progress none").code(4);
    // An event is a line without its end.
    let kept = (0..written).filter(|n| !(6_000..6_150).contains(n));
    let expected = kept.map(|n| format!("click {n}")).collect::<Vec<_>>().concat();
    assert!(stage.payload("again") == expected.as_bytes(), "the series is the stream less the gap");

    // The same command takes what was added since.
    stage.with_input("append local:clicks --key eu", b"the last one\n").code(0);
    stage.run(night).code(0);
    let again = stage.run("import dir:archive local:again --series nightly --id again --progress none").code(4);
    assert!(again.err.contains("of them before"), "{}", again.err);
    assert!(stage.payload("again").ends_with(b"click 8999the last one"));
}

#[test]
fn another_machine_is_told_who_has_the_run_and_can_take_its_place() {
    let stage = Stage::new();
    stage.numbers("a", 2_000);
    let night = "export local:a dir:out --series nightly --part-size 1KiB --object-size 1MiB --progress none";
    // It rests within its run.
    let child = stage.start(&format!("{night} --rate 1"));
    let id = loop {
        let listed = stage.json("list", 0);
        if let Some(id) = listed["transfers"][0]["id"].as_str() {
            break id.to_owned();
        }
    };
    stage.wait(&id, |report| report["state"] == "TRANSFERRING");
    stage.ok(&format!("pause {id}"));
    ended(child).code(3);
    assert_eq!(stage.json(&format!("status {id}"), 0)["series"]["number"], 1);

    lose_the_home(&stage);
    let refused = stage.run(night).fails(1, "was begun by local-");
    for said in [&*id, "run 1", "--take-over"] {
        assert!(refused.err.contains(said), "{said}: {}", refused.err);
    }
    let taken = stage.run(&format!("{night} --take-over")).code(0);
    assert!(taken.err.contains("is given up: its range is exported again"), "{}", taken.err);
    let proof = stage.json("verify dir:out --series nightly", 0);
    assert_eq!(proof["counts"]["events"], 2_000);
    assert!(proof["series"][0].as_str().unwrap().contains("another host took its place"), "{proof}");
    // All that lies in the place: the same.
    assert_eq!(stage.json("verify dir:out", 0)["counts"]["events"], 2_000);
}

#[test]
fn what_a_series_cannot_mean_is_refused() {
    let stage = Stage::new();
    stage.numbers("a", 10);
    stage.numbers("b", 10);
    stage.run("export local:a dir:out --series nightly --id mine").code(2);
    stage.run("export local:a dir:out --take-over").code(2);
    stage.run("export local:a dir:out --series a/b").code(2);
    stage.run("import dir:out local:c --series nightly").fails(1, "check the path");
    stage.ok("export local:a dir:out --series nightly");
    stage.run("export local:b dir:out --series nightly").fails(1, "is of local:a, not of local:b");
    stage.ok("export local:b dir:out --id plain");
    stage.run("export local:b dir:out --series plain").fails(1, "is an export of that name");
    stage.run("verify dir:out --series daily").fails(1, "holds no series 'daily'");
    stage.run("verify plain --series nightly").code(2);
    stage.run("import dir:out local:c --series nightly --from ago:1h").code(2);
    let proof = stage.json("verify dir:out", 0);
    let ids: Vec<&Value> = proof["exports"].as_array().unwrap().iter().map(|run| &run["id"]).collect();
    assert_eq!(ids.len(), 2, "the series' run and the plain export, each once: {ids:?}");
    std::fs::remove_dir_all(stage.path("home")).unwrap();
    let there = stage.json("list dir:out", 0);
    let of = |n: usize, field: &str| there["exports"][n][field].clone();
    assert_eq!((of(0, "id"), of(0, "events"), of(0, "until")), (json!("plain"), json!(10), json!("cut:0@10")));
    assert_eq!((of(1, "series")["number"].clone(), &there["series"]), (json!(1), &json!(["nightly"])));
    let text = stage.ok("list dir:out").text();
    assert!(text.lines().count() == 3 && text.contains("nightly 1") && text.contains("local:b"), "{text}");
    stage.run("list dir:out --limit 1").code(2);
    stage.run("list dir:nowhere").fails(1, "check the path");
    let damaged = stage.objects("out").into_iter().next().unwrap();
    let mut bytes = std::fs::read(&damaged).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    assert_eq!(stage.json("verify dir:out", 1)["verdict"], "MISMATCH");
    let root = stage.path("out/plain/manifest.json");
    let text = std::fs::read_to_string(&root).unwrap().replace("\"events\":10", "\"events\":11");
    std::fs::write(&root, text).unwrap();
    stage.run("list dir:out").fails(1, "its checksum is wrong");
}
