//! What a plan says of retention: whether it overtakes a read of shards that are as full as they can be.

use sluice_ports::StreamFacts;
use sluice_transfer::{Headroom, ReadShare, Timestamp};

/// A read as planned, at its slowest.
pub(super) struct Slowest {
    /// It begins with the first event of this time or later; none for the oldest event.
    pub from: Option<Timestamp>,
    /// It ends in front of this time.
    pub until: Timestamp,
    /// The shards that are read.
    pub shards: usize,
    /// Bytes of payload that it may move in a second.
    pub rate: Option<u64>,
    /// The part of what a shard gives that it may take.
    pub share: ReadShare,
}

impl Slowest {
    /// Bytes a second that it reads of each shard.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a number")]
    fn of_a_shard(&self, given: u64) -> u64 {
        let share = (given as f64 * self.share.part()) as u64;
        self.rate.map_or(share, |rate| share.min(rate / self.shards.max(1) as u64))
    }

    /// Says when retention overtakes it, if it does.
    pub(super) fn note(&self, facts: StreamFacts, now: Timestamp) -> Option<String> {
        let (retention_millis, limits) = facts.retention_millis.zip(facts.limits)?;
        let read = self.of_a_shard(limits.read);
        let speed = Some(read as f64 / limits.written.max(1) as f64);
        let horizon = now.minus_millis(retention_millis);
        let at = self.from.map_or(horizon, |from| from.max(horizon));
        let overtaken = Headroom { at, until: self.until, retention_millis, speed }.overtaken_at(now)?;
        Some(format!(
            "retention overtakes this read at {overtaken}, if each shard took the {} bytes a second that it can take: \
             {read} bytes of it are read in a second. Raise the rate, the share that is read, or the retention",
            limits.written
        ))
    }
}

#[cfg(test)]
mod tests {
    use sluice_ports::ShardLimits;

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    fn facts() -> StreamFacts {
        let limits = Some(ShardLimits { written: 1_000, read: 2_000 });
        StreamFacts { created: None, retention_millis: Some(24 * HOUR), limits }
    }

    fn read(from: Option<u64>, rate: Option<u64>, share: f64) -> Slowest {
        let (from, share) = (from.map(|hours| now().minus_millis(hours * HOUR)), ReadShare::new(share).unwrap());
        Slowest { from, until: now(), shards: 4, rate, share }
    }

    #[test]
    fn a_read_as_fast_as_writers_is_not_overtaken() {
        assert_eq!(read(None, None, 0.5).note(facts(), now()), None);
        assert_eq!(read(Some(23), Some(4_000), 1.0).note(facts(), now()), None);
    }

    #[test]
    fn a_slower_one_is_and_the_plan_says_when() {
        let after = |slowest: Slowest| {
            let note = slowest.note(facts(), now()).expect("it is slower");
            note.strip_prefix("retention overtakes this read at ").unwrap()[..20].parse::<Timestamp>().unwrap()
        };
        assert_eq!(after(read(None, None, 0.25)), now(), "the oldest events go at once");
        // A quarter of the time is read in a second: an hour lasts for 80 minutes.
        assert_eq!(after(read(Some(23), None, 0.125)), now().plus_millis(80 * 60_000));
        assert_eq!(after(read(Some(23), Some(1_000), 1.0)), now().plus_millis(80 * 60_000), "a rate is for all shards");
        assert_eq!(read(Some(1), None, 0.25).note(facts(), now()), None, "it is at its end before");
    }

    #[test]
    fn where_there_is_no_limit_or_no_retention_nothing_is_said() {
        let slow = read(None, Some(1), 0.5);
        assert_eq!(slow.note(StreamFacts { limits: None, ..facts() }, now()), None);
        assert_eq!(slow.note(StreamFacts { retention_millis: None, ..facts() }, now()), None);
    }
}
