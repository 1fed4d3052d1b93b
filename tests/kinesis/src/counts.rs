//! What was asked of the service, by whom, and what came of it.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use crate::refused::{Answer, Code};

/// An operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// `CreateStream`
    CreateStream,
    /// `DeleteStream`
    DeleteStream,
    /// `DescribeStreamSummary`
    DescribeStreamSummary,
    /// `ListShards`
    ListShards,
    /// `GetShardIterator`
    GetShardIterator,
    /// `GetRecords`
    GetRecords,
    /// `PutRecord`
    PutRecord,
    /// `PutRecords`
    PutRecords,
    /// `SplitShard`
    SplitShard,
    /// `MergeShards`
    MergeShards,
    /// `UpdateShardCount`
    UpdateShardCount,
    /// `IncreaseStreamRetentionPeriod`
    IncreaseStreamRetentionPeriod,
    /// `DecreaseStreamRetentionPeriod`
    DecreaseStreamRetentionPeriod,
    /// `RegisterStreamConsumer`
    RegisterStreamConsumer,
    /// `DeregisterStreamConsumer`
    DeregisterStreamConsumer,
    /// `DescribeStreamConsumer`
    DescribeStreamConsumer,
    /// `ListStreamConsumers`
    ListStreamConsumers,
    /// `SubscribeToShard`
    SubscribeToShard,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::CreateStream,
        Self::DeleteStream,
        Self::DescribeStreamSummary,
        Self::ListShards,
        Self::GetShardIterator,
        Self::GetRecords,
        Self::PutRecord,
        Self::PutRecords,
        Self::SplitShard,
        Self::MergeShards,
        Self::UpdateShardCount,
        Self::IncreaseStreamRetentionPeriod,
        Self::DecreaseStreamRetentionPeriod,
        Self::RegisterStreamConsumer,
        Self::DeregisterStreamConsumer,
        Self::DescribeStreamConsumer,
        Self::ListStreamConsumers,
        Self::SubscribeToShard,
    ];

    /// The operation of that name on the wire.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| format!("{operation:?}") == name)
    }

    /// Calls a second that the account has for it (API reference, each operation); none where shards limit it.
    pub(crate) fn per_second(self) -> Option<u32> {
        match self {
            Self::GetShardIterator | Self::GetRecords | Self::PutRecord | Self::PutRecords | Self::SubscribeToShard => {
                None
            }
            Self::DescribeStreamSummary | Self::DescribeStreamConsumer => Some(20),
            Self::ListShards => Some(1_000),
            Self::UpdateShardCount => Some(10),
            _ => Some(5),
        }
    }
}

/// What came of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Calls, whatever came of them.
    pub calls: u64,
    /// Of these, refused for now: too much was asked for.
    pub throttled: u64,
    /// Of these, refused for good.
    pub refused: u64,
    /// Calls whose answer was lost on its way, or never given.
    pub unanswered: u64,
    /// Records that were read or written.
    pub records: u64,
    /// Records of a `PutRecords` that were refused for now, inside a call that was answered.
    pub records_throttled: u64,
    /// Answers of `GetRecords`, and pushed events, without a record.
    pub empty: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        let Self { calls, throttled, refused, unanswered, records, records_throttled, empty } = other;
        self.calls += calls;
        self.throttled += throttled;
        self.refused += refused;
        self.unanswered += unanswered;
        self.records += records;
        self.records_throttled += records_throttled;
        self.empty += empty;
    }
}

/// Counts by operation and caller.
#[derive(Clone, Debug, Default)]
pub struct Counts(BTreeMap<(String, Operation), Count>);

impl Counts {
    /// One operation's, as one caller used it.
    pub fn of(&self, caller: &str, operation: Operation) -> Count {
        self.0.get(&(caller.to_owned(), operation)).copied().unwrap_or_default()
    }

    /// All that one caller did.
    pub fn by(&self, caller: &str) -> Count {
        let mut all = Count::default();
        self.0.iter().filter(|((by, _), _)| by == caller).for_each(|(_, count)| all += *count);
        all
    }

    pub(crate) fn at(&mut self, caller: &str, operation: Operation) -> &mut Count {
        self.0.entry((caller.to_owned(), operation)).or_default()
    }

    pub(crate) fn note<T>(&mut self, caller: &str, operation: Operation, answer: &Answer<T>) {
        let count = self.at(caller, operation);
        count.calls += 1;
        match answer.as_ref().map_err(|refused| refused.code) {
            Ok(_) => {}
            Err(Code::InternalFailure | Code::ServiceUnavailable) => count.unanswered += 1,
            Err(code) if code.is_throttle() => count.throttled += 1,
            Err(_) => count.refused += 1,
        }
    }
}
