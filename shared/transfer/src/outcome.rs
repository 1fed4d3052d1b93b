//! The answers of operations to hosts: all that a host routes on.

use crate::record::Failure;
use serde::{Deserialize, Serialize};

/// The answer of a slice; a host routes on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum SliceOutcome {
    /// All shards of the lane are drained.
    Done,
    /// There is more: run the next slice.
    More,
    /// Other slices may be alive: try again after this wait.
    #[serde(rename_all = "camelCase")]
    Busy {
        /// Milliseconds.
        wait_millis: u64,
    },
    /// An import in rhythm: no shard of the lane has an event that is due before this wait is over, and all are given
    /// back.
    #[serde(rename_all = "camelCase")]
    Waiting {
        /// Milliseconds.
        wait_millis: u64,
    },
    /// A pause or a cancel is wanted: the lane is at rest.
    Stopped,
    /// A later slice took over; this one ended quietly.
    Fenced,
    /// A store was in trouble; try again, a bounded number of times in a row.
    Interrupted(Failure),
    /// The transfer cannot go on.
    Failed(Failure),
}

/// The answer of a plan that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Planning {
    /// Not all sources are found yet: plan again. What was found is on record.
    Again,
    /// The transfer is planned.
    Planned,
    /// A pause or a cancel is wanted, or somebody else has planned the transfer and is through with it.
    Stopped,
}

/// The next step after settling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "next")]
pub enum Settled {
    /// Another wave of slices.
    Again,
    /// Everything was moved: finish.
    Finish,
    /// The transfer is at rest or at its end: nothing more to do.
    Ended,
    /// Owners may be alive: settle again after this wait.
    #[serde(rename_all = "camelCase")]
    Busy {
        /// Milliseconds.
        wait_millis: u64,
    },
}

/// The answer of finishing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "next")]
pub enum Finish {
    /// The transfer is at its end, or at rest.
    Ended,
    /// There is more to check: finish again.
    Again,
    /// Other slices may be alive: finish again after this wait.
    #[serde(rename_all = "camelCase")]
    Busy {
        /// Milliseconds.
        wait_millis: u64,
    },
    /// A store was in trouble; try again, a bounded number of times in a row.
    Interrupted(Failure),
}
