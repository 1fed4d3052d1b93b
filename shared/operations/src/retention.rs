//! Lag and retention of an export, as reports tell them. Only where the source knows events by when they arrived.

use serde::{Deserialize, Serialize};
use sluice_transfer::record::{Config, ShardRecord, TimeBounds, TransferRecord};
use sluice_transfer::{Headroom, Pace, State, Timestamp};

/// The weight of samples, in milliseconds, below which a rate is no more than a guess.
const KNOWN_MILLIS: u32 = 5_000;

/// How long the source of an export keeps what is not read yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Seconds for which the source keeps an event.
    pub seconds: u64,
    /// Seconds for which it still keeps the oldest event that is not read; null where that is not known.
    pub headroom_seconds: Option<u64>,
    /// When it drops events before they are read, if the export goes on as now, RFC 3339; null if it does not.
    pub overtaken_at: Option<String>,
}

/// The shards that are not through, with the bounds that are times.
fn unread<'a>(
    transfer: &TransferRecord,
    shards: &'a [ShardRecord],
) -> impl Iterator<Item = (&'a ShardRecord, &'a TimeBounds)> + use<'a> {
    let over = transfer.state.is_final() || transfer.state == State::Preparing;
    let left = shards.iter().filter(move |shard| !over && !shard.is_drained());
    left.filter_map(|shard| shard.times.as_ref().map(|times| (shard, times)))
}

/// Seconds that the slowest shard is behind the stream's tip. None before each has read something.
pub(crate) fn lag_seconds(transfer: &TransferRecord, shards: &[ShardRecord], now: Timestamp) -> Option<u64> {
    let reached: Option<Vec<_>> = unread(transfer, shards).map(|(_, times)| times.reached()).collect();
    reached?.into_iter().min().map(|slowest| now.millis_since(slowest) / 1_000)
}

/// The shard that retention is nearest to decides.
pub(crate) fn retention(transfer: &TransferRecord, shards: &[ShardRecord], now: Timestamp) -> Option<Retention> {
    let Config::Export(config) = &transfer.config else { return None };
    let kept = |times: &TimeBounds| times.retention_millis.or(config.retention_millis);
    let shortest = unread(transfer, shards).filter_map(|(_, times)| kept(times)).min()?;
    let rooms: Vec<Headroom> = unread(transfer, shards)
        .filter_map(|(shard, times)| {
            let at = times.reached().or(times.from)?;
            let speed = speed_of(transfer.state, shard, times);
            Some(Headroom { at, until: times.until, retention_millis: kept(times)?, speed })
        })
        .collect();
    Some(Retention {
        seconds: shortest / 1_000,
        headroom_seconds: rooms.iter().map(|room| room.millis(now) / 1_000).min(),
        overtaken_at: rooms.iter().filter_map(|room| room.overtaken_at(now)).min().map(|time| time.to_string()),
    })
}

/// The speed of a shard's read. At rest nothing is read. Of a shard that waits for its turn nothing is known.
fn speed_of(state: State, shard: &ShardRecord, times: &TimeBounds) -> Option<f64> {
    if !state.is_active() {
        return Some(0.0);
    }
    let Pace { bytes_per_second, known_millis, woken, .. } = shard.pace;
    let is_known = !woken && known_millis.is_none_or(|known| known >= KNOWN_MILLIS);
    let is_read = shard.owner.is_some() && is_known;
    is_read.then(|| Headroom::speed_of(times.read_millis(), shard.moved().bytes, bytes_per_second)).flatten()
}

#[cfg(test)]
mod tests {
    use sluice_transfer::record::{DestinationRecord, ExportConfig, Owner, Work};
    use sluice_transfer::{Counts, DestinationName, ExportRequest, Position, Range, Request, Step};

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    fn ago(hours: u64) -> Timestamp {
        now().minus_millis(hours * HOUR)
    }

    /// An export of a stream that keeps events for a day, planned now.
    fn transfer(steps: &[Step]) -> TransferRecord {
        let (stream, to) = ("kinesis:orders".parse().unwrap(), "s3://archive".parse().unwrap());
        let request = ExportRequest::new(stream, to);
        let mut config = ExportConfig::new(request.stream.clone(), [].into());
        config.retention_millis = Some(24 * HOUR);
        let (request, config) = (Request::Export(request), Config::Export(config));
        let mut record = TransferRecord::new("t".parse().unwrap(), "x".into(), request, config, Vec::new(), now());
        for step in steps {
            record.step(*step).unwrap();
        }
        record
    }

