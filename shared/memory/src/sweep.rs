//! What a sweep keeps, in memory.

use async_trait::async_trait;
use sluice_ports::{CheckpointStore, Result, Stored, SweepStore};
use sluice_transfer::record::{SweepRecord, TransferRecord};
use sluice_transfer::{State, Timestamp, TransferId};

use crate::MemoryCheckpoints;
use crate::checkpoint::{Check, Row, parse};

impl MemoryCheckpoints {
    /// When a transfer's records may be forgotten; none if it is not marked, or kept.
    pub fn expires(&self, id: &TransferId) -> Option<Timestamp> {
        self.tables().marks.get(id).copied().flatten()
    }
}

#[async_trait]
impl SweepStore for MemoryCheckpoints {
    async fn swept(&self) -> Result<Option<SweepRecord>> {
        let tables = self.tables();
        tables.sweep.as_ref().map(|row| parse(&row.text, |record: &SweepRecord| record.version)).transpose()
    }

    async fn update_swept(&self, record: &SweepRecord) -> Result<Stored> {
        let new = Row::of(record.revision, 0, record)?;
        let mut tables = self.tables();
        let before = tables.sweep.as_ref().map(|row| row.check(&new));
        match before {
            None if record.revision == 1 => {}
            Some(Check::Next) => {}
            Some(Check::Same) => return Ok(Stored::Done),
            None | Some(Check::Other) => return Ok(Stored::Mismatch),
        }
        tables.sweep = Some(new);
        Ok(Stored::Done)
    }

    async fn unmarked(&self, limit: usize) -> Result<Vec<TransferRecord>> {
        let mut ended = self.transfers(&State::FINAL, usize::MAX).await?;
        let tables = self.tables();
        ended.retain(|record| !tables.marks.contains_key(&record.id));
        ended.truncate(limit);
        Ok(ended)
    }

    async fn mark(&self, ended: &TransferRecord, _: Timestamp, expires: Option<Timestamp>) -> Result<Stored> {
        let mut tables = self.tables();
        let stored = tables.transfers.get(&ended.id).is_some_and(|(_, row)| row.revision == ended.revision);
        if !stored {
            return Ok(Stored::Mismatch);
        }
        tables.marks.insert(ended.id.clone(), expires);
        Ok(Stored::Done)
    }
}
