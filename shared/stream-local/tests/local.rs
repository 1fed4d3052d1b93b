//! The local stream: the suite of its port, and what the suite cannot ask of a store: files, processes and death.
// Helpers of tests are tests.
#![cfg(test)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sluice_ports::{
    Appended, ErrorKind, Made, NewEvent, Read, ReadLimit, Reservation, StreamAdmin, StreamReader, StreamStore,
    append_once,
};
use sluice_stream_local::LocalStream;
use sluice_transfer::{Counts, Event, Position, Range, Sequence, ShardId, Timestamp, Value};

fn shard(number: u32) -> ShardId {
    number.to_string().parse().unwrap()
}

fn after(number: u64) -> Position {
    Position::After(Sequence::new(number))
}

fn event(time: i64, payload: impl Into<Value>) -> NewEvent {
    NewEvent { time: Timestamp::from_micros(time), key: Value::Absent, headers: Vec::new(), payload: payload.into() }
}

async fn append(stream: &LocalStream, expected: &Position, events: &[NewEvent]) -> Position {
    match append_once(stream, &shard(0), None, expected, events).await.unwrap() {
        Appended::Done { tail } => tail,
        other => panic!("{other:?}"),
    }
}

async fn read_all(stream: &LocalStream, from: Position) -> Vec<Event> {
    let (mut all, mut from) = (Vec::new(), from);
    loop {
        match stream.read(&shard(0), &from, ReadLimit::new(500, 1 << 20)).await.unwrap() {
            Read::Events { events, next, at_tail, .. } => {
                all.extend(events);
                from = next;
                if at_tail {
                    return all;
                }
            }
            other @ Read::Trimmed { .. } => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn keeps_the_promises_of_its_port() {
    let dir = tempfile::tempdir().unwrap();
    let made = AtomicU32::new(0);
    sluice_conformance::stream::run(|_| async {
        let name = format!("s{}", made.fetch_add(1, Ordering::Relaxed));
        Arc::new(LocalStream::within(dir.path(), &name)) as Arc<dyn StreamStore>
    })
    .await;
}

#[tokio::test]
async fn asking_for_a_stream_makes_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let stream = LocalStream::within(dir.path(), "orders");
    let error = stream.describe().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("'orders'"), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    assert_eq!(LocalStream::list(&dir.path().join("none")).unwrap(), Vec::<String>::new());
    stream.create(1).await.unwrap();
    LocalStream::within(dir.path(), "clicks.eu").create(1).await.unwrap();
    std::fs::write(dir.path().join("notes.txt"), "no stream").unwrap();
    // The open stream's log beside it is no stream of its own.
    append(&stream, &Position::Beginning, &[event(1, "x")]).await;
    assert!(dir.path().join("orders.sqlite-wal").exists());
    assert_eq!(LocalStream::list(dir.path()).unwrap(), ["clicks.eu", "orders"]);
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.sqlite");
    let writer = "import-1".parse().unwrap();
    let payload = vec![5_u8; 3 << 20];
    {
        let stream = LocalStream::new(&path, "orders");
        assert_eq!(stream.create(3).await.unwrap(), Made::Now);
        let tail = append(&stream, &Position::Beginning, &[event(1, "a"), event(9, "b")]).await;
        append(&stream, &tail, &[event(5, payload.clone())]).await;
        stream.trim(&shard(0), &after(0)).await.unwrap();
        assert_eq!(stream.reserve(&writer).await.unwrap(), Reservation::Held);
    }
    let stream = LocalStream::new(&path, "orders");
    let info = stream.describe().await.unwrap();
    assert_eq!((info.shards.len(), info.writer), (3, Some(writer)));
    assert_eq!((&info.shards[0].earliest, &info.shards[0].tail), (&after(0), &after(2)));
    let left = read_all(&stream, after(0)).await;
    assert_eq!(left.iter().map(|event| event.payload.len()).collect::<Vec<_>>(), [1, payload.len()]);
    assert_eq!(left[1].payload, Value::from(payload));
    assert_eq!(stream.position_at(&shard(0), Timestamp::from_micros(6)).await.unwrap(), after(0));
    assert_eq!(stream.position_at(&shard(0), Timestamp::from_micros(10)).await.unwrap(), after(2));
}

#[tokio::test]
async fn one_reads_while_another_writes() {
    const APPENDS: u64 = 150;
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (LocalStream::within(dir.path(), "a"), LocalStream::within(dir.path(), "a"));
    one.create(2).await.unwrap();
    let write = async {
        let mut tail = Position::Beginning;
        for round in 0..APPENDS {
            let time = i64::try_from(round).unwrap();
            tail = append(&one, &tail, &[event(time, vec![1; 100]), event(time, vec![2; 9_000])]).await;
        }
    };
    let read = async {
        let (mut seen, mut from) = (0_u64, Position::Beginning);
        while seen < 2 * APPENDS {
            let limit = ReadLimit::new(7, 50_000);
            let Read::Events { events, next, at_tail, .. } = other.read(&shard(0), &from, limit).await.unwrap() else {
                panic!("nothing was trimmed")
            };
            for event in &events {
                assert_eq!(event.sequence.as_u64(), Some(seen));
                assert_eq!(event.payload.len(), if seen % 2 == 0 { 100 } else { 9_000 });
                seen += 1;
            }
            // An append is seen whole or not at all.
            assert!(!at_tail || seen % 2 == 0, "the tail lies within an append");
            from = next;
        }
    };
    tokio::join!(write, read);
}

#[tokio::test]
async fn of_two_appends_at_one_tail_one_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let streams = [LocalStream::within(dir.path(), "a"), LocalStream::within(dir.path(), "a")];
    let (id, first, second) = (shard(0), [event(1, "first")], [event(2, "second")]);
    let (a, b) = tokio::join!(streams[0].create(1), streams[1].create(1));
    assert!(a.unwrap() != b.unwrap(), "one of two makes the stream");
    let mut tail = Position::Beginning;
    for round in 0..100 {
        let (a, b) = tokio::join!(
            append_once(&streams[0], &id, None, &tail, &first),
            append_once(&streams[1], &id, None, &tail, &second)
        );
        let new = after(round);
        let (done, elsewhere) = (Appended::Done { tail: new.clone() }, Appended::Elsewhere { tail: new.clone() });
        let answers = (a.unwrap(), b.unwrap());
        let one_each = answers == (done.clone(), elsewhere.clone()) || answers == (elsewhere, done);
        assert!(one_each, "round {round}: {answers:?}");
        tail = new;
    }
    assert_eq!(read_all(&streams[0], Position::Beginning).await.len(), 100);
}

const ROLE: &str = "SLUICE_TEST_STREAM_OF_PARENT";

/// This very test again, in a process of its own that finds the path in its environment.
fn again(test: &str, path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ROLE, path);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

fn parent() -> Option<PathBuf> {
    std::env::var_os(ROLE).map(PathBuf::from)
}

#[tokio::test]
async fn processes_that_append_to_one_stream_lose_nothing() {
    const EACH: usize = 60;
    if let Some(path) = parent() {
        let (stream, me) = (LocalStream::new(path, "shared"), std::process::id());
        let (mut tail, mut done) = (Position::Beginning, 0);
        while done < EACH {
            let event = event(0, format!("{me} {done}").into_bytes());
            tail = match append_once(&stream, &shard(0), None, &tail, &[event]).await.unwrap() {
                Appended::Done { tail } => {
                    done += 1;
                    tail
                }
                Appended::Elsewhere { tail } => tail,
                other @ (Appended::Reserved(_) | Appended::Spread { .. }) => panic!("{other:?}"),
            };
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shared.sqlite");
    let stream = LocalStream::new(&path, "shared");
    stream.create(1).await.unwrap();
    let children = [0, 1].map(|_| again("processes_that_append_to_one_stream_lose_nothing", &path));
    let ids = children.each_ref().map(Child::id);
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let all = read_all(&stream, Position::Beginning).await;
    assert_eq!(all.len(), 2 * EACH);
    for id in ids {
        let own = all.iter().map(|event| String::from_utf8(event.payload.as_slice().to_vec()).unwrap());
        let own: Vec<_> = own.filter(|text| text.starts_with(&format!("{id} "))).collect();
        let expected: Vec<_> = (0..EACH).map(|number| format!("{id} {number}")).collect();
        assert_eq!(own, expected, "each process's events are there once and in its order");
    }
}

#[tokio::test]
async fn what_was_answered_outlives_a_killed_process() {
    if let Some(path) = parent() {
        let stream = LocalStream::new(path, "killed");
        let mut tail = Position::Beginning;
        for number in 0.. {
            let events: Vec<_> = (0..5).map(|_| event(number, vec![7; 20_000])).collect();
            tail = append(&stream, &tail, &events).await;
            println!("appended {tail}");
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("killed.sqlite");
    LocalStream::new(&path, "killed").create(1).await.unwrap();
    let mut child = again("what_was_answered_outlives_a_killed_process", &path);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut told = lines.filter_map(|line| Some(line.split_once("appended ")?.1.parse::<Position>().unwrap()));
    let seen = told.by_ref().nth(40).unwrap();
    child.kill().unwrap();
    // What it still said before it died counts too.
    let seen = told.last().unwrap_or(seen);
    child.wait().unwrap();

    let stream = LocalStream::new(&path, "killed");
    let tail = stream.describe().await.unwrap().shards[0].tail.clone();
    assert!(tail >= seen, "{seen} was answered, and the shard ends at {tail}");
    let all = read_all(&stream, Position::Beginning).await;
    assert_eq!(all.len() % 5, 0, "an append is there whole or not at all");
    assert!(all.iter().all(|event| event.payload.len() == 20_000));
    let whole = Range { from: Position::Beginning, until: Position::End };
    let counts = Counts::new(all.len() as u64, 20_000 * all.len() as u64);
    assert_eq!(stream.measure(&shard(0), &whole).await.unwrap(), Some(counts));
    assert!(append(&stream, &tail, &[event(0, "on")]).await > tail, "it can be gone on with");
}

#[tokio::test]
async fn what_is_reserved_is_not_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let stream = LocalStream::new(dir.path().join("s.sqlite"), "s");
    stream.create(1).await.unwrap();
    append(&stream, &Position::Beginning, &[event(1, "a"), event(2, "b")]).await;
    let import = "import".parse().unwrap();
    stream.reserve(&import).await.unwrap();
    let refused = stream.trim(&shard(0), &after(0)).await.unwrap_err();
    assert!(refused.kind() == ErrorKind::Denied && refused.to_string().contains("reserved for the import import"));
    assert_eq!(read_all(&stream, Position::Beginning).await.len(), 2);
    stream.release(&import).await.unwrap();
    stream.trim(&shard(0), &after(0)).await.unwrap();
    assert_eq!(read_all(&stream, after(0)).await.len(), 1);
}

#[tokio::test]
async fn a_long_shard_is_trimmed_within_bounds() {
    const EVENTS: usize = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.sqlite");
    let stream = LocalStream::new(&path, "long");
    stream.create(2).await.unwrap();
    let mut tail = Position::Beginning;
    for chunk in 0..EVENTS / 2_000 {
        let time = |index: usize| i64::try_from(chunk * 2_000 + index).unwrap();
        let events: Vec<_> = (0..2_000).map(|index| event(time(index), vec![3; 1_000])).collect();
        tail = append(&stream, &tail, &events).await;
        append_once(&stream, &shard(1), None, &Position::Beginning, &[event(0, "other")]).await.unwrap();
    }
    let log = || std::fs::metadata(dir.path().join("long.sqlite-wal")).unwrap().len();
    assert!(log() < 80 << 20, "the log is folded into the file while it is written to: {}", log());

    // More than four pieces, and a boundary within a batch.
    let cut = after(17_122);
    stream.trim(&shard(0), &cut).await.unwrap();
    assert_eq!(stream.describe().await.unwrap().shards[0].earliest, cut);
    let left = read_all(&stream, cut.clone()).await;
    assert_eq!((left.len(), left[0].sequence.as_u64()), (EVENTS - 17_123, Some(17_123)));
    assert_eq!(stream.position_at(&shard(0), Timestamp::from_micros(40)).await.unwrap(), cut);
    let range = Range { from: Position::Beginning, until: Position::End };
    let counts = stream.measure(&shard(0), &range).await.unwrap().unwrap();
    assert_eq!(counts, Counts::new(left.len() as u64, 1_000 * left.len() as u64));

    // The room that was made is used again: 36 MB were written, of which 20 MB never were there at one time.
    for chunk in 0..8 {
        let events: Vec<_> = (0..2_000).map(|_| event(50_000 + chunk, vec![4; 1_000])).collect();
        tail = append(&stream, &tail, &events).await;
    }
    drop(stream);
    let grown = std::fs::metadata(&path).unwrap().len();
    assert!(grown < 26_000_000, "the file has {grown} bytes");
}

#[tokio::test]
async fn damage_is_told_not_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sqlite");
    let stream = LocalStream::new(&path, "a");
    stream.create(1).await.unwrap();
    append(&stream, &Position::Beginning, &[event(1, "a"), event(2, "b"), event(3, "c")]).await;
    let limit = ReadLimit::new(9, 99);
    let damage = |sql: &str| rusqlite::Connection::open(&path).unwrap().execute(sql, []).unwrap();
    assert_eq!(damage("UPDATE events SET payload = 'text' WHERE id = 2"), 1);
    let error = stream.read(&shard(0), &Position::Beginning, limit).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("event 2"), "{error}");
    assert_eq!(damage("DELETE FROM events WHERE id = 1"), 1);
    let error = stream.read(&shard(0), &Position::Beginning, limit).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("event 1"), "{error}");
    assert_eq!(damage("DELETE FROM events WHERE id = 2"), 1);
    let error = stream.read(&shard(0), &after(0), limit).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("missing"), "{error}");
}

