//! The bytes of a shard's sources, as they are listed.
//!
//! What a manifest vouches for is compared before any of it is used, since what was appended to a stream cannot be
//! taken back: part by part where the object has an index, else as one. A part that may be held is read once, to be
//! compared and used; a longer one is read twice.

use std::ops::Range as Interval;

use bytes::Bytes;
use sluice_transfer::manifest::{ListPlace, ListShard, ObjectIndex, Segment, SourceEntry};
use sluice_transfer::record::Check;
use sluice_transfer::{Checksum, UnpackError, Wanted};

use super::route::Route;
use crate::error::{Code, OperationError, Stop};
use crate::objects::{get_document, in_document};
use crate::slice::Slice;

/// The result of asking for bytes.
pub(super) enum Compared {
    /// They are those that were exported, or nobody vouches for them.
    Bytes(Bytes),
    /// There is no more time to compare the current part; so far it is compared up to here.
    NoTime(Check),
}

/// A part of an object, with a checksum of its own.
#[derive(Clone)]
struct Part {
    bytes: Interval<u64>,
    checksum: Checksum,
}

impl Part {
    fn len(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }
}

pub(super) struct Source<'a> {
    slice: &'a Slice<'a>,
    route: &'a Route,
    listed: &'a ListShard,
    /// The current segment of the list, and its key.
    segment: Option<(&'a str, Vec<SourceEntry>)>,
    /// The parts of an object, and its entry's number.
    parts: Option<(u64, Vec<Part>)>,
    /// The last comparison, done or not.
    pub check: Option<Check>,
    /// The last bytes that were read: of which entry, and from where.
    chunk: Option<(u64, u64, Bytes)>,
}

impl<'a> Source<'a> {
    pub(super) fn new(slice: &'a Slice<'a>, route: &'a Route, listed: &'a ListShard, check: Option<Check>) -> Self {
        Self { slice, route, listed, segment: None, parts: None, check, chunk: None }
    }

    /// The entry of that number.
    pub(super) async fn entry(&mut self, number: u64) -> Result<SourceEntry, Stop> {
        let missing = || OperationError::new(Code::Corrupt, format!("the list of sources has no entry {number}"));
        let ListPlace { segment, index, .. } = self.listed.place(&self.route.list, number).ok_or_else(missing)?;
        if self.segment.as_ref().is_none_or(|(have, _)| *have != segment.key) {
            let key = format!("{}/{}", self.route.list_folder(), segment.key);
            let document: Segment<SourceEntry> = get_document(&*self.route.work, &key, Some(&segment.sha256)).await?;
            self.segment = Some((&segment.key, document.entries));
        }
        let entries = self.segment.as_ref().map(|(_, entries)| entries);
        Ok(entries.and_then(|entries| entries.get(index)).cloned().ok_or_else(missing)?)
    }

    /// The beginning of an object, of this many bytes, or all of it. It is not compared: what stands there is read
    /// strictly, and each unit that is read with it is compared.
    pub(super) async fn head(&mut self, number: u64, entry: &SourceEntry, len: u64) -> Result<Bytes, Stop> {
        let len = len.min(entry.size);
        match self.held(number, 0) {
            Some(bytes) if bytes.len() as u64 >= len => Ok(bytes.slice(..usize::try_from(len).unwrap_or(bytes.len()))),
            _ if len == 0 => Ok(Bytes::new()),
            _ => self.get(entry, 0, len).await,
        }
    }

    /// Bytes from an offset on, some, and none only at the object's end. What a manifest vouches for was compared.
    pub(super) async fn compared(&mut self, number: u64, entry: &SourceEntry, offset: u64) -> Result<Compared, Stop> {
        let read = self.slice.engine.settings.read_bytes as u64;
        let len = match self.part_at(number, entry, offset).await? {
            None => read,
            Some(part) => {
                if let Some(check) = self.compare(number, entry, &part).await? {
                    return Ok(Compared::NoTime(check));
                }
                read.min(part.bytes.end - offset)
            }
        };
        self.read(number, entry, offset, len).await.map(Compared::Bytes)
    }

    /// Compares a part with its checksum, unless that is done. Answers how far it came if time ran out.
    async fn compare(&mut self, number: u64, entry: &SourceEntry, part: &Part) -> Result<Option<Check>, Stop> {
        let mut check = match self.check {
            Some(check) if check.entry == number && check.from == part.bytes.start => check,
            _ => Check { entry: number, from: part.bytes.start, seen: Checksum::default() },
        };
        let settings = &self.slice.engine.settings;
        let at_once = if part.len() <= settings.part_bytes { part.len() } else { settings.read_bytes as u64 };
        while check.seen.len < part.len() {
            if !self.slice.has_time() || self.slice.wanted().await? != Wanted::Running {
                return Ok(Some(check));
            }
            let left = part.len() - check.seen.len;
            let bytes = self.read(number, entry, check.from + check.seen.len, at_once.min(left)).await?;
            check.seen = check.seen.then(Checksum::of(&bytes));
            self.check = Some(check);
        }
        if check.seen != part.checksum {
            return Err(damaged(entry, "its bytes are not those that were exported: the checksum differs"));
        }
        self.check = Some(check);
        Ok(None)
    }

