//! What the file holds, and how its numbers are made.
//!
//! | table | a row | holds |
//! |---|---|---|
//! | `stream` | one | the import that holds the writer's reservation, and when the stream was made |
//! | `shards` | a shard | the first number that is still there, the next one to be given, and, over all that was ever appended, payload bytes and the largest time |
//! | `events` | an event | by `shard << 48 \| number`; payloads overflow into pages of their own |
//! | `batches` | an append to a shard | by its last number: the largest time in it, the largest up to its end, payload bytes up to its end |
//!
//! **Invariant.** In one transaction: a shard's events are exactly the numbers from `earliest` to `next - 1`, and its
//! batches tile them, the first perhaps beginning in front of `earliest`. `reached` and `bytes` never shrink from one
//! batch to the next.

use rusqlite::{Connection, OptionalExtension};
use sluice_ports::{Error, ErrorKind, Result};
use sluice_transfer::{Position, Sequence, ShardId};

use crate::fault::fault;

/// Marks a file as ours (`PRAGMA application_id`): "Slui".
pub(crate) const APPLICATION: i32 = 0x536c_7569;
/// Of the tables below (`PRAGMA user_version`).
pub(crate) const VERSION: i32 = 1;

/// Bits of an event's id that are its number.
const NUMBER_BITS: u32 = 48;
/// Numbers of a shard lie below this.
pub(crate) const NUMBERS: u64 = 1 << NUMBER_BITS;

/// Shards' own numbers lie below this: more would touch an id's sign.
const SHARD_NUMBERS: u64 = 1 << (63 - NUMBER_BITS);

/// A column without a type keeps each value's own: that is how three states fit into one (see [`crate::row`]).
///
/// A stream is made at a millisecond. The microseconds behind it are random, so that one that is made again is another,
/// however soon.
pub(crate) const TABLES: &str = "
CREATE TABLE stream (one INTEGER PRIMARY KEY CHECK (one = 1), writer TEXT, made INTEGER);
INSERT INTO stream VALUES (1, NULL, CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000 + abs(random() % 1000));
CREATE TABLE shards (
    shard INTEGER PRIMARY KEY,
    earliest INTEGER NOT NULL DEFAULT 0,
    next INTEGER NOT NULL DEFAULT 0,
    reached INTEGER,
    bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE events (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, key, headers, payload);
CREATE TABLE batches (
    shard INTEGER NOT NULL,
    last INTEGER NOT NULL,
    own INTEGER NOT NULL,
    reached INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (shard, last)
) WITHOUT ROWID;
";

/// A shard as its row has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shard {
    /// Its name, which is this number.
    pub(crate) index: u32,
    /// Number of the first event that is still there.
    pub(crate) earliest: u64,
    /// Number of the next event.
    pub(crate) next: u64,
    /// Largest time of the events up to the tail, in microseconds; none if no event is left to be found by it.
    pub(crate) reached: Option<i64>,
    /// Payload bytes of all events that ever were.
    pub(crate) bytes: u64,
}

impl Shard {
    /// In front of the first event that is still there.
    pub(crate) fn beginning(&self) -> Position {
        boundary(self.earliest)
    }

    /// Behind the last event.
    pub(crate) fn tail(&self) -> Position {
        boundary(self.next)
    }

    /// The first number behind a position, at most the next one to be given.
    pub(crate) fn behind(&self, position: &Position) -> u64 {
        position.next_sequence().and_then(|sequence| sequence.as_u64()).map_or(self.next, |n| n.min(self.next))
    }

    /// The row of an event.
    pub(crate) fn id(&self, number: u64) -> i64 {
        // Both are within their bounds, so the sign is never touched.
        (i64::from(self.index) << NUMBER_BITS) | number.cast_signed()
    }
}

/// The number in a row's id.
pub(crate) fn number_of(id: i64) -> u64 {
    id.cast_unsigned() & (NUMBERS - 1)
}

/// The boundary in front of the event of that number.
pub(crate) fn boundary(number: u64) -> Position {
    Position::before(&Sequence::new(number))
}

/// The name of a shard.
pub(crate) fn shard_name(shard: u32) -> Result<ShardId> {
    let name = shard.to_string().parse();
    name.map_err(|why| Error::with(ErrorKind::Corrupt, format!("shard {shard} cannot be named"), why))
}

/// A shard by its name; `NotFound` if there is none.
pub(crate) fn shard(connection: &Connection, name: &str, id: &ShardId) -> Result<Shard> {
    let missing = || Error::new(ErrorKind::NotFound, format!("stream '{name}' has no shard '{id}'"));
    // Only the number as we write it: `00` is nobody's name.
    let number = id.as_str().parse::<u32>().ok().filter(|number| number.to_string() == id.as_str());
    let number = number.ok_or_else(missing)?;
    let mut statement = connection
        .prepare_cached("SELECT shard, earliest, next, reached, bytes FROM shards WHERE shard = ?1")
        .map_err(|error| fault(name, "its shards", error))?;
    let found = statement.query_row([number], from_row).optional();
    found.map_err(|error| fault(name, "its shards", error))?.ok_or_else(missing)
}

/// Every shard.
pub(crate) fn shards(connection: &Connection) -> rusqlite::Result<Vec<Shard>> {
    let mut statement =
        connection.prepare_cached("SELECT shard, earliest, next, reached, bytes FROM shards ORDER BY shard")?;
    statement.query_map([], from_row)?.collect()
}

fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Shard> {
    let shard = Shard {
        index: row.get(0)?,
        earliest: row.get(1)?,
        next: row.get(2)?,
        reached: row.get(3)?,
        bytes: row.get(4)?,
    };
    // Everything else reckons with these, and whoever can write the file can write them.
    for (column, value, most) in
        [(0, shard.index.into(), SHARD_NUMBERS - 1), (1, shard.earliest, shard.next), (2, shard.next, NUMBERS)]
    {
        if value > most {
            return Err(rusqlite::Error::IntegralValueOutOfRange(column, value.cast_signed()));
        }
    }
    Ok(shard)
}

/// When the stream was made, in microseconds; none for a file of before this was kept.
pub(crate) fn made(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let kept = "SELECT count(*) FROM pragma_table_info('stream') WHERE name = 'made'";
    if connection.prepare_cached(kept)?.query_row([], |row| row.get::<_, u32>(0))? == 0 {
        return Ok(None);
    }
    connection.prepare_cached("SELECT made FROM stream")?.query_row([], |row| row.get(0))
}

/// The import that the stream is reserved for.
pub(crate) fn writer(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection.prepare_cached("SELECT writer FROM stream")?.query_row([], |row| row.get(0))
}
