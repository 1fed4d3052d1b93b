//! The events of a shard's sources, in order, from any cursor on.

use std::collections::VecDeque;
use std::ops::Range as Interval;

use bytes::Bytes;
use sluice_formats::{Inflater, RECOGNISED, compression_of, decoder, foreign_decoder};
use sluice_ports::NewEvent;
use sluice_transfer::manifest::{ListShard, SourceEntry};
use sluice_transfer::record::{Check, SourceCursor};
use sluice_transfer::{
    Aggregate, Cutter, Decoded, Decoder, Lacking, Place, Range, Sequence, Timestamp, Value, Wanted, key_hash,
};

use super::misfit::{Misfit, Stands, held};
use super::route::Route;
use super::source::{Compared, Source, damaged, unreadable};
use super::units::{cut, raw_event, take_apart};
use crate::error::{Code, OperationError, Stop};
use crate::slice::Slice;

/// An event and where in the sources the next one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sourced {
    pub event: NewEvent,
    /// What its record lacks of the fields that are named.
    pub lacks: Lacking,
    pub after: SourceCursor,
    /// Its number in the exported stream, if it had one.
    pub sequence: Option<Sequence>,
    /// Its time at the source; once it is handed out, the highest one of all up to it. None where none has one.
    pub time: Option<Timestamp>,
    /// What it had for a key, if it was given one.
    given: Option<Value>,
    /// True if it is an aggregate whose events belong to several shards of the target.
    torn: bool,
}

/// What the reader answers.
#[expect(clippy::large_enum_variant, reason = "nearly always an event, which would be allocated in vain")]
pub(crate) enum Next {
    Event(Sourced),
    /// An event that the target cannot hold. All in front of it is to be sent first.
    Misfit(Box<Misfit>),
    /// The sources are at their end; trailing ones may have been empty.
    End(SourceCursor),
    /// There is no more time for what comes next; so far it is compared up to here.
    NoTime(Option<Check>),
}

/// Bytes of a compressed object that are fed at once: they may inflate to a thousand times as many.
const COMPRESSED_FEED: usize = 64 << 10;

