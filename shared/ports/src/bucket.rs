//! Buckets, with the promises of S3 that the engine depends on (Amazon S3 API reference:
//! `CreateMultipartUpload`, `UploadPart`, `CompleteMultipartUpload`, conditional writes).

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, LeftOut, Timestamp, UploadId};

use crate::Result;

/// The metadata of an object. Names are lower case ASCII.
pub type Metadata = BTreeMap<String, String>;

/// The abilities of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Objects can be made on condition that there is none; without this nothing is written.
    pub create_only: bool,
    /// Bytes of the smallest part that is not an object's last.
    pub smallest_part: u64,
    /// True if the checksum that `head` answers is the store's own finding about the bytes it holds now, so that an
    /// object need not be read to be compared.
    pub attests_content: bool,
}

/// An object as the bucket describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Bytes.
    pub size: u64,
    /// Changes whenever the object does.
    pub etag: String,
    /// The metadata that was given when the object was made; empty for foreign objects.
    pub metadata: Metadata,
    /// The checksum of the whole object, if the bucket knows it.
    pub checksum: Option<Checksum>,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// The etag as in the answer of `head`.
    pub etag: String,
}

/// An upload that is neither completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenUpload {
    /// The key of its object.
    pub key: String,
    /// Its name.
    pub id: UploadId,
    /// When it was begun; none where the store does not say.
    pub begun: Option<Timestamp>,
}

/// The answer to a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutAnswer {
    /// The object was made now.
    Stored {
        /// Its etag.
        etag: String,
    },
    /// There is an object at the key, ours or not; nothing was changed.
    Exists,
}

/// The answer to an upload of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartAnswer {
    /// The part is stored, in place of an earlier one of its number.
    Stored {
        /// Its etag.
        etag: String,
    },
    /// The upload was completed, aborted, or never was.
    NoSuchUpload,
}

/// The answer to a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompleteAnswer {
    /// The object was made now.
    Completed {
        /// Its etag.
        etag: String,
    },
    /// There is an object at the key, ours or not; nothing was changed.
    Exists,
    /// The upload was completed, aborted, or never was.
    NoSuchUpload,
    /// A part is not stored, or another one is stored in its place. The upload is still open.
    InvalidPart,
    /// The upload can no longer be completed; it is to be aborted and begun anew.
    Conflict,
}

/// One bucket. Nothing that exists is ever overwritten, and nothing is deleted but uploads.
///
/// Keys that are written are safe in every bucket ([`sluice_transfer::check_key`]); others are `Invalid`. What is read
/// may have been written by others: any key that a listing answers can be asked for, and one that the store cannot hold
/// is `Invalid` or not there.
#[async_trait]
pub trait BucketStore: Send + Sync {
    /// The abilities of the bucket.
    async fn capabilities(&self) -> Result<Capabilities>;

    /// Describes an object; none if there is none.
    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>>;

    /// Bytes of an object from `offset` on, at most `len`, fewer only at its end. With a pin the object must still
    /// have that etag, else `Changed`. `NotFound` if there is none.
    async fn get(&self, key: &str, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes>;

    /// Makes an object, if there is none. `checksum` is that of the bytes.
    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer>;

    /// Begins an upload.
    async fn create_upload(&self, key: &str, metadata: &Metadata) -> Result<UploadId>;

    /// Stores a part. `number` counts from 1, `offset` is where in the object the part begins.
    async fn upload_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: u64,
        offset: u64,
        bytes: Bytes,
        checksum: Checksum,
    ) -> Result<PartAnswer>;

    /// The stored parts by number; none if there is no such upload.
    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>>;

    /// Makes the object from just these parts, in order, if there is none at the key. `checksum` is the whole one's.
    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[PartEntry],
        checksum: Checksum,
    ) -> Result<CompleteAnswer>;

    /// Gives an upload up; also one that is gone already.
    async fn abort(&self, key: &str, upload: &UploadId) -> Result<()>;

    /// Objects whose keys begin with `prefix` and come behind `after`, in the order of their keys' bytes, at most
    /// `limit`; fewer only if there are no more.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>>;

    /// Entries whose names begin with `prefix` and that are no objects, so that no listing has them: links, pipes,
    /// names that are no keys. May be repeated. A store that holds objects only has none.
    async fn left_out(&self, _prefix: &str) -> Result<LeftOut> {
        Ok(LeftOut::default())
    }

    /// Open uploads of keys that begin with `prefix`.
    async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>>;
}
