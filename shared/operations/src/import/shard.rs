//! A shard of an import in a slice: append where the target is expected to end, checkpoint.
//!
//! The target's tail and the source's cursor belong together on the record. Whatever stands behind that tail was
//! appended by a slice whose checkpoint is missing; it is found again (`reconcile`) among what the sources say comes
//! next, and counts as sent. So every event arrives once, whoever died in between.

use std::collections::VecDeque;

use sluice_ports::{Appended, Appends, NewEvent, StreamWriter};
use sluice_transfer::manifest::{ListShard, Segment};
use sluice_transfer::record::{Check, ImportWork, Mark, Origin, Share, SourceCursor, Tails};
use sluice_transfer::{Counts, EventDigest, Lacking, ObjectKeys, Order, Placement, Position};

use super::beat::Beat;
use super::misfit::Misfit;
use super::read_behind::ReadBehind;
use super::reader::{Reader, Sourced};
use super::route::Route;
use crate::claimed::Claimed;
use crate::error::{Code, OperationError, Stop};
use crate::objects::put_document;

pub(super) struct ShardImport<'a, 'h> {
    pub route: &'a Route,
    writer: &'a dyn StreamWriter,
    pub claimed: &'a mut Claimed<'h, ImportWork>,
    /// When events are due; none for as soon as they can be sent.
    pub(super) beat: Option<&'a Beat>,
    pub reader: Reader<'a>,
    /// Read from the sources, not yet known to be in the target.
    pub unsent: VecDeque<Sourced>,
    /// The record's revision when the last mark was set: it is on record once that is another.
    pub(super) marked: Option<u64>,
    /// Why nothing can be read behind what is unsent: it is told once that has arrived.
    pub(super) failed: Option<OperationError>,
    /// The comparison behind the writer; none if the target is not read back meanwhile.
    pub(super) behind: Option<ReadBehind<'a>>,
    /// What stands behind what is unsent and cannot be sent. Nothing is read behind it before it is passed over.
    pub(super) misfit: Option<Box<Misfit>>,
    /// The record is to be written before anything is sent: it passes over a misfit.
    behind_misfit: bool,
}

