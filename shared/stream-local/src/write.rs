//! What changes a stream. Each function is one immediate transaction: it took the file's write lock before it looked,
//! so what it saw is what it changed.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use sluice_ports::{Appended, Error, ErrorKind, NewEvent, Reservation, Result};
use sluice_transfer::limits::{EVENT_BYTES, HEADERS};
use sluice_transfer::{Position, ShardId, TransferId};

use crate::fault::{commit_fault, fault};
use crate::layout::{self, NUMBERS, Shard};
use crate::read::holder;
use crate::row::{Field, encode_headers};

/// A trim's transaction drops at most this many events, or so many bytes and one event.
const TRIM_EVENTS: u64 = 4_096;
const TRIM_BYTES: u64 = 32 << 20;

fn begin<'a>(connection: &'a mut Connection, name: &str) -> Result<Transaction<'a>> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    begun.map_err(|error| fault(name, "waiting to write", error))
}

fn commit(tx: Transaction<'_>, name: &str, doing: &str) -> Result<()> {
    tx.commit().map_err(|error| commit_fault(name, doing, error))
}

/// Whether every event is within the limits.
pub(crate) fn check(name: &str, events: &[NewEvent]) -> Result<()> {
    for (index, event) in events.iter().enumerate() {
        let headers: usize = event.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
        let bytes = event.payload.len() + event.key.len() + headers;
        let refuse = |why: String| {
            let what = format!("stream '{name}': event {index} of an append of {}: {why}", events.len());
            Err(Error::new(ErrorKind::Invalid, what))
        };
        if bytes > EVENT_BYTES {
            return refuse(format!("payload, key and headers are {bytes} bytes, and {EVENT_BYTES} are the most"));
        }
        if event.headers.len() > HEADERS {
            return refuse(format!("it has {} headers, and {HEADERS} are the most", event.headers.len()));
        }
    }
    Ok(())
}

/// The events are within the limits.
pub(crate) fn append(
    connection: &mut Connection,
    name: &str,
    id: &ShardId,
    writer: Option<&TransferId>,
    expected: &Position,
    events: &[NewEvent],
) -> Result<Appended> {
    let tx = begin(connection, name)?;
    match (holder(&tx, name)?, writer) {
        (Some(holder), writer) if writer != Some(&holder) => return Ok(Appended::Reserved(holder)),
        (None, Some(writer)) => {
            let what = format!("stream '{name}' is not reserved for {writer}, which wants to append");
            return Err(Error::new(ErrorKind::Denied, what));
        }
        _ => {}
    }
    let shard = layout::shard(&tx, name, id)?;
    if shard.tail() != *expected {
        return Ok(Appended::Elsewhere { tail: shard.tail() });
    }
    if events.is_empty() {
        return Ok(Appended::Done { tail: shard.tail() });
    }
    if shard.next + events.len() as u64 > NUMBERS {
        return Err(Error::new(ErrorKind::Full, format!("stream '{name}': shard {id} has given all its numbers")));
    }
    let shard = insert(&tx, shard, events).map_err(|error| fault(name, "appending", error))?;
    commit(tx, name, "appending")?;
    Ok(Appended::Done { tail: shard.tail() })
}

