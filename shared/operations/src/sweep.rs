//! Progress and open uploads of transfers, for a sweep that runs beside their executions.

use sluice_ports::OpenUpload;
use sluice_transfer::record::{Config, TransferRecord};
use sluice_transfer::{ObjectKeys, sha256_hex};

use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::objects::abort_below;
use crate::records::shard_records;

/// Characters of a mark.
const MARK: usize = 16;

/// Uploads that an ended transfer had left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOpen {
    /// Those that were aborted.
    pub aborted: u64,
    /// Those that are open still: parts in flight brought them back.
    pub open: u64,
}

/// A digest of how far a transfer is: it is another one as soon as anything of it moves. Claims alone change nothing.
pub async fn mark(engine: &Engine, transfer: &TransferRecord) -> Result<String, OperationError> {
    let shards = shard_records(engine, transfer).await?;
    let works: Vec<_> = shards.iter().map(|shard| (&shard.shard, &shard.range, &shard.times, &shard.work)).collect();
    let text = serde_json::to_vec(&(transfer.state, transfer.generation, &transfer.planning, works));
    let text = text.map_err(|error| OperationError::new(Code::Defect, format!("{}: {error}", transfer.id)))?;
    let mut digest = sha256_hex(&text);
    digest.truncate(MARK);
    Ok(digest)
}

/// The uploads that are open below the folder of an export; none of an import, which uploads nothing in parts.
pub async fn open_uploads(engine: &Engine, transfer: &TransferRecord) -> Result<Vec<OpenUpload>, OperationError> {
    let mut open = Vec::new();
    for (bucket, folder) in folders(transfer) {
        open.extend(engine.places().destination(bucket).await?.0.list_uploads(&folder).await?);
    }
    Ok(open)
}

/// Aborts what an ended transfer left open: parts that were in flight at its end bring an upload back, and a slice that
/// was given up for dead may begin one.
///
/// # Errors
/// `IllegalState` for one that is not at its end: somebody may go on with its uploads.
pub async fn abort_left_open(engine: &Engine, transfer: &TransferRecord) -> Result<LeftOpen, OperationError> {
    if !transfer.state.is_final() {
        let what = format!("the transfer {} is {}: its uploads may be gone on with", transfer.id, transfer.state);
        return Err(OperationError::new(Code::IllegalState, what));
    }
    let mut left = LeftOpen::default();
    for (bucket, folder) in folders(transfer) {
        let (bucket, _) = engine.places().destination(bucket).await?;
        let (aborted, open) = abort_below(&*bucket, &folder, engine.settings.attempts).await?;
        left.aborted += aborted;
        left.open += open;
    }
    Ok(left)
}

/// The folder of each destination of an export, and the bucket that it is in.
fn folders(transfer: &TransferRecord) -> Vec<(&sluice_transfer::BucketUri, String)> {
    let Config::Export(config) = &transfer.config else { return Vec::new() };
    let folder = |prefix: &str| format!("{}/", ObjectKeys::new(prefix, &transfer.id).folder());
    config.destinations.values().map(|to| (&to.bucket, folder(&to.prefix))).collect()
}
