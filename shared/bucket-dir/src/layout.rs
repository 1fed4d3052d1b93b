//! Where things lie, and how directories come to be and become durable.
//!
//! **Invariant.** No path leaves the bucket: keys are checked, and every directory between the top and a key is a real
//! one, not a symbolic link. Who may write to the directory could still swap one in between; that is not defended
//! against, since he could as well write the object itself.

use std::collections::HashSet;
use std::fs::{self, File, Metadata as Stat};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sluice_ports::{Error, ErrorKind, Result};
use sluice_transfer::{UploadId, check_key, check_readable, sha256_hex};

use crate::error::{at, if_there, invalid, of};

/// Bytes of a name that every usual file system takes.
const NAME_BYTES: usize = 255;
/// The directory for all that is not data.
pub(crate) const HIDDEN: &str = ".sluice";

/// A key that is safe to follow and that a file system takes.
#[derive(Clone, Debug)]
pub(crate) struct Key(String);

impl Key {
    /// A key to write to.
    pub(crate) fn new(key: &str) -> Result<Self> {
        check_key(key).map_err(|error| invalid(error.to_string()))?;
        Self::of_path(key)
    }

    /// A key to read: a path that others may have made, with control characters or backslashes in its names.
    pub(crate) fn readable(key: &str) -> Result<Self> {
        check_readable(key).map_err(|error| invalid(error.to_string()))?;
        if key.split('/').any(str::is_empty) || key.contains('\0') {
            return Err(invalid(format!("the key '{}' is no path below a directory", key.escape_debug())));
        }
        Self::of_path(key)
    }

    fn of_path(key: &str) -> Result<Self> {
        if let Some(name) = key.split('/').find(|name| name.len() > NAME_BYTES) {
            let what = format!("the key '{key}' is no path: '{name}' is longer than {NAME_BYTES} bytes");
            return Err(invalid(what));
        }
        Ok(Self(key.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is at a key.
#[derive(Debug)]
pub(crate) enum Found {
    /// An object.
    Object(Stat),
    /// Nothing.
    Nothing,
    /// No object, but something that leaves no room for one; why, for who wants to make one.
    Blocked(Error),
}

/// Directories whose entries in those above them may not be durable.
#[derive(Debug, Default)]
pub(crate) struct Made(Vec<PathBuf>);

impl Made {
    /// What is to be synced.
    pub(crate) fn to_sync(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter_map(|dir| dir.parent())
    }
}

/// The paths of one bucket.
#[derive(Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    /// Directories that are known to be durable with all above them.
    durable: Mutex<HashSet<PathBuf>>,
}

impl Layout {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let root = match fs::canonicalize(path) {
            Ok(root) => root,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::with(
                    ErrorKind::NotFound,
                    format!("there is no directory {}", path.display()),
                    error,
                ));
            }
            Err(error) => return Err(of(error, "open", path)),
        };
        if !fs::metadata(&root).map_err(at("open", &root))?.is_dir() {
            return Err(invalid(format!("{} is not a directory", path.display())));
        }
        let layout = Self { root, durable: Mutex::default() };
        // Or else what a directory is told to hold would be read, written and swept up elsewhere.
        for dir in [layout.hidden(), layout.objects(), layout.puts(), layout.uploads()] {
            if !is_or_nothing(&dir, Stat::is_dir)? {
                return Err(invalid(format!("{} is not a directory", dir.display())));
            }
        }
        let lock = layout.lock_file();
        if !is_or_nothing(&lock, Stat::is_file)? {
            return Err(invalid(format!("{} is not a file", lock.display())));
        }
        Ok(layout)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn hidden(&self) -> PathBuf {
        self.root.join(HIDDEN)
    }

    fn lock_file(&self) -> PathBuf {
        self.hidden().join("lock")
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.hidden().join("objects")
    }

    pub(crate) fn puts(&self) -> PathBuf {
        self.hidden().join("puts")
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.hidden().join("uploads")
    }

    /// Where an upload lies; none if the name is none of ours, so that no name leads elsewhere.
    pub(crate) fn upload(&self, id: &UploadId) -> Option<PathBuf> {
        let ours = id.0.len() == 32 && id.0.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
        ours.then(|| self.uploads().join(&id.0))
    }

    /// Where the metadata of an object lie. With the etag in the name they belong to no other file at the key, and
    /// with a hash no key can be a folder of another here.
    pub(crate) fn object_metadata(&self, key: &Key, etag: &str) -> PathBuf {
        self.objects().join(format!("{}.json", sha256_hex(format!("{etag}\n{}", key.as_str()).as_bytes())))
    }

    pub(crate) fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// Directories of a key, from the first below the top on.
    fn parents<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = PathBuf> + 'a {
        key.as_str().match_indices('/').map(|(end, _)| self.root.join(&key.as_str()[..end]))
    }

    /// What is at a key.
    pub(crate) fn find(&self, key: &Key) -> Result<Found> {
        for parent in self.parents(key) {
            match if_there(fs::symlink_metadata(&parent), "look at", &parent)? {
                Some(stat) if stat.is_dir() => {}
                Some(stat) => return Ok(Found::Blocked(self.not_a_folder(key, &parent, &stat))),
                None => return Ok(Found::Nothing),
            }
        }
        let path = self.path(key);
        match if_there(fs::symlink_metadata(&path), "look at", &path)? {
            None => Ok(Found::Nothing),
            Some(stat) if stat.is_file() => Ok(Found::Object(stat)),
            Some(stat) if stat.is_dir() => Ok(Found::Blocked(invalid(format!(
                "there cannot be an object '{key}' in {}: '{key}/' is a folder of others, and a directory cannot hold \
                 both",
                self.root.display(),
                key = key.as_str(),
            )))),
            Some(_) => Ok(Found::Blocked(invalid(format!("{} is neither a file nor a directory", path.display())))),
        }
    }

