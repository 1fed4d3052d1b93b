//! The events of a shard's sources, in order, from any cursor on.
//!
//! An object that a manifest vouches for is compared with its checksum before the first of its events is used:
//! what has been appended to a stream cannot be taken back.

use std::collections::VecDeque;

use bytes::Bytes;
use sluice_formats::{Inflater, decoder, foreign_decoder};
use sluice_ports::NewEvent;
use sluice_transfer::limits::LIST_ENTRIES;
use sluice_transfer::manifest::{ListShard, Segment, SourceEntry};
use sluice_transfer::record::{Check, SourceCursor};
use sluice_transfer::{Checksum, Cutter, Decoded, Decoder, Place, UnpackError, Value, Wanted, recognise};

use super::Route;
use crate::error::{Code, Halt, OperationError};
use crate::objects::get_document;
use crate::slice::Slice;

/// An event and where in the sources the next one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sourced {
    pub event: NewEvent,
    pub after: SourceCursor,
}

/// What the reader answers.
pub(crate) enum Next {
    Event(Sourced),
    /// The sources are at their end; trailing ones may have been empty.
    End(SourceCursor),
    /// There is no more time to compare the object at hand; so far it is compared up to here.
    NoTime(Check),
}

/// Bytes that tell what a file is compressed with.
const RECOGNISED: u64 = 4;
/// Bytes of a compressed object that are fed at once: they may inflate to a thousand times as many.
const COMPRESSED_FEED: usize = 64 << 10;

/// The object at hand.
struct Open {
    entry: SourceEntry,
    /// Byte from which on bytes are asked for next.
    at: u64,
    /// Bytes that are fed at once.
    feed: usize,
    unpacks: Unpacks,
}

/// What makes events of bytes.
enum Unpacks {
    /// Raw: these come as they were before they were compressed, and are cut.
    Cut(Box<Inflater>),
    /// Units, which hold events.
    Units(Box<dyn Decoder>),
}

