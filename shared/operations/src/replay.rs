//! How an import in rhythm stands, as reports tell it.

use serde::{Deserialize, Serialize};
use sluice_transfer::record::{Lateness, ShardRecord, TransferRecord, Work};
use sluice_transfer::{Schedule, Tempo, Timestamp};

/// How an import keeps its rhythm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// How much faster than at the source events are appended: `original`, `10x`.
    pub pace: Tempo,
    /// When the last event is due if the import does not rest, RFC 3339. Null where the last time is not known, and
    /// before it has begun to write.
    pub ends_at: Option<String>,
    /// When the next event is due, RFC 3339; null unless all shards wait.
    pub next_at: Option<String>,
    /// Seconds that the last events were later than they were due, in the latest shard; 0 while all keep their time.
    pub late_seconds: u64,
    /// The most that events were late so far.
    pub most_late_seconds: u64,
}

/// How the import keeps its rhythm; none without one.
pub(crate) fn replay(transfer: &TransferRecord, shards: &[ShardRecord], now: Timestamp) -> Option<Replay> {
    let rhythm = transfer.rhythm()?;
    let schedule = transfer.schedule();
    let late = lateness(shards);
    let at = |time: Timestamp| Some(instant(&schedule?, time, now).whole_seconds().to_string());
    let active = transfer.state.is_active();
    let unsent = || shards.iter().filter(move |shard| active && !shard.is_drained());
    let has_more = unsent().next().is_some();
    let waits: Option<Vec<Timestamp>> = unsent().map(ShardRecord::waits_for).collect();
    let next = waits.and_then(|waits| waits.into_iter().min());
    let is_ahead = |time: &Timestamp| schedule.is_some_and(|schedule| schedule.wait_millis(*time, now) > 0);
    Some(Replay {
        pace: Tempo::Rhythm(rhythm.factor),
        ends_at: rhythm.until.filter(|_| has_more).and_then(at),
        next_at: next.filter(is_ahead).and_then(at),
        late_seconds: late.last_millis / 1_000,
        most_late_seconds: late.most_millis / 1_000,
    })
}

/// When an event of that source time is sent. While the transfer is to rest, as if it went on now.
fn instant(schedule: &Schedule, time: Timestamp, now: Timestamp) -> Timestamp {
    match schedule.anchor.held {
        None => schedule.due(time),
        Some(_) => now.plus_millis(schedule.wait_millis(time, now)),
    }
}

fn lateness(shards: &[ShardRecord]) -> Lateness {
    let late = shards.iter().filter_map(|shard| match &shard.work {
        Work::Import(import) if shard.is_drained() => Some(Lateness { last_millis: 0, ..import.late }),
        Work::Import(import) => Some(import.late),
        Work::Export(_) => None,
    });
    late.fold(Lateness::default(), Lateness::max)
}

/// Seconds until an import in rhythm has sent its last event. `at_this_rate` is what is left at the rate at which bytes
/// move, which counts where the target is too slow. None where the last time is not known: then time goes on as it did.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
pub(crate) fn seconds_left(
    transfer: &TransferRecord,
    shards: &[ShardRecord],
    progress: Option<f64>,
    at_this_rate: Option<u64>,
    now: Timestamp,
) -> Option<u64> {
    let rhythm = transfer.rhythm()?;
    let Some(until) = rhythm.until else {
        let began = transfer.anchor?.began;
        let (done, passed) = (progress.filter(|done| *done > 0.0)?, now.millis_since(began));
        return Some((passed as f64 * (1.0 - done) / done / 1_000.0).ceil() as u64);
    };
    let Some(schedule) = transfer.schedule() else { return rhythm.millis().map(|millis| millis.div_ceil(1_000)) };
    let due = schedule.wait_millis(until, now).div_ceil(1_000);
    let is_late = lateness(shards).last_millis > 0;
    Some(if is_late { due.max(at_this_rate.unwrap_or_default()) } else { due })
}

