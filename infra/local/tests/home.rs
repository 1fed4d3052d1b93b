//! The home: made by several at once, looked at without the right to write, on a full disk, and of the version before.
#![cfg(test)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Done, Stage, done, ended};

/// What was made by the version before: its marker, and its checkpoints.
fn of_the_version_before(stage: &Stage) {
    fs::write(stage.path("home/home.json"), r#"{"version":1}"#).unwrap();
    let sql = include_str!("../../../tests/golden/home-v1/checkpoints.sql");
    rusqlite::Connection::open(stage.path("home/checkpoints.sqlite")).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn processes_that_come_first_at_once_all_find_the_home() {
    for _ in 0..10 {
        let stage = Stage::new();
        fs::write(stage.path("line"), "a\n").unwrap();
        let both: Vec<_> = (0..6).map(|n| stage.start(&format!("append local:s{} --file line", n % 3))).collect();
        for child in both {
            ended(child).code(0);
        }
        assert_eq!(stage.json("streams", 0)["streams"].as_array().unwrap().len(), 3);
        for stream in ["s0", "s1", "s2"] {
            assert_eq!(stage.events(stream).len(), 2);
        }
    }
}

#[test]
fn a_home_of_the_version_before_is_refused_with_the_way_out() {
    let stage = Stage::new();
    stage.stream("a", 3);
    of_the_version_before(&stage);
    let checkpoints = fs::read(stage.path("home/checkpoints.sqlite")).unwrap();
    for line in ["list", "status", "verify e", "export local:a dir:out", "resume e", "pause e", "cancel e"] {
        let done = stage.run(&format!("{line} --output json")).fails(1, "earlier Sluice");
        assert_eq!(done.json()["error"]["code"], "Invalid", "{line}");
        assert!(done.err.contains("finish its transfers with that one, or use another --home"), "{}", done.err);
    }
    assert!(!stage.path("out").exists());
    // Its streams are the same ones.
    assert_eq!(stage.events("a").len(), 3);
    stage.with_input("append local:a", b"x\n").code(0);
    let done = stage.ok("trim local:a --before 0@1");
    assert!(done.err.contains("whether a transfer needs what is dropped is not known"), "{}", done.err);
    assert_eq!(stage.json("streams", 0)["streams"][0]["events"], 3);
    assert_eq!(fs::read_to_string(stage.path("home/home.json")).unwrap(), r#"{"version":1}"#);
    assert_eq!(fs::read(stage.path("home/checkpoints.sqlite")).unwrap(), checkpoints);
}

#[test]
fn a_home_of_the_version_before_without_transfers_is_gone_on_with() {
    let stage = Stage::new();
    stage.stream("a", 3);
    fs::write(stage.path("home/home.json"), r#"{"version":1}"#).unwrap();
    assert!(stage.json("list", 0)["transfers"].as_array().unwrap().is_empty());
    assert_eq!(
        fs::read_to_string(stage.path("home/home.json")).unwrap(),
        r#"{"version":1}"#,
        "looking changes nothing"
    );
    stage.ok("export local:a dir:out --id e");
    // The version before keeps off from now on.
    assert_eq!(fs::read_to_string(stage.path("home/home.json")).unwrap(), r#"{"version":2}"#);
    assert_eq!(stage.json("verify e", 0)["verdict"], "PROVED");
}

#[test]
fn streams_need_no_checkpoints() {
    let stage = Stage::new();
    stage.stream("a", 3);
    fs::write(stage.path("home/checkpoints.sqlite"), "no database, but long enough for a header. ".repeat(99)).unwrap();
    assert_eq!(stage.events("a").len(), 3);
    let done = stage.ok("trim local:a --before 0@1");
    assert!(done.err.contains("is not known") && done.err.contains("checkpoints.sqlite"), "{}", done.err);
    assert_eq!(stage.json("streams", 0)["streams"][0]["events"], 2);
    stage.run("list").fails(1, "checkpoints.sqlite");
}

/// Somebody who may not write: another user if this is root, whom nothing is forbidden, else the same one.
struct Other {
    /// Who can be run by that user, wherever the tests' own lies.
    program: PathBuf,
    is_root: bool,
}

impl Other {
    fn of(stage: &Stage) -> Self {
        let program = stage.path("sluice");
        fs::copy(env!("CARGO_BIN_EXE_sluice"), &program).unwrap();
        mode(&stage.path(""), 0o755);
        let id = Command::new("id").arg("-u").output().unwrap();
        Self { program, is_root: id.stdout == b"0\n" }
    }

    fn run(&self, stage: &Stage, line: &str) -> Done {
        let own = stage.command(line);
        let mut command = if self.is_root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        command.args(own.get_args()).current_dir(stage.path("")).env("SLUICE_HOME", "home").env_remove("SLUICE_LOG");
        done(&mut command)
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Lets nobody write to what lies there, or lets its owner again.
fn writable(path: &Path, yes: bool) {
    if path.is_dir() {
        mode(path, 0o755);
        for entry in fs::read_dir(path).unwrap() {
            writable(&entry.unwrap().path(), yes);
        }
        mode(path, if yes { 0o755 } else { 0o555 });
    } else {
        mode(path, if yes { 0o644 } else { 0o444 });
    }
}

/// All that looks, as somebody who may not write.
fn look_at_all(stage: &Stage, other: &Other, events: usize) {
    let listed = other.run(stage, "list --output json").code(0).json();
    assert_eq!(listed["transfers"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(other.run(stage, "status e --output json").code(0).json()["state"], "COMPLETED");
    assert_eq!(other.run(stage, "streams --output json").code(0).json()["streams"].as_array().unwrap().len(), 2);
    assert_eq!(other.run(stage, "read local:a").code(0).lines().len(), events);
    for id in ["e", "i"] {
        let verified = other.run(stage, &format!("verify {id} --output json")).code(0).json();
        assert_eq!(verified["verdict"], "PROVED", "{verified}");
    }
}

fn with_transfers() -> Stage {
    let stage = Stage::new();
    stage.stream("a", 5);
    stage.ok("export local:a dir:out --id e");
    stage.ok("import dir:out/e local:b --id i");
    stage
}

#[test]
fn looking_needs_no_right_to_write() {
    let stage = with_transfers();
    let other = Other::of(&stage);
    for folder in ["home", "out"] {
        writable(&stage.path(folder), false);
    }
    let before = stage.files("home");
    look_at_all(&stage, &other, 5);
    assert_eq!(stage.files("home"), before, "looking left something");
    let refused = other.run(&stage, "trim local:a --before 0@1");
    assert!(refused.code == 1 && refused.err.contains("stream 'a'"), "{}", refused.err);
    other.run(&stage, "export local:a dir:out --id f").fails(1, "checkpoints");
    for folder in ["home", "out"] {
        writable(&stage.path(folder), true);
    }
}

#[test]
fn looking_sees_what_lies_in_a_log_that_a_killed_process_left() {
    let stage = with_transfers();
    let other = Other::of(&stage);
    // What is held open is not folded in; what a kill leaves is this.
    let path = stage.path("home/streams/a.sqlite");
    let open = rusqlite::Connection::open(&path).unwrap();
    open.query_row("SELECT count(*) FROM events", [], |_| Ok(())).unwrap();
    stage.with_input("append local:a", b"sixth\n").code(0);
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    let (log, shared) = (fs::read(beside("-wal")).unwrap(), fs::read(beside("-shm")).unwrap());
    assert!(!log.is_empty());
    drop(open);
    stage.ok("streams");
    fs::write(beside("-wal"), log).unwrap();
    fs::write(beside("-shm"), shared).unwrap();
    for folder in ["home", "out"] {
        writable(&stage.path(folder), false);
    }
    assert_eq!(other.run(&stage, "read local:a").code(0).lines().len(), 6);
    // Without the memory that is shared the log cannot be read: that is said, and nothing of before is shown.
    mode(&stage.path("home/streams"), 0o755);
    fs::remove_file(beside("-shm")).unwrap();
    mode(&stage.path("home/streams"), 0o555);
    other.run(&stage, "read local:a").fails(1, "run the command once as a user who may write there");
    for folder in ["home", "out"] {
        writable(&stage.path(folder), true);
    }
    assert_eq!(stage.events("a").len(), 6);
}

#[test]
fn what_cannot_be_looked_at_is_not_said_to_be_missing() {
    let stage = with_transfers();
    let other = Other::of(&stage);
    mode(&stage.path("home/streams/a.sqlite"), 0o000);
    let told = other.run(&stage, "streams").code(1);
    assert!(!told.err.contains("there are no streams") && told.err.contains("stream 'a'"), "{}", told.err);
    assert!(told.text().contains("local:b"), "{}", told.text());
    mode(&stage.path("home/streams"), 0o000);
    let told = other.run(&stage, "streams").fails(1, "cannot be listed");
    assert!(!told.err.contains("there are no streams"), "{}", told.err);
    let told = other.run(&stage, "read local:a").fails(1, "cannot be reached");
    assert!(!told.err.contains("there is no stream"), "{}", told.err);
    writable(&stage.path("home"), true);
}
