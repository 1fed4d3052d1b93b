//! The list of an import's sources while it is found out: segments are written as they fill, and what was found is put
//! on record every now and then, and before the invocation's time is over.
//!
//! The transfer's record is made with the first of these writes. So a plan of few sources makes none before it is
//! through, and if it is refused it leaves none.
//!
//! **Invariant.** The record names only what is in the bucket already. It changes only if it still says what this plan
//! wrote last: of two plans of a transfer that run side by side, one goes on and the other leaves off.

use std::sync::Arc;

use bytes::Bytes;
use sluice_ports::{BucketStore, Created};
use sluice_transfer::limits::LIST_ENTRIES;
use sluice_transfer::manifest::{Document, Segment, SegmentRef, SourceEntry};
use sluice_transfer::record::{Config, ManifestRef, PlanProgress, TransferRecord};
use sluice_transfer::{ShardId, State, Timestamp, TransferId, Wanted, sha256_hex};

use super::list::{Known, ListedShard, ROOT};
use super::progress::{Progress, Stage, Unfinished};
use super::resolved::Resolved;
use crate::engine::Engine;
use crate::error::OperationError;
use crate::objects::{get_document, named_by, put_own, put_same};

/// Writes the list of an import's sources.
pub(super) struct ListWriter<'a> {
    engine: &'a Engine,
    work: Arc<dyn BucketStore>,
    folder: String,
    /// The transfer's record as this plan wrote it last, or is going to make it.
    record: TransferRecord,
    /// True if that is on record.
    is_on_record: bool,
    /// When the invocation ends; none if it may last.
    deadline: Option<Timestamp>,
    /// When what was found was put on record, or the plan began.
    kept_at: Timestamp,
    pub progress: Progress,
}

/// The key of a list's root. Each plan that begins writes a list of its own, under the time of its beginning.
pub(super) async fn list_key(engine: &Engine, id: &TransferId, began: Timestamp) -> Result<String, OperationError> {
    let (_, prefix) = engine.places().bucket(&engine.places().work()).await?;
    let place = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    Ok(format!("{place}imports/{id}/sources-{}/{ROOT}.json", began.micros()))
}

impl<'a> ListWriter<'a> {
    /// Of a plan that begins, with the record that it would put its progress on, or of one that goes on from that.
    pub(super) async fn new(
        engine: &'a Engine,
        record: TransferRecord,
        is_on_record: bool,
        deadline: Option<Timestamp>,
    ) -> Result<Self, OperationError> {
        let (work, _) = engine.places().bucket(&engine.places().work()).await?;
        let list = match &record.config {
            Config::Import(config) => config.list.as_str(),
            Config::Export(_) => "",
        };
        let folder = list.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let progress = match record.planning.as_ref().and_then(|planning| planning.found.as_ref()) {
            Some(found) => get_document(&*work, &found.key, Some(&found.sha256)).await?,
            None => Progress::new(record.id.clone()),
        };
        let kept_at = engine.clock.now();
        Ok(Self { engine, work, folder, record, is_on_record, deadline, kept_at, progress })
    }

    /// The folder of the list.
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// When the plan began: a bound relative to now means the same in all its invocations.
    pub(super) fn began(&self) -> Timestamp {
        self.record.created_at
    }

    /// The next shard's sources follow.
    pub(super) fn begin(&mut self, source: Option<ShardId>) {
        self.progress.shards.push(ListedShard::of(source));
    }

    /// True if the current shard has no sources yet.
    pub(super) fn is_empty(&self) -> bool {
        self.progress.shards.last().is_none_or(ListedShard::is_empty)
    }

    /// True if no shard has any.
    pub(super) fn holds_nothing(&self) -> bool {
        self.progress.shards.iter().all(ListedShard::is_empty)
    }

    /// Progress is that of all shards together, so either all counts are known or none.
    pub(super) fn count_alike(&mut self) {
        if self.progress.shards.iter().any(|shard| shard.counts.is_none()) {
            self.progress.shards.iter_mut().for_each(|shard| shard.counts = None);
        }
    }

    /// The next source of the current shard.
    pub(super) async fn push(&mut self, entry: SourceEntry) -> Result<(), OperationError> {
        if let Some(shard) = self.progress.shards.last_mut() {
            let bytes = entry.extent();
            shard.count(1, bytes.end - bytes.start);
            self.progress.open.push(entry);
        }
        if self.progress.open.len() == LIST_ENTRIES { self.write().await } else { Ok(()) }
    }

