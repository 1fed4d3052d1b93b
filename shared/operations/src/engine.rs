//! What every operation is given: the ports and a few settings.

use std::sync::Arc;

use sluice_ports::{CheckpointStore, Clock, Error, ErrorKind, Places};
use sluice_transfer::TransferId;
use sluice_transfer::limits::LARGEST_PART;
use sluice_transfer::record::TransferRecord;

use crate::error::{Code, OperationError};

/// What a host's person can do, as messages say it.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    /// Where the ids of transfers are found.
    pub transfers: &'static str,
    /// How larger parts get room.
    pub larger_parts: &'static str,
}

/// How an engine runs. The defaults suit a host with some hundred MiB.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The wanted state is read at least this often, in milliseconds.
    pub poll_millis: u64,
    /// So long before its deadline a slice begins no new work, in milliseconds.
    pub wind_down_millis: u64,
    /// A lease ends so long after its slice's deadline, in milliseconds: for requests in flight.
    pub lease_margin_millis: u64,
    /// Bytes of events and parts held at once.
    pub memory_bytes: u64,
    /// The largest part that a new export may have, in bytes.
    pub largest_part: u64,
    /// Parts of one shard's object that are sent at once, where memory has room for them.
    pub parts_at_once: usize,
    /// Bytes asked of a source at once.
    pub read_bytes: usize,
    /// The largest part of an object that an import holds, in bytes: a larger one is read twice, to be compared and then
    /// to be used.
    pub part_bytes: u64,
    /// Events asked of a source, or sent to a target, at once. While imports are under way into a stream that does not
    /// append conditionally, this and `append_bytes` are lowered to a half at most.
    pub read_events: usize,
    /// Bytes sent to a target at once.
    pub append_bytes: usize,
    /// After parts that are stored, or appends whose tail is expected, the shard's record is written at most once in so
    /// long, in milliseconds, or with the 32nd of them: what is much faster than the table does not wait for it. A crash
    /// costs what came behind the last one.
    pub record_millis: u64,
    /// So long a request that nobody waits for any more may still take to land, and what landed to be seen, in
    /// milliseconds. Waited for where a target does not append conditionally.
    pub landing_millis: u64,
    /// Compressed bytes of one stream, at most, in files that are no export's: it is read from its beginning in each
    /// slice that goes on with it. `u64::MAX` where a slice may last longer than it was ordered to: then any stream is
    /// taken, and the slice goes on until it is past what it has.
    pub longest_stream: u64,
    /// Attempts at a call that a store refuses for the moment.
    pub attempts: u32,
    /// Ways out that are this host's own.
    pub hints: Hints,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            poll_millis: 5_000,
            wind_down_millis: 5_000,
            lease_margin_millis: 10_000,
            memory_bytes: 64 << 20,
            largest_part: LARGEST_PART,
            parts_at_once: 3,
            read_bytes: 4 << 20,
            part_bytes: 10 << 20,
            read_events: 8_192,
            append_bytes: 8 << 20,
            record_millis: 250,
            landing_millis: 1_000,
            longest_stream: 256 << 20,
            attempts: 5,
            hints: Hints { transfers: "check the id", larger_parts: "use smaller objects" },
        }
    }
}

/// The engine: the same on every host.
#[derive(Clone)]
pub struct Engine {
    /// The records.
    pub checkpoints: Arc<dyn CheckpointStore>,
    /// Streams and buckets by name.
    pub places: Arc<dyn Places>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How it runs.
    pub settings: Settings,
}

impl Engine {
    /// The transfer of that id.
    pub(crate) async fn transfer(&self, id: &TransferId) -> Result<TransferRecord, OperationError> {
        self.persist(async || self.checkpoints.transfer(id).await).await?.ok_or_else(|| {
            OperationError::new(
                Code::TransferNotFound,
                format!("there is no transfer '{id}'; {}", self.settings.hints.transfers),
            )
        })
    }

    /// Tries a call again while its store is in trouble, a few times. For calls that may happen twice: reads,
    /// conditional writes, creations that answer what was there, uploads of a part.
    pub(crate) async fn persist<T>(&self, mut call: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
        let mut wait = 20;
        for _ in 1..self.settings.attempts.max(1) {
            match call().await {
                Err(error) if error.kind().is_transient() => {
                    tracing::debug!(%error, "trying again");
                    // What was throttled is not in a hurry.
                    let factor = if error.kind() == ErrorKind::Throttled { 4 } else { 1 };
                    self.clock.sleep(wait * factor).await;
                    wait = (wait * 3).min(2_000);
                }
                answer => return answer,
            }
        }
        call().await
    }

    /// Changes a transfer's record, whoever else changes it at the same time. `change` is given the record as it
    /// stands and answers whether it is to be written.
    pub(crate) async fn change(
        &self,
        id: &TransferId,
        mut change: impl FnMut(&mut TransferRecord) -> Result<bool, OperationError>,
    ) -> Result<TransferRecord, OperationError> {
        loop {
            let before = self.transfer(id).await?;
            let mut record = before.clone();
            if !change(&mut record)? {
                return Ok(before);
            }
            record.revision = before.revision + 1;
            record.updated_at = self.clock.now();
            record.woken_from(&before, record.updated_at);
            match self.persist(async || self.checkpoints.update_transfer(&record).await).await? {
                sluice_ports::Stored::Done => return Ok(record),
                // Somebody was faster, or an answer was lost and it was us.
                sluice_ports::Stored::Mismatch => {
                    if self.transfer(id).await? == record {
                        return Ok(record);
                    }
                }
            }
        }
    }
}
