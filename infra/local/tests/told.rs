//! Files left out are reported, and a stop is obeyed during every wait.
#![cfg(test)]

mod common;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use common::{Stage, done, ended, signal};

/// A folder with files of these names and lines.
fn folder(stage: &Stage, name: &str, files: &[(&str, &str)]) {
    for (file, text) in files {
        let path = stage.path(name).join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn files_left_out_are_named_on_stderr_in_report_and_json() {
    let stage = Stage::new();
    folder(&stage, "d", &[("a.log", "kept\n"), ("_SUCCESS", ""), ("b.tmp", "half")]);
    std::fs::write(stage.path("d").join(std::ffi::OsStr::from_bytes(b"caf\xe9.log")), "lost\n").unwrap();
    symlink("../t", stage.path("d/l.log")).unwrap();
    let done = stage.ok("import dir:d local:x --format lines --id x");
    for text in [&done.err, &done.text()] {
        for part in [
            "4 entries",
            "1 symbolic link (l.log)",
            "1 hidden file (_SUCCESS)",
            "1 unfinished file (b.tmp)",
            "not UTF-8",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }
    let json = stage.json("status x", 0);
    assert_eq!(json["leftOut"]["link"]["count"], 1);
    assert_eq!(stage.payload("x"), b"kept");
    // Again: nothing was done, and it is said.
    let again = stage.ok("import dir:d local:x --format lines --id x");
    assert!(again.err.contains("nothing was done: the import x is COMPLETED since 20"), "{}", again.err);
    assert!(again.err.contains("another --id") && again.err.contains("verify x"), "{}", again.err);
    stage.ok("import dir:d local:all --format lines --all-files");
    assert_eq!(stage.events("all").len(), 2);
}

#[test]
fn where_misfits_would_lie_is_said_and_the_option_is_of_the_request() {
    let stage = Stage::new();
    folder(&stage, "d", &[("a.log", "kept\n")]);
    let done = stage.ok("import dir:d local:x --format lines --id x --on-misfit store");
    for part in ["note: misfits: events that local:x cannot hold", "imports/x/misfits/", "10000 for each shard"] {
        assert!(done.err.contains(part), "{part:?} is not in {}", done.err);
    }
    let json = stage.json("status x", 0);
    assert_eq!((&json["state"], json.get("misfits")), (&"COMPLETED".into(), None));
    let other = stage.run("import dir:d local:x --format lines --id x").code(1);
    assert!(other.err.contains("RequestDiffers") || other.err.contains("another request"), "{}", other.err);
}

#[test]
fn a_link_that_is_named_is_read_and_a_pipe_is_called_one() {
    let stage = Stage::new();
    folder(&stage, "d", &[("app-1.log", "one\n"), ("f/a", "x\n")]);
    symlink("app-1.log", stage.path("d/current.log")).unwrap();
    symlink("d/f", stage.path("linked")).unwrap();
    stage.ok("import dir:d/current.log local:x --format lines");
    assert_eq!(stage.payload("x"), b"one");
    stage.ok("import dir:linked local:y --format lines");
    let pipe = stage.path("d/p");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    stage.run("import dir:d/p local:z --format lines").fails(1, "is a pipe, not a file");
    // A slash at the end means a folder.
    stage
        .run("import dir:d/app-1.log/ local:z --format lines")
        .fails(1, "is a file, and a slash at its end means a folder");
    stage.ok("import dir:d/f/ local:z --format lines --id z");
    stage.run("import dir:d/f local:z --format lines --id z").fails(1, "taken by another request");
    std::fs::create_dir(stage.path("links")).unwrap();
    symlink("../d/app-1.log", stage.path("links/x.log")).unwrap();
    stage.run("import dir:links local:w --format lines").fails(1, "1 symbolic link (x.log)");
}

#[test]
fn an_export_beside_other_files_is_named_alone() {
    let stage = Stage::new();
    stage.stream("n", 3);
    stage.ok("export local:n dir:d --id e");
    folder(&stage, "d", &[("logs/a.log", "l1\n")]);
    let done = stage.run("import dir:d local:x --id x").fails(1, "holds an export and other files");
    let root = done.err.split("the export as ").nth(1).unwrap().split(". Beside it").next().unwrap().to_owned();
    stage.run("status x").fails(1, "there is no transfer 'x'");
    stage.ok(&format!("import {root} local:x --id x"));
    stage.run("export local:n dir:d --id w --from 0@2 --until 0@1").fails(2, "nothing lies between");
}

#[test]
fn a_tilde_is_the_home_of_the_user() {
    let stage = Stage::new();
    stage.stream("n", 3);
    let home = stage.path("user");
    done(stage.command("export local:n dir:~/backup --id e").env("HOME", &home)).code(0);
    assert!(home.join("backup/e/manifest.json").exists() && !stage.path("~").exists());
    done(stage.command("import dir:~/backup/e local:m").env("HOME", &home)).code(0);
    done(stage.command("export local:n dir:~nobody/backup").env("HOME", &home)).fails(2, "./~nobody");
    done(stage.command("export local:n dir:~/backup").env_remove("HOME")).fails(2, "HOME");
}

#[test]
fn empty_variables_are_unset_ones() {
    let stage = Stage::new();
    let mut command = stage.command("streams");
    done(command.env("SLUICE_HOME", "").env("SLUICE_LOG", "").env("SLUICE_BUCKET_OWNER", "")).code(0);
}

#[test]
fn a_bucket_and_the_default_home_live_side_by_side() {
    let stage = Stage::new();
    let here = |line: &str| done(stage.command(line).env_remove("SLUICE_HOME"));
    // First the home, then a bucket of the same folder.
    stage.with_input("append local:n --home .sluice", b"a\nb\n").code(0);
    here("export local:n dir:. --id e").code(0);
    here("import dir:e local:m").code(0);
    // First the bucket, then the home.
    let other = Stage::new();
    other.stream("n", 2);
    other.ok("export local:n dir:. --id e");
    let done = done(other.command("import dir:e local:m").env_remove("SLUICE_HOME")).code(0);
    assert!(done.text().contains("COMPLETED"));
    assert!(Path::new(&other.path(".sluice/home.json")).exists());
    // What else is in such a folder is still none of ours.
    std::fs::remove_file(other.path(".sluice/home.json")).unwrap();
    std::fs::write(other.path(".sluice/mine"), "").unwrap();
    common::done(other.command("import dir:e local:k").env_remove("SLUICE_HOME"))
        .fails(1, "no home of sluice and not empty");
}

#[test]
fn a_stop_is_obeyed_under_a_rate_that_would_hold_for_a_minute() {
    for (word, state) in [("pause", "PAUSED"), ("cancel", "CANCELLED"), ("TERM", "PAUSED")] {
        let stage = Stage::new();
        std::fs::write(stage.path("f"), vec![7; 3_000_000]).unwrap();
        stage.ok("append local:n --file f --by bytes --event-bytes 1000000");
        let child = stage.start("export local:n dir:out --id t --rate 40KB --compression none");
        stage.wait("t", |report| report["state"] == "TRANSFERRING");
        if word == "TERM" {
            signal(&child, word);
        } else {
            assert_eq!(stage.json(&format!("{word} t"), 0)["state"], state);
        }
        let done = ended(child);
        assert_eq!(done.code, 3, "{}", done.err);
        assert_eq!(stage.json("status t", 0)["state"], state);
    }
}

#[test]
fn a_stop_is_obeyed_while_a_store_is_in_trouble_and_it_says_what_it_waits_for() {
    let stage = Stage::new();
    stage.stream("n", 2_000);
    // Compressed it would be one part, which arrives at the end.
    let line = "export local:n dir:out --id t --rate 100KB --compression none --object-size 100KB --part-size 50KB";
    let child = stage.start(line);
    stage.wait_for_movement("t");
    // Nothing can be made in what is no folder.
    std::fs::rename(stage.path("out"), stage.path("away")).unwrap();
    stage.wait("t", |_| true);
    signal(&child, "TERM");
    let done = ended(child);
    assert!([1, 3].contains(&done.code), "{} {}", done.code, done.err);
    assert!(done.err.contains("resume t"), "{}", done.err);
    std::fs::rename(stage.path("away"), stage.path("out")).unwrap();
    stage.ok("resume t --rate 10MB");
    stage.ok("verify t");
}