    /// The current shard has no more sources.
    pub(super) async fn end(&mut self, known: Known) -> Result<(), OperationError> {
        if !self.progress.open.is_empty() {
            self.write().await?;
        }
        if let Some(shard) = self.progress.shards.last_mut() {
            shard.know(known);
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), OperationError> {
        let index = self.progress.shards.len();
        let Some(shard) = self.progress.shards.last_mut() else { return Ok(()) };
        let number = u32::try_from(shard.segments() + 1).unwrap_or(u32::MAX);
        let entries = std::mem::take(&mut self.progress.open);
        let count = entries.len() as u64;
        let segment = Segment { transfer: self.record.id.clone(), shard: shard.source.clone(), number, entries };
        let stem = format!("{index:04}/{number:06}");
        let (key, sha256) = put_own(&*self.work, &self.folder, &stem, &segment).await?;
        shard.add_segment(SegmentRef { key, sha256, entries: count });
        Ok(())
    }

    /// True if the invocation is to leave off.
    pub(super) fn is_late(&self) -> bool {
        let soon = self.engine.clock.now().plus_millis(self.engine.settings.wind_down_millis);
        self.deadline.is_some_and(|deadline| soon >= deadline)
    }

    /// True if it is time to put on record what was found.
    pub(super) fn is_due(&self) -> bool {
        let kept = self.engine.clock.now().millis_since(self.kept_at);
        kept >= self.engine.settings.plan_millis || self.is_late()
    }

    /// Puts on record what was found, and that the plan stands there. Leaves off if the invocation's time is over.
    pub(super) async fn reached(&mut self, stage: Stage) -> Result<(), Unfinished> {
        self.progress.stage = stage;
        self.keep().await?;
        if self.is_late() { Err(Unfinished::Again) } else { Ok(()) }
    }

    /// All sources are listed. What goes on record of a plan at all, also says this.
    pub(super) async fn listed(&mut self, stage: Stage) -> Result<(), Unfinished> {
        if self.is_on_record || self.is_due() {
            return self.reached(stage).await;
        }
        self.progress.stage = stage;
        Ok(())
    }

    async fn keep(&mut self) -> Result<(), Unfinished> {
        let bytes = Bytes::from(self.progress.to_bytes());
        let sha256 = sha256_hex(&bytes);
        let key = format!("{}/{}", self.folder, named_by("progress", &sha256));
        put_same(&*self.work, &key, bytes, Progress::KIND).await?;
        let counted = self.progress.shards.iter().map(ListedShard::counted);
        let (sources, bytes) = counted.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let planning = PlanProgress { found: Some(ManifestRef { key, sha256 }), sources, bytes };
        if self.is_on_record {
            self.change(|record| record.planning = Some(planning.clone())).await?;
        } else {
            self.record.planning = Some(planning);
            self.create().await?;
        }
        self.kept_at = self.engine.clock.now();
        if self.record.wanted == Wanted::Running { Ok(()) } else { Err(Unfinished::Stopped) }
    }

    async fn create(&mut self) -> Result<(), Unfinished> {
        match self.engine.checkpoints().create_transfer(&self.record).await? {
            Created::Now => {}
            // An answer was lost.
            Created::Before(there) if there == self.record => {}
            Created::Before(_) => return Err(Unfinished::Stopped),
        }
        self.is_on_record = true;
        Ok(())
    }

    /// Changes the record, if it still is as this plan wrote it last.
    async fn change(&mut self, mut change: impl FnMut(&mut TransferRecord)) -> Result<(), Unfinished> {
        let (before, mut is_ours) = (self.record.planning.clone(), true);
        let record = self.engine.change(&self.record.id, |record| {
            is_ours = record.state == State::Preparing && record.planning == before;
            if is_ours {
                change(record);
                if record.wanted == Wanted::Running {
                    record.failure = None;
                }
            }
            Ok(())
        });
        self.record = record.await?;
        if is_ours { Ok(()) } else { Err(Unfinished::Stopped) }
    }

    /// The plan is through: what it resolved goes on record.
    pub(super) async fn resolved(
        mut self,
        resolved: Resolved,
        shards: Vec<ShardId>,
    ) -> Result<TransferRecord, Unfinished> {
        let (config, left_out, notes) = (resolved.config, resolved.left_out, resolved.notes.into_vec());
        let finish = |record: &mut TransferRecord| {
            // A plan that is to rest stays where it is.
            if record.wanted == Wanted::Running {
                record.planned(config.clone(), shards.clone());
                (record.left_out, record.notes) = (left_out.clone(), notes.clone());
            }
        };
        if self.is_on_record {
            self.change(finish).await?;
        } else {
            finish(&mut self.record);
            self.create().await?;
        }
        if self.record.wanted == Wanted::Running { Ok(self.record) } else { Err(Unfinished::Stopped) }
    }

    /// The plan is refused: if the transfer is on record, so is the reason. What was found is kept only if nothing can
    /// be wrong with it any more: a plan that begins anew sees a source that was mended.
    pub(super) async fn refused(&self, error: &OperationError) -> Result<(), OperationError> {
        if !self.is_on_record {
            return Ok(());
        }
        let is_listed = matches!(self.progress.stage, Stage::Listed { .. });
        let before = &self.record.planning;
        let note = |record: &mut TransferRecord| {
            if record.state == State::Preparing && record.planning == *before {
                record.failure = Some(error.to_failure());
                if !is_listed {
                    record.planning = Some(PlanProgress::default());
                }
            }
            Ok(())
        };
        self.engine.change(&self.record.id, note).await?;
        Ok(())
    }
}
