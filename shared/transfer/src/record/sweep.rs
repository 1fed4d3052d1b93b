//! What a sweep over all transfers keeps from one time to the next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::FIRST_VERSION;
use crate::{Timestamp, TransferId};

/// SWEEP: one item a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepRecord {
    /// Version of this record's shape.
    pub version: u32,
    /// Raised by each write; a write is conditional on the one before. 0 for one that was never written.
    pub revision: u64,
    /// The active transfers, as they were last seen.
    pub seen: BTreeMap<TransferId, Seen>,
    /// When ended transfers were last looked at.
    pub ended_at: Timestamp,
}

/// An active transfer, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// A digest of how far it was: another one means that it has moved.
    pub mark: String,
    /// Since when it is so far.
    pub since: Timestamp,
    /// The execution that was started to bring it to rest, since its own is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settling: Option<String>,
}

impl Default for SweepRecord {
    fn default() -> Self {
        Self { version: FIRST_VERSION, revision: 0, seen: BTreeMap::new(), ended_at: Timestamp::default() }
    }
}

impl SweepRecord {
    /// Notes the execution that was started to bring a transfer to rest.
    pub fn settle(&mut self, id: &TransferId, settling: String, now: Timestamp) {
        let seen = Seen { mark: String::new(), since: now, settling: None };
        self.seen.entry(id.clone()).or_insert(seen).settling = Some(settling);
    }

    /// Notes how far a transfer is. Answers since when it is that far.
    ///
    /// ```
    /// use sluice_transfer::{Timestamp, record::SweepRecord};
    /// let (id, at) = ("nightly".parse().unwrap(), Timestamp::from_millis);
    /// let mut sweep = SweepRecord::default();
    /// assert_eq!(sweep.see(&id, "a", at(1_000)), at(1_000));
    /// assert_eq!(sweep.see(&id, "a", at(2_000)), at(1_000));
    /// assert_eq!(sweep.see(&id, "b", at(3_000)), at(3_000));
    /// ```
    pub fn see(&mut self, id: &TransferId, mark: &str, now: Timestamp) -> Timestamp {
        let seen =
            self.seen.entry(id.clone()).or_insert_with(|| Seen { mark: String::new(), since: now, settling: None });
        if seen.mark != mark {
            mark.clone_into(&mut seen.mark);
            seen.since = now;
        }
        seen.since
    }
}