/// The current object.
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
    source: Source<'a>,
    /// Where the bytes that were asked for end.
    cursor: SourceCursor,
    open: Option<Open>,
    /// Entries that were opened and which bytes of them are imported, until [`Self::take_passed`] passes them.
    entered: VecDeque<(u64, Interval<u64>)>,
    /// Raw: cuts events; may hold the beginning of one.
    cutter: Cutter,
    ready: VecDeque<Sourced>,
    /// Behind the last event that is not wanted, or what holds none, as long as none that is was found behind it.
    skipped: Option<SourceCursor>,
    /// The highest time of all events that were handed out.
    highest: Option<Timestamp>,
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
            source: Source::new(slice, route, listed, check),
            cursor,
            open: None,
            entered: VecDeque::new(),
            cutter: Cutter::new(size),
            ready: VecDeque::new(),
            skipped: None,
            highest: None,
        }
    }

    /// Where to go on if the events that were handed out are done with: past some that are not wanted.
    pub(crate) fn skipped(&self) -> Option<SourceCursor> {
        self.skipped
    }

    /// What is known of the part that was compared last.
    pub(crate) fn check(&self) -> Option<Check> {
        self.source.check
    }

    /// True if the next event was taken out of its bytes: nothing is waited for.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Result<Next, Stop> {
        loop {
            if let Some(sourced) = self.ready.pop_front() {
                self.skipped = None;
                return self.as_stored(sourced).await;
            }
            if self.open.is_none() {
                if self.cursor.entry >= self.listed.entries {
                    return match self.last_event() {
                        Next::Event(sourced) => self.as_stored(sourced).await,
                        end => Ok(end),
                    };
                }
                let entry = self.source.entry(self.cursor.entry).await?;
                if let Some(check) = self.begin(entry).await? {
                    return Ok(Next::NoTime(Some(check)));
                }
            }
            if let Some(check) = self.unpack().await? {
                return Ok(Next::NoTime(Some(check)));
            }
            if self.ready.is_empty() && self.skipped.is_some() && !self.goes_on().await? {
                return Ok(Next::NoTime(self.source.check));
            }
        }
    }

    /// Whether there is time, and nobody wants the transfer to rest.
    async fn goes_on(&self) -> Result<bool, Stop> {
        Ok(self.slice.has_time() && self.slice.wanted().await? == Wanted::Running)
    }

    /// The event as the target will hold it: that is what is sent, counted and compared.
    async fn as_stored(
        &mut self,
        Sourced { event, lacks, after, sequence, time, given, torn }: Sourced,
    ) -> Result<Next, Stop> {
        match held(self.route, event, torn) {
            Ok(event) => {
                // A misfit's time is not waited for: nothing behind it would be due before, until somebody dies.
                self.highest = self.highest.max(time);
                let time = self.highest;
                Ok(Next::Event(Sourced { event, lacks, after, sequence, time, given: None, torn }))
            }
            Err(refusal) => {
                let entry = self.source.entry(after.entry_before()).await?;
                refusal.misfit(self.route, Stands::new(entry, after, sequence), given).map(Next::Misfit)
            }
        }
    }

    /// Joined bytes that wait at the end of all sources are a last, shorter event.
    fn last_event(&mut self) -> Next {
        let after = SourceCursor { entry: self.cursor.entry, offset: 0, within: 0 };
        match self.cutter.finish() {
            Some(payload) => Next::Event(sourced(self.route, raw_event(payload, Place::default()), after)),
            None => Next::End(after),
        }
    }

    /// Opens the next object, at the cursor. Answers how far its first part is compared if time ran out for that.
    async fn begin(&mut self, entry: SourceEntry) -> Result<Option<Check>, Stop> {
        let (number, config) = (self.cursor.entry, &self.route.config);
        let mut place = Place { offset: self.cursor.offset.max(entry.extent().start), within: self.cursor.within };
        // Its head is read with its first part.
        if place.offset == 0
            && entry.size > 0
            && let Compared::NoTime(check) = self.source.compared(number, &entry, 0).await?
        {
            return Ok(Some(check));
        }
        let (decoder, compression) = if let Some(files) = &config.foreign {
            let head = if files.inflate { self.source.head(number, &entry, RECOGNISED).await? } else { Bytes::new() };
            let compression = compression_of(files, &head).map_err(|error| unreadable(&entry, &error))?;
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
            let mut head = self.source.head(number, &entry, decoder.head_len()).await?;
            loop {
                let wanted = decoder.head_wants(&head).min(entry.size);
                if wanted <= head.len() as u64 {
                    break;
                }
                head = self.source.head(number, &entry, wanted).await?;
            }
            let first = decoder.head(&head).map_err(|error| unreadable(&entry, &error))?;
            place.offset = place.offset.max(first);
            decoder.seek(place);
            Unpacks::Units(decoder)
        } else {
            Unpacks::Cut(Box::new(Inflater::at(compression, place)))
        };
        self.entered.push_back((number, entry.extent()));
        self.open = Some(Open { at: place.offset, entry, feed, unpacks });
        Ok(None)
    }

    /// Bytes of the sources that were passed on the way to the cursor's entry, each answered once, and those in front
    /// of the cursor in that one.
    pub(crate) fn take_passed(&mut self, cursor: SourceCursor) -> (u64, u64) {
        let mut passed = 0;
        while let Some((_, bytes)) = self.entered.pop_front_if(|(number, _)| *number < cursor.entry) {
            passed += bytes.end - bytes.start;
        }
        let start = self.entered.front().map_or(0, |(_, bytes)| bytes.start);
        (passed, cursor.offset.saturating_sub(start))
    }

    /// The current object is consumed.
    fn close(&mut self) {
        self.open = None;
        self.cursor = SourceCursor { entry: self.cursor.entry + 1, offset: 0, within: 0 };
    }

    /// Makes events of the bytes that were read, about as many as are read of a stream at once, whatever the bytes
    /// inflate to; with none there, more are read, or the object ends. Answers how far the next part is compared if
    /// time ran out.
    async fn unpack(&mut self) -> Result<Option<Check>, Stop> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let (entry, at) = (open.entry.clone(), open.at);
        let end = entry.extent().end;
        let settings = &self.slice.engine.settings;
        loop {
            let unpacked = match &mut open.unpacks {
                Unpacks::Cut(inflater) => cut(inflater, &mut self.cutter).map(|events| (events, None)),
                Unpacks::Units(decoder) => take_apart(&mut **decoder, settings.read_events, settings.read_bytes),
            };
            let (unpacked, passed) = unpacked.map_err(|error| unreadable(&entry, &error))?;
            if unpacked.is_empty() && passed.is_none() {
                break;
            }
            for decoded in unpacked {
                let after = cursor_at(self.cursor.entry, decoded.after, end);
                if let Some(sourced) = taken(self.route, self.listed, (self.cursor.entry, &entry), decoded, after)? {
                    self.ready.push_back(sourced);
                } else if self.ready.is_empty() {
                    self.skipped = Some(after);
                }
            }
            if let Some(place) = passed.filter(|_| self.ready.is_empty()) {
                self.skipped = Some(cursor_at(self.cursor.entry, place, end));
            }
            if !self.ready.is_empty() || passed.is_some() {
                return Ok(None);
            }
        }
        if at < end { self.feed(&entry, at).await } else { self.finish(&entry).map(|()| None) }
    }

    /// Feeds the bytes that come next. Answers how far their part is compared if time ran out.
    async fn feed(&mut self, entry: &SourceEntry, at: u64) -> Result<Option<Check>, Stop> {
        self.extend_or_refuse(entry).await?;
        let mut bytes = match self.source.compared(self.cursor.entry, entry, at).await? {
            Compared::Bytes(bytes) => bytes,
            Compared::NoTime(check) => return Ok(Some(check)),
        };
        if let Some(open) = &mut self.open {
            bytes.truncate(open.feed);
            open.at += bytes.len() as u64;
            match &mut open.unpacks {
                Unpacks::Cut(inflater) => inflater.feed(bytes),
                Unpacks::Units(decoder) => decoder.feed(bytes),
            }
        }
        Ok(None)
    }

    /// All bytes of the current object were fed.
    fn finish(&mut self, entry: &SourceEntry) -> Result<(), Stop> {
        let finished = match self.open.as_mut().map(|open| &mut open.unpacks) {
            Some(Unpacks::Cut(inflater)) => inflater.finish().map(|()| None),
            Some(Unpacks::Units(decoder)) => decoder.finish(),
            None => Ok(None),
        };
        let last = finished.map_err(|error| unreadable(entry, &error))?;
        let number = self.cursor.entry;
        self.close();
        let taken = |decoded| taken(self.route, self.listed, (number, entry), decoded, self.cursor);
        match last.map(taken).transpose()?.flatten() {
            Some(sourced) => self.ready.push_back(sourced),
            // Whoever leaves off here need not open it again; but bytes that wait for the next one must be read again.
            _ if self.ready.is_empty() && self.cutter.held() == 0 => self.skipped = Some(self.cursor),
            _ => {}
        }
        if !self.route.config.pack
            && let Some(payload) = self.cutter.finish()
        {
            self.ready.push_back(sourced(self.route, raw_event(payload, Place::default()), self.cursor));
        }
        Ok(())
    }

    /// A compressed stream of others is read from its beginning, however much of it is consumed. One that a slice does
    /// not get past where the one before was, though it has read a good deal of it, would never come to its end: on a
    /// host whose slices are short that is an error, on others the slice goes on.
    async fn extend_or_refuse(&self, entry: &SourceEntry) -> Result<(), Stop> {
        let passing = match self.open.as_ref().map(|open| &open.unpacks) {
            Some(Unpacks::Cut(inflater)) => inflater.is_passing(),
            Some(Unpacks::Units(decoder)) => decoder.is_passing(),
            None => false,
        };
        if !passing {
            return Ok(());
        }
        // However long it takes, a stop is obeyed.
        if self.slice.wanted().await? != Wanted::Running {
            return Err(Stop::Rest);
        }
        let longest = self.slice.engine.settings.longest_stream;
        if self.slice.has_time() {
            return Ok(());
        }
        if longest == u64::MAX {
            self.slice.extend();
            return Ok(());
        }
        let read = self.open.as_ref().map_or(0, |open| open.at.saturating_sub(self.cursor.offset));
        if self.route.config.foreign.is_none() || read < longest / 16 {
            return Err(Stop::Deadline);
        }
        let message = format!(
            "{}: the compressed stream that begins at byte {} is longer than one slice can inflate: give slices more \
             time, or compress the file in pieces, each a stream of its own, and cancel this import",
            entry.key, self.cursor.offset
        );
        Err(OperationError::new(Code::OutOfRange, message).into())
    }
}

