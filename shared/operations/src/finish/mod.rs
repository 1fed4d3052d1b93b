//! The end of a transfer: everything is checked, the manifest's root is written, nothing stays open, and only then
//! the transfer is complete. Sliced like the transfer itself.

mod checked;
mod export;
mod import;

use sluice_transfer::record::{Config, ManifestRef, TransferRecord};
use sluice_transfer::{Finish, Settled, State, Step, Wanted};

use checked::Checked;

use crate::ending::{end, release};
use crate::engine::{Engine, Operation};
use crate::error::{Code, OperationError, Stop};
use crate::records::{shard_records, totals};
use crate::series;
use crate::settle::settle;
use crate::slice::{Purpose, Slice, SliceOrder};

/// Checks what arrived, writes the manifest's root, and ends the transfer.
pub fn finish<'a>(engine: &'a Engine, order: &'a SliceOrder) -> Operation<'a, Finish> {
    Box::pin(async move {
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
            Ok(Checked::More) | Err(Stop::Fenced | Stop::Deadline | Stop::Rest) => Ok(Finish::Again),
            Ok(Checked::Busy(wait_millis)) => Ok(Finish::Busy { wait_millis }),
            Ok(Checked::All { manifest }) => match series::end_completed(engine, &transfer).await {
                Ok(()) => complete(engine, &transfer, manifest).await,
                Err(error) if error.code == Code::Unavailable => Ok(Finish::Interrupted(error.to_failure())),
                Err(error) => fail(engine, &transfer, &error).await,
            },
            Err(Stop::Trouble(error)) => Ok(Finish::Interrupted(error.to_failure())),
            Err(Stop::Failed(error)) => fail(engine, &transfer, &error).await,
        }
    })
}

async fn fail(engine: &Engine, transfer: &TransferRecord, error: &OperationError) -> Result<Finish, OperationError> {
    let ended = end(engine, transfer, Step::Failed, Some(error.to_failure())).await?;
    Ok(if ended == Settled::Ended { Finish::Ended } else { Finish::Again })
}

async fn complete(engine: &Engine, transfer: &TransferRecord, manifest: ManifestRef) -> Result<Finish, OperationError> {
    let shards = shard_records(engine, transfer).await?;
    let totals = totals(transfer, &shards, transfer.state);
    // What is lost weighs more than what is kept elsewhere; the report tells both.
    let hole = matches!(&transfer.config, Config::Export(config) if config.has_hole());
    let step = match (totals.gaps + u64::from(hole), totals.misfits) {
        (0, 0) => Step::Verified,
        (0, _) => Step::VerifiedWithMisfits,
        _ => Step::VerifiedWithGaps,
    };
    for shard in &transfer.shards {
        engine.checkpoints().drop_ledger(&transfer.id, shard).await?;
    }
    // Before the last step, which nothing follows: a target that is given back twice is no harm, one that is never
    // given back is. All of it was read back already.
    release(engine, transfer).await?;
    engine
        .change(&transfer.id, |record| {
            // A pause that came while the last object was checked comes too late.
            if record.state != State::Verifying || record.generation != transfer.generation {
                return Ok(());
            }
            record.step(step)?;
            record.totals = totals;
            record.manifest = Some(manifest.clone());
            Ok(())
        })
        .await?;
    Ok(Finish::Ended)
}
