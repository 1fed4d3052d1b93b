//! Object keys: how ours are made, and which foreign ones are safe to follow.

use std::str::FromStr;

use crate::limits::KEY_BYTES;
use crate::record::SourceCursor;
use crate::{Encoding, Position, Sequence, ShardId, TransferId};

/// A key that is not followed, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key '{key}' is unsafe: {why}")]
pub struct KeyError {
    key: String,
    why: &'static str,
}

/// Keys that can be written, and that a manifest may name: safe in every bucket, also in a directory. Such a key is
/// relative, does not climb, has no empty segments, no control characters and at most 1,024 bytes.
pub fn check_key(key: &str) -> Result<(), KeyError> {
    check_readable(key)?;
    if key.starts_with('/') {
        return refuse(key, "it is absolute");
    }
    if key.chars().any(|c| c.is_control() || c == '\\') {
        return refuse(key, "it has a control character or a backslash");
    }
    if key.split('/').any(str::is_empty) {
        return refuse(key, "it has an empty segment");
    }
    Ok(())
}

/// Keys that others may have written, and that can be read: all but those that some client on the way would take for
/// another one. What else makes a key safe is the rule of a directory, see [`check_key`].
pub fn check_readable(key: &str) -> Result<(), KeyError> {
    if key.is_empty() {
        return refuse(key, "it is empty");
    }
    if key.len() > KEY_BYTES {
        return refuse(key, "it is longer than 1,024 bytes");
    }
    if key.split('/').any(|segment| segment == "." || segment == "..") {
        return refuse(key, "it climbs");
    }
    if key.split('/').next() == Some(".sluice") {
        return refuse(key, "'.sluice' is where a directory keeps what is not data");
    }
    Ok(())
}

fn refuse(key: &str, why: &'static str) -> Result<(), KeyError> {
    Err(KeyError { key: key.chars().take(200).flat_map(char::escape_default).collect(), why })
}

/// The key in a bucket of an object that a manifest names `relative` to its folder.
pub fn resolve_key(folder: &str, relative: &str) -> Result<String, KeyError> {
    check_key(relative)?;
    let key = if folder.is_empty() { relative.to_owned() } else { format!("{folder}/{relative}") };
    // The folder is where somebody put the export.
    check_readable(&key)?;
    Ok(key)
}

/// The keys of one transfer at one destination. All but `folder` are relative to that folder, as a manifest has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectKeys {
    folder: String,
}

impl ObjectKeys {
    /// Below `prefix` (without a slash at its ends, empty for a bucket's top).
    pub fn new(prefix: &str, transfer: &TransferId) -> Self {
        let folder = if prefix.is_empty() { transfer.to_string() } else { format!("{prefix}/{transfer}") };
        Self { folder }
    }

    /// The folder that holds all of the transfer's objects.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// A relative key made whole.
    pub fn whole(&self, relative: &str) -> String {
        format!("{}/{relative}", self.folder)
    }

    /// The object of that number, which begins behind `first`. Numbers and positions are padded so that a listing
    /// shows a shard's objects in their order.
    pub fn object(shard: &ShardId, number: u64, first: &Position, encoding: Encoding) -> String {
        // Not every reader of keys takes a `#`.
        let spelt = |number: Sequence| match number.sub() {
            None => format!("{number:0>20}"),
            Some(sub) => format!("{:0>20}_{sub}", number.record()),
        };
        let first = first.next_sequence().map_or_else(|| "end".to_owned(), spelt);
        format!("data/shard={shard}/{number:08}-{first}.{}", encoding.extension())
    }

    /// The segment of that number (from 1) of a shard's part of the manifest.
    pub fn segment(shard: &ShardId, number: u32) -> String {
        format!("manifest/shard={shard}/{number:06}.json")
    }

    /// The index of the object of that number.
    pub fn index(shard: &ShardId, number: u64) -> String {
        format!("manifest/shard={shard}/index/{number:08}.json")
    }

    /// The folder of the events that an import's target cannot hold.
    pub const MISFITS: &'static str = "misfits/";

    /// The folder of those of one target shard.
    pub fn misfits(shard: &ShardId) -> String {
        format!("{}shard={shard}/", Self::MISFITS)
    }

    /// The file of such an event, by where the sources go on behind it. A listing shows them in the sources' order.
    pub fn misfit(shard: &ShardId, behind: SourceCursor) -> String {
        let SourceCursor { entry, offset, within } = behind;
        format!("{}{entry:010}-{offset:020}-{within:012}.jsonl", Self::misfits(shard))
    }

    /// The manifest's root.
    pub fn root() -> &'static str {
        "manifest.json"
    }

    /// The root of the objects that a cancelled transfer completed: another name, so that nobody takes it for the
    /// whole.
    pub fn cancelled() -> &'static str {
        "cancelled.json"
    }

    /// True if a key, relative to an export's folder, is one that an export gives: spelt just so, whatever lies there.
    pub fn is_own(relative: &str) -> bool {
        if [Self::root(), Self::cancelled()].contains(&relative) {
            return true;
        }
        let (kind, below) = relative.split_once("/shard=").unwrap_or_default();
        let Some((shard, name)) = below.split_once('/') else { return false };
        let Ok(shard) = shard.parse::<ShardId>() else { return false };
        // What is read of a name is written again: a spelling that no export has comes out otherwise.
        let spelt = match kind {
            "data" => Self::object_named(&shard, name),
            "manifest" => match name.strip_prefix("index/") {
                Some(index) => number(index, ".json").map(|number| Self::index(&shard, number)),
                None => number(name, ".json").map(|number| Self::segment(&shard, number)),
            },
            _ => None,
        };
        spelt.is_some_and(|spelt| spelt == relative)
    }

    /// True if a key has the form of an export's data or of the parts of its manifest: `…/data/shard=…`,
    /// `…/manifest/shard=…`.
    pub fn has_form(key: &str) -> bool {
        let mut parents = key.rsplit('/').skip(1).skip_while(|segment| *segment == "index");
        let shard = parents.next().is_some_and(|segment| segment.starts_with("shard="));
        shard && matches!(parents.next(), Some("data" | "manifest"))
    }

    /// The key of the object of that name, as far as it can be read.
    fn object_named(shard: &ShardId, name: &str) -> Option<String> {
        let (count, rest) = name.split_once('-')?;
        let (first, extension) = rest.split_once('.')?;
        let first = match first {
            "end" => Position::End,
            sequence => Position::before(&sequence.replace('_', "#").parse().ok()?),
        };
        let encoding = Encoding::ALL.into_iter().find(|encoding| encoding.extension() == extension)?;
        Some(Self::object(shard, count.parse().ok()?, &first, encoding))
    }
}

