//! Source and destination of an export.

use std::sync::Arc;

use sluice_formats::ObjectSeed;
use sluice_ports::{BucketStore, Places, StreamStore};
use sluice_transfer::record::{Config, DestinationConfig, ExportConfig, TransferRecord};
use sluice_transfer::{DestinationName, ObjectKeys, ShardId, TransferId};

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
    pub stream: Arc<dyn StreamStore>,
    pub bucket: Arc<dyn BucketStore>,
    pub name: DestinationName,
    pub config: DestinationConfig,
}

impl Target {
    pub(crate) fn keys(&self, transfer: &TransferId) -> ObjectKeys {
        ObjectKeys::new(&self.config.prefix, transfer)
    }

    pub(crate) fn seed(&self, transfer: &TransferId, shard: &ShardId) -> ObjectSeed {
        ObjectSeed { transfer: transfer.clone(), destination: self.name.clone(), shard: shard.clone() }
    }
}

/// The stream as it is exported.
pub(crate) async fn source(places: &dyn Places, config: &ExportConfig) -> sluice_ports::Result<Arc<dyn StreamStore>> {
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
    // Planning made it. Where it is gone, that is to be seen, not mended.
    let (bucket, _) = places.source(&destination.bucket).await?;
    Ok(Target { stream, bucket, name: name.clone(), config: destination.clone() })
}
