//! How fast a shard moves, and how fast it may.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Half of what was known of the rate is forgotten in this time.
const HALF_LIFE_MILLIS: f64 = 10_000.0;

/// A smoothed rate, kept with the checkpoints so that anyone can tell the time remaining.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Bytes of payload a second, in thousandths: a rate that faded without end would become a number that a store
    /// cannot hold (`DynamoDB`: nothing between 0 and 1E-130), and short decimals are read back as they were.
    pub bytes_per_second: f64,
    /// When it was last brought up to date.
    pub at: Timestamp,
}

impl Pace {
    /// Starts the clock: what passed before `now` was rest.
    #[must_use]
    pub fn woken(self, now: Timestamp) -> Self {
        Self { at: now, ..self }
    }

    /// With `bytes` moved since the last time.
    #[must_use]
    pub fn moved(self, bytes: u64, now: Timestamp) -> Self {
        let millis = now.millis_since(self.at);
        if millis == 0 {
            // Too short to tell a rate from.
            return self;
        }
        let millis = millis as f64;
        let seen = bytes as f64 * 1_000.0 / millis;
        let kept = if self.bytes_per_second > 0.0 { 0.5_f64.powf(millis / HALF_LIFE_MILLIS) } else { 0.0 };
        let rate = self.bytes_per_second * kept + seen * (1.0 - kept);
        // Down, so that it reaches nothing.
        Self { bytes_per_second: (rate * 1_000.0).floor() / 1_000.0, at: now }
    }
}

/// So long a throttle remembers that less passed than might have.
const BURST_MILLIS: u64 = 1_000;

/// Spreads bytes over time: a bucket of one second's worth that refills at the rate asked for.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    rate: u64,
    full_at: Timestamp,
}

impl Throttle {
    /// At most `rate` bytes a second (at least 1) from `now` on.
    pub fn new(rate: u64, now: Timestamp) -> Self {
        Self { rate: rate.max(1), full_at: now }
    }

    /// Takes `bytes`; answers how many milliseconds to wait before going on.
    pub fn take(&mut self, bytes: u64, now: Timestamp) -> u64 {
        let micros = u128::from(bytes) * 1_000_000 / u128::from(self.rate);
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        // What a sleep or a store took too long is made up for, as far as a second's worth.
        let from = self.full_at.max(now.minus_millis(BURST_MILLIS));
        self.full_at = Timestamp::from_micros(from.micros().saturating_add(micros));
        self.full_at.millis_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_found_and_rest_does_not_count() {
        let mut now = Timestamp::from_millis(1_000);
        let mut pace = Pace::default().woken(now);
        for _ in 0..100 {
            now = now.plus_millis(100);
            pace = pace.moved(500, now);
        }
        assert!((pace.bytes_per_second - 5_000.0).abs() < 1.0, "{pace:?}");
        now = now.plus_millis(1_000_000);
        pace = pace.woken(now).moved(500, now.plus_millis(100));
        assert!((pace.bytes_per_second - 5_000.0).abs() < 1.0, "{pace:?}");
    }

    #[test]
    fn a_rate_fades_to_nothing_and_not_to_a_number_too_small_to_store() {
        let mut now = Timestamp::from_millis(1_000);
        let mut pace = Pace { bytes_per_second: 1e9, at: now };
        for _ in 0..2_000 {
            now = now.plus_millis(5_000);
            pace = pace.moved(0, now);
            assert!(pace.bytes_per_second == 0.0 || pace.bytes_per_second >= 0.001, "{pace:?}");
        }
        assert!(pace.bytes_per_second.abs() < f64::EPSILON, "{pace:?}");
    }

    #[test]
    fn what_oversleeps_is_made_up_for() {
        let start = Timestamp::from_millis(0);
        let mut now = start;
        let mut throttle = Throttle::new(1_000, now);
        for _ in 0..10_000 {
            match throttle.take(1, now) {
                0 => {}
                wait => now = now.plus_millis(wait + 1),
            }
        }
        assert!(now.millis_since(start) <= 10_001, "{now}");
    }

    #[test]
    fn a_throttle_keeps_its_rate_in_the_long_run() {
        let mut now = Timestamp::from_millis(0);
        let mut throttle = Throttle::new(1_000, now);
        for _ in 0..50 {
            now = now.plus_millis(throttle.take(200, now));
        }
        assert_eq!(now, Timestamp::from_millis(10_000));
        // Of idle time one second is saved up, and no more.
        now = now.plus_millis(60_000);
        assert_eq!(throttle.take(1_000, now), 0);
        assert_eq!(throttle.take(1_000, now), 1_000);
    }
}
