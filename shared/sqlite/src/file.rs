//! The file: how it is recognised, made, and opened.
//!
//! **Invariant.** A file is a store once one transaction has written its tables, its mark and its version. Before that
//! it counts as absent: a creation that was cut off leaves nothing that could be taken for a store.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use sluice_ports::{Error, ErrorKind, Result};

use crate::fault::{commit_fault, fault};

/// How long a call waits for another process's transaction.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a kind of file is, and how it is used.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// What it is in a message, such as "a stream's file".
    pub noun: &'static str,
    /// Marks a file as ours (`PRAGMA application_id`).
    pub application: i32,
    /// Of the tables (`PRAGMA user_version`).
    pub version: i32,
    /// What makes the tables.
    pub tables: &'static str,
    /// Bytes of a page.
    pub page_bytes: u32,
    /// True if free pages can be given back piece by piece.
    pub shrinks: bool,
    /// Pages of the write-ahead log after which a commit folds it into the file.
    pub log_pages: u32,
    /// Bytes to which a log is cut back that a large transaction made longer.
    pub log_bytes: u32,
    /// KiB of pages that a connection keeps in memory which writes. A large transaction spills into the log.
    pub writer_cache: u32,
    /// KiB of pages that a connection keeps in memory which looks.
    pub reader_cache: u32,
    /// Explains a foreign file that is known, such as one of an earlier version; none if it is not.
    pub known: fn(&Connection, &Path) -> Option<Error>,
}

/// What a file is.
pub(crate) enum Found {
    Ours,
    /// Empty: never finished, or not begun.
    Nothing,
}

/// True if there is a file; `Denied` if this user may not know.
pub(crate) fn exists(path: &Path, label: &str) -> Result<bool> {
    path.try_exists().map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            _ => ErrorKind::Unavailable,
        };
        Error::with(kind, format!("{label}: {} cannot be reached", path.display()), error)
    })
}

/// Opens a file to write; none, and nothing is made, if there is none.
///
/// Each commit is synced before it is answered: it survives the death of the process and, as far as the disk keeps its
/// promises, the loss of power. Any number of processes may have the file open; writes take turns.
///
/// # Errors
/// `Corrupt` if it is no such file, `Newer` if a newer version wrote it, else as [`fault`] says.
pub fn open(path: &Path, label: &str, layout: &Layout) -> Result<Option<Connection>> {
    if !exists(path, label)? {
        return Ok(None);
    }
    let connection = connect(path, label, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    if let Found::Nothing = identify(&connection, path, label, layout)? {
        return Ok(None);
    }
    let failed = |error| opening(label, path, error);
    write_ahead(&connection).map_err(failed)?;
    for (name, value) in [
        ("cache_size", -i64::from(layout.writer_cache)),
        ("wal_autocheckpoint", i64::from(layout.log_pages)),
        ("journal_size_limit", i64::from(layout.log_bytes)),
    ] {
        connection.pragma_update(None, name, value).map_err(failed)?;
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    Ok(Some(connection))
}

/// Makes the file, with the folders above it; answers true if it was made now. `fill` writes its first rows. Others may
/// do the same at the same time: one of them makes it.
///
/// # Errors
/// As [`open`]; `Denied` if its folder cannot be made.
pub fn create(
    path: &Path,
    label: &str,
    layout: &Layout,
    fill: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> Result<bool> {
    let failed = |error| fault(label, &format!("making {}", path.display()), error);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::Full,
                _ => ErrorKind::Denied,
            };
            Error::with(kind, format!("{label}: its folder {} cannot be made", folder.display()), error)
        })?;
    }
    let mut connection = connect(path, label, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.pragma_update(None, "page_size", layout.page_bytes).map_err(failed)?;
    if layout.shrinks {
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    let tx = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| opening(label, path, error))?;
    if let Found::Ours = identify(&tx, path, label, layout)? {
        return Ok(false);
    }
    tx.execute_batch(layout.tables).map_err(failed)?;
    fill(&tx).map_err(failed)?;
    tx.pragma_update(None, "application_id", layout.application).map_err(failed)?;
    tx.pragma_update(None, "user_version", layout.version).map_err(failed)?;
    tx.commit().map_err(|error| commit_fault(label, &format!("making {}", path.display()), error))?;
    // It is made, whatever becomes of this; each opening for writing tries it again.
    let _ = write_ahead(&connection);
    Ok(true)
}

/// Takes a file away that never became a store; false, and nothing is done, if there is none or it is a store.
///
/// Whoever makes it at this moment cannot commit while it is looked at, and then makes it in a file that nobody finds.
///
/// # Errors
/// As [`open`]; `Denied` if it cannot be removed.
pub fn discard(path: &Path, label: &str, layout: &Layout) -> Result<bool> {
    if !exists(path, label)? {
        return Ok(false);
    }
    let mut connection = connect(path, label, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let failed = |error| opening(label, path, error);
    // It reads alone: on a full disk nothing can be written.
    let reading = connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(failed)?;
    if let Found::Ours = identify(&reading, path, label, layout)? {
        return Ok(false);
    }
    remove(path, label)?;
    Ok(true)
}

/// Removes a file and what `SQLite` keeps beside it.
///
/// # Errors
/// `Denied` if that cannot be done.
pub fn remove(path: &Path, label: &str) -> Result<()> {
    for suffix in ["-wal", "-shm", "-journal", ""] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let what = format!("{label}: {} cannot be removed", Path::new(&file).display());
                return Err(Error::with(ErrorKind::Denied, what, error));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn connect(path: &Path, label: &str, flags: OpenFlags) -> Result<Connection> {
    let failed = |error| opening(label, path, error);
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
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

/// Recognises our files, and refuses newer ones of ours.
pub(crate) fn identify(connection: &Connection, path: &Path, label: &str, layout: &Layout) -> Result<Found> {
    // Ours has tables alone. A view or a trigger would be a foreign program, and run with the call that
    // touches it.
    let marks = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema),
        (SELECT count(*) FROM sqlite_schema WHERE type IN ('view', 'trigger'))
        FROM pragma_application_id, pragma_user_version";
    let marks = connection.query_row(marks, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    let (application, version, things, programs): (i32, i32, i64, i64) =
        marks.map_err(|error| opening(label, path, error))?;
    if (application, version, programs) == (layout.application, layout.version, 0) {
        return Ok(Found::Ours);
    }
    if (application, version, things) == (0, 0, 0) {
        return Ok(Found::Nothing);
    }
    if let Some(known) = (layout.known)(connection, path) {
        return Err(known);
    }
    let path = path.display();
    if application == layout.application && version > layout.version {
        let what = format!(
            "{label}: its file {path} has version {version} and this program knows {} at most; use the program that \
             wrote it, or a newer one",
            layout.version
        );
        return Err(Error::new(ErrorKind::Newer, what));
    }
    Err(Error::new(ErrorKind::Corrupt, format!("{label}: {path} is not {}", layout.noun)))
}

/// An error of opening, with the file's path.
pub(crate) fn opening(label: &str, path: &Path, error: rusqlite::Error) -> Error {
    fault(label, &format!("opening {}", path.display()), error)
}
