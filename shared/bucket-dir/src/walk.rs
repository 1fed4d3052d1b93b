//! Listing: a walk through the directories in the order of the keys' bytes.
//!
//! In a directory, folders are ordered as if a slash were part of their names; then all keys in a folder stand together
//! and at the right place. Of each directory on the way only the names are held that can still matter.

use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sluice_ports::{Error, ErrorKind, Listed, Result};
use sluice_transfer::{LeftOut, Reason};

use crate::error::{at, if_there, is_absent, of};
use crate::layout::{HIDDEN, Key, Layout};
use crate::object::etag;

struct Walk<'a> {
    root: &'a Path,
    prefix: &'a str,
    after: Option<&'a str>,
    limit: usize,
    listed: Vec<Listed>,
    left_out: LeftOut,
}

pub(crate) fn list(layout: &Layout, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
    let mut walk = Walk::new(layout, prefix, after, limit);
    if limit > 0
        && let Some(folder) = walk.start()?
    {
        walk.folder(folder, &mut |walk, key| walk.file(key))?;
    }
    Ok(walk.listed)
}

/// What the listing of a prefix passes over.
pub(crate) fn left_out(layout: &Layout, prefix: &str) -> Result<LeftOut> {
    let mut walk = Walk::new(layout, prefix, None, usize::MAX);
    if let Some(folder) = walk.start()? {
        walk.folder(folder, &mut |_, _| Ok(()))?;
    }
    Ok(walk.left_out)
}

impl<'a> Walk<'a> {
    fn new(layout: &'a Layout, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Self {
        Self { root: layout.root(), prefix, after, limit, listed: Vec::new(), left_out: LeftOut::default() }
    }

