//! The knobs. Rows are those of the table "What it does" in this crate's README.

use crate::Millis;
use crate::refused::Code;

/// What an iterator does whose number lies behind the trim horizon. Kinesis does all three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behind {
    /// It begins at the horizon, and says nothing.
    #[default]
    AtHorizon,
    /// It is not given: `InvalidArgumentException`.
    Refused,
    /// It is given, and answers no records for ever, each time with `MillisBehindLatest` = retention. So does an
    /// iterator that the horizon overtook after it was given.
    EmptyForEver,
}

/// What happens to a call on its way. Only calls through [`http_client`](crate::Kinesis::http_client) have a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: the fault is for a later call.
    Passed,
    /// It is refused with that error, and not carried out.
    Refused(Code),
    /// It is carried out, and its answer is lost: the caller waits for it until its timeout.
    AnswerLost,
    /// It is never carried out, and the caller waits until its timeout.
    Lost,
    /// A write that is carried out this many milliseconds after it was sent. The caller waits until its timeout, which
    /// may be earlier.
    Late(Millis),
}

/// How the service behaves. Everything is off by default: then nothing is trimmed, nothing is throttled, and every
/// answer comes at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Row 1. True if records are trimmed in the millisecond in which they become older than the retention. Closed
    /// shards that are empty by then are no longer listed.
    pub moving_horizon: bool,
    /// Row 2.
    pub behind: Behind,
    /// Row 3. An answer that meets no record comes only this many milliseconds of stream time further.
    pub silence: Option<Millis>,
    /// Row 3. `MillisBehindLatest` at the tip of a shard, where 0 is expected.
    pub idle_tip: Millis,
    /// Row 4. True if a shard gives 2 MiB and 5 `GetRecords` a second, to all callers together.
    pub read_limits: bool,
    /// Row 5. A shard of an on-demand stream that takes more than this many bytes within a minute is split in two.
    pub splits_above: Option<u64>,
    /// Row 9. True if a shard takes 1 MiB and 1,000 records a second.
    pub write_limits: bool,
    /// Row 9. True if the records of a `PutRecords` land in any order; their results keep the request's.
    pub any_order: bool,
    /// True if operations have calls a second in an account, and a shard has 5 `GetShardIterator` a second.
    pub call_limits: bool,
    /// True if the last records of a closed shard come with its end, in one answer; else the end comes alone.
    pub end_with_records: bool,
    /// How long a stream is `CREATING`, `UPDATING` or `DELETING`.
    pub changing: Millis,
    /// How long an answer takes on the wire.
    pub latency: Millis,
}

impl Faults {
    /// As AWS documents it and users report it: all rows on, with a silence of 5 minutes for each answer.
    pub fn real() -> Self {
        Self {
            moving_horizon: true,
            silence: Some(5 * 60_000),
            read_limits: true,
            write_limits: true,
            any_order: true,
            call_limits: true,
            latency: 10,
            ..Self::default()
        }
    }
}
