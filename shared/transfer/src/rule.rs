//! Rules: what an arriving object, or a word from outside, begins. A rule is data. It names what it waits for and what it
//! starts, and it has an inbox of the objects that arrived and were not taken yet.
//!
//! A rule makes one transfer after the other, its **runs**, `NAME-000001`, `NAME-000002`, … The execution that makes
//! them, and looks whether another one is to follow, **drains** the rule; there is one at most.
//!
//! **Invariant.** A run that is on record names all that it takes, and the next one is not begun before it is at its end.

use serde::{Deserialize, Serialize};

use crate::record::{FIRST_VERSION, Failure, ManifestRef};
use crate::{ObjectKeys, Request, RuleName, SeriesKeys, State, Timestamp, TransferId, sha256_hex};

/// Seconds that objects are gathered before the first run of several, unless the rule says otherwise.
pub const GATHER_SECONDS: u32 = 5;
/// The longest time that a rule may gather objects, in seconds.
pub const LONGEST_GATHER_SECONDS: u32 = 300;
/// An object that was taken is known again for so long, in milliseconds: 30 days.
pub const KNOWN_MILLIS: u64 = 30 * 24 * 3_600_000;
/// Runs that one execution makes before it hands the rule over: its history has 25,000 events (Step Functions developer
/// guide, "Quotas").
pub const RUNS_AT_A_TIME: u32 = 50;

/// A rule as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// The objects that it waits for; none for a rule that is started from outside alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<On>,
    /// What it starts. Of an import the source is the place that is watched: each run names its own.
    pub starts: Request,
    /// Seconds that objects are gathered before the first run of several.
    #[serde(default = "gather", skip_serializing_if = "is_usual")]
    pub gather: u32,
}

fn gather() -> u32 {
    GATHER_SECONDS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_usual(seconds: &u32) -> bool {
    *seconds == GATHER_SECONDS
}

/// The objects that a rule waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct On {
    /// The bucket's name.
    pub bucket: String,
    /// The beginning of their keys.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The end of their keys. The root manifest of an export of ours is taken with any name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suffix: String,
}

impl On {
    /// True if it waits for an object of that key, which is named as a manifest's root or is not.
    pub fn waits_for(&self, bucket: &str, key: &str) -> bool {
        let is_root = name_of(key) == ObjectKeys::root();
        self.bucket == bucket && key.starts_with(&self.prefix) && (is_root || key.ends_with(&self.suffix))
    }
}

/// The last segment of a key.
pub fn name_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}

/// Why an object is nothing to import, by its key and its size alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It stands for a folder.
    FolderMarker,
    /// It is an object of an export, whose root manifest stands for all of them; or one of a cancelled export.
    PartOfExport,
    /// It is a document of a series.
    SeriesDocument,
}

/// Why an object is nothing to import; none if it may be something.
pub fn why_ignored(key: &str, size: Option<u64>) -> Option<Ignored> {
    let name = name_of(key);
    if key.ends_with('/') && size.is_none_or(|size| size == 0) {
        Some(Ignored::FolderMarker)
    } else if ObjectKeys::has_form(key) || name == ObjectKeys::cancelled() {
        Some(Ignored::PartOfExport)
    } else {
        SeriesKeys::read(name).map(|_| Ignored::SeriesDocument)
    }
}

/// An object in a rule's inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Version of this record's shape.
    pub version: u32,
    /// The time of the event that told of it.
    pub time: Timestamp,
    /// The bucket's name.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The number of its version, where its bucket keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_version: Option<String>,
    /// Its etag, without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The place of the event among those of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// True for the root of an export's manifest: it is imported alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_manifest: bool,
}

/// Bytes of a key that take part in the order.
const ORDERED_BYTES: usize = 850;

impl Waiting {
    /// What tells this object from all others: bucket, key and version; where there are no versions its etag and the
    /// place of its event.
    pub fn digest(&self) -> String {
        let told = match &self.object_version {
            Some(version) => ["version", version, ""],
            None => {
                ["written", self.etag.as_deref().unwrap_or_default(), self.sequencer.as_deref().unwrap_or_default()]
            }
        };
        // No field can pass for two: each is led by its length.
        let fields = [self.bucket.as_str(), self.key.as_str()].into_iter().chain(told);
        let fields: Vec<String> = fields.map(|field| format!("{}:{field}", field.len())).collect();
        sha256_hex(fields.concat().as_bytes())
    }

