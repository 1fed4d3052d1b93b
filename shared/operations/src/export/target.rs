//! Source and destination of an export.

use std::sync::Arc;

use sluice_formats::ObjectSeed;
use sluice_ports::{BucketStore, StreamStore};
use sluice_transfer::record::{Config, DestinationConfig, ExportConfig, TransferRecord};
use sluice_transfer::{DestinationName, ObjectKeys, ShardId, TransferId};

use crate::engine::Engine;
use crate::error::{Code, OperationError, Stop};

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

/// Opens what the configuration names. This version has one destination; the records have room for more.
pub(crate) async fn open_target(engine: &Engine, config: &ExportConfig) -> Result<Target, Stop> {
    let (name, destination) = config
        .destinations
        .first_key_value()
        .ok_or_else(|| OperationError::new(Code::Corrupt, "the export's configuration names no destination"))?;
    let stream = engine.persist(async || engine.places.stream(&config.stream).await).await?;
    // Planning made it. Where it is gone, that is to be seen, not mended.
    let (bucket, _) = engine.persist(async || engine.places.source(&destination.bucket).await).await?;
    Ok(Target { stream, bucket, name: name.clone(), config: destination.clone() })
}
