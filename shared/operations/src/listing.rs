//! The objects of a shard as a manifest lists them, segment by segment: all that can be checked without reading the
//! objects is. Whoever leaves off keeps the place and goes on from there; no segment before it is read again.

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use serde::{Deserialize, Serialize};
use sluice_ports::BucketStore;
use sluice_transfer::limits::MANIFEST_BYTES;
use sluice_transfer::manifest::{
    Document, ManifestError, ManifestObject, ObjectIndex, Segment, SegmentChain, ShardManifest, Tiles,
};
use sluice_transfer::{ObjectKeys, resolve_key, sha256_hex};

use crate::error::{Code, Fault, OperationError};
use crate::objects::{get_document, get_whole, in_document};

/// A place in a shard's list of objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The segments that were read to their ends.
    chain: SegmentChain,
    /// SHA-256 of the current segment, once it was read: who goes on must find the same.
    segment: Option<String>,
    /// Objects of that segment that were passed.
    passed: usize,
    /// What all that were passed cover.
    tiles: Tiles,
}

/// An object, and what its place is in a bucket.
pub(crate) struct Listed {
    /// Its whole key.
    pub key: String,
    /// That of its index, if it has one.
    pub index: Option<String>,
    pub object: ManifestObject,
    /// All that is covered with it.
    tiles: Tiles,
}

/// Goes over a shard's objects in order.
pub(crate) struct Listing<'a> {
    bucket: &'a dyn BucketStore,
    /// The folder of the manifest's root.
    folder: &'a str,
    shard: &'a ShardManifest,
    place: Place,
    /// The current segment.
    entries: Option<Vec<ManifestObject>>,
    /// The segments behind it that are being read, in order.
    ahead: FuturesOrdered<BoxFuture<'a, Result<Bytes, Fault>>>,
    /// The number of the last of these.
    asked: u32,
    at_once: usize,
}

impl<'a> Listing<'a> {
    /// From a place on, or from the beginning.
    pub(crate) fn new(
        bucket: &'a dyn BucketStore,
        folder: &'a str,
        shard: &'a ShardManifest,
        place: Option<Place>,
    ) -> Self {
        let beginning = || Place { chain: SegmentChain::default(), segment: None, passed: 0, tiles: Tiles::new(shard) };
        let place = place.unwrap_or_else(beginning);
        let asked = place.chain.count;
        Self { bucket, folder, shard, place, entries: None, ahead: FuturesOrdered::new(), asked, at_once: 1 }
    }

    /// Reads this number of segments at the same time, for a caller that passes over many and reads nothing else.
    #[must_use]
    pub(crate) fn at_once(self, segments: usize) -> Self {
        Self { at_once: segments.max(1), ..self }
    }

    /// The next object, which is still in front of the place; none at the end, if all was as the root says.
    pub(crate) async fn next(&mut self) -> Result<Option<Listed>, OperationError> {
        loop {
            if self.entries.is_none() {
                if self.place.chain.count >= self.shard.segments.count {
                    return self.end().map(|()| None);
                }
                self.entries = Some(self.read_segment().await?);
            }
            let next = self.entries.as_ref().and_then(|entries| entries.get(self.place.passed)).cloned();
            if let Some(object) = next {
                let mut tiles = self.place.tiles.clone();
                tiles.object(self.shard, &object)?;
                let key = resolve_key(self.folder, &object.key)?;
                let index = || resolve_key(self.folder, &ObjectKeys::index(&self.shard.shard, object.object.number));
                let index = object.object.parts.is_some().then(index).transpose()?;
                return Ok(Some(Listed { key, index, object, tiles }));
            }
            self.place.chain.push(&self.place.segment.take().unwrap_or_default());
            self.place.passed = 0;
            self.entries = None;
        }
    }

    /// The object that came next is done with.
    pub(crate) fn pass(&mut self, object: Listed) {
        self.place.passed += 1;
        self.place.tiles = object.tiles;
    }

    /// The index of an object, if it has one: whole, and of that object.
    pub(crate) async fn index(&self, listed: &Listed) -> Result<Option<ObjectIndex>, OperationError> {
        let Some(key) = &listed.index else { return Ok(None) };
        let index: ObjectIndex = get_document(self.bucket, key, None).await.map_err(|fault| {
            let error = OperationError::from(fault);
            let why = match error.code {
                Code::NotFound => format!("the index of {} is missing: {}", listed.key, error.message),
                _ => error.message,
            };
            OperationError::new(error.code, why)
        })?;
        index.check(&listed.object.object).map_err(|error| in_document(key, error))?;
        Ok(Some(index))
    }

    /// Where the objects are.
    pub(crate) fn bucket(&self) -> &'a dyn BucketStore {
        self.bucket
    }

    /// Where it stands: a listing from there on begins with the object that comes next.
    pub(crate) fn at(&self) -> Place {
        self.place.clone()
    }

    /// Where to go on, the object that comes next included.
    pub(crate) fn place(self) -> Place {
        self.place
    }

    async fn read_segment(&mut self) -> Result<Vec<ManifestObject>, OperationError> {
        let key = |number| resolve_key(self.folder, &ObjectKeys::segment(&self.shard.shard, number));
        while self.ahead.len() < self.at_once && self.asked < self.shard.segments.count {
            self.asked += 1;
            let (bucket, key) = (self.bucket, key(self.asked)?);
            self.ahead.push_back(Box::pin(async move { get_whole(bucket, &key, MANIFEST_BYTES).await }));
        }
        let key = key(self.place.chain.count + 1)?;
        let bytes = match self.ahead.next().await {
            Some(bytes) => bytes?,
            None => get_whole(self.bucket, &key, MANIFEST_BYTES).await?,
        };
        let sha256 = sha256_hex(&bytes);
        if self.place.segment.as_ref().is_some_and(|before| *before != sha256) {
            return Err(ManifestError::Chain(self.shard.shard.clone()).into());
        }
        let document = Segment::<ManifestObject>::from_bytes(&bytes).map_err(|error| in_document(&key, error))?;
        self.place.segment = Some(sha256);
        Ok(document.entries)
    }

    fn end(&self) -> Result<(), OperationError> {
        if self.place.chain != self.shard.segments {
            return Err(ManifestError::Chain(self.shard.shard.clone()).into());
        }
        Ok(self.place.tiles.clone().finish(self.shard)?)
    }
}
