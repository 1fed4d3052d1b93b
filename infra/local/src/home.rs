//! The home: the folder that holds everything this command keeps.
//!
//! ```text
//! home.json            says which version this is
//! id                   tells this home from all others, also from one of the same path on another machine
//! streams/NAME.sqlite  local streams
//! checkpoints.sqlite   the records of transfers
//! work/                a bucket of the host's own: lists of sources, manifests of imports
//! locks/ID.lock        held by the process that drives the transfer ID
//! ```
//!
//! Version 1 had the same streams, and its checkpoints in another form. Its streams are read and written here, its
//! transfers are not: a home of version 1 that has none becomes one of version 2.
//!
//! **Invariant.** `home.json` is made first and whole, so what has none is no home, and nothing else is touched in it.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sluice_checkpoint_sqlite::SqliteCheckpoints;
use sluice_memory::MemoryCheckpoints;
use sluice_operations::{Code, Engine, Settings};
use sluice_ports::{CheckpointStore, Error, ErrorKind, Schemes, TransferRemoval};
use sluice_stream_local::LocalStream;
use sluice_transfer::{HostName, StreamUri, TransferId};

use crate::args::{HostArgs, absolute};
use crate::clock::{SystemClock, sleep};
use crate::failure::Failure;
use crate::places::{is_local, places};

/// The version of homes that this command makes.
const VERSION: u32 = 2;
const MARKER: &str = "home.json";
const ID: &str = "id";
/// What a bucket keeps in its own `.sluice`, which is where the default home of that folder lies too. None of it has a
/// name of the home's.
const BUCKETS_OWN: [&str; 4] = ["lock", "objects", "puts", "uploads"];

/// A look at a lock takes it for a moment; who wants it for good tries again that often, this many milliseconds apart.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_WAIT_MILLIS: u64 = 30;

#[derive(Serialize, Deserialize)]
struct Marker {
    version: u32,
}

/// A home that is there and of a version that this command knows.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    path: PathBuf,
    bucket_owner: Option<String>,
    version: u32,
}

/// Held while this process drives a transfer. The operating system takes it back when the process dies, however it
/// dies: whoever holds it knows that no other owner is alive.
#[derive(Debug)]
pub(crate) struct RunLock {
    _file: File,
}

impl Home {
    /// Opens a home, or makes one in a folder that is empty or not there.
    pub(crate) fn create(host: &HostArgs) -> Result<Self, Failure> {
        if let Some(home) = Self::find(host)? {
            return Ok(home);
        }
        let home = Self::at(host)?;
        let failed =
            |error: io::Error| Failure::of_io(&error, format!("the home {} cannot be made", home.path.display()));
        fs::create_dir_all(&home.path).map_err(failed)?;
        for entry in fs::read_dir(&home.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            // Another process may be making it at this moment; and a folder may be a bucket, and the place of a home.
            if !name.to_string_lossy().starts_with(MARKER) && !BUCKETS_OWN.iter().any(|own| name == *own) {
                // What else is in a home comes after the marker.
                if let Some(home) = Self::find(host)? {
                    return Ok(home);
                }
                let path = home.path.display();
                let what =
                    format!("{path} is no home of sluice and not empty: give an empty or a new folder as --home");
                return Err(Failure::new(Code::Invalid, what));
            }
        }
        home.mark().map_err(failed)?;
        Self::open(host)
    }

    /// Opens a home that must be there.
    pub(crate) fn open(host: &HostArgs) -> Result<Self, Failure> {
        Self::find(host)?.ok_or_else(|| {
            let what = format!(
                "there is no home at {}: give the right folder with --home or SLUICE_HOME; `sluice append` and \
                 `sluice import` make one",
                host.home.display()
            );
            Failure::new(Code::NotFound, what)
        })
    }

