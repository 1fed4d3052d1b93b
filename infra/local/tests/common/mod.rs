//! The built command, run in homes of its own.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder to work in, with a home `home`.
pub struct Stage {
    folder: TempDir,
}

/// What a command did.
pub struct Done {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Done {
    fn of(output: Output) -> Self {
        // A death by signal shows as -1.
        let code = output.status.code().unwrap_or(-1);
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!err.contains("panicked"), "{err}");
        Self { code, out: output.stdout, err }
    }

    /// stdout as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// stdout, which is one JSON object and nothing else.
    pub fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}, stderr {}", self.err))
    }

    /// Each line of stdout is a JSON object.
    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// It ended with that code.
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout {}\nstderr {}", self.text(), self.err);
        self
    }

    /// It failed with that code, saying `what`.
    pub fn fails(self, code: i32, what: &str) -> Self {
        let done = self.code(code);
        assert!(done.err.contains("error: "), "{}", done.err);
        assert!(done.err.contains(what), "{what:?} is not in {}", done.err);
        done
    }
}

impl Stage {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command, not started. Words are split at spaces.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.current_dir(self.folder.path()).env("SLUICE_HOME", "home").env_remove("SLUICE_LOG");
        command.args(line.split_whitespace()).stdin(Stdio::null());
        command
    }

    pub fn run(&self, line: &str) -> Done {
        Done::of(self.command(line).output().unwrap())
    }

    /// Runs it and expects exit code 0.
    pub fn ok(&self, line: &str) -> Done {
        self.run(line).code(0)
    }

    /// Runs it with `--output json` and expects that exit code.
    pub fn json(&self, line: &str, code: i32) -> Value {
        self.run(&format!("{line} --output json")).code(code).json()
    }

    pub fn with_input(&self, line: &str, input: &[u8]) -> Done {
        let mut child =
            self.command(line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Whoever does not read its input to the end says so by its exit code.
        let _ = stdin.write_all(input);
        drop(stdin);
        Done::of(child.wait_with_output().unwrap())
    }

    /// Starts it; its output is collected by [`ended`].
    pub fn start(&self, line: &str) -> Child {
        self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A stream of this many events of 1,000 bytes, each different.
    pub fn stream(&self, name: &str, events: usize) {
        let input = (0..events).map(|event| format!("{event:01000}\n")).collect::<Vec<_>>().concat();
        self.with_input(&format!("append local:{name}"), input.as_bytes()).code(0);
    }

    /// A stream of many small events: read and written in several batches, so that a rate can hold it back.
    pub fn numbers(&self, name: &str, events: usize) {
        let input = (0..events).map(|event| format!("{event:05}\n")).collect::<Vec<_>>().concat();
        self.with_input(&format!("append local:{name}"), input.as_bytes()).code(0);
    }

    /// Trims a stream from another home that has the same streams, and no records of who needs them.
    pub fn trim_from_elsewhere(&self, name: &str, before: &str) {
        if !self.path("elsewhere").exists() {
            std::fs::create_dir(self.path("elsewhere")).unwrap();
            std::fs::copy(self.path("home/home.json"), self.path("elsewhere/home.json")).unwrap();
            std::os::unix::fs::symlink("../home/streams", self.path("elsewhere/streams")).unwrap();
        }
        self.ok(&format!("--home elsewhere trim local:{name} --before {before}"));
    }

    /// A stream's events as its lines, without times.
    pub fn events(&self, name: &str) -> Vec<Value> {
        self.ok(&format!("read local:{name}")).lines()
    }

    /// A stream's payloads, joined.
    pub fn payload(&self, name: &str) -> Vec<u8> {
        self.ok(&format!("read local:{name} --payload")).out
    }

    /// Looks at a transfer until `seen` holds.
    pub fn wait(&self, id: &str, mut seen: impl FnMut(&Value) -> bool) -> Value {
        // Each look takes the time of a process; so many are far more than any test needs.
        for _ in 0..20_000 {
            let done = self.run(&format!("status {id} --output json"));
            if done.code == 0 {
                let report = done.json();
                if seen(&report) {
                    return report;
                }
            }
        }
        panic!("what was waited for did not come");
    }

    /// Waits until bytes of a transfer have arrived.
    pub fn wait_for_movement(&self, id: &str) -> Value {
        self.wait(id, |report| report["bytes"].as_u64() > Some(0))
    }

    /// All files below a folder, in order; hidden ones of the bucket left out.
    pub fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.path(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.file_name().is_some_and(|name| name == ".sluice") {
                    continue;
                }
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }

    /// The data objects of an export, in order.
    pub fn objects(&self, folder: &str) -> Vec<PathBuf> {
        self.files(folder).into_iter().filter(|path| path.to_string_lossy().contains("/data/")).collect()
    }

    /// Uploads that nobody completed or aborted.
    pub fn open_uploads(&self, bucket: &str) -> usize {
        let folder = self.path(bucket).join(".sluice/uploads");
        std::fs::read_dir(folder).map(Iterator::count).unwrap_or_default()
    }
}

/// Runs a command to its end.
pub fn done(command: &mut Command) -> Done {
    Done::of(command.output().unwrap())
}

/// Waits for what was started.
pub fn ended(child: Child) -> Done {
    Done::of(child.wait_with_output().unwrap())
}

/// Sends a signal.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// An absolute `dir:` name as reports have it.
pub fn dir(path: &Path) -> String {
    format!("dir:{}", path.display())
}
