//! Objects: what a file says of itself, reading it, and the one way in which it comes to be.

use std::fs::{self, File, Metadata as Stat};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sluice_ports::{Error, ErrorKind, Metadata, ObjectInfo, PutAnswer, Result};
use sluice_transfer::Checksum;

use crate::error::{at, if_there, invalid, is_absent, of};
use crate::layout::{Found, Key, Layout, new_name, read_whole, sync_dir};

/// Version of every JSON document of this crate, and of the layout.
pub(crate) const VERSION: u32 = 1;

/// Bytes of a document, far more than any has.
pub(crate) const DOCUMENT_BYTES: u64 = 1 << 20;

/// Of every version we know only this much.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    key: String,
    etag: String,
    checksum: Checksum,
    metadata: Metadata,
}

/// What a whole document of ours says; none if it is none. `Newer` if a newer version wrote it.
pub(crate) fn read_document<'a, T: Deserialize<'a>>(json: &'a [u8], path: &Path) -> Result<Option<T>> {
    match serde_json::from_slice::<Versioned>(json) {
        Ok(found) if found.version > VERSION => Err(Error::new(
            ErrorKind::Newer,
            format!("{} has version {}; this Sluice reads up to {VERSION}", path.display(), found.version),
        )),
        Ok(_) => Ok(serde_json::from_slice(json).ok()),
        Err(_) => Ok(None),
    }
}

pub(crate) fn to_document(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::with(ErrorKind::Invalid, "metadata that are no JSON", error))
}

/// Of a file as it is: any other content has another one, as far as the file system tells times apart.
pub(crate) fn etag(stat: &Stat) -> String {
    let nanos = i128::from(stat.mtime()) * 1_000_000_000 + i128::from(stat.mtime_nsec());
    format!("{:x}-{:x}-{nanos}", stat.ino(), stat.size())
}

pub(crate) fn matching(key: &Key, bytes: &[u8], checksum: Checksum) -> Result<()> {
    let found = Checksum::of(bytes);
    if found == checksum {
        return Ok(());
    }
    Err(invalid(format!("'{}': the bytes have the checksum {found}, not {checksum}", key.as_str())))
}

pub(crate) fn head(layout: &Layout, key: &Key) -> Result<Option<ObjectInfo>> {
    let Found::Object(stat) = layout.find(key)? else { return Ok(None) };
    let etag = etag(&stat);
    let path = layout.object_metadata(key, &etag);
    let document: Option<Document> = match read_whole(&path, DOCUMENT_BYTES)? {
        Some(json) => read_document(&json, &path)?,
        None => None,
    };
    // The name is a hash of both; a document that was put there by hand could still be another's.
    let ours = document.filter(|found| found.etag == etag && found.key == key.as_str());
    let (metadata, checksum) = ours.map_or_else(Default::default, |found| (found.metadata, Some(found.checksum)));
    Ok(Some(ObjectInfo { size: stat.size(), etag, metadata, checksum }))
}

pub(crate) fn get(layout: &Layout, key: &Key, pin: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
    let path = layout.path(key);
    let not_found = || Error::new(ErrorKind::NotFound, format!("there is no object {}", path.display()));
    let changed = || Error::new(ErrorKind::Changed, format!("{} is no longer what it was", path.display()));
    // Looked at before it is opened: opening a pipe would wait for its writer.
    let Found::Object(seen) = layout.find(key)? else { return Err(not_found()) };
    let file = if_there(File::open(&path), "open", &path)?.ok_or_else(not_found)?;
    let before = file.metadata().map_err(at("look at", &path))?;
    if (before.dev(), before.ino()) != (seen.dev(), seen.ino()) {
        // Replaced between the two looks; what was opened could be anything.
        return Err(if pin.is_some() { changed() } else { Error::new(ErrorKind::Unavailable, changed().to_string()) });
    }
    if pin.is_some_and(|pin| pin != etag(&before)) {
        return Err(changed());
    }
    let len = len.min(before.size().saturating_sub(offset));
    let mut bytes = Vec::new();
    if len > 0 {
        bytes.try_reserve_exact(usize::try_from(len).unwrap_or(usize::MAX)).map_err(|error| {
            Error::with(ErrorKind::Invalid, format!("{len} bytes of {} are too many at once", path.display()), error)
        })?;
        let mut reader = &file;
        reader.seek(SeekFrom::Start(offset)).map_err(at("read", &path))?;
        reader.take(len).read_to_end(&mut bytes).map_err(at("read", &path))?;
    }
    if pin.is_some() && etag(&file.metadata().map_err(at("look at", &path))?) != etag(&before) {
        return Err(changed());
    }
    Ok(bytes.into())
}

