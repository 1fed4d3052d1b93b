//! Metadata of objects, and documents that are made once.

use bytes::Bytes;
use sluice_formats::ObjectSeed;
use sluice_ports::{BucketStore, Error, ErrorKind, Listed, Metadata, ObjectInfo, PutAnswer};
use sluice_transfer::limits::MANIFEST_BYTES;
use sluice_transfer::manifest::{Document, ManifestError};
use sluice_transfer::record::{Closing, DestinationRecord};
use sluice_transfer::{Checksum, sha256_hex};

use crate::error::{Code, Fault, OperationError};

/// Version of the metadata that objects carry.
const METADATA_VERSION: &str = "1";

/// What one of our objects says of itself; given when its upload is created.
pub(crate) fn metadata(seed: &ObjectSeed, destination: &DestinationRecord) -> Metadata {
    [
        ("sluice-version", METADATA_VERSION.to_owned()),
        ("sluice-transfer", seed.transfer.to_string()),
        ("sluice-destination", seed.destination.to_string()),
        ("sluice-shard", seed.shard.to_string()),
        ("sluice-object", destination.objects.to_string()),
        ("sluice-incarnation", destination.incarnation.to_string()),
        ("sluice-from", destination.sealed.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Metadata of documents: whose they are.
fn document_metadata(kind: &str) -> Metadata {
    [("sluice-version", METADATA_VERSION.to_owned()), ("sluice-document", kind.to_owned())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// Which closing, if any, the object that was found is.
pub(crate) fn recognise<'a>(found: &ObjectInfo, ours: &Metadata, closing: &'a Closing) -> Option<&'a Closing> {
    if found.metadata != *ours {
        return None;
    }
    closing
        .candidates()
        .find(|c| c.checksum.len == found.size && found.checksum.is_none_or(|checksum| checksum == c.checksum))
}

/// Makes an object of a kind, or finds that it was made before. What stands there and differs is somebody else's.
pub(crate) async fn put_same(bucket: &dyn BucketStore, key: &str, bytes: Bytes, kind: &str) -> Result<(), Fault> {
    let (checksum, size) = (Checksum::of(&bytes), bytes.len() as u64);
    if bucket.put(key, bytes.clone(), checksum, &document_metadata(kind)).await? != PutAnswer::Exists {
        return Ok(());
    }
    let there = bucket.head(key).await?.filter(|info| info.size == size);
    let same = match there {
        Some(info) => bucket.get(key, Some(&info.etag), 0, size).await? == bytes,
        None => false,
    };
    if same {
        return Ok(());
    }
    let message = format!(
        "{key} exists already and is not this transfer's; nothing was overwritten: choose another prefix or id"
    );
    Err(OperationError::new(Code::ForeignObject, message).into())
}

/// Makes a document, or finds that it was made before. What stands there and differs is somebody else's.
pub(crate) async fn put_document<D: Document>(
    bucket: &dyn BucketStore,
    key: &str,
    document: &D,
) -> Result<String, Fault> {
    let bytes = Bytes::from(document.to_bytes());
    put_same(bucket, key, bytes.clone(), D::KIND).await?;
    Ok(sha256_hex(&bytes))
}

/// Makes a document of a folder, or finds that it was made before. Answers its place in the folder and its SHA-256. Who
/// died on the way, or works beside this one, may have found something else for the same place: then the document gets a
/// name of its own.
pub(crate) async fn put_own<D: Document>(
    work: &dyn BucketStore,
    folder: &str,
    stem: &str,
    document: &D,
) -> Result<(String, String), Fault> {
    let bytes = Bytes::from(document.to_bytes());
    let sha256 = sha256_hex(&bytes);
    let put = async |key: &str| put_same(work, &format!("{folder}/{key}"), bytes.clone(), D::KIND).await;
    let plain = format!("{stem}.json");
    match put(&plain).await {
        Err(Fault::Found(error)) if error.code == Code::ForeignObject => {
            let own = named_by(stem, &sha256);
            put(&own).await.map(|()| (own, sha256))
        }
        answer => answer.map(|()| (plain, sha256)),
    }
}

/// The name of a document that no other one can have.
pub(crate) fn named_by(stem: &str, sha256: &str) -> String {
    format!("{stem}-{}.json", &sha256[..16])
}

/// Reads a document, if it is whole and of its kind; with a digest also only if it is just that one.
pub(crate) async fn get_document<D: Document>(
    bucket: &dyn BucketStore,
    key: &str,
    sha256: Option<&str>,
) -> Result<D, Fault> {
    let bytes = get_whole(bucket, key, MANIFEST_BYTES).await?;
    if sha256.is_some_and(|sha256| sha256 != sha256_hex(&bytes)) {
        let message = format!("{key} is not the one that its manifest names: its SHA-256 differs");
        return Err(OperationError::new(Code::ManifestInvalid, message).into());
    }
    D::from_bytes(&bytes).map_err(|error| in_document(key, error).into())
}

/// What is wrong with a document, and which one it is.
pub(crate) fn in_document(key: &str, error: ManifestError) -> OperationError {
    let OperationError { code, message } = error.into();
    OperationError::new(code, format!("{key}: {message}"))
}

/// A whole object of bounded size.
pub(crate) async fn get_whole(bucket: &dyn BucketStore, key: &str, largest: u64) -> Result<Bytes, Fault> {
    let info = bucket.head(key).await?;
    let info = info.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{key} is not there")))?;
    if info.size > largest {
        let message = format!("{key} has {} bytes; at most {largest} are read", info.size);
        return Err(OperationError::new(Code::ManifestInvalid, message).into());
    }
    Ok(bucket.get(key, Some(&info.etag), 0, info.size).await?)
}

/// Uploads below a prefix are aborted until none is listed, in at most this number of rounds: a part in flight can bring
/// one back. Answers how many were open, and how many still are.
pub(crate) async fn abort_below(bucket: &dyn BucketStore, prefix: &str, times: u32) -> Result<(u64, u64), Error> {
    let (mut aborted, mut open) = (0, bucket.list_uploads(prefix).await?);
    for _ in 0..times.max(1) {
        if open.is_empty() {
            break;
        }
        for upload in open {
            tracing::info!(key = upload.key, "aborting an abandoned upload");
            bucket.abort(&upload.key, &upload.id).await?;
            aborted += 1;
        }
        open = bucket.list_uploads(prefix).await?;
    }
    Ok((aborted, open.len() as u64))
}

/// Objects asked for in one listing: as many as S3 answers at once (`ListObjectsV2`, `MaxKeys`).
pub(crate) const LISTED_AT_ONCE: usize = 1_000;

/// The next objects below a prefix; `after` is the last one that was listed, and moves on.
pub(crate) async fn page(
    bucket: &dyn BucketStore,
    prefix: &str,
    after: &mut Option<String>,
) -> Result<Vec<Listed>, Error> {
    let page = bucket.list(prefix, after.as_deref(), LISTED_AT_ONCE).await?;
    if let Some(last) = page.last() {
        *after = Some(last.key.clone());
    }
    Ok(page)
}

/// All objects below a prefix, page by page.
pub(crate) async fn each_below(
    bucket: &dyn BucketStore,
    prefix: &str,
    mut seen: impl FnMut(Listed),
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let listed = page(bucket, prefix, &mut after).await?;
        let is_last = listed.len() < LISTED_AT_ONCE;
        listed.into_iter().for_each(&mut seen);
        if is_last {
            return Ok(());
        }
    }
}
