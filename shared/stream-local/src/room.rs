//! Giving back to the disk what a trim freed, and deleting a stream.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use sluice_ports::{Error, ErrorKind, Result};
use sluice_sqlite::kind;

use crate::fault::{commit_fault, fault, label};
use crate::read::holder;

/// Pages that are moved in one transaction, 32 MiB, so that others get their turn in between.
const PIECE_PAGES: u32 = 1_024;
/// How `PRAGMA auto_vacuum` calls files that can be cut piece by piece.
const INCREMENTAL: u32 = 2;
/// How long a deletion waits for others to close the file.
const PATIENCE: Duration = Duration::from_secs(1);
/// Marks a file that was deleted while somebody had it open.
const DELETED: i32 = 0x536c_7558;

/// Moves pages from the file's end to where some are free, and cuts it. True if there are more.
pub(crate) fn give_back_some(connection: &mut Connection, name: &str) -> Result<bool> {
    let failed = |error| fault(name, "giving free pages back", error);
    let number = |connection: &Connection, pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get(0));
    let free: u32 = number(connection, "freelist_count").map_err(failed)?;
    let before: u32 = number(connection, "page_count").map_err(failed)?;
    if free > 0 && number(connection, "auto_vacuum").map_err(failed)? == INCREMENTAL {
        let mut pieces = connection.prepare(&format!("PRAGMA incremental_vacuum({PIECE_PAGES})")).map_err(failed)?;
        let mut rows = pieces.query([]).map_err(failed)?;
        // Each step moves a page.
        while rows.next().map_err(failed)?.is_some() {}
    } else if free > 0 {
        // A file of before this could be done in pieces: written anew once, if nobody else is at work in it.
        connection.pragma_update(None, "auto_vacuum", INCREMENTAL).map_err(failed)?;
        match connection.execute_batch("VACUUM") {
            Err(error) if kind(&error) == ErrorKind::Unavailable => return Ok(false),
            vacuumed => vacuumed.map_err(failed)?,
        }
    }
    let after: u32 = number(connection, "page_count").map_err(failed)?;
    if after < before {
        return Ok(true);
    }
    // The file itself is cut when its log is folded. Where a reader is in the way the next one does it.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)?;
    Ok(false)
}

/// Makes the file nobody's and takes it away. `Denied` while an import has the stream reserved, or somebody has the
/// file open.
///
/// Who opened it in between finds no stream in it: nothing can be appended to a file that is gone.
pub(crate) fn delete(mut connection: Connection, path: &Path, name: &str) -> Result<()> {
    let in_use = |error: rusqlite::Error| match kind(&error) {
        ErrorKind::Unavailable => {
            Error::new(ErrorKind::Denied, format!("stream '{name}' is in use by another process: try again after it"))
        }
        _ => fault(name, "deleting it", error),
    };
    connection.busy_timeout(PATIENCE).map_err(in_use)?;
    // Only who is alone with the file can leave the write-ahead log.
    connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(in_use)?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(in_use)?;
    if let Some(holder) = holder(&tx, name)? {
        let what = format!("stream '{name}' is reserved for the import {holder}: wait for it, or cancel it");
        return Err(Error::new(ErrorKind::Denied, what));
    }
    let rename = "ALTER TABLE stream RENAME TO deleted_stream; ALTER TABLE shards RENAME TO deleted_shards;
        ALTER TABLE events RENAME TO deleted_events; ALTER TABLE batches RENAME TO deleted_batches";
    tx.execute_batch(rename).map_err(in_use)?;
    tx.pragma_update(None, "application_id", DELETED).map_err(in_use)?;
    tx.commit().map_err(|error| commit_fault(name, "deleting it", error))?;
    drop(connection);
    sluice_sqlite::remove(path, &label(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file;
    use crate::write::{append, reserve, trim_some};
    use sluice_ports::NewEvent;
    use sluice_transfer::{Position, Timestamp, Value};

    fn events(count: usize, bytes: usize) -> Vec<NewEvent> {
        let payload = Value::from(vec![1; bytes]);
        vec![NewEvent { time: Timestamp::from_micros(1), key: Value::Absent, headers: Vec::new(), payload }; count]
    }

    fn size(path: &Path) -> u64 {
        std::fs::metadata(path).unwrap().len()
    }

    #[test]
    fn a_trim_shrinks_the_file_and_one_of_before_too() {
        let dir = tempfile::tempdir().unwrap();
        for old in [false, true] {
            let path = dir.path().join(format!("{old}.sqlite"));
            file::create(&path, "a", 1).unwrap();
            let mut connection = file::open(&path, "a").unwrap();
            if old {
                connection.execute_batch("PRAGMA auto_vacuum = 0; VACUUM").unwrap();
            }
            let mode: u32 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0)).unwrap();
            assert_eq!(mode, if old { 0 } else { INCREMENTAL });
            let id = "0".parse().unwrap();
            append(&mut connection, "a", &id, None, &Position::Beginning, &events(200, 100_000)).unwrap();
            while give_back_some(&mut connection, "a").unwrap() {}
            assert!(size(&path) > 20_000_000);
            let before = "0@190".split_once('@').map(|(_, n)| Position::before(&n.parse().unwrap())).unwrap();
            while trim_some(&mut connection, "a", &id, &before).unwrap() {}
            while give_back_some(&mut connection, "a").unwrap() {}
            assert!(size(&path) < 2_000_000, "{} bytes", size(&path));
            let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(check, "ok");
            let left: u64 = connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
            assert_eq!(left, 10);
        }
    }

    #[test]
    fn a_stream_that_is_reserved_or_open_elsewhere_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sqlite");
        file::create(&path, "a", 1).unwrap();
        let open = || file::open(&path, "a").unwrap();
        let mut other = open();
        other.query_row("SELECT count(*) FROM events", [], |_| Ok(())).unwrap();
        let error = delete(open(), &path, "a").unwrap_err();
        assert!(error.kind() == ErrorKind::Denied && error.to_string().contains("in use"), "{error}");
        reserve(&mut other, "a", &"i".parse().unwrap()).unwrap();
        drop(other);
        let error = delete(open(), &path, "a").unwrap_err();
        assert!(error.to_string().contains("reserved for the import i"), "{error}");
        crate::write::release(&mut open(), "a", &"i".parse().unwrap()).unwrap();
        delete(open(), &path, "a").unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn who_opened_it_meanwhile_appends_to_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sqlite");
        file::create(&path, "a", 1).unwrap();
        // Opened by its path, and not yet at work.
        let mut late = Connection::open(&path).unwrap();
        delete(file::open(&path, "a").unwrap(), &path, "a").unwrap();
        let id = "0".parse().unwrap();
        append(&mut late, "a", &id, None, &Position::Beginning, &events(1, 1)).unwrap_err();
    }
}