/// Writes events, their batch and the shard; answers the shard as it is then.
fn insert(tx: &Transaction<'_>, mut shard: Shard, events: &[NewEvent]) -> rusqlite::Result<Shard> {
    let mut row =
        tx.prepare_cached("INSERT INTO events (id, time, key, headers, payload) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut own = i64::MIN;
    for event in events {
        let (id, time) = (shard.id(shard.next), event.time.micros());
        row.execute(params![id, time, Field(&event.key), encode_headers(&event.headers), Field(&event.payload)])?;
        own = own.max(time);
        shard.next += 1;
        shard.bytes += event.payload.len() as u64;
    }
    let reached = shard.reached.map_or(own, |reached| reached.max(own));
    shard.reached = Some(reached);
    tx.prepare_cached("INSERT INTO batches (shard, last, own, reached, bytes) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![shard.index, shard.next - 1, own, reached, shard.bytes])?;
    store(tx, &shard)?;
    Ok(shard)
}

fn store(tx: &Transaction<'_>, shard: &Shard) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE shards SET earliest = ?2, next = ?3, reached = ?4, bytes = ?5 WHERE shard = ?1")?
        .execute(params![shard.index, shard.earliest, shard.next, shard.reached, shard.bytes])?;
    Ok(())
}

pub(crate) fn reserve(connection: &mut Connection, name: &str, writer: &TransferId) -> Result<Reservation> {
    let tx = begin(connection, name)?;
    match holder(&tx, name)? {
        Some(holder) if holder == *writer => Ok(Reservation::Held),
        Some(holder) => Ok(Reservation::HeldBy(holder)),
        None => {
            set_writer(&tx, Some(writer)).map_err(|error| fault(name, "reserving", error))?;
            commit(tx, name, "reserving")?;
            Ok(Reservation::Held)
        }
    }
}

pub(crate) fn release(connection: &mut Connection, name: &str, writer: &TransferId) -> Result<()> {
    let tx = begin(connection, name)?;
    if holder(&tx, name)?.as_ref() != Some(writer) {
        return Ok(());
    }
    set_writer(&tx, None).map_err(|error| fault(name, "releasing", error))?;
    commit(tx, name, "releasing")
}

fn set_writer(tx: &Transaction<'_>, writer: Option<&TransferId>) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE stream SET writer = ?1")?.execute([writer.map(TransferId::as_str)])?;
    Ok(())
}

/// Drops some of the events in front of a position; answers whether there are more. What is dropped and where the
/// shard begins change together, so a trim that was cut off is a smaller trim.
pub(crate) fn trim_some(connection: &mut Connection, name: &str, id: &ShardId, before: &Position) -> Result<bool> {
    let tx = begin(connection, name)?;
    if let Some(holder) = holder(&tx, name)? {
        // It reads back what it wrote, and proves nothing of what is gone.
        let what = format!("stream '{name}' is reserved for the import {holder}: wait for it, or cancel it");
        return Err(Error::new(ErrorKind::Denied, what));
    }
    let shard = layout::shard(&tx, name, id)?;
    let target = shard.behind(before);
    if target <= shard.earliest {
        return Ok(false);
    }
    let earliest = drop_some(&tx, shard, target).map_err(|error| fault(name, "trimming", error))?;
    commit(tx, name, "trimming")?;
    Ok(earliest < target)
}

/// Answers where the shard begins then.
fn drop_some(tx: &Transaction<'_>, mut shard: Shard, target: u64) -> rusqlite::Result<u64> {
    let until = target.min(shard.earliest + TRIM_EVENTS);
    let mut end = shard.earliest;
    {
        let mut sizes = tx.prepare_cached(
            "SELECT coalesce(length(key), 0) + coalesce(length(headers), 0) + coalesce(length(payload), 0)
             FROM events WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
        )?;
        let mut rows = sizes.query([shard.id(shard.earliest), shard.id(until - 1)])?;
        let mut bytes = 0_u64;
        while bytes < TRIM_BYTES {
            let Some(row) = rows.next()? else {
                // Also past numbers that a damaged file lost.
                end = until;
                break;
            };
            bytes += row.get::<_, u64>(0)?;
            end += 1;
        }
    }
    tx.prepare_cached("DELETE FROM events WHERE id BETWEEN ?1 AND ?2")?
        .execute([shard.id(shard.earliest), shard.id(end - 1)])?;
    tx.prepare_cached("DELETE FROM batches WHERE shard = ?1 AND last < ?2")?.execute(params![shard.index, end])?;
    shard.earliest = end;
    if shard.earliest == shard.next {
        // Nothing is left that could be as late.
        shard.reached = None;
    }
    store(tx, &shard)?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file;
    use sluice_transfer::{Timestamp, Value};

    #[test]
    fn a_full_disk_takes_all_or_nothing_and_goes_on_once_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("full");
        file::create(&path, "full", 1).unwrap();
        let mut connection = file::open(&path, "full").unwrap();
        let id = "0".parse().unwrap();
        let event = |bytes| NewEvent {
            time: Timestamp::from_micros(1),
            key: Value::Absent,
            headers: Vec::new(),
            payload: Value::from(vec![1; bytes]),
        };
        connection.pragma_update(None, "max_page_count", 30).unwrap();
        let events = [event(1), event(4 << 20)];
        let error = append(&mut connection, "full", &id, None, &Position::Beginning, &events).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full, "{error}");
        assert!(error.to_string().contains("stream 'full'"), "{error}");
        let count = |connection: &Connection| {
            connection.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, u64>(0)).unwrap()
        };
        assert_eq!(count(&connection), 0);
        connection.pragma_update(None, "max_page_count", 3_000).unwrap();
        append(&mut connection, "full", &id, None, &Position::Beginning, &events).unwrap();
        assert_eq!(count(&connection), 2);
    }

    #[test]
    fn a_piece_of_a_trim_is_bounded_by_events_and_by_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long");
        file::create(&path, "long", 1).unwrap();
        let mut connection = file::open(&path, "long").unwrap();
        let id = "0".parse().unwrap();
        let event = |bytes| NewEvent {
            time: Timestamp::from_micros(1),
            key: Value::Absent,
            headers: Vec::new(),
            payload: Value::from(vec![1; bytes]),
        };
        let (small, large) = (vec![event(1); 5_000], vec![event(20 << 20); 3]);
        append(&mut connection, "long", &id, None, &Position::Beginning, &small).unwrap();
        append(&mut connection, "long", &id, None, &layout::boundary(5_000), &large).unwrap();
        let mut begins = Vec::new();
        let mut more = true;
        while more {
            more = trim_some(&mut connection, "long", &id, &Position::End).unwrap();
            begins.push(layout::shard(&connection, "long", &id).unwrap().earliest);
        }
        // 4,096 events; then the rest of the small ones with the first two large ones; then the last.
        assert_eq!(begins, [4_096, 5_002, 5_003]);
        let left = "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM batches)";
        assert_eq!(connection.query_row(left, [], |row| row.get::<_, u64>(0)).unwrap(), 0);
        assert!(!trim_some(&mut connection, "long", &id, &Position::End).unwrap());
    }
}
