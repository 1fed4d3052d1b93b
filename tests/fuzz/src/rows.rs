//! A local stream's file that others wrote: rows of any values, or bytes in the middle of it.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use rusqlite::Connection;
use rusqlite::types::Value as Column;
use sluice_ports::{Appended, NewEvent, Read, ReadLimit, StreamAdmin, StreamInfo, StreamReader, append_once};
use sluice_stream_local::LocalStream;
use sluice_transfer::{Event, Header, Position, Range, ShardId, Timestamp, Value};
use tempfile::TempDir;

use crate::answers::{done, named, read, written};
use crate::directory::in_memory;
use crate::events::carried_by_formats;

/// The tables, and how many columns a row has.
const TABLES: [(&str, usize); 4] = [("events", 5), ("batches", 5), ("shards", 5), ("stream", 2)];
/// Rows of one case, and reads of one shard, at most.
const MOST: usize = 40;

/// A folder of this thread's own, and the stream in it.
struct Place {
    _folder: TempDir,
    file: PathBuf,
}

fn event(payload: &[u8], millis: i64) -> NewEvent {
    NewEvent {
        time: Timestamp::from_millis(millis),
        key: Value::from(b"key".to_vec()),
        headers: vec![Header { name: "h".to_owned(), value: Value::Null }],
        payload: Value::from(payload.to_vec()),
    }
}

/// A whole stream of two shards, as a file has it.
fn whole() -> &'static [u8] {
    static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let folder = in_memory();
        let file = folder.path().join("whole.sqlite");
        let stream = LocalStream::new(&file, "whole");
        done(async {
            stream.create(2).await.expect("a stream");
            let (mut tail, shard) = (Position::Beginning, "0".parse().expect("a plain name"));
            for batch in [[event(b"one", 1_000), event(b"two", 3_000)], [event(b"three", 2_000), event(b"", 9_000)]] {
                match append_once(&stream, &shard, None, &tail, &batch).await {
                    Ok(Appended::Done { tail: reached }) => tail = reached,
                    other => panic!("{other:?}"),
                }
            }
        });
        drop(stream);
        // Everything into the one file, whose journal is then the plain one.
        let connection = Connection::open(&file).expect("the stream's file");
        connection.pragma_update(None, "journal_mode", "DELETE").expect("nobody else has it");
        drop(connection);
        fs::read(&file).expect("the stream's file")
    })
}

/// The first byte says which: rows that are put into a whole file, or bytes over its own.
pub fn rows(bytes: &[u8]) {
    thread_local! {
        static PLACE: Place = {
            let folder = in_memory();
            Place { file: folder.path().join("s.sqlite"), _folder: folder }
        };
    }
    let Some((kind, rest)) = bytes.split_first() else { return };
    PLACE.with(|place| {
        for suffix in ["-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(format!("{}{suffix}", place.file.display()));
        }
        if kind % 2 == 0 {
            fs::write(&place.file, whole()).expect("room");
            put_rows(&place.file, rest);
        } else {
            fs::write(&place.file, overwritten(rest)).expect("room");
        }
        done(use_all(&LocalStream::new(&place.file, "s")));
    });
}

/// Bytes over others: where, in pages of 256 bytes and behind their beginning, how many, and which.
fn overwritten(mut rest: &[u8]) -> Vec<u8> {
    let mut file = whole().to_vec();
    while let [page, behind, len, more @ ..] = rest {
        let (bytes, others) = more.split_at(more.len().min(usize::from(*len)));
        let begin = (usize::from(*page) * 256 + usize::from(*behind)) % file.len();
        let end = (begin + bytes.len()).min(file.len());
        file[begin..end].copy_from_slice(&bytes[..end - begin]);
        rest = others;
    }
    file
}