    /// Opens a home; none if there is none.
    pub(crate) fn find(host: &HostArgs) -> Result<Option<Self>, Failure> {
        let mut home = Self::at(host)?;
        let marker = home.path.join(MARKER);
        let text = match fs::read(&marker) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Failure::of_io(&error, format!("the home {} cannot be read", home.path.display())));
            }
        };
        let found: Marker = serde_json::from_slice(&text).map_err(|error| {
            let what = format!("{} is broken ({error}): use another --home", marker.display());
            Failure::new(Code::Corrupt, what)
        })?;
        if found.version > VERSION {
            let what = format!(
                "the home {} has version {}, this sluice reads up to {VERSION}: use a newer sluice, or another --home",
                home.path.display(),
                found.version
            );
            return Err(Failure::new(Code::Newer, what));
        }
        home.version = found.version;
        Ok(Some(home))
    }

    fn at(host: &HostArgs) -> Result<Self, Failure> {
        let path = absolute(&host.home).map_err(|why| Failure::usage(format!("--home: {why}")))?;
        Ok(Self { path: path.into(), bucket_owner: host.bucket_owner.clone(), version: VERSION })
    }

    /// Writes the marker whole: two processes that do it at the same time write the same.
    fn mark(&self) -> io::Result<()> {
        let new = self.path.join(format!("{MARKER}.{}", std::process::id()));
        let mut file = File::create(&new)?;
        file.write_all(serde_json::to_string(&Marker { version: VERSION })?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, self.path.join(MARKER))?;
        File::open(&self.path)?.sync_all()
    }

    /// Where it lies, from the root.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.path.join(name);
        fs::create_dir_all(&path)
            .map_err(|error| Failure::of_io(&error, format!("{} cannot be made", path.display())))?;
        Ok(path)
    }

    /// The folder of the streams; it need not be there.
    pub(crate) fn streams(&self) -> PathBuf {
        self.path.join("streams")
    }

    /// What names mean here.
    fn places(&self) -> Schemes {
        places(self.streams(), &self.path.join("work"), self.bucket_owner.clone())
    }

    /// The stream of the home of that name; it need not exist. `Invalid` if it is no stream of the home's.
    pub(crate) fn stream(&self, uri: &StreamUri) -> sluice_ports::Result<LocalStream> {
        if is_local(uri) {
            return Ok(LocalStream::within(&self.streams(), &uri.name));
        }
        Err(Error::new(ErrorKind::Invalid, format!("{uri} is no stream of the home: write local:NAME")))
    }

    fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints.sqlite")
    }

    /// The engine over this home, to run transfers.
    pub(crate) async fn engine(&self, settings: Settings) -> Result<Engine, Failure> {
        if self.version < VERSION && !self.checkpoints().exists() {
            // From here on it is none for the version before.
            self.mark()
                .map_err(|error| Failure::of_io(&error, format!("{} cannot be written", self.path.display())))?;
        }
        let checkpoints = SqliteCheckpoints::open(self.checkpoints()).await?;
        let host = self
            .host()
            .map_err(|error| Failure::of_io(&error, format!("{} cannot be written", self.path.join(ID).display())))?;
        let places = self.places().of_host(host);
        Ok(Self::engine_over(Arc::new(checkpoints), places, settings))
    }

    /// The name of this home: what tells it from all others, and for people the machine and the folder.
    fn host(&self) -> io::Result<HostName> {
        let path = self.path.join(ID);
        if !path.exists() {
            // Seeded anew by the system.
            let random = || RandomState::new().build_hasher().finish();
            // Made whole under a name of its own, and put in its place only if there is none: of two processes that do
            // so at the same time, both read what one of them wrote.
            let new = self.path.join(format!("{ID}.{:016x}", random()));
            let mut file = File::create_new(&new)?;
            writeln!(file, "{:016x}", random())?;
            file.sync_all()?;
            let made = match fs::hard_link(&new, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                // Not every file system has links.
                Err(_) => fs::rename(&new, &path),
                linked => linked,
            };
            drop(fs::remove_file(&new));
            made?;
            File::open(&self.path)?.sync_all()?;
        }
        let id = fs::read_to_string(&path)?.trim().to_owned();
        if id.is_empty() {
            let what = format!("{} is empty: remove it", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(HostName { id, place: format!("{machine}:{}", self.path.display()) })
    }

    /// What forgets transfers that are at their end.
    pub(crate) async fn removal(&self) -> Result<impl TransferRemoval, Failure> {
        Ok(SqliteCheckpoints::open(self.checkpoints()).await?)
    }

    /// The engine over this home, to look at transfers: nothing is made, and no right to write is needed.
    pub(crate) fn looking(&self, settings: Settings) -> Engine {
        Self::engine_over(Arc::new(SqliteCheckpoints::looking(self.checkpoints())), self.places(), settings)
    }

    /// The engine over this home's streams, for what needs no transfers.
    pub(crate) fn without_checkpoints(&self, settings: Settings) -> Engine {
        Self::engine_over(Arc::new(MemoryCheckpoints::new()), self.places(), settings)
    }

    fn engine_over(checkpoints: Arc<dyn CheckpointStore>, places: Schemes, settings: Settings) -> Engine {
        Engine { checkpoints, places: Arc::new(places), clock: Arc::new(SystemClock), settings }
    }

    /// Takes the run lock of a transfer; none if another process has it.
    pub(crate) async fn try_lock(&self, id: &TransferId) -> Result<Option<RunLock>, Failure> {
        let path = self.folder("locks")?.join(format!("{id}.lock"));
        let failed = |error: io::Error| Failure::of_io(&error, format!("the lock {} cannot be taken", path.display()));
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        for attempt in 0..LOCK_ATTEMPTS {
            if attempt > 0 {
                sleep(LOCK_WAIT_MILLIS).await;
            }
            match file.try_lock() {
                Ok(()) => return Ok(Some(RunLock { _file: file })),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        Ok(None)
    }

    /// Takes the run lock of a transfer that this process is to drive.
    pub(crate) async fn lock(&self, id: &TransferId) -> Result<RunLock, Failure> {
        self.try_lock(id).await?.ok_or_else(|| {
            let what = format!(
                "another process runs the transfer {id} already: watch it with `{}`, or bring it to rest with `{}`",
                self.hint(&format!("status {id} --watch")),
                self.hint(&format!("pause {id}"))
            );
            Failure::new(Code::IllegalState, what)
        })
    }

    /// Whether a process drives that transfer now.
    pub(crate) fn is_driven(&self, id: &TransferId) -> bool {
        let Ok(file) = File::open(self.path.join("locks").join(format!("{id}.lock"))) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// A command as it can be typed anywhere: with the whole path of this program and of this home, and whose the
    /// buckets must be.
    pub(crate) fn hint(&self, command: &str) -> String {
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("sluice"));
        let owner = self.bucket_owner.as_ref().map_or_else(String::new, |owner| format!(" --bucket-owner {owner}"));
        format!("{} --home {}{owner} {command}", quoted(&program), quoted(&self.path))
    }
}

/// An engine that keeps nothing and has no streams of its own: for looking at what lies elsewhere.
pub(crate) fn engine_without_home(host: &HostArgs) -> Engine {
    let nowhere = Path::new("");
    Engine {
        checkpoints: Arc::new(MemoryCheckpoints::new()),
        places: Arc::new(places(nowhere.to_owned(), nowhere, host.bucket_owner.clone())),
        clock: Arc::new(SystemClock),
        settings: Settings::default(),
    }
}

/// A path as a shell takes it.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if text.chars().all(plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(quoted(Path::new("/a/b-1.c")), "/a/b-1.c");
        assert_eq!(quoted(Path::new("/my files/it's")), r"'/my files/it'\''s'");
    }
}
