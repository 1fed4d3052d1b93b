//! Manifests: what a transfer says it moved, in a form that can be checked without it.
//!
//! A manifest is a root that names segments; each is a JSON document whose body is covered by a SHA-256. Keys in it
//! are relative to the root's folder, so a folder can be copied elsewhere and still be read.

use std::ops::Not;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits::{MANIFEST_BYTES, excerpt};
use crate::record::{Mark, SealedObject};
use crate::{
    Aggregates, Checksum, Compression, Counts, Cursor, Encoding, Format, Gap, HashRange, SeriesPlace, ShardId, State,
    StreamUri, Timestamp, TransferId, sha256_hex,
};

/// The newest version of a document that this code writes and reads; it reads those before as well. Version 2 is the
/// root of an export whose objects are compressed, version 3 a list of sources of which not all events are imported,
/// version 4 one whose events are placed by their keys, or the root of an export whose events were taken out of
/// aggregates, version 5 the root of an import that stored events which its target cannot hold, version 6 the progress of
/// a plan that goes over a list of objects; all others are as in version 1, and say so.
pub const MANIFEST_VERSION: u32 = OVER_A_LIST;
/// See [`MANIFEST_VERSION`].
pub const OVER_A_LIST: u32 = 6;
/// See [`MANIFEST_VERSION`].
const COMPRESSED: u32 = 2;
/// See [`MANIFEST_VERSION`].
const RANGED: u32 = 3;
/// See [`MANIFEST_VERSION`].
const PLACED: u32 = 4;
/// See [`MANIFEST_VERSION`].
const MISFITS: u32 = 5;

/// A document that is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Longer than any that is written.
    #[error("it has {0} bytes; at most 64 MiB are read")]
    TooLarge(u64),
    /// Not a document of ours.
    #[error("it is not a manifest: {0}")]
    Foreign(String),
    /// The document is of another kind than expected.
    #[error("it is a '{found}', not a '{expected}'")]
    Kind {
        /// The kind in the document.
        found: String,
        /// The expected kind.
        expected: &'static str,
    },
    /// Written by a newer version.
    #[error("it has version {0}; this Sluice reads up to {MANIFEST_VERSION}: use a newer one")]
    Newer(u32),
    /// Its body and its checksum differ.
    #[error("its checksum is wrong: the body was changed after it was written")]
    Checksum,
    /// The body does not have the shape of its kind.
    #[error("its body is broken: {0}")]
    Body(String),
    /// Segments are not those that the root names.
    #[error("shard {0}: its segments are not those that the root names: their chained digest differs")]
    Chain(ShardId),
    /// Objects leave something out.
    #[error("shard {shard}: nothing covers {from} to {until}")]
    Hole {
        /// The shard.
        shard: ShardId,
        /// Nothing from here
        from: Box<Cursor>,
        /// to here.
        until: Box<Cursor>,
    },
    /// Objects cover something twice, or out of order.
    #[error("shard {shard}: {key} begins at {from}, but all up to {reached} is covered already")]
    Overlap {
        /// The shard.
        shard: ShardId,
        /// The key of the object that overlaps.
        key: String,
        /// Begins here
        from: Box<Cursor>,
        /// although this is covered.
        reached: Box<Cursor>,
    },
    /// Sums are not those of the entries.
    #[error("shard {shard}: {what} do not add up: {said} said, {found} listed")]
    Sums {
        /// The shard.
        shard: ShardId,
        /// The quantity that differs.
        what: &'static str,
        /// The number in the root.
        said: u64,
        /// The sum of the entries.
        found: u64,
    },
    /// The root contradicts itself.
    #[error("{0}")]
    Root(String),
    /// The index of an object is not that object's.
    #[error("the index of object {number} is not its: {why}")]
    Index {
        /// The object.
        number: u64,
        /// The difference.
        why: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    sluice: String,
    version: u32,
    sha256: String,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// A document and the name it goes by.
pub trait Document: Serialize + DeserializeOwned {
    /// The kind in the document's envelope.
    const KIND: &'static str;

    /// The first version that understands it.
    fn version(&self) -> u32 {
        1
    }

    /// The document's bytes; the same value, the same bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let encode = || {
            let body = serde_json::value::to_raw_value(self)?;
            let sha256 = sha256_hex(body.get().as_bytes());
            serde_json::to_vec(&Envelope {
                sluice: Self::KIND.to_owned(),
                version: self.version(),
                sha256,
                body: &body,
            })
        };
        // Plain structs with string keys: serializing them into memory has no way to fail.
        let mut bytes = encode().unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads it back, if it is whole and of this kind.
    fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() as u64 > MANIFEST_BYTES {
            return Err(ManifestError::TooLarge(bytes.len() as u64));
        }
        let envelope: Envelope<'_> =
            serde_json::from_slice(bytes).map_err(|error| ManifestError::Foreign(excerpt(error)))?;
        if envelope.sluice != Self::KIND {
            return Err(ManifestError::Kind {
                found: envelope.sluice.chars().take(40).collect(),
                expected: Self::KIND,
            });
        }
        if envelope.version > MANIFEST_VERSION {
            return Err(ManifestError::Newer(envelope.version));
        }
        if sha256_hex(envelope.body.get().as_bytes()) != envelope.sha256 {
            return Err(ManifestError::Checksum);
        }
        serde_json::from_str(envelope.body.get()).map_err(|error| ManifestError::Body(excerpt(error)))
    }
}

