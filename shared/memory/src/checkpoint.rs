//! Checkpoints in memory. Each record is kept as its JSON text and parsed back when it is read, so that whatever runs
//! over this store proves that its records survive being stored.
//!
//! **Invariant.** No method waits: each takes the lock once, and is done when it lets go of it. So a record and its
//! pages change together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_ports::{CheckpointStore, Created, Error, ErrorKind, Result, Stored, WriterAnswer};
use sluice_transfer::record::{LedgerPage, RECORD_VERSION, ReadersRecord, ShardRecord, TransferRecord};
use sluice_transfer::{DestinationName, ShardId, State, StreamUri, Timestamp, TransferId};

/// Checkpoints in memory; a clone is another handle on the same ones.
#[derive(Clone, Debug, Default)]
pub struct MemoryCheckpoints(Arc<Mutex<Tables>>);

type ShardKey = (TransferId, ShardId);

#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub transfers: BTreeMap<TransferId, (Timestamp, Row)>,
    shards: BTreeMap<ShardKey, Row>,
    pages: BTreeMap<ShardKey, BTreeMap<(DestinationName, u32), String>>,
    writers: BTreeMap<StreamUri, TransferId>,
    readers: BTreeMap<StreamUri, Row>,
    pub sweep: Option<Row>,
    /// Ended transfers that were gone through, and when they may go.
    pub marks: BTreeMap<TransferId, Option<Timestamp>>,
}

/// A record and what its writes are conditional on.
#[derive(Debug)]
pub(crate) struct Row {
    pub revision: u64,
    /// 0 for a transfer, which has none.
    epoch: u64,
    pub text: String,
}

impl Row {
    pub(crate) fn of<T: Serialize>(revision: u64, epoch: u64, record: &T) -> Result<Self> {
        Ok(Self { revision, epoch, text: text(record)? })
    }

    /// Whether `new` may stand in the place of this, and whether it does already.
    pub(crate) fn check(&self, new: &Self) -> Check {
        if *self.text == new.text {
            Check::Same
        } else if self.revision.checked_add(1) == Some(new.revision) && self.epoch <= new.epoch {
            Check::Next
        } else {
            Check::Other
        }
    }
}

pub(crate) enum Check {
    Next,
    Same,
    Other,
}

fn text<T: Serialize>(record: &T) -> Result<String> {
    serde_json::to_string(record).map_err(|error| Error::with(ErrorKind::Invalid, "a record cannot be written", error))
}

/// The text as a record; `version` reads the version off it.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, version: impl FnOnce(&T) -> u32) -> Result<T> {
    let record = serde_json::from_str(text)
        .map_err(|error| Error::with(ErrorKind::Corrupt, "a record cannot be read back", error))?;
    let version = version(&record);
    if version > RECORD_VERSION {
        let what = format!("a record has version {version}, this Sluice reads up to {RECORD_VERSION}; use a newer one");
        return Err(Error::new(ErrorKind::Newer, what));
    }
    Ok(record)
}

fn parse_transfer(row: &Row) -> Result<TransferRecord> {
    parse(&row.text, |record: &TransferRecord| record.version)
}

fn parse_shard(row: &Row) -> Result<ShardRecord> {
    parse(&row.text, |record: &ShardRecord| record.version)
}

impl MemoryCheckpoints {
    /// Without any record.
    pub fn new() -> Self {
        Self::default()
    }