    /// Its place in the inbox: a text that sorts by time, then by key.
    pub fn place(&self) -> String {
        let micros = self.time.micros().max(0);
        let mut end = self.key.len().min(ORDERED_BYTES);
        while !self.key.is_char_boundary(end) {
            end -= 1;
        }
        // A space sorts before all that can be read, so a key stands before those that it begins.
        format!("{micros:020} {} {}", &self.key[..end], self.digest())
    }
}

/// RULE: one item for each name of a rule. That of a rule that was removed stays: it has the number of the last run,
/// whose id is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleRecord {
    /// Version of this record's shape.
    pub version: u32,
    /// The name.
    pub name: RuleName,
    /// Raised by each write; a write is conditional on the one before. 0 for one that was never written.
    pub revision: u64,
    /// When the rule was made, changed or removed.
    pub changed_at: Timestamp,
    /// The rule; none if it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// The number of its last run, over all rules of this name.
    pub runs: u32,
    /// Objects that runs at their end have taken.
    pub taken: u64,
    /// Who makes its runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// The run that was begun and is not at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RuleRun>,
    /// The last run that is at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EndedRun>,
}

/// Who makes the runs of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// The execution's full name.
    pub execution: String,
    /// When it began.
    pub began: Timestamp,
    /// Runs that it has made.
    pub runs: u32,
    /// [`Arrivals::changes`] when its last run was begun.
    pub changes: u64,
}

/// A run of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleRun {
    /// Its transfer.
    pub id: TransferId,
    /// What it takes.
    pub takes: Takes,
    /// Why it could not be planned; none if it was, or may be yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// True for a run that another execution had begun: an export of its own follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_anothers: bool,
}

/// What a run takes out of the inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Takes {
    /// Nothing: it is an export.
    Nothing,
    /// An export of ours, by its manifest's root.
    Manifest(Box<Waiting>),
    /// All that a list in the work bucket names.
    List {
        /// The list.
        list: ManifestRef,
        /// Objects in it.
        objects: u64,
    },
}

impl Takes {
    /// The number of objects that wait for it.
    pub fn objects(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Manifest(_) => 1,
            Self::List { objects, .. } => *objects,
        }
    }
}

/// A run at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedRun {
    /// Its transfer.
    pub id: TransferId,
    /// How it ended.
    pub state: State,
    /// When that was seen.
    pub seen_at: Timestamp,
    /// Objects that it took.
    pub objects: u64,
}

impl RuleRecord {
    /// Of a name that no rule had before.
    pub fn new(name: RuleName) -> Self {
        Self {
            version: FIRST_VERSION,
            name,
            revision: 0,
            changed_at: Timestamp::default(),
            rule: None,
            runs: 0,
            taken: 0,
            drain: None,
            run: None,
            last: None,
        }
    }

    /// The run of it that is at its end.
    pub fn ended(&mut self, state: State, seen_at: Timestamp) {
        let Some(run) = self.run.take() else { return };
        let objects = run.takes.objects();
        self.taken += objects;
        if let Some(drain) = self.drain.as_mut().filter(|_| !run.is_anothers) {
            drain.runs += 1;
        }
        self.last = Some(EndedRun { id: run.id, state, seen_at, objects });
    }
}

/// The rule whose run has that id, if a rule's runs are called so.
pub fn rule_of(id: &TransferId) -> Option<RuleName> {
    let (name, number) = id.as_str().rsplit_once('-')?;
    let digits = number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit());
    if digits { name.parse().ok() } else { None }
}