#[cfg(test)]
mod tests {
    use sluice_transfer::record::{Config, ImportConfig, ImportRecord};
    use sluice_transfer::{Anchor, Factor, Format, ImportRequest, OnMisfit, Position, Range, Request, Rhythm, Step};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000)
    }

    /// An import of an hour of events, which began to write at the 1,000th second.
    fn transfer(until: Option<Timestamp>) -> TransferRecord {
        let request = ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap());
        let config = ImportConfig {
            bucket: request.source.clone(),
            work: request.source.clone(),
            list: "list".to_owned(),
            stream: request.stream.clone(),
            format: Format::Avro,
            compression: sluice_transfer::Compression::Plain,
            foreign: None,
            event_size: 1,
            largest_event: None,
            pack: false,
            placement: None,
            order: None,
            on_misfit: OnMisfit::Fail,
            time: at(0),
            rhythm: Some(Rhythm { factor: Factor::ORIGINAL, from: at(-9_000), until }),
            rate: None,
        };
        let (request, config) = (Request::Import(request), Config::Import(config));
        let mut record = TransferRecord::new("t".parse().unwrap(), "x".into(), request, config, Vec::new(), at(0));
        record.step(Step::Planned).unwrap();
        record.anchor = Some(Anchor::new(at(1_000)));
        record
    }

    fn shard(waits_for: Option<Timestamp>, late: Lateness, drained: bool) -> ShardRecord {
        let mut import = ImportRecord::new(u64::from(!drained), Position::Beginning, 0);
        (import.waits_for, import.late) = (waits_for, late);
        let range = Range { from: Position::Beginning, until: Position::End };
        let work = Work::Import(Box::new(import));
        ShardRecord::new("t".parse().unwrap(), "0".parse().unwrap(), range, None, work)
    }

    #[test]
    fn it_ends_when_the_last_time_is_due_and_later_where_the_target_is_slow() {
        let transfer = transfer(Some(at(-5_400)));
        let in_time = [shard(None, Lateness::default(), false)];
        let left = |shards: &[ShardRecord], rate| seconds_left(&transfer, shards, Some(0.9), rate, at(1_600));
        assert_eq!(left(&in_time, Some(5)), Some(3_000), "bytes do not count");
        let late = [shard(None, Lateness { last_millis: 90_000, most_millis: 90_000 }, false)];
        assert_eq!((left(&late, Some(7_000)), left(&late, Some(5))), (Some(7_000), Some(3_000)));
        let told = replay(&transfer, &late, at(1_600)).unwrap();
        assert_eq!((told.late_seconds, told.most_late_seconds), (90, 90));
        assert_eq!(told.ends_at, Some(at(4_600).to_string()));
        let through = [shard(None, Lateness { last_millis: 90_000, most_millis: 90_000 }, true)];
        assert_eq!(replay(&transfer, &through, at(1_600)).unwrap().late_seconds, 0);
    }

    #[test]
    fn at_rest_the_rest_of_it_is_still_to_come() {
        let mut held = transfer(Some(at(-5_400)));
        held.anchor.as_mut().unwrap().hold(at(1_600));
        let shards = [shard(Some(at(-8_000)), Lateness::default(), false)];
        assert_eq!(seconds_left(&held, &shards, None, None, at(99_600)), Some(3_000));
        let told = replay(&held, &shards, at(99_600)).unwrap();
        assert_eq!((told.next_at, told.ends_at), (Some(at(100_000).to_string()), Some(at(102_600).to_string())));
        held.anchor = None;
        assert_eq!(seconds_left(&held, &shards, None, None, at(99_600)), Some(3_600), "it has not begun");
    }

    #[test]
    fn the_next_event_is_told_while_all_wait() {
        let transfer = transfer(None);
        let wait = |seconds| shard(Some(at(seconds)), Lateness::default(), false);
        let (works, through) = (shard(None, Lateness::default(), false), shard(None, Lateness::default(), true));
        let next = |shards: &[ShardRecord]| replay(&transfer, shards, at(1_600)).unwrap().next_at;
        assert_eq!(next(&[wait(-8_000), through.clone(), wait(-8_200)]), Some(at(1_800).to_string()));
        assert_eq!(next(&[wait(-8_000), works]), None);
        assert_eq!((next(&[wait(-8_900)]), next(&[through])), (None, None));
        let left = |done| seconds_left(&transfer, &[wait(-8_000)], done, Some(9), at(1_600));
        assert_eq!((left(Some(0.75)), left(None)), (Some(200), None), "as long as it took so far");
    }
}
