//! The end of a transfer: everything is checked, the manifest's root is written, nothing stays open, and only then
//! the transfer is complete. Sliced like the transfer itself.

mod export;
mod import;

use serde::{Deserialize, Serialize};
use sluice_transfer::record::{Config, Failure, ManifestRef, Totals, TransferRecord};
use sluice_transfer::{State, Step, Wanted};

use crate::engine::Engine;
use crate::error::{Halt, OperationError};
use crate::settle::{Settled, end, settle, shard_records, totals};
use crate::slice::{Purpose, Slice, SliceOrder};

pub(crate) use import::read_more;

/// What finishing answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "next")]
pub enum Finish {
    /// The transfer is at its end, or at rest.
    Ended,
    /// There is more to check: finish again.
    Again,
    /// Other slices may be alive: finish again after so many milliseconds.
    #[serde(rename_all = "camelCase")]
    Busy {
        /// Milliseconds.
        wait_millis: u64,
    },
    /// A store was in trouble; try again, a bounded number of times in a row.
    Interrupted(Failure),
}

/// What came of checking a transfer within a slice.
pub(crate) enum Checked {
    All {
        /// The manifest's root.
        manifest: ManifestRef,
    },
    More,
    Busy(u64),
}

/// Checks what arrived, writes the manifest's root, and ends the transfer.
pub async fn finish(engine: &Engine, order: &SliceOrder) -> Result<Finish, OperationError> {
    let transfer = engine.transfer(&order.id).await?;
    if transfer.state != State::Verifying {
        return Ok(Finish::Ended);
    }
    if transfer.wanted != Wanted::Running {
        return Ok(match settle(engine, order, None).await? {
            Settled::Busy { wait_millis } => Finish::Busy { wait_millis },
            Settled::Again | Settled::Finish => Finish::Again,
            Settled::Ended => Finish::Ended,
        });
    }
    let slice = Slice::with_purpose(engine, order, &transfer, Purpose::Check);
    let checked = match &transfer.config {
        Config::Export(config) => export::check(&slice, &transfer, config).await,
        Config::Import(config) => import::check(&slice, &transfer, config).await,
    };
    match checked {
        Ok(Checked::More) | Err(Halt::Fenced | Halt::Deadline) => Ok(Finish::Again),
        Ok(Checked::Busy(wait_millis)) => Ok(Finish::Busy { wait_millis }),
        Ok(Checked::All { manifest }) => complete(engine, &transfer, manifest).await,
        Err(Halt::Trouble(error)) => Ok(Finish::Interrupted(error.to_failure())),
        Err(Halt::Failed(error)) => {
            let shards = shard_records(engine, &transfer).await?;
            let ended =
                end(engine, &transfer, Step::Failed, totals(&transfer, &shards), Some(error.to_failure())).await?;
            Ok(if ended == Settled::Ended { Finish::Ended } else { Finish::Again })
        }
    }
}

async fn complete(engine: &Engine, transfer: &TransferRecord, manifest: ManifestRef) -> Result<Finish, OperationError> {
    let shards = shard_records(engine, transfer).await?;
    let totals = totals(transfer, &shards);
    let step = if totals.gaps > 0 { Step::VerifiedWithGaps } else { Step::Verified };
    for shard in &transfer.shards {
        engine.persist(async || engine.checkpoints.drop_ledger(&transfer.id, shard).await).await?;
    }
    // Before the last step, which nothing follows: a target that is given back twice is no harm, one that is never
    // given back is. All of it was read back already.
    release(engine, transfer).await?;
    engine
        .change(&transfer.id, |record| {
            // A pause that came while the last object was checked comes too late.
            if record.state != State::Verifying || record.generation != transfer.generation {
                return Ok(false);
            }
            record.step(step)?;
            record.totals = totals;
            record.manifest = Some(manifest.clone());
            Ok(true)
        })
        .await?;
    Ok(Finish::Ended)
}

/// Gives an import's target back.
pub(crate) async fn release(engine: &Engine, transfer: &TransferRecord) -> Result<(), OperationError> {
    if let Config::Import(config) = &transfer.config {
        let stream = engine.places.stream(&config.stream).await?;
        match engine.persist(async || stream.release(&transfer.id).await).await {
            // The stream itself is gone: nothing to give back.
            Err(error) if error.kind() == sluice_ports::ErrorKind::NotFound => {}
            answer => answer?,
        }
        engine.persist(async || engine.checkpoints.release_writer(&config.stream, &transfer.id).await).await?;
    }
    Ok(())
}

/// Ends a cancelled transfer whose shards are at rest: uploads nobody remembers are aborted, what is complete is
/// listed.
pub(crate) async fn cancel_transfer(
    engine: &Engine,
    order: &SliceOrder,
    totals: Totals,
) -> Result<Settled, OperationError> {
    let transfer = engine.transfer(&order.id).await?;
    let slice = Slice::with_purpose(engine, order, &transfer, Purpose::Rest);
    let listed = match &transfer.config {
        Config::Export(config) => export::list_cancelled(&slice, &transfer, config).await,
        Config::Import(_) => Ok(None),
    };
    let manifest = match listed {
        Ok(manifest) => manifest,
        Err(Halt::Fenced | Halt::Deadline) => return Ok(Settled::Busy { wait_millis: 1_000 }),
        Err(Halt::Trouble(error) | Halt::Failed(error)) => return Err(error),
    };
    end_cancelled(engine, &transfer, totals, manifest).await
}

/// The last step of a cancel: nothing is held or kept any more.
pub(crate) async fn end_cancelled(
    engine: &Engine,
    transfer: &TransferRecord,
    totals: Totals,
    manifest: Option<ManifestRef>,
) -> Result<Settled, OperationError> {
    for shard in &transfer.shards {
        engine.persist(async || engine.checkpoints.drop_ledger(&transfer.id, shard).await).await?;
    }
    release(engine, transfer).await?;
    engine
        .change(&transfer.id, |record| {
            if record.state.is_final() {
                return Ok(false);
            }
            record.step(Step::Cancelled)?;
            record.totals = totals;
            record.manifest.clone_from(&manifest);
            Ok(true)
        })
        .await?;
    Ok(Settled::Ended)
}
