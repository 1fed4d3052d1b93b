//! Waiting longer each time before a call is repeated.

/// The first wait, and the longest, in milliseconds.
const FIRST_MILLIS: u64 = 20;
const LONGEST_MILLIS: u64 = 2_000;
/// Factor by which a wait after throttling is longer.
const THROTTLED: u64 = 4;

/// The waits between the tries of one call. Each is between half and all of a bound that grows, so that callers that
/// were refused together do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    bound: u64,
    state: u64,
}

impl Backoff {
    /// The same seed gives the same waits.
    pub fn new(seed: u64) -> Self {
        Self { bound: FIRST_MILLIS, state: seed }
    }

    /// The next wait, in milliseconds.
    pub fn next_wait(&mut self, throttled: bool) -> u64 {
        let bound = if throttled { self.bound * THROTTLED } else { self.bound };
        self.bound = (self.bound * 3).min(LONGEST_MILLIS);
        bound - self.draw() % (bound / 2 + 1)
    }

    /// `SplitMix64`: good enough to spread waits, and the same everywhere.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn callers_that_were_refused_together_come_back_apart() {
        // Clocks that differ by microseconds are seeds that do.
        let fourth = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..4).fold(0, |_, _| backoff.next_wait(false))
        };
        let waits: BTreeSet<_> = (0..100).map(fourth).collect();
        assert!(waits.len() > 50, "{} waits of 100 callers", waits.len());
        assert_eq!(fourth(7), fourth(7));
    }

    proptest! {
        #[test]
        fn waits_grow_and_are_bounded(seed: u64, throttled: bool) {
            let mut backoff = Backoff::new(seed);
            let factor = if throttled { 4 } else { 1 };
            for bound in [20, 60, 180, 540, 1_620, 2_000, 2_000].map(|bound| bound * factor) {
                let wait = backoff.next_wait(throttled);
                prop_assert!((bound / 2..=bound).contains(&wait), "{wait} of {bound}");
            }
        }
    }
}
