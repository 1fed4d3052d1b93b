//! Several processes on one file, and processes that are killed.
#![cfg(test)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;

use rusqlite::Connection;
use sluice_checkpoint_sqlite::SqliteCheckpoints;
use sluice_ports::{CheckpointStore, Stored};
use sluice_transfer::DestinationName;
use sluice_transfer::record::ShardRecord;

use common::{again, next, page, role, shard};

/// Writes of each process, and how many of them are to the record that all write.
const WRITES: u64 = 10_000;
const SHARED_EVERY: u64 = 10;
/// Each process checkpoints the log after this many writes, the n-th in the n-th of these modes.
const FOLD_EVERY: u64 = 16;
const WAYS: [&str; 4] = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"];

async fn stored(store: &SqliteCheckpoints, name: &str) -> ShardRecord {
    store.shard(&shard(name).transfer, &shard(name).shard).await.unwrap().unwrap()
}

fn fold(connection: &Connection, way: &str) {
    // It may be busy: another process folds at this moment.
    connection.query_row(&format!("PRAGMA wal_checkpoint({way})"), [], |_| Ok(())).unwrap();
}

/// One of the four: its own record moves by every write, or a commit is lost; that of all takes as many tries as it
/// takes.
async fn write_and_fold(path: &Path, number: usize) {
    let store = SqliteCheckpoints::open(path).await.unwrap();
    let folding = Connection::open(path).unwrap();
    folding.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let me = number.to_string();
    let mut own = stored(&store, &me).await;
    for write in 1..=WRITES {
        if write % SHARED_EVERY == 0 {
            loop {
                let record = next(&stored(&store, "all").await, &format!("{me}-{write}"));
                if store.update_shard(&record, &[page(record.revision)]).await.unwrap() == Stored::Done {
                    break;
                }
            }
        } else {
            own = next(&own, &me);
            let answer = store.update_shard(&own, &[page(own.revision)]).await.unwrap();
            assert_eq!(answer, Stored::Done, "of process {me} revision {} was lost", own.revision - 1);
        }
        if write % FOLD_EVERY == 0 {
            fold(&folding, WAYS[number % WAYS.len()]);
        }
    }
}

#[tokio::test]
async fn four_processes_that_write_and_fold_lose_nothing() {
    const TEST: &str = "four_processes_that_write_and_fold_lose_nothing";
    if let Some((path, role)) = role() {
        return write_and_fold(&path, role.parse().unwrap()).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.sqlite");
    let store = SqliteCheckpoints::open(&path).await.unwrap();
    for name in ["0", "1", "2", "3", "all"] {
        store.create_shard(&shard(name)).await.unwrap();
    }
    let children: Vec<_> = (0..4).map(|number| again(TEST, &path, &number.to_string()).spawn().unwrap()).collect();
    for child in children {
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }
    let shared = WRITES / SHARED_EVERY;
    for (name, writes) in [
        ("0", WRITES - shared),
        ("1", WRITES - shared),
        ("2", WRITES - shared),
        ("3", WRITES - shared),
        ("all", 4 * shared),
    ] {
        let record = stored(&store, name).await;
        assert_eq!((record.revision, record.slices), (1 + writes, writes), "writes to {name} are lost");
        let ledger = store.ledger(&record.transfer, &record.shard, &DestinationName::only(), 1).await.unwrap();
        assert_eq!(ledger[0].object, record.revision, "{name}: a record and its page are not of one write");
    }
    let check = Connection::open(&path).unwrap();
    let said: String = check.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
}

async fn write_until_killed(path: &Path) {
    let store = SqliteCheckpoints::open(path).await.unwrap();
    let mut record = stored(&store, "0").await;
    loop {
        record = next(&record, "a");
        assert_eq!(store.update_shard(&record, &[page(record.revision)]).await.unwrap(), Stored::Done);
        println!("\nwritten {}", record.revision);
    }
}

#[tokio::test]
async fn what_was_answered_before_a_kill_is_there_after_it() {
    const TEST: &str = "what_was_answered_before_a_kill_is_there_after_it";
    if let Some((path, _)) = role() {
        return write_until_killed(&path).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.sqlite");
    SqliteCheckpoints::open(&path).await.unwrap().create_shard(&shard("0")).await.unwrap();
    let mut last = 1;
    for _ in 0..5 {
        let mut child = again(TEST, &path, "killed").spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut written = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("written ")?.parse().ok());
        last = written.nth(20).expect("it wrote");
        // SIGKILL, at any instruction.
        child.kill().unwrap();
        // What it still said before it died counts too.
        last = written.last().unwrap_or(last);
        child.wait().unwrap();
        let store = SqliteCheckpoints::open(&path).await.unwrap();
        let record = stored(&store, "0").await;
        assert!(record.revision >= last, "{} is stored, {last} was answered", record.revision);
        let ledger = store.ledger(&record.transfer, &record.shard, &DestinationName::only(), 1).await.unwrap();
        assert_eq!(ledger[0].object, record.revision, "a record and its page are not of one write");
    }
    assert!(last > 100, "{last}");
}

#[tokio::test]
async fn processes_that_make_the_file_at_once_find_one_another() {
    const TEST: &str = "processes_that_make_the_file_at_once_find_one_another";
    if let Some((path, role)) = role() {
        let store = SqliteCheckpoints::open(&path).await.unwrap();
        store.create_shard(&shard(&role)).await.unwrap();
        return;
    }
    for _ in 0..25 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoints.sqlite");
        let children: Vec<_> = (0..4).map(|number| again(TEST, &path, &number.to_string()).spawn().unwrap()).collect();
        for child in children {
            let done = child.wait_with_output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
        }
        let store = SqliteCheckpoints::open(&path).await.unwrap();
        for number in 0..4 {
            stored(&store, &number.to_string()).await;
        }
    }
}