/// What arrived for a rule, as it was counted: at least once, since a count whose answer was lost is counted again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrivals {
    /// Raised by each object that is put into the inbox, and by each start from outside: a drain must not miss these.
    pub changes: u64,
    /// Objects that were told of again.
    pub repeated: u64,
    /// Objects that are nothing to import.
    pub ignored: u64,
    /// Objects that may not be imported.
    pub refused: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn waiting(time: i64, key: &str) -> Waiting {
        Waiting {
            version: FIRST_VERSION,
            time: Timestamp::from_millis(time),
            bucket: "incoming".to_owned(),
            key: key.to_owned(),
            object_version: None,
            etag: Some("e".to_owned()),
            sequencer: Some("1".to_owned()),
            size: Some(1),
            is_manifest: false,
        }
    }

    #[test]
    fn what_is_waited_for() {
        let on = On { bucket: "b".to_owned(), prefix: "orders/".to_owned(), suffix: ".jsonl".to_owned() };
        assert!(on.waits_for("b", "orders/a.jsonl"));
        assert!(on.waits_for("b", "orders/x/manifest.json"), "exports have a suffix of their own");
        assert!(!on.waits_for("c", "orders/a.jsonl"));
        assert!(!on.waits_for("b", "order/a.jsonl") && !on.waits_for("b", "orders/a.json"));
    }

    #[test]
    fn what_is_nothing_to_import() {
        for (key, why) in [
            ("in/", Some(Ignored::FolderMarker)),
            ("x/data/shard=0/00000001-end.avro", Some(Ignored::PartOfExport)),
            ("x/manifest/shard=0/000001.json", Some(Ignored::PartOfExport)),
            ("x/manifest/shard=0/index/00000001.json", Some(Ignored::PartOfExport)),
            ("x/cancelled.json", Some(Ignored::PartOfExport)),
            ("nightly/run-00000001.json", Some(Ignored::SeriesDocument)),
            ("nightly/run-00000001-end.json", Some(Ignored::SeriesDocument)),
            ("x/manifest.json", None),
            ("data/part=1/a.json", None),
        ] {
            assert_eq!(why_ignored(key, Some(0)), why, "{key}");
        }
        assert_eq!(why_ignored("in/", Some(3)), None, "one that holds bytes is somebody's data");
    }

    #[test]
    fn objects_stand_by_time_and_then_by_key() {
        let order = [
            waiting(1, "b"),
            waiting(2, "a"),
            waiting(2, "a!x"),
            waiting(2, "a/b"),
            waiting(2, "ab"),
            waiting(10, "a"),
        ];
        let places: Vec<_> = order.iter().map(Waiting::place).collect();
        assert!(places.is_sorted(), "{places:?}");
        let long = waiting(1, &"ü".repeat(512));
        assert!(long.place().len() < 1_000 && long.place().ends_with(&long.digest()));
    }

    proptest! {
        #[test]
        fn places_sort_as_times_and_keys_do(
            a in (0_i64..4, "[ -~äß/]{1,6}"), b in (0_i64..4, "[ -~äß/]{1,6}"),
            sequencers in (0_u8..3, 0_u8..3),
        ) {
            let object = |(time, key): &(i64, String), sequencer: u8| Waiting {
                sequencer: Some(sequencer.to_string()),
                ..waiting(*time, key)
            };
            let (one, other) = (object(&a, sequencers.0), object(&b, sequencers.1));
            if a != b {
                prop_assert_eq!(one.place().cmp(&other.place()), a.cmp(&b));
            }
            let is_one = a.1 == b.1 && sequencers.0 == sequencers.1;
            prop_assert_eq!(one.digest() == other.digest(), is_one);
        }
    }

    #[test]
    fn a_version_tells_objects_apart_and_else_the_event_does() {
        let one = waiting(1, "a");
        assert_eq!(one.digest(), Waiting { time: Timestamp::from_millis(9), size: None, ..one.clone() }.digest());
        assert_ne!(one.digest(), Waiting { sequencer: Some("2".to_owned()), ..one.clone() }.digest());
        let versioned = |version: &str, sequencer: &str| Waiting {
            object_version: Some(version.to_owned()),
            sequencer: Some(sequencer.to_owned()),
            ..one.clone()
        };
        assert_eq!(versioned("v", "1").digest(), versioned("v", "2").digest());
        assert_ne!(versioned("v", "1").digest(), versioned("w", "1").digest());
        let (a, b) = (waiting(1, "a"), Waiting { bucket: "incominga".to_owned(), key: String::new(), ..one });
        assert_ne!(a.digest(), b.digest());
    }

    #[test]
    fn runs_are_known_by_their_ids() {
        let of = |id: &str| rule_of(&id.parse().unwrap()).map(String::from);
        assert_eq!(of("replay-000001").as_deref(), Some("replay"));
        assert_eq!(of("a-b-1234567").as_deref(), Some("a-b"));
        assert_eq!([of("replay"), of("replay-1"), of("nightly-2026-11-30")], [None, None, None]);
    }
}
