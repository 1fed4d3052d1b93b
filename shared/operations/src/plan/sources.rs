//! The kinds of an import's source: a manifest, a prefix that holds one, a prefix of any files, one file, or a list of
//! objects.

use futures::stream::{self, StreamExt};
use sluice_ports::{BucketStore, ErrorKind, Listed as File};
use sluice_transfer::limits::MANIFEST_BYTES;
use sluice_transfer::manifest::{Document, ExportManifest, ShardManifest, SourceEntry};
use sluice_transfer::{BucketUri, Encoding, Format, LeftOut, ObjectKeys, Reason, check_readable, counted, sha256_hex};

use super::folder::{above, is_root_of, why_passed};
use super::foreign::Asked;
use super::keeping::ListWriter;
use super::list::{Known, ListedShard, Sources};
use super::objects;
use super::progress::{Progress, Stage, Unfinished, Within};
use super::range::{Bounds, Selected};
use super::rhythm::refuse_untimed;
use super::sample::Sample;
use crate::archive::is_root;
use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::listing::{Listed, Listing};
use crate::objects::{LISTED_AT_ONCE, get_whole, in_document, page};

/// Requests that are under way at the same time while an export's objects are found and pinned: an archive of a hundred
/// thousand takes one of each object, and its plan has minutes.
const AT_ONCE: usize = 32;
/// Objects that are found before they are pinned.
const FOUND: usize = 256;

/// Finds out what stands at `path` of the bucket, and writes the list of it: however many sources there are, no more
/// than a page of them is held. Goes on where the invocation before left off.
pub(super) async fn find(source: &Source<'_>, list: &mut ListWriter<'_>) -> Result<Sources, Unfinished> {
    loop {
        match list.progress.stage.clone() {
            Stage::Start => list.progress.stage = source.start(list).await?,
            Stage::Search { after, root } => list.progress.stage = source.search(list, after, root).await?,
            Stage::Beside { root, after, others } => {
                source.beside(list, &root, after, others).await?;
                list.progress.stage = Stage::Manifest { root, sha256: None, within: None };
            }
            Stage::Files { after } => source.files(list, after).await?,
            Stage::Objects { list: key, sha256, passed } => {
                let of = (key.as_str(), sha256.as_deref());
                objects::listed(source.engine, source.bucket, of, passed, source.asked, list).await?;
            }
            Stage::Manifest { root, sha256, within } => {
                source.manifest(list, &root, sha256.as_deref(), within).await?;
            }
            Stage::Listed { encoding } => {
                let listed =
                    Progress { stage: list.progress.stage.clone(), ..Progress::new(list.progress.transfer.clone()) };
                let progress = std::mem::replace(&mut list.progress, listed);
                return Ok(progress.into_sources(encoding, source.asked));
            }
        }
    }
}

/// The source of an import, and what is asked of it.
pub(super) struct Source<'a> {
    pub engine: &'a Engine,
    pub bucket: &'a dyn BucketStore,
    pub path: &'a str,
    pub uri: &'a BucketUri,
    pub asked: &'a Asked,
    pub bounds: &'a Bounds,
}

