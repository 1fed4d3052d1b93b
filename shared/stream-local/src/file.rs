//! The stream's file: its layout, how it is made, and how it is opened.

use std::path::Path;

use rusqlite::Connection;
use sluice_ports::{Error, ErrorKind, Made, Result};
use sluice_sqlite::{Layout, Looking};
use sluice_transfer::limits::SHARDS;

use crate::fault::label;
use crate::layout::{APPLICATION, TABLES, VERSION};

/// How a stream's file is laid out and used.
pub(crate) const LAYOUT: Layout = Layout {
    noun: "a stream's file",
    application: APPLICATION,
    version: VERSION,
    tables: TABLES,
    // Of the sizes from 4 to 32 KiB the fastest to write and to read at events of 100 B, 10 KiB and 1 MiB.
    page_bytes: 32 << 10,
    shrinks: true,
    // 32 MiB.
    log_pages: 1_024,
    log_bytes: 64 << 20,
    writer_cache: 8 << 10,
    reader_cache: 1 << 10,
    known: |_, _| None,
};

fn absent(path: &Path, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no stream '{name}' at {}", path.display()))
}

/// Opens the stream's file to write; `NotFound`, and nothing is made, if there is none.
pub(crate) fn open(path: &Path, name: &str) -> Result<Connection> {
    sluice_sqlite::open(path, &label(name), &LAYOUT)?.ok_or_else(|| absent(path, name))
}

/// Does `work` on a connection that cannot write; `NotFound` if there is no stream.
pub(crate) fn look<T>(
    slot: &mut Option<Looking>,
    path: &Path,
    name: &str,
    work: impl Fn(&mut Connection) -> Result<T>,
) -> Result<T> {
    sluice_sqlite::look(slot, path, &label(name), &LAYOUT, work)?.ok_or_else(|| absent(path, name))
}

/// Makes the stream, if there is none.
pub(crate) fn create(path: &Path, name: &str, shards: u32) -> Result<Made> {
    if shards == 0 || shards as usize > SHARDS {
        let what = format!("stream '{name}': a stream has 1 to {SHARDS} shards, not {shards}");
        return Err(Error::new(ErrorKind::Invalid, what));
    }
    let is_new = sluice_sqlite::create(path, &label(name), &LAYOUT, |tx| {
        let mut insert = tx.prepare("INSERT INTO shards (shard) VALUES (?1)")?;
        (0..shards).try_for_each(|shard| insert.execute([shard]).map(drop))
    })?;
    Ok(if is_new { Made::Now } else { Made::Before })
}

/// Takes the file of a stream away that was never made, as a full disk leaves one; `NotFound` if there is none.
pub(crate) fn discard(path: &Path, name: &str) -> Result<()> {
    if sluice_sqlite::discard(path, &label(name), &LAYOUT)? { Ok(()) } else { Err(absent(path, name)) }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// Describes it, as the first look at any stream does.
    fn seen(path: &Path, name: &str) -> Result<()> {
        look(&mut None, path, name, |connection| crate::read::describe(connection, name).map(drop))
    }

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
        assert_eq!(seen(&path, "half").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(create(&path, "half", 2).unwrap(), Made::Now);
        assert_eq!(create(&path, "half", 2).unwrap(), Made::Before);
        seen(&path, "half").unwrap();
    }

    /// What a full disk leaves: a file of no bytes, or of a header.
    fn never_made(dir: &Path) -> [std::path::PathBuf; 2] {
        let (empty, header) = (dir.join("empty"), dir.join("header"));
        std::fs::write(&empty, "").unwrap();
        Connection::open(&header).unwrap().execute_batch("CREATE TABLE a (b); DROP TABLE a; VACUUM").unwrap();
        assert!(std::fs::metadata(&header).unwrap().len() > 0);
        [empty, header]
    }

    #[test]
    fn what_was_never_made_is_made_as_if_nothing_were_there() {
        let dir = tempfile::tempdir().unwrap();
        for path in never_made(dir.path()) {
            let mut slot = None;
            let mut look =
                || look(&mut slot, &path, "new", |connection| crate::read::describe(connection, "new").map(drop));
            // The same slot: what it was once is not remembered.
            assert_eq!(look().unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(look().unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(create(&path, "new", 1).unwrap(), Made::Now);
            look().unwrap();
            let error = discard(&path, "new").unwrap_err();
            assert!(error.kind() == ErrorKind::NotFound && path.exists(), "a stream is none that was never made");
        }
    }

    #[test]
    fn what_was_never_made_can_be_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        for path in never_made(dir.path()) {
            discard(&path, "new").unwrap();
            assert!(!path.exists());
            assert_eq!(discard(&path, "new").unwrap_err().kind(), ErrorKind::NotFound);
        }
        let foreign = dir.path().join("foreign");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
        assert_eq!(discard(&foreign, "foreign").unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(foreign.exists());
    }

    #[test]
    fn foreign_and_newer_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let both = |path: &Path| {
            let opened = open(path, "other").unwrap_err();
            assert_eq!(opened.kind(), create(path, "other", 1).unwrap_err().kind());
            assert_eq!(opened.kind(), seen(path, "other").unwrap_err().kind());
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
        let error = seen(&damaged, "damaged").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }

    #[test]
    fn a_folder_is_denied_and_a_reader_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(seen(dir.path(), "folder").unwrap_err().kind(), ErrorKind::Denied);
        let path = dir.path().join("a/b/new");
        create(&path, "new", 1).unwrap();
        look(&mut None, &path, "new", |reader| {
            assert!(reader.execute_batch("DELETE FROM shards").is_err());
            let mode: String = reader.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
            assert_eq!(mode, "wal");
            Ok(())
        })
        .unwrap();
        let writer = open(&path, "new").unwrap();
        let sync: i32 = writer.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!(sync, 2, "FULL");
        let page: u32 = writer.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
        assert_eq!(page, LAYOUT.page_bytes);
    }
}
