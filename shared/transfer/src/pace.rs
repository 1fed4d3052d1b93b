//! The rate at which a shard moves, and its limit.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The weight of a sample halves in this time.
const HALF_LIFE_MILLIS: f64 = 10_000.0;
/// The largest weight of all samples: the integral of the fading.
const MOST_KNOWN: f64 = HALF_LIFE_MILLIS / std::f64::consts::LN_2;
/// A weight above this, in milliseconds, counts as the largest there is.
const SATURATED: f64 = 14_000.0;
/// The weight of the first sample since the clock was started. It holds the start as well: opening stores, and filling
/// what is in flight.
const FIRST_WEIGHT: f64 = 0.1;

/// A smoothed rate, kept with the checkpoints so that anyone can tell the time remaining.
///
/// A mean of samples, each weighed by its time and by its age. So samples of one rate give that rate from the first on,
/// however many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Bytes of payload a second, in thousandths: a rate that faded without end would become a number that a store
    /// cannot hold (`DynamoDB`: nothing between 0 and 1E-130), and short decimals are read back as they were.
    pub bytes_per_second: f64,
    /// The time of the last sample.
    pub at: Timestamp,
    /// The weight of the samples so far, in milliseconds of movement that fade with age. Absent once it is saturated,
    /// to keep the record small, and where there is no rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_millis: Option<u32>,
    /// True if the clock was started and nothing has moved since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub woken: bool,
}

impl Pace {
    /// Starts the clock: what passed before `now` was rest.
    #[must_use]
    pub fn woken(self, now: Timestamp) -> Self {
        Self { at: now, woken: true, ..self }
    }

    /// With `bytes` moved since the last time.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most what is ever known")]
    pub fn moved(self, bytes: u64, now: Timestamp) -> Self {
        let millis = now.millis_since(self.at);
        if millis == 0 {
            // Too short to tell a rate from.
            return self;
        }
        let millis = millis as f64;
        let seen = bytes as f64 * 1_000.0 / millis;
        let faded = 0.5_f64.powf(millis / HALF_LIFE_MILLIS);
        let news = MOST_KNOWN * (1.0 - faded);
        let news = if self.woken { news * FIRST_WEIGHT } else { news };
        let known = match self.known_millis {
            Some(known) => f64::from(known),
            None if self.bytes_per_second > 0.0 => MOST_KNOWN,
            None => 0.0,
        };
        let before = known * faded;
        let rate = (self.bytes_per_second * before + seen * news) / (before + news);
        // A first sample alone is a guess, which the second one replaces.
        let known = if self.woken && before == 0.0 { 0.0 } else { before + news };
        let known_millis = (known < SATURATED).then_some(known.ceil() as u32);
        // Down, so that it reaches nothing.
        Self { bytes_per_second: (rate * 1_000.0).floor() / 1_000.0, at: now, known_millis, woken: false }
    }
}

/// Microseconds for which a throttle remembers unused allowance.
const BURST_MICROS: u128 = 1_000_000;

/// Spreads bytes over time: a bucket of one second's worth that refills at the rate asked for, which may change.
///
/// Bytes are counted in millionths, so that a rate and microseconds give whole numbers.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    rate: u64,
    /// Taken since the beginning.
    taken: u128,
    /// Paid for by time until `at`; at most a second's worth more than was taken.
    paid: u128,
    at: Timestamp,
}

const MILLIONTHS: u128 = 1_000_000;

impl Throttle {
    /// At most `rate` bytes a second (at least 1) from `now` on.
    pub fn new(rate: u64, now: Timestamp) -> Self {
        Self { rate: rate.max(1), taken: 0, paid: 0, at: now }
    }

    /// Limits to this many bytes a second from `now` on. A debt stays, and is paid at the new rate.
    pub fn set_rate(&mut self, rate: u64, now: Timestamp) {
        self.pay(now);
        self.rate = rate.max(1);
        self.paid = self.paid.min(self.most_paid());
    }

