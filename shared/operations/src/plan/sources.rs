//! What an import's source is: a manifest, a prefix that holds one, a prefix of any files, or one file.

use sluice_ports::{BucketStore, Listed as File};
use sluice_transfer::manifest::{Document, ExportManifest, SourceEntry};
use sluice_transfer::{BucketUri, ObjectKeys, check_key};

use super::foreign::Asked;
use super::list::{Known, ListWriter, Sources};
use super::range::{Bounds, Selected};
use super::sample::Sample;
use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::listing::{Listed, Listing};
use crate::objects::{get_document, in_document};

/// Objects asked for in one listing.
const LISTED_AT_ONCE: usize = 1_000;

/// Finds out what stands at `path` of the bucket, and writes the list of it: however many sources there are, no more
/// than a page of them is held.
pub(super) async fn find(
    engine: &Engine,
    bucket: &dyn BucketStore,
    path: &str,
    uri: &BucketUri,
    asked: &Asked,
    bounds: &Bounds,
    list: ListWriter<'_>,
) -> Result<Sources, OperationError> {
    let one = if path.is_empty() { None } else { engine.persist(async || bucket.head(path).await).await? };
    if let Some(info) = one {
        let name = path.rsplit('/').next().unwrap_or_default();
        // One that is called so and begins otherwise is a damaged one: saying what is wrong with it is the
        // manifest's reader's business.
        let is_named = [ObjectKeys::root(), ObjectKeys::cancelled()].contains(&name);
        if is_root(engine, bucket, path).await? {
            return from_manifest(engine, bucket, path, asked, bounds, list).await;
        }
        // Others write files of that name, too: these are data for whoever says what is in them.
        if is_named && !asked.said {
            let what = "; if it is no manifest of Sluice's, say what it holds (--format) to import it as a file";
            let named = |error: OperationError| OperationError::new(error.code, format!("{}{what}", error.message));
            return from_manifest(engine, bucket, path, asked, bounds, list).await.map_err(named);
        }
        let file = File { key: path.to_owned(), size: info.size, etag: info.etag };
        bounds.refuse()?;
        return foreign_file(engine, bucket, file, asked, list).await;
    }
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    match &manifests(engine, bucket, &prefix).await?[..] {
        [root] => from_manifest(engine, bucket, root, asked, bounds, list).await,
        [] => {
            bounds.refuse()?;
            foreign_prefix(engine, bucket, &prefix, uri, asked, list).await
        }
        several => {
            let shown: Vec<_> = several.iter().take(20).map(String::as_str).collect();
            Err(OperationError::new(
                Code::SeveralManifests,
                format!("{uri} holds {} manifests; name one of them: {}", several.len(), shown.join(", ")),
            ))
        }
    }
}

/// The objects below a prefix, page by page.
async fn page(
    engine: &Engine,
    bucket: &dyn BucketStore,
    prefix: &str,
    after: &mut Option<String>,
) -> Result<Vec<File>, OperationError> {
    let page = engine.persist(async || bucket.list(prefix, after.as_deref(), LISTED_AT_ONCE).await).await?;
    if let Some(last) = page.last() {
        *after = Some(last.key.clone());
    }
    Ok(page)
}

/// Roots of manifests below a prefix; more than a message shows are not looked for.
async fn manifests(engine: &Engine, bucket: &dyn BucketStore, prefix: &str) -> Result<Vec<String>, OperationError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let listed = page(engine, bucket, prefix, &mut after).await?;
        for file in &listed {
            let name = file.key.rsplit('/').next().unwrap_or_default();
            if name == ObjectKeys::root() && is_root(engine, bucket, &file.key).await? {
                found.push(file.key.clone());
            }
        }
        if listed.len() < LISTED_AT_ONCE || found.len() > 100 {
            return Ok(found);
        }
    }
}

async fn foreign_prefix(
    engine: &Engine,
    bucket: &dyn BucketStore,
    prefix: &str,
    uri: &BucketUri,
    asked: &Asked,
    mut list: ListWriter<'_>,
) -> Result<Sources, OperationError> {
    let (mut after, mut sample) = (None, Sample::default());
    list.begin(None);
    loop {
        let files = page(engine, bucket, prefix, &mut after).await?;
        let more = files.len() == LISTED_AT_ONCE;
        for file in files {
            if is_marker(&file) {
                continue;
            }
            asked.check_length(engine, bucket, &file).await?;
            sample.note(&file);
            list.push(foreign_entry(file, prefix, uri)?).await?;
        }
        if !more {
            break;
        }
    }
    if list.is_empty() {
        return Err(OperationError::new(Code::NothingToImport, format!("{uri} holds nothing; check the path")));
    }
    sample.check(engine, bucket, asked).await?;
    list.end(Known::default()).await?;
    Ok(asked.sources(list.shards))
}

