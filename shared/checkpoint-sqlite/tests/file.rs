//! The suite of the port on a file, and what the suite cannot ask: other files, other versions, full disks, looking.
#![cfg(test)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;
use sluice_checkpoint_sqlite::SqliteCheckpoints;
use sluice_ports::{CheckpointStore, Created, ErrorKind, Stored, WriterAnswer};
use sluice_transfer::DestinationName;

use common::{next, page, shard};

async fn at(path: &Path) -> SqliteCheckpoints {
    SqliteCheckpoints::open(path).await.unwrap()
}

#[tokio::test]
async fn it_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let made = AtomicUsize::new(0);
    sluice_conformance::checkpoint::run(async || {
        let path = dir.path().join(format!("{}.sqlite", made.fetch_add(1, Ordering::Relaxed)));
        Arc::new(at(&path).await) as Arc<dyn CheckpointStore>
    })
    .await;
}

#[tokio::test]
async fn what_was_written_is_there_when_the_file_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.sqlite");
    let first = shard("0");
    let second = next(&first, "a");
    {
        let store = at(&path).await;
        assert_eq!(store.create_shard(&first).await.unwrap(), Created::Now);
        assert_eq!(store.update_shard(&second, &[page(7)]).await.unwrap(), Stored::Done);
    }
    let store = at(&path).await;
    assert_eq!(store.shard(&first.transfer, &first.shard).await.unwrap(), Some(second));
    let ledger = store.ledger(&first.transfer, &first.shard, &DestinationName::only(), 1).await.unwrap();
    assert_eq!(ledger, [page(7).1]);
}

/// Adds one to `slices` `times` times, each as a read and a conditional write; answers how often it lost.
async fn increments(store: SqliteCheckpoints, name: &str, times: u64) -> u64 {
    let (template, mut lost) = (shard("0"), 0);
    for i in 0..times {
        loop {
            let record = store.shard(&template.transfer, &template.shard).await.unwrap().unwrap();
            match store.update_shard(&next(&record, &format!("{name}-{i}")), &[]).await.unwrap() {
                Stored::Done => break,
                Stored::Mismatch => lost += 1,
            }
        }
    }
    lost
}

#[tokio::test]
async fn several_handles_on_one_file_lose_no_increment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.sqlite");
    let store = at(&path).await;
    store.create_shard(&shard("0")).await.unwrap();
    let (a, b, c) = (at(&path).await, at(&path).await, at(&path).await);
    let lost = tokio::join!(increments(a, "a", 100), increments(b, "b", 100), increments(c, "c", 100));
    let record = store.shard(&shard("0").transfer, &shard("0").shard).await.unwrap().unwrap();
    assert_eq!((record.slices, record.revision), (300, 301), "{lost:?}");
    assert!(lost.0 + lost.1 + lost.2 > 0, "they never met, so this shows nothing");
}

#[tokio::test]
async fn a_write_is_synced_before_it_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.sqlite");
    at(&path).await;
    let connection = Connection::open(&path).unwrap();
    let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(journal, "wal");
    // What a connection of SQLite's own begins with, and nothing of ours lowers.
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    assert_eq!(synchronous, 2, "2 is FULL");
}

#[tokio::test]
async fn the_file_of_an_earlier_sluice_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.sqlite");
    let before = include_str!("../../../tests/golden/home-v1/checkpoints.sql");
    Connection::open(&path).unwrap().execute_batch(before).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let looked = SqliteCheckpoints::looking(&path).transfers(&[], 9).await.unwrap_err();
    for error in [SqliteCheckpoints::open(&path).await.unwrap_err(), looked] {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let text = error.to_string();
        assert!(text.contains("earlier Sluice") && text.contains("--home") && text.contains("finish"), "{text}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "it is left as it was");
}

#[tokio::test]
async fn foreign_and_newer_files_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = dir.path().join("foreign.sqlite");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE notes (body)").unwrap();
    let error = SqliteCheckpoints::open(&foreign).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("not a file of checkpoints"), "{error}");

    let text = dir.path().join("text.sqlite");
    std::fs::write(&text, "This is a text, long enough to be taken for a header of a file. ".repeat(20)).unwrap();
    let error = SqliteCheckpoints::open(&text).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("text.sqlite"), "{error}");

    let newer = dir.path().join("newer.sqlite");
    at(&newer).await;
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let error = SqliteCheckpoints::open(&newer).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Newer && error.to_string().contains("newer one"), "{error}");

    let error = SqliteCheckpoints::open(dir.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
}

#[tokio::test]
async fn a_record_that_is_newer_or_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.sqlite");
    let store = at(&path).await;
    store.create_shard(&shard("0")).await.unwrap();
    let change = |record: &str| {
        let set = "UPDATE shards SET record = ?1";
        assert_eq!(Connection::open(&path).unwrap().execute(set, [record]).unwrap(), 1);
    };
    for (record, kind) in [
        // Its shape may be another one.
        (r#"{"version":99,"revision":1,"epoch":0}"#, ErrorKind::Newer),
        (r#"{"version":1}"#, ErrorKind::Corrupt),
        ("{}", ErrorKind::Corrupt),
        ("no JSON", ErrorKind::Corrupt),
    ] {
        change(record);
        let error = store.shard(&shard("0").transfer, &shard("0").shard).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{record}: {error}");
        assert!(error.to_string().contains("shard 0 of the transfer t"), "{error}");
        // Nor is it written over.
        assert_eq!(store.update_shard(&next(&shard("0"), "a"), &[]).await.unwrap_err().kind(), kind, "{record}");
    }
}

#[tokio::test]
async fn looking_makes_nothing_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.sqlite");
    let looking = SqliteCheckpoints::looking(&path);
    let record = shard("0");
    assert_eq!(looking.shard(&record.transfer, &record.shard).await.unwrap(), None);
    assert_eq!(looking.transfers(&[], 9).await.unwrap(), []);
    assert_eq!(looking.ledger(&record.transfer, &record.shard, &DestinationName::only(), 9).await.unwrap(), []);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    // It is seen once it is made.
    let store = at(&path).await;
    store.create_shard(&record).await.unwrap();
    assert_eq!(looking.shard(&record.transfer, &record.shard).await.unwrap(), Some(record.clone()));
    let (stream, writer) = ("local:s".parse().unwrap(), "w".parse().unwrap());
    for error in [
        looking.create_shard(&shard("1")).await.map(drop).unwrap_err(),
        looking.update_shard(&next(&record, "a"), &[]).await.map(drop).unwrap_err(),
        looking.reserve_writer(&stream, &writer).await.map(drop).unwrap_err(),
        looking.drop_ledger(&record.transfer, &record.shard).await.unwrap_err(),
    ] {
        assert!(error.kind() == ErrorKind::Denied && error.to_string().contains("for looking"), "{error}");
    }
    assert_eq!(store.reserve_writer(&stream, &writer).await.unwrap(), WriterAnswer::Held);
}