/// The segments of a shard, as a root names them all at once: their number and a digest chained over them. Their
/// keys follow from their numbers. So a root stays small, and nobody has to read segments again to write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentChain {
    /// The number of segments; they are numbered from 1.
    pub count: u32,
    /// SHA-256 over the digest of those before and the SHA-256 of the last, both in hexadecimal; empty for none.
    pub digest: String,
}

impl SegmentChain {
    /// With one more segment of that SHA-256.
    pub fn push(&mut self, sha256: &str) {
        self.count += 1;
        self.digest = sha256_hex(format!("{}{sha256}", self.digest).as_bytes());
    }

    /// True if there is none.
    pub fn is_none(&self) -> bool {
        self.count == 0
    }

    /// With one more file, which has a name of its own and is known by its checksum.
    pub fn push_named(&mut self, name: &str, checksum: Checksum) {
        self.push(&sha256_hex(format!("{name} {checksum}").as_bytes()));
    }
}

/// A segment: some entries of a shard, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Segment<T> {
    /// The transfer that wrote it.
    pub transfer: TransferId,
    /// The shard; none in a list of foreign files.
    pub shard: Option<ShardId>,
    /// Its place among the shard's segments, from 1.
    pub number: u32,
    /// The entries.
    pub entries: Vec<T>,
}

/// An object in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestObject {
    /// Relative to the root's folder.
    pub key: String,
    /// Its range, size and checksum.
    #[serde(flatten)]
    pub object: SealedObject,
}

/// A shard in an export's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardManifest {
    /// The shard.
    pub shard: ShardId,
    /// Objects and gaps tile all from here
    pub from: Cursor,
    /// to here.
    pub until: Cursor,
    /// Events and bytes in the objects.
    pub counts: Counts,
    /// Aggregates among the events.
    #[serde(default, skip_serializing_if = "Aggregates::is_none")]
    pub aggregates: Aggregates,
    /// Number of objects.
    pub objects: u64,
    /// The ranges that the source had dropped.
    pub gaps: Vec<Gap>,
    /// The segments that list the objects.
    pub segments: SegmentChain,
    /// Shards that this one continues.
    pub parents: Vec<ShardId>,
    /// When the first event arrived, where the source knows events by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// Where the source knows events by when they arrived: all that arrived before this time is in front of `until`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Timestamp>,
    /// The keys of all its events have hashes in this range; none if some have not, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<HashRange>,
}

/// An export's manifest: its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportManifest {
    /// The transfer.
    pub transfer: TransferId,
    /// The source.
    pub stream: StreamUri,
    /// The format of the objects.
    pub format: Format,
    /// The compression of the objects; what does not say so has none.
    #[serde(default, skip_serializing_if = "Compression::is_plain")]
    pub compression: Compression,
    /// Version of the encoder.
    pub encoder: u32,
    /// The transfer's last state.
    pub state: State,
    /// The time of planning.
    pub created: Timestamp,
    /// Events and bytes in all objects.
    pub counts: Counts,
    /// Events that were taken out of aggregates, each of them on its own.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub deaggregated: bool,
    /// Number of objects.
    pub objects: u64,
    /// The shards, in order.
    pub shards: Vec<ShardManifest>,
    /// The manifest of the export that this one continues, by its key relative to the folder that holds both exports'.
    pub previous: Option<String>,
    /// The place in its series, if it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesPlace>,
    /// The plan's notes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl ExportManifest {
    /// The format and compression of its objects.
    pub fn encoding(&self) -> Encoding {
        Encoding { format: self.format, compression: self.compression }
    }
}

