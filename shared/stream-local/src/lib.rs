//! Streams on one machine: one `SQLite` file a stream, of several shards, read by other processes while one writes.
//!
//! What was answered as appended is on disk (WAL, `synchronous=FULL`). Every change is one immediate transaction, so
//! it is there or it is not; every read is one short transaction, so that the write-ahead log can be folded into the
//! file and does not grow.
//!
//! Calls run on the runtime's blocking threads: a commit waits for the disk, and a read may wait for it too. A call
//! whose future is dropped still runs to its end there; nothing depends on it, since an append names its tail.
//!
//! **Invariant.** The file is the only state: between two calls nothing is remembered but open connections, and some
//! memory that reads use again, so any number of processes may use one stream. Memory is bounded by what one call
//! carries, never by the stream's size.

mod fault;
mod file;
mod layout;
mod read;
mod room;
mod row;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::Connection;
use sluice_ports::{
    Appended, Error, ErrorKind, ListedShard, Made, NewEvent, Promises, Read, ReadLimit, Reservation, Result, ShardInfo,
    StreamAdmin, StreamFacts, StreamInfo, StreamListing, StreamReader, StreamStore, StreamWriter,
};
use sluice_sqlite::{Looking, blocking};
use sluice_transfer::{Counts, Position, Range, ShardId, Timestamp, TransferId};

use crate::row::Values;

/// What a stream's file is called behind its name.
const SUFFIX: &str = ".sqlite";

/// A stream in a file. The file is opened at the first call that needs it; clones share the connections.
#[derive(Clone, Debug)]
pub struct LocalStream {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    name: String,
    writer: Mutex<Option<Connection>>,
    reader: Mutex<Option<Looking>>,
    /// Memory of reads. Used by who holds the reader.
    values: Mutex<Values>,
}

impl LocalStream {
    /// The stream in the file at `path`, which need not exist; messages call it `name`.
    pub fn new(path: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        let (writer, reader, values) = (Mutex::new(None), Mutex::new(None), Mutex::default());
        Self { shared: Arc::new(Shared { path: path.into(), name: name.into(), writer, reader, values }) }
    }

    /// The stream of that name among those that [`Self::list`] finds in a directory.
    pub fn within(dir: &Path, name: &str) -> Self {
        Self::new(dir.join(format!("{name}{SUFFIX}")), name)
    }

    /// The names of the stream files (`NAME.sqlite`) in a directory, in order; none if there is no such directory.
    /// The files are not opened: one that was never finished, or is no stream, is found out by describing it.
    /// Reads the directory on the caller's thread.
    pub fn list(dir: &Path) -> Result<Vec<String>> {
        let failed = |error: std::io::Error| {
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                std::io::ErrorKind::NotADirectory => ErrorKind::Invalid,
                _ => ErrorKind::Unavailable,
            };
            Error::with(kind, format!("the streams in {} cannot be listed", dir.display()), error)
        };
        let entries = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(failed)?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(SUFFIX));
            names.extend(name.filter(|name| !name.is_empty() && !name.starts_with('.')).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Gives the disk back what trims freed, piece by piece, so that others get their turn in between.
    pub async fn give_back(&self) -> Result<()> {
        while self.change(|shared, connection| room::give_back_some(connection, &shared.name)).await? {}
        Ok(())
    }

    /// Deletes the stream and all its events, for good, or the file of one that was never made. `Denied` while an
    /// import has it reserved, or another process has it open.
    pub async fn delete(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let mut reader = shared.reader.lock().unwrap_or_else(PoisonError::into_inner);
            let mut writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
            // Connections of its own would be in the way.
            (*reader, *writer) = (None, None);
            match file::open(&shared.path, &shared.name) {
                Err(error) if error.kind() == ErrorKind::NotFound => file::discard(&shared.path, &shared.name),
                opened => room::delete(opened?, &shared.path, &shared.name),
            }
        })
        .await
    }

    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, &mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.change(work)).await
    }

    async fn look<T: Send + 'static>(
        &self,
        work: impl Fn(&Shared, &mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            // A panic while the lock was held has dropped the connection that was taken out.
            let mut slot = shared.reader.lock().unwrap_or_else(PoisonError::into_inner);
            file::look(&mut slot, &shared.path, &shared.name, |connection| work(&shared, connection))
        })
        .await
    }
}

