//! The pace of calls to a shard.
//!
//! Everyone who uses a shard shares its limits. A reader uses a part of them, so consumers that were there before are
//! not throttled. A writer stays below what the shard takes: a refused record was sent in vain.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sluice_ports::{Clock, Intake};
use sluice_transfer::{ShardId, Timestamp};

/// Calls of `GetRecords` that a shard answers in a second (Kinesis Data Streams developer guide, "Quotas and limits").
const CALLS: f64 = 5.0;
/// Bytes that a shard gives to all readers in a second (there, too).
const READ_BYTES: f64 = (2 << 20) as f64;
/// After an answer that is full: calls within 5 seconds are refused (API reference, `GetRecords`).
const FULL_MILLIS: u64 = 5_000;
/// An answer is full where another record of 1 MiB would not have found room in 10 MiB.
const FULL_BYTES: usize = 9 << 20;
/// Records and bytes that a shard takes in a second (developer guide, there), less a little for clocks that differ.
const WRITTEN_RECORDS: f64 = 980.0;
const WRITTEN_BYTES: f64 = 980_000.0;

/// The part of a shard's limits that a call may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Usage {
    /// This part of Amazon's limits, above 0 and at most 1.
    Part(f64),
    /// A server without limits on bytes. Calls are spaced and full answers paid for, as Kinesis documents it.
    Unlimited,
}

impl Usage {
    /// Half of the limits: a consumer that reads once a second, as AWS advises, has room beside it.
    pub(crate) const HALF: Self = Self::Part(0.5);
    /// All of them.
    pub(crate) const WHOLE: Self = Self::Part(1.0);

    /// The usage of a client of this endpoint; none is Amazon's own.
    pub(crate) fn of(endpoint: Option<&str>) -> Self {
        match endpoint {
            // Also an endpoint of a VPC.
            Some(endpoint) if !endpoint.contains(".amazonaws.com") => Self::Unlimited,
            _ => Self::HALF,
        }
    }

    /// What a shard takes in a second, as Amazon limits it.
    pub(crate) fn intake(self) -> Option<Intake> {
        match self {
            Self::Part(_) => Some(Intake { events: 1_000, bytes: 1_000_000 }),
            Self::Unlimited => None,
        }
    }

    /// All of Amazon's limits, if there are any.
    pub(crate) fn hurried(self) -> Self {
        match self {
            Self::Part(_) => Self::WHOLE,
            Self::Unlimited => Self::Unlimited,
        }
    }

    /// Bytes that may be read in a second; none if that is not limited.
    pub(crate) fn bytes(self) -> Option<usize> {
        match self {
            // At most 2 MiB, and positive.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Self::Part(part) => Some((part * READ_BYTES) as usize),
            Self::Unlimited => None,
        }
    }

    /// Milliseconds from a call that was answered with this number of bytes to the next call.
    fn read_millis(self, bytes: usize) -> u64 {
        let wait = match self {
            Self::Part(part) => millis((1.0 / CALLS).max(bytes as f64 / READ_BYTES) / part),
            Self::Unlimited => millis(1.0 / CALLS),
        };
        if bytes >= FULL_BYTES { wait.max(FULL_MILLIS) } else { wait }
    }

    /// Milliseconds that a shard needs for records that are written.
    fn write_millis(self, records: usize, bytes: usize) -> u64 {
        match self {
            Self::Part(_) => millis((records as f64 / WRITTEN_RECORDS).max(bytes as f64 / WRITTEN_BYTES)),
            Self::Unlimited => 0,
        }
    }
}

/// Seconds in whole milliseconds, rounded up.
fn millis(seconds: f64) -> u64 {
    // Bytes of one answer or request: at most minutes, and positive.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let millis = (seconds * 1_000.0).ceil() as u64;
    millis
}

/// Turns at each shard, given out one after the other.
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    usage: Usage,
    readers: Turns,
    writers: Turns,
}

impl Pace {
    pub(crate) fn new(clock: Arc<dyn Clock>, usage: Usage) -> Self {
        Self { clock, usage, readers: Turns::default(), writers: Turns::default() }
    }