fn put_rows(file: &PathBuf, mut rest: &[u8]) {
    let connection = Connection::open(file).expect("a whole file");
    connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN").expect("settings");
    for _ in 0..MOST {
        let Some((table, behind)) = rest.split_first() else { break };
        rest = behind;
        let (table, count) = TABLES[usize::from(*table) % TABLES.len()];
        let columns: Vec<Column> = (0..count).map_while(|_| column(&mut rest)).collect();
        if columns.len() == count {
            let places = vec!["?"; count].join(",");
            // What the tables themselves refuse no file has.
            let _ = connection
                .prepare_cached(&format!("INSERT OR REPLACE INTO {table} VALUES ({places})"))
                .and_then(|mut insert| insert.execute(rusqlite::params_from_iter(columns)));
        }
    }
    connection.execute_batch("COMMIT").expect("a commit");
}

/// A byte for its kind, and its value.
fn column(rest: &mut &[u8]) -> Option<Column> {
    let mut take = |len: usize| {
        let (taken, behind) = rest.split_at_checked(len.min(rest.len()))?;
        *rest = behind;
        Some(taken)
    };
    let kind = *take(1)?.first()?;
    let len = |bytes: &[u8]| usize::from(bytes.first().copied().unwrap_or(0)) << (kind / 7 % 8);
    Some(match kind % 7 {
        0 => Column::Null,
        1 => Column::Integer(i64::from(*take(1)?.first()?)),
        2 => Column::Integer(i64::from_le_bytes(take(8)?.try_into().ok()?)),
        3 => Column::Integer(-i64::from(*take(1)?.first()?)),
        4 => {
            let len = len(take(1)?);
            Column::Text(String::from_utf8_lossy(take(len)?).into_owned())
        }
        5 => {
            let len = len(take(1)?);
            Column::Blob(take(len)?.to_vec())
        }
        _ => Column::Real(f64::from_le_bytes(take(8)?.try_into().ok()?)),
    })
}

async fn use_all(stream: &LocalStream) {
    let Some(StreamInfo { shards, .. }) = read(stream.describe().await) else { return };
    for shard in shards.iter().take(3) {
        assert!(shard.earliest <= shard.tail, "{} ends in front of its beginning", shard.shard);
        let events = events(stream, &shard.shard).await;
        carried_by_formats(&events);
        for time in [i64::MIN, 0, 2_500_000, 9_000_000, i64::MAX] {
            if let Some(found) = read(stream.position_at(&shard.shard, Timestamp::from_micros(time)).await) {
                assert!(found >= shard.earliest && found <= shard.tail, "{found} lies outside");
            }
        }
        let after = |number: &str| Position::After(number.parse().expect("a number"));
        for range in [(Position::Beginning, Position::End), (after("0"), after("2")), (after("1"), Position::End)] {
            let range = Range { from: range.0, until: range.1 };
            read(stream.measure(&shard.shard, &range).await);
        }
    }
    for shard in shards.iter().take(3) {
        written(append_once(stream, &shard.shard, None, &shard.tail, &[event(b"more", 5_000)]).await);
        written(stream.trim(&shard.shard, &Position::After("1".parse().expect("a number"))).await);
    }
    let writer = "import".parse().expect("a plain name");
    written(stream.reserve(&writer).await);
    written(stream.release(&writer).await);
}

/// A shard's events. Reading it always gets further, and comes to an end.
async fn events(stream: &LocalStream, shard: &ShardId) -> Vec<Event> {
    let (mut from, mut found) = (Position::Beginning, Vec::<Event>::new());
    for _ in 0..MOST {
        match read(stream.read(shard, &from, ReadLimit::new(3, 2_000)).await) {
            None => break,
            Some(Read::Events { events, next, at_tail, .. }) => {
                assert!(!events.is_empty() || at_tail, "neither events nor the end");
                assert!(events.iter().all(|event| !from.covers(&event.sequence) && next.covers(&event.sequence)));
                found.extend(events);
                from = next;
                if at_tail {
                    break;
                }
            }
            Some(Read::Trimmed { earliest }) => {
                assert!(earliest > from, "trimmed in front of {from}, to {earliest}");
                from = earliest;
            }
        }
    }
    assert!(found.is_sorted_by(|a, b| a.sequence < b.sequence), "out of order");
    found
}

