//! Series: exports of one stream into one place, each of which begins exactly where the last one ended.
//!
//! A series is on record in its bucket, so that any machine can go on with it. Its documents lie in a folder of its
//! name, beside the folders of its runs, and each is made only where there is none:
//!
//! ```text
//! PREFIX/nightly/run-00000007.json        the beginning of run 7: its host, and its first cut
//! PREFIX/nightly/run-00000007-end.json    the end of run 7: where the next one begins
//! PREFIX/nightly-2026-11-29/manifest.json its export
//! ```
//!
//! **Invariant.** Run n + 1 begins at the cut with which run n ended, and only after it ended. Of two machines that
//! begin or end a run at the same time, one makes the document, and the other one finds it there.

use serde::{Deserialize, Serialize};

use crate::manifest::{Document, ExportManifest};
use crate::record::ManifestRef;
use crate::{
    Counts, Cut, NameError, Position, SeriesName, ShardId, State, StreamUri, TimeRange, Timestamp, TransferId,
};

impl SeriesName {
    /// The name of its run of that day; `nth` counts those of one day from 1. Example: `nightly-2026-11-29`, and
    /// `nightly-2026-11-29-2`.
    ///
    /// # Errors
    /// None for a name that was parsed: it leaves room for both.
    pub fn run_id(&self, day: Timestamp, nth: u32) -> Result<TransferId, NameError> {
        let (text, again) = (day.to_string(), if nth > 1 { format!("-{nth}") } else { String::new() });
        let date: String = text.chars().take_while(|c| *c != 'T').collect();
        format!("{self}-{date}{again}").parse()
    }
}

/// The keys of a series' documents below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesKeys {
    prefix: String,
    folder: String,
}

impl SeriesKeys {
    /// Below `prefix` (without a slash at its ends, empty for a bucket's top).
    pub fn new(prefix: &str, name: &SeriesName) -> Self {
        let place = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { folder: format!("{place}{name}"), prefix: place }
    }

    /// The folder of its documents.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The beginning of all its documents' keys.
    pub fn documents(&self) -> String {
        format!("{}/run-", self.folder)
    }

    /// The document of a run's beginning. Runs are numbered from 1, and a listing shows them in their order.
    pub fn begin(&self, number: u32) -> String {
        format!("{}/run-{number:08}.json", self.folder)
    }

    /// The document of a run's end.
    pub fn end(&self, number: u32) -> String {
        format!("{}/run-{number:08}-end.json", self.folder)
    }

    /// A key that a document of the series names, made whole.
    pub fn whole(&self, relative: &str) -> String {
        format!("{}{relative}", self.prefix)
    }

    /// A whole key as the series' documents name it: relative to the prefix, so that all of it can be copied elsewhere.
    pub fn relative<'a>(&self, key: &'a str) -> &'a str {
        key.strip_prefix(&self.prefix).unwrap_or(key)
    }

    /// What a key is, relative to a folder: the number of the run that began, or of the one that ended (true).
    pub fn read(name: &str) -> Option<(u32, bool)> {
        let number = name.strip_prefix("run-")?.strip_suffix(".json")?;
        let (number, ended) = number.strip_suffix("-end").map_or((number, false), |number| (number, true));
        let digits = number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse().ok().filter(|_| digits).map(|number| (number, ended))
    }
}

/// Who keeps the records of transfers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostName {
    /// Tells it from all others, whatever its place is called by now.
    pub id: String,
    /// Where it is, for people.
    pub place: String,
}

/// The run before another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviousRun {
    /// Its transfer.
    pub transfer: TransferId,
    /// Its manifest, by its key relative to the series' prefix.
    pub manifest: ManifestRef,
    /// All that arrived before this time was in it or in the runs before; none where the source knows no arrivals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Timestamp>,
}

/// A run of a series, from its beginning: who does it, and where it begins. The document in the bucket, and a part of
/// the configuration of its export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeriesRun {
    /// The series.
    pub series: SeriesName,
    /// The number of the run, from 1.
    pub number: u32,
    /// Its transfer.
    pub transfer: TransferId,
    /// The source.
    pub stream: StreamUri,
    /// When the source was made, if its store tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_created: Option<Timestamp>,
    /// The cut at which it begins; none for a first run, which begins as it is asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Cut>,
    /// The last run before that was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousRun>,
    /// Who keeps the records of its transfer, and goes on with it.
    pub host: HostName,
    /// The execution that began it.
    pub execution: String,
    /// The time of its beginning.
    pub created: Timestamp,
    /// The stretch of time of which the source may have lost events before they were read, where no event tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hole: Option<TimeRange>,
}

