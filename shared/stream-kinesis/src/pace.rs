//! The pace of calls to a shard.
//!
//! Everyone who uses a shard shares its limits. A reader uses a part of them, so consumers that were there before are
//! not throttled. A writer stays below what the shard takes: a refused record was sent in vain.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sluice_ports::{Clock, Intake, ShardLimits};
use sluice_transfer::{ReadShare, ShardId, Timestamp};

/// Calls of `GetRecords` that a shard answers in a second (Kinesis Data Streams developer guide, "Quotas and limits").
const CALLS: f64 = 5.0;
/// Bytes that a shard gives to all readers in a second (there, too).
const READ_BYTES: f64 = (2 << 20) as f64;
/// The part of these that is used by who may use all: a little less, for clocks that differ. A call that comes too soon
/// is refused, and made in vain.
const MOST: f64 = 0.97;
/// After an answer that is full: calls within 5 seconds are refused (API reference, `GetRecords`).
const FULL_MILLIS: u64 = 5_000;
/// An answer is full where another record of 1 MiB would not have found room in 10 MiB.
const FULL_BYTES: usize = 9 << 20;
/// Bytes that a shard takes in a second (there, too).
const TAKEN_BYTES: u64 = 1 << 20;
/// Records and bytes that are written to a shard in a second: what it takes, less a little for clocks that differ.
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
    /// All of the limits, less a little.
    pub(crate) const WHOLE: Self = Self::Part(MOST);

    /// The usage of a client of this endpoint that was not told otherwise; none is Amazon's own.
    pub(crate) fn of(endpoint: Option<&str>) -> Self {
        match endpoint {
            // Also an endpoint of a VPC.
            Some(endpoint) if !endpoint.contains(".amazonaws.com") => Self::Unlimited,
            _ => Self::Part(ReadShare::HALF.part()),
        }
    }

    /// The usage with another part of the limits, if there are any.
    fn sharing(self, share: ReadShare) -> Self {
        match self {
            Self::Part(_) => Self::Part(share.max(ReadShare::SMALLEST).part().min(MOST)),
            Self::Unlimited => Self::Unlimited,
        }
    }

    /// What a shard takes in a second, as Amazon limits it.
    pub(crate) fn intake(self) -> Option<Intake> {
        match self {
            Self::Part(_) => Some(Intake { events: 1_000, bytes: 1_000_000 }),
            Self::Unlimited => None,
        }
    }

    /// All of Amazon's limits, less a little, if there are any.
    pub(crate) fn hurried(self) -> Self {
        match self {
            Self::Part(_) => Self::WHOLE,
            Self::Unlimited => Self::Unlimited,
        }
    }

    /// Bytes that a call may ask for: those of a second, or of the time until the next call; none if that is not
    /// limited.
    pub(crate) fn bytes(self) -> Option<usize> {
        match self {
            // At most 2 MiB, and positive.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Self::Part(part) => Some((part * READ_BYTES * seconds_of_a_call(part).max(1.0)) as usize),
            Self::Unlimited => None,
        }
    }

    /// The limits that the server sets.
    fn limits(self) -> Option<ShardLimits> {
        match self {
            // 2 MiB.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Self::Part(_) => Some(ShardLimits { written: TAKEN_BYTES, read: READ_BYTES as u64 }),
            Self::Unlimited => None,
        }
    }

    /// Milliseconds from a call that was answered with this number of bytes to the next call.
    fn read_millis(self, bytes: usize) -> u64 {
        let wait = match self {
            Self::Part(part) => millis(seconds_of_a_call(part).max(bytes as f64 / READ_BYTES / part)),
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

/// Seconds from one call to the next for a part of the calls. A part of less than two calls a second makes one at most:
/// several readers that share a part would else make two of them in the same second, and together more than the part.
fn seconds_of_a_call(part: f64) -> f64 {
    let seconds = 1.0 / CALLS / part;
    if seconds > 0.5 { seconds.max(1.0) } else { seconds }
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
    usage: Mutex<Usage>,
    /// When a part of the limits was given for the first time.
    given: OnceLock<Timestamp>,
    readers: Turns,
    writers: Turns,
}

impl Pace {
    pub(crate) fn new(clock: Arc<dyn Clock>, usage: Usage) -> Self {
        Self {
            clock,
            usage: Mutex::new(usage),
            given: OnceLock::new(),
            readers: Turns::default(),
            writers: Turns::default(),
        }
    }

    /// The usage of a call that has no reason to hurry.
    pub(crate) fn usage(&self) -> Usage {
        // One value: a panic elsewhere leaves it whole.
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on such calls use this part of the limits. The first call to a shard waits as if there had been one
    /// now: the slice before may have made one.
    pub(crate) fn share(&self, share: ReadShare) {
        self.given.get_or_init(|| self.clock.now());
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        *usage = usage.sharing(share);
    }

    /// What a shard gives and takes.
    pub(crate) fn limits(&self) -> Option<ShardLimits> {
        self.usage().limits()
    }

    /// Waits until the shard may be read. A turn that is not used is lost.
    pub(crate) async fn read(&self, shard: &ShardId, usage: Usage) {
        let lasts = usage.read_millis(0);
        let first = self.given.get().map(|given| given.plus_millis(lasts));
        self.take(&self.readers, shard, first, lasts).await;
    }

    /// Puts the next turn off for the bytes of an answer. `asked` is the time of its call.
    pub(crate) fn answered(&self, shard: &ShardId, usage: Usage, asked: Timestamp, bytes: usize) {
        self.readers.not_before(shard, asked.plus_millis(usage.read_millis(bytes)));
    }

    /// Waits until the shard takes these records.
    pub(crate) async fn write(&self, shard: &ShardId, records: usize, bytes: usize) {
        self.take(&self.writers, shard, None, self.usage().write_millis(records, bytes)).await;
    }

    async fn take(&self, turns: &Turns, shard: &ShardId, first: Option<Timestamp>, lasts: u64) {
        let now = self.clock.now();
        let wait = turns.next(shard, now, first, lasts).millis_since(now);
        if wait > 0 {
            self.clock.sleep(wait).await;
        }
    }
}

/// The time at which each shard is free.
#[derive(Default)]
struct Turns(Mutex<HashMap<ShardId, Timestamp>>);

impl Turns {
    /// Takes the next turn, which lasts this many milliseconds. Answers when it begins: the first one not before
    /// `first`.
    fn next(&self, shard: &ShardId, now: Timestamp, first: Option<Timestamp>, lasts: u64) -> Timestamp {
        self.change(shard, |free| {
            let due = free.or(first).map_or(now, |free| free.max(now));
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

    const HALF: Usage = Usage::Part(0.5);

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
        let pace = Pace::new(clock.clone(), HALF);
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

    #[tokio::test]
    async fn a_share_is_taken_from_the_next_call_on() {
        let clock = Arc::new(Slept(Mutex::default()));
        let pace = Pace::new(clock.clone(), HALF);
        let shard: ShardId = "1".parse().unwrap();
        let passed = async |share: f64| {
            pace.share(ReadShare::new(share).unwrap());
            let before = clock.now();
            for _ in 0..3 {
                pace.read(&shard, pace.usage()).await;
            }
            clock.now().millis_since(before)
        };
        assert_eq!(passed(0.5).await, 3 * 400, "the first one as if another slice had made one just now");
        assert_eq!(passed(1.0).await, 400 + 2 * 207, "a little less than all");
        assert_eq!(passed(0.25).await, 207 + 2 * 1_000, "one a second at most");
        assert_eq!(passed(0.1).await, 1_000 + 2 * 2_000);
        pace.share(ReadShare::NOTHING);
        assert!(pace.usage().bytes().is_some_and(|bytes| bytes > 0), "as little as can be asked for");
        let foreign = Pace::new(clock, Usage::Unlimited);
        foreign.share(ReadShare::HALF);
        assert_eq!((foreign.usage(), foreign.limits()), (Usage::Unlimited, None));
    }

    #[test]
    fn a_usage_is_a_part_of_the_limits() {
        let whole = HALF.hurried();
        assert_eq!((whole.bytes(), whole.read_millis(0), whole.read_millis(4 << 20)), (Some(2_034_237), 207, 2_062));
        assert_eq!(whole.read_millis(FULL_BYTES), 5_000);
        for amazon in [None, Some("https://vpce-1-2.kinesis.eu-west-1.vpce.amazonaws.com")] {
            assert_eq!(Usage::of(amazon), HALF);
        }
        let other = Usage::of(Some("http://127.0.0.1:4566"));
        assert_eq!((other.bytes(), other.read_millis(4 << 20), other.write_millis(9_000, 9_000_000)), (None, 200, 0));
        assert_eq!((other.read_millis(FULL_BYTES), other.hurried()), (5_000, other));
        // What a call asks for is what its part of the limits gives until the next one.
        for part in [0.01, 0.1, 0.15, 0.3] {
            let usage = Usage::Part(part);
            let (bytes, millis) = (usage.bytes().unwrap(), usage.read_millis(0));
            assert!((millis..millis + 2).contains(&usage.read_millis(bytes)), "{part}");
        }
    }
}
