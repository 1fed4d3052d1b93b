//! Uploads in parts: one hidden file that each part is written into at its place.
//!
//! **Invariant.** Who writes to `data`, or links it, holds its exclusive lock and found, under it, that the upload is
//! still one: it has its `upload.json`, and `data` has no other link. The operating system gives a dead holder's lock
//! back, so a late writer either wrote before the object was made, and the log tells what, or finds no upload.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata as Stat};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use serde::{Deserialize, Serialize};
use sluice_ports::{CompleteAnswer, Error, ErrorKind, Metadata, OpenUpload, PartAnswer, Result};
use sluice_transfer::limits::PARTS_PER_OBJECT;
use sluice_transfer::record::PartEntry;
use sluice_transfer::{Checksum, UploadId};

use crate::error::{at, if_there, invalid};
use crate::layout::{Key, Layout, is_or_nothing, new_name, read_whole, retried, sync_dir};
use crate::object::{DOCUMENT_BYTES, VERSION, matching, publish, read_document, to_document};
use crate::parts::{Line, Part, Place, append, replay};

/// Bytes of an upload's log: of some hundred for each part, also where all were written over many times.
const LOG_BYTES: u64 = 64 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    key: String,
    metadata: Metadata,
}

/// An open upload that nobody else can touch until this is dropped.
struct Held {
    folder: PathBuf,
    /// Locked.
    data: File,
    document: Document,
}

impl Held {
    fn data_path(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("parts")
    }

    fn size(&self) -> Result<u64> {
        Ok(self.data.metadata().map_err(at("look at", &self.data_path()))?.size())
    }

    fn parts(&self) -> Result<BTreeMap<u64, Part>> {
        let log = self.log();
        let lines = read_whole(&log, LOG_BYTES)?;
        let lines = lines.ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("{} is no log", log.display())))?;
        Ok(replay(&lines))
    }

    /// Writes durably, and looks at the checksum while the disk is waited for.
    fn write(&self, key: &Key, offset: u64, bytes: &[u8], checksum: Checksum) -> Result<()> {
        let path = self.data_path();
        self.data.write_all_at(bytes, offset).map_err(at("write", &path))?;
        thread::scope(|scope| {
            let syncing = scope.spawn(|| self.data.sync_data().map_err(at("write", &path)));
            let matches = matching(key, bytes, checksum);
            syncing.join().unwrap_or_else(|panic| resume_unwind(panic)).and(matches)
        })
    }

    /// Says, durably, that what lies there will be no more.
    fn begin(&self, offset: u64, len: u64) -> Result<()> {
        let log = self.log();
        let append = append(&log, Line::Begin { offset, len });
        append.and_then(|file| file.sync_data()).map_err(at("write", &log))
    }
}

pub(crate) fn create(layout: &Layout, key: &Key, metadata: Metadata) -> Result<UploadId> {
    // An object that exists is told at the completion; one that can never be, now.
    layout.is_taken(key)?;
    layout.make_hidden()?;
    let document = to_document(&Document { version: VERSION, key: key.as_str().to_owned(), metadata })?;
    let _lock = layout.lock_shared()?;
    let name = new_name()?;
    let folder = layout.uploads().join(&name);
    let make = || -> io::Result<()> {
        fs::create_dir(&folder)?;
        File::create_new(folder.join("data"))?;
        File::create_new(folder.join("parts"))?;
        // Last: with this it is an upload.
        File::create_new(folder.join("upload.json"))?.write_all(&document)
    };
    make().map_err(at("make", &folder))?;
    Ok(UploadId(name))
}

