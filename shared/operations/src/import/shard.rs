//! One shard of a slice: read, append where the target is expected to end, checkpoint.
//!
//! The target's tail and the source's cursor belong together on the record. Whatever stands behind that tail was
//! appended by a slice whose checkpoint is missing; it is compared with what the sources say comes next, and counts
//! as sent. So every event arrives once, whoever died in between.

use std::collections::VecDeque;

use sluice_ports::{Appended, NewEvent, Read, ReadLimit};
use sluice_transfer::manifest::{ListShard, Segment};
use sluice_transfer::record::{Check, ImportRecord, SourceCursor, Work};
use sluice_transfer::{Counts, Event, EventDigest, ObjectKeys, Position, Remaining, Wanted};

use super::Route;
use super::reader::{Next, Reader, Sourced};
use crate::error::{Code, Halt, OperationError};
use crate::held::Held;
use crate::objects::put_document;
use crate::slice::ShardEnd;

pub(super) struct ShardImport<'a, 'h> {
    route: &'a Route,
    held: &'a mut Held<'h>,
    reader: Reader<'a>,
    /// Read from the sources, not yet known to be in the target.
    unsent: VecDeque<Sourced>,
}

impl<'a, 'h: 'a> ShardImport<'a, 'h> {
    pub(super) fn new(route: &'a Route, held: &'a mut Held<'h>) -> Result<Self, Halt> {
        let record = import_record(held)?;
        let (cursor, check) = (record.cursor, record.check);
        let reader = Reader::new(held.slice, route, listed(route, held)?, cursor, check);
        Ok(Self { route, held, reader, unsent: VecDeque::new() })
    }

    pub(super) async fn run(mut self) -> Result<ShardEnd, Halt> {
        self.reconcile().await?;
        let slice = self.held.slice;
        loop {
            if import_record(self.held)?.is_drained() {
                return Ok(ShardEnd::Drained);
            }
            if slice.wanted().await? != Wanted::Running {
                return Ok(ShardEnd::Stopped);
            }
            if !slice.has_time() || slice.remaining() == Remaining::Exhausted {
                return Ok(ShardEnd::More);
            }
            let ends = self.fill().await?;
            if self.unsent.is_empty() {
                match ends {
                    // Trailing sources that hold nothing.
                    Fill::End(cursor) => self.skip_to(cursor).await?,
                    Fill::NoTime(check) => {
                        import_record_mut(self.held)?.check = Some(check);
                        self.held.touch();
                        return Ok(ShardEnd::More);
                    }
                    Fill::Full => {}
                }
                continue;
            }
            self.send().await?;
        }
    }

    /// Reads until there is a batch to send.
    async fn fill(&mut self) -> Result<Fill, Halt> {
        let slice = self.held.slice;
        let settings = slice.engine.settings;
        let at_most = |limit: u64, most: usize| usize::try_from(limit).unwrap_or(usize::MAX).min(most);
        let (events, most_bytes) = match slice.remaining() {
            Remaining::Limit { events, bytes } => {
                (at_most(events, settings.read_events), at_most(bytes, slice.at_once(settings.append_bytes)))
            }
            Remaining::Exhausted => (1, 1),
        };
        let mut bytes: usize = self.unsent.iter().map(|sourced| sourced.event.payload.len()).sum();
        while self.unsent.len() < events && bytes < most_bytes {
            if !self.unsent.is_empty() && !slice.has_time() {
                break;
            }
            match self.reader.next().await? {
                Next::Event(sourced) => {
                    bytes += sourced.event.payload.len();
                    self.unsent.push_back(sourced);
                }
                Next::End(cursor) => return Ok(Fill::End(cursor)),
                Next::NoTime(check) => return Ok(Fill::NoTime(check)),
            }
        }
        Ok(Fill::Full)
    }

    /// Appends what is unsent. Whatever the answer, afterwards the record says what the target holds.
    async fn send(&mut self) -> Result<(), Halt> {
        let (slice, stream) = (self.held.slice, &self.route.stream);
        let record = import_record(self.held)?;
        let expected = record.tail.clone();
        let shard = self.held.record.shard.clone();
        let events: Vec<NewEvent> = self.unsent.iter().map(|sourced| sourced.event.clone()).collect();
        let append = stream.append(&shard, Some(&slice.order.id), &expected, &events);
        match slice.bounded(append).await {
            Ok(Appended::Done { tail }) => {
                let mut digest = record.digest;
                let counts = self.unsent.iter().map(|sourced| count(&sourced.event)).sum();
                for event in &events {
                    digest = digest.with(event.time, &event.key, &event.headers, &event.payload);
                }
                let after = self.unsent.back().map_or(record.cursor, |sourced| sourced.after);
                self.unsent.clear();
                self.advance(after, tail, counts, digest).await
            }
            Ok(Appended::Elsewhere { .. }) => self.reconcile().await,
            Ok(Appended::Reserved(writer)) => Err(OperationError::new(
                Code::StreamReserved,
                format!("{} is no longer reserved for this import but for {writer}", self.route.config.stream),
            )
            .into()),
            // Whether it happened is not known: the target's tail tells.
            Err(Halt::Trouble(error)) => {
                tracing::debug!(%error, "an append is uncertain");
                slice.engine.clock.sleep(50).await;
                self.reconcile().await
            }
            Err(halt) => Err(halt),
        }
    }

    /// The record follows the target, and is written: one write for a batch.
    async fn advance(
        &mut self,
        cursor: SourceCursor,
        tail: Position,
        counts: Counts,
        digest: EventDigest,
    ) -> Result<(), Halt> {
        let check = self.reader.check.filter(|check| check.entry == cursor.entry);
        let record = import_record_mut(self.held)?;
        record.advanced(cursor, tail, counts, digest);
        record.check = check;
        self.flush().await?;
        self.held.slice.spend(counts).await;
        Ok(())
    }

    async fn skip_to(&mut self, cursor: SourceCursor) -> Result<(), Halt> {
        let record = import_record_mut(self.held)?;
        record.cursor = cursor;
        record.check = None;
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Halt> {
        self.held.flush().await?;
        while write_segment(self.held, self.route, false).await? {}
        Ok(())
    }

    /// Takes what stands in the target behind the record's tail as sent, if it is what the sources say comes next.
    /// Anything else is somebody else's, and stops the import.
    async fn reconcile(&mut self) -> Result<(), Halt> {
        let slice = self.held.slice;
        let settings = slice.engine.settings;
        let shard = self.held.record.shard.clone();
        let limit = ReadLimit { events: settings.read_events, bytes: settings.read_bytes };
        loop {
            let (from, mut cursor, mut digest) = {
                let record = import_record(self.held)?;
                (record.tail.clone(), record.cursor, record.digest)
            };
            let stream = &self.route.stream;
            let read = slice.engine.persist(async || stream.read(&shard, &from, limit).await);
            let (events, next) = match slice.bounded(read).await? {
                Read::Events { events, next, .. } => (events, next),
                Read::Trimmed { earliest } => {
                    return Err(OperationError::new(
                        Code::ForeignEvents,
                        format!(
                            "{} was trimmed up to {earliest} while it was imported into, so what arrived can no longer \
                             be told: cancel this import and start another into a new stream",
                            self.route.config.stream
                        ),
                    )
                    .into());
                }
            };
            if events.is_empty() {
                return Ok(());
            }
            tracing::info!(events = events.len(), shard = %shard, "found in the target behind the last checkpoint");
            let mut counts = Counts::default();
            for event in &events {
                let sourced = self.expected(event).await?;
                counts += count(&sourced.event);
                digest = digest.with_event(event);
                cursor = sourced.after;
            }
            self.advance(cursor, next, counts, digest).await?;
        }
    }

    /// The event that the sources say comes next, if the target's is that one.
    async fn expected(&mut self, found: &Event) -> Result<Sourced, Halt> {
        if self.unsent.is_empty() {
            match self.reader.next().await? {
                Next::Event(sourced) => self.unsent.push_back(sourced),
                Next::End(_) => {}
                Next::NoTime(check) => {
                    import_record_mut(self.held)?.check = Some(check);
                    self.held.flush().await?;
                    return Err(Halt::Deadline);
                }
            }
        }
        match self.unsent.pop_front() {
            Some(sourced) if is_same(&sourced.event, found) => Ok(sourced),
            _ => Err(OperationError::new(
                Code::ForeignEvents,
                format!(
                    "{} holds an event at {}@{} that this import did not send: somebody else writes into it. \
                     Cancel this import and start another into a new stream",
                    self.route.config.stream, self.held.record.shard, found.sequence
                ),
            )
            .into()),
        }
    }
}

