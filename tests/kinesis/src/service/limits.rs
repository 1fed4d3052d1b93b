//! What a shard gives and takes in a second.

use std::collections::VecDeque;

use crate::Millis;

/// Bytes that a shard gives in a second: to all polling readers together, and to each registered consumer.
pub(super) const READ_BYTES: u64 = 2 << 20;
/// Bytes of payload and key that a shard takes in a second.
const WRITE_BYTES: u64 = 1 << 20;
/// Records that a shard takes in a second.
const WRITE_RECORDS: u64 = 1_000;
/// A record of more bytes is a large one.
const LARGE: u64 = 1 << 20;
/// Bytes of large records that a shard takes at once.
const LARGE_BURST: u64 = 10 << 20;
/// Bytes of large records that a shard takes in a second, on and on: 2 % of its traffic.
const LARGE_BYTES: u64 = WRITE_BYTES / 50;

/// Calls within the last second.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls(VecDeque<Millis>);

impl Calls {
    /// True if another call is let through. One that is not does not count.
    pub(super) fn admit(&mut self, now: Millis, per_second: u32) -> bool {
        while self.0.front().is_some_and(|at| at + 1_000 <= now) {
            self.0.pop_front();
        }
        let admitted = self.0.len() < per_second as usize;
        if admitted {
            self.0.push_back(now);
        }
        admitted
    }
}

/// Something that is used up and comes back with time. Thousandths, so that a millisecond counts.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full: i128,
    per_milli: i128,
    left: i128,
    at: Millis,
}

impl Bucket {
    fn new(full: u64, per_second: u64) -> Self {
        let full = i128::from(full) * 1_000;
        Self { full, per_milli: per_second.into(), left: full, at: 0 }
    }

    fn fill(&mut self, now: Millis) {
        let passed = now.saturating_sub(self.at);
        self.left = self.full.min(self.left + self.per_milli * i128::from(passed));
        self.at = now;
    }

    fn holds(&self, amount: u64) -> bool {
        self.left >= i128::from(amount) * 1_000
    }

    fn take(&mut self, amount: u64) {
        self.left -= i128::from(amount) * 1_000;
    }
}

/// Row 4: what all polling readers of a shard have together.
#[derive(Clone, Debug)]
pub(super) struct Reads {
    pub calls: Calls,
    pub iterators: Calls,
    bytes: Bucket,
}

impl Default for Reads {
    fn default() -> Self {
        let bytes = Bucket::new(READ_BYTES, READ_BYTES);
        Self { calls: Calls::default(), iterators: Calls::default(), bytes }
    }
}

impl Reads {
    /// Calls of `GetRecords`, and of `GetShardIterator`, in a second.
    pub(super) const PER_SECOND: u32 = 5;

    /// True if a read is let through.
    pub(super) fn admit(&mut self, now: Millis) -> bool {
        self.bytes.fill(now);
        self.bytes.left > 0 && self.calls.admit(now, Self::PER_SECOND)
    }

    /// This many bytes were answered. More than a second's worth takes what was saved up with it: nothing follows 10
    /// MiB for 5 seconds.
    pub(super) fn answered(&mut self, bytes: u64) {
        if bytes > READ_BYTES {
            self.bytes.left = self.bytes.left.min(0);
        }
        self.bytes.take(bytes);
    }
}

/// Row 9: what a shard takes.
#[derive(Clone, Debug)]
pub(super) struct Writes {
    bytes: Bucket,
    records: Bucket,
    large: Bucket,
}

impl Default for Writes {
    fn default() -> Self {
        Self {
            bytes: Bucket::new(WRITE_BYTES, WRITE_BYTES),
            records: Bucket::new(WRITE_RECORDS, WRITE_RECORDS),
            large: Bucket::new(LARGE_BURST, LARGE_BYTES),
        }
    }
}

impl Writes {
    /// True if a record of this many bytes is taken.
    pub(super) fn admit(&mut self, now: Millis, bytes: u64) -> bool {
        for bucket in [&mut self.bytes, &mut self.records, &mut self.large] {
            bucket.fill(now);
        }
        let (bytes, large) = if bytes > LARGE { (0, bytes) } else { (bytes, 0) };
        let admitted = self.bytes.holds(bytes) && self.records.holds(1) && self.large.holds(large);
        if admitted {
            self.bytes.take(bytes);
            self.records.take(1);
            self.large.take(large);
        }
        admitted
    }
}
