//! Retention headroom: how long a read that is behind still finds its next event, and when retention overtakes it.
//!
//! A stream drops each event at the age of its retention. So the horizon, in front of which all is gone, moves through
//! the stream's time: a millisecond in each millisecond. A read moves through it too, faster or slower. Where it is
//! slower the horizon catches up, and what it passes is lost.

use crate::Timestamp;

/// A read of a shard, in the stream's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Headroom {
    /// The first event that is not read arrived at this time or later.
    pub at: Timestamp,
    /// The read ends in front of the events of this time.
    pub until: Timestamp,
    /// How long the stream keeps events, in milliseconds.
    pub retention_millis: u64,
    /// Milliseconds of the stream's time that are read in a millisecond: 0 at rest. None if that is not known.
    pub speed: Option<f64>,
}

impl Headroom {
    /// Milliseconds from `now` on for which the stream keeps the first event that is not read. 0 if it may be gone.
    pub fn millis(self, now: Timestamp) -> u64 {
        self.at.plus_millis(self.retention_millis).millis_since(now)
    }

    /// When the horizon overtakes the read, if that goes on at its speed: `now` if it has done so. None if the read
    /// ends before, or nothing is known of its speed.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no less than 0, and some years at most"
    )]
    pub fn overtaken_at(self, now: Timestamp) -> Option<Timestamp> {
        let (speed, left) = (self.speed?.max(0.0), self.until.millis_since(self.at) as f64);
        let gains = 1.0 - speed;
        if left > 0.0 && self.at.plus_millis(self.retention_millis) < now {
            return Some(now);
        }
        if left <= 0.0 || gains <= 0.0 {
            return None;
        }
        let overtaken = self.millis(now) as f64 / gains;
        (overtaken * speed < left).then(|| now.plus_millis(overtaken as u64))
    }

    /// The speed of a read that has read this much of the stream's time, in milliseconds and in bytes, and now reads
    /// this many bytes a second. None where there were no bytes, as silence is crossed at any speed, or no time: events
    /// of one moment do not tell.
    pub fn speed_of(millis: u64, bytes: u64, bytes_per_second: f64) -> Option<f64> {
        (bytes > 0 && millis > 0).then(|| millis as f64 / bytes as f64 * bytes_per_second / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    /// A read that is so many hours behind, of a stream that keeps 24, up to now.
    fn behind(hours: u64, speed: Option<f64>) -> Headroom {
        Headroom { at: now().minus_millis(hours * HOUR), until: now(), retention_millis: 24 * HOUR, speed }
    }

    #[test]
    fn a_read_at_rest_is_overtaken_when_its_next_event_is_dropped() {
        assert_eq!(behind(20, Some(0.0)).millis(now()), 4 * HOUR);
        assert_eq!(behind(20, Some(0.0)).overtaken_at(now()), Some(now().plus_millis(4 * HOUR)));
        assert_eq!(behind(30, Some(0.0)).millis(now()), 0, "it is gone");
        assert_eq!(behind(30, Some(0.0)).overtaken_at(now()), Some(now()));
    }

    #[test]
    fn a_slow_read_is_overtaken_and_a_fast_one_is_not() {
        // The horizon gains half an hour on it in each hour.
        assert_eq!(behind(20, Some(0.5)).overtaken_at(now()), Some(now().plus_millis(8 * HOUR)));
        for speed in [1.0, 1.5, 700.0] {
            assert_eq!(behind(23, Some(speed)).overtaken_at(now()), None, "{speed}");
        }
        // It reads its two hours in four, and the horizon would need 44.
        assert_eq!(behind(2, Some(0.5)).overtaken_at(now()), None);
        assert_eq!(behind(20, None).overtaken_at(now()), None, "nobody knows");
        assert_eq!(behind(0, Some(0.0)).overtaken_at(now()), None, "nothing is left");
    }

    #[test]
    fn a_speed_is_that_of_the_bytes() {
        // An hour had 7,200 bytes, two a second: who reads four is twice as fast as time.
        let speed = |bytes, per_second| Headroom::speed_of(HOUR, bytes, per_second);
        assert_eq!([speed(7_200, 4.0), speed(7_200, 0.0), speed(0, 4.0)], [Some(2.0), Some(0.0), None]);
    }

    proptest! {
        /// As if time passed in steps: the horizon is in front of the read until it is overtaken, and behind it then.
        #[test]
        fn the_horizon_reaches_the_read_just_then(
            behind in 1_u64..40_000,
            range in 1_u64..40_000,
            retention in 1_u64..30_000,
            speed in 0.0_f64..1.4,
        ) {
            let at = now().minus_millis(behind);
            let read = Headroom { at, until: at.plus_millis(range), retention_millis: retention, speed: Some(speed) };
            let stands = |passed: u64| at.micros() as f64 + passed as f64 * 1_000.0 * speed;
            let horizon = |passed: u64| now().plus_millis(passed).minus_millis(retention).micros() as f64;
            let ended = |passed: u64| stands(passed) >= read.until.micros() as f64;
            if let Some(when) = read.overtaken_at(now()) {
                let passed = when.millis_since(now());
                prop_assert!(!ended(passed.saturating_sub(1)), "it was not at its end");
                prop_assert!(passed == 0 || horizon(passed - 1) <= stands(passed - 1), "not before");
                prop_assert!(horizon(passed + 2) >= stands(passed + 2), "by then");
            } else {
                let over = |passed: &u64| ended(*passed) || horizon(*passed) > stands(*passed);
                let overtaken = (0..200_000).step_by(50).find(over);
                prop_assert!(overtaken.is_none_or(ended), "{overtaken:?}");
            }
        }

        #[test]
        fn more_retention_is_never_worse(hours in 1_u64..48, more in 0_u64..48, speed in 0.0_f64..1.2) {
            let read = behind(hours, Some(speed));
            let longer = Headroom { retention_millis: read.retention_millis + more * HOUR, ..read };
            prop_assert!(longer.millis(now()) >= read.millis(now()));
            match (read.overtaken_at(now()), longer.overtaken_at(now())) {
                (Some(one), Some(other)) => prop_assert!(one <= other),
                (None, Some(when)) => prop_assert!(false, "only the longer one is overtaken, at {when}"),
                (_, None) => {}
            }
        }
    }
}
