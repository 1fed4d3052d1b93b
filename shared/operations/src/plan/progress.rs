//! The progress of an import's plan: all that its next invocation needs.
//!
//! A plan that leaves off writes it into the work bucket, as a document under a name of its own, and the transfer's
//! record names that. So the record stays small, however many sources there are.
//!
//! **Invariant.** A plan that goes on from it finds the same list, byte for byte, as one that never left off: as long
//! as the source is the same.

use serde::{Deserialize, Serialize};
use sluice_ports::Error;
use sluice_transfer::manifest::{Document, ManifestError, OVER_A_LIST, SourceEntry};
use sluice_transfer::{BucketUri, Compression, Encoding, Format, KeyError, LeftOut, Timestamp, TransferId};

use super::foreign::Asked;
use super::list::{ListedShard, Sources};
use super::notes::Notes;
use super::range::RangeState;
use super::sample::Sample;
use crate::error::{Fault, OperationError};
use crate::listing::Place;

/// What was found so far, and where it goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Progress {
    pub transfer: TransferId,
    pub stage: Stage,
    /// The source's shards, the one that is being listed last.
    pub shards: Vec<ListedShard>,
    /// Sources of that shard that no segment lists yet.
    pub open: Vec<SourceEntry>,
    /// Foreign files of which the first records are looked at.
    pub sample: Sample,
    /// Entries that are not taken.
    pub left_out: LeftOut,
    pub notes: Notes,
    /// The bucket of the sources, if a list of objects names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<BucketUri>,
    /// Objects of the list that are gone or were replaced.
    #[serde(default, skip_serializing_if = "is_none")]
    pub changed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Document for Progress {
    const KIND: &'static str = "source-progress";

    fn version(&self) -> u32 {
        if self.bucket.is_some() { OVER_A_LIST } else { 1 }
    }
}

/// Where a plan stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "at")]
pub(super) enum Stage {
    /// At its beginning.
    Start,
    /// A folder is searched for the root of an export's manifest.
    Search {
        /// Behind this key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// The root that was found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        root: Option<String>,
    },
    /// The folder of an export is searched for files that are not the export's.
    Beside {
        /// The manifest's root.
        root: String,
        /// Behind this key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// Files around the export's folder.
        others: LeftOut,
    },
    /// Files of a folder are listed.
    Files {
        /// Behind this key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// Objects of an export are listed, shard by shard.
    Manifest {
        /// The manifest's root.
        root: String,
        /// The SHA-256 of its bytes; none before it was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        /// The place in the last of the shards; none if that is through.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within: Option<Box<Within>>,
    },
    /// Objects of a list are looked at.
    Objects {
        /// The list's key.
        list: String,
        /// The SHA-256 of its bytes; none before it was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        /// Objects that were looked at.
        passed: usize,
    },
    /// All sources are listed.
    #[serde(rename_all = "camelCase")]
    Listed {
        /// Format and compression of an export's objects; none for foreign files.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        encoding: Option<(Format, Compression)>,
    },
}

/// A place in a shard of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Within {
    pub place: Place,
    pub range: RangeState,
    /// The time of the first event, where a rhythm is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
}

impl Progress {
    /// Of a plan that begins.
    pub(super) fn new(transfer: TransferId) -> Self {
        Self {
            transfer,
            stage: Stage::Start,
            shards: Vec::new(),
            open: Vec::new(),
            sample: Sample::default(),
            left_out: LeftOut::default(),
            notes: Notes::default(),
            bucket: None,
            changed: 0,
        }
    }

    /// All sources, once they are listed.
    pub(super) fn into_sources(self, encoding: Option<(Format, Compression)>, asked: &Asked) -> Sources {
        let Self { shards, left_out, notes, bucket, .. } = self;
        match encoding {
            Some((format, compression)) => {
                let encoding = Encoding { format, compression };
                Sources { encoding, foreign: None, joined: true, shards, left_out, notes, bucket }
            }
            None => Sources { left_out, notes, bucket, ..asked.sources(shards) },
        }
    }
}

/// Why a plan does not get to its end. Not all of these are errors.
#[derive(Debug)]
pub(super) enum Unfinished {
    /// Its time is over: it goes on with the next invocation.
    Again,
    /// A pause or a cancel is wanted, or another plan of the transfer goes on beside this one.
    Stopped,
    /// It is refused, or a store is in trouble.
    Refused(OperationError),
}