/// A row as [`column`] takes it apart.
fn row(table: u8, columns: &[Column]) -> Vec<u8> {
    let mut out = vec![table];
    let long = |kind: u8, bytes: &[u8]| {
        // In units of 128, if it is longer than a byte says.
        let units = if bytes.len() < 256 { 0 } else { 7 };
        let len = u8::try_from(bytes.len() >> units).expect("at most 32 KiB");
        [&[kind + 7 * units, len], &bytes[..usize::from(len) << units]].concat()
    };
    for column in columns {
        match column {
            Column::Null => out.push(0),
            Column::Integer(number) => {
                out.push(2);
                out.extend_from_slice(&number.to_le_bytes());
            }
            Column::Real(number) => {
                out.push(6);
                out.extend_from_slice(&number.to_le_bytes());
            }
            Column::Text(text) => out.extend(long(4, text.as_bytes())),
            Column::Blob(bytes) => out.extend(long(5, bytes)),
        }
    }
    out
}

/// Where mutating begins.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let (int, blob) = (Column::Integer, |bytes: &[u8]| Column::Blob(bytes.to_vec()));
    let null = || Column::Null;
    let event = |id: i64, time: i64, headers: &[u8]| {
        row(0, &[int(id), int(time), blob(b"key"), blob(headers), blob(b"payload")])
    };
    let shard = |number: i64, earliest: i64, next: i64, reached: i64| {
        row(2, &[int(number), int(earliest), int(next), int(reached), int(99)])
    };
    let batch = |last: i64, reached: i64| row(1, &[int(0), int(last), int(reached), int(reached), int(99)]);
    let put = |rows: &[Vec<u8>]| [vec![0], rows.concat()].concat();
    named(vec![
        ("an-event", put(&[event(4, 5, b"\x01a\x04bc"), batch(4, 5), shard(0, 0, 5, 9_000_000)])),
        ("damaged-headers", put(&[event(1, 5, b"\x05a")])),
        ("headers-without-end", put(&[event(1, 5, &[0; 25_600])])),
        ("a-long-number", put(&[event(1, 5, &[0xff; 20])])),
        ("times-past-all-years", put(&[event(0, i64::MIN, b"\x00\x00"), event(1, i64::MAX, b"\x00\x01")])),
        ("a-text", put(&[row(0, &[int(1), int(5), Column::Text("key".to_owned()), null(), int(7)])])),
        ("begins-behind-its-end", put(&[shard(0, 9, 4, 9_000_000)])),
        ("begins-behind-nothing", put(&[shard(0, 5, 0, i64::MAX)])),
        ("more-than-all-numbers", put(&[shard(0, 0, i64::MAX, 9_000_000), shard(1, 1 << 48, 1 << 48, 0)])),
        ("a-shard-of-a-large-number", put(&[shard(i64::from(u32::MAX), 0, 4, 9_000_000)])),
        ("batches-of-all-numbers", put(&[batch(i64::MAX, 4), batch(i64::MAX - 1, 3), shard(0, 0, 9, i64::MAX)])),
        ("bytes-that-shrink", put(&[row(1, &[int(0), int(3), int(1), int(1), int(0)])])),
        ("fractions", put(&[row(2, &[int(0), Column::Real(0.5), Column::Real(1e300), null(), null()])])),
        ("a-writer", put(&[row(3, &[int(1), Column::Text("import-1".to_owned())])])),
        ("a-writer-of-no-name", put(&[row(3, &[int(1), Column::Text("x".repeat(9_984))])])),
        ("nothing-changed", vec![1]),
        ("a-page-changed", vec![1, 16, 0, 8, 13, 0, 0, 0, 4, 255, 255, 0]),
        ("another-version", vec![1, 0, 60, 4, 0, 0, 0, 9]),
    ])
}
