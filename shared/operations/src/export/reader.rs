//! The reader that an export registers for itself, so as not to take of the limits that others share.
//!
//! It costs money from its registration until it is removed. So it is there only while slices may read: the plan
//! registers it, each slice finds it or registers it again, and who brings the export to rest or to its end removes it.
//! Each step may happen twice, and a plan or a slice that died leaves a name that the next one finds.

use sluice_ports::{ErrorKind, StreamReader};
use sluice_transfer::record::{Config, ExportConfig, TransferRecord};
use sluice_transfer::{State, TransferId};

use crate::engine::Engine;
use crate::error::{OperationError, Stop};
use crate::slice::Slice;

/// The name of the reader of an export; none for one that polls.
fn name(transfer: &TransferRecord) -> Option<(&ExportConfig, &str)> {
    match &transfer.config {
        Config::Export(config) => config.reader.as_deref().map(|reader| (config, reader)),
        Config::Import(_) => None,
    }
}

/// Registers it for a plan, before any slice: a stream that takes no more readers refuses the plan.
pub(crate) async fn register(engine: &Engine, transfer: &TransferRecord) -> Result<(), OperationError> {
    let Some((config, reader)) = name(transfer) else { return Ok(()) };
    engine.places().stream(&config.stream).await?.register_reader(reader).await?;
    remove_at_rest(engine, &transfer.id).await?;
    Ok(())
}

/// Reads the source of a slice as the export's reader, if it has one. Fenced if the slice comes too late.
pub(crate) async fn read_as(slice: &Slice<'_>, source: &dyn StreamReader, config: &ExportConfig) -> Result<(), Stop> {
    let Some(reader) = &config.reader else { return Ok(()) };
    source.register_reader(reader).await?;
    let transfer = remove_at_rest(slice.engine, &slice.order.id).await?;
    let is_current = may_read(&transfer) && transfer.generation == slice.generation;
    if is_current { Ok(()) } else { Err(Stop::Fenced) }
}

/// True while slices of the export may read.
fn may_read(transfer: &TransferRecord) -> bool {
    matches!(transfer.state, State::Preparing | State::Transferring)
}

/// Removes a reader that was registered right after the export had come to rest and lost it: no other step removes it.
/// Answers the transfer as it is now.
async fn remove_at_rest(engine: &Engine, id: &TransferId) -> Result<TransferRecord, OperationError> {
    let transfer = engine.transfer(id).await?;
    if !may_read(&transfer)
        && let Some(note) = remove(engine, &transfer).await?
    {
        add_note(engine, id, &note).await?;
    }
    Ok(transfer)
}

/// Adds a note to the transfer's record.
pub(crate) async fn add_note(engine: &Engine, id: &TransferId, note: &str) -> Result<(), OperationError> {
    let change = |record: &mut TransferRecord| {
        record.note(Some(note));
        Ok(())
    };
    engine.change(id, change).await?;
    Ok(())
}

/// Removes it. Answers what a person has to know if the right to do so is missing: an export must come to its end all
/// the same.
pub(crate) async fn remove(engine: &Engine, transfer: &TransferRecord) -> Result<Option<String>, OperationError> {
    let Some((config, reader)) = name(transfer) else { return Ok(None) };
    let removed = match engine.places().stream(&config.stream).await {
        Ok(stream) => stream.remove_reader(reader).await,
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::Denied => {
            tracing::warn!(%error, reader, "the registered reader cannot be removed");
            let stream = &config.stream;
            Ok(Some(format!("the reader {reader} of {stream} costs money until somebody removes it: {error}")))
        }
        answer => Ok(answer.map(|()| None)?),
    }
}
