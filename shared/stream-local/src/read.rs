//! What is asked of a stream. Each function is one read transaction, so its answer is of one instant.
//!
//! **Invariant.** Nothing here holds more of the stream than the answer: rows are stepped through, and a reader that
//! has enough leaves its snapshot.

use rusqlite::{Connection, OptionalExtension, Transaction};
use sluice_ports::{Error, ErrorKind, Read, ReadLimit, Result, ShardInfo, StreamFacts, StreamInfo};
use sluice_transfer::limits::EVENT_BYTES;
use sluice_transfer::{Counts, Event, Position, Range, Sequence, ShardId, Timestamp};

use crate::fault::{corrupt, fault};
use crate::layout::{self, Shard, boundary, number_of};
use crate::row::Values;

fn snapshot<'a>(connection: &'a mut Connection, name: &str) -> Result<Transaction<'a>> {
    connection.transaction().map_err(|error| fault(name, "beginning to read", error))
}

/// The import that the stream is reserved for.
pub(crate) fn holder(connection: &Connection, name: &str) -> Result<Option<sluice_transfer::TransferId>> {
    let writer = layout::writer(connection).map_err(|error| fault(name, "its reservation", error))?;
    let parsed = writer.map(|writer| writer.parse()).transpose();
    parsed.map_err(|why| Error::with(ErrorKind::Corrupt, format!("stream '{name}': its reservation"), why))
}

pub(crate) fn facts(connection: &Connection, name: &str) -> Result<StreamFacts> {
    let made = layout::made(connection).map_err(|error| fault(name, "when it was made", error))?;
    Ok(StreamFacts { created: made.map(Timestamp::from_micros), ..StreamFacts::default() })
}

pub(crate) fn describe(connection: &mut Connection, name: &str) -> Result<StreamInfo> {
    let snapshot = snapshot(connection, name)?;
    let stored = layout::shards(&snapshot).map_err(|error| fault(name, "its shards", error))?;
    let mut shards = Vec::with_capacity(stored.len());
    for shard in stored {
        let (earliest, tail) = (shard.beginning(), shard.tail());
        shards.push(ShardInfo {
            shard: layout::shard_name(shard.index)?,
            earliest,
            tail,
            parents: Vec::new(),
            hashes: None,
            closed: false,
        });
    }
    Ok(StreamInfo { shards, writer: holder(&snapshot, name)?, largest_event: EVENT_BYTES as u64 })
}

pub(crate) fn read(
    connection: &mut Connection,
    name: &str,
    id: &ShardId,
    from: &Position,
    limit: ReadLimit,
    values: &mut Values,
) -> Result<Read> {
    let snapshot = snapshot(connection, name)?;
    let shard = layout::shard(&snapshot, name, id)?;
    let first = shard.behind(from);
    if first < shard.earliest {
        return Ok(Read::Trimmed { earliest: shard.beginning() });
    }
    let first = match limit.since {
        Some(since) => first.max(shard.behind(&boundary_at(&snapshot, name, &shard, since)?)),
        None => first,
    };
    if first == shard.next {
        return Ok(Read::Events { events: Vec::new(), next: from.clone(), at_tail: true, reached: None });
    }
    let events = events(&snapshot, name, &shard, first, limit, values)?;
    let behind = first + events.len() as u64;
    Ok(Read::Events { events, next: boundary(behind), at_tail: behind == shard.next, reached: None })
}

/// Events from `first` on, at least one.
fn events(
    snapshot: &Connection,
    name: &str,
    shard: &Shard,
    first: u64,
    limit: ReadLimit,
    values: &mut Values,
) -> Result<Vec<Event>> {
    let failed = |error| fault(name, "reading its events", error);
    let mut statement = snapshot
        .prepare_cached("SELECT id, time, key, headers, payload FROM events WHERE id BETWEEN ?1 AND ?2 ORDER BY id")
        .map_err(failed)?;
    let mut rows = statement.query([shard.id(first), shard.id(shard.next - 1)]).map_err(failed)?;
    let (mut events, mut bytes) = (Vec::new(), 0_usize);
    for number in first..shard.next {
        if !events.is_empty() && (events.len() >= limit.events || bytes >= limit.bytes) {
            break;
        }
        let row = rows.next().map_err(failed)?;
        let row = row.ok_or_else(|| corrupt(name, format!("event {number} of shard {} is missing", shard.index)))?;
        let event = event(row, number, values).map_err(failed)?;
        let event =
            event.ok_or_else(|| corrupt(name, format!("event {number} of shard {} is damaged", shard.index)))?;
        let headers: usize = event.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
        let size = event.payload.len() + event.key.len() + headers;
        if size > EVENT_BYTES {
            return Err(corrupt(name, format!("event {number} of shard {} has {size} bytes", shard.index)));
        }
        bytes = bytes.saturating_add(size);
        events.push(event);
    }
    Ok(events)
}