    /// Whether an object is at the key; `Invalid` if none can be.
    pub(crate) fn is_taken(&self, key: &Key) -> Result<bool> {
        match self.find(key)? {
            Found::Object(_) => Ok(true),
            Found::Nothing => Ok(false),
            Found::Blocked(why) => Err(why),
        }
    }

    fn not_a_folder(&self, key: &Key, parent: &Path, stat: &Stat) -> Error {
        let (key, parent) = (key.as_str(), parent.display());
        if stat.is_symlink() {
            return invalid(format!("there cannot be an object '{key}': {parent} is a symbolic link"));
        }
        invalid(format!(
            "there cannot be an object '{key}' in {}: {parent} is a file, and a directory cannot hold both",
            self.root.display()
        ))
    }

    /// Makes the directories of a key; their entries are to be made durable.
    pub(crate) fn make_parents(&self, key: &Key) -> Result<Made> {
        let mut made = Made::default();
        for parent in self.parents(key) {
            let now = make_dir(&parent)?;
            let stat = fs::symlink_metadata(&parent).map_err(at("look at", &parent))?;
            if !stat.is_dir() {
                return Err(self.not_a_folder(key, &parent, &stat));
            }
            self.note(parent, now, &mut made);
        }
        Ok(made)
    }

    /// Makes the directories for what is not data.
    pub(crate) fn make_hidden(&self) -> Result<()> {
        let mut made = Made::default();
        for dir in [self.hidden(), self.objects()] {
            let now = make_dir(&dir)?;
            self.note(dir, now, &mut made);
        }
        made.to_sync().try_for_each(sync_dir)?;
        self.remember(made);
        // What is lost of these is work that was not done.
        make_dir(&self.puts())?;
        make_dir(&self.uploads())?;
        Ok(())
    }

    /// A directory that was there is noted as well, the first time: who made it may have died too early.
    fn note(&self, dir: PathBuf, made_now: bool, made: &mut Made) {
        if made_now || !self.durable().contains(&dir) {
            made.0.push(dir);
        }
    }

    /// These are durable.
    pub(crate) fn remember(&self, made: Made) {
        self.durable().extend(made.0);
    }

    /// Takes the directories of a key away that hold nothing, from the last one up, and makes that durable.
    pub(crate) fn remove_empty_parents(&self, key: &Key) -> Result<()> {
        let parents: Vec<_> = self.parents(key).collect();
        for parent in parents.iter().rev() {
            // Forgotten first: who makes it again is to make it durable again.
            self.durable().remove(parent);
            match fs::remove_dir(parent) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // It holds others, or may not be removed: it stays, which harms nobody.
                Err(_) => return sync_dir(parent),
            }
        }
        sync_dir(&self.root)
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an object's entry in its directory durable.
    pub(crate) fn sync_entry(&self, key: &Key) -> Result<()> {
        let path = self.path(key);
        sync_dir(path.parent().unwrap_or(&self.root))
    }

    /// Holds off the sweeper for as long as the file is kept.
    pub(crate) fn lock_shared(&self) -> Result<File> {
        let path = self.lock_file();
        let mut options = File::options();
        let file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(at("open", &path))?;
        retried(|| file.lock_shared()).map_err(at("lock", &path))?;
        Ok(file)
    }

    /// The file to lock, if anybody ever did.
    pub(crate) fn existing_lock(&self) -> Result<Option<File>> {
        let path = self.lock_file();
        if_there(File::options().read(true).write(true).open(&path), "open", &path)
    }
}

/// Whether what is at a path, if anything, is of that kind itself and no link to it.
pub(crate) fn is_or_nothing(path: &Path, kind: fn(&Stat) -> bool) -> Result<bool> {
    Ok(if_there(fs::symlink_metadata(path), "look at", path)?.is_none_or(|stat| kind(&stat)))
}

/// A whole file of at most this many bytes; none if there is none, or a longer one, which is none of ours: a file can
/// seem to have more than any memory.
pub(crate) fn read_whole(path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
    let Some(file) = if_there(File::open(path), "read", path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(at("read", path))?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most))
}

/// Makes a directory; answers whether it was made now.
fn make_dir(dir: &Path) -> Result<bool> {
    match fs::create_dir(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(of(error, "make", dir)),
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    match synced {
        // Some network file systems cannot sync a directory and do not need to.
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(of(error, "sync", dir)),
        _ => Ok(()),
    }
}

/// A lock is waited for until it is had, whatever signals come.
pub(crate) fn retried(lock: impl Fn() -> io::Result<()>) -> io::Result<()> {
    loop {
        match lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

/// A name that was never given before, here or elsewhere: a late writer must not meet a new upload under an old name.
pub(crate) fn new_name() -> Result<String> {
    let path = Path::new("/dev/urandom");
    let mut random = [0; 16];
    File::open(path).and_then(|mut file| file.read_exact(&mut random)).map_err(at("read", path))?;
    Ok(format!("{:032x}", u128::from_le_bytes(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_file_system_does_not_take_are_refused() {
        let long = format!("a/{}", "b".repeat(256));
        assert_eq!(Key::new(&long).unwrap_err().kind(), ErrorKind::Invalid);
        assert!(Key::new(&long[..257]).is_ok());
    }

    #[test]
    fn no_name_of_an_upload_leads_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        let ours = new_name().unwrap();
        assert_eq!(layout.upload(&UploadId(ours.clone())), Some(layout.uploads().join(ours)));
        for name in ["", "..", "../../../../etc/passwd/xxxxxxxxxxx", "ABCDEF00000000000000000000000000"] {
            assert_eq!(layout.upload(&UploadId(name.into())), None, "{name}");
        }
    }
}
