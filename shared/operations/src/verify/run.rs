//! One slice of a verification: how far it is, and when it ends.

use serde::{Deserialize, Serialize};
use sluice_transfer::record::ReadBack;
use sluice_transfer::{Checksum, Counts, Timestamp};

use super::found::Verification;
use crate::engine::Engine;
use crate::listing::Place;

/// How far a verification is: what a slice answers and the next one is given. At most some 50 KB as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What was found so far.
    pub verification: Verification,
    /// True if everything was verified.
    pub done: bool,
    /// Where the next slice goes on.
    pub at: VerifyCursor,
}

/// Where a verification goes on; the beginning by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VerifyCursor {
    /// The current shard, by its place in the manifest or in the transfer.
    pub(super) shard: usize,
    /// Export: the place in the shard's list of objects, if the shard was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<Place>,
    /// Export: how far the object there was read, if it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) object: Option<Reached>,
    /// Import: how far the shard was read, if it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) back: Option<ReadBack>,
    /// Import: true if the current shard no longer has all that it had.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) trimmed: bool,
}

/// One slice of a verification.
pub(super) struct Run<'a> {
    pub engine: &'a Engine,
    /// None to go on to the end.
    pub deadline: Option<Timestamp>,
    pub seen: &'a mut dyn FnMut(u64),
    /// True if this is the first slice.
    pub fresh: bool,
    /// True if the cursor has moved: only then a slice ends.
    pub came_further: bool,
    pub found: Verification,
    pub at: VerifyCursor,
}

impl Run<'_> {
    /// True if the next slice is to go on.
    pub(super) fn is_over(&self) -> bool {
        let soon = self.engine.clock.now().plus_millis(self.engine.settings.wind_down_millis);
        self.came_further && self.deadline.is_some_and(|deadline| soon >= deadline)
    }

    /// The current shard is done.
    pub(super) fn next_shard(&mut self) {
        self.at = VerifyCursor { shard: self.at.shard + 1, ..VerifyCursor::default() };
        self.came_further = true;
    }
}

/// Why a slice of a verification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Everything was looked at.
    All,
    /// Its time is up.
    Time,
}

/// How far an object was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reached {
    /// The object as it was when it was begun.
    pub etag: String,
    /// Of all bytes up to where the next slice goes on.
    pub checksum: Checksum,
    /// Events in them.
    pub counts: Counts,
    /// Why its events cannot be read any further. The rest is only compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}
