//! Checkpoints in one `SQLite` file: the records of one machine's transfers.
//!
//! | table | a row | holds |
//! |---|---|---|
//! | `transfers` | a transfer, by its id | its record as JSON; the time of its creation besides |
//! | `shards` | a shard of a transfer | its record as JSON |
//! | `pages` | a page of a shard's ledger at a destination, by its index | the page as JSON |
//! | `writers` | a stream | the import that holds it |
//! | `readers` | a stream | the exports that read it, as JSON; made with the first row |
//!
//! A write is one immediate transaction: it takes the file's write lock, compares what stands with what it is
//! conditional on, and writes the record with its pages.
//!
//! A write that repeats what is stored is answered as done. So one whose answer was lost, or is unknown because the
//! disk failed while committing (`Indeterminate`), may be sent again.
//!
//! **Invariant.** The file is the only state: any number of processes may use it. A record of a newer version is never
//! read as if it were known, and what does not parse is never taken for missing.

mod file;
mod record;
mod store;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use sluice_ports::{Error, ErrorKind, Result};
use sluice_sqlite::{Looking, blocking};

/// Checkpoints in a file; a clone is another handle on the same connection.
#[derive(Clone, Debug)]
pub struct SqliteCheckpoints(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    connection: Access,
}

#[derive(Debug)]
enum Access {
    Change(Mutex<Option<Connection>>),
    Look(Mutex<Option<Looking>>),
}

impl SqliteCheckpoints {
    /// Opens the file, and makes it if it is not there.
    ///
    /// # Errors
    /// `Corrupt` if it is another program's, `Newer` if a newer Sluice wrote it, `Invalid` if an earlier one did that
    /// kept its checkpoints otherwise, `Full` and `Denied` as they say.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        blocking(move || {
            let connection = file::open_or_make(&path)?;
            Ok(Self(Arc::new(Shared { path, connection: Access::Change(Mutex::new(Some(connection))) })))
        })
        .await
    }

    /// For looking: makes nothing, needs no right to write, and refuses to. Where there is no file there are no
    /// records.
    pub fn looking(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Shared { path: path.into(), connection: Access::Look(Mutex::new(None)) }))
    }

    /// Reads; `absent` is the answer where there is no file.
    async fn look<T: Send + 'static>(
        &self,
        absent: T,
        work: impl Fn(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.0);
        blocking(move || match &shared.connection {
            Access::Change(slot) => shared.with(slot, |connection| work(connection)),
            Access::Look(slot) => {
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                let found = sluice_sqlite::look(&mut slot, &shared.path, file::LABEL, &file::LAYOUT, |connection| {
                    work(connection)
                });
                Ok(found?.unwrap_or(absent))
            }
        })
        .await
    }

    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.0);
        blocking(move || match &shared.connection {
            Access::Change(slot) => shared.with(slot, work),
            Access::Look(_) => {
                let what = format!("{}: {} was opened for looking", file::LABEL, shared.path.display());
                Err(Error::new(ErrorKind::Denied, what))
            }
        })
        .await
    }
}

impl Shared {
    /// Lends the connection, opened anew if the one before met an error.
    fn with<T>(&self, slot: &Mutex<Option<Connection>>, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        // A panic while the lock was held has dropped the connection that was taken out, and rolled it back.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => file::open_or_make(&self.path)?,
        };
        let answer = work(&mut connection)?;
        *slot = Some(connection);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use sluice_ports::{CheckpointStore, Stored};
    use sluice_transfer::record::{LedgerPage, ShardRecord, Work};
    use sluice_transfer::{DestinationName, Position, Range};

    use super::*;

    #[tokio::test]
    async fn a_full_disk_takes_all_or_nothing_and_goes_on_once_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteCheckpoints::open(dir.path().join("checkpoints.sqlite")).await.unwrap();
        let range = Range { from: Position::Beginning, until: Position::End };
        let first = ShardRecord::new("t".parse().unwrap(), "0".parse().unwrap(), range, None, Work::Export([].into()));
        store.create_shard(&first).await.unwrap();
        {
            let Access::Change(slot) = &store.0.connection else { panic!("it was opened to write") };
            let slot = slot.lock().unwrap();
            slot.as_ref().unwrap().pragma_update(None, "max_page_count", 20).unwrap();
        }
        let second = ShardRecord { revision: 2, ..first.clone() };
        let page = |index| {
            (DestinationName::only(), LedgerPage { version: 1, object: 0, incarnation: 0, index, entries: Vec::new() })
        };
        let pages: Vec<_> = (0..2_000).map(page).collect();
        let error = store.update_shard(&second, &pages).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Full && error.to_string().contains("the disk is full"), "{error}");
        assert_eq!(store.shard(&first.transfer, &first.shard).await.unwrap(), Some(first.clone()));
        assert_eq!(store.ledger(&first.transfer, &first.shard, &DestinationName::only(), 9).await.unwrap(), []);
        // The connection that met the error had the limit.
        assert_eq!(store.update_shard(&second, &pages).await.unwrap(), Stored::Done);
        let ledger = store.ledger(&first.transfer, &first.shard, &DestinationName::only(), u32::MAX).await.unwrap();
        assert_eq!(ledger.len(), pages.len());
    }
}
