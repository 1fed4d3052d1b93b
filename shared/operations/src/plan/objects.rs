//! A list of objects as the source of an import.
//!
//! **Invariant.** The sources stand in the list's order, and each is the object that the list means or is not taken.

use futures::stream::{self, StreamExt};
use sluice_ports::{BucketStore, Listed as File};
use sluice_transfer::ObjectKeys;
use sluice_transfer::limits::MANIFEST_BYTES;
use sluice_transfer::manifest::{Document, ListedObject, ObjectList, SourceEntry};
use sluice_transfer::{counted, sha256_hex};

use super::foreign::Asked;
use super::keeping::ListWriter;
use super::list::Known;
use super::progress::{Stage, Unfinished};
use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::objects::{get_whole, in_document};

/// Objects that are looked at at the same time.
const AT_ONCE: usize = 32;
/// Objects that are looked at before it is seen whether the plan is to leave off.
const CHUNK: usize = 256;

/// Whether a file begins as a list of objects does.
pub(super) async fn is_list(bucket: &dyn BucketStore, key: &str) -> Result<bool, OperationError> {
    let start = format!("{{\"sluice\":\"{}\"", ObjectList::KIND);
    Ok(bucket.get(key, None, 0, start.len() as u64).await? == start.as_bytes())
}

/// Goes over the objects of the list at `key`, from the one of that number on.
pub(super) async fn listed(
    engine: &Engine,
    bucket: &dyn BucketStore,
    (key, sha256): (&str, Option<&str>),
    mut passed: usize,
    asked: &Asked,
    list: &mut ListWriter<'_>,
) -> Result<(), Unfinished> {
    let bytes = get_whole(bucket, key, MANIFEST_BYTES).await?;
    let found = sha256_hex(&bytes);
    if sha256.is_some_and(|sha256| sha256 != found) {
        let what = format!("{key} changed while the import was planned: plan it again");
        return Err(OperationError::new(Code::ObjectChanged, what).into());
    }
    let objects = ObjectList::from_bytes(&bytes).map_err(|error| in_document(key, error))?;
    objects.check().map_err(|error| in_document(key, error))?;
    let (from, place) = engine.places().source(&objects.bucket).await?;
    let from = Place { engine, bucket: &*from, folder: place.trim_end_matches('/'), asked, list: key, of: &objects };
    if list.progress.bucket.is_none() {
        list.progress.bucket = Some(objects.bucket.clone());
        list.begin(None);
    }
    while passed < objects.objects.len() {
        let chunk = &objects.objects[passed..objects.objects.len().min(passed + CHUNK)];
        let mut entries = stream::iter(chunk.iter().map(|object| from.pinned(object))).buffered(AT_ONCE);
        while let Some(entry) = entries.next().await {
            match entry? {
                Some(entry) => {
                    list.progress.sample.note(&entry);
                    list.push(entry).await?;
                }
                None => list.progress.changed += 1,
            }
        }
        passed += chunk.len();
        if list.is_due() {
            list.reached(Stage::Objects { list: key.to_owned(), sha256: Some(found.clone()), passed }).await?;
        }
    }
    let changed = list.progress.changed;
    if list.is_empty() {
        let objects = counted(changed, "object");
        let what = format!("{key} names {objects}, all gone or replaced since: there is nothing to import");
        return Err(OperationError::new(Code::NothingToImport, what).into());
    }
    if changed > 0 {
        let objects = counted(changed, "object");
        let what = format!("{objects} of {key} left out: gone or replaced since the list was made");
        list.progress.notes.push(what);
    }
    let first = std::mem::take(&mut list.progress.sample).check(from.bucket, asked).await?;
    list.end(Known { first, ..Known::default() }).await?;
    list.listed(Stage::Listed { encoding: None }).await
}

/// Where the objects of a list lie.
struct Place<'a> {
    engine: &'a Engine,
    bucket: &'a dyn BucketStore,
    folder: &'a str,
    asked: &'a Asked,
    list: &'a str,
    of: &'a ObjectList,
}

impl Place<'_> {
    /// An object as it is now; none if it is not the one that is meant, and may be another.
    async fn pinned(&self, object: &ListedObject) -> Result<Option<SourceEntry>, OperationError> {
        let folder = self.folder;
        let key = if folder.is_empty() { object.key.clone() } else { format!("{folder}/{}", object.key) };
        if ObjectKeys::has_form(&key) {
            let what = format!("{key} belongs to an export: import that by its manifest, not by {}", self.list);
            return Err(OperationError::new(Code::ManifestInvalid, what));
        }
        let Some(info) = self.bucket.head(&key).await? else {
            return self.changed(Code::ObjectMissing, format!("{key} is missing, but {} names it", self.list));
        };
        let is_same = object.etag.as_ref().is_none_or(|etag| bare(etag) == bare(&info.etag));
        if !is_same || object.size.is_some_and(|size| size != info.size) {
            return self.changed(Code::ObjectChanged, format!("{key} is not the one that {} names", self.list));
        }
        let file = File { key, size: info.size, etag: info.etag };
        self.asked.check_length(self.engine, self.bucket, &file).await?;
        let File { key, size, etag } = file;
        Ok(Some(SourceEntry { key, size, etag, checksum: None, counts: None, index: None, bytes: None }))
    }

    fn changed(&self, code: Code, what: String) -> Result<Option<SourceEntry>, OperationError> {
        if self.of.may_change { Ok(None) } else { Err(OperationError::new(code, what)) }
    }
}

/// An etag without the quotes that some interfaces put around it.
fn bare(etag: &str) -> &str {
    etag.trim_matches('"')
}
