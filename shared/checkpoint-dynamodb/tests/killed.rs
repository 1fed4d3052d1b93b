//! A process that is killed has written what it was told it had written.
#![cfg(test)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sluice_checkpoint_dynamodb::DynamoCheckpoints;
use sluice_dynamodb_embedded::EmbeddedDynamo;
use sluice_ports::{CheckpointStore, Stored};
use sluice_transfer::record::{LedgerPage, ShardRecord, Work};
use sluice_transfer::{DestinationName, Position, Range};

/// Where the process that is to be killed finds its file.
const FILE: &str = "SLUICE_TEST_KILLED_FILE";

async fn at(path: &Path) -> DynamoCheckpoints {
    let store = DynamoCheckpoints::new(EmbeddedDynamo::open(path).unwrap().client(), "sluice");
    store.ensure_table().await.unwrap();
    store
}

fn shard() -> ShardRecord {
    let range = Range { from: Position::Beginning, until: Position::End };
    ShardRecord::new("t".parse().unwrap(), "0".parse().unwrap(), range, None, Work::Export([].into()))
}

/// The process that is killed.
async fn write_until_killed(path: PathBuf) {
    let store = at(&path).await;
    let mut record = store.shard(&shard().transfer, &shard().shard).await.unwrap().unwrap();
    loop {
        record.revision += 1;
        let page = LedgerPage { version: 1, object: record.revision, incarnation: 0, index: 0, entries: Vec::new() };
        let stored = store.update_shard(&record, &[(DestinationName::only(), page)]).await.unwrap();
        assert_eq!(stored, Stored::Done);
        println!("\nwritten {}", record.revision);
    }
}

#[tokio::test]
async fn what_was_answered_before_a_kill_is_there_after_it() {
    if let Some(path) = std::env::var_os(FILE) {
        return write_until_killed(path.into()).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.db");
    at(&path).await.create_shard(&shard()).await.unwrap();
    let mut last = 1;
    for _ in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["what_was_answered_before_a_kill_is_there_after_it", "--exact", "--nocapture"])
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut written = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("written ")?.parse().ok());
        last = written.nth(20).expect("it wrote");
        // SIGKILL, in the midst of whatever it does.
        child.kill().unwrap();
        // What it still said before it died counts too.
        last = written.last().unwrap_or(last);
        child.wait().unwrap();
        let store = at(&path).await;
        let record = store.shard(&shard().transfer, &shard().shard).await.unwrap().unwrap();
        assert!(record.revision >= last, "{} is stored, {last} was answered", record.revision);
        let ledger = store.ledger(&record.transfer, &record.shard, &DestinationName::only(), 1).await.unwrap();
        assert_eq!(ledger[0].object, record.revision, "a record and its page are not of one write");
    }
    assert!(last > 100, "{last}");
}