/// The event of that number; none if the row is another's or not as it was written.
fn event(row: &rusqlite::Row<'_>, number: u64, values: &mut Values) -> rusqlite::Result<Option<Event>> {
    let (id, time) = (row.get(0)?, row.get(1)?);
    if number_of(id) != number {
        return Ok(None);
    }
    let key = values.value(row.get_ref(2)?);
    let headers = values.headers(row.get_ref(3)?);
    let payload = values.value(row.get_ref(4)?);
    let (Some(key), Some(headers), Some(payload)) = (key, headers, payload) else { return Ok(None) };
    let time = Timestamp::from_micros(time);
    Ok(Some(Event { sequence: Sequence::new(number), time, key, headers, payload }))
}

/// Finds the first batch that holds such a time by halving, then the event within it. Where a trim took away the
/// event that held a maximum, batches tell their own largest times, one after the other.
pub(crate) fn position_at(connection: &mut Connection, name: &str, id: &ShardId, time: Timestamp) -> Result<Position> {
    let snapshot = snapshot(connection, name)?;
    let shard = layout::shard(&snapshot, name, id)?;
    boundary_at(&snapshot, name, &shard, time)
}

/// In front of the first event, in order, of that time or later that is left.
fn boundary_at(snapshot: &Connection, name: &str, shard: &Shard, time: Timestamp) -> Result<Position> {
    let id = shard.index;
    let failed = |error| fault(name, "looking for a time", error);
    // No event that is left is later than the largest of them all.
    if shard.earliest == shard.next || shard.reached.is_none_or(|reached| reached < time.micros()) {
        return Ok(shard.tail());
    }
    let batch = first_batch_reaching(snapshot, shard, time).map_err(failed)?;
    let (first, last) = batch.ok_or_else(|| corrupt(name, format!("shard {id} has no batches")))?;
    if let Some(number) = first_event_at(snapshot, shard, first, last, time).map_err(failed)? {
        return Ok(boundary(number));
    }
    // What reached that time was trimmed, so nothing up to the batch's end holds it: look at batches by themselves.
    let batch = first_batch_holding(snapshot, shard, last, time).map_err(failed)?;
    let Some((first, last)) = batch else { return Ok(shard.tail()) };
    match first_event_at(snapshot, shard, first, last, time).map_err(failed)? {
        Some(number) => Ok(boundary(number)),
        None => Err(corrupt(name, format!("the times of shard {id} up to event {last} are not those of its batches"))),
    }
}

/// First and last number of the first batch up to whose end that time was reached.
fn first_batch_reaching(tx: &Connection, shard: &Shard, time: Timestamp) -> rusqlite::Result<Option<(u64, u64)>> {
    let mut batch =
        tx.prepare_cached("SELECT last, reached FROM batches WHERE shard = ?1 AND last >= ?2 ORDER BY last LIMIT 1")?;
    // Batches that end in front of `low` do not reach it, the one that holds `high` does.
    let (mut low, mut high) = (shard.earliest, shard.next - 1);
    let mut found = None;
    while low <= high {
        let middle = low + (high - low) / 2;
        let row = batch.query_row((shard.index, middle), |row| Ok((row.get::<_, u64>(0)?, row.get::<_, i64>(1)?)));
        // Numbers behind the shard's end would be another shard's.
        let Some((last, reached)) = row.optional()?.filter(|(last, _)| *last < shard.next) else { return Ok(None) };
        if reached < time.micros() {
            low = last + 1;
            continue;
        }
        found = Some(last);
        // No batch ends between the middle and this one's end.
        match middle.checked_sub(1) {
            Some(lower) => high = lower,
            None => break,
        }
    }
    Ok(found.map(|last| (low, last)))
}

/// First and last number of the first batch behind `last` that holds such a time itself.
fn first_batch_holding(
    tx: &Connection,
    shard: &Shard,
    last: u64,
    time: Timestamp,
) -> rusqlite::Result<Option<(u64, u64)>> {
    let mut batch = tx.prepare_cached(
        "SELECT last FROM batches WHERE shard = ?1 AND last > ?2 AND own >= ?3 ORDER BY last LIMIT 1",
    )?;
    let found = batch.query_row((shard.index, last, time.micros()), |row| row.get(0)).optional()?;
    let Some(found) = found.filter(|found| *found < shard.next) else { return Ok(None) };
    let mut before =
        tx.prepare_cached("SELECT last FROM batches WHERE shard = ?1 AND last < ?2 ORDER BY last DESC LIMIT 1")?;
    let before: u64 = before.query_row((shard.index, found), |row| row.get(0))?;
    Ok(Some((before + 1, found)))
}