#[tokio::test]
async fn numbers_that_no_file_of_ours_has_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let limit = ReadLimit::new(9, 99);
    for sql in [
        "UPDATE shards SET earliest = 9",
        "UPDATE shards SET earliest = 5, next = 0, reached = 9223372036854775807",
        "UPDATE shards SET next = 9223372036854775807",
        "UPDATE shards SET shard = 32768",
    ] {
        let path = dir.path().join("a.sqlite");
        let stream = LocalStream::new(&path, "a");
        stream.create(1).await.unwrap();
        append(&stream, &Position::Beginning, &[event(1, "a"), event(2, "b")]).await;
        drop(stream);
        assert_eq!(rusqlite::Connection::open(&path).unwrap().execute(sql, []).unwrap(), 1, "{sql}");
        let (stream, shard) = (LocalStream::new(&path, "a"), shard(if sql.ends_with("32768") { 32_768 } else { 0 }));
        let kinds = [
            stream.describe().await.map(drop),
            stream.read(&shard, &Position::Beginning, limit).await.map(drop),
            stream.position_at(&shard, Timestamp::from_micros(2)).await.map(drop),
        ]
        .map(|answer| answer.unwrap_err().kind());
        assert_eq!(kinds, [ErrorKind::Corrupt; 3], "{sql}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn a_batch_that_ends_behind_its_shard_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sqlite");
    let stream = LocalStream::new(&path, "a");
    stream.create(2).await.unwrap();
    append(&stream, &Position::Beginning, &[event(1, "a"), event(5, "b")]).await;
    assert!(matches!(
        append_once(&stream, &shard(1), None, &Position::Beginning, &[event(9, "c")]).await.unwrap(),
        Appended::Done { .. }
    ));
    // Behind the last number of a shard are the next one's.
    let sql = "UPDATE batches SET last = 281474976710656, reached = 9, own = 9 WHERE shard = 0";
    assert_eq!(rusqlite::Connection::open(&path).unwrap().execute(sql, []).unwrap(), 1);
    let sql = "UPDATE shards SET reached = 9 WHERE shard = 0";
    assert_eq!(rusqlite::Connection::open(&path).unwrap().execute(sql, []).unwrap(), 1);
    let found = stream.position_at(&shard(0), Timestamp::from_micros(9)).await;
    assert_eq!(found.unwrap_err().kind(), ErrorKind::Corrupt);
    let range = Range { from: Position::Beginning, until: after(0) };
    assert_eq!(stream.measure(&shard(0), &range).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_shard_that_has_given_all_its_numbers_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sqlite");
    let stream = LocalStream::new(&path, "a");
    stream.create(1).await.unwrap();
    let sql = format!("UPDATE shards SET next = {0}, earliest = {0}", (1_u64 << 48) - 1);
    rusqlite::Connection::open(&path).unwrap().execute(&sql, []).unwrap();
    let (last, two) = (after((1 << 48) - 2), [event(1, "a"), event(1, "b")]);
    let error = append_once(&stream, &shard(0), None, &last, &two).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert_eq!(append(&stream, &last, &two[..1]).await, after((1 << 48) - 1), "there is one left");
    assert_eq!(read_all(&stream, last).await.len(), 1);
}

#[tokio::test]
async fn a_stream_that_was_made_again_is_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let stream = LocalStream::within(dir.path(), "a");
    stream.create(1).await.unwrap();
    let first = stream.facts().await.unwrap().created.expect("it is kept");
    append(&stream, &Position::Beginning, &[event(1, "a")]).await;
    stream.give_back().await.unwrap();
    // Wherever its file goes.
    let copy = dir.path().join("b.sqlite");
    let folded = rusqlite::Connection::open(dir.path().join("a.sqlite")).unwrap();
    folded.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    std::fs::copy(dir.path().join("a.sqlite"), &copy).unwrap();
    drop(folded);
    assert_eq!(LocalStream::new(&copy, "b").facts().await.unwrap().created, Some(first));
    stream.delete().await.unwrap();
    stream.create(1).await.unwrap();
    assert_ne!(stream.facts().await.unwrap().created, Some(first), "however soon");
}