impl Shared {
    /// Lends the one connection that writes, opened if need be. One that met an error is not used again.
    fn change<T>(&self, work: impl FnOnce(&Self, &mut Connection) -> Result<T>) -> Result<T> {
        // A panic while the lock was held has dropped the connection that was taken out, and rolled it back.
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => file::open(&self.path, &self.name)?,
        };
        let answer = work(self, &mut connection)?;
        *slot = Some(connection);
        Ok(answer)
    }
}

#[async_trait]
impl StreamReader for LocalStream {
    async fn describe(&self) -> Result<StreamInfo> {
        self.look(|shared, connection| read::describe(connection, &shared.name)).await
    }

    async fn list(&self) -> Result<StreamListing> {
        let info = self.describe().await?;
        let listed = |info: ShardInfo| ListedShard {
            shard: info.shard,
            parents: info.parents,
            hashes: info.hashes,
            ends: Some((info.earliest, info.tail)),
        };
        let shards = info.shards.into_iter().map(listed).collect();
        Ok(StreamListing { shards, facts: self.facts().await? })
    }

    async fn facts(&self) -> Result<StreamFacts> {
        self.look(|shared, connection| read::facts(connection, &shared.name)).await
    }

    async fn read(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        let (shard, from) = (shard.clone(), from.clone());
        self.look(move |shared, connection| {
            // A panic within leaves a chunk that is part filled, and nobody has a value of what is behind that.
            let mut values = shared.values.lock().unwrap_or_else(PoisonError::into_inner);
            read::read(connection, &shared.name, &shard, &from, limit, &mut values)
        })
        .await
    }

    async fn position_at(&self, shard: &ShardId, time: Timestamp) -> Result<Position> {
        let shard = shard.clone();
        self.look(move |shared, connection| read::position_at(connection, &shared.name, &shard, time)).await
    }

    async fn measure(&self, shard: &ShardId, range: &Range) -> Result<Option<Counts>> {
        let (shard, range) = (shard.clone(), range.clone());
        self.look(move |shared, connection| read::measure(connection, &shared.name, &shard, &range)).await.map(Some)
    }

    async fn count_before(&self, shard: &ShardId, range: &Range, time: Timestamp) -> Result<Option<u64>> {
        let (shard, range) = (shard.clone(), range.clone());
        let count = move |shared: &Shared, connection: &mut _| {
            read::count_before(connection, &shared.name, &shard, &range, time)
        };
        self.look(count).await.map(Some)
    }
}

#[async_trait]
impl StreamAdmin for LocalStream {
    async fn create(&self, shards: u32) -> Result<Made> {
        let shared = Arc::clone(&self.shared);
        blocking(move || file::create(&shared.path, &shared.name, shards)).await
    }

    async fn reserve(&self, writer: &TransferId) -> Result<Reservation> {
        let writer = writer.clone();
        self.change(move |shared, connection| write::reserve(connection, &shared.name, &writer)).await
    }

    async fn release(&self, writer: &TransferId) -> Result<()> {
        let writer = writer.clone();
        self.change(move |shared, connection| write::release(connection, &shared.name, &writer)).await
    }

    async fn trim(&self, shard: &ShardId, before: &Position) -> Result<()> {
        // One transaction at a time, so that others get their turn in between.
        loop {
            let (shard, before) = (shard.clone(), before.clone());
            let work = move |shared: &Shared, connection: &mut Connection| {
                write::trim_some(connection, &shared.name, &shard, &before)
            };
            if !self.change(work).await? {
                return Ok(());
            }
        }
    }
}

#[async_trait]
impl StreamStore for LocalStream {
    fn promises(&self) -> Promises {
        Promises::ALL
    }

    async fn writer<'s>(&'s self, shard: &ShardId, fence: Option<&TransferId>) -> Result<Box<dyn StreamWriter + 's>> {
        Ok(Box::new(LocalWriter { stream: self, shard: shard.clone(), fence: fence.cloned() }))
    }
}

/// Appends to one shard: it holds nothing but what it was opened with.
struct LocalWriter<'s> {
    stream: &'s LocalStream,
    shard: ShardId,
    fence: Option<TransferId>,
}

#[async_trait]
impl StreamWriter for LocalWriter<'_> {
    async fn append(&self, expected: &Position, events: &[NewEvent]) -> Result<Appended> {
        write::check(&self.stream.shared.name, events)?;
        // Payloads and keys are shared, not copied.
        let (shard, fence, expected, events) =
            (self.shard.clone(), self.fence.clone(), expected.clone(), events.to_vec());
        self.stream
            .change(move |shared, connection| {
                write::append(connection, &shared.name, &shard, fence.as_ref(), &expected, &events)
            })
            .await
    }
}