/// Takes an object away, if it has that etag; answers whether it was there.
pub(crate) fn remove(layout: &Layout, key: &Key, etag: &str) -> Result<bool> {
    let path = layout.path(key);
    let was_there = match layout.find(key)? {
        Found::Object(stat) if self::etag(&stat) == etag => {
            if_there(fs::remove_file(&path), "remove", &path)?.is_some()
        }
        Found::Object(_) => {
            return Err(Error::new(ErrorKind::Changed, format!("{} is no longer what it was", path.display())));
        }
        Found::Nothing => false,
        Found::Blocked(why) => return Err(why),
    };
    // Also what an earlier removal left that was cut off.
    let described = layout.object_metadata(key, etag);
    if_there(fs::remove_file(&described), "remove", &described)?;
    layout.remove_empty_parents(key)?;
    Ok(was_there)
}

/// A hidden file of one put, removed when the put is over.
struct Hidden(PathBuf);

impl Drop for Hidden {
    fn drop(&mut self) {
        // What stays is swept up later.
        let _ = fs::remove_file(&self.0);
    }
}

pub(crate) fn put(
    layout: &Layout,
    key: &Key,
    bytes: &[u8],
    checksum: Checksum,
    metadata: Metadata,
) -> Result<PutAnswer> {
    matching(key, bytes, checksum)?;
    if layout.is_taken(key)? {
        layout.sync_entry(key)?;
        return Ok(PutAnswer::Exists);
    }
    layout.make_hidden()?;
    let _lock = layout.lock_shared()?;
    let path = layout.puts().join(new_name()?);
    let mut file = File::create_new(&path).map_err(at("make", &path))?;
    let hidden = Hidden(path);
    let path = &hidden.0;
    file.write_all(bytes).map_err(at("write", path))?;
    Ok(match publish(layout, &file, path, key, checksum, metadata)? {
        Some(etag) => PutAnswer::Stored { etag },
        None => PutAnswer::Exists,
    })
}

/// Tries whether an object could be made: with a hidden file and a second link to it. `Invalid` if the file system has
/// no hard links, as FAT and some network file systems.
pub(crate) fn try_link(layout: &Layout, link: impl Fn(&Path, &Path) -> io::Result<()>) -> Result<()> {
    layout.make_hidden()?;
    let _lock = layout.lock_shared()?;
    let (one, two) = (layout.puts().join(new_name()?), layout.puts().join(new_name()?));
    File::create_new(&one).map_err(at("make", &one))?;
    let (one, two) = (Hidden(one), Hidden(two));
    match link(&one.0, &two.0) {
        Ok(()) => Ok(()),
        // What else is wrong shows where an object is made.
        Err(error) if !is_lack_of_links(&error) => Err(of(error, "make a hard link in", layout.root())),
        Err(error) => Err(Error::with(
            ErrorKind::Invalid,
            format!(
                "the file system of {} has no hard links, which make an object appear whole and never over another: \
                 choose a folder on another one",
                layout.root().display()
            ),
            error,
        )),
    }
}

/// File systems without hard links answer `EPERM` (Linux, link(2)), `ENOTSUP` or `ENOSYS`; those with a limit of one,
/// `EMLINK`.
fn is_lack_of_links(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, TooManyLinks, Unsupported};
    // Of the two errors of that kind only EPERM: EACCES is a missing right.
    let not_permitted = error.kind() == PermissionDenied && error.raw_os_error() == Some(1);
    not_permitted || matches!(error.kind(), TooManyLinks | Unsupported)
}

/// Makes a hidden file durable and then the object at a key; answers its etag, or none if there is an object.
pub(crate) fn publish(
    layout: &Layout,
    file: &File,
    hidden: &Path,
    key: &Key,
    checksum: Checksum,
    metadata: Metadata,
) -> Result<Option<String>> {
    if layout.is_taken(key)? {
        layout.sync_entry(key)?;
        return Ok(None);
    }
    let document = Document { version: VERSION, key: key.as_str().to_owned(), etag: String::new(), checksum, metadata };
    let (etag, described) = describe(layout, file, hidden, key, document)?;
    let path = layout.path(key);
    match fs::hard_link(hidden, &path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let _ = fs::remove_file(&described);
            if layout.is_taken(key)? {
                layout.sync_entry(key)?;
                return Ok(None);
            }
            return Err(of(error, "make", &path));
        }
        Err(error) if is_absent(&error) => return Err(of(error, "make", &path)),
        Err(error) => return Err(of(error, "make, as a hard link from the same file system,", &path)),
    }
    match layout.sync_entry(key) {
        Ok(()) => Ok(Some(etag)),
        Err(error) => Err(Error::with(ErrorKind::Indeterminate, format!("{} is there", path.display()), error)),
    }
}

