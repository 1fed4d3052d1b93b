//! One object, read from its beginning to its end, in as many slices as that takes.
//!
//! A slice leaves off where a unit ends: all in front of it is counted and in the checksum, which the next slice
//! goes on with. Raw bytes have no units, so there it is wherever reading stopped.
//!
//! Where the object has an index, each part is held to what that says: an import of a range trusts it. Raw bytes hold
//! nothing but their checksums.

use std::collections::VecDeque;

use bytes::Bytes;
use sluice_formats::decoder;
use sluice_ports::{BucketStore, Error, ErrorKind};
use sluice_transfer::manifest::ObjectIndex;
use sluice_transfer::{Checksum, Counts, Decoder, Encoding, Place, Position, Sequence, TimeRange, UnpackError};

use super::run::{Reached, Run};
use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::listing::Listed;

/// The result of reading an object in one slice.
pub(super) enum Outcome {
    /// It is as the manifest says, with so much in it.
    Whole(Counts),
    /// Time is up.
    Partly(Reached),
}

/// Reads an object, from where the slice before left off. An error if it is not what the manifest says.
pub(super) async fn read_object(
    run: &mut Run<'_>,
    bucket: &dyn BucketStore,
    encoding: Encoding,
    listed: &Listed,
    index: Option<&ObjectIndex>,
) -> Result<Outcome, OperationError> {
    let (key, object) = (&listed.key[..], &listed.object.object);
    let wanted = object.checksum;
    let reached = match run.at.object.take() {
        Some(reached) => reached,
        None => begin(bucket, key, wanted.len).await?,
    };
    let began = reached.checksum.len;
    let mut reading = Reading::new(run.engine, bucket, key, reached, index);
    let mut ahead = reading.open(encoding, wanted.len).await?;
    (run.seen)(reading.seen.len - began);
    while reading.seen.len < wanted.len {
        if run.is_over() {
            return Ok(Outcome::Partly(reading.reached));
        }
        let (mut bytes, before) = (reading.next(ahead.take()).await?, reading.reached.checksum);
        if bytes.len() > reading.left_of_part() {
            ahead = Some(bytes.split_off(reading.left_of_part()));
        }
        (run.seen)(bytes.len() as u64);
        reading.take(&bytes);
        reading.end_of_part()?;
        run.came_further |= reading.reached.checksum != before;
    }
    if reading.seen != wanted {
        return Err(damaged(key, "its checksum is not the one that was sealed"));
    }
    if let Some(why) = reading.reached.broken {
        return Err(damaged(key, why));
    }
    if let Some(mut decoder) = reading.decoder {
        decoder.finish().map_err(|error| damaged(key, error))?;
        let (found, said) = (reading.reached.counts, object.counts);
        if found != said {
            let what = format!("it holds {found}, the manifest says {said}");
            return Err(damaged(key, what));
        }
    }
    Ok(Outcome::Whole(object.counts))
}

fn damaged(key: &str, why: impl std::fmt::Display) -> OperationError {
    OperationError::new(Code::ObjectDamaged, format!("{key}: {why}"))
}

/// The beginning of an object that is there and has its size.
async fn begin(bucket: &dyn BucketStore, key: &str, size: u64) -> Result<Reached, OperationError> {
    let Some(info) = bucket.head(key).await? else {
        return Err(OperationError::new(Code::ObjectMissing, format!("{key} is missing")));
    };
    if info.size != size {
        return Err(damaged(key, format!("it has {} bytes instead of {size}", info.size)));
    }
    Ok(Reached { etag: info.etag, checksum: Checksum::default(), counts: Counts::default(), broken: None })
}

struct Reading<'a> {
    engine: &'a Engine,
    bucket: &'a dyn BucketStore,
    key: &'a str,
    /// Where a next slice would go on.
    reached: Reached,
    /// Of all bytes that were read.
    seen: Checksum,
    /// Of all events that were read.
    counts: Counts,
    passed: Passed,
    /// None for raw bytes, and for what is broken.
    decoder: Option<Box<dyn Decoder>>,
    /// Where the parts end that were not read to theirs.
    ends: VecDeque<End>,
}

/// What was read of the current part.
#[derive(Default)]
struct Passed {
    /// The last event.
    last: Option<Sequence>,
    times: Option<TimeRange>,
    /// The slice before left off in it: of what is in front of that nothing more is known.
    has_begun_before: bool,
}

/// The end of a part, and all in front of it, as the index says.
struct End {
    checksum: Checksum,
    counts: Counts,
    until: Position,
    /// Of the part alone.
    times: Option<TimeRange>,
}

impl<'a> Reading<'a> {
    fn new(
        engine: &'a Engine,
        bucket: &'a dyn BucketStore,
        key: &'a str,
        reached: Reached,
        index: Option<&ObjectIndex>,
    ) -> Self {
        let (mut checksum, mut counts) = (Checksum::default(), Counts::default());
        let ends = index.into_iter().flat_map(|index| &index.parts).map(|part| {
            (checksum, counts) = (checksum.then(part.checksum), counts + part.span.counts);
            End { checksum, counts, until: part.span.until.position.clone(), times: part.span.times }
        });
        let mut ends: VecDeque<End> = ends.collect();
        let (seen, counts) = (reached.checksum, reached.counts);
        let mut passed = Passed { has_begun_before: seen.len > 0, ..Passed::default() };
        while let Some(end) = ends.pop_front_if(|end| end.checksum.len <= seen.len) {
            passed.has_begun_before = end.checksum.len < seen.len;
        }
        Self { engine, bucket, key, reached, seen, counts, passed, decoder: None, ends }
    }

