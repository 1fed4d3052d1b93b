//! What an import's source is: a manifest, a prefix that holds one, a prefix of any files, or one file.

use sluice_formats::Inflater;
use sluice_ports::{BucketStore, Listed};
use sluice_transfer::manifest::{Document, ExportManifest, ManifestObject, SourceEntry};
use sluice_transfer::{
    BucketUri, Compression, Encoding, FieldNames, Format, ImportRequest, Inflate, ObjectKeys, ShardId, check_key,
    recognise,
};

use super::list::{ListWriter, ListedShard};
use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::listing::Listing;
use crate::objects::{get_document, in_document};

/// Objects asked for in one listing.
const LISTED_AT_ONCE: usize = 1_000;

/// How files that are no export's are to be read.
pub(super) struct Asked {
    pub format: Format,
    pub inflate: bool,
    pub fields: FieldNames,
    /// One of these was said.
    said: bool,
}

impl Asked {
    pub(super) fn of(request: &ImportRequest) -> Result<Self, OperationError> {
        let name = |field: &Option<String>, what: &str| match field {
            Some(name) if name.is_empty() || name.len() > LONGEST_NAME => Err(OperationError::new(
                Code::OutOfRange,
                format!("{what}: the name of a field has 1 to {LONGEST_NAME} bytes"),
            )),
            name => Ok(name.clone()),
        };
        let fields = FieldNames {
            payload: name(&request.payload_field, "payloadField")?,
            key: name(&request.key_field, "keyField")?,
            time: name(&request.time_field, "timeField")?,
        };
        let said = request.format.is_some() || request.compression.is_some() || !fields.is_empty();
        let format = request.format.unwrap_or(Format::Raw);
        let refused = |why: &str| Err(OperationError::new(Code::Invalid, why.to_owned()));
        match format {
            Format::Raw | Format::Lines if !fields.is_empty() => {
                return refused("payloadField, keyField and timeField are fields of records: say format jsonl or avro");
            }
            Format::Avro if !fields.is_empty() && fields.payload.is_none() => {
                return refused("payloadField: say which field of the records is the payload");
            }
            Format::Avro if request.compression == Some(Inflate::Auto) => {
                return refused("compression: Avro's files say themselves how they are compressed");
            }
            _ => {}
        }
        // Raw bytes are any bytes: those of a compressed file stay what they are unless it is asked for.
        let inflate = match request.compression {
            Some(asked) => asked == Inflate::Auto,
            None => matches!(format, Format::Lines | Format::Jsonl),
        };
        Ok(Self { format, inflate, fields, said })
    }

    fn encoding(&self) -> Encoding {
        Encoding { format: self.format, compression: Compression::Plain }
    }
}

/// Bytes of a field's name.
const LONGEST_NAME: usize = 256;

/// What is to be imported. The sources themselves are in the list that was written.
pub(super) struct Sources {
    pub encoding: Encoding,
    /// Whether they are files that no export wrote.
    pub foreign: bool,
    /// Whether events go on from one source in the next.
    pub joined: bool,
    /// By shard of the source; one for foreign files.
    pub shards: Vec<ListedShard>,
}

impl Sources {
    /// The shards that the sources come from.
    pub(super) fn names(&self) -> Vec<Option<ShardId>> {
        self.shards.iter().map(|shard| shard.source.clone()).collect()
    }
}