impl SeriesRun {
    /// The time of which events may be lost, where a source that keeps them for `retention_millis` is read from
    /// `reading` on. `shards` are those that it has.
    ///
    /// A number that the source dropped is found out, and is a gap with its range. A shard of which no event was ever
    /// seen has no number, and one that is no longer listed is not read: there only time tells.
    pub fn hole(&self, shards: &[ShardId], retention_millis: Option<u64>, reading: Timestamp) -> Option<TimeRange> {
        let cut = self.from.as_ref()?;
        let reached = self.previous.as_ref()?.reached?;
        let horizon = reading.minus_millis(retention_millis?);
        let is_unnumbered = |(shard, at): (&ShardId, &Position)| *at == Position::Beginning || !shards.contains(shard);
        (reached < horizon && cut.0.iter().any(is_unnumbered)).then_some(TimeRange { min: reached, max: horizon })
    }
}

impl Document for SeriesRun {
    const KIND: &'static str = "series-run";
}

/// How a run of a series ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunEnding {
    /// Everything is there.
    Completed,
    /// What is there is complete, but the source had lost some of the range.
    CompletedWithGaps,
    /// It was given up. The next run has its range.
    Cancelled,
    /// Another machine took its place, while it was not at its end. The next run has its range.
    TakenOver,
}

impl RunEnding {
    /// True if the run's manifest is a part of the series.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Completed | Self::CompletedWithGaps)
    }
}

/// The end of a run. The same run with the same manifest gives the same bytes on any host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeriesEnd {
    /// The series.
    pub series: SeriesName,
    /// The number of the run.
    pub number: u32,
    /// Its transfer.
    pub transfer: TransferId,
    /// How it ended.
    pub ending: RunEnding,
    /// Its manifest, by its key relative to the series' prefix; none for a run that is no part of the series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestRef>,
    /// The next run begins here; none for as the first one is asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// All that arrived before this time is in this run or in those before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Timestamp>,
    /// Events and bytes in it.
    pub counts: Counts,
    /// The last run that was completed: this one, or one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousRun>,
}

impl SeriesEnd {
    /// Of a run that was completed: all follows from its manifest.
    pub fn completed(run: &SeriesRun, manifest: &ExportManifest, root: ManifestRef) -> Self {
        let position = |until: &crate::Cursor| until.position.clone();
        let cut = manifest.shards.iter().map(|shard| (shard.shard.clone(), position(&shard.until))).collect();
        let reached = manifest.shards.iter().map(|shard| shard.reached).min().flatten();
        Self {
            series: run.series.clone(),
            number: run.number,
            transfer: run.transfer.clone(),
            ending: match manifest.state {
                State::CompletedWithGaps => RunEnding::CompletedWithGaps,
                _ => RunEnding::Completed,
            },
            manifest: Some(root.clone()),
            cut: Some(Cut(cut)),
            reached,
            counts: manifest.counts,
            previous: Some(PreviousRun { transfer: run.transfer.clone(), manifest: root, reached }),
        }
    }

    /// Of a run that is no part of the series: the next one begins where this one began.
    pub fn without(run: &SeriesRun, ending: RunEnding) -> Self {
        Self {
            series: run.series.clone(),
            number: run.number,
            transfer: run.transfer.clone(),
            ending,
            manifest: None,
            cut: run.from.clone(),
            reached: run.previous.as_ref().and_then(|previous| previous.reached),
            counts: Counts::default(),
            previous: run.previous.clone(),
        }
    }
}

impl Document for SeriesEnd {
    const KIND: &'static str = "series-end";
}

/// The place of an export in its series, as its manifest tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeriesPlace {
    /// The series.
    pub series: SeriesName,
    /// The number of the run.
    pub number: u32,
    /// The last run before that was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousRun>,
    /// The stretch of time of which the source may have lost events before they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hole: Option<TimeRange>,
}

impl From<&SeriesRun> for SeriesPlace {
    fn from(run: &SeriesRun) -> Self {
        Self { series: run.series.clone(), number: run.number, previous: run.previous.clone(), hole: run.hole }
    }
}

/// Where a run does not begin where the one before ended: the shard, that end, and this beginning.
pub type Seam<'a> = (&'a ShardId, Position, Position);

