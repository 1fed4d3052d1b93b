//! The kinds of an import's source: a manifest, a prefix that holds one, a prefix of any files, or one file.

use futures::stream::{self, StreamExt};
use sluice_ports::{BucketStore, ErrorKind, Listed as File};
use sluice_transfer::manifest::{Document, ExportManifest, SourceEntry};
use sluice_transfer::{BucketUri, Format, LeftOut, ObjectKeys, Reason, check_readable, counted};

use super::folder::{above, is_root_of, why_passed};
use super::foreign::Asked;
use super::list::{Known, ListWriter, Sources};
use super::notes::Notes;
use super::range::{Bounds, Selected};
use super::rhythm::refuse_untimed;
use super::sample::Sample;
use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::listing::{Listed, Listing};
use crate::objects::{get_document, in_document};

/// Objects asked for in one listing.
const LISTED_AT_ONCE: usize = 1_000;
/// Requests that are under way at the same time while an export's objects are found and pinned: an archive of a hundred
/// thousand takes one of each object, and its plan has minutes.
const AT_ONCE: usize = 32;
/// Objects that are found before they are pinned.
const FOUND: usize = 256;

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
    let one = if may_be_one { bucket.head(path).await? } else { None };
    if let Some(info) = one {
        let name = path.rsplit('/').next().unwrap_or_default();
        // One that is called so and begins otherwise is a damaged one: saying what is wrong with it is the
        // manifest's reader's business.
        let is_named = [ObjectKeys::root(), ObjectKeys::cancelled()].contains(&name);
        if is_root(bucket, path).await? {
            return from_manifest(engine, bucket, path, asked, bounds, list).await;
        }
        // Other programs write files of that name, too: with a format given they are data.
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
    match &manifests(bucket, &prefix, asked).await?[..] {
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
async fn page(bucket: &dyn BucketStore, prefix: &str, after: &mut Option<String>) -> Result<Vec<File>, OperationError> {
    let page = bucket.list(prefix, after.as_deref(), LISTED_AT_ONCE).await?;
    if let Some(last) = page.last() {
        *after = Some(last.key.clone());
    }
    Ok(page)
}

/// Roots of manifests below a prefix; more than a message shows are not looked for.
async fn manifests(bucket: &dyn BucketStore, prefix: &str, asked: &Asked) -> Result<Vec<String>, OperationError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let listed = page(bucket, prefix, &mut after).await?;
        for file in &listed {
            let name = file.key.rsplit('/').next().unwrap_or_default();
            let candidate = name == ObjectKeys::root() && is_root_of(&file.key[prefix.len()..], asked.all_files);
            if candidate && is_root(bucket, &file.key).await? {
                found.push(file.key.clone());
            }
        }
        if listed.len() < LISTED_AT_ONCE || found.len() > 100 {
            return Ok(found);
        }
    }
}