/// Finds out what stands at `path` of the bucket, and writes the list of it: however many sources there are, no more
/// than a page of them is held.
pub(super) async fn find(
    engine: &Engine,
    bucket: &dyn BucketStore,
    path: &str,
    uri: &BucketUri,
    asked: &Asked,
    list: ListWriter<'_>,
) -> Result<Sources, OperationError> {
    let one = if path.is_empty() { None } else { engine.persist(async || bucket.head(path).await).await? };
    if let Some(info) = one {
        let name = path.rsplit('/').next().unwrap_or_default();
        // One that is called so and begins otherwise is a damaged one: saying what is wrong with it is the
        // manifest's reader's business.
        if [ObjectKeys::root(), ObjectKeys::cancelled()].contains(&name) || is_root(engine, bucket, path).await? {
            return from_manifest(engine, bucket, path, asked, list).await;
        }
        let file = Listed { key: path.to_owned(), size: info.size, etag: info.etag };
        return foreign(engine, bucket, vec![file], asked, list).await;
    }
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    match &manifests(engine, bucket, &prefix).await?[..] {
        [root] => from_manifest(engine, bucket, root, asked, list).await,
        [] => foreign_prefix(engine, bucket, &prefix, uri, asked, list).await,
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
) -> Result<Vec<Listed>, OperationError> {
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
    let mut after = None;
    list.begin(None);
    loop {
        let files = page(engine, bucket, prefix, &mut after).await?;
        let more = files.len() == LISTED_AT_ONCE;
        for file in files {
            check_length(engine, bucket, &file, asked).await?;
            list.push(foreign_entry(file)?).await?;
        }
        if !more {
            break;
        }
    }
    if list.is_empty() {
        return Err(OperationError::new(Code::NothingToImport, format!("{uri} holds nothing; check the path")));
    }
    list.end(None, Vec::new()).await?;
    Ok(Sources { encoding: asked.encoding(), foreign: true, joined: false, shards: list.shards })
}

/// Whether a file begins as the root of an export's manifest does. Whether it is whole is found out later.
async fn is_root(engine: &Engine, bucket: &dyn BucketStore, key: &str) -> Result<bool, OperationError> {
    let start = format!("{{\"sluice\":\"{}\"", ExportManifest::KIND);
    let len = start.len() as u64;
    let head = engine.persist(async || bucket.get(key, None, 0, len).await).await?;
    Ok(head == start.as_bytes())
}

/// Given files, each a source.
async fn foreign(
    engine: &Engine,
    bucket: &dyn BucketStore,
    files: Vec<Listed>,
    asked: &Asked,
    mut list: ListWriter<'_>,
) -> Result<Sources, OperationError> {
    list.begin(None);
    for file in files {
        check_length(engine, bucket, &file, asked).await?;
        // One that was named is taken for what it is, also if it belongs to an export.
        check_key(&file.key)?;
        list.push(entry(file)).await?;
    }
    list.end(None, Vec::new()).await?;
    Ok(Sources { encoding: asked.encoding(), foreign: true, joined: false, shards: list.shards })
}

/// Refuses a compressed stream that is too long to be read from its beginning in every slice. Only files of some size
/// are looked at: what a smaller one inflates to, a slice gets through.
async fn check_length(
    engine: &Engine,
    bucket: &dyn BucketStore,
    file: &Listed,
    asked: &Asked,
) -> Result<(), OperationError> {
    let longest = engine.settings.longest_stream;
    if !asked.inflate || file.size <= longest {
        return Ok(());
    }
    let read =
        async |at: u64, len: u64| engine.persist(async || bucket.get(&file.key, Some(&file.etag), at, len).await).await;
    let compression = recognise(&read(0, 4).await?);
    if compression == Compression::Plain {
        return Ok(());
    }
    let (mut inflater, mut at) = (Inflater::new(compression), 0);
    while at < longest {
        let bytes = read(at, engine.settings.read_bytes as u64).await?;
        at += bytes.len() as u64;
        inflater.feed(bytes);
        loop {
            match inflater.piece() {
                Ok(Some(piece)) if piece.place(piece.bytes.len()).within == 0 => return Ok(()),
                Ok(Some(_)) => {}
                Ok(None) => break,
                // What is wrong with it is said when it is read.
                Err(_) => return Ok(()),
            }
        }
    }
    Err(OperationError::new(
        Code::OutOfRange,
        format!(
            "{} is one compressed stream of more than {longest} bytes. Such a stream can only be read from its \
             beginning, so no slice could go on with it: inflate it, or compress it in pieces, each a stream of its own",
            file.key
        ),
    ))
}

fn entry(file: Listed) -> SourceEntry {
    SourceEntry { key: file.key, size: file.size, etag: file.etag, checksum: None, counts: None }
}

fn foreign_entry(file: Listed) -> Result<SourceEntry, OperationError> {
    if is_ours(&file.key) {
        return Err(OperationError::new(
            Code::ManifestInvalid,
            format!(
                "{} belongs to an export whose manifest is not there, so it is not complete or not all of it is here: \
                 finish that export first, or name a single file",
                file.key
            ),
        ));
    }
    check_key(&file.key)?;
    Ok(entry(file))
}

/// Whether a key has the form of an export's data: `…/data/shard=…`.
fn is_ours(key: &str) -> bool {
    let mut parents = key.rsplit('/').skip(1);
    let shard = parents.next().is_some_and(|segment| segment.starts_with("shard="));
    shard && parents.next() == Some("data")
}

/// An export, by its manifest: everything that can be known without reading the objects is checked now.
async fn from_manifest(
    engine: &Engine,
    bucket: &dyn BucketStore,
    root: &str,
    asked: &Asked,
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
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    for shard in &manifest.shards {
        list.begin(Some(shard.shard.clone()));
        let mut listing = Listing::new(engine, bucket, folder, shard, None);
        while let Some(listed) = listing.next().await? {
            list.push(pin(engine, bucket, listed.key.clone(), &listed.object).await?).await?;
            listing.pass(listed);
        }
        list.end(Some(shard.counts), shard.gaps.clone()).await?;
    }
    let encoding = Encoding { format: manifest.format, compression: manifest.compression };
    Ok(Sources { encoding, foreign: false, joined: true, shards: list.shards })
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