/// Makes all durable that an object has to have before it is there: its bytes, its metadata (one that was ours and
/// looks foreign would stop its transfer) and its directories. Answers its etag and where its metadata lie.
fn describe(
    layout: &Layout,
    file: &File,
    hidden: &Path,
    key: &Key,
    mut document: Document,
) -> Result<(String, PathBuf)> {
    let parents = layout.make_parents(key)?;
    loop {
        let etag = etag(&file.metadata().map_err(at("look at", hidden))?);
        let path = layout.object_metadata(key, &etag);
        document.etag.clone_from(&etag);
        let described = File::create(&path).map_err(at("make", &path))?;
        (&described).write_all(&to_document(&document)?).map_err(at("write", &path))?;
        let objects = layout.objects();
        let dirs = parents.to_sync().chain([objects.as_path()]);
        sync_together(&[(file, hidden), (&described, &path)], dirs)?;
        // Some network file systems have the last word on a file's time when it is synced; from then on it stays.
        if self::etag(&file.metadata().map_err(at("look at", hidden))?) == etag {
            layout.remember(parents);
            return Ok((etag, path));
        }
        fs::remove_file(&path).map_err(at("remove", &path))?;
    }
}

/// Waits for all at once: a file system commits them together, where one after the other each would be a wait.
fn sync_together<'a>(files: &[(&File, &Path)], dirs: impl Iterator<Item = &'a Path>) -> Result<()> {
    thread::scope(|scope| {
        let syncing: Vec<_> = dirs.map(|dir| scope.spawn(|| sync_dir(dir))).collect();
        let files = files.iter().rev().map(|(file, path)| scope.spawn(|| file.sync_all().map_err(at("sync", path))));
        let syncing: Vec<_> = syncing.into_iter().chain(files).collect();
        syncing.into_iter().try_for_each(|sync| sync.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
        }
        found.retain(|path| !path.ends_with("lock"));
        found
    }

    #[test]
    fn what_is_removed_leaves_nothing_and_what_changed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        let put = |key: &str| {
            let answer = put(&layout, &Key::new(key).unwrap(), b"x", Checksum::of(b"x"), Metadata::new()).unwrap();
            let PutAnswer::Stored { etag } = answer else { panic!("{key} is taken") };
            etag
        };
        let remove = |key: &str, etag: &str| remove(&layout, &Key::new(key).unwrap(), etag);
        let (one, two) = (put("a/b/one"), put("a/two"));
        assert!(remove("a/b/one", &one).unwrap());
        assert!(!dir.path().join("a/b").exists() && dir.path().join("a/two").exists());
        assert!(!remove("a/b/one", &one).unwrap(), "again");
        fs::write(dir.path().join("a/two"), "other").unwrap();
        assert_eq!(remove("a/two", &two).unwrap_err().kind(), ErrorKind::Changed);
        assert_eq!(fs::read(dir.path().join("a/two")).unwrap(), b"other");
        let etag = head(&layout, &Key::new("a/two").unwrap()).unwrap().unwrap().etag;
        assert!(remove("a/two", &etag).unwrap());
        assert!(!dir.path().join("a").exists());
        // Metadata of an object that another program changed belong to nobody.
        assert_eq!(files(dir.path()).len(), 1, "{:?}", files(dir.path()));
        // A folder that was removed comes to be again.
        put("a/b/one");
    }

    fn tried(link: impl Fn(&Path, &Path) -> io::Result<()>) -> (Result<()>, usize) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        let answer = try_link(&layout, link);
        (answer, fs::read_dir(layout.puts()).unwrap().count())
    }

    #[test]
    fn a_file_system_without_hard_links_is_found_out_before_anything_is_written() {
        let (answer, left) = tried(|from, to| fs::hard_link(from, to));
        answer.unwrap();
        assert_eq!(left, 0, "the try leaves nothing");
        // EPERM, EMLINK and ENOSYS have these numbers on Linux and macOS alike, or are not known and told as such.
        for raw in [1, 31] {
            let (answer, left) = tried(|_, _| Err(io::Error::from_raw_os_error(raw)));
            let error = answer.unwrap_err();
            assert_eq!((error.kind(), left), (ErrorKind::Invalid, 0), "{error}");
            assert!(error.to_string().contains("has no hard links"), "{error}");
        }
        let (answer, _) = tried(|_, _| Err(io::ErrorKind::Unsupported.into()));
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Invalid);
        // EACCES: a right is missing.
        let (answer, _) = tried(|_, _| Err(io::Error::from_raw_os_error(13)));
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Denied);
    }
}
