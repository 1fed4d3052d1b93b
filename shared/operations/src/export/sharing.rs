//! What an export takes of its stream's reading limits, beside the other exports of the same stream: see
//! [`ReadersRecord`]. A slice looks at the readers before it reads, and again while it does.

use std::sync::{Mutex, PoisonError};

use sluice_ports::{Stored, StreamFacts, StreamReader};
use sluice_transfer::record::{Config, ExportConfig, Look, ReadersRecord, TransferRecord};
use sluice_transfer::{ReadShare, StreamUri, Timestamp};

use super::reader::remove;
use crate::engine::{Engine, Settings};
use crate::error::{OperationError, Stop};
use crate::slice::Slice;

/// The readers are looked at this often, in milliseconds.
const LOOK_MILLIS: u64 = 5_000;
/// By then each slice of a transfer has looked, in milliseconds: it looks between two reads.
const SEEN_MILLIS: u64 = 3 * LOOK_MILLIS;
/// A transfer that waits for its share comes again by then, in milliseconds: longer than any host waits.
const WAITS_MILLIS: u64 = 60_000;

/// An export of a stream whose readers share limits.
pub(crate) struct Sharing {
    stream: StreamUri,
    share: ReadShare,
    looked: Mutex<Option<Timestamp>>,
    /// Bytes that are read at once, at most: what a shard gives in a second.
    pub read_bytes: usize,
}

impl Sharing {
    /// None for a source without limits, and for a reader of its own. A plan of an earlier version did not say which part
    /// may be taken.
    pub(crate) fn of(config: &ExportConfig, facts: StreamFacts, settings: &Settings) -> Option<Self> {
        let limits = facts.limits.filter(|_| config.reader.is_none())?;
        let read_bytes = usize::try_from(limits.read).unwrap_or(usize::MAX).max(1);
        let share = config.read_share.unwrap_or(settings.read_share);
        Some(Self { stream: config.stream.clone(), share, looked: Mutex::default(), read_bytes })
    }

    /// Takes a part of the limits. Answers how long to wait, in milliseconds, if nothing is free.
    pub(crate) async fn begin(&self, slice: &Slice<'_>, source: &dyn StreamReader) -> Result<Option<u64>, Stop> {
        self.is_due(slice.engine.clock.now());
        let taken = self.look(slice).await?;
        source.share_reading(taken);
        if taken == ReadShare::NOTHING {
            tracing::info!(stream = %self.stream, "other exports have the stream's limits: waiting for a part of them");
            return Ok(Some(LOOK_MILLIS));
        }
        Ok(None)
    }

    /// Takes what is due to it by now, if the last look was a while ago.
    pub(crate) async fn go_on(&self, slice: &Slice<'_>, source: &dyn StreamReader) -> Result<(), Stop> {
        if self.is_due(slice.engine.clock.now()) {
            // What it holds it may keep, however little.
            source.share_reading(self.look(slice).await?.max(ReadShare::SMALLEST));
        }
        Ok(())
    }

    /// True if it is time for a look; then it is taken for done.
    fn is_due(&self, now: Timestamp) -> bool {
        // One value: a panic elsewhere leaves it whole.
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked.is_none_or(|looked| now < looked || now.millis_since(looked) >= LOOK_MILLIS);
        if due {
            *looked = Some(now);
        }
        due
    }

    async fn look(&self, slice: &Slice<'_>) -> Result<ReadShare, Stop> {
        loop {
            let known = slice.checkpoints.readers(&self.stream).await?;
            let before = known.unwrap_or_else(|| ReadersRecord::new(self.stream.clone()));
            let (mut record, now) = (before.clone(), slice.engine.clock.now());
            let several = !slice.order.lane.is_empty();
            let look = Look {
                share: self.share,
                now,
                until: slice.lease_until(),
                waits_until: now.plus_millis(WAITS_MILLIS),
                seen_by: several.then(|| now.plus_millis(SEEN_MILLIS)),
            };
            let taken = record.look(&slice.order.id, look);
            if record == before {
                return Ok(taken);
            }
            record.revision += 1;
            // Somebody else may have been faster.
            if slice.checkpoints.update_readers(&record).await? == Stored::Done {
                tracing::debug!(share = %taken, readers = record.readers.len(), "a share of the stream's limits");
                return Ok(taken);
            }
        }
    }
}

/// An export that reads no more leaves its share to the others, or removes the reader that it registered. Answers what
/// goes on record for a person.
pub(crate) async fn leave(engine: &Engine, transfer: &TransferRecord) -> Result<Option<String>, OperationError> {
    let note = remove(engine, transfer).await?;
    let Config::Export(ExportConfig { stream, read_share: Some(_), .. }) = &transfer.config else { return Ok(note) };
    while let Some(mut record) = engine.checkpoints().readers(stream).await? {
        if !record.leave(&transfer.id) {
            break;
        }
        record.revision += 1;
        if engine.checkpoints().update_readers(&record).await? == Stored::Done {
            break;
        }
    }
    Ok(note)
}