/// Whether an upload's folder and files are such, as far as they are there, and no links: those lead out of the bucket.
fn is_ours(folder: &Path) -> Result<bool> {
    if !is_or_nothing(folder, Stat::is_dir)? {
        return Ok(false);
    }
    for name in ["data", "parts", "upload.json"] {
        if !is_or_nothing(&folder.join(name), Stat::is_file)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What `upload.json` says; none if there is none that is whole. The folder is one of ours.
fn document(folder: &Path) -> Result<Option<Document>> {
    let path = folder.join("upload.json");
    match read_whole(&path, DOCUMENT_BYTES)? {
        Some(json) => read_document(&json, &path),
        None => Ok(None),
    }
}

/// Waits until nobody else holds the upload; none if there is none of this key.
fn hold(layout: &Layout, key: &Key, id: &UploadId) -> Result<Option<Held>> {
    let Some(folder) = layout.upload(id) else { return Ok(None) };
    if !is_ours(&folder)? {
        return Ok(None);
    }
    let path = folder.join("data");
    let opened = File::options().read(true).write(true).open(&path);
    let Some(data) = if_there(opened, "open", &path)? else { return Ok(None) };
    retried(|| data.lock()).map_err(at("lock", &path))?;
    let Some(document) = document(&folder)?.filter(|found| found.key == key.as_str()) else { return Ok(None) };
    if data.metadata().map_err(at("look at", &path))?.nlink() > 1 {
        // Whoever completed it died before he could tidy up, perhaps before the object's entry was durable.
        let parents = layout.make_parents(key)?;
        parents.to_sync().try_for_each(sync_dir)?;
        layout.sync_entry(key)?;
        remove(&folder)?;
        return Ok(None);
    }
    Ok(Some(Held { folder, data, document }))
}

/// Removes an upload. It is gone with the first step, whether or not the others are reached.
fn remove(folder: &Path) -> Result<()> {
    let document = folder.join("upload.json");
    if_there(fs::remove_file(&document), "remove", &document)?;
    if_there(fs::remove_dir_all(folder), "remove", folder)?;
    Ok(())
}

pub(crate) fn part(
    layout: &Layout,
    key: &Key,
    id: &UploadId,
    place: Place,
    bytes: &[u8],
    checksum: Checksum,
) -> Result<PartAnswer> {
    let Place { number, offset, len } = place;
    if !(1..=PARTS_PER_OBJECT).contains(&number)
        || offset.checked_add(len).is_none_or(|end| end > i64::MAX.cast_unsigned())
    {
        return Err(invalid(format!("'{}' has no part {number} from {offset} on", key.as_str())));
    }
    let Some(upload) = hold(layout, key, id)? else { return Ok(PartAnswer::NoSuchUpload) };
    let before = upload.size()?;
    if offset < before {
        // A part that is written over is lost, so it is checked first.
        matching(key, bytes, checksum)?;
        if len > 0 {
            upload.begin(offset, len)?;
        }
    }
    if let Err(error) = upload.write(key, offset, bytes, checksum) {
        if offset >= before {
            // Room for others, where there was none. What stays is no part.
            let _ = upload.data.set_len(before);
        }
        return Err(error);
    }
    let part = Part { offset, checksum };
    let log = upload.log();
    append(&log, Line::Part { number, part }).map_err(at("write", &log))?;
    Ok(PartAnswer::Stored { etag: part.entry().etag })
}

pub(crate) fn list_parts(layout: &Layout, key: &Key, id: &UploadId) -> Result<Option<BTreeMap<u64, PartEntry>>> {
    let Some(upload) = hold(layout, key, id)? else { return Ok(None) };
    Ok(Some(upload.parts()?.iter().map(|(number, part)| (*number, part.entry())).collect()))
}

pub(crate) fn complete(
    layout: &Layout,
    key: &Key,
    id: &UploadId,
    ledger: &[PartEntry],
    checksum: Checksum,
) -> Result<CompleteAnswer> {
    let Some((_, but_last)) = ledger.split_last() else {
        return Err(invalid(format!("'{}': an object is made of one part at least", key.as_str())));
    };
    if but_last.iter().any(|part| part.checksum.len == 0) {
        return Err(invalid(format!("'{}': a part that is not the last cannot be empty", key.as_str())));
    }
    if layout.upload(id).is_none_or(|folder| !folder.exists()) {
        return Ok(CompleteAnswer::NoSuchUpload);
    }
    let _lock = layout.lock_shared()?;
    let Some(upload) = hold(layout, key, id)? else { return Ok(CompleteAnswer::NoSuchUpload) };
    let (size, path) = (upload.size()?, upload.data_path());
    if !is_stored(&upload.parts()?, ledger, checksum) || size < checksum.len {
        return Ok(CompleteAnswer::InvalidPart);
    }
    if size > checksum.len {
        // Parts that the ledger leaves out. They are gone even if there turns out to be an object at the key.
        upload.begin(checksum.len, size - checksum.len)?;
        upload.data.set_len(checksum.len).map_err(at("cut", &path))?;
    }
    match publish(layout, &upload.data, &path, key, checksum, upload.document.metadata.clone())? {
        Some(etag) => {
            // The object is there; what cannot be removed now is swept up later.
            let _ = remove(&upload.folder);
            Ok(CompleteAnswer::Completed { etag })
        }
        None => Ok(CompleteAnswer::Exists),
    }
}

/// Whether the ledger's parts are all there, one behind the other, and the whole's checksum is theirs.
fn is_stored(parts: &BTreeMap<u64, Part>, ledger: &[PartEntry], whole: Checksum) -> bool {
    let mut joined = Checksum::default();
    for (number, entry) in (1..).zip(ledger) {
        match parts.get(&number) {
            Some(part) if part.entry() == *entry && part.offset == joined.len => joined = joined.then(entry.checksum),
            _ => return false,
        }
    }
    joined == whole
}

pub(crate) fn abort(layout: &Layout, key: &Key, id: &UploadId) -> Result<()> {
    match hold(layout, key, id)? {
        Some(upload) => remove(&upload.folder),
        None => Ok(()),
    }
}

/// Names in a directory of ours; none if there is no such directory.
fn names(dir: &Path) -> Result<Vec<String>> {
    let Some(entries) = if_there(fs::read_dir(dir), "list", dir)? else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(at("list", dir))?.file_name().into_string());
    }
    Ok(names)
}

