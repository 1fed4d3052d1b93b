//! What an import's source is: a manifest, a prefix that holds one, a prefix of any files, or one file.

use sluice_ports::{BucketStore, Listed as File};
use sluice_transfer::manifest::{Document, ExportManifest, SourceEntry};
use sluice_transfer::{BucketUri, LeftOut, ObjectKeys, Reason, check_readable};

use super::folder::{above, is_root_of, why_passed};
use super::foreign::Asked;
use super::list::{Known, ListWriter, Sources};
use super::notes::Notes;
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
    // A slash at the end means the folder, whatever else is called so.
    let may_be_one = !path.is_empty() && !path.ends_with('/');
    let one = if may_be_one { engine.persist(async || bucket.head(path).await).await? } else { None };
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
        return foreign_file(engine, bucket, file, uri, asked, list).await;
    }
    let prefix = if may_be_one { format!("{path}/") } else { path.to_owned() };
    match &manifests(engine, bucket, &prefix, asked).await?[..] {
        [root] => {
            let beside = beside(engine, bucket, &prefix, root, uri, asked).await?;
            let mut sources = from_manifest(engine, bucket, root, asked, bounds, list).await?;
            sources.left_out.merge(beside);
            Ok(sources)
        }
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
async fn manifests(
    engine: &Engine,
    bucket: &dyn BucketStore,
    prefix: &str,
    asked: &Asked,
) -> Result<Vec<String>, OperationError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let listed = page(engine, bucket, prefix, &mut after).await?;
        for file in &listed {
            let name = file.key.rsplit('/').next().unwrap_or_default();
            let candidate = name == ObjectKeys::root() && is_root_of(&file.key[prefix.len()..], asked.all_files);
            if candidate && is_root(engine, bucket, &file.key).await? {
                found.push(file.key.clone());
            }
        }
        if listed.len() < LISTED_AT_ONCE || found.len() > 100 {
            return Ok(found);
        }
    }
}

/// What stands beside an export. In the export's own folder it is left out; around it, it makes unclear what was meant.
async fn beside(
    engine: &Engine,
    bucket: &dyn BucketStore,
    prefix: &str,
    root: &str,
    uri: &BucketUri,
    asked: &Asked,
) -> Result<LeftOut, OperationError> {
    let folder = above(root);
    let mut left_out = engine.persist(async || bucket.left_out(prefix).await).await?;
    let mut others = LeftOut::default();
    let mut after = None;
    loop {
        let files = page(engine, bucket, prefix, &mut after).await?;
        for file in &files {
            let passed = why_passed(file, prefix, asked.all_files);
            match (file.key.strip_prefix(folder), passed) {
                (Some(within), None) if is_of_export(within) => {}
                (Some(within), Some(Reason::Hidden | Reason::Temporary)) if is_of_export(within) => {}
                (_, Some(reason)) => left_out.add(reason, &file.key),
                (Some(_), None) => left_out.add(Reason::NotOfExport, &file.key),
                (None, None) => others.add(Reason::NotOfExport, &file.key),
            }
        }
        if files.len() < LISTED_AT_ONCE {
            break;
        }
    }
    if others.is_empty() {
        return Ok(left_out);
    }
    Err(OperationError::new(
        Code::Invalid,
        format!(
            "{uri} holds an export and other files: name one of them, the export as {}. Beside it: {others}",
            engine.places.object(uri, root)
        ),
    ))
}

/// True for keys, relative to an export's folder, of the kinds that an export writes.
fn is_of_export(relative: &str) -> bool {
    let roots = [ObjectKeys::root(), ObjectKeys::cancelled()];
    roots.contains(&relative) || relative.starts_with("data/shard=") || relative.starts_with("manifest/shard=")
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
    let mut left_out = engine.persist(async || bucket.left_out(prefix).await).await?;
    list.begin(None);
    loop {
        let files = page(engine, bucket, prefix, &mut after).await?;
        let more = files.len() == LISTED_AT_ONCE;
        for file in files {
            if let Some(reason) = why_passed(&file, prefix, asked.all_files) {
                left_out.add(reason, &file.key);
                continue;
            }
            refuse_ours(&file, prefix, uri)?;
            asked.check_length(engine, bucket, &file).await?;
            sample.note(&file);
            list.push(entry(file)).await?;
        }
        if !more {
            break;
        }
    }
    if list.is_empty() {
        return Err(holds_nothing(uri, &left_out));
    }
    sample.check(engine, bucket, asked).await?;
    list.end(Known::default()).await?;
    Ok(Sources { left_out, ..asked.sources(list.shards) })
}

fn holds_nothing(uri: &BucketUri, left_out: &LeftOut) -> OperationError {
    let passed = [Reason::Hidden, Reason::Temporary].iter().any(|reason| left_out.of(*reason) > 0);
    let what = match (left_out.is_empty(), passed) {
        (true, _) => format!("{uri} holds nothing; check the path"),
        (false, true) => format!(
            "{uri} holds nothing that is imported, but {left_out}: take hidden and unfinished files by --all-files \
             (\"allFiles\": true), or name a file"
        ),
        (false, false) => format!("{uri} holds nothing that is imported, but {left_out}: name what is to be imported"),
    };
    OperationError::new(Code::NothingToImport, what)
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
    uri: &BucketUri,
    asked: &Asked,
    mut list: ListWriter<'_>,
) -> Result<Sources, OperationError> {
    list.begin(None);
    asked.check_length(engine, bucket, &file).await?;
    check_readable(&file.key)?;
    let mut sample = Sample::default();
    sample.note(&file);
    sample.check(engine, bucket, asked).await?;
    let folder = format!("{}/", file.key);
    let below = engine.persist(async || bucket.list(&folder, None, 1).await).await?;
    list.push(entry(file)).await?;
    list.end(Known::default()).await?;
    let mut sources = asked.sources(list.shards);
    if !below.is_empty() {
        sources
            .notes
            .push(format!("{uri} is an object, and a folder too; the object is taken: write {uri}/ for the folder"));
    }
    Ok(sources)
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

/// Refuses a part of an export where files of others were to be taken. What was named may lie within an export.
fn refuse_ours(file: &File, prefix: &str, uri: &BucketUri) -> Result<(), OperationError> {
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
    Ok(())
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
    let (mut gaps_within, mut notes) = (0, Notes::default());
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
        notes.extend(range.notes());
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
    let left_out = LeftOut::default();
    Ok(Sources { encoding, foreign: None, joined: true, shards: list.shards, left_out, notes })
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