pub(crate) struct Reader<'a> {
    slice: &'a Slice<'a>,
    route: &'a Route,
    listed: &'a ListShard,
    segment: Option<(u64, Vec<SourceEntry>)>,
    /// Where the bytes that were asked for end.
    cursor: SourceCursor,
    /// What is known of the object at the cursor.
    pub check: Option<Check>,
    open: Option<Open>,
    /// Entries that were consumed and their bytes, until [`Self::take_passed`] is asked for them.
    passed: VecDeque<(u64, u64)>,
    /// Raw: cuts events; may hold the beginning of one.
    cutter: Cutter,
    ready: VecDeque<Sourced>,
    /// The last chunk that was read: an object of one chunk is read once, to be compared and used.
    chunk: Option<(u64, u64, Bytes)>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        slice: &'a Slice<'a>,
        route: &'a Route,
        listed: &'a ListShard,
        cursor: SourceCursor,
        check: Option<Check>,
    ) -> Self {
        let size = usize::try_from(route.config.event_size).unwrap_or(usize::MAX);
        Self {
            slice,
            route,
            listed,
            segment: None,
            cursor,
            check,
            open: None,
            passed: VecDeque::new(),
            cutter: Cutter::new(size),
            ready: VecDeque::new(),
            chunk: None,
        }
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Result<Next, Halt> {
        loop {
            if let Some(sourced) = self.ready.pop_front() {
                return self.kept(sourced).await.map(Next::Event);
            }
            if self.open.is_none() {
                if self.cursor.entry >= self.listed.entries {
                    return match self.last_event() {
                        Next::Event(sourced) => self.kept(sourced).await.map(Next::Event),
                        end => Ok(end),
                    };
                }
                let entry = self.entry(self.cursor.entry).await?;
                if let Some(check) = self.compare(&entry).await? {
                    return Ok(Next::NoTime(check));
                }
                self.begin(entry).await?;
            }
            self.unpack().await?;
        }
    }

    /// The event as the target will hold it: that is what is sent, counted and compared.
    async fn kept(&mut self, Sourced { event, after }: Sourced) -> Result<Sourced, Halt> {
        let largest = self.route.config.largest_event.unwrap_or(u64::MAX);
        let too_large = event.size() > largest;
        let (code, why) = match self.route.stream.kept(event) {
            Ok(event) if event.size() <= largest => return Ok(Sourced { event, after }),
            Ok(event) => {
                let why = format!("it has {} bytes (payload, key and headers) of at most {largest}", event.size());
                (Code::EventTooLarge, why)
            }
            Err(error) if too_large => (Code::EventTooLarge, error.to_string()),
            Err(error) => (Code::Invalid, error.to_string()),
        };
        // An event ends in the source in front of the cursor, which may be at the beginning of the next.
        let at_beginning = after.offset == 0 && after.within == 0;
        let key = self.entry(if at_beginning { after.entry.saturating_sub(1) } else { after.entry }).await?.key;
        let which = match after.within {
            0 if at_beginning => "its last event".to_owned(),
            0 => format!("the event that ends at byte {}", after.offset),
            within => format!("the event that ends at {within} of the unit at byte {}", after.offset),
        };
        let stream = &self.route.config.stream;
        Err(OperationError::new(code, format!("{key}: {stream} cannot hold {which}: {why}")).into())
    }

    /// Joined bytes that wait at the end of all sources are a last, shorter event.
    fn last_event(&mut self) -> Next {
        let after = SourceCursor { entry: self.cursor.entry, offset: 0, within: 0 };
        match self.cutter.finish() {
            Some(payload) => Next::Event(Sourced { event: self.event_of(raw_event(payload, Place::default())), after }),
            None => Next::End(after),
        }
    }

    async fn entry(&mut self, number: u64) -> Result<SourceEntry, Halt> {
        let segment = number / LIST_ENTRIES as u64;
        if self.segment.as_ref().is_none_or(|(have, _)| *have != segment) {
            let missing = || OperationError::new(Code::Corrupt, "the list of sources has fewer segments than it says");
            let index = usize::try_from(segment).unwrap_or(usize::MAX);
            let named = self.listed.segments.get(index).ok_or_else(missing)?;
            let key = format!("{}/{}", self.route.list_folder(), named.key);
            let read = get_document(self.slice.engine, &*self.route.work, &key, Some(&named.sha256));
            let document: Segment<SourceEntry> = self.slice.bounded(read).await?;
            self.segment = Some((segment, document.entries));
        }
        let within = usize::try_from(number % LIST_ENTRIES as u64).unwrap_or(usize::MAX);
        let entries = self.segment.as_ref().map(|(_, entries)| entries);
        entries.and_then(|entries| entries.get(within)).cloned().ok_or_else(|| {
            OperationError::new(Code::Corrupt, format!("the list of sources has no entry {number}")).into()
        })
    }

    /// Bytes of a source; fewer than asked for only at its end.
    async fn get(&mut self, entry: &SourceEntry, offset: u64) -> Result<Bytes, Halt> {
        let number = self.cursor.entry;
        if let Some((of, at, bytes)) = &self.chunk
            && *of == number
            && (*at..*at + bytes.len() as u64).contains(&offset)
        {
            return Ok(bytes.slice(usize::try_from(offset - at).unwrap_or(bytes.len())..));
        }
        let (bucket, slice) = (&self.route.sources, self.slice);
        let len = slice.engine.settings.read_bytes as u64;
        let read = slice.engine.persist(async || bucket.get(&entry.key, Some(&entry.etag), offset, len).await);
        let bytes = slice.bounded(read).await.map_err(|halt| name_the_object(halt, &entry.key))?;
        if bytes.is_empty() && offset < entry.size {
            return Err(damaged(entry, format!("it ends at byte {offset}, not at {}", entry.size)));
        }
        self.chunk = Some((number, offset, bytes.clone()));
        Ok(bytes)
    }

    /// Compares an object with its checksum, unless that is done. Answers how far it came if time ran out.
    async fn compare(&mut self, entry: &SourceEntry) -> Result<Option<Check>, Halt> {
        let Some(wanted) = entry.checksum else { return Ok(None) };
        let number = self.cursor.entry;
        let mut check = match self.check {
            Some(check) if check.entry == number => check,
            _ => Check { entry: number, seen: Checksum::default() },
        };
        while check.seen.len < entry.size {
            if !self.slice.has_time() || self.slice.wanted().await? != Wanted::Running {
                return Ok(Some(check));
            }
            let bytes = self.get(entry, check.seen.len).await?;
            check.seen = check.seen.then(Checksum::of(&bytes));
            self.check = Some(check);
        }
        if check.seen != wanted {
            return Err(damaged(entry, "its bytes are not those that were exported: the checksum differs"));
        }
        self.check = Some(check);
        Ok(None)
    }

    async fn begin(&mut self, entry: SourceEntry) -> Result<(), Halt> {
        let mut place = Place { offset: self.cursor.offset, within: self.cursor.within };
        let config = &self.route.config;
        let (decoder, compression) = if let Some(files) = &config.foreign {
            let head = if files.inflate { self.head(&entry, RECOGNISED).await? } else { Bytes::new() };
            let compression = recognise(&head);
            (foreign_decoder(files, compression), compression)
        } else {
            (decoder(config.encoding()), config.compression)
        };
        let feed = if !compression.is_plain() {
            COMPRESSED_FEED
        } else if decoder.is_none() {
            // Each byte may be an event.
            self.cutter.size().saturating_mul(self.slice.engine.settings.read_events)
        } else {
            usize::MAX
        };
        let unpacks = if let Some(mut decoder) = decoder {
            let head = self.head(&entry, decoder.head_len()).await?;
            let first = decoder.head(&head).map_err(|error| damaged(&entry, error))?;
            place.offset = place.offset.max(first);
            decoder.seek(place);
            Unpacks::Units(decoder)
        } else {
            Unpacks::Cut(Box::new(Inflater::at(compression, place)))
        };
        self.open = Some(Open { at: place.offset, entry, feed, unpacks });
        Ok(())
    }

    async fn head(&mut self, entry: &SourceEntry, len: u64) -> Result<Bytes, Halt> {
        let mut head = Vec::new();
        while (head.len() as u64) < len.min(entry.size) {
            let bytes = self.get(entry, head.len() as u64).await?;
            head.extend_from_slice(&bytes);
        }
        Ok(head.into())
    }

    /// Bytes of the sources that were passed on the way to an entry. Each is answered once.
    pub(crate) fn take_passed(&mut self, entry: u64) -> u64 {
        let mut bytes = 0;
        while let Some((_, size)) = self.passed.pop_front_if(|(number, _)| *number < entry) {
            bytes += size;
        }
        bytes
    }

    /// The object at hand is consumed.
    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.passed.push_back((self.cursor.entry, open.entry.size));
        }
        self.check = None;
        self.cursor = SourceCursor { entry: self.cursor.entry + 1, offset: 0, within: 0 };
    }

    /// Makes events of the bytes at hand, about as many as are read of a stream at once, whatever the bytes inflate to;
    /// with none there, more are read, or the object ends.
    async fn unpack(&mut self) -> Result<(), Halt> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let (entry, at) = (open.entry.clone(), open.at);
        let settings = &self.slice.engine.settings;
        let unpacked = match &mut open.unpacks {
            Unpacks::Cut(inflater) => cut(inflater, &mut self.cutter),
            Unpacks::Units(decoder) => take_apart(&mut **decoder, settings.read_events, settings.read_bytes),
        };
        for decoded in unpacked.map_err(|error| damaged(&entry, error))? {
            let after = self.cursor_at(decoded.after, entry.size);
            let event = self.event_of(decoded);
            self.ready.push_back(Sourced { event, after });
        }
        if !self.ready.is_empty() {
            return Ok(());
        }
        if at < entry.size {
            self.go_on(&entry)?;
            let mut bytes = self.get(&entry, at).await?;
            if let Some(open) = &mut self.open {
                bytes.truncate(open.feed);
                open.at += bytes.len() as u64;
                match &mut open.unpacks {
                    Unpacks::Cut(inflater) => inflater.feed(bytes),
                    Unpacks::Units(decoder) => decoder.feed(bytes),
                }
            }
            return Ok(());
        }
        let Some(Open { unpacks, .. }) = &mut self.open else { return Ok(()) };
        let finished = match unpacks {
            Unpacks::Cut(inflater) => inflater.finish().map(|()| None),
            Unpacks::Units(decoder) => decoder.finish(),
        };
        let last = finished.map_err(|error| damaged(&entry, error))?;
        self.close();
        if let Some(decoded) = last {
            let event = self.event_of(decoded);
            self.ready.push_back(Sourced { event, after: self.cursor });
        }
        if !self.route.config.pack
            && let Some(payload) = self.cutter.finish()
        {
            let event = self.event_of(raw_event(payload, Place::default()));
            self.ready.push_back(Sourced { event, after: self.cursor });
        }
        Ok(())
    }

    /// A compressed stream of others is read from its beginning, however much of it is consumed. One that a slice does
    /// not get past where the one before was, though it has read a good deal of it, would never come to its end.
    fn go_on(&self, entry: &SourceEntry) -> Result<(), Halt> {
        let passing = match self.open.as_ref().map(|open| &open.unpacks) {
            Some(Unpacks::Cut(inflater)) => inflater.is_passing(),
            Some(Unpacks::Units(decoder)) => decoder.is_passing(),
            None => false,
        };
        if !passing || self.slice.has_time() {
            return Ok(());
        }
        let read = self.open.as_ref().map_or(0, |open| open.at.saturating_sub(self.cursor.offset));
        if self.route.config.foreign.is_none() || read < self.slice.engine.settings.longest_stream / 16 {
            return Err(Halt::Deadline);
        }
        let message = format!(
            "{}: the compressed stream that begins at byte {} is longer than one slice can inflate: give slices more \
             time, or compress the file in pieces, each a stream of its own, and cancel this import",
            entry.key, self.cursor.offset
        );
        Err(OperationError::new(Code::OutOfRange, message).into())
    }

    /// The cursor at a place of the object at hand; at its end that is the beginning of the next.
    fn cursor_at(&self, Place { offset, within }: Place, size: u64) -> SourceCursor {
        let entry = self.cursor.entry;
        if within == 0 && offset >= size {
            SourceCursor { entry: entry + 1, offset: 0, within: 0 }
        } else {
            SourceCursor { entry, offset, within }
        }
    }

    /// Raw bytes have no time of their own: they get the one at which the import was planned.
    fn event_of(&self, decoded: Decoded) -> NewEvent {
        NewEvent {
            time: decoded.time.unwrap_or(self.route.config.time),
            key: decoded.key,
            headers: decoded.headers,
            payload: decoded.payload,
        }
    }
}