    /// Bytes up to the end of the current part.
    fn left_of_part(&self) -> usize {
        let left = self.ends.front().map(|end| end.checksum.len.saturating_sub(self.seen.len));
        left.and_then(|left| usize::try_from(left).ok()).unwrap_or(usize::MAX)
    }

    /// Holds a part to its index, where it ends. One behind it may be empty.
    fn end_of_part(&mut self) -> Result<(), OperationError> {
        while let Some(end) = self.ends.pop_front_if(|end| end.checksum.len == self.seen.len) {
            let Passed { last, times, has_begun_before } = std::mem::take(&mut self.passed);
            let counted = (self.reached.checksum, self.reached.counts) == (self.seen, end.counts);
            let ends_there = last.map(Position::After).is_none_or(|last| last == end.until);
            let holds = counted && ends_there && (has_begun_before || times == end.times);
            if self.seen != end.checksum || (self.decoder.is_some() && !holds) {
                let what = format!("its part that ends at byte {} is not what its index says", self.seen.len);
                return Err(damaged(self.key, what));
            }
        }
        Ok(())
    }

    /// Sends a decoder to where the slice before left off. Answers bytes that were read with the object's head and come
    /// next.
    async fn open(&mut self, encoding: Encoding, size: u64) -> Result<Option<Bytes>, OperationError> {
        if self.reached.broken.is_some() {
            return Ok(None);
        }
        let Some(mut decoder) = decoder(encoding) else { return Ok(None) };
        if size == 0 {
            self.decoder = Some(decoder);
            return Ok(None);
        }
        let fresh = self.seen.len == 0;
        // What follows a fresh object's head is read with it: small objects are read at once.
        let len = if fresh { decoder.head_len().max(self.at_once()) } else { decoder.head_len() };
        let head = if len == 0 { Bytes::new() } else { self.get(0, len).await? };
        let first = match decoder.head(&head) {
            Ok(first) => usize::try_from(first).unwrap_or(usize::MAX).min(head.len()),
            Err(error) => {
                self.reached.broken = Some(error.to_string());
                return Ok(fresh.then_some(head));
            }
        };
        if fresh {
            self.seen = Checksum::of(&head[..first]);
            self.reached.checksum = self.seen;
        }
        decoder.seek(Place { offset: self.seen.len, within: 0 });
        self.decoder = Some(decoder);
        Ok(fresh.then(|| head.slice(first..)))
    }

    fn at_once(&self) -> u64 {
        self.engine.settings.read_bytes as u64
    }

    async fn get(&self, offset: u64, len: u64) -> Result<Bytes, OperationError> {
        let (bucket, key, etag) = (self.bucket, self.key, &self.reached.etag);
        let bytes = bucket.get(key, Some(etag), offset, len).await?;
        if bytes.is_empty() {
            return Err(Error::new(ErrorKind::Unavailable, format!("{key} ends early")).into());
        }
        Ok(bytes)
    }

    /// The bytes that come next.
    async fn next(&self, ahead: Option<Bytes>) -> Result<Bytes, OperationError> {
        match ahead.filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => Ok(bytes),
            None => self.get(self.seen.len, self.at_once()).await,
        }
    }

    /// Takes the bytes that come next. What is reached is the last place in them where a slice may leave off.
    fn take(&mut self, bytes: &Bytes) {
        let from = self.seen.len;
        let end = match &mut self.decoder {
            None => Some((from + bytes.len() as u64, self.counts)),
            Some(decoder) => match self.passed.count(&mut **decoder, bytes.clone(), &mut self.counts) {
                Ok(end) => end,
                Err(error) => {
                    self.reached.broken = Some(error.to_string());
                    self.decoder = None;
                    Some((from + bytes.len() as u64, self.counts))
                }
            },
        };
        let within = |(end, _): (u64, Counts)| usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX);
        let (done, rest) = bytes.split_at(end.map_or(0, within).min(bytes.len()));
        self.seen = self.seen.then(Checksum::of(done));
        if let Some((_, counts)) = end {
            self.reached.checksum = self.seen;
            self.reached.counts = counts;
        }
        self.seen = self.seen.then(Checksum::of(rest));
    }
}

impl Passed {
    /// Counts the events that more bytes complete. Answers where the last unit ended, if one did, and what was counted
    /// up to there.
    fn count(
        &mut self,
        decoder: &mut dyn Decoder,
        bytes: Bytes,
        counts: &mut Counts,
    ) -> Result<Option<(u64, Counts)>, UnpackError> {
        decoder.feed(bytes);
        let mut end = None;
        while let Some(event) = decoder.next()? {
            *counts += Counts::new(1, event.payload.len() as u64);
            if event.after.within == 0 {
                end = Some((event.after.offset, *counts));
            }
            self.last = event.sequence;
            self.times = TimeRange::cover(self.times, event.time.map(TimeRange::of));
        }
        Ok(end)
    }
}