/// Files beside an export. In the export's own folder they are left out; around it, they make unclear what was meant.
async fn beside(
    engine: &Engine,
    bucket: &dyn BucketStore,
    prefix: &str,
    root: &str,
    uri: &BucketUri,
    asked: &Asked,
) -> Result<LeftOut, OperationError> {
    let folder = above(root);
    let mut left_out = bucket.left_out(prefix).await?;
    let mut others = LeftOut::default();
    let mut after = None;
    loop {
        let files = page(bucket, prefix, &mut after).await?;
        for file in &files {
            let passed = why_passed(file, prefix, asked.all_files);
            match (file.key.strip_prefix(folder), passed) {
                (Some(within), None) if ObjectKeys::is_own(within) => {}
                (Some(within), Some(Reason::Hidden | Reason::Temporary)) if ObjectKeys::is_own(within) => {}
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
            engine.places().object(uri, root)
        ),
    ))
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
    let mut left_out = bucket.left_out(prefix).await?;
    list.begin(None);
    loop {
        let files = page(bucket, prefix, &mut after).await?;
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
    let first = sample.check(bucket, asked).await?;
    list.end(Known { first, ..Known::default() }).await?;
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
async fn is_root(bucket: &dyn BucketStore, key: &str) -> Result<bool, OperationError> {
    let start = format!("{{\"sluice\":\"{}\"", ExportManifest::KIND);
    let len = start.len() as u64;
    let head = bucket.get(key, None, 0, len).await?;
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
    let first = sample.check(bucket, asked).await?;
    let folder = format!("{}/", file.key);
    let below = bucket.list(&folder, None, 1).await;
    list.push(entry(file)).await?;
    list.end(Known { first, ..Known::default() }).await?;
    let mut sources = asked.sources(list.shards);
    let but = format!("the object is taken: write {uri}/ for the folder");
    match below {
        Ok(below) if below.is_empty() => {}
        Ok(_) => sources.notes.push(format!("{uri} is an object, and a folder too; {but}")),
        // The listing serves this note alone. To read one object nobody needs the right to list its bucket.
        Err(error) if error.kind() == ErrorKind::Denied => {
            sources
                .notes
                .push(format!("{uri} is an object; whether it is a folder too cannot be seen ({error}); {but}"));
        }
        Err(error) => return Err(error.into()),
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

/// True if a key has the form of an export's data or of its manifest: `…/data/shard=…`, `…/manifest/shard=…`.
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
    let manifest: ExportManifest = get_document(bucket, root, None).await?;
    manifest.check().map_err(|error| in_document(root, error))?;
    bounds.check(&manifest)?;
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    let encoding = manifest.encoding();
    if asked.in_rhythm && encoding.format == Format::Raw {
        let what = format!(
            "{root} is an export of raw objects, which hold no times: export the stream again with format avro or jsonl"
        );
        return Err(refuse_untimed(&what));
    }
    let (mut gaps_within, mut notes) = (0, Notes::default());
    for shard in &manifest.shards {
        list.begin(Some(shard.shard.clone()));
        let mut range = bounds.of_shard(engine, encoding, shard);
        let mut listing = Listing::new(bucket, folder, shard, None).at_once(AT_ONCE);
        let (mut found, mut first) = (Vec::new(), None);
        while let Some(listed) = listing.next().await? {
            if let Some(selected) = range.select(&listing, &listed).await? {
                if asked.in_rhythm && first.is_none() {
                    first = range.first_time(&listing, &listed, &selected).await?;
                }
                found.push(of_manifest(&listed, selected));
            }
            listing.pass(listed);
            if found.len() >= FOUND {
                push_pinned(bucket, &mut found, &mut list).await?;
            }
        }
        push_pinned(bucket, &mut found, &mut list).await?;
        let gaps: Vec<_> = range.gaps(&shard.gaps).cloned().collect();
        gaps_within += gaps.len();
        notes.extend(range.notes());
        let taken = range.taken();
        let (range, times) = (bounds.said.then_some(taken.range), taken.times);
        let (parents, hashes, aggregates) = (shard.parents.clone(), shard.hashes, shard.aggregates);
        list.end(Known { counts: taken.counts, range, gaps, parents, hashes, aggregates, first, times }).await?;
    }
    list.count_alike();
    if bounds.said && list.holds_nothing() {
        let but = match gaps_within {
            0 => String::new(),
            gaps => {
                format!(" but {}, whose events were lost before they could be exported", counted(gaps as u64, "gap"))
            }
        };
        let what = format!("{root} holds nothing between from and until{but}; check both");
        return Err(OperationError::new(Code::NothingToImport, what));
    }
    let left_out = LeftOut::default();
    Ok(Sources { encoding, foreign: None, joined: true, shards: list.shards, left_out, notes })
}

/// What a manifest says of an object. It is pinned once the bucket has said what is there.
fn of_manifest(listed: &Listed, selected: Selected) -> SourceEntry {
    let object = &listed.object.object;
    SourceEntry {
        key: listed.key.clone(),
        size: object.checksum.len,
        etag: String::new(),
        checksum: Some(object.checksum),
        counts: Some(object.counts),
        index: listed.index.clone(),
        bytes: selected.bytes,
    }
}

/// Pins objects, several at the same time, and lists them in their order.
async fn push_pinned(
    bucket: &dyn BucketStore,
    found: &mut Vec<SourceEntry>,
    list: &mut ListWriter<'_>,
) -> Result<(), OperationError> {
    let mut pinned = stream::iter(found.drain(..).map(|entry| pinned(bucket, entry))).buffered(AT_ONCE);
    while let Some(entry) = pinned.next().await {
        list.push(entry?).await?;
    }
    Ok(())
}

/// An object as it is now, if it still is what the manifest says.
async fn pinned(bucket: &dyn BucketStore, entry: SourceEntry) -> Result<SourceEntry, OperationError> {
    let key = &entry.key;
    let Some(info) = bucket.head(key).await? else {
        return Err(OperationError::new(Code::ObjectMissing, format!("{key} is missing, but the manifest names it")));
    };
    if info.size != entry.size {
        return Err(OperationError::new(
            Code::ObjectDamaged,
            format!("{key} has {} bytes; the manifest says {}: it was cut off or replaced", info.size, entry.size),
        ));
    }
    if info.checksum.is_some_and(|checksum| entry.checksum != Some(checksum)) {
        return Err(OperationError::new(
            Code::ObjectDamaged,
            format!("{key} has another checksum than the manifest says"),
        ));
    }
    Ok(SourceEntry { etag: info.etag, ..entry })
}
