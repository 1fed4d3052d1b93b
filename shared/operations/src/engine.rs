//! The input of every operation: the ports and a few settings.

use std::pin::Pin;
use std::sync::Arc;

use sluice_ports::{CheckpointStore, Clock, Places};
use sluice_transfer::limits::LARGEST_PART;
use sluice_transfer::record::TransferRecord;
use sluice_transfer::{ReadShare, TransferId};

use crate::error::{Code, OperationError};
use crate::stores::{Deadline, Patience};

/// A use case under way.
///
/// It lies on the heap, so its code is compiled once, in this crate. That of an `async fn` would be compiled again in
/// each function, command and test that awaits it.
pub type Operation<'a, T> = Pin<Box<dyn Future<Output = Result<T, OperationError>> + 'a>>;

/// The remedies in a host's messages.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    /// The way to find the ids of transfers.
    pub transfers: &'static str,
    /// The way to make room for larger parts.
    pub larger_parts: &'static str,
}

/// The settings of an engine. The defaults suit a host with some hundred MiB.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The wanted state is read at least this often, in milliseconds.
    pub poll_millis: u64,
    /// The time before its deadline in which a slice begins no new work, in milliseconds.
    pub wind_down_millis: u64,
    /// The time from a slice's deadline to the end of its lease, in milliseconds: for requests in flight.
    pub lease_margin_millis: u64,
    /// Bytes of events and parts held at once.
    pub memory_bytes: u64,
    /// The largest part that a new export may have, in bytes.
    pub largest_part: u64,
    /// Parts of one shard's object that are sent at once, where memory has room for them.
    pub parts_at_once: usize,
    /// Bytes asked of a source at once.
    pub read_bytes: usize,
    /// The largest part of an object that an import holds, in bytes: a larger one is read twice, to be compared and
    /// then to be used.
    pub part_bytes: u64,
    /// Events asked of a source, or sent to a target, at once. While imports are under way into a stream that does not
    /// append conditionally, this and `append_bytes` are lowered to a half at most.
    pub read_events: usize,
    /// Bytes sent to a target at once.
    pub append_bytes: usize,
    /// After parts that are stored, or appends whose tail is expected, the shard's record is written at most once in so
    /// long, in milliseconds, or with the 32nd of them: what is much faster than the table does not wait for it. A
    /// crash costs what came behind the last one.
    pub record_millis: u64,
    /// While a plan looks for the sources of an import, what it found is put on record once in so long, in
    /// milliseconds. A crash costs what came behind. A plan that comes to its deadline loses nothing.
    pub plan_millis: u64,
    /// The time in which an abandoned request may still land, in milliseconds. Waited for where a target does not
    /// append conditionally.
    pub landing_millis: u64,
    /// The time in which a stream that is made for an import must take events, in milliseconds.
    pub creation_millis: u64,
    /// The time in which what has landed becomes visible to readers, in milliseconds.
    pub shown_millis: u64,
    /// How long a slice of an import in rhythm waits for the next event of its shards, in milliseconds. Before a longer
    /// silence it ends, and the host waits without cost.
    pub lull_millis: u64,
    /// Compressed bytes of one stream, at most, in files that are no export's: it is read from its beginning in each
    /// slice that goes on with it. `u64::MAX` where a slice may last longer than it was ordered to: then any stream is
    /// taken, and the slice goes on until it is past what it has.
    pub longest_stream: u64,
    /// The part of a stream's reading limits that all exports of it may take together, unless a request says otherwise.
    pub read_share: ReadShare,
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
            plan_millis: 5_000,
            landing_millis: 30_000,
            creation_millis: 300_000,
            shown_millis: 1_000,
            lull_millis: 10_000,
            longest_stream: 256 << 20,
            read_share: ReadShare::HALF,
            attempts: 5,
            hints: Hints { transfers: "check the id", larger_parts: "use smaller objects" },
        }
    }
}

/// The engine: the same on every host.
#[derive(Clone)]
pub struct Engine {
    /// The records. A call of theirs is made once: the host knows what to do about trouble.
    pub checkpoints: Arc<dyn CheckpointStore>,
    /// Streams and buckets by name; their calls too are made once.
    pub places: Arc<dyn Places>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The settings.
    pub settings: Settings,
}

impl Engine {
    /// How the engine's stores are called: again while they are in trouble, and by a slice until its deadline.
    pub(crate) fn patience(&self, deadline: Option<Deadline>) -> Patience {
        Patience::new(self.clock.clone(), self.settings.attempts, deadline)
    }

    /// The records as operations use them. The fields themselves are the host's: a test of the architecture sees to it
    /// that no operation calls them.
    pub(crate) fn checkpoints(&self) -> Arc<dyn CheckpointStore> {
        self.patience(None).over(self.checkpoints.clone())
    }

    /// Streams and buckets by name as operations use them.
    pub(crate) fn places(&self) -> Arc<dyn Places> {
        self.patience(None).over(self.places.clone())
    }

    /// The transfer of that id.
    pub(crate) async fn transfer(&self, id: &TransferId) -> Result<TransferRecord, OperationError> {
        self.checkpoints().transfer(id).await?.ok_or_else(|| self.no_transfer(id))
    }

    /// What to say where there is no transfer of that id.
    pub(crate) fn no_transfer(&self, id: &TransferId) -> OperationError {
        let message = format!("there is no transfer '{id}'; {}", self.settings.hints.transfers);
        OperationError::new(Code::TransferNotFound, message)
    }

    /// Changes a transfer's record, whoever else changes it at the same time. `change` is given the record as it
    /// stands; what it leaves as it was is not written.
    pub(crate) async fn change(
        &self,
        id: &TransferId,
        mut change: impl FnMut(&mut TransferRecord) -> Result<(), OperationError>,
    ) -> Result<TransferRecord, OperationError> {
        loop {
            let before = self.transfer(id).await?;
            let mut record = before.clone();
            change(&mut record)?;
            if record == before {
                return Ok(before);
            }
            record.revision = before.revision + 1;
            record.changed_from(&before, self.clock.now());
            match self.checkpoints().update_transfer(&record).await? {
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