impl From<OperationError> for Unfinished {
    fn from(error: OperationError) -> Self {
        Self::Refused(error)
    }
}

macro_rules! refusals {
    ($($error:ty),*) => {
        $(impl From<$error> for Unfinished {
            fn from(error: $error) -> Self {
                Self::Refused(error.into())
            }
        })*
    };
}

refusals!(Error, Fault, ManifestError, KeyError);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As it is kept in `tests/golden`: a plan of an earlier version goes on.
    #[track_caller]
    fn golden(name: &str, progress: serde_json::Value) {
        let progress: Progress = serde_json::from_value(progress).unwrap();
        let path = format!("{}/../../tests/golden/manifests-v1/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let written = progress.to_bytes();
        if std::env::var_os("SLUICE_WRITE_GOLDEN").is_some() && !std::path::Path::new(&path).exists() {
            std::fs::write(&path, &written).unwrap();
        }
        let kept = std::fs::read(&path).unwrap();
        assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&kept), "{name} is written as another");
        assert_eq!(Progress::from_bytes(&kept).unwrap(), progress, "{name} is read as another");
    }

    #[test]
    fn progress_is_read_and_written_as_ever() {
        let sha = "ab".repeat(32);
        let segment = json!({ "key": "0001/000001.json", "sha256": sha, "entries": 500 });
        let entry = json!({ "key": "in/501.txt", "size": 7, "etag": "etag-501" });
        golden(
            "source-progress-files",
            json!({
                "transfer": "nightly", "stage": { "at": "files", "after": "in/501.txt" },
                "shards": [{ "entries": 501, "bytes": 3_507, "segments": [segment] }], "open": [entry],
                "sample": { "files": [entry], "last": entry, "seen": 501 },
                "leftOut": { "hidden": { "count": 1, "first": ["in/_SUCCESS"] } },
                "notes": { "kept": [], "more": 0 },
            }),
        );
        let place = json!({
            "chain": { "count": 83, "digest": sha }, "segment": sha, "passed": 2,
            "tiles": { "reached": "after:500", "gaps": 1, "counts": { "events": 500, "bytes": 5_000 }, "objects": 500 },
        });
        let range = json!({
            "from": { "at": "after:3" }, "until": { "time": 1_700_000_000_000_000_i64 },
            "counts": { "events": 497, "bytes": 4_970 }, "early": 1, "late": 0,
            "seen": { "times": { "min": 1_700_000_000_000_000_i64, "max": 1_700_000_001_000_000_i64 }, "untold": false },
        });
        let within = json!({ "place": place, "range": range, "first": 1_700_000_000_000_000_i64 });
        let through = json!({
            "source": "0", "parents": ["root"], "entries": 500, "bytes": 4_970, "segments": [segment],
            "counts": { "events": 500, "bytes": 4_970 }, "gaps": [{ "from": "after:20", "until": "after:25" }],
        });
        golden(
            "source-progress-manifest",
            json!({
                "transfer": "nightly",
                "stage": { "at": "manifest", "root": "export/manifest.json", "sha256": sha, "within": within },
                "shards": [through, { "source": "1", "entries": 500, "bytes": 4_970, "segments": [segment] }],
                "open": [], "sample": { "files": [], "seen": 0 }, "leftOut": {},
                "notes": { "kept": ["shard 0: times are out of order"], "more": 0 },
            }),
        );
        golden(
            "source-progress-objects",
            json!({
                "transfer": "replay-000001",
                "stage": { "at": "objects", "list": "rules/replay/run-000001.json", "sha256": sha, "passed": 501 },
                "shards": [{ "entries": 500, "bytes": 3_500, "segments": [segment] }], "open": [],
                "sample": { "files": [entry], "last": entry, "seen": 500 }, "leftOut": {},
                "notes": { "kept": [], "more": 0 }, "bucket": "s3://incoming", "changed": 1,
            }),
        );
        for stage in [
            json!({ "at": "search", "after": "in/a", "root": "in/x/manifest.json" }),
            json!({ "at": "beside", "root": "in/x/manifest.json", "after": "in/a", "others": {} }),
            json!({ "at": "listed", "encoding": ["avro", "zstd"] }),
            json!({ "at": "listed" }),
        ] {
            let read: Stage = serde_json::from_value(stage.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), stage);
        }
    }
}
