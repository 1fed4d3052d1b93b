//! Listing: a walk through the directories in the order of the keys' bytes.
//!
//! In a directory, folders are ordered as if a slash were part of their names; then all keys in a folder stand together
//! and at the right place. Of each directory on the way only the names are held that can still matter.

use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sluice_ports::{Error, ErrorKind, Listed, Result};
use sluice_transfer::check_key;

use crate::error::{at, if_there, is_absent, of};
use crate::layout::{HIDDEN, Layout};
use crate::object::etag;

struct Walk<'a> {
    root: &'a Path,
    prefix: &'a str,
    after: Option<&'a str>,
    limit: usize,
    listed: Vec<Listed>,
}

pub(crate) fn list(layout: &Layout, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
    let mut walk = Walk { root: layout.root(), prefix, after, limit, listed: Vec::new() };
    // Straight to the folder that holds all keys of the prefix.
    let folder = prefix.rfind('/').map_or("", |slash| &prefix[..slash]);
    if limit > 0 && (folder.is_empty() && prefix.find('/').is_none() || walk.is_folder(folder)?) {
        walk.folder(folder)?;
    }
    Ok(walk.listed)
}

impl Walk<'_> {
    /// Whether keys can begin with this and a slash.
    fn is_folder(&self, folder: &str) -> Result<bool> {
        if check_key(folder).is_err() {
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

    /// Lists what is in a folder, until there is enough.
    fn folder(&mut self, folder: &str) -> Result<()> {
        for key in self.keys(folder)? {
            if self.listed.len() >= self.limit {
                break;
            }
            match key.strip_suffix('/') {
                Some(folder) => self.folder(folder)?,
                None => self.file(key)?,
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
    fn keys(&self, folder: &str) -> Result<Vec<String>> {
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
            let Ok(name) = entry.file_name().into_string() else { continue };
            if folder.is_empty() && name == HIDDEN {
                continue;
            }
            let key = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let Some(kind) = if_there(entry.file_type(), "look at", &entry.path())? else { continue };
            keys.extend(self.asked_for(key, kind));
        }
        keys.sort_unstable();
        Ok(keys)
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