    /// The part that holds a byte; none for what nobody vouches for, and behind an object's end.
    async fn part_at(&mut self, number: u64, entry: &SourceEntry, offset: u64) -> Result<Option<Part>, Stop> {
        if self.parts.as_ref().is_none_or(|(of, _)| *of != number) {
            self.parts = Some((number, self.parts_of(entry).await?));
        }
        let parts = self.parts.as_ref().map_or(&[][..], |(_, parts)| parts);
        let index = parts.partition_point(|part| part.bytes.end <= offset);
        Ok(parts.get(index).cloned())
    }

    async fn parts_of(&self, entry: &SourceEntry) -> Result<Vec<Part>, Stop> {
        let Some(checksum) = entry.checksum else { return Ok(Vec::new()) };
        let whole = vec![Part { bytes: 0..entry.size, checksum }];
        let Some(key) = &entry.index else { return Ok(whole) };
        let read = get_document::<ObjectIndex>(&*self.route.sources, key, None);
        let index = match read.await.map_err(Stop::from) {
            Err(Stop::Failed(error)) if error.code == Code::NotFound && entry.bytes.is_none() => {
                tracing::warn!(key, "the index of an object is missing: it is compared as one");
                return Ok(whole);
            }
            Err(stop) => return Err(name_the_object(stop, key)),
            Ok(index) => index,
        };
        let counts = entry.counts.unwrap_or_default();
        index.check_sums(checksum, counts).map_err(|error| in_document(key, error))?;
        let parts = index.extents().into_iter().zip(&index.parts);
        Ok(parts.map(|(extent, part)| Part { bytes: extent.bytes, checksum: part.checksum }).collect())
    }

    /// Bytes of the last chunk from an offset on.
    fn held(&self, number: u64, offset: u64) -> Option<Bytes> {
        let (of, at, bytes) = self.chunk.as_ref()?;
        let holds = *of == number && (*at..*at + bytes.len() as u64).contains(&offset);
        holds.then(|| bytes.slice(usize::try_from(offset - at).unwrap_or(bytes.len())..))
    }

    /// Bytes of the last chunk, if it has some, or the next one.
    async fn read(&mut self, number: u64, entry: &SourceEntry, offset: u64, len: u64) -> Result<Bytes, Stop> {
        if let Some(bytes) = self.held(number, offset) {
            return Ok(bytes);
        }
        let bytes = self.get(entry, offset, len).await?;
        self.chunk = Some((number, offset, bytes.clone()));
        Ok(bytes)
    }

    /// Bytes of a source; fewer than asked for only at its end.
    async fn get(&self, entry: &SourceEntry, offset: u64, len: u64) -> Result<Bytes, Stop> {
        let read = self.route.sources.get(&entry.key, Some(&entry.etag), offset, len);
        let bytes = read.await.map_err(|error| name_the_object(error.into(), &entry.key))?;
        if bytes.is_empty() && offset < entry.size {
            return Err(damaged(entry, format!("it ends at byte {offset}, not at {}", entry.size)));
        }
        Ok(bytes)
    }
}

/// A source that a decoder refused.
pub(super) fn unreadable(entry: &SourceEntry, error: &UnpackError) -> Stop {
    match error {
        UnpackError::Unsupported { why } if entry.checksum.is_none() => {
            let what = "What stands in front of that was imported; cancel this import, and import into another stream";
            OperationError::new(Code::ObjectUnreadable, format!("{} cannot be imported: {why}. {what}", entry.key))
                .into()
        }
        _ => damaged(entry, error),
    }
}

/// A source whose bytes cannot be taken for events.
pub(super) fn damaged(entry: &SourceEntry, why: impl std::fmt::Display) -> Stop {
    let key = &entry.key;
    let error = if entry.checksum.is_some() {
        let what = "Nothing of it was imported that does not match; put the original back and resume";
        OperationError::new(Code::ObjectDamaged, format!("{key} is damaged: {why}. {what}"))
    } else {
        let what = "What could be read in front of that was imported (where a file is compressed, damage may begin earlier \
                    than it shows); cancel this import, mend the file or the options, and import into another stream";
        OperationError::new(Code::ObjectUnreadable, format!("{key} cannot be read: {why}. {what}"))
    };
    error.into()
}

/// What a source's store says, in the terms of an import.
fn name_the_object(stop: Stop, key: &str) -> Stop {
    let Stop::Failed(error) = stop else { return stop };
    let changed = |code, what: &str| {
        let message = format!(
            "{key} {what}; put the original back and resume (in a directory a copy of it is another file), or cancel this \
             import and start another"
        );
        Stop::Failed(OperationError::new(code, message))
    };
    match error.code {
        Code::NotFound => changed(Code::ObjectMissing, "is not there any more"),
        Code::ObjectChanged => changed(Code::ObjectChanged, "was replaced or edited since the import was planned"),
        _ => Stop::Failed(error),
    }
}