/// The number in front of a name's end.
fn number<N: FromStr>(name: &str, end: &str) -> Option<N> {
    name.strip_suffix(end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unsafe_keys_are_refused() {
        for key in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/./b", "a/", "a\0b", "a\\b", ".sluice/x"] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
        assert!(check_key(&"a".repeat(1_025)).is_err());
        for key in ["", "../x", "a/./b", ".sluice/x", &"a".repeat(1_025)] {
            assert!(check_readable(key).is_err(), "{key:?}");
        }
        for key in ["/etc/passwd", "a//b", "a/", "a\u{1}b", "a\\b"] {
            assert!(check_readable(key).is_ok(), "a rule of directories was applied to {key:?}");
        }
        assert_eq!(resolve_key("a//b", "c/d").as_deref(), Ok("a//b/c/d"));
        assert!(check_key("data/shard=0/00000001-00000000000000000000.avro").is_ok());
        assert_eq!(resolve_key("a/b", "c/d").as_deref(), Ok("a/b/c/d"));
        assert!(resolve_key("a/b", "../c").is_err());
    }

    #[test]
    fn a_listing_is_in_order() {
        let shard = "0".parse().unwrap();
        let key = |n, p| ObjectKeys::object(&shard, n, &Position::After(Sequence::new(p)), Encoding::AVRO);
        assert!(key(9, 99) < key(10, 1_000));
        assert_eq!(key(0, 4), "data/shard=0/00000000-00000000000000000005.avro");
        let misfit = |entry, offset, within| ObjectKeys::misfit(&shard, SourceCursor { entry, offset, within });
        assert!(misfit(9, 1 << 40, 999) < misfit(10, 0, 0) && misfit(1, 5, 9) < misfit(1, 5, 10));
        assert_eq!(misfit(1, 5, 9), "misfits/shard=0/0000000001-00000000000000000005-000000000009.jsonl");
        assert!(!ObjectKeys::is_own(&misfit(1, 5, 9)), "it is no part of an export");
    }

    fn keys() -> impl Strategy<Value = String> {
        let shard = "[a-z0-9][a-zA-Z0-9_.-]{0,20}".prop_map(|name| name.parse::<ShardId>().unwrap());
        let first = prop_oneof![
            Just(Position::Beginning),
            crate::sequence::tests::number().prop_map(Position::After),
            Just(Position::End)
        ];
        let encoding = proptest::sample::select(&Encoding::ALL[..]);
        (shard, any::<u64>(), any::<u32>(), first, encoding, 0..5).prop_map(
            |(shard, number, segment, first, encoding, kind)| match kind {
                0 => ObjectKeys::object(&shard, number, &first, encoding),
                1 => ObjectKeys::segment(&shard, segment),
                2 => ObjectKeys::index(&shard, number),
                3 => ObjectKeys::root().to_owned(),
                _ => ObjectKeys::cancelled().to_owned(),
            },
        )
    }

    proptest! {
        #[test]
        fn keys_of_an_export_are_known_and_no_others(key in keys(), at: proptest::sample::Index, put in "[ -~]") {
            prop_assert!(ObjectKeys::is_own(&key), "{key}");
            for other in [format!("{key}.tmp"), format!("{key}/x"), format!("x/{key}"), format!("/{key}")] {
                prop_assert!(!ObjectKeys::is_own(&other), "{other}");
            }
            // One character more: of another shard or number it may be one again, and then it is spelt just so.
            let mut other = key.clone();
            other.insert_str(at.index(key.len()), &put);
            if ObjectKeys::is_own(&other) {
                let digit = put.bytes().all(|byte| byte.is_ascii_digit());
                prop_assert!(digit || other.split('/').nth(1) != key.split('/').nth(1), "{key} and {other}");
            }
        }
    }

    #[test]
    fn strays_among_an_exports_keys_are_none() {
        for stray in [
            "",
            "data/shard=0/notes.txt",
            "data/shard=0/",
            "data/shard=/00000000-end.avro",
            "data/shard=0/0-00000000000000000005.avro",
            "data/shard=0/00000000-5.avro",
            "data/shard=0/+0000000-00000000000000000005.avro",
            "data/shard=0/00000000-00000000000000000005.avro.bak",
            "data/shard=0/00000000-00000000000000000005.parquet",
            "data/shard=0/x/00000000-00000000000000000005.avro",
            "data/shard=0/000001.json",
            "manifest/shard=0/00000000-00000000000000000005.avro",
            "manifest/shard=0/1.json",
            "manifest/shard=0/index/000001.json",
            "other/shard=0/000001.json",
            "data/x/shard=0/000001.json",
        ] {
            assert!(!ObjectKeys::is_own(stray), "{stray}");
        }
    }
}