    /// The folder that holds all keys of the prefix; none if there is none.
    fn start(&self) -> Result<Option<&'a str>> {
        let folder = self.prefix.rfind('/').map_or("", |slash| &self.prefix[..slash]);
        let is_top = folder.is_empty() && !self.prefix.contains('/');
        Ok(if is_top || self.is_folder(folder)? { Some(folder) } else { None })
    }

    /// Whether keys can begin with this and a slash.
    fn is_folder(&self, folder: &str) -> Result<bool> {
        if Key::readable(folder).is_err() {
            return Ok(false);
        }
        let ends = folder.match_indices('/').map(|(end, _)| end).chain([folder.len()]);
        for end in ends {
            let path = self.root.join(&folder[..end]);
            match fs::symlink_metadata(&path) {
                Ok(stat) if stat.is_dir() => {}
                Ok(_) => return Ok(false),
                Err(error) if is_absent(&error) || error.kind() == io::ErrorKind::InvalidFilename => return Ok(false),
                Err(error) => return Err(of(error, "look at", &path)),
            }
        }
        Ok(true)
    }

    /// Hands out the files in a folder, until enough are listed.
    fn folder(&mut self, folder: &str, file: &mut impl FnMut(&mut Self, String) -> Result<()>) -> Result<()> {
        for key in self.keys(folder)? {
            if self.listed.len() >= self.limit {
                break;
            }
            match key.strip_suffix('/') {
                Some(folder) => self.folder(folder, file)?,
                None => file(self, key)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, key: String) -> Result<()> {
        let path = self.root.join(&key);
        // It may be gone by now, or be something else.
        if let Some(stat) = if_there(fs::symlink_metadata(&path), "look at", &path)?.filter(fs::Metadata::is_file) {
            self.listed.push(Listed { key, size: stat.size(), etag: etag(&stat) });
        }
        Ok(())
    }

    /// Keys of a folder that are asked for, folders with a slash behind them, in order.
    fn keys(&mut self, folder: &str) -> Result<Vec<String>> {
        let path = self.root.join(folder);
        let entries = match if_there(fs::read_dir(&path), "list", &path)? {
            Some(entries) => entries,
            None if folder.is_empty() => {
                return Err(Error::new(ErrorKind::Unavailable, format!("{} is gone", path.display())));
            }
            None => return Ok(Vec::new()),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let entry = entry.map_err(at("list", &path))?;
            let name = entry.file_name();
            if folder.is_empty() && name == HIDDEN {
                continue;
            }
            let within = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            let Ok(name) = name.into_string() else {
                self.pass(Reason::NotUtf8, &within(&entry.file_name().to_string_lossy()));
                continue;
            };
            let Some(kind) = if_there(entry.file_type(), "look at", &entry.path())? else { continue };
            let key = within(&name);
            match kind {
                kind if kind.is_symlink() => self.pass(Reason::Link, &key),
                kind if kind.is_dir() || kind.is_file() => keys.extend(self.asked_for(key, kind)),
                _ => self.pass(Reason::Special, &key),
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    /// Passes over what is no object.
    fn pass(&mut self, reason: Reason, key: &str) {
        if key.starts_with(self.prefix) {
            self.left_out.add(reason, key);
        }
    }

    fn asked_for(&self, mut key: String, kind: FileType) -> Option<String> {
        if kind.is_dir() {
            key.push('/');
            let within = key.starts_with(self.prefix) || self.prefix.starts_with(&key);
            let behind = self.after.is_none_or(|after| key.as_str() > after || after.starts_with(&key));
            return (within && behind).then_some(key);
        }
        let behind = self.after.is_none_or(|after| key.as_str() > after);
        (kind.is_file() && behind && key.starts_with(self.prefix)).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use proptest::prelude::*;

    use super::*;

    /// Makes what can be made of these paths; a file and a folder of one name exclude each other.
    fn fill(root: &Path, paths: &[String]) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for path in paths {
            let file = root.join(path);
            let made = fs::create_dir_all(file.parent().unwrap()).is_ok();
            if made && !file.is_dir() && fs::write(&file, path).is_ok() {
                keys.insert(path.clone());
            }
        }
        keys
    }

    #[test]
    fn what_is_no_object_is_counted_below_the_prefix_alone() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["a/b", "c", HIDDEN] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for file in ["a/kept", "a/b/kept", "a/back\\slash", "a/new\nline"] {
            fs::write(dir.path().join(file), "x").unwrap();
        }
        symlink("kept", dir.path().join("a/link")).unwrap();
        symlink("nowhere", dir.path().join("a/b/link")).unwrap();
        symlink("nowhere", dir.path().join("c/link")).unwrap();
        symlink("nowhere", dir.path().join(HIDDEN).join("link")).unwrap();
        let _pipe = UnixListener::bind(dir.path().join("a/socket")).unwrap();
        fs::write(dir.path().join("a").join(OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        let counted = |prefix| {
            let left_out = left_out(&layout, prefix).unwrap();
            [Reason::Link, Reason::Special, Reason::NotUtf8].map(|reason| left_out.of(reason))
        };
        assert_eq!(counted(""), [3, 1, 1], "and nothing of the bucket's own");
        assert_eq!(counted("a/"), [2, 1, 1]);
        assert_eq!(counted("a/b/"), [1, 0, 0]);
        assert_eq!(counted("nowhere/"), [0, 0, 0]);
        let listed = list(&layout, "a/", None, 9).unwrap();
        let keys: Vec<_> = listed.iter().map(|listed| listed.key.as_str()).collect();
        assert_eq!(keys, ["a/b/kept", "a/back\\slash", "a/kept", "a/new\nline"]);
        for key in keys {
            let read = crate::object::get(&layout, &Key::readable(key).unwrap(), None, 0, 9);
            assert_eq!(read.unwrap(), "x", "{key:?} is listed and can be read");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_listing_is_the_sorted_keys(
            paths in proptest::collection::vec("[-.0a]{0,2}[ab](/[-.0a]{0,2}[ab]){0,3}", 0..25),
            prefix in "[-.0ab/]{0,4}",
            after in proptest::option::of("[-.0ab/]{0,5}"),
            limit in 0_usize..12,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let keys = fill(dir.path(), &paths);
            let layout = Layout::open(dir.path()).unwrap();
            let behind = |key: &&String| after.as_ref().is_none_or(|after| *key > after);
            let expected: Vec<&String> =
                keys.iter().filter(|key| key.starts_with(&prefix)).filter(behind).take(limit).collect();
            let listed = list(&layout, &prefix, after.as_deref(), limit).unwrap();
            prop_assert_eq!(listed.iter().map(|listed| &listed.key).collect::<Vec<_>>(), expected);
        }
    }
}