enum Fill {
    Full,
    End(SourceCursor),
    NoTime(Check),
}

fn count(event: &NewEvent) -> Counts {
    Counts::new(1, event.payload.len() as u64)
}

fn is_same(sent: &NewEvent, found: &Event) -> bool {
    sent.time == found.time && sent.key == found.key && sent.headers == found.headers && sent.payload == found.payload
}

fn listed<'a>(route: &'a Route, held: &Held<'_>) -> Result<&'a ListShard, Halt> {
    let shard = &held.record.shard;
    route.list.shards.iter().find(|listed| listed.shard == *shard).ok_or_else(|| {
        OperationError::new(Code::Corrupt, format!("the list of sources says nothing of shard {shard}")).into()
    })
}

pub(crate) fn import_record<'r>(held: &'r Held<'_>) -> Result<&'r ImportRecord, Halt> {
    match &held.record.work {
        Work::Import(record) => Ok(record),
        Work::Export(_) => Err(not_an_import()),
    }
}

pub(crate) fn import_record_mut<'r>(held: &'r mut Held<'_>) -> Result<&'r mut ImportRecord, Halt> {
    match &mut held.record.work {
        Work::Import(record) => Ok(record),
        Work::Export(_) => Err(not_an_import()),
    }
}

fn not_an_import() -> Halt {
    OperationError::new(Code::Corrupt, "a shard of an import has the record of an export").into()
}

/// Writes the next segment of the import's own manifest, if there are marks for it. They are on record, so whoever
/// writes this segment writes the same.
pub(crate) async fn write_segment(held: &mut Held<'_>, route: &Route, at_end: bool) -> Result<bool, Halt> {
    let record = import_record(held)?;
    let Some(marks) = record.next_segment(at_end) else { return Ok(false) };
    let number = record.segments.count + 1;
    let (transfer, shard) = (held.record.transfer.clone(), held.record.shard.clone());
    let key = format!("{}/{}", route.folder(), ObjectKeys::segment(&shard, number));
    let entries = marks.to_vec();
    let listed = entries.len();
    let segment = Segment { transfer, shard: Some(shard), number, entries };
    let slice = held.slice;
    let sha256 = slice.bounded(put_document(slice.engine, &*route.work, &key, &segment)).await?;
    import_record_mut(held)?.listed(listed, &sha256);
    held.touch();
    Ok(true)
}