/// Number of the first event in a range of that time or later.
fn first_event_at(
    tx: &Connection,
    shard: &Shard,
    first: u64,
    last: u64,
    time: Timestamp,
) -> rusqlite::Result<Option<u64>> {
    let mut event =
        tx.prepare_cached("SELECT id FROM events WHERE id BETWEEN ?1 AND ?2 AND time >= ?3 ORDER BY id LIMIT 1")?;
    let found = event.query_row((shard.id(first), shard.id(last), time.micros()), |row| row.get(0)).optional()?;
    Ok(found.map(number_of))
}

/// Events by their numbers, bytes by the batches' marks; only in the two batches at the ends are lengths added up.
pub(crate) fn measure(connection: &mut Connection, name: &str, id: &ShardId, range: &Range) -> Result<Counts> {
    let snapshot = snapshot(connection, name)?;
    let shard = layout::shard(&snapshot, name, id)?;
    let first = shard.behind(&range.from).max(shard.earliest);
    let until = shard.behind(&range.until);
    if until <= first {
        return Ok(Counts::default());
    }
    let bytes =
        bytes_before(&snapshot, name, &shard, until)?.checked_sub(bytes_before(&snapshot, name, &shard, first)?);
    let bytes = bytes.ok_or_else(|| corrupt(name, format!("the bytes of shard {id} do not grow")))?;
    Ok(Counts::new(until - first, bytes))
}

/// Events that are looked at, one by one, for their times.
const LOOKED_AT: u64 = 1_000_000;

/// Events of a range that are earlier than a time, among the first million of it.
pub(crate) fn count_before(
    connection: &mut Connection,
    name: &str,
    id: &ShardId,
    range: &Range,
    time: Timestamp,
) -> Result<u64> {
    let snapshot = snapshot(connection, name)?;
    let shard = layout::shard(&snapshot, name, id)?;
    let first = shard.behind(&range.from).max(shard.earliest);
    let until = shard.behind(&range.until).min(first.saturating_add(LOOKED_AT));
    if until <= first {
        return Ok(0);
    }
    let count = || -> rusqlite::Result<u64> {
        let mut events =
            snapshot.prepare_cached("SELECT count(*) FROM events WHERE id BETWEEN ?1 AND ?2 AND time < ?3")?;
        events.query_row((shard.id(first), shard.id(until - 1), time.micros()), |row| row.get(0))
    };
    count().map_err(|error| fault(name, "counting by time", error))
}

/// Bytes of payload that were ever appended in front of an event that is still there, or of the tail.
fn bytes_before(tx: &Connection, name: &str, shard: &Shard, number: u64) -> Result<u64> {
    if number == shard.next {
        return Ok(shard.bytes);
    }
    let Some(before) = number.checked_sub(1) else { return Ok(0) };
    let bytes = || -> rusqlite::Result<Option<u64>> {
        // Where a batch ends just in front of it no event is looked at.
        let mut ended = tx.prepare_cached("SELECT bytes FROM batches WHERE shard = ?1 AND last = ?2")?;
        if let Some(bytes) = ended.query_row((shard.index, before), |row| row.get(0)).optional()? {
            return Ok(Some(bytes));
        }
        let mut batch =
            tx.prepare_cached("SELECT last, bytes FROM batches WHERE shard = ?1 AND last >= ?2 ORDER BY last LIMIT 1")?;
        let (last, bytes): (u64, u64) = batch.query_row((shard.index, number), |row| Ok((row.get(0)?, row.get(1)?)))?;
        if last >= shard.next {
            return Ok(None);
        }
        // From behind, since the front of the first batch may be trimmed. A length is read without its payload.
        let mut lengths =
            tx.prepare_cached("SELECT coalesce(sum(length(payload)), 0) FROM events WHERE id BETWEEN ?1 AND ?2")?;
        let lengths: u64 = lengths.query_row([shard.id(number), shard.id(last)], |row| row.get(0))?;
        Ok(bytes.checked_sub(lengths))
    };
    let bytes = bytes().map_err(|error| fault(name, "measuring", error))?;
    bytes.ok_or_else(|| corrupt(name, format!("a batch of shard {} has fewer bytes than its events", shard.index)))
}