/// Cuts the next piece of what was fed that completes an event. Each ends where the next one begins.
fn cut(inflater: &mut Inflater, cutter: &mut Cutter) -> Result<Vec<Decoded>, UnpackError> {
    let mut events = Vec::new();
    while let Some(piece) = inflater.piece()? {
        // Bytes of the piece in front of the end of the event at hand; what was held is of an earlier one.
        let (mut end, mut held) = (0, cutter.held());
        let mut payloads = Vec::new();
        cutter.feed(piece.bytes.clone(), &mut payloads);
        for payload in payloads {
            end += payload.len() - std::mem::take(&mut held);
            events.push(raw_event(payload, piece.place(end)));
        }
        if !events.is_empty() {
            break;
        }
    }
    Ok(events)
}

fn raw_event(payload: Bytes, after: Place) -> Decoded {
    Decoded { time: None, key: Value::Absent, headers: Vec::new(), payload: Value::Bytes(payload), after }
}

/// Events that were fed whole, until there are so many of them, or so many bytes.
fn take_apart(decoder: &mut dyn Decoder, most: usize, most_bytes: usize) -> Result<Vec<Decoded>, UnpackError> {
    let (mut events, mut bytes) = (Vec::new(), 0);
    while events.len() < most && bytes < most_bytes {
        let Some(event) = decoder.next()? else { break };
        bytes += event.payload.len() + event.key.len();
        events.push(event);
    }
    Ok(events)
}

fn damaged(entry: &SourceEntry, why: impl std::fmt::Display) -> Halt {
    let key = &entry.key;
    let message = if entry.checksum.is_some() {
        format!(
            "{key} is damaged: {why}. Nothing of it was imported that does not match; put the original back and resume"
        )
    } else {
        format!(
            "{key} cannot be read: {why}. What stands in front of that was imported; cancel this import, mend the file \
             or the options, and import into another stream"
        )
    };
    OperationError::new(Code::ObjectDamaged, message).into()
}

/// What a source's store says, in the terms of an import.
fn name_the_object(halt: Halt, key: &str) -> Halt {
    let Halt::Failed(error) = halt else { return halt };
    let changed = |code, what: &str| {
        let message = format!("{key} {what}; put the original back and resume, or cancel this import");
        Halt::Failed(OperationError::new(code, message))
    };
    match error.code {
        Code::NotFound => changed(Code::ObjectMissing, "is not there any more"),
        Code::ObjectChanged => changed(Code::ObjectChanged, "was replaced or edited since the import was planned"),
        _ => Halt::Failed(error),
    }
}
