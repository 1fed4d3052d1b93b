//! The file: what makes it a stream, how it is made, and how it is opened.
//!
//! **Invariant.** A file is a stream once one transaction has written its tables, its mark and its version; before
//! that it counts as absent, so a creation that was cut off leaves nothing that could be taken for a stream.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use sluice_ports::{Error, ErrorKind, Result};
use sluice_transfer::limits::SHARDS;

use crate::fault::{commit_fault, fault};
use crate::layout::{APPLICATION, TABLES, VERSION};

/// Of the sizes from 4 to 32 KiB the fastest to write and to read at events of 100 B, 10 KiB and 1 MiB.
const PAGE_BYTES: u32 = 32 << 10;
/// Pages of the write-ahead log, 32 MiB, after which a commit folds it into the file.
const LOG_PAGES: u32 = 1_024;
/// A log that a large transaction made longer is cut back to this.
const LOG_BYTES: u32 = 64 << 20;
/// Pages that a connection keeps in memory, in KiB. A large transaction spills into the log.
const WRITER_CACHE: u32 = 8 << 10;
const READER_CACHE: u32 = 1 << 10;
/// How long a call waits for another process's transaction; each is a single append or a piece of a trim.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Refuses to write.
    Read,
    /// For appends, reservations and trims.
    Write,
}

/// What a file is.
enum Found {
    Stream,
    /// Empty: never finished, or not begun.
    Nothing,
}

/// Opens the stream's file; `NotFound`, and nothing is made, if there is none.
pub(crate) fn open(path: &Path, name: &str, access: Access) -> Result<Connection> {
    let absent = || Error::new(ErrorKind::NotFound, format!("there is no stream '{name}' at {}", path.display()));
    if !path.try_exists().is_ok_and(|exists| exists) {
        return Err(absent());
    }
    let connection = connect(path, name, OpenFlags::empty())?;
    if let Found::Nothing = identify(&connection, path, name)? {
        return Err(absent());
    }
    let failed = |error| fault(name, "opening its file", error);
    let cache = match access {
        Access::Write => WRITER_CACHE,
        Access::Read => READER_CACHE,
    };
    connection.pragma_update(None, "cache_size", -i64::from(cache)).map_err(failed)?;
    match access {
        Access::Read => connection.pragma_update(None, "query_only", true).map_err(failed)?,
        Access::Write => {
            write_ahead(&connection).map_err(failed)?;
            connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
            connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES).map_err(failed)?;
            connection.pragma_update(None, "journal_size_limit", LOG_BYTES).map_err(failed)?;
        }
    }
    Ok(connection)
}

/// Makes the stream; answers whether it was made now.
pub(crate) fn create(path: &Path, name: &str, shards: u32) -> Result<bool> {
    if shards == 0 || shards as usize > SHARDS {
        let what = format!("stream '{name}': a stream has 1 to {SHARDS} shards, not {shards}");
        return Err(Error::new(ErrorKind::Invalid, what));
    }
    let failed = |error| fault(name, "making its file", error);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let what = || format!("stream '{name}': its folder {} cannot be made", folder.display());
        std::fs::create_dir_all(folder).map_err(|error| Error::with(ErrorKind::Denied, what(), error))?;
    }
    let mut connection = connect(path, name, OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES).map_err(failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    let tx = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| refine(error, path, name))?;
    if let Found::Stream = identify(&tx, path, name)? {
        return Ok(false);
    }
    tx.execute_batch(TABLES).map_err(failed)?;
    {
        let mut insert = tx.prepare("INSERT INTO shards (shard) VALUES (?1)").map_err(failed)?;
        for shard in 0..shards {
            insert.execute([shard]).map_err(failed)?;
        }
    }
    tx.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
    tx.pragma_update(None, "user_version", VERSION).map_err(failed)?;
    tx.commit().map_err(|error| commit_fault(name, "making its file", error))?;
    // It is made, whatever becomes of this; each opening for writing tries it again.
    let _ = write_ahead(&connection);
    Ok(true)
}

fn connect(path: &Path, name: &str, more: OpenFlags) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| refine(error, path, name))?;
    connection.busy_timeout(PATIENCE).map_err(|error| refine(error, path, name))?;
    Ok(connection)
}

/// Readers go on while one writes, and a commit syncs once. The change needs a moment in which nobody else has the
/// file open in the middle of something; until it comes the file is as durable, but readers and the writer wait for
/// each other.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    match connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        answer => answer,
    }
}