impl Document for ExportManifest {
    const KIND: &'static str = "export-manifest";

    fn version(&self) -> u32 {
        match self.encoding().is_of_version_1() {
            _ if self.deaggregated => PLACED,
            true => 1,
            false => COMPRESSED,
        }
    }
}

impl Document for Segment<ManifestObject> {
    const KIND: &'static str = "export-segment";
}

impl Document for Segment<Mark> {
    const KIND: &'static str = "import-segment";
}

/// Checks that the objects of a shard, given in order, and its gaps cover its range once. Small, and a value: whoever
/// leaves off keeps it and goes on with it. It is given the same shard each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tiles {
    reached: Cursor,
    /// Gaps that were passed.
    gaps: usize,
    counts: Counts,
    objects: u64,
}

impl Tiles {
    /// Of this shard.
    pub fn new(shard: &ShardManifest) -> Self {
        Self { reached: shard.from.clone(), gaps: 0, counts: Counts::default(), objects: 0 }
    }

    /// The next object.
    pub fn object(&mut self, shard: &ShardManifest, object: &ManifestObject) -> Result<(), ManifestError> {
        let (key, range) = (&object.key, &object.object);
        self.pass_gaps(shard, &range.from)?;
        if range.from != self.reached || range.until < range.from || range.number != self.objects {
            return Err(self.overlap(shard, key, &range.from));
        }
        let Some(counts) = self.counts.checked_add(range.counts) else {
            let (what, said, found) = ("events and bytes", shard.counts.bytes, u64::MAX);
            return Err(ManifestError::Sums { shard: shard.shard.clone(), what, said, found });
        };
        self.reached = range.until.clone();
        self.counts = counts;
        self.objects += 1;
        Ok(())
    }

    /// No more objects.
    pub fn finish(mut self, shard: &ShardManifest) -> Result<(), ManifestError> {
        self.pass_gaps(shard, &shard.until)?;
        if self.reached != shard.until {
            return Err(self.overlap(shard, "the last object", &shard.until));
        }
        if let Some(gap) = shard.gaps.get(self.gaps) {
            return Err(self.overlap(shard, "a gap", &gap.from));
        }
        let said = shard.counts;
        let sums = [
            ("objects", shard.objects, self.objects),
            ("events", said.events, self.counts.events),
            ("bytes", said.bytes, self.counts.bytes),
        ];
        match sums.into_iter().find(|(_, said, found)| said != found) {
            Some((what, said, found)) => Err(ManifestError::Sums { shard: shard.shard.clone(), what, said, found }),
            None => Ok(()),
        }
    }

    /// Goes over recorded gaps until `to`; anything else that is missing is a hole.
    fn pass_gaps(&mut self, shard: &ShardManifest, to: &Cursor) -> Result<(), ManifestError> {
        while self.reached < *to {
            match shard.gaps.get(self.gaps) {
                Some(gap) if gap.from == self.reached && gap.until > gap.from => {
                    self.reached = gap.until.clone();
                    self.gaps += 1;
                }
                _ => {
                    return Err(ManifestError::Hole {
                        shard: shard.shard.clone(),
                        from: self.reached.clone().into(),
                        until: to.clone().into(),
                    });
                }
            }
        }
        Ok(())
    }

    fn overlap(&self, shard: &ShardManifest, key: &str, from: &Cursor) -> ManifestError {
        ManifestError::Overlap {
            shard: shard.shard.clone(),
            key: key.chars().take(200).collect(),
            from: from.clone().into(),
            reached: self.reached.clone().into(),
        }
    }
}

mod import;
mod index;
mod objects;
mod root;
mod sources;
#[cfg(test)]
mod tests;

pub use import::{ImportManifest, ImportedShard};
pub use index::{Extent, IndexedPart, ObjectIndex};
pub use objects::{ListedObject, ObjectList};
pub use sources::{ListPart, ListPlace, ListShard, SegmentRef, SourceEntry, SourceList};