    /// A panic elsewhere cannot have left these maps half changed: nothing between two changes of one method panics.
    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl CheckpointStore for MemoryCheckpoints {
    async fn create_transfer(&self, record: &TransferRecord) -> Result<Created<TransferRecord>> {
        let new = Row::of(record.revision, 0, record)?;
        let mut tables = self.tables();
        if let Some((_, row)) = tables.transfers.get(&record.id) {
            return parse_transfer(row).map(Created::Before);
        }
        tables.transfers.insert(record.id.clone(), (record.created_at, new));
        Ok(Created::Now)
    }

    async fn transfer(&self, id: &TransferId) -> Result<Option<TransferRecord>> {
        self.tables().transfers.get(id).map(|(_, row)| parse_transfer(row)).transpose()
    }

    async fn update_transfer(&self, record: &TransferRecord) -> Result<Stored> {
        let new = Row::of(record.revision, 0, record)?;
        let mut tables = self.tables();
        let Some((created, row)) = tables.transfers.get_mut(&record.id) else { return Ok(Stored::Mismatch) };
        match row.check(&new) {
            Check::Next => (*created, *row) = (record.created_at, new),
            Check::Same => {}
            Check::Other => return Ok(Stored::Mismatch),
        }
        Ok(Stored::Done)
    }

    async fn transfers(&self, of: &[State], limit: usize) -> Result<Vec<TransferRecord>> {
        let tables = self.tables();
        let mut rows: Vec<_> = tables.transfers.iter().collect();
        rows.sort_by_key(|(id, (created, _))| (std::cmp::Reverse(*created), *id));
        let records = rows.into_iter().map(|(_, (_, row))| parse_transfer(row));
        let wanted = records.filter(|record| {
            of.is_empty() || record.as_ref().map_or(true, |record: &TransferRecord| of.contains(&record.state))
        });
        wanted.take(limit).collect()
    }

    async fn create_shard(&self, record: &ShardRecord) -> Result<Created<ShardRecord>> {
        let new = Row::of(record.revision, record.epoch, record)?;
        let key = (record.transfer.clone(), record.shard.clone());
        let mut tables = self.tables();
        if let Some(row) = tables.shards.get(&key) {
            return parse_shard(row).map(Created::Before);
        }
        tables.shards.insert(key, new);
        Ok(Created::Now)
    }

    async fn shard(&self, id: &TransferId, shard: &ShardId) -> Result<Option<ShardRecord>> {
        self.tables().shards.get(&(id.clone(), shard.clone())).map(parse_shard).transpose()
    }

    async fn update_shard(&self, record: &ShardRecord, pages: &[(DestinationName, LedgerPage)]) -> Result<Stored> {
        let new = Row::of(record.revision, record.epoch, record)?;
        let texts = pages.iter().map(|(_, page)| text(page)).collect::<Result<Vec<_>>>()?;
        let key = (record.transfer.clone(), record.shard.clone());
        let mut tables = self.tables();
        let Some(row) = tables.shards.get_mut(&key) else { return Ok(Stored::Mismatch) };
        match row.check(&new) {
            Check::Next => *row = new,
            Check::Same => return Ok(Stored::Done),
            Check::Other => return Ok(Stored::Mismatch),
        }
        if !pages.is_empty() {
            let ledger = tables.pages.entry(key).or_default();
            for ((destination, page), text) in pages.iter().zip(texts) {
                ledger.insert((destination.clone(), page.index), text);
            }
        }
        Ok(Stored::Done)
    }

    async fn ledger(
        &self,
        id: &TransferId,
        shard: &ShardId,
        destination: &DestinationName,
        pages: u32,
    ) -> Result<Vec<LedgerPage>> {
        let tables = self.tables();
        let Some(ledger) = tables.pages.get(&(id.clone(), shard.clone())) else { return Ok(Vec::new()) };
        ledger
            .range((destination.clone(), 0)..(destination.clone(), pages))
            .map(|(_, text)| parse(text, |page: &LedgerPage| page.version))
            .collect()
    }

    async fn drop_ledger(&self, id: &TransferId, shard: &ShardId) -> Result<()> {
        self.tables().pages.remove(&(id.clone(), shard.clone()));
        Ok(())
    }

    async fn reserve_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<WriterAnswer> {
        let mut tables = self.tables();
        let holder = tables.writers.entry(stream.clone()).or_insert_with(|| writer.clone());
        Ok(if holder == writer { WriterAnswer::Held } else { WriterAnswer::HeldBy(holder.clone()) })
    }

    async fn release_writer(&self, stream: &StreamUri, writer: &TransferId) -> Result<()> {
        let mut tables = self.tables();
        if tables.writers.get(stream) == Some(writer) {
            tables.writers.remove(stream);
        }
        Ok(())
    }

    async fn readers(&self, stream: &StreamUri) -> Result<Option<ReadersRecord>> {
        let tables = self.tables();
        let row = tables.readers.get(stream);
        row.map(|row| parse(&row.text, |record: &ReadersRecord| record.version)).transpose()
    }

    async fn update_readers(&self, record: &ReadersRecord) -> Result<Stored> {
        let new = Row::of(record.revision, 0, record)?;
        let mut tables = self.tables();
        let check = match tables.readers.get(&record.stream) {
            Some(row) => row.check(&new),
            None if record.revision == 1 => Check::Next,
            None => Check::Other,
        };
        match check {
            Check::Next => {
                tables.readers.insert(record.stream.clone(), new);
            }
            Check::Same => {}
            Check::Other => return Ok(Stored::Mismatch),
        }
        Ok(Stored::Done)
    }
}
