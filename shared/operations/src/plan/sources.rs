//! What an import's source is: a manifest, a prefix that holds one, a prefix of any files, or one file.

use sluice_ports::{BucketStore, Listed};
use sluice_transfer::manifest::{Document, ExportManifest, ManifestObject, SourceEntry};
use sluice_transfer::{BucketUri, Counts, Format, Gap, ObjectKeys, ShardId, check_key};

use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::finish::read_segments;
use crate::objects::get_document;

/// Objects asked for in one listing.
const LISTED_AT_ONCE: usize = 1_000;

/// The sources of one target shard, in order.
pub(super) struct SourceShard {
    /// The shard they came from; none for foreign files.
    pub source: Option<ShardId>,
    pub entries: Vec<SourceEntry>,
    pub counts: Option<Counts>,
    pub gaps: Vec<Gap>,
}

/// What is to be imported.
pub(super) struct Sources {
    pub format: Format,
    /// Whether events go on from one source in the next.
    pub joined: bool,
    pub shards: Vec<SourceShard>,
}

/// Finds out what stands at `path` of the bucket.
pub(super) async fn find(
    engine: &Engine,
    bucket: &dyn BucketStore,
    path: &str,
    uri: &BucketUri,
) -> Result<Sources, OperationError> {
    let one = if path.is_empty() { None } else { engine.persist(async || bucket.head(path).await).await? };
    if let Some(info) = one {
        if is_root(engine, bucket, path).await? {
            return from_manifest(engine, bucket, path).await;
        }
        let file = Listed { key: path.to_owned(), size: info.size, etag: info.etag };
        return foreign(vec![file], uri);
    }
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    let mut files = Vec::new();
    let mut manifests = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = engine.persist(async || bucket.list(&prefix, after.as_deref(), LISTED_AT_ONCE).await).await?;
        let more = page.len() == LISTED_AT_ONCE;
        after = page.last().map(|listed| listed.key.clone());
        for listed in page {
            let name = listed.key.rsplit('/').next().unwrap_or_default();
            if name == ObjectKeys::root() && is_root(engine, bucket, &listed.key).await? {
                manifests.push(listed.key.clone());
            }
            files.push(listed);
        }
        if !more {
            break;
        }
    }
    match &manifests[..] {
        [root] => from_manifest(engine, bucket, root).await,
        [] => foreign(files, uri),
        several => {
            let shown: Vec<_> = several.iter().take(20).map(String::as_str).collect();
            Err(OperationError::new(
                Code::SeveralManifests,
                format!("{uri} holds {} manifests; name one of them: {}", several.len(), shown.join(", ")),
            ))
        }
    }
}

/// Whether a file begins as the root of an export's manifest does. Whether it is whole is found out later.
async fn is_root(engine: &Engine, bucket: &dyn BucketStore, key: &str) -> Result<bool, OperationError> {
    let start = format!("{{\"sluice\":\"{}\"", ExportManifest::KIND);
    let len = start.len() as u64;
    let head = engine.persist(async || bucket.get(key, None, 0, len).await).await?;
    Ok(head == start.as_bytes())
}

/// Any files, each a source, in the order of their keys.
fn foreign(files: Vec<Listed>, uri: &BucketUri) -> Result<Sources, OperationError> {
    if files.is_empty() {
        return Err(OperationError::new(Code::NothingToImport, format!("{uri} holds nothing; check the path")));
    }
    if let Some(ours) = files.iter().find(|file| is_ours(&file.key)) {
        return Err(OperationError::new(
            Code::ManifestInvalid,
            format!(
                "{} belongs to an export whose manifest is not there, so it is not complete or not all of it is here: \
                 finish that export first, or name a single file",
                ours.key
            ),
        ));
    }
    let entries = files
        .into_iter()
        .map(|file| {
            check_key(&file.key)?;
            Ok(SourceEntry { key: file.key, size: file.size, etag: file.etag, checksum: None, counts: None })
        })
        .collect::<Result<_, OperationError>>()?;
    let shard = SourceShard { source: None, entries, counts: None, gaps: Vec::new() };
    Ok(Sources { format: Format::Raw, joined: false, shards: vec![shard] })
}

/// Whether a key has the form of an export's data: `…/data/shard=…`.
fn is_ours(key: &str) -> bool {
    let mut parents = key.rsplit('/').skip(1);
    let shard = parents.next().is_some_and(|segment| segment.starts_with("shard="));
    shard && parents.next() == Some("data")
}

/// An export, by its manifest: everything that can be known without reading the objects is checked now.
async fn from_manifest(engine: &Engine, bucket: &dyn BucketStore, root: &str) -> Result<Sources, OperationError> {
    let manifest: ExportManifest = get_document(engine, bucket, root, None).await?;
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut shards = Vec::with_capacity(manifest.shards.len());
    for shard in &manifest.shards {
        let mut entries = Vec::new();
        let pin = async |key: String, object: ManifestObject| {
            entries.push(pin(engine, bucket, key, &object).await?);
            Ok(())
        };
        read_segments(engine, bucket, folder, shard, pin).await?;
        shards.push(SourceShard {
            source: Some(shard.shard.clone()),
            entries,
            counts: Some(shard.counts),
            gaps: shard.gaps.clone(),
        });
    }
    Ok(Sources { format: manifest.format, joined: true, shards })
}

/// An object as it is now, if it is still of the size that the manifest says.
async fn pin(
    engine: &Engine,
    bucket: &dyn BucketStore,
    key: String,
    object: &ManifestObject,
) -> Result<SourceEntry, OperationError> {
    let wanted = object.object.checksum;
    let Some(info) = engine.persist(async || bucket.head(&key).await).await? else {
        return Err(OperationError::new(Code::ObjectMissing, format!("{key} is missing, but the manifest names it")));
    };
    if info.size != wanted.len {
        return Err(OperationError::new(
            Code::ObjectDamaged,
            format!("{key} has {} bytes; the manifest says {}: it was cut off or replaced", info.size, wanted.len),
        ));
    }
    if info.checksum.is_some_and(|checksum| checksum != wanted) {
        return Err(OperationError::new(
            Code::ObjectDamaged,
            format!("{key} has another checksum than the manifest says"),
        ));
    }
    Ok(SourceEntry {
        key,
        size: info.size,
        etag: info.etag,
        checksum: Some(wanted),
        counts: Some(object.object.counts),
    })
}