    /// The usage of a call that has no reason to hurry.
    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// Waits until the shard may be read. A turn that is not used is lost.
    pub(crate) async fn read(&self, shard: &ShardId, usage: Usage) {
        self.take(&self.readers, shard, usage.read_millis(0)).await;
    }

    /// Puts the next turn off for the bytes of an answer. `asked` is the time of its call.
    pub(crate) fn answered(&self, shard: &ShardId, usage: Usage, asked: Timestamp, bytes: usize) {
        self.readers.not_before(shard, asked.plus_millis(usage.read_millis(bytes)));
    }

    /// Waits until the shard takes these records.
    pub(crate) async fn write(&self, shard: &ShardId, records: usize, bytes: usize) {
        self.take(&self.writers, shard, self.usage.write_millis(records, bytes)).await;
    }

    async fn take(&self, turns: &Turns, shard: &ShardId, lasts: u64) {
        let now = self.clock.now();
        let wait = turns.next(shard, now, lasts).millis_since(now);
        if wait > 0 {
            self.clock.sleep(wait).await;
        }
    }
}

/// The time at which each shard is free.
#[derive(Default)]
struct Turns(Mutex<HashMap<ShardId, Timestamp>>);

impl Turns {
    /// Takes the next turn, which lasts this many milliseconds. Answers when it begins.
    fn next(&self, shard: &ShardId, now: Timestamp, lasts: u64) -> Timestamp {
        self.change(shard, |free| {
            let due = free.map_or(now, |free| free.max(now));
            (due.plus_millis(lasts), due)
        })
    }

    fn not_before(&self, shard: &ShardId, time: Timestamp) {
        self.change(shard, |free| (free.map_or(time, |free| free.max(time)), ()));
    }

    fn change<T>(&self, shard: &ShardId, change: impl FnOnce(Option<Timestamp>) -> (Timestamp, T)) -> T {
        // One value a shard: a panic elsewhere leaves nothing half done.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let pace = Pace::new(clock.clone(), Usage::HALF);
        let (one, two): (ShardId, ShardId) = ("1".parse().unwrap(), "2".parse().unwrap());
        let passed = || clock.now().millis_since(Timestamp::default());
        pace.read(&one, pace.usage()).await;
        assert_eq!(passed(), 0, "the first call waits for nothing");
        pace.read(&two, pace.usage()).await;
        assert_eq!(passed(), 0, "nor does another shard's");
        for call in 1..=5 {
            pace.read(&one, pace.usage()).await;
            assert_eq!(passed(), call * 400, "half of five calls a second");
        }
        clock.sleep(8_000).await;
        pace.read(&one, pace.usage()).await;
        assert_eq!(passed(), 10_000, "a call that comes late does not wait");
        pace.answered(&one, pace.usage(), clock.now(), 1 << 20);
        pace.read(&one, pace.usage()).await;
        assert_eq!(passed(), 11_000, "half of two mebibytes a second");
        pace.answered(&one, pace.usage(), clock.now(), FULL_BYTES);
        pace.read(&one, pace.usage()).await;
        assert_eq!(passed(), 20_000, "a full answer is paid for");
        pace.write(&one, 980, 1).await;
        pace.write(&one, 1, 1_960_000).await;
        assert_eq!(passed(), 21_000, "writers have turns of their own");
        pace.write(&one, 1, 1).await;
        assert_eq!(passed(), 23_000);
    }

    #[test]
    fn a_usage_is_a_part_of_the_limits() {
        let whole = Usage::HALF.hurried();
        assert_eq!((whole.bytes(), whole.read_millis(0), whole.read_millis(4 << 20)), (Some(2 << 20), 200, 2_000));
        assert_eq!(whole.read_millis(FULL_BYTES), 5_000);
        for amazon in [None, Some("https://vpce-1-2.kinesis.eu-west-1.vpce.amazonaws.com")] {
            assert_eq!(Usage::of(amazon), Usage::HALF);
        }
        let other = Usage::of(Some("http://127.0.0.1:4566"));
        assert_eq!((other.bytes(), other.read_millis(4 << 20), other.write_millis(9_000, 9_000_000)), (None, 200, 0));
        assert_eq!((other.read_millis(FULL_BYTES), other.hurried()), (5_000, other));
    }
}
