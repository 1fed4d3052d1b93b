//! An import whose plan goes on: it was left off before all sources were found, and is on record all the same.
//!
//! **Invariant.** While [`TransferRecord::planning`] is there the transfer is PREPARING, has no shards, and its
//! configuration is preliminary. It becomes final with the write that takes the progress away.

use serde::{Deserialize, Serialize};

use super::transfer::version_of;
use super::{BEING_PLANNED, Config, ManifestRef, TransferRecord};
use crate::{Request, ShardId, State, Timestamp, TransferId, Wanted};

/// The progress of an import's plan between its invocations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanProgress {
    /// The document in the work bucket from which the plan goes on. None if it was refused: then it begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<ManifestRef>,
    /// The number of sources that were found.
    pub sources: u64,
    /// Their bytes that are to be imported.
    pub bytes: u64,
}

impl TransferRecord {
    /// A transfer whose plan began at that time and goes on, with a preliminary configuration.
    pub fn being_planned(
        id: TransferId,
        execution: String,
        request: Request,
        config: Config,
        began: Timestamp,
    ) -> Self {
        let record = Self::new(id, execution, request, config, Vec::new(), began);
        Self { version: BEING_PLANNED, planning: Some(PlanProgress::default()), ..record }
    }

    /// The plan is through: its configuration and its shards are final.
    pub fn planned(&mut self, config: Config, shards: Vec<ShardId>) {
        (self.config, self.shards, self.failure) = (config, shards, None);
        self.drop_planning();
    }

    /// No plan goes on any more.
    pub fn drop_planning(&mut self) {
        if self.planning.take().is_some() {
            self.version = version_of(&self.request, &self.config);
        }
    }

    /// True if its plan was refused while it went on. No host runs it: another request may take its place.
    pub fn is_refused(&self) -> bool {
        self.state == State::Preparing
            && self.wanted == Wanted::Running
            && self.planning.is_some()
            && self.failure.is_some()
    }
}