impl Source<'_> {
    /// A slash at the end means the folder, whatever else is called so.
    fn may_be_one(&self) -> bool {
        !self.path.is_empty() && !self.path.ends_with('/')
    }

    /// The prefix of the folder.
    fn prefix(&self) -> String {
        if self.may_be_one() { format!("{}/", self.path) } else { self.path.to_owned() }
    }

    /// Tells an object from a folder.
    async fn start(&self, list: &mut ListWriter<'_>) -> Result<Stage, Unfinished> {
        let path = self.path;
        let one = if self.may_be_one() { self.bucket.head(path).await? } else { None };
        let Some(info) = one else { return Ok(Stage::Search { after: None, root: None }) };
        let name = path.rsplit('/').next().unwrap_or_default();
        // One that is called so and begins otherwise is a damaged one: saying what is wrong with it is the
        // manifest's reader's business.
        let is_named = [ObjectKeys::root(), ObjectKeys::cancelled()].contains(&name);
        if is_root(self.bucket, path).await? {
            return Ok(Stage::Manifest { root: path.to_owned(), sha256: None, within: None });
        }
        if objects::is_list(self.bucket, path).await? {
            self.bounds.refuse()?;
            return Ok(Stage::Objects { list: path.to_owned(), sha256: None, passed: 0 });
        }
        // Other programs write files of that name, too: with a format given they are data.
        if is_named && !self.asked.said {
            let what = "; if it is no manifest of Sluice's, say what it holds (--format) to import it as a file";
            let named = |error| match error {
                Unfinished::Refused(error) => {
                    Unfinished::Refused(OperationError::new(error.code, format!("{}{what}", error.message)))
                }
                unfinished => unfinished,
            };
            self.manifest(list, path, None, None).await.map_err(named)?;
            return Ok(list.progress.stage.clone());
        }
        self.bounds.refuse()?;
        self.file(list, File { key: path.to_owned(), size: info.size, etag: info.etag }).await?;
        Ok(Stage::Listed { encoding: None })
    }

    /// Roots of manifests below the prefix; more than a message shows are not looked for.
    async fn search(
        &self,
        list: &mut ListWriter<'_>,
        mut after: Option<String>,
        root: Option<String>,
    ) -> Result<Stage, Unfinished> {
        let (bucket, prefix) = (self.bucket, self.prefix());
        let mut found: Vec<String> = root.into_iter().collect();
        loop {
            let listed = page(bucket, &prefix, &mut after).await?;
            for file in &listed {
                let name = file.key.rsplit('/').next().unwrap_or_default();
                let candidate =
                    name == ObjectKeys::root() && is_root_of(&file.key[prefix.len()..], self.asked.all_files);
                if candidate && is_root(bucket, &file.key).await? {
                    found.push(file.key.clone());
                }
            }
            let is_refused = found.len() > 1 && (found.len() > 100 || list.is_late());
            if listed.len() < LISTED_AT_ONCE || is_refused {
                break;
            }
            if list.is_due() && found.len() <= 1 {
                list.reached(Stage::Search { after: after.clone(), root: found.first().cloned() }).await?;
            }
        }
        match &found[..] {
            [root] => Ok(Stage::Beside { root: root.clone(), after: None, others: LeftOut::default() }),
            [] => {
                self.bounds.refuse()?;
                Ok(Stage::Files { after: None })
            }
            several => {
                let shown: Vec<_> = several.iter().take(20).map(String::as_str).collect();
                let what =
                    format!("{} holds {} manifests; name one of them: {}", self.uri, several.len(), shown.join(", "));
                Err(OperationError::new(Code::SeveralManifests, what).into())
            }
        }
    }

    /// Files beside an export. In the export's own folder they are left out; around it, they make unclear what was
    /// meant.
    async fn beside(
        &self,
        list: &mut ListWriter<'_>,
        root: &str,
        mut after: Option<String>,
        mut others: LeftOut,
    ) -> Result<(), Unfinished> {
        let (bucket, prefix, uri, folder) = (self.bucket, self.prefix(), self.uri, above(root));
        if after.is_none() {
            list.progress.left_out = bucket.left_out(&prefix).await?;
        }
        loop {
            let files = page(bucket, &prefix, &mut after).await?;
            let left_out = &mut list.progress.left_out;
            for file in &files {
                let passed = why_passed(file, &prefix, self.asked.all_files);
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
            if list.is_due() {
                let (root, after, others) = (root.to_owned(), after.clone(), others.clone());
                list.reached(Stage::Beside { root, after, others }).await?;
            }
        }
        if others.is_empty() {
            return Ok(());
        }
        let what = format!(
            "{uri} holds an export and other files: name one of them, the export as {}. Beside it: {others}",
            self.engine.places().object(uri, root)
        );
        Err(OperationError::new(Code::Invalid, what).into())
    }

    /// All files of a folder.
    async fn files(&self, list: &mut ListWriter<'_>, mut after: Option<String>) -> Result<(), Unfinished> {
        let (bucket, prefix, uri, asked) = (self.bucket, self.prefix(), self.uri, self.asked);
        if after.is_none() {
            list.progress.left_out = bucket.left_out(&prefix).await?;
            list.begin(None);
        }
        loop {
            let files = page(bucket, &prefix, &mut after).await?;
            let more = files.len() == LISTED_AT_ONCE;
            for file in files {
                if let Some(reason) = why_passed(&file, &prefix, asked.all_files) {
                    list.progress.left_out.add(reason, &file.key);
                    continue;
                }
                refuse_ours(&file, &prefix, uri)?;
                asked.check_length(self.engine, bucket, &file).await?;
                let entry = entry(file);
                list.progress.sample.note(&entry);
                list.push(entry).await?;
            }
            if !more {
                break;
            }
            if list.is_due() {
                list.reached(Stage::Files { after: after.clone() }).await?;
            }
        }
        if list.is_empty() {
            return Err(holds_nothing(uri, &list.progress.left_out).into());
        }
        let first = std::mem::take(&mut list.progress.sample).check(bucket, asked).await?;
        list.end(Known { first, ..Known::default() }).await?;
        list.listed(Stage::Listed { encoding: None }).await
    }

    /// One file that was named. It is taken for what it is, also if it belongs to an export.
    async fn file(&self, list: &mut ListWriter<'_>, file: File) -> Result<(), OperationError> {
        let (bucket, uri) = (self.bucket, self.uri);
        list.begin(None);
        self.asked.check_length(self.engine, bucket, &file).await?;
        check_readable(&file.key)?;
        let folder = format!("{}/", file.key);
        let entry = entry(file);
        let mut sample = Sample::default();
        sample.note(&entry);
        let first = sample.check(bucket, self.asked).await?;
        let below = bucket.list(&folder, None, 1).await;
        list.push(entry).await?;
        list.end(Known { first, ..Known::default() }).await?;
        let but = format!("the object is taken: write {uri}/ for the folder");
        match below {
            Ok(below) if below.is_empty() => {}
            Ok(_) => list.progress.notes.push(format!("{uri} is an object, and a folder too; {but}")),
            // The listing serves this note alone. Reading one object needs no right to list its bucket.
            Err(error) if error.kind() == ErrorKind::Denied => {
                let what = format!("{uri} is an object; whether it is a folder too cannot be seen ({error}); {but}");
                list.progress.notes.push(what);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// An export, by its manifest: everything that can be known without reading the objects is checked now.
    async fn manifest(
        &self,
        list: &mut ListWriter<'_>,
        root: &str,
        sha256: Option<&str>,
        mut within: Option<Box<Within>>,
    ) -> Result<(), Unfinished> {
        if self.asked.said {
            let what = format!(
                "{root} says what its objects are: leave out format, compression and fields, which are for files of others"
            );
            return Err(OperationError::new(Code::Invalid, what).into());
        }
        let (manifest, sha256) = self.read_root(root, sha256).await?;
        let stage = |within| Stage::Manifest { root: root.to_owned(), sha256: Some(sha256.clone()), within };
        let encoding = manifest.encoding();
        let through = list.progress.shards.len() - usize::from(within.is_some());
        for shard in manifest.shards.iter().skip(through) {
            self.shard(list, encoding, (root, shard), within.take(), &stage).await?;
            if list.is_due() {
                list.reached(stage(None)).await?;
            }
        }
        list.count_alike();
        if self.bounds.said && list.holds_nothing() {
            let but = match list.progress.shards.iter().map(ListedShard::gaps).sum::<usize>() {
                0 => String::new(),
                gaps => {
                    let gaps = counted(gaps as u64, "gap");
                    format!(" but {gaps}, whose events were lost before they could be exported")
                }
            };
            let what = format!("{root} holds nothing between from and until{but}; check both");
            return Err(OperationError::new(Code::NothingToImport, what).into());
        }
        list.listed(Stage::Listed { encoding: Some((encoding.format, encoding.compression)) }).await
    }

    /// The root of an export's manifest, and the SHA-256 of its bytes. A plan goes on only with the one that it began
    /// with.
    async fn read_root(&self, root: &str, sha256: Option<&str>) -> Result<(ExportManifest, String), OperationError> {
        let bytes = get_whole(self.bucket, root, MANIFEST_BYTES).await?;
        let found = sha256_hex(&bytes);
        if sha256.is_some_and(|sha256| sha256 != found) {
            let what = format!("{root} changed while the import was planned: plan it again");
            return Err(OperationError::new(Code::ObjectChanged, what));
        }
        let manifest = ExportManifest::from_bytes(&bytes).map_err(|error| in_document(root, error))?;
        manifest.check().map_err(|error| in_document(root, error))?;
        self.bounds.check(&manifest)?;
        if self.asked.in_rhythm && manifest.encoding().format == Format::Raw {
            let what = format!(
                "{root} is an export of raw objects, which hold no times: export the stream again with format avro or jsonl"
            );
            return Err(refuse_untimed(&what));
        }
        Ok((manifest, found))
    }

    /// The objects of one shard of an export. `stage` is where a plan stands that leaves off within it.
    async fn shard(
        &self,
        list: &mut ListWriter<'_>,
        encoding: Encoding,
        (root, shard): (&str, &ShardManifest),
        within: Option<Box<Within>>,
        stage: &impl Fn(Option<Box<Within>>) -> Stage,
    ) -> Result<(), Unfinished> {
        let (bucket, in_rhythm) = (self.bucket, self.asked.in_rhythm);
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut range = self.bounds.of_shard(self.engine, encoding, shard);
        let (mut place, mut first) = (None, None);
        match within {
            Some(within) => {
                range = range.going_on(within.range);
                (place, first) = (Some(within.place), within.first);
            }
            None => list.begin(Some(shard.shard.clone())),
        }
        let mut listing = Listing::new(bucket, folder, shard, place).at_once(AT_ONCE);
        let mut found = Vec::new();
        while let Some(listed) = listing.next().await? {
            if let Some(selected) = range.select(&listing, &listed).await? {
                if in_rhythm && first.is_none() {
                    first = range.first_time(&listing, &listed, &selected).await?;
                }
                found.push(of_manifest(&listed, selected));
            }
            listing.pass(listed);
            let is_due = list.is_due();
            if found.len() >= FOUND || is_due {
                push_pinned(bucket, &mut found, list).await?;
            }
            if is_due {
                let within = Within { place: listing.at(), range: range.state(), first };
                list.reached(stage(Some(Box::new(within)))).await?;
            }
        }
        push_pinned(bucket, &mut found, list).await?;
        let gaps: Vec<_> = range.gaps(&shard.gaps).cloned().collect();
        list.progress.notes.extend(range.notes());
        let taken = range.taken();
        let (range, times) = (self.bounds.said.then_some(taken.range), taken.times);
        let (parents, hashes, aggregates) = (shard.parents.clone(), shard.hashes, shard.aggregates);
        list.end(Known { counts: taken.counts, range, gaps, parents, hashes, aggregates, first, times }).await?;
        Ok(())
    }
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
    if ObjectKeys::has_form(&file.key) || ObjectKeys::has_form(&named) {
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
