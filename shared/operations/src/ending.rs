//! The last steps of a transfer: its end is put on record, and what it held is given back.

use sluice_transfer::record::{Config, Failure, ManifestRef, TransferRecord};
use sluice_transfer::{Settled, State, Step};

use crate::engine::Engine;
use crate::error::{OperationError, Stop};
use crate::export::manifest::list_cancelled;
use crate::export::sharing::leave;
use crate::records::{shard_records, totals};
use crate::series;
use crate::slice::{Purpose, Slice, SliceOrder};

/// Takes a step that was decided on `transfer` as it was read, if it still is that: who decides late on what was
/// true before must not undo what a person did since.
pub(crate) async fn end(
    engine: &Engine,
    transfer: &TransferRecord,
    step: Step,
    failure: Option<Failure>,
) -> Result<Settled, OperationError> {
    // As they are now: bringing the transfer to rest may have sealed or dropped something.
    let shards = shard_records(engine, transfer).await?;
    let totals = totals(transfer, &shards, transfer.state);
    let note = leave(engine, transfer).await?;
    let ended = engine
        .change(&transfer.id, |record| {
            // A failure stays one, whatever else was written meanwhile, unless a person began anew.
            let holds = match step {
                Step::Failed => record.generation == transfer.generation && record.state.is_active(),
                _ => record.revision == transfer.revision,
            };
            if !holds {
                return Ok(());
            }
            record.step(step)?;
            record.totals = totals;
            record.note(note.as_deref());
            record.failure.clone_from(&failure);
            Ok(())
        })
        .await?;
    Ok(if ended.state.is_active() { Settled::Again } else { Settled::Ended })
}

/// Gives an import's target back.
pub(crate) async fn release(engine: &Engine, transfer: &TransferRecord) -> Result<(), OperationError> {
    if let Config::Import(config) = &transfer.config {
        let stream = engine.places().target(&config.stream).await?;
        match stream.release(&transfer.id).await {
            // The stream itself is gone: nothing to give back.
            Err(error) if error.kind() == sluice_ports::ErrorKind::NotFound => {}
            answer => answer?,
        }
        engine.checkpoints().release_writer(&config.stream, &transfer.id).await?;
    }
    Ok(())
}

/// Ends a cancelled transfer whose shards are at rest: uploads nobody remembers are aborted, what is complete is
/// listed.
pub(crate) async fn cancel_transfer(engine: &Engine, order: &SliceOrder) -> Result<Settled, OperationError> {
    let transfer = engine.transfer(&order.id).await?;
    let slice = Slice::with_purpose(engine, order, &transfer, Purpose::Rest);
    let listed = match &transfer.config {
        Config::Export(config) => {
            let listed = list_cancelled(&slice, &transfer, config).await;
            if listed.is_ok()
                && let Some(note) = series::end_given_up(engine, &transfer).await?
            {
                let noted = |record: &mut TransferRecord| {
                    record.note(Some(&note));
                    Ok(())
                };
                engine.change(&transfer.id, noted).await?;
            }
            listed
        }
        Config::Import(_) => Ok(None),
    };
    let manifest = match listed {
        Ok(manifest) => manifest,
        Err(Stop::Fenced | Stop::Deadline | Stop::Rest) => return Ok(Settled::Busy { wait_millis: 1_000 }),
        Err(Stop::Trouble(error) | Stop::Failed(error)) => return Err(error),
    };
    end_cancelled(engine, &transfer, manifest).await
}

/// The last step of a cancel: nothing is held or kept any more.
pub(crate) async fn end_cancelled(
    engine: &Engine,
    transfer: &TransferRecord,
    manifest: Option<ManifestRef>,
) -> Result<Settled, OperationError> {
    // As they are now: on the way here an object may have been sealed, and what was open is given up.
    let shards = shard_records(engine, transfer).await?;
    let totals = totals(transfer, &shards, State::Cancelled);
    for shard in &transfer.shards {
        engine.checkpoints().drop_ledger(&transfer.id, shard).await?;
    }
    release(engine, transfer).await?;
    let note = leave(engine, transfer).await?;
    engine
        .change(&transfer.id, |record| {
            if record.state.is_final() {
                return Ok(());
            }
            record.step(Step::Cancelled)?;
            // What a plan had found is in the work bucket, where `kept_for_import` lists it.
            record.drop_planning();
            record.totals = totals;
            record.note(note.as_deref());
            record.manifest.clone_from(&manifest);
            Ok(())
        })
        .await?;
    Ok(Settled::Ended)
}
