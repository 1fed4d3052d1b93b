//! The file of a stream as it is kept in `tests/golden`: its tables and rows are written as in the newest,
//! `stream-local-v1-made.sql`, and a file that is made of any of these texts is read and appended to.
//!
//! A golden file never changes: every later version has to read it. A new layout gets one of its own beside it, which
//! `SLUICE_WRITE_GOLDEN=1 cargo test -p sluice-stream-local --test golden` writes if it is not there.
#![cfg(test)]

use std::path::PathBuf;

use rusqlite::Connection;
use sluice_kit::sqlite_dump;
use sluice_ports::{Appended, NewEvent, Read, ReadLimit, StreamAdmin, StreamReader, append_once};
use sluice_stream_local::LocalStream;
use sluice_transfer::{Header, Position, Sequence, ShardId, Timestamp, Value};

/// All of them, the newest last. The first does not say when the stream was made.
const KEPT: [&str; 2] = ["stream-local-v1.sql", "stream-local-v1-made.sql"];
/// When the stream of the newest was made, in microseconds.
const MADE: i64 = 1_700_000_000_000_123;

fn kept(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

fn shard() -> ShardId {
    "1".parse().unwrap()
}

fn behind(number: u64) -> Position {
    Position::After(Sequence::new(number))
}

/// One of each kind of value, and times out of order.
fn events() -> Vec<NewEvent> {
    let event =
        |micros, key, headers, payload| NewEvent { time: Timestamp::from_micros(micros), key, headers, payload };
    let header = |name: &str, value| Header { name: name.to_owned(), value };
    vec![
        event(1_700_000_000_000_001, Value::Absent, Vec::new(), Value::Absent),
        event(
            1_700_000_000_500_000,
            Value::Null,
            vec![header("a", Value::Absent), header("", Value::Null)],
            Value::Null,
        ),
        event(
            1_700_000_000_250_000,
            Value::from(b"key".to_vec()),
            vec![header("content-type", Value::from(b"text/plain".to_vec()))],
            Value::from(vec![0, 0xff, b'\'', b'\n']),
        ),
        event(-1, Value::from(Vec::new()), Vec::new(), Value::from(Vec::new())),
    ]
}

async fn append(stream: &LocalStream, expected: &Position, events: &[NewEvent]) -> Position {
    let writer = "an-import".parse().unwrap();
    match append_once(stream, &shard(), Some(&writer), expected, events).await.unwrap() {
        Appended::Done { tail } => tail,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_is_written_as_the_kept_one() {
    let dir = tempfile::tempdir().unwrap();
    let stream = LocalStream::within(dir.path(), "s");
    stream.create(2).await.unwrap();
    stream.reserve(&"an-import".parse().unwrap()).await.unwrap();
    let tail = append(&stream, &Position::Beginning, &events()[..1]).await;
    append(&stream, &tail, &events()[1..]).await;
    let path = dir.path().join("s.sqlite");
    // Its own time is the only thing that no two files have in common.
    let made = Connection::open(&path).unwrap().execute("UPDATE stream SET made = ?1 WHERE made > 0", [MADE]);
    assert_eq!(made, Ok(1));
    let (written, newest) = (sqlite_dump(&path), kept(KEPT[1]));
    if std::env::var_os("SLUICE_WRITE_GOLDEN").is_some() && !newest.exists() {
        std::fs::write(&newest, &written).unwrap();
    }
    assert_eq!(written, std::fs::read_to_string(newest).unwrap());
}

#[tokio::test]
async fn kept_files_are_read_and_appended_to() {
    for (name, made) in KEPT.into_iter().zip([None, Some(Timestamp::from_micros(MADE))]) {
        let dir = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(kept(name)).unwrap();
        Connection::open(dir.path().join("s.sqlite")).unwrap().execute_batch(&text).unwrap();
        let stream = LocalStream::within(dir.path(), "s");
        assert_eq!(stream.facts().await.unwrap().created, made, "{name}");
        is_read_and_appended_to(&stream).await;
    }
}

async fn is_read_and_appended_to(stream: &LocalStream) {
    let info = stream.describe().await.unwrap();
    assert_eq!(info.shards.len(), 2);
    assert_eq!(info.writer, Some("an-import".parse().unwrap()));
    let limit = ReadLimit::new(100, 1 << 20);
    let Read::Events { events: read, next, at_tail, .. } =
        stream.read(&shard(), &Position::Beginning, limit).await.unwrap()
    else {
        panic!("nothing was trimmed")
    };
    let carried: Vec<NewEvent> = read
        .into_iter()
        .map(|event| NewEvent { time: event.time, key: event.key, headers: event.headers, payload: event.payload })
        .collect();
    assert_eq!(carried, events());
    assert_eq!((next.clone(), at_tail), (behind(3), true));
    // Batches: the first time that is reached lies in the second append.
    let found = stream.position_at(&shard(), Timestamp::from_micros(1_700_000_000_300_000)).await.unwrap();
    assert_eq!(found, behind(0));
    assert_eq!(append(stream, &next, &events()).await, behind(7));
}
