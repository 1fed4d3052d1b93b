//! Five processes on one stream: one writes, three read, and one folds the log into the file all the time.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use sluice_ports::{Appended, NewEvent, Read, ReadLimit, StreamAdmin, StreamReader, append_once};
use sluice_stream_local::LocalStream;
use sluice_transfer::{Position, ShardId, Timestamp, Value};

const TEST: &str = "one_writes_three_read_and_one_folds";
const FILE: &str = "SLUICE_TEST_FILE";
const ROLE: &str = "SLUICE_TEST_ROLE";
/// Appends, and events of each.
const APPENDS: u64 = 4_000;
const EVENTS: u64 = 5;

fn shard() -> ShardId {
    "0".parse().unwrap()
}

/// The payload of that event: some fit a page with others, some have pages of their own.
fn payload(number: u64) -> Vec<u8> {
    let len = if number.is_multiple_of(97) { 40_000 } else { 20 + usize::try_from(number % 50).unwrap() };
    number.to_le_bytes().into_iter().cycle().take(len).collect()
}

async fn write(path: &Path) {
    let stream = LocalStream::new(path, "s");
    let mut tail = Position::Beginning;
    for append in 0..APPENDS {
        let event = |number| NewEvent {
            time: Timestamp::from_micros(i64::try_from(number).unwrap()),
            key: Value::Absent,
            headers: Vec::new(),
            payload: Value::from(payload(number)),
        };
        let events: Vec<_> = (append * EVENTS..(append + 1) * EVENTS).map(event).collect();
        // Nobody else appends: another tail would be a lost commit.
        tail = match append_once(&stream, &shard(), None, &tail, &events).await.unwrap() {
            Appended::Done { tail } => tail,
            other => panic!("append {append}: {other:?}"),
        };
    }
}

/// Reads to the last event that will be, over and over where nothing new is there yet.
async fn read(path: &Path) {
    let stream = LocalStream::new(path, "s");
    let (mut seen, mut from) = (0, Position::Beginning);
    while seen < APPENDS * EVENTS {
        let limit = ReadLimit::new(700, 1 << 20);
        let Read::Events { events, next, .. } = stream.read(&shard(), &from, limit).await.unwrap() else {
            panic!("nothing is trimmed")
        };
        if events.is_empty() {
            std::thread::yield_now();
        }
        for event in &events {
            assert_eq!(event.sequence.as_u64(), Some(seen));
            assert_eq!(event.payload, Value::from(payload(seen)), "event {seen}");
            seen += 1;
        }
        from = next;
    }
}

fn fold(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    for way in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"].into_iter().cycle() {
        connection.query_row(&format!("PRAGMA wal_checkpoint({way})"), [], |_| Ok(())).unwrap();
        let next: u64 = connection.query_row("SELECT next FROM shards", [], |row| row.get(0)).unwrap();
        if next == APPENDS * EVENTS {
            return;
        }
    }
}

#[tokio::test]
async fn one_writes_three_read_and_one_folds() {
    if let Some(path) = std::env::var_os(FILE).map(PathBuf::from) {
        match std::env::var(ROLE).unwrap().as_str() {
            "write" => write(&path).await,
            "read" => read(&path).await,
            _ => fold(&path),
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sqlite");
    LocalStream::new(&path, "s").create(1).await.unwrap();
    let start = |role: &str| -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", TEST, "--nocapture", "--test-threads=1"]).env(FILE, &path).env(ROLE, role);
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    let children = ["write", "read", "read", "read", "fold"].map(|role| (role, start(role)));
    for (role, child) in children {
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{role}: {}", String::from_utf8_lossy(&done.stdout));
    }
    read(&path).await;
    let said: String =
        Connection::open(&path).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
}