/// The uploads that are open. What is left of completed ones goes.
pub(crate) fn list(layout: &Layout, prefix: &str) -> Result<Vec<OpenUpload>> {
    let mut open = Vec::new();
    for name in names(&layout.uploads())? {
        let id = UploadId(name);
        let Some(folder) = layout.upload(&id) else { continue };
        if !is_ours(&folder)? {
            continue;
        }
        let ours = |found: &Document| found.key.starts_with(prefix) && Key::new(&found.key).is_ok();
        let Some(document) = document(&folder)?.filter(ours) else { continue };
        if is_completed(&folder)? {
            // Whoever completed it died before he could tidy up, and the bucket need not be opened for writing again.
            let _ = sweep_upload(layout, &id, &folder);
        } else {
            open.push(OpenUpload { key: document.key, id });
        }
    }
    open.sort();
    Ok(open)
}

/// Whether the upload's data are an object by now.
fn is_completed(folder: &Path) -> Result<bool> {
    let path = folder.join("data");
    Ok(if_there(fs::metadata(&path), "look at", &path)?.is_none_or(|stat| stat.nlink() > 1))
}

/// Removes what is no upload, what is completed, and bytes of puts, once nobody works on any. What cannot be removed
/// or understood is left: nothing trusts it, and who can may remove it later.
pub(crate) fn sweep(layout: &Layout) {
    let Ok(Some(lock)) = layout.existing_lock() else { return };
    if lock.try_lock().is_err() {
        return;
    }
    for name in names(&layout.puts()).unwrap_or_default() {
        let _ = fs::remove_file(layout.puts().join(name));
    }
    for name in names(&layout.uploads()).unwrap_or_default() {
        let id = UploadId(name);
        if let Some(folder) = layout.upload(&id) {
            let _ = sweep_upload(layout, &id, &folder);
        }
    }
}

fn sweep_upload(layout: &Layout, id: &UploadId, folder: &Path) -> Result<()> {
    if !is_ours(folder)? {
        return Ok(());
    }
    if let Some(document) = document(folder)? {
        if !is_completed(folder)? {
            return Ok(());
        }
        // Holding a completed one finishes it.
        hold(layout, &Key::new(&document.key)?, id)?;
    }
    remove(folder)
}
