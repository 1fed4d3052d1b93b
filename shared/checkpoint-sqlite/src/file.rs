//! The file: its tables, and the one that an earlier Sluice made in its place.

use std::path::Path;

use rusqlite::Connection;
use sluice_ports::{Error, ErrorKind, Result};
use sluice_sqlite::Layout;

/// What the store is called in messages.
pub(crate) const LABEL: &str = "checkpoints";

/// Of the tables. Records have a version of their own.
const VERSION: i32 = 1;

/// How the file is laid out and used.
pub(crate) const LAYOUT: Layout = Layout {
    noun: "a file of checkpoints",
    // "SluC"
    application: 0x536c_7543,
    version: VERSION,
    tables: TABLES,
    page_bytes: 4 << 10,
    shrinks: false,
    // 4 MiB.
    log_pages: 1_000,
    log_bytes: 8 << 20,
    writer_cache: 2 << 10,
    reader_cache: 1 << 10,
    known: of_before,
};

const TABLES: &str = "
CREATE TABLE transfers (
    id TEXT NOT NULL PRIMARY KEY,
    created INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX transfers_by_age ON transfers (created DESC, id);
CREATE TABLE shards (
    transfer TEXT NOT NULL,
    shard TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (transfer, shard)
) STRICT;
CREATE TABLE pages (
    transfer TEXT NOT NULL,
    shard TEXT NOT NULL,
    destination TEXT NOT NULL,
    page INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (transfer, shard, destination, page)
) STRICT;
CREATE TABLE writers (
    stream TEXT NOT NULL PRIMARY KEY,
    writer TEXT NOT NULL
) STRICT;
";

/// Made with its first row: a file of an earlier Sluice, which reads on beside it, has none.
pub(crate) const READERS: &str = "
CREATE TABLE IF NOT EXISTS readers (
    stream TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL
) STRICT;
";

/// Opens the file to write, and makes it if it is not there.
pub(crate) fn open_or_make(path: &Path) -> Result<Connection> {
    if let Some(connection) = sluice_sqlite::open(path, LABEL, &LAYOUT)? {
        return Ok(connection);
    }
    sluice_sqlite::create(path, LABEL, &LAYOUT, |_| Ok(()))?;
    sluice_sqlite::open(path, LABEL, &LAYOUT)?.ok_or_else(|| {
        Error::new(ErrorKind::Unavailable, format!("{LABEL}: {} is gone since it was made", path.display()))
    })
}

/// An earlier Sluice kept a table of `DynamoDB`'s in its file: that table, and those that describe it.
fn of_before(connection: &Connection, path: &Path) -> Option<Error> {
    let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('_config', '_tables', 'sluice')";
    let found: i64 = connection.query_row(tables, [], |row| row.get(0)).ok()?;
    (found == 3).then(|| {
        let what = format!(
            "{LABEL}: {} is of an earlier Sluice, whose `--version` names no SQLite, and this one does not read it: \
             finish its transfers with that one, or use another --home",
            path.display()
        );
        Error::new(ErrorKind::Invalid, what)
    })
}
