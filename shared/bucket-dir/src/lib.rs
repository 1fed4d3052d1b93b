//! A bucket that is a directory of plain files, with the promises of S3.
//!
//! An object's key is its path below the directory. Everything that is not data lies in `.sluice` at its top:
//!
//! ```text
//! .sluice/lock                   shared by whoever makes hidden files, exclusive for who sweeps up after a crash
//! .sluice/objects/HASH.json      what an object says of itself; HASH is of its key and etag
//! .sluice/puts/ID                bytes of a put that is not done yet
//! .sluice/uploads/ID/data        bytes of all parts, each at its place
//! .sluice/uploads/ID/parts       which parts are whole, see `parts.rs`
//! .sluice/uploads/ID/upload.json key and metadata; an upload is one that has this file
//! ```
//!
//! **Invariant.** A file at a key appears whole, by one hard link from a hidden file, and never where there was one.
//! Nothing writes to a hidden file once it has that link: who writes holds the lock of the upload's `data`, and finds
//! under it whether the upload is still one.
//!
//! What a crash or a power cut leaves:
//! - Hidden files are swept up when the bucket is opened for writing the next time, those of a completed upload also
//!   when uploads are listed; nothing trusts them before.
//! - Metadata are durable before the link is made. Without an object of just that etag nobody looks at them.
//! - A part is on disk before it is answered, its line in `parts` need not be: it is not synced, since that would be a
//!   second wait for the disk with every part. After a power cut a completion may so answer `InvalidPart` or
//!   `NoSuchUpload`, and the object is uploaded anew.
//!
//! Whoever may write to the directory can change files behind our back. Such a file is an object too; its etag is made
//! of inode, size and time of change, so it is another object than the one before, and nobody's.
//!
//! `a` and `a/b` cannot both be keys. Symbolic links are not followed: what lies behind one is no object. Names that
//! are not UTF-8 are no keys. [`BucketStore::left_out`] tells which of these a folder holds. The file system must have
//! hard links; [`BucketStore::capabilities`] tries whether it has.
//!
//! Every operation is one blocking task: each may wait for the disk or for a lock. A caller that goes away does not
//! stop it, which is harmless for the reason above.

mod error;
mod held;
mod layout;
mod object;
mod parts;
mod turns;
mod upload;
mod walk;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_ports::{
    BucketStore, Capabilities, CompleteAnswer, Error, ErrorKind, Listed, Metadata, ObjectInfo, ObjectRemoval,
    OpenUpload, PartAnswer, PutAnswer, Result,
};
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, LeftOut, UploadId};

use layout::Layout;
use turns::Turns;

/// A directory as a bucket. Clones, and other values for the same directory, also of other processes, work together.
#[derive(Clone, Debug)]
pub struct DirBucket {
    layout: Arc<Layout>,
    turns: Turns,
}

impl DirBucket {
    /// Opens a directory to write to, and makes it, with those above it, if there is none. Sweeps up what dead
    /// processes left of unfinished work. Blocks for some file operations.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        std::fs::create_dir_all(path).map_err(|error| error::of(error, "make", path))?;
        let bucket = Self::open(path)?;
        upload::sweep(&bucket.layout);
        Ok(bucket)
    }

    /// Opens a directory and makes nothing in it. `NotFound` if there is none, `Invalid` if it is none.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { layout: Arc::new(Layout::open(path.as_ref())?), turns: Turns::default() })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.layout.root()
    }

    /// Does file work where waiting is allowed.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Layout) -> Result<T> + Send + 'static) -> Result<T> {
        let layout = Arc::clone(&self.layout);
        match tokio::task::spawn_blocking(move || work(&layout)).await {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(Error::with(ErrorKind::Unavailable, "the process is going down", error)),
            },
        }
    }
}

#[async_trait]
impl BucketStore for DirBucket {
    /// `Invalid` if the file system has no hard links: then no object could be made.
    async fn capabilities(&self) -> Result<Capabilities> {
        self.blocking(|layout| object::try_link(layout, |from, to| std::fs::hard_link(from, to))).await?;
        Ok(Capabilities { create_only: true, smallest_part: 1, attests_content: false })
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        let key = layout::Key::readable(key)?;
        self.blocking(move |layout| object::head(layout, &key)).await
    }

    async fn get(&self, key: &str, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
        let (key, pin) = (layout::Key::readable(key)?, pin.map(str::to_owned));
        self.blocking(move |layout| object::get(layout, &key, pin.as_deref(), offset, len)).await
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        let (key, metadata) = (layout::Key::new(key)?, metadata.clone());
        self.blocking(move |layout| object::put(layout, &key, &bytes, checksum, metadata)).await
    }

    async fn create_upload(&self, key: &str, metadata: &Metadata) -> Result<UploadId> {
        let (key, metadata) = (layout::Key::new(key)?, metadata.clone());
        self.blocking(move |layout| upload::create(layout, &key, metadata)).await
    }

    async fn upload_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: u64,
        offset: u64,
        bytes: Bytes,
        checksum: Checksum,
    ) -> Result<PartAnswer> {
        let (key, id) = (layout::Key::new(key)?, upload.clone());
        let place = parts::Place { number, offset, len: bytes.len() as u64 };
        let turn = self.turns.take(&id);
        self.blocking(move |layout| upload::part(layout, &key, &id, place, &bytes, checksum, turn)).await
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>> {
        let (key, id) = (layout::Key::new(key)?, upload.clone());
        self.blocking(move |layout| upload::list_parts(layout, &key, &id)).await
    }

    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[PartEntry],
        checksum: Checksum,
    ) -> Result<CompleteAnswer> {
        let (key, id, parts) = (layout::Key::new(key)?, upload.clone(), parts.to_vec());
        self.blocking(move |layout| upload::complete(layout, &key, &id, &parts, checksum)).await
    }

    async fn abort(&self, key: &str, upload: &UploadId) -> Result<()> {
        let (key, id) = (layout::Key::new(key)?, upload.clone());
        self.blocking(move |layout| upload::abort(layout, &key, &id)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.blocking(move |layout| walk::list(layout, &prefix, after.as_deref(), limit)).await
    }

    async fn left_out(&self, prefix: &str) -> Result<LeftOut> {
        let prefix = prefix.to_owned();
        self.blocking(move |layout| walk::left_out(layout, &prefix)).await
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>> {
        let prefix = prefix.to_owned();
        self.blocking(move |layout| upload::list(layout, &prefix)).await
    }
}

#[async_trait]
impl ObjectRemoval for DirBucket {
    async fn remove_object(&self, key: &str, etag: &str) -> Result<bool> {
        let (key, etag) = (layout::Key::new(key)?, etag.to_owned());
        self.blocking(move |layout| object::remove(layout, &key, &etag)).await
    }
}
