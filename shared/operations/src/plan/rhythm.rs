//! The rhythm of an import, as it is planned: when it begins, when it ends, and whether it can be kept at all.

use sluice_transfer::{Factor, Rhythm, ShardId, Timestamp, duration_in_words};

use super::list::{Sources, Taken};
use crate::error::{Code, OperationError};

/// Clocks of two shards may differ by so much, in milliseconds: less is no overlap.
const OVERLAP_MILLIS: u64 = 1_000;
/// The way out that is always there.
const AT_ONCE: &str = "or import with pace max, as fast as it goes";

/// Refuses sources whose events hold no times.
pub(super) fn refuse_untimed(what: &str) -> OperationError {
    OperationError::new(Code::Invalid, format!("pace: {what}, {AT_ONCE}"))
}

/// The rhythm of the sources in the shards that take them. None for sources that hold nothing.
pub(super) fn rhythm(factor: Factor, sources: &Sources, taken: &[Taken]) -> Result<Option<Rhythm>, OperationError> {
    if let Some(shard) = taken.iter().find(|one| overlaps(sources, one)).map(|one| &one.shard) {
        return Err(refuse_overlap(shard));
    }
    let Some(from) = sources.shards.iter().filter_map(|shard| shard.first).min() else { return Ok(None) };
    let held = || sources.shards.iter().filter(|shard| !shard.is_empty());
    let last: Option<Vec<Timestamp>> = held().map(|shard| shard.times.map(|times| times.max)).collect();
    Ok(Some(Rhythm { factor, from, until: last.and_then(|last| last.into_iter().max()) }))
}

/// True if a shard takes the events of several sources, one source after the other, although some were written side by
/// side: those of the later source would all be overdue.
fn overlaps(sources: &Sources, taken: &Taken) -> bool {
    let mut latest: Option<Timestamp> = None;
    taken.sources.iter().filter_map(|number| sources.shards.get(*number)?.times).any(|times| {
        let begins_before = latest.is_some_and(|latest| latest.millis_since(times.min) > OVERLAP_MILLIS);
        latest = latest.max(Some(times.max));
        begins_before
    })
}

fn refuse_overlap(shard: &ShardId) -> OperationError {
    let what = format!(
        "shard {shard} of the target takes the events of several shards of the source, which were written side by side \
         and are read one after the other, so their rhythm cannot be kept: import into a stream with as many shards as \
         the source, if need be with the placement as-source"
    );
    refuse_untimed(&what)
}

/// The note on the rhythm: how long the import takes, and until when.
pub(super) fn note(rhythm: &Rhythm, now: Timestamp) -> String {
    let how = rhythm.factor.in_words();
    match rhythm.millis() {
        Some(millis) => {
            let until = now.plus_millis(millis).whole_seconds();
            format!("pace: {how}: about {}, until {until}", duration_in_words(millis / 1_000))
        }
        None => {
            format!("pace: {how}, from {}; how long that takes is not known before the files are read", rhythm.from)
        }
    }
}

#[cfg(test)]
mod tests {
    use sluice_transfer::{Encoding, Format, LeftOut, TimeRange};

    use super::super::list::{Known, ListedShard};
    use super::super::notes::Notes;
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000)
    }

    /// Shards that hold events from and until these seconds.
    fn sources(times: &[(i64, i64)]) -> Sources {
        let shard = |(from, until): &(i64, i64)| {
            let mut shard = ListedShard::of(None);
            let times = Some(TimeRange { min: at(*from), max: at(*until) });
            shard.know(Known { first: Some(at(*from)), times, ..Known::default() });
            shard.count(1, 1);
            shard
        };
        Sources {
            encoding: Encoding { format: Format::Avro, ..Encoding::RAW },
            bucket: None,
            foreign: None,
            joined: true,
            shards: times.iter().map(shard).collect(),
            left_out: LeftOut::default(),
            notes: Notes::default(),
        }
    }

    fn taken(sources: &[usize]) -> Taken {
        Taken { shard: "0".parse().unwrap(), hashes: None, sources: sources.to_vec() }
    }

    #[test]
    fn it_begins_with_the_first_event_and_ends_with_the_last() {
        let sources = sources(&[(10, 40), (5, 12_005)]);
        let planned = rhythm(Factor::ORIGINAL, &sources, &[taken(&[0]), taken(&[1])]).unwrap().unwrap();
        assert_eq!((planned.from, planned.until), (at(5), Some(at(12_005))));
        let told = note(&planned, at(20_000));
        assert_eq!(told, "pace: in the original rhythm: about 3 h 20 min, until 2023-11-15T07:06:40Z");
        let fast = Rhythm { factor: "10x".parse().unwrap(), ..planned };
        assert!(note(&fast, at(0)).contains("at 10 times the original rhythm: about 20 min"), "{}", note(&fast, at(0)));
        let unknown = note(&Rhythm { until: None, ..planned }, at(0));
        assert!(unknown.contains("is not known before the files are read"), "{unknown}");
    }

    #[test]
    fn sources_of_which_one_does_not_tell_its_times_have_no_known_end() {
        let mut sources = sources(&[(10, 40), (5, 60)]);
        sources.shards[0].times = None;
        assert_eq!(rhythm(Factor::ORIGINAL, &sources, &[taken(&[0])]).unwrap().unwrap().until, None);
        sources.shards.iter_mut().for_each(|shard| shard.first = None);
        assert_eq!(rhythm(Factor::ORIGINAL, &sources, &[taken(&[0])]), Ok(None), "nothing to import");
    }

    #[test]
    fn what_was_written_side_by_side_is_not_read_one_after_the_other() {
        let sources = sources(&[(10, 40), (5, 60), (59, 90), (40, 50)]);
        for (read, fits) in [(&[1, 2][..], true), (&[0], true), (&[0, 3], true), (&[0, 1], false), (&[0, 2, 1], false)]
        {
            let planned = rhythm(Factor::ORIGINAL, &sources, &[taken(read)]);
            assert_eq!(planned.is_ok(), fits, "{read:?}");
            let refused = planned.err().map(|error| error.message).unwrap_or_default();
            assert!(fits || refused.contains("as-source") && refused.contains("pace max"), "{refused}");
        }
    }
}