/// The cursor at a place of the object of an entry; where what is imported of it ends that is the beginning of the
/// next.
fn cursor_at(entry: u64, Place { offset, within }: Place, end: u64) -> SourceCursor {
    if within == 0 && offset >= end {
        SourceCursor { entry: entry + 1, offset: 0, within: 0 }
    } else {
        SourceCursor { entry, offset, within }
    }
}

/// An event of an entry as it is sent, if it is one of those that the shard takes.
fn taken(
    route: &Route,
    listed: &ListShard,
    (number, entry): (u64, &SourceEntry),
    decoded: Decoded,
    after: SourceCursor,
) -> Result<Option<Sourced>, Stop> {
    let place = listed.place(&route.list, number);
    if !is_wanted(place.and_then(|place| place.range), entry, &decoded)? {
        return Ok(None);
    }
    // An import that a version before had begun goes on without.
    let needs_key = route.config.placement.is_some() && route.stream.promises().needs_keys;
    if route.config.is_cut() || (listed.hashes.is_none() && !needs_key) {
        return Ok(Some(sourced(route, decoded, after)));
    }
    let Place { offset, within } = decoded.after;
    let mut sourced = sourced(route, decoded, after);
    let event = &mut sourced.event;
    // An event without a key has no order to keep. Its place in the sources spreads it, the same at every retry.
    let spread = match &event.key {
        Value::Bytes(key) if !(needs_key && key.is_empty()) => None,
        _ => Some(format!("{:x}.{offset:x}.{within:x}", place.map_or(number, |place| place.number))),
    };
    let aggregate = Aggregate::of(&event.payload);
    let by_key = || key_hash(spread.as_ref().map_or(event.key.as_slice(), String::as_bytes));
    let hash = aggregate.as_ref().map_or_else(by_key, Aggregate::leading_hash);
    // Else shards that are not read for these hashes would miss it, and nobody would know.
    if spread.is_none() && place.and_then(|place| place.hashes).is_some_and(|hashes| !hashes.contains(hash)) {
        return Err(damaged(entry, "its manifest says otherwise of the keys of its shard"));
    }
    if let Some(key) = spread.filter(|_| needs_key) {
        sourced.given = Some(std::mem::replace(&mut event.key, key.into_bytes().into()));
    }
    let Some(hashes) = listed.hashes else { return Ok(Some(sourced)) };
    if !hashes.contains(hash) {
        return Ok(None);
    }
    sourced.torn =
        needs_key && aggregate.is_some_and(|aggregate| !aggregate.hashes().all(|hash| hashes.contains(hash)));
    Ok(Some(sourced))
}

/// Whether an event is one of those that are imported: parts at a range's ends hold others, too. Of raw bytes only
/// whole parts are taken.
fn is_wanted(range: Option<&Range>, entry: &SourceEntry, decoded: &Decoded) -> Result<bool, Stop> {
    match (range, &decoded.sequence) {
        (Some(range), Some(sequence)) => Ok(!range.from.covers(sequence) && range.until.covers(sequence)),
        (Some(_), None) if decoded.time.is_some() => Err(damaged(entry, "an event of it has no sequence number")),
        _ => Ok(true),
    }
}

/// An event as it is sent. What has no time of its own gets the one at which the import was planned.
fn sourced(route: &Route, decoded: Decoded, after: SourceCursor) -> Sourced {
    let fields = route.config.foreign.as_ref().map(|files| &files.fields);
    let lacks = fields.map(|fields| Lacking::of(fields, &decoded)).unwrap_or_default();
    let event = NewEvent {
        time: decoded.time.unwrap_or(route.config.time),
        key: decoded.key,
        headers: decoded.headers,
        payload: decoded.payload,
    };
    Sourced { event, lacks, after, sequence: decoded.sequence, time: decoded.time, given: None, torn: false }
}
