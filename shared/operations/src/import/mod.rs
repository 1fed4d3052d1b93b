//! One slice of an import: objects to events.

mod reader;
mod reconcile;
mod shard;
mod source;

use std::sync::Arc;

use sluice_ports::{BucketStore, StreamStore};
use sluice_transfer::ShardId;
use sluice_transfer::manifest::SourceList;
use sluice_transfer::record::{Config, ImportConfig, ShardRecord, TransferRecord};

use crate::engine::Engine;
use crate::error::{Code, Halt, OperationError};
use crate::held::{Held, Taken};
use crate::objects::get_document;
use crate::slice::{ShardEnd, Slice, SliceOrder, SliceOutcome, admit, gather, in_turn, over_lane};

pub(crate) use shard::{import_record, import_record_mut, write_segment};

/// Imports a slice of the sources of a lane's shards.
pub async fn import_slice(engine: &Engine, order: &SliceOrder) -> Result<SliceOutcome, OperationError> {
    let transfer = engine.transfer(&order.id).await?;
    if let Err(outcome) = admit(&transfer) {
        return Ok(outcome);
    }
    let config = import_config(&transfer)?;
    let slice = Slice::new(engine, order, &transfer, config.rate);
    let route = match open_route(engine, config).await {
        Ok(route) => route,
        Err(halt) => return Ok(gather(vec![Err(halt)])),
    };
    // What is sent, the next batch that is read meanwhile, what is taken apart, and the part that it is taken of.
    let settings = &engine.settings;
    let a_shard = ((2 * settings.append_bytes + settings.read_bytes) as u64).saturating_add(settings.part_bytes);
    let at_once = usize::try_from(settings.memory_bytes / a_shard.max(1)).unwrap_or(1).clamp(1, 32);
    over_lane(&slice, in_turn(&slice, &transfer).await?, at_once, |record| import_shard(&slice, &route, record)).await
}

pub(crate) fn import_config(transfer: &TransferRecord) -> Result<&ImportConfig, OperationError> {
    match &transfer.config {
        Config::Import(config) => Ok(config),
        Config::Export(_) => {
            Err(OperationError::new(Code::Invalid, format!("the transfer {} is an export, not an import", transfer.id)))
        }
    }
}

/// Sources and target of an import, opened.
pub(crate) struct Route {
    pub sources: Arc<dyn BucketStore>,
    pub work: Arc<dyn BucketStore>,
    pub list: SourceList,
    pub stream: Arc<dyn StreamStore>,
    pub config: ImportConfig,
}

impl Route {
    /// The folder of the list's root, in the work bucket.
    pub(crate) fn list_folder(&self) -> &str {
        self.config.list.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The folder of the import's own manifest, in the work bucket.
    pub(crate) fn folder(&self) -> &str {
        self.list_folder().rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

pub(crate) async fn open_route(engine: &Engine, config: &ImportConfig) -> Result<Route, Halt> {
    let stream = engine.persist(async || engine.places.stream(&config.stream).await).await?;
    let (sources, _) = engine.persist(async || engine.places.source(&config.bucket).await).await?;
    let (work, _) = engine.persist(async || engine.places.bucket(&config.work).await).await?;
    let list = get_document(engine, &*work, &config.list, None).await?;
    Ok(Route { sources, work, list, stream, config: config.clone() })
}

async fn import_shard(slice: &Slice<'_>, route: &Route, record: ShardRecord) -> Result<ShardEnd, Halt> {
    if !slice.has_room() {
        return Ok(ShardEnd::More);
    }
    let mut held = match Held::take_known(slice, record).await? {
        Taken::Held(held) => held,
        Taken::Busy(wait) => return Ok(ShardEnd::Busy(wait)),
    };
    let outcome = async {
        held.refuse_if_stuck()?;
        shard::ShardImport::new(route, &mut held)?.run().await
    };
    let outcome = outcome.await;
    held.conclude(outcome).await
}

/// Takes a shard whose owner is gone and gives it back.
pub(crate) async fn rest_shard(slice: &Slice<'_>, shard: &ShardId) -> Result<ShardEnd, Halt> {
    match Held::take(slice, shard).await? {
        Taken::Held(held) => held.conclude(Ok(ShardEnd::Stopped)).await,
        Taken::Busy(wait) => Ok(ShardEnd::Busy(wait)),
    }
}
