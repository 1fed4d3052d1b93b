//! A shard of an import in a slice: append where the target is expected to end, checkpoint.
//!
//! The target's tail and the source's cursor belong together on the record. Whatever stands behind that tail was
//! appended by a slice whose checkpoint is missing; it is found again (`reconcile`) among what the sources say comes
//! next, and counts as sent. So every event arrives once, whoever died in between.

use std::collections::VecDeque;

use sluice_ports::{Appended, Appends, NewEvent};
use sluice_transfer::manifest::{ListShard, Segment};
use sluice_transfer::record::{Check, ImportRecord, Share, SourceCursor, Work};
use sluice_transfer::{Counts, EventDigest, Lacking, ObjectKeys, Position};

use super::reader::{Reader, Sourced};
use super::route::Route;
use crate::claimed::Claimed;
use crate::error::{Code, OperationError, Stop};
use crate::objects::put_document;

pub(super) struct ShardImport<'a, 'h> {
    pub route: &'a Route,
    pub claimed: &'a mut Claimed<'h>,
    pub reader: Reader<'a>,
    /// Read from the sources, not yet known to be in the target.
    pub unsent: VecDeque<Sourced>,
    /// The record's revision when the last mark was set: it is on record once that is another.
    pub(super) marked: Option<u64>,
    /// Why nothing can be read behind what is unsent: it is told once that has arrived.
    pub(super) failed: Option<OperationError>,
}

impl<'a, 'h: 'a> ShardImport<'a, 'h> {
    pub(super) fn new(route: &'a Route, claimed: &'a mut Claimed<'h>) -> Result<Self, Stop> {
        let record = import_record(claimed)?;
        let (cursor, check) = (record.cursor, record.check);
        let reader = Reader::new(claimed.slice, route, listed(route, claimed)?, cursor, check);
        Ok(Self { route, claimed, reader, unsent: VecDeque::new(), marked: None, failed: None })
    }

    /// Tells why no more can be read.
    pub(super) fn fail(&mut self) -> Result<(), Stop> {
        self.failed.take().map_or(Ok(()), |error| Err(error.into()))
    }

    pub(super) async fn append(&mut self, expected: &Position, events: &[NewEvent]) -> Result<Sent, Stop> {
        let answer = self.begin_append(expected, events)?.await;
        self.appended(answer)
    }

    /// Appends, and says on the record that this is being done: it is written if the shard is given back before it is
    /// known what became of it. Holds on to nothing of the shard, so that more can be read meanwhile.
    pub(super) fn begin_append<'e>(
        &mut self,
        expected: &'e Position,
        events: &'e [NewEvent],
    ) -> Result<impl Future<Output = Result<Appended, Stop>> + use<'a, 'h, 'e>, Stop> {
        import_record_mut(self.claimed)?.unsettled = true;
        let (slice, route, shard) = (self.claimed.slice, self.route, self.claimed.record.shard.clone());
        Ok(async move {
            let append = route.stream.append(&shard, Some(&slice.order.id), expected, events);
            slice.bounded(append).await
        })
    }

    /// What became of an append.
    pub(super) fn appended(&mut self, answer: Result<Appended, Stop>) -> Result<Sent, Stop> {
        match answer {
            Ok(Appended::Done { tail }) => {
                import_record_mut(self.claimed)?.unsettled = false;
                Ok(Sent::Done(tail))
            }
            Ok(Appended::Elsewhere { .. }) => Ok(Sent::Elsewhere),
            Ok(Appended::Reserved(writer)) => Err(OperationError::new(
                Code::StreamReserved,
                format!("{} is no longer reserved for this import but for {writer}", self.route.config.stream),
            )
            .into()),
            Err(Stop::Trouble(error)) => {
                tracing::debug!(%error, "an append is uncertain");
                Ok(Sent::Unsure(error))
            }
            Err(stop) => Err(stop),
        }
    }

    /// So many of the unsent events stand in the target, which ends at `tail`.
    pub(super) async fn sent(&mut self, many: usize, tail: Position) -> Result<(), Stop> {
        let sum = self.sum(many)?;
        self.follow_target(many, sum, tail).await
    }

    /// What the record says once so many of the unsent events have arrived.
    pub(super) fn sum(&self, many: usize) -> Result<Sum, Stop> {
        let record = import_record(self.claimed)?;
        let mut sum = Sum {
            cursor: record.cursor,
            digest: record.digest,
            counts: Counts::default(),
            lacking: Lacking::default(),
        };
        for Sourced { event, lacks, after } in self.unsent.iter().take(many) {
            sum.counts += Counts::new(1, event.payload.len() as u64);
            sum.lacking += *lacks;
            sum.digest = sum.digest.with(event.time, &event.key, &event.headers, &event.payload);
            sum.cursor = *after;
        }
        Ok(sum)
    }

    /// Waits, though not past the deadline.
    pub(super) async fn wait(&self, millis: u64) -> Result<(), Stop> {
        let slice = self.claimed.slice;
        slice
            .bounded(async {
                slice.engine.clock.sleep(millis).await;
                Ok::<_, Stop>(())
            })
            .await
    }

    /// The record follows the target, which holds so many more of the unsent events, and is written, at most once for a
    /// batch.
    pub(super) async fn follow_target(&mut self, many: usize, sum: Sum, tail: Position) -> Result<(), Stop> {
        let Sum { cursor, digest, counts, lacking } = sum;
        self.unsent.drain(..many.min(self.unsent.len()));
        let check = self.reader.check().filter(|check| check.entry == cursor.entry);
        let revision = self.claimed.record.revision;
        let record = import_record_mut(self.claimed)?;
        record.advanced(cursor, tail, counts, digest);
        record.lacking += lacking;
        if self.marked.replace(revision) == Some(revision) {
            record.move_mark();
        } else {
            record.mark();
        }
        record.check = check;
        self.tell_progress(cursor)?;
        self.claimed.touch();
        let slice = self.claimed.slice;
        // However much stands behind the record's tail, it is found again; not so where appends go by key.
        let at_once = self.route.stream.appends() == Appends::ByKey || slice.is_rated();
        if at_once {
            self.flush().await?;
        } else if self.claimed.flush_in_turn().await? {
            self.write_segments().await?;
        }
        slice.spend(counts).await;
        Ok(())
    }

    /// How far it is, where nobody knows how many events there are: by the bytes of the sources.
    fn tell_progress(&mut self, cursor: SourceCursor) -> Result<(), Stop> {
        if self.claimed.record.expected.is_some() {
            return Ok(());
        }
        let whole = listed(self.route, self.claimed)?.bytes;
        let (more, within) = self.reader.take_passed(cursor);
        let record = import_record_mut(self.claimed)?;
        let passed = record.passed.unwrap_or(0).saturating_add(more);
        record.passed = Some(passed);
        let done = passed.saturating_add(within);
        self.claimed.record.share = Some(Share::of_bytes(done, whole));
        Ok(())
    }

    /// Nothing that was read is unsent: the next slice goes on behind what was passed over, and with what is compared.
    pub(super) fn leave_off(&mut self, check: Option<Check>) -> Result<(), Stop> {
        let skipped = self.reader.skipped();
        let record = import_record_mut(self.claimed)?;
        debug_assert!(skipped.is_none_or(|skipped| skipped >= record.cursor), "{skipped:?} lies behind");
        record.cursor = skipped.map_or(record.cursor, |skipped| skipped.max(record.cursor));
        record.check = check;
        let cursor = record.cursor;
        self.tell_progress(cursor)?;
        self.claimed.touch();
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> Result<(), Stop> {
        self.claimed.flush().await?;
        self.write_segments().await
    }

    /// Writes the segments for which there are marks, right after the record was written.
    pub(super) async fn write_segments(&mut self) -> Result<(), Stop> {
        while write_segment(self.claimed, self.route, false).await? {}
        Ok(())
    }
}

