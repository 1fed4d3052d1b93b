//! `SQLite` alone: one bare loop that inserts the same rows, in transactions of the same size, into the same table in
//! a file with the same settings as a local stream's (`shared/stream-local/src/file.rs`, `layout.rs`, `write.rs`).
//!
//! What is left out is what makes it a stream: shards, batches, reservations. Then one loop over all rows, in their
//! order, that looks at nothing of a payload but its length: less than that nobody can read of such a file.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};

use crate::measure::{Job, tell};
use crate::{Load, Result};

const SETTINGS: &str = "
PRAGMA page_size = 32768;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA cache_size = -8192;
PRAGMA wal_autocheckpoint = 1024;
PRAGMA journal_size_limit = 67108864;
CREATE TABLE events (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, key, headers, payload);
";
const INSERT: &str = "INSERT INTO events (id, time, key, headers, payload) VALUES (?1, ?2, ?3, ?4, ?5)";
/// A transaction ends with this many bytes of payload or so many events, as an import's does.
const BYTES: usize = 8 << 20;
const EVENTS: usize = 8_192;

pub(crate) fn run(load: Load, folder: &Path) -> Result<()> {
    let joined = load.joined();
    let path = folder.join("bare.sqlite");
    let mut connection = Connection::open(&path)?;
    connection.execute_batch(SETTINGS)?;
    let job = Job::begin();
    let in_each = BYTES.div_ceil(load.event).min(EVENTS);
    let mut id = 0_i64;
    for rows in joined.chunks(in_each * load.event) {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = tx.prepare_cached(INSERT)?;
            for payload in rows.chunks(load.event) {
                insert.execute(params![id, 1_795_000_000_000_000 + id, b"key", None::<&[u8]>, payload])?;
                id += 1;
            }
        }
        tx.commit()?;
    }
    let took = job.end();
    drop(connection);
    let job = Job::begin();
    let read = read(&path)?;
    let back = job.end();
    fs::remove_file(&path)?;
    if read != joined.len() {
        return Err(format!("{read} bytes of {} are there", joined.len()).into());
    }
    tell(joined.len(), took, &[("back", back.to_json())])
}

/// Answers the bytes of all payloads.
fn read(path: &Path) -> Result<usize> {
    let connection = Connection::open(path)?;
    let mut select = connection.prepare("SELECT id, time, key, headers, payload FROM events ORDER BY id")?;
    let (mut rows, mut bytes) = (select.query([])?, 0);
    while let Some(row) = rows.next()? {
        bytes += row.get_ref(4)?.as_blob()?.len();
    }
    Ok(bytes)
}
