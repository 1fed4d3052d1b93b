//! Sources and target of an import.

use std::sync::Arc;

use futures::lock::Mutex;
use sluice_ports::{BucketStore, Places, StreamStore};
use sluice_transfer::manifest::SourceList;
use sluice_transfer::record::{Config, ImportConfig, TransferRecord};

use crate::error::{Code, OperationError, Stop};
use crate::objects::get_document;

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
    /// Held while a misfit is stored: it is in memory twice then, however many shards are imported side by side.
    pub one_misfit: Mutex<()>,
}

impl Route {
    /// The folder of the list's root, in the work bucket.
    pub(crate) fn list_folder(&self) -> &str {
        self.config.list.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The folder of the import's own manifest, in the work bucket.
    pub(crate) fn folder(&self) -> &str {
        self.config.folder()
    }
}

pub(crate) async fn open_route(places: &dyn Places, config: &ImportConfig) -> Result<Route, Stop> {
    let stream = places.target(&config.stream).await?;
    let (sources, _) = places.source(&config.bucket).await?;
    let (work, _) = places.bucket(&config.work).await?;
    let list = get_document(&*work, &config.list, None).await?;
    Ok(Route { sources, work, list, stream, config: config.clone(), one_misfit: Mutex::new(()) })
}