/// Where the sources go on behind some events, how many these are, what their records lack, and the digest of all up to
/// there.
pub(super) struct Sum {
    cursor: SourceCursor,
    digest: EventDigest,
    counts: Counts,
    lacking: Lacking,
}

/// What became of an append.
pub(super) enum Sent {
    /// All of it is in the target, which ends here.
    Done(Position),
    /// Nothing of it: the target ends elsewhere.
    Elsewhere,
    /// Nobody knows.
    Unsure(OperationError),
}

fn listed<'a>(route: &'a Route, claimed: &Claimed<'_>) -> Result<&'a ListShard, Stop> {
    let shard = &claimed.record.shard;
    route.list.shards.iter().find(|listed| listed.shard == *shard).ok_or_else(|| {
        OperationError::new(Code::Corrupt, format!("the list of sources says nothing of shard {shard}")).into()
    })
}

pub(crate) fn import_record<'r>(claimed: &'r Claimed<'_>) -> Result<&'r ImportRecord, Stop> {
    match &claimed.record.work {
        Work::Import(record) => Ok(record),
        Work::Export(_) => Err(not_an_import()),
    }
}

pub(crate) fn import_record_mut<'r>(claimed: &'r mut Claimed<'_>) -> Result<&'r mut ImportRecord, Stop> {
    match &mut claimed.record.work {
        Work::Import(record) => Ok(record),
        Work::Export(_) => Err(not_an_import()),
    }
}

fn not_an_import() -> Stop {
    OperationError::new(Code::Corrupt, "a shard of an import has the record of an export").into()
}

/// Writes the next segment of the import's own manifest, if there are marks for it. They are on record, so whoever
/// writes this segment writes the same.
pub(crate) async fn write_segment(claimed: &mut Claimed<'_>, route: &Route, at_end: bool) -> Result<bool, Stop> {
    let record = import_record(claimed)?;
    let Some(marks) = record.next_segment(at_end) else { return Ok(false) };
    let number = record.segments.count + 1;
    let (transfer, shard) = (claimed.record.transfer.clone(), claimed.record.shard.clone());
    let key = format!("{}/{}", route.folder(), ObjectKeys::segment(&shard, number));
    let entries = marks.to_vec();
    let listed = entries.len();
    let segment = Segment { transfer, shard: Some(shard), number, entries };
    let slice = claimed.slice;
    let sha256 = slice.bounded(put_document(slice.engine, &*route.work, &key, &segment)).await?;
    import_record_mut(claimed)?.listed(listed, &sha256);
    claimed.touch();
    Ok(true)
}