    /// A shard that was read from `first` to `here` hours ago, a byte a second of the stream's time, and reads this
    /// many bytes a second now.
    fn shard(first: u64, here: u64, bytes_per_second: f64) -> ShardRecord {
        let mut destination = DestinationRecord::new(Position::Beginning);
        destination.counts = Counts::new(1, (first - here) * HOUR / 1_000);
        destination.high_water = destination.counts;
        let work = Work::Export([(DestinationName::only(), destination)].into());
        let range = Range { from: Position::Beginning, until: Position::End };
        let mut times = TimeBounds::new(None, now());
        times.read(ago(first));
        times.read(ago(here));
        let owner = Some(Owner { slice: "s".into(), lease_until: now() });
        let pace = Pace { bytes_per_second, at: now(), known_millis: None, woken: false };
        let record = ShardRecord::new("t".parse().unwrap(), "0".parse().unwrap(), range, None, work);
        ShardRecord { times: Some(times), owner, pace, ..record }
    }

    fn told(transfer: &TransferRecord, shards: &[ShardRecord]) -> (Option<u64>, Option<u64>, Option<String>) {
        let retention = retention(transfer, shards, now()).unwrap();
        assert_eq!(retention.seconds, 86_400);
        (lag_seconds(transfer, shards, now()), retention.headroom_seconds, retention.overtaken_at)
    }

    #[test]
    fn the_slowest_shard_decides() {
        let moving = transfer(&[Step::Planned]);
        let hours = |hours: u64| Some(hours * 3_600);
        assert_eq!(told(&moving, &[shard(23, 2, 9.0), shard(23, 20, 9.0)]), (hours(20), hours(4), None));
        // Half as fast as time: the horizon is there in 8 hours.
        let overtaken = now().plus_millis(8 * HOUR).to_string();
        let slow = [shard(23, 2, 9.0), shard(23, 20, 0.5)];
        assert_eq!(told(&moving, &slow), (hours(20), hours(4), Some(overtaken)));
        let mut guessed = slow;
        guessed[1].pace.known_millis = Some(10);
        assert_eq!(told(&moving, &guessed).2, None, "a first sample is no alarm");
        guessed[1].owner = None;
        assert_eq!(told(&moving, &guessed).2, None, "nor is a shard that waits for its turn");
    }

    #[test]
    fn at_rest_the_next_event_is_waited_for_by_nobody() {
        let paused = transfer(&[Step::Planned, Step::Paused]);
        let dropped = now().plus_millis(4 * HOUR).to_string();
        assert_eq!(told(&paused, &[shard(23, 20, 9.0)]), (Some(72_000), Some(14_400), Some(dropped)));
    }

    #[test]
    fn a_retention_that_was_raised_counts() {
        let moving = transfer(&[Step::Planned]);
        let mut raised = shard(23, 20, 0.5);
        raised.times.as_mut().unwrap().retention_millis = Some(48 * HOUR);
        let told = retention(&moving, &[raised], now()).unwrap();
        assert_eq!((told.seconds, told.headroom_seconds, told.overtaken_at), (172_800, Some(28 * 3_600), None));
    }

    #[test]
    fn what_was_not_read_has_no_lag_and_from_the_oldest_no_headroom() {
        let moving = transfer(&[Step::Planned]);
        let mut fresh = shard(23, 20, 9.0);
        fresh.times = Some(TimeBounds::new(None, now()));
        assert_eq!(told(&moving, &[fresh.clone(), shard(23, 2, 9.0)]), (None, Some(22 * 3_600), None));
        fresh.times = Some(TimeBounds::new(Some(ago(23)), now()));
        assert_eq!(told(&moving, &[fresh]), (None, Some(3_600), None));
    }

    #[test]
    fn where_nothing_is_dropped_nothing_is_told() {
        let mut local = transfer(&[Step::Planned]);
        let Config::Export(config) = &mut local.config else { panic!("an export") };
        config.retention_millis = None;
        assert_eq!(retention(&local, &[shard(23, 20, 9.0)], now()), None);
        let ended = transfer(&[Step::Planned, Step::Drained, Step::Verified]);
        let shards = [shard(23, 20, 9.0)];
        assert_eq!((retention(&ended, &shards, now()), lag_seconds(&ended, &shards, now())), (None, None));
    }
}
