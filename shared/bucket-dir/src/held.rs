//! An upload that is held: nobody else can touch it meanwhile.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata as Stat};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use serde::{Deserialize, Serialize};
use sluice_ports::{Error, ErrorKind, Metadata, PartAnswer, Result};
use sluice_transfer::{Checksum, UploadId};

use crate::error::{at, if_there, of};
use crate::layout::{Key, Layout, is_or_nothing, read_whole, retried, sync_dir};
use crate::object::{DOCUMENT_BYTES, matching, read_document};
use crate::parts::{Line, Part, Place, append, gives_up, replay};

/// Bytes of an upload's log: of some hundred for each part, also where all were written over many times.
const LOG_BYTES: u64 = 64 << 20;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) version: u32,
    pub(crate) key: String,
    pub(crate) metadata: Metadata,
}

/// An open upload that nobody else can touch until this is dropped.
pub(crate) struct Held {
    pub(crate) folder: PathBuf,
    /// Locked.
    pub(crate) data: File,
    pub(crate) document: Document,
}

impl Held {
    pub(crate) fn data_path(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("parts")
    }

    pub(crate) fn size(&self) -> Result<u64> {
        Ok(self.data.metadata().map_err(at("look at", &self.data_path()))?.size())
    }

    pub(crate) fn parts(&self) -> Result<BTreeMap<u64, Part>> {
        let log = self.log();
        let lines = read_whole(&log, LOG_BYTES)?;
        let lines = lines.ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("{} is no log", log.display())))?;
        Ok(replay(&lines))
    }

    /// Bytes of the log, as it is now.
    fn log_len(&self) -> Result<u64> {
        let log = self.log();
        Ok(fs::metadata(&log).map_err(at("look at", &log))?.size())
    }

    /// Whether bytes of a stretch were given up since the log had that length.
    fn is_given_up(&self, place: Place, since: u64) -> Result<bool> {
        let log = self.log();
        let read = || {
            let mut file = File::open(&log)?;
            file.seek(SeekFrom::Start(since))?;
            let mut lines = Vec::new();
            file.take(LOG_BYTES).read_to_end(&mut lines)?;
            Ok(lines)
        };
        Ok(gives_up(&read().map_err(at("read", &log))?, place.offset, place.len))
    }

    /// Writes bytes in their place, and gives the lock back.
    pub(crate) fn write(self, place: Place, bytes: &[u8]) -> Result<Written> {
        let (path, before) = (self.data_path(), self.size()?);
        // Also where nothing lies yet, as parts came out of their order: who knows whether somebody waits for the disk.
        if place.offset < before && place.len > 0 {
            self.begin(place.offset, place.len)?;
        }
        let log_len = self.log_len()?;
        if let Err(error) = self.data.write_all_at(bytes, place.offset) {
            if place.offset >= before {
                // Room for others, where there was none. What stays is no part.
                let _ = self.data.set_len(before);
            }
            return Err(of(error, "write", &path));
        }
        self.data.unlock().map_err(at("unlock", &path))?;
        Ok(Written { data: self.data, path, place, log_len })
    }

    /// Says, durably, that what lies there will be no more.
    pub(crate) fn begin(&self, offset: u64, len: u64) -> Result<()> {
        let log = self.log();
        let append = append(&log, Line::Begin { offset, len });
        append.and_then(|file| file.sync_data()).map_err(at("write", &log))
    }
}

/// Bytes that lie in their place, of an upload that nobody holds for them: they are no part yet.
pub(crate) struct Written {
    pub(crate) data: File,
    path: PathBuf,
    place: Place,
    /// Bytes of the log when they were written.
    log_len: u64,
}

impl Written {
    /// Makes them durable, and looks at the checksum while the disk is waited for. Where either fails they stay until
    /// they are written over or the upload ends: others may lie behind them by now.
    pub(crate) fn sync(&self, key: &Key, bytes: &[u8], checksum: Checksum) -> Result<()> {
        thread::scope(|scope| {
            let syncing = scope.spawn(|| self.data.sync_data().map_err(at("write", &self.path)));
            let matches = matching(key, bytes, checksum);
            syncing.join().unwrap_or_else(|panic| resume_unwind(panic)).and(matches)
        })
    }

    /// Says that they are a part, if nobody wrote over them or ended the upload meanwhile.
    pub(crate) fn log(self, layout: &Layout, key: &Key, id: &UploadId, checksum: Checksum) -> Result<PartAnswer> {
        let Place { number, offset, .. } = self.place;
        let Some(upload) = hold(layout, key, id)? else { return Ok(PartAnswer::NoSuchUpload) };
        if upload.is_given_up(self.place, self.log_len)? {
            let what = format!(
                "'{}': part {number} was written over, or cut off, before it was durable: send it again",
                key.as_str()
            );
            return Err(Error::new(ErrorKind::Unavailable, what));
        }
        let part = Part { offset, checksum };
        let log = upload.log();
        append(&log, Line::Part { number, part }).map_err(at("write", &log))?;
        Ok(PartAnswer::Stored { etag: part.entry().etag })
    }
}

/// Whether an upload's folder and files are such, as far as they are there, and no links: those lead out of the bucket.
pub(crate) fn is_ours(folder: &Path) -> Result<bool> {
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
pub(crate) fn document(folder: &Path) -> Result<Option<Document>> {
    let path = folder.join("upload.json");
    match read_whole(&path, DOCUMENT_BYTES)? {
        Some(json) => read_document(&json, &path),
        None => Ok(None),
    }
}

/// Waits until nobody else holds the upload; none if there is none of this key.
pub(crate) fn hold(layout: &Layout, key: &Key, id: &UploadId) -> Result<Option<Held>> {
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
pub(crate) fn remove(folder: &Path) -> Result<()> {
    let document = folder.join("upload.json");
    if_there(fs::remove_file(&document), "remove", &document)?;
    if_there(fs::remove_dir_all(folder), "remove", folder)?;
    Ok(())
}
