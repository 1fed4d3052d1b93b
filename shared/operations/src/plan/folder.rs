//! Which objects of a folder are data, by their names. Links and the like are reported by the bucket.

use sluice_ports::Listed as File;
use sluice_transfer::{Reason, check_readable};

/// How names of unfinished files end: copies of Hadoop, files that Flume or Flink are writing, and most others.
const TEMPORARY: [&str; 3] = ["._COPYING_", ".tmp", ".inprogress"];
/// How Hadoop ends the name of an object that stands for a folder.
const FOLDER: &str = "_$folder$";

/// Why a file below a prefix is passed over; none if it is taken. `all` also takes hidden and unfinished files.
pub(crate) fn why_passed(file: &File, prefix: &str, all: bool) -> Option<Reason> {
    // Consoles make such an object of an empty folder. One that holds bytes is somebody's data.
    if file.size == 0 && (file.key.ends_with('/') || file.key.ends_with(FOLDER)) {
        return Some(Reason::FolderMarker);
    }
    if check_readable(&file.key).is_err() {
        return Some(Reason::Unreadable);
    }
    let below = file.key.strip_prefix(prefix).unwrap_or(&file.key);
    if all {
        None
    } else if below.split('/').any(is_hidden) {
        Some(Reason::Hidden)
    } else {
        TEMPORARY.iter().any(|end| below.ends_with(end)).then_some(Reason::Temporary)
    }
}

/// True for names that every tool of this trade passes over. `_column=value` is a partition, which is none.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

/// True if a manifest at this place, relative to what was named, may be the one that is meant: folders with a dot in
/// front hold what was thrown away, or not finished.
pub(super) fn is_root_of(below: &str, all: bool) -> bool {
    all || !below.split('/').any(|name| name.starts_with('.'))
}

/// The folder that a key lies in, with its slash; empty for a bucket's top.
pub(super) fn above(key: &str) -> &str {
    key.rfind('/').map_or("", |slash| &key[..=slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(key: &str, size: u64, all: bool) -> Option<Reason> {
        why_passed(&File { key: key.to_owned(), size, etag: String::new() }, "_named/.so/", all)
    }

    #[test]
    fn names_that_are_passed_over() {
        let long = format!("_named/.so/{}", "a".repeat(1_024));
        for (key, size, reason, also) in [
            ("_named/.so/part-0.json", 3, None, None),
            ("_named/.so/a/_c=1/part-0", 3, None, None),
            ("_named/.so/_SUCCESS", 0, Some(Reason::Hidden), None),
            ("_named/.so/.part-0.json.crc", 3, Some(Reason::Hidden), None),
            ("_named/.so/_temporary/0/part-0", 3, Some(Reason::Hidden), None),
            ("_named/.so/a/.sluice/objects/x.json", 3, Some(Reason::Hidden), None),
            ("_named/.so/a.tmp", 3, Some(Reason::Temporary), None),
            ("_named/.so/a._COPYING_", 3, Some(Reason::Temporary), None),
            ("_named/.so/a/", 0, Some(Reason::FolderMarker), Some(Reason::FolderMarker)),
            ("_named/.so/a_$folder$", 0, Some(Reason::FolderMarker), Some(Reason::FolderMarker)),
            ("_named/.so/a/", 3, None, None),
            ("_named/.so//a\\b\n", 3, None, None),
            ("_named/.so/a/../b", 3, Some(Reason::Unreadable), Some(Reason::Unreadable)),
            (&long, 3, Some(Reason::Unreadable), Some(Reason::Unreadable)),
        ] {
            assert_eq!(why(key, size, false), reason, "{key}");
            assert_eq!(why(key, size, true), also, "{key}, of all files");
        }
    }

    #[test]
    fn folders_of_keys() {
        assert_eq!([above("a/b/c"), above("c"), above("/c")], ["a/b/", "", "/"]);
    }
}
