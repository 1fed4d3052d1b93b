//! Entries of a source that an import does not take.
//!
//! A folder holds more than data: links, hidden files, leftovers of other tools. Such entries are passed over, and
//! the user must learn which. So they are counted, by reason, and the first few are kept by name.
//!
//! **Invariant.** The count is exact. The size is bounded: it lies on the record of a transfer.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::LEFT_OUT_NAMES;

/// Characters that are kept of a name.
const NAME_CHARS: usize = 120;

/// Why an entry is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// A symbolic link within a folder.
    Link,
    /// A pipe, a socket or a device.
    Special,
    /// A name that is not UTF-8.
    NotUtf8,
    /// A key that cannot be asked for: too long, or with `.` or `..` as a segment.
    Unreadable,
    /// A name, or a folder's name, that begins with `.` or `_`: hidden files and leftovers of Hadoop and Spark.
    Hidden,
    /// A name that ends as those of unfinished files do.
    Temporary,
    /// An empty object that stands for a folder.
    FolderMarker,
    /// A file in the folder of an export that its manifest does not name.
    NotOfExport,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Link,
        Self::Special,
        Self::NotUtf8,
        Self::Unreadable,
        Self::Hidden,
        Self::Temporary,
        Self::FolderMarker,
        Self::NotOfExport,
    ];

    /// The reason as a noun, for one entry or for several.
    pub fn noun(self, count: u64) -> &'static str {
        let one = count == 1;
        match self {
            Self::Link if one => "symbolic link",
            Self::Link => "symbolic links",
            Self::Special if one => "pipe, socket or device",
            Self::Special => "pipes, sockets or devices",
            Self::NotUtf8 if one => "name that is not UTF-8",
            Self::NotUtf8 => "names that are not UTF-8",
            Self::Unreadable if one => "key that cannot be asked for",
            Self::Unreadable => "keys that cannot be asked for",
            Self::Hidden if one => "hidden file",
            Self::Hidden => "hidden files",
            Self::Temporary if one => "unfinished file",
            Self::Temporary => "unfinished files",
            Self::FolderMarker if one => "folder marker",
            Self::FolderMarker => "folder markers",
            Self::NotOfExport if one => "file that is not of the export",
            Self::NotOfExport => "files that are not of the export",
        }
    }
}

/// The first entries that were left out for one reason, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entries {
    /// All of them.
    pub count: u64,
    /// Names of the first ones, escaped and cut.
    pub first: Vec<String>,
}

/// Entries of an import's source that are not imported, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeftOut(BTreeMap<Reason, Entries>);

impl LeftOut {
    /// Counts an entry. `name` is foreign text: what does not print is escaped.
    pub fn add(&mut self, reason: Reason, name: &str) {
        let entries = self.0.entry(reason).or_default();
        entries.count += 1;
        if entries.first.len() < LEFT_OUT_NAMES {
            entries.first.push(name.escape_debug().take(NAME_CHARS).collect());
        }
    }

    /// Adds the entries of another count.
    pub fn merge(&mut self, other: Self) {
        for (reason, more) in other.0 {
            let entries = self.0.entry(reason).or_default();
            entries.count += more.count;
            entries.first.extend(more.first);
            entries.first.truncate(LEFT_OUT_NAMES);
        }
    }

    /// The number of all entries.
    pub fn count(&self) -> u64 {
        self.0.values().map(|entries| entries.count).sum()
    }

    /// True if nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries by reason.
    pub fn reasons(&self) -> impl Iterator<Item = (Reason, &Entries)> {
        self.0.iter().map(|(reason, entries)| (*reason, entries))
    }

    /// The entries of one reason.
    pub fn of(&self, reason: Reason) -> u64 {
        self.0.get(&reason).map_or(0, |entries| entries.count)
    }
}

impl fmt::Display for LeftOut {
    /// `3 entries: 2 symbolic links (a, b), 1 hidden file (.c)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count();
        write!(f, "{count} {}: ", if count == 1 { "entry" } else { "entries" })?;
        for (n, (reason, entries)) in self.0.iter().enumerate() {
            let more = entries.count.saturating_sub(entries.first.len() as u64);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let before = if n > 0 { ", " } else { "" };
            write!(f, "{before}{} {} ({}{more})", entries.count, reason.noun(entries.count), entries.first.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_are_named() {
        let mut left_out = LeftOut::default();
        assert!(left_out.is_empty());
        for n in 0..LEFT_OUT_NAMES + 2 {
            left_out.add(Reason::Link, &format!("l{n}"));
        }
        let mut more = LeftOut::default();
        more.add(Reason::Hidden, ".c\u{1b}[2J");
        more.add(Reason::Link, "far");
        left_out.merge(more);
        assert_eq!(left_out.count(), LEFT_OUT_NAMES as u64 + 4);
        assert_eq!(left_out.of(Reason::Link), LEFT_OUT_NAMES as u64 + 3);
        let said = left_out.to_string();
        assert_eq!(said, r"9 entries: 8 symbolic links (l0, l1, l2, l3, l4 and 3 more), 1 hidden file (.c\u{1b}[2J)");
        assert!(!said.contains('\u{1b}'));
    }

    #[test]
    fn its_size_is_bounded() {
        let mut left_out = LeftOut::default();
        for _ in 0..100 {
            left_out.add(Reason::NotUtf8, &"x".repeat(100_000));
        }
        let json = serde_json::to_string(&left_out).unwrap();
        assert!(json.len() < 2_000, "{} bytes", json.len());
        assert_eq!(serde_json::from_str::<LeftOut>(&json).unwrap(), left_out);
    }
}