/// Tells our files from others, and from newer ones of ours.
fn identify(connection: &Connection, path: &Path, name: &str) -> Result<Found> {
    // Ours has tables alone. A view or a trigger would be a program of whoever made the file, and run with the call that
    // touches it.
    let marks = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema),
        (SELECT count(*) FROM sqlite_schema WHERE type IN ('view', 'trigger'))
        FROM pragma_application_id, pragma_user_version";
    let marks = connection.query_row(marks, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    let marks: (i32, i32, i64, i64) = marks.map_err(|error| refine(error, path, name))?;
    match marks {
        (APPLICATION, VERSION, _, 0) => Ok(Found::Stream),
        (0, 0, 0, 0) => Ok(Found::Nothing),
        (APPLICATION, version, _, _) if version > VERSION => {
            let what = format!(
                "stream '{name}': its file {} has version {version} and this program knows {VERSION} at most; use the \
                 program that wrote it, or a newer one",
                path.display()
            );
            Err(Error::new(ErrorKind::Newer, what))
        }
        _ => Err(Error::new(ErrorKind::Corrupt, format!("stream '{name}': {} is not a stream's file", path.display()))),
    }
}

/// An error of opening, with the file's path.
fn refine(error: rusqlite::Error, path: &Path, name: &str) -> Error {
    fault(name, &format!("opening {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creation_that_was_cut_off_left_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("half.sqlite");
        {
            // All but the commit.
            let mut connection = Connection::open(&path).unwrap();
            let tx = connection.transaction().unwrap();
            tx.execute_batch(TABLES).unwrap();
            tx.pragma_update(None, "user_version", VERSION).unwrap();
        }
        assert!(path.exists());
        assert_eq!(open(&path, "half", Access::Read).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(create(&path, "half", 2).unwrap());
        assert!(!create(&path, "half", 2).unwrap());
        open(&path, "half", Access::Read).unwrap();
    }

    #[test]
    fn foreign_and_newer_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let both = |path: &Path| {
            let opened = open(path, "other", Access::Write).unwrap_err();
            assert_eq!(opened.kind(), create(path, "other", 1).unwrap_err().kind());
            opened
        };
        let text = dir.path().join("text");
        std::fs::write(&text, "This is a text, long enough to be taken for a header of a file. ".repeat(20)).unwrap();
        let error = both(&text);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("stream 'other'"), "{error}");

        let foreign = dir.path().join("foreign");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
        assert_eq!(both(&foreign).kind(), ErrorKind::Corrupt);

        let program = dir.path().join("program");
        create(&program, "program", 1).unwrap();
        let endless = "DROP TABLE events; CREATE VIEW events AS WITH RECURSIVE all_of(id) AS (SELECT 0 UNION ALL
            SELECT id + 1 FROM all_of) SELECT id, 0 AS time, NULL AS key, NULL AS headers, zeroblob(1) AS payload
            FROM all_of";
        Connection::open(&program).unwrap().execute_batch(endless).unwrap();
        assert_eq!(both(&program).kind(), ErrorKind::Corrupt);

        let newer = dir.path().join("newer");
        create(&newer, "newer", 1).unwrap();
        Connection::open(&newer).unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
        let error = both(&newer);
        assert_eq!(error.kind(), ErrorKind::Newer);
        assert!(error.to_string().contains("newer one") && error.to_string().contains(newer.to_str().unwrap()));

        let damaged = dir.path().join("damaged");
        create(&damaged, "damaged", 1).unwrap();
        Connection::open(&damaged).unwrap().execute_batch("DROP TABLE shards").unwrap();
        let connection = open(&damaged, "damaged", Access::Read).unwrap();
        let error = crate::read::describe(&mut { connection }, "damaged").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }

    #[test]
    fn a_folder_is_denied_and_a_reader_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(open(dir.path(), "folder", Access::Read).unwrap_err().kind(), ErrorKind::Denied);
        let path = dir.path().join("a/b/new");
        create(&path, "new", 1).unwrap();
        let reader = open(&path, "new", Access::Read).unwrap();
        assert!(reader.execute_batch("DELETE FROM shards").is_err());
        let mode: String = reader.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        let writer = open(&path, "new", Access::Write).unwrap();
        let sync: i32 = writer.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!(sync, 2, "FULL");
        let page: u32 = writer.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
        assert_eq!(page, PAGE_BYTES);
    }

    #[test]
    fn a_connections_cache_is_its_own() {
        // As `.cargo/config.toml` has SQLite compiled.
        let compiled = |option: &str| {
            let used = "SELECT sqlite_compileoption_used(?1)";
            Connection::open_in_memory().unwrap().query_row(used, [option], |row| row.get::<_, bool>(0)).unwrap()
        };
        assert!(!compiled("ENABLE_MEMORY_MANAGEMENT"));
        assert!(compiled("DEFAULT_MEMSTATUS=0"));
    }
}
