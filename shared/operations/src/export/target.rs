//! Source and destination of an export.

use std::sync::Arc;

use sluice_formats::ObjectSeed;
use sluice_ports::{BucketStore, Places, StreamFacts, StreamReader};
use sluice_transfer::record::{Config, DestinationConfig, ExportConfig, TransferRecord};
use sluice_transfer::{DestinationName, ObjectKeys, ShardId, Timestamp, TransferId};
use tokio::sync::Semaphore;

use super::sharing::Sharing;
use crate::error::{Code, OperationError, Stop};
use crate::stores::Deaggregated;

pub(crate) fn export_config(transfer: &TransferRecord) -> Result<&ExportConfig, OperationError> {
    match &transfer.config {
        Config::Export(config) => Ok(config),
        Config::Import(_) => {
            Err(OperationError::new(Code::Invalid, format!("the transfer {} is an import, not an export", transfer.id)))
        }
    }
}

/// Source and destination of an export, opened.
pub(crate) struct Target {
    pub stream: Arc<dyn StreamReader>,
    pub bucket: Arc<dyn BucketStore>,
    pub name: DestinationName,
    pub config: DestinationConfig,
    /// The whole export's.
    pub export: ExportConfig,
    /// What slices take of the source's limits; none if it has none.
    pub sharing: Option<Sharing>,
    /// The turns of parts that are sent, if the slice's shards share them: one for each that may be under way.
    pub line: Option<Semaphore>,
}

impl Target {
    /// What concerns the source as a whole, if it still is the stream that the export was planned for.
    pub(crate) async fn facts(&self) -> Result<StreamFacts, Stop> {
        let facts = self.stream.facts().await?;
        same_source(&self.export, facts)?;
        Ok(facts)
    }

    pub(crate) fn keys(&self, transfer: &TransferId) -> ObjectKeys {
        ObjectKeys::new(&self.config.prefix, transfer)
    }

    pub(crate) fn seed(&self, transfer: &TransferId, shard: &ShardId) -> ObjectSeed {
        ObjectSeed { transfer: transfer.clone(), destination: self.name.clone(), shard: shard.clone() }
    }
}

/// Refuses a stream that was deleted and made again since the export was planned: positions of the old one mean nothing
/// in it. A plan that does not know when its source was made takes any.
pub(crate) fn same_source(config: &ExportConfig, facts: StreamFacts) -> Result<(), OperationError> {
    let Some(planned) = config.source_created.filter(|planned| facts.created != Some(*planned)) else { return Ok(()) };
    let is = |made: Timestamp| format!("made at {made}");
    let what = format!(
        "{} was deleted and made again: the stream that this export was planned for was {}, and the one of that name \
         now {}; cancel the export, and export the new stream under another id",
        config.stream,
        is(planned),
        facts.created.map_or_else(|| "does not say when it was made".to_owned(), |now| format!("was {}", is(now)))
    );
    Err(OperationError::new(Code::SourceChanged, what))
}

/// The stream as it is exported.
pub(crate) async fn source(places: &dyn Places, config: &ExportConfig) -> sluice_ports::Result<Arc<dyn StreamReader>> {
    let stream = places.stream(&config.stream).await?;
    if config.deaggregate {
        return Ok(Arc::new(Deaggregated::new(stream)));
    }
    Ok(stream)
}

/// Opens what the configuration names. This version has one destination; the records have room for more.
pub(crate) async fn open_target(places: &dyn Places, config: &ExportConfig) -> Result<Target, Stop> {
    let (name, destination) = config
        .destinations
        .first_key_value()
        .ok_or_else(|| OperationError::new(Code::Corrupt, "the export's configuration names no destination"))?;
    let stream = source(places, config).await?;
    // A slice takes its part of it. What brings an export to rest reads a little, and nobody divides it.
    if let Some(share) = config.read_share {
        stream.share_reading(share);
    }
    // Planning made it. Where it is gone, that is to be seen, not mended.
    let (bucket, _) = places.destination(&destination.bucket).await?;
    Ok(Target {
        stream,
        bucket,
        name: name.clone(),
        config: destination.clone(),
        export: config.clone(),
        sharing: None,
        line: None,
    })
}