/// The first shard in which a run does not go on exactly at `cut`. A shard that the cut does not name begins with its
/// first event.
pub fn seam<'a>(cut: &Cut, manifest: &'a ExportManifest) -> Option<Seam<'a>> {
    manifest.shards.iter().find_map(|shard| {
        let (named, begins) = (cut.0.get(&shard.shard), &shard.from.position);
        let follows = match named {
            // Its first event was not known before it was read.
            None | Some(Position::Beginning) => shard.from.offset == 0,
            Some(end) => end == begins && shard.from.offset == 0,
        };
        (!follows).then(|| (&shard.shard, named.cloned().unwrap_or_default(), begins.clone()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Sequence;

    fn name() -> SeriesName {
        "nightly".parse().unwrap()
    }

    fn run(cut: &str, reached: Option<Timestamp>) -> SeriesRun {
        let manifest = ManifestRef { key: "nightly-1/manifest.json".to_owned(), sha256: "0".repeat(64) };
        SeriesRun {
            series: name(),
            number: 2,
            transfer: "nightly-2".parse().unwrap(),
            stream: "kinesis:orders".parse().unwrap(),
            source_created: None,
            from: Some(cut.parse().unwrap()),
            previous: Some(PreviousRun { transfer: "nightly-1".parse().unwrap(), manifest, reached }),
            host: HostName { id: "1".to_owned(), place: "here".to_owned() },
            execution: "local-1".to_owned(),
            created: Timestamp::from_millis(0),
            hole: None,
        }
    }

    #[test]
    fn runs_are_called_by_their_day() {
        let day = "2026-11-29T23:59:59.5Z".parse().unwrap();
        let id = |nth| name().run_id(day, nth).unwrap().to_string();
        assert_eq!((id(1), id(2)), ("nightly-2026-11-29".to_owned(), "nightly-2026-11-29-2".to_owned()));
        let longest: SeriesName = "n".repeat(60).parse().unwrap();
        assert!(longest.run_id(day, 10_000).is_ok(), "there is room for the day");
        assert!("n".repeat(61).parse::<SeriesName>().is_err());
    }

    #[test]
    fn keys_are_relative_to_what_can_be_copied() {
        for (prefix, whole) in [("", "nightly-1/manifest.json"), ("a/b", "a/b/nightly-1/manifest.json")] {
            let keys = SeriesKeys::new(prefix, &name());
            assert_eq!(keys.relative(whole), "nightly-1/manifest.json");
            assert_eq!(keys.whole("nightly-1/manifest.json"), whole);
        }
        for name in ["run-1.json", "run-0000000a.json", "run-+0000001.json", "run-00000001.json.tmp", "00000001.json"] {
            assert_eq!(SeriesKeys::read(name), None, "{name}");
        }
    }

    #[test]
    fn only_what_has_no_number_is_told_by_its_time() {
        let at = |hours: u64| Timestamp::from_millis(1_700_000_000_000).plus_millis(hours * 3_600_000);
        let (shards, day) = (["0".parse().unwrap(), "1".parse().unwrap()], Some(24 * 3_600_000));
        let hole = |cut: &str, reached, reading| run(cut, Some(at(reached))).hole(&shards, day, at(reading));
        let idle = "cut:0@0,1@5";
        assert_eq!(hole(idle, 0, 24), None, "nothing can have been dropped");
        assert_eq!(hole(idle, 0, 30), Some(TimeRange { min: at(0), max: at(6) }));
        assert_eq!(hole("cut:0@1,1@5", 0, 30), None, "its number tells");
        assert_eq!(hole("cut:0@1,2@5", 0, 30), Some(TimeRange { min: at(0), max: at(6) }), "one is no longer listed");
        assert_eq!(run(idle, Some(at(0))).hole(&shards, None, at(30)), None, "it keeps everything");
        assert_eq!(run(idle, None).hole(&shards, day, at(30)), None, "it knows no arrivals");
    }

    proptest! {
        #[test]
        fn names_of_documents_are_read_back(number in 0_u32..100_000_000) {
            let keys = SeriesKeys::new("p", &name());
            let read = |key: String| SeriesKeys::read(key.strip_prefix("p/nightly/").unwrap());
            prop_assert_eq!(read(keys.begin(number)), Some((number, false)));
            prop_assert_eq!(read(keys.end(number)), Some((number, true)));
            prop_assert!(keys.begin(number).starts_with(&keys.documents()));
        }

        #[test]
        fn what_is_given_up_is_the_next_ones(at in 1_u64..1_000) {
            let run = run(&format!("cut:0@{at}"), None);
            let end = SeriesEnd::without(&run, RunEnding::TakenOver);
            prop_assert_eq!(&end.cut, &run.from);
            prop_assert_eq!(&end.previous, &run.previous);
            let cut = end.cut.unwrap_or_default();
            prop_assert_eq!(cut.0.values().next(), Some(&Position::before(&Sequence::new(at))));
        }
    }
}
