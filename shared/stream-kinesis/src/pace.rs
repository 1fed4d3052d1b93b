//! How often a shard may be asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sluice_ports::Clock;
use sluice_transfer::{ShardId, Timestamp};

/// Between two reads of a shard: 5 calls a second (Kinesis Data Streams developer guide, "Quotas and limits").
const STEP_MILLIS: u64 = 200;
/// After an answer that is full: calls within 5 seconds are refused (API reference, `GetRecords`).
const FULL_MILLIS: u64 = 5_000;
/// An answer is full where another record of 1 MiB would not have found room in 10 MiB.
const FULL_BYTES: usize = 9 << 20;

/// Turns at each shard's reads, given out one after the other.
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    free: Mutex<HashMap<ShardId, Timestamp>>,
}

impl Pace {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, free: Mutex::default() }
    }

    /// Answers when the shard may be read. A turn that is not used is lost.
    pub(crate) async fn turn(&self, shard: &ShardId) {
        let now = self.clock.now();
        let due = self.change(shard, |free| {
            let due = free.map_or(now, |free| free.max(now));
            (due.plus_millis(STEP_MILLIS), due)
        });
        let wait = due.millis_since(now);
        if wait > 0 {
            self.clock.sleep(wait).await;
        }
    }

    /// So many bytes were answered.
    pub(crate) fn answered(&self, shard: &ShardId, bytes: usize) {
        if bytes >= FULL_BYTES {
            let until = self.clock.now().plus_millis(FULL_MILLIS);
            self.change(shard, |free| (free.map_or(until, |free| free.max(until)), ()));
        }
    }

    fn change<T>(&self, shard: &ShardId, change: impl FnOnce(Option<Timestamp>) -> (Timestamp, T)) -> T {
        // One value a shard: a panic elsewhere leaves nothing half done.
        let mut all = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (free, answer) = change(all.get(shard).copied());
        all.insert(shard.clone(), free);
        answer
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    /// Time that passes by being slept.
    struct Slept(Mutex<Timestamp>);

    #[async_trait]
    impl Clock for Slept {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }

        async fn sleep(&self, millis: u64) {
            let mut now = self.0.lock().unwrap();
            *now = now.plus_millis(millis);
        }
    }

    #[tokio::test]
    async fn a_shard_waits_for_its_turn_and_no_other() {
        let clock = Arc::new(Slept(Mutex::default()));
        let pace = Pace::new(clock.clone());
        let (one, two): (ShardId, ShardId) = ("1".parse().unwrap(), "2".parse().unwrap());
        let passed = || clock.now().millis_since(Timestamp::default());
        pace.turn(&one).await;
        assert_eq!(passed(), 0, "the first call waits for nothing");
        pace.turn(&two).await;
        assert_eq!(passed(), 0, "nor does another shard's");
        for call in 1..=5 {
            pace.turn(&one).await;
            assert_eq!(passed(), call * STEP_MILLIS);
        }
        clock.sleep(10_000).await;
        pace.turn(&one).await;
        assert_eq!(passed(), 11_000, "a call that comes late does not wait");
        pace.answered(&one, FULL_BYTES - 1);
        pace.turn(&one).await;
        assert_eq!(passed(), 11_200);
        pace.answered(&one, FULL_BYTES);
        pace.turn(&one).await;
        assert_eq!(passed(), 16_200, "a full answer is paid for");
    }
}
