//! Bringing a transfer to rest: every shard given back, nothing left open.

use sluice_transfer::ShardId;
use sluice_transfer::record::{Config, ImportWork, TransferRecord};
use tracing::Instrument;

use crate::claimed::{Claimed, Taken};
use crate::engine::Engine;
use crate::error::{OperationError, Stop};
use crate::export::closing::quiesce;
use crate::export::shard::ShardExport;
use crate::export::target::{Target, export_config, open_target};
use crate::lane::ShardEnd;
use crate::records::shard_records;
use crate::slice::{Purpose, Slice, SliceOrder, shard_span};

pub(crate) enum Rest {
    Quiet,
    Busy(u64),
    Failed(OperationError),
}

/// Brings every shard to rest, as far as the stores allow: what cannot be completed is dropped.
pub(crate) async fn rest_or_drop(engine: &Engine, order: &SliceOrder, transfer: &TransferRecord) -> Rest {
    let rest = bring_to_rest(engine, order, transfer, false).await;
    if let Rest::Failed(error) = &rest {
        tracing::warn!(%error, "an upload cannot be completed and is dropped");
        bring_to_rest(engine, order, transfer, true).await;
    }
    rest
}

/// Brings every shard to rest: nothing open, nobody at work. When cancelling, the current upload is dropped.
pub(crate) async fn bring_to_rest(
    engine: &Engine,
    order: &SliceOrder,
    transfer: &TransferRecord,
    drop_uploads: bool,
) -> Rest {
    match try_rest(engine, order, transfer, drop_uploads).await {
        Ok(None) => Rest::Quiet,
        Ok(Some(wait)) => Rest::Busy(wait),
        // A slice is at work again, or the answer came too late: settle once more.
        Err(Stop::Fenced | Stop::Deadline | Stop::Rest) => Rest::Busy(1_000),
        Err(Stop::Trouble(error) | Stop::Failed(error)) => Rest::Failed(error),
    }
}

async fn try_rest(
    engine: &Engine,
    order: &SliceOrder,
    transfer: &TransferRecord,
    drop_uploads: bool,
) -> Result<Option<u64>, Stop> {
    let slice = Slice::with_purpose(engine, order, transfer, Purpose::Rest);
    let mut wait: Option<u64> = None;
    for record in shard_records(engine, transfer).await? {
        if record.is_at_rest() && record.owner.is_none() && record.closed == transfer.generation {
            continue;
        }
        let rest = async {
            match &transfer.config {
                Config::Export(_) => {
                    let target = open_target(&*slice.places, export_config(transfer)?).await?;
                    rest_export(&slice, &target, &record.shard, drop_uploads).await
                }
                Config::Import(_) => rest_import(&slice, &record.shard).await,
            }
        };
        if let ShardEnd::Busy(millis) = rest.instrument(shard_span(&record.shard)).await? {
            wait = wait.max(Some(millis));
        }
    }
    Ok(wait)
}

/// Takes a shard and leaves nothing of it open.
async fn rest_export(slice: &Slice<'_>, target: &Target, shard: &ShardId, drop_upload: bool) -> Result<ShardEnd, Stop> {
    let mut claimed = match Claimed::take(slice, shard).await? {
        Taken::Claimed(claimed) => claimed,
        Taken::Busy(wait) => return Ok(ShardEnd::Busy(wait)),
    };
    let outcome = async {
        quiesce(&mut ShardExport::new(target, &mut claimed).await?, drop_upload).await?;
        Ok(ShardEnd::Stopped)
    };
    let outcome = outcome.await;
    claimed.conclude(outcome).await
}

/// Takes a shard whose owner is gone and gives it back.
async fn rest_import(slice: &Slice<'_>, shard: &ShardId) -> Result<ShardEnd, Stop> {
    match Claimed::<ImportWork>::take(slice, shard).await? {
        Taken::Claimed(claimed) => claimed.conclude(Ok(ShardEnd::Stopped)).await,
        Taken::Busy(wait) => Ok(ShardEnd::Busy(wait)),
    }
}