impl<'a, 'h: 'a> ShardImport<'a, 'h> {
    pub(super) fn new(
        route: &'a Route,
        writer: &'a dyn StreamWriter,
        beat: Option<&'a Beat>,
        claimed: &'a mut Claimed<'h, ImportWork>,
    ) -> Result<Self, Stop> {
        // Said anew where it still holds.
        claimed.record.work.waits_for = None;
        let (cursor, check) = (claimed.record.work.cursor, claimed.record.work.check);
        let reader = Reader::new(claimed.slice, route, listed(route, claimed)?, cursor, check);
        // Where appends are conditional they are as fast as reading is, and nothing is gained.
        let by_key = route.stream.promises().appends == Appends::ByKey;
        let behind = by_key.then(|| ReadBehind::new(claimed.slice, &*route.stream, &claimed.record));
        Ok(Self {
            route,
            writer,
            claimed,
            beat,
            reader,
            unsent: VecDeque::new(),
            marked: None,
            failed: None,
            behind,
            misfit: None,
            behind_misfit: false,
        })
    }

    /// Tells why no more can be read.
    pub(super) fn fail(&mut self) -> Result<(), Stop> {
        self.failed.take().map_or(Ok(()), |error| Err(error.into()))
    }

    /// True if more can be read of the sources.
    pub(super) fn reads_on(&self) -> bool {
        self.failed.is_none() && self.misfit.is_none()
    }

    /// Puts the misfit into its file and passes over it. All in front of it is known to have arrived.
    pub(super) async fn pass_misfit(&mut self, misfit: Misfit) -> Result<(), Stop> {
        debug_assert!(self.unsent.is_empty(), "something in front of a misfit is unsent");
        let (cursor, counted, counts) = (misfit.after(), misfit.counted(), misfit.counts());
        let list = &self.route.list;
        let place = listed(self.route, self.claimed)?.place(list, cursor.entry_before());
        let (record, from) = (&self.claimed.record, place.and_then(|place| place.source));
        let (name, checksum) = misfit.store(self.route, &record.work, &record.shard, from).await?;
        let record = &mut self.claimed.record.work;
        record.passed_misfit(cursor, &counted, &name, checksum);
        record.check = self.reader.check().filter(|check| check.entry == cursor.entry);
        self.behind_misfit = true;
        self.tell_progress(cursor)?;
        self.claimed.touch();
        // Misfits in a row share writes of the record: one that is not on record is found by its file.
        if self.claimed.is_due() {
            self.flush().await?;
        }
        self.claimed.slice.count_and_wait(counts).await;
        Ok(())
    }

    /// Before anything is sent: what stands behind the record's tail is always in front of the next misfit.
    pub(super) async fn flush_misfits(&mut self) -> Result<(), Stop> {
        if self.behind_misfit { self.flush().await } else { Ok(()) }
    }

    pub(super) async fn append(&mut self, expected: &Position, events: &[NewEvent]) -> Result<Sent, Stop> {
        let answer = self.begin_append(expected, events).await;
        self.appended(answer)
    }

    /// Appends, and says on the record that this is being done: it is written if the shard is given back before it is
    /// known what became of it. Holds on to nothing of the shard, so that more can be read meanwhile.
    pub(super) fn begin_append<'e>(
        &mut self,
        expected: &'e Position,
        events: &'e [NewEvent],
    ) -> impl Future<Output = Result<Appended, Stop>> + use<'a, 'h, 'e> {
        let work = &mut self.claimed.record.work;
        (work.unsettled, work.unsettled_since) = (true, None);
        let (route, writer) = (self.route, self.writer);
        let placement = if self.claimed.record.hashes.is_some() { Placement::Key } else { Placement::AsSource };
        let order = route.config.order.unwrap_or_default();
        async move {
            Ok(match (order, placement) {
                (Order::Key, Placement::Key) => writer.append_by_key(expected, events).await?,
                (Order::Key, Placement::AsSource) => writer.append(expected, events).await?,
                _ => writer.append_ordered(expected, events, (placement, order)).await?,
            })
        }
    }

    /// The result of an append.
    pub(super) fn appended(&mut self, answer: Result<Appended, Stop>) -> Result<Sent, Stop> {
        match answer {
            Ok(Appended::Done { tail }) => {
                self.claimed.record.work.unsettled = false;
                Ok(Sent::Done(Tails::of(tail)))
            }
            Ok(Appended::Spread { tails: mut continued }) => {
                self.claimed.record.work.unsettled = false;
                let own = continued.remove(&self.claimed.record.shard).unwrap_or_default();
                Ok(Sent::Done(Tails { own, continued }))
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

    /// So many of the unsent events stand in the target, which ends there.
    pub(super) async fn sent(&mut self, many: usize, tails: Tails) -> Result<(), Stop> {
        let sum = self.sum(many);
        self.follow_target(many, sum, tails).await
    }

    /// What the record says once so many of the unsent events have arrived.
    pub(super) fn sum(&self, many: usize) -> Sum {
        let record = &self.claimed.record.work;
        let mut sum = Sum {
            cursor: record.cursor,
            digest: record.digest,
            counts: Counts::default(),
            lacking: Lacking::default(),
            origin: many.checked_sub(1).and_then(|last| self.origin(self.unsent.get(last)?)),
        };
        for Sourced { event, lacks, after, .. } in self.unsent.iter().take(many) {
            sum.counts += Counts::new(1, event.payload.len() as u64);
            sum.lacking += *lacks;
            sum.digest = sum.digest.with(event.time, &event.key, &event.headers, &event.payload);
            sum.cursor = *after;
        }
        sum
    }

    /// Where an event stood in the exported stream, if that is known.
    fn origin(&self, sourced: &Sourced) -> Option<Origin> {
        let sequence = sourced.sequence.clone()?;
        let place = listed(self.route, self.claimed).ok()?.place(&self.route.list, sourced.after.entry_before())?;
        Some(Origin { shard: place.source?.clone(), sequence })
    }

    /// Waits, though not past the deadline.
    pub(super) async fn wait(&self, millis: u64) -> Result<(), Stop> {
        Ok(self.claimed.slice.patience.wait(millis).await?)
    }

    /// The record follows the target, which holds so many more of the unsent events, and is written, at most once for a
    /// batch.
    pub(super) async fn follow_target(&mut self, many: usize, sum: Sum, tails: Tails) -> Result<(), Stop> {
        let Sum { cursor, digest, counts, lacking, origin } = sum;
        self.unsent.drain(..many.min(self.unsent.len()));
        let check = self.reader.check().filter(|check| check.entry == cursor.entry);
        let revision = self.claimed.record.revision;
        let record = &mut self.claimed.record.work;
        record.advanced(cursor, tails, counts, lacking, digest);
        if self.marked.replace(revision) == Some(revision) {
            record.move_mark(origin);
        } else {
            record.mark(origin);
        }
        record.check = check;
        self.tell_progress(cursor)?;
        self.claimed.touch();
        let slice = self.claimed.slice;
        // However much stands behind the record's tail, it is found again; not so where appends go by key.
        let at_once = self.route.stream.promises().appends == Appends::ByKey || slice.is_rated();
        if at_once || self.claimed.is_due() {
            self.flush().await?;
        }
        match &mut self.behind {
            Some(behind) => {
                behind.follow(&self.claimed.record.work.tail);
                behind.beside(slice.count_and_wait(counts)).await;
            }
            None => slice.count_and_wait(counts).await,
        }
        Ok(())
    }

    /// What was compared meanwhile goes on record with the next write.
    pub(super) fn note_read_back(&mut self) {
        let record = &mut self.claimed.record;
        let Some(back) = self.behind.as_ref().and_then(|behind| behind.back(&record.range.from)) else { return };
        if record.work.read_back.as_ref() != Some(&back) {
            record.work.read_back = Some(back);
            self.claimed.touch();
        }
    }

    /// How far it is, where nobody knows how many events there are: by the bytes of the sources.
    fn tell_progress(&mut self, cursor: SourceCursor) -> Result<(), Stop> {
        if self.claimed.record.expected.is_some() {
            return Ok(());
        }
        let whole = listed(self.route, self.claimed)?.bytes;
        let (more, within) = self.reader.take_passed(cursor);
        let record = &mut self.claimed.record.work;
        let passed = record.passed.unwrap_or(0).saturating_add(more);
        record.passed = Some(passed);
        let done = passed.saturating_add(within);
        self.claimed.record.share = Some(Share::of_bytes(done, whole));
        Ok(())
    }

    /// Nothing that was read is unsent: the next slice goes on behind what was passed over, and with what is compared.
    pub(super) fn leave_off(&mut self, check: Option<Check>) -> Result<(), Stop> {
        let skipped = self.reader.skipped();
        let record = &mut self.claimed.record.work;
        debug_assert!(skipped.is_none_or(|skipped| skipped >= record.cursor), "{skipped:?} lies behind");
        record.cursor = skipped.map_or(record.cursor, |skipped| skipped.max(record.cursor));
        record.check = check;
        let cursor = record.cursor;
        self.tell_progress(cursor)?;
        self.claimed.touch();
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> Result<(), Stop> {
        self.note_read_back();
        self.claimed.flush().await?;
        self.behind_misfit = false;
        self.write_segments().await
    }

    /// Writes the segments for which there are marks, right after the record was written.
    pub(super) async fn write_segments(&mut self) -> Result<(), Stop> {
        write_segments(self.claimed, self.route, false).await
    }
}

/// Where the sources go on behind some events, how many these are, what their records lack, the digest of all up to
/// there, and where the last of them came from.
pub(super) struct Sum {
    cursor: SourceCursor,
    digest: EventDigest,
    counts: Counts,
    lacking: Lacking,
    origin: Option<Origin>,
}

/// The result of an append.
pub(super) enum Sent {
    /// All of it is in the target, which ends here.
    Done(Tails),
    /// Nothing of it: the target ends elsewhere.
    Elsewhere,
    /// Nobody knows.
    Unsure(OperationError),
}

fn listed<'a>(route: &'a Route, claimed: &Claimed<'_, ImportWork>) -> Result<&'a ListShard, Stop> {
    let shard = &claimed.record.shard;
    route.list.shards.iter().find(|listed| listed.shard == *shard).ok_or_else(|| {
        OperationError::new(Code::Corrupt, format!("the list of sources says nothing of shard {shard}")).into()
    })
}

/// Writes the segments of the import's own manifest for which there are marks; at the end also the last, which is not
/// full. The marks are on record, so whoever writes a segment writes the same.
pub(crate) async fn write_segments(
    claimed: &mut Claimed<'_, ImportWork>,
    route: &Route,
    at_end: bool,
) -> Result<(), Stop> {
    while let Some((key, segment)) = next_segment(claimed, route, at_end) {
        let sha256 = put_document(&*route.work, &key, &segment).await?;
        claimed.record.work.listed(segment.entries.len(), &sha256);
        claimed.touch();
    }
    Ok(())
}

/// The next segment of the import's own manifest and its key, if there are marks for it.
fn next_segment(claimed: &Claimed<'_, ImportWork>, route: &Route, at_end: bool) -> Option<(String, Segment<Mark>)> {
    let record = &claimed.record.work;
    let marks = record.next_segment(at_end)?;
    let number = record.segments.count + 1;
    let (transfer, shard) = (claimed.record.transfer.clone(), claimed.record.shard.clone());
    let key = format!("{}/{}", route.folder(), ObjectKeys::segment(&shard, number));
    Some((key, Segment { transfer, shard: Some(shard), number, entries: marks.to_vec() }))
}