/// Whether a file begins as the root of an export's manifest does. Whether it is whole is found out later.
async fn is_root(engine: &Engine, bucket: &dyn BucketStore, key: &str) -> Result<bool, OperationError> {
    let start = format!("{{\"sluice\":\"{}\"", ExportManifest::KIND);
    let len = start.len() as u64;
    let head = engine.persist(async || bucket.get(key, None, 0, len).await).await?;
    Ok(head == start.as_bytes())
}

/// One file that was named. It is taken for what it is, also if it belongs to an export.
async fn foreign_file(
    engine: &Engine,
    bucket: &dyn BucketStore,
    file: File,
    asked: &Asked,
    mut list: ListWriter<'_>,
) -> Result<Sources, OperationError> {
    list.begin(None);
    asked.check_length(engine, bucket, &file).await?;
    check_key(&file.key)?;
    let mut sample = Sample::default();
    sample.note(&file);
    sample.check(engine, bucket, asked).await?;
    list.push(entry(file)).await?;
    list.end(Known::default()).await?;
    Ok(asked.sources(list.shards))
}

fn entry(file: File) -> SourceEntry {
    SourceEntry {
        key: file.key,
        size: file.size,
        etag: file.etag,
        checksum: None,
        counts: None,
        index: None,
        bytes: None,
    }
}

/// Whether it is what consoles make of an empty folder: no file, and nothing in it.
fn is_marker(file: &File) -> bool {
    file.size == 0 && file.key.ends_with('/')
}

fn foreign_entry(file: File, prefix: &str, uri: &BucketUri) -> Result<SourceEntry, OperationError> {
    // What was named may lie within an export.
    let named =
        format!("{}/{}", uri.to_string().trim_end_matches('/'), file.key.strip_prefix(prefix).unwrap_or_default());
    if is_ours(&file.key) || is_ours(&named) {
        return Err(OperationError::new(
            Code::ManifestInvalid,
            format!(
                "{} belongs to an export whose manifest is not there, so it is not complete or not all of it is here: \
                 finish that export first, name its cancelled.json if it was given up, or name a single file",
                file.key
            ),
        ));
    }
    check_key(&file.key).map_err(|error| {
        let what = format!("{uri} cannot be imported: {error}; rename or move it, or name a folder or file beside it");
        OperationError::new(Code::Invalid, what)
    })?;
    Ok(entry(file))
}

/// Whether a key has the form of an export's data or of its manifest: `…/data/shard=…`, `…/manifest/shard=…`.
fn is_ours(key: &str) -> bool {
    let mut parents = key.rsplit('/').skip(1).skip_while(|segment| *segment == "index");
    let shard = parents.next().is_some_and(|segment| segment.starts_with("shard="));
    shard && matches!(parents.next(), Some("data" | "manifest"))
}

/// An export, by its manifest: everything that can be known without reading the objects is checked now.
async fn from_manifest(
    engine: &Engine,
    bucket: &dyn BucketStore,
    root: &str,
    asked: &Asked,
    bounds: &Bounds,
    mut list: ListWriter<'_>,
) -> Result<Sources, OperationError> {
    if asked.said {
        return Err(OperationError::new(
            Code::Invalid,
            format!(
                "{root} says what its objects are: leave out format, compression and fields, which are for files of others"
            ),
        ));
    }
    let manifest: ExportManifest = get_document(engine, bucket, root, None).await?;
    manifest.check().map_err(|error| in_document(root, error))?;
    bounds.check(&manifest)?;
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    let encoding = manifest.encoding();
    let mut gaps_within = 0;
    for shard in &manifest.shards {
        list.begin(Some(shard.shard.clone()));
        let mut range = bounds.of_shard(engine, encoding, shard);
        let mut listing = Listing::new(engine, bucket, folder, shard, None);
        while let Some(listed) = listing.next().await? {
            if let Some(selected) = range.select(&listing, &listed).await? {
                list.push(pin(engine, bucket, &listed, selected).await?).await?;
            }
            listing.pass(listed);
        }
        let gaps: Vec<_> = range.gaps(&shard.gaps).cloned().collect();
        gaps_within += gaps.len();
        let taken = range.taken();
        list.end(Known { counts: taken.counts, range: bounds.said.then_some(taken.range), gaps }).await?;
    }
    list.count_alike();
    if bounds.said && list.holds_nothing() {
        let but = match gaps_within {
            0 => String::new(),
            gaps => format!(" but {gaps} gaps, whose events were lost before they could be exported"),
        };
        let what = format!("{root} holds nothing between from and until{but}; check both");
        return Err(OperationError::new(Code::NothingToImport, what));
    }
    Ok(Sources { encoding, foreign: None, joined: true, shards: list.shards })
}

/// An object as it is now, if it is still of the size that the manifest says.
async fn pin(
    engine: &Engine,
    bucket: &dyn BucketStore,
    listed: &Listed,
    selected: Selected,
) -> Result<SourceEntry, OperationError> {
    let (key, object) = (listed.key.clone(), &listed.object.object);
    let wanted = object.checksum;
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
        counts: Some(object.counts),
        index: listed.index.clone(),
        bytes: selected.bytes,
    })
}
