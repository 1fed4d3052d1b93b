//! The objects that a person may remove with a transfer's record. It is only listed here: nothing in this crate can
//! delete.

use std::collections::BTreeSet;

use sluice_ports::{BucketStore, ObjectInfo};
use sluice_transfer::manifest::{ExportManifest, ShardManifest};
use sluice_transfer::record::{Config, ManifestRef, TransferRecord};
use sluice_transfer::{BucketUri, Checksum, ObjectKeys, TransferId, resolve_key};

use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::listing::Listing;
use crate::objects::{each_below, get_document};

/// An object as it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedObject {
    /// Its key.
    pub key: String,
    /// The bucket's current etag.
    pub etag: String,
    /// Bytes.
    pub size: u64,
}

/// The objects of an export in its bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The bucket.
    pub bucket: BucketUri,
    /// The objects that its manifest names, in the order of removal: if that is cut off, the rest is found again.
    pub objects: Vec<OwnedObject>,
    /// Other files in its folder: not named by the manifest, or no longer what was exported.
    pub others: Vec<String>,
}

/// A transfer that is at its end, so that its record may be taken away.
pub async fn ended(engine: &Engine, id: &TransferId) -> Result<TransferRecord, OperationError> {
    let transfer = engine.transfer(id).await?;
    if transfer.state.is_final() {
        return Ok(transfer);
    }
    let what = format!("the transfer {id} is {} and not at its end: cancel it first", transfer.state);
    Err(OperationError::new(Code::IllegalState, what))
}

/// The existing objects in the manifest of an export that has ended.
pub async fn owned(engine: &Engine, id: &TransferId) -> Result<Owned, OperationError> {
    let transfer = ended(engine, id).await?;
    let Config::Export(config) = &transfer.config else {
        let what = format!("the transfer {id} is an import: the objects that it read are not its own");
        return Err(OperationError::new(Code::Invalid, what));
    };
    let destination = config.destinations.values().next();
    let destination = destination
        .ok_or_else(|| OperationError::new(Code::Corrupt, format!("the record of {id} names no destination")))?;
    let (bucket, _) = engine.places().destination(&destination.bucket).await?;
    let folder = ObjectKeys::new(&destination.prefix, id).folder().to_owned();
    let mut search = Search { engine, bucket: &*bucket, folder: &folder, objects: Vec::new() };
    if let Some(root) = &transfer.manifest {
        search.of_manifest(root).await?;
    }
    let objects = search.objects;
    let named: BTreeSet<&str> = objects.iter().map(|object| object.key.as_str()).collect();
    let mut others = all_below(&*bucket, &format!("{folder}/")).await?;
    others.retain(|key| !named.contains(key.as_str()));
    Ok(Owned { bucket: destination.bucket.clone(), objects, others })
}

struct Search<'a> {
    engine: &'a Engine,
    bucket: &'a dyn BucketStore,
    folder: &'a str,
    objects: Vec<OwnedObject>,
}

impl Search<'_> {
    /// Objects and their indexes first, then what names them, the root last.
    async fn of_manifest(&mut self, ManifestRef { key, sha256 }: &ManifestRef) -> Result<(), OperationError> {
        let manifest = get_document(self.bucket, key, Some(sha256)).await.map_err(OperationError::from);
        let manifest: ExportManifest = match manifest {
            Err(error) if error.code == Code::NotFound => return Ok(()),
            manifest => manifest?,
        };
        for shard in &manifest.shards {
            self.of_shard(shard).await?;
        }
        for shard in &manifest.shards {
            for number in 1..=shard.segments.count {
                self.document(&resolve_key(self.folder, &ObjectKeys::segment(&shard.shard, number))?).await?;
            }
        }
        self.document(key).await
    }

    async fn of_shard(&mut self, shard: &ShardManifest) -> Result<(), OperationError> {
        let mut listing = Listing::new(self.bucket, self.folder, shard, None);
        loop {
            let listed = match listing.next().await {
                // Taken away before, and so were the objects that it named.
                Err(error) if error.code == Code::NotFound => return Ok(()),
                Err(error) => return Err(error),
                Ok(None) => return Ok(()),
                Ok(Some(listed)) => listed,
            };
            let (key, sealed) = (&listed.key, &listed.object.object);
            if let Some(found) = self.head(key).await?
                && found.size == sealed.checksum.len
                && (found.etag == sealed.etag || self.checksum(key, &found).await? == sealed.checksum)
            {
                self.found(key, found);
            }
            if let Some(index) = &listed.index {
                self.document(index).await?;
            }
            listing.pass(listed);
        }
    }

    async fn document(&mut self, key: &str) -> Result<(), OperationError> {
        if let Some(found) = self.head(key).await? {
            self.found(key, found);
        }
        Ok(())
    }

    fn found(&mut self, key: &str, found: ObjectInfo) {
        self.objects.push(OwnedObject { key: key.to_owned(), etag: found.etag, size: found.size });
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, OperationError> {
        Ok(self.bucket.head(key).await?)
    }

    /// Of an object that was copied or put back, whose etag is another one.
    async fn checksum(&self, key: &str, found: &ObjectInfo) -> Result<Checksum, OperationError> {
        let mut seen = Checksum::default();
        while seen.len < found.size {
            let len = self.engine.settings.read_bytes as u64;
            let bytes = self.bucket.get(key, Some(&found.etag), seen.len, len).await?;
            if bytes.is_empty() {
                break;
            }
            seen = seen.then(Checksum::of(&bytes));
        }
        Ok(seen)
    }
}

/// The documents of an import in the host's own bucket: its list of sources and its manifest. Not the events that its
/// target could not hold: they may be nowhere else.
pub async fn kept_for_import(engine: &Engine, id: &TransferId) -> Result<Vec<OwnedObject>, OperationError> {
    let (work, prefix) = engine.places().bucket(&engine.places().work()).await?;
    let place = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let mut kept = Vec::new();
    let folder = format!("{place}imports/{id}/");
    let misfits = format!("{folder}{}", ObjectKeys::MISFITS);
    for key in all_below(&*work, &folder).await?.into_iter().filter(|key| !key.starts_with(&misfits)) {
        if let Some(found) = work.head(&key).await? {
            kept.push(OwnedObject { key, etag: found.etag, size: found.size });
        }
    }
    Ok(kept)
}

async fn all_below(bucket: &dyn BucketStore, prefix: &str) -> Result<Vec<String>, OperationError> {
    let mut keys = Vec::new();
    each_below(bucket, prefix, |listed| keys.push(listed.key)).await?;
    Ok(keys)
}