    /// Takes `bytes`. Answers a mark: [`Self::wait`] says how long until the time has paid for all up to it.
    pub fn take(&mut self, bytes: u64, now: Timestamp) -> u128 {
        self.pay(now);
        self.taken += u128::from(bytes) * MILLIONTHS;
        self.taken
    }

    /// Milliseconds until all up to the mark is paid for, at the rate as it is now.
    pub fn wait(&mut self, mark: u128, now: Timestamp) -> u64 {
        self.pay(now);
        let micros = mark.saturating_sub(self.paid) / u128::from(self.rate);
        u64::try_from(micros / 1_000).unwrap_or(u64::MAX)
    }

    /// The mark of all that was taken.
    pub fn taken(&self) -> u128 {
        self.taken
    }

    fn pay(&mut self, now: Timestamp) {
        // A clock that was set back pays for nothing.
        let micros = u128::try_from(now.micros().saturating_sub(self.at.micros())).unwrap_or(0);
        // What a sleep or a store took too long is made up for, as far as a second's worth.
        self.paid = (self.paid + micros * u128::from(self.rate)).min(self.most_paid());
        self.at = now;
    }

    fn most_paid(&self) -> u128 {
        self.taken + BURST_MICROS * u128::from(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        let mut pace = Pace { bytes_per_second: 1e9, at: now, ..Pace::default() };
        for _ in 0..2_000 {
            now = now.plus_millis(5_000);
            pace = pace.moved(0, now);
            assert!(pace.bytes_per_second == 0.0 || pace.bytes_per_second >= 0.001, "{pace:?}");
        }
        assert!(pace.bytes_per_second.abs() < f64::EPSILON, "{pace:?}");
    }

    #[test]
    fn slices_of_one_sample_each_follow_a_rate_that_changes() {
        let mut now = Timestamp::from_millis(1_000);
        let mut pace = Pace { bytes_per_second: 1_000.0, at: now, known_millis: None, woken: false };
        for _ in 0..40 {
            pace = pace.woken(now);
            now = now.plus_millis(10_000);
            pace = pace.moved(50_000, now);
        }
        assert!((pace.bytes_per_second - 5_000.0).abs() < 500.0, "{pace:?}");
    }

    #[test]
    fn a_record_of_before_is_read_and_one_that_knows_all_is_as_small() {
        let old = r#"{"bytes_per_second":10.5,"at":1000000}"#;
        let mut pace: Pace = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&pace).unwrap(), old);
        let mut now = pace.at;
        for _ in 0..200 {
            now = now.plus_millis(500);
            pace = pace.moved(50, now);
        }
        assert_eq!((pace.known_millis, pace.bytes_per_second.round()), (None, 100.0));
        let early = Pace::default().woken(now).moved(50, now.plus_millis(500)).moved(50, now.plus_millis(1_000));
        assert_eq!(early.known_millis, Some(492));
        let text = serde_json::to_string(&early).unwrap();
        assert_eq!(serde_json::from_str::<Pace>(&text).unwrap(), early);
    }

    proptest! {
        /// The first sample is short of bytes, as what is in flight is being filled; all others are of the one rate.
        #[test]
        fn a_constant_rate_is_found_with_the_second_sample(
            rate in 1_000_u64..2_000_000_000,
            (first, short) in (50_u64..4_000, 0_u64..=100),
            gaps in proptest::collection::vec(50_u64..3_000, 1..40),
        ) {
            let of = |millis: u64| rate * millis / 1_000;
            let mut now = Timestamp::from_millis(1_000);
            let mut pace = Pace::default().woken(now);
            now = now.plus_millis(first);
            pace = pace.moved(of(first) * short / 100, now);
            for gap in gaps {
                now = now.plus_millis(gap);
                pace = pace.moved(of(gap), now);
                let off = (pace.bytes_per_second - rate as f64).abs() / rate as f64;
                prop_assert!(off < 0.1, "{} for {rate}", pace.bytes_per_second);
            }
        }

        /// After a rest the rate that was known stays, also where the new slice begins slowly.
        #[test]
        fn a_constant_rate_stays_over_slices(
            rate in 1_000_u64..2_000_000_000,
            slices in proptest::collection::vec((50_u64..2_000, 2_usize..10), 1..10),
        ) {
            let mut now = Timestamp::from_millis(1_000);
            let mut pace = Pace::default();
            for (gap, samples) in slices {
                now = now.plus_millis(60_000);
                pace = pace.woken(now);
                for sample in 0..samples {
                    now = now.plus_millis(gap);
                    let bytes = rate * gap / 1_000;
                    pace = pace.moved(if sample == 0 { bytes / 2 } else { bytes }, now);
                }
                let off = (pace.bytes_per_second - rate as f64).abs() / rate as f64;
                prop_assert!(off < 0.1, "{} for {rate}", pace.bytes_per_second);
            }
        }

        /// Whatever the rates are, and whenever they change: never more than they allow and a second's worth.
        #[test]
        fn a_throttle_whose_rate_changes_lets_through_what_the_rates_allow(
            steps in proptest::collection::vec((1_u64..5_000, 1_u64..20_000, 0_u64..3_000), 1..60),
        ) {
            let mut now = Timestamp::from_millis(7_000);
            let mut throttle = Throttle::new(1_000, now);
            let (mut passed, mut allowed, mut most, mut rate) = (0_u128, 0_u128, 1_000_u64, 1_000_u64);
            for (bytes, next, idle) in steps {
                let mark = throttle.take(bytes, now);
                let wait = throttle.wait(mark, now) + 1;
                // Half of the wait at the old rate, the rest at the new one.
                for (rate_now, millis) in [(rate, wait / 2), (next, 0)] {
                    throttle.set_rate(rate_now, now);
                    rate = rate_now;
                    let millis = if millis == 0 { throttle.wait(mark, now) + 1 } else { millis };
                    now = now.plus_millis(millis);
                    allowed += u128::from(rate) * u128::from(millis);
                }
                prop_assert_eq!(throttle.wait(mark, now), 0);
                passed += u128::from(bytes) * 1_000;
                most = most.max(rate);
                prop_assert!(passed <= allowed + u128::from(most) * 1_000);
                now = now.plus_millis(idle);
                allowed += u128::from(rate) * u128::from(idle);
            }
        }
    }

    fn spend(throttle: &mut Throttle, bytes: u64, now: Timestamp) -> u64 {
        let mark = throttle.take(bytes, now);
        throttle.wait(mark, now)
    }

    #[test]
    fn what_oversleeps_is_made_up_for() {
        let start = Timestamp::from_millis(0);
        let mut now = start;
        let mut throttle = Throttle::new(1_000, now);
        for _ in 0..10_000 {
            match spend(&mut throttle, 1, now) {
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
            now = now.plus_millis(spend(&mut throttle, 200, now));
        }
        assert_eq!(now, Timestamp::from_millis(10_000));
        // Of idle time one second is saved up, and no more.
        now = now.plus_millis(60_000);
        assert_eq!(spend(&mut throttle, 1_000, now), 0);
        assert_eq!(spend(&mut throttle, 1_000, now), 1_000);
    }

    #[test]
    fn a_wait_of_hours_ends_with_the_rate_that_caused_it() {
        let mut now = Timestamp::from_millis(0);
        let mut throttle = Throttle::new(1, now);
        let mark = throttle.take(20_000_000, now);
        assert_eq!(throttle.wait(mark, now), 20_000_000_000);
        now = now.plus_millis(1_000);
        throttle.set_rate(20_000_000, now);
        assert_eq!(throttle.wait(mark, now), 999);
        // A clock that is set back by an hour costs nothing.
        assert_eq!(throttle.wait(mark, Timestamp::from_millis(-3_600_000)), 999);
    }
}
