//! The range of an export that an import takes: which of its objects, and which bytes of them.
//!
//! Bounds mean what they mean for an export. What a time means is found in the manifest: the first object whose times
//! reach it, the first of its parts, and in that part the first event. All else that is needed is known without reading
//! objects.

use std::ops::Range as Interval;

use serde::{Deserialize, Serialize};
use sluice_formats::decoder;
use sluice_ports::BucketStore;
use sluice_transfer::manifest::{ExportManifest, Extent, ShardManifest};
use sluice_transfer::{
    Counts, Cursor, Decoded, Encoding, Format, Gap, ImportRequest, Place, Position, PositionSpec, Range, ShardId,
    TimeRange, Timestamp, are, counted,
};

use super::bounds::{check_bounds, check_shards, time_of};
use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::listing::{Listed, Listing};

/// The bounds that were asked for.
pub(super) struct Bounds {
    from: PositionSpec,
    until: PositionSpec,
    now: Timestamp,
    /// One of them was.
    pub said: bool,
}

impl Bounds {
    /// `now` is when the plan began.
    pub(super) fn of(request: &ImportRequest, now: Timestamp) -> Self {
        Self {
            from: request.from.clone().unwrap_or(PositionSpec::Earliest),
            until: request.until.clone().unwrap_or(PositionSpec::Latest),
            now,
            said: request.from.is_some() || request.until.is_some(),
        }
    }

    /// Files that are no export's have no positions.
    pub(super) fn refuse(&self) -> Result<(), OperationError> {
        if self.said {
            let what =
                "from and until are bounds of an export's events, and these files are no export's: leave them out";
            return Err(OperationError::new(Code::Invalid, what));
        }
        Ok(())
    }

    /// Something can lie between the bounds, and those that name shards name some of the export's.
    pub(super) fn check(&self, manifest: &ExportManifest) -> Result<(), OperationError> {
        check_bounds(Some(&self.from), Some(&self.until), self.now)?;
        let there: Vec<&ShardId> = manifest.shards.iter().map(|shard| &shard.shard).collect();
        check_shards("from", &self.from, &there)?;
        check_shards("until", &self.until, &there)
    }

    /// The same for one shard.
    pub(super) fn of_shard<'a>(
        &self,
        engine: &'a Engine,
        encoding: Encoding,
        shard: &'a ShardManifest,
    ) -> ShardRange<'a> {
        let of = |spec: &PositionSpec, unbounded| match spec {
            PositionSpec::Earliest => Bound::At(Position::Beginning),
            PositionSpec::Latest => Bound::At(Position::End),
            spec => match time_of(spec, self.now) {
                Some(time) => Bound::Time(time),
                None => Bound::At(spec.number_in(&shard.shard).unwrap_or(unbounded)),
            },
        };
        let (from, until) = (of(&self.from, Position::Beginning), of(&self.until, Position::End));
        let by_time = matches!(from, Bound::Time(_));
        let time = |bound: &Bound| match bound {
            Bound::Time(time) => Some(*time),
            Bound::At(_) => None,
        };
        let times = Times { from: time(&from), until: time(&until), ..Times::default() };
        let (counts, seen) = (Some(Counts::default()), Seen::default());
        ShardRange { engine, encoding, shard, from, by_time, until, counts, times, seen }
    }
}

/// A bound of one shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Bound {
    /// It is known.
    At(Position),
    /// In front of the first event of that time or later, which was not found yet.
    Time(Timestamp),
}

impl Bound {
    /// Where it is; a time that no event has reached is behind all of them.
    fn position(&self) -> Position {
        match self {
            Self::At(position) => position.clone(),
            Self::Time(_) => Position::End,
        }
    }
}

/// What is taken of a shard. It is shown the shard's objects in order.
pub(super) struct ShardRange<'a> {
    engine: &'a Engine,
    encoding: Encoding,
    shard: &'a ShardManifest,
    from: Bound,
    /// It was asked for from a time on: what is lost right in front of it may be of that time, too.
    by_time: bool,
    until: Bound,
    /// Events and bytes in what is taken; none once part of something is.
    counts: Option<Counts>,
    times: Times,
    seen: Seen,
}

/// The times of the parts that are taken, as whole parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<TimeRange>,
    /// True if one does not tell.
    untold: bool,
}

/// What was found of a shard's range so far: a plan that leaves off goes on with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RangeState {
    from: Bound,
    until: Bound,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
    early: u64,
    late: u64,
    seen: Seen,
}

impl Seen {
    fn take(&mut self, times: Option<TimeRange>) {
        self.times = TimeRange::cover(self.times, times);
        self.untold |= times.is_none();
    }
}

/// Bounds that are times, and objects whose times are out of order with them.
#[derive(Default)]
struct Times {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    /// Objects that are taken whole and hold events of before `from`.
    early: u64,
    /// Objects behind the end that hold events of before `until`.
    late: u64,
}

/// What is taken of an object.
pub(super) struct Selected {
    /// These bytes of it; none for all.
    pub bytes: Option<Interval<u64>>,
}

/// What was taken of a shard.
pub(super) struct Taken {
    /// Events and bytes of payload, if they are known.
    pub counts: Option<Counts>,
    pub range: Range,
    /// The times of its events, of whole parts; none where one does not tell, and for nothing.
    pub times: Option<TimeRange>,
}

impl Times {
    fn has_early(&self, times: Option<TimeRange>) -> bool {
        self.from.is_some_and(|from| times.is_some_and(|times| times.min < from))
    }

    fn has_late(&self, times: Option<TimeRange>) -> bool {
        let reaches = |times: TimeRange| self.from.is_none_or(|from| times.max >= from);
        self.until.is_some_and(|until| times.is_some_and(|times| times.min < until && reaches(times)))
    }
}

impl ShardRange<'_> {
    /// What was found so far.
    pub(super) fn state(&self) -> RangeState {
        RangeState {
            from: self.from.clone(),
            until: self.until.clone(),
            counts: self.counts,
            early: self.times.early,
            late: self.times.late,
            seen: self.seen,
        }
    }

    /// Goes on with what was found before, under the same request.
    #[must_use]
    pub(super) fn going_on(self, state: RangeState) -> Self {
        let RangeState { from, until, counts, early, late, seen } = state;
        let times = Times { early, late, ..self.times };
        Self { from, until, counts, times, seen, ..self }
    }

    /// The gaps that are in it.
    pub(super) fn gaps<'g>(&self, gaps: &'g [Gap]) -> impl Iterator<Item = &'g Gap> {
        let (from, until) = (Cursor::at(self.from.position()), Cursor::at(self.until.position()));
        let by_time = self.by_time;
        gaps.iter().filter(move |gap| (gap.until > from || by_time && gap.until == from) && gap.from < until)
    }

    /// Looks at the next object. None if nothing of it is taken.
    pub(super) async fn select(
        &mut self,
        listing: &Listing<'_>,
        listed: &Listed,
    ) -> Result<Option<Selected>, OperationError> {
        let object = &listed.object.object;
        let whole = Extent::whole(object);
        let reached = |bound: &Bound| match bound {
            Bound::Time(time) => object.times.is_some_and(|times| times.max >= *time),
            Bound::At(_) => false,
        };
        let (from, until) = (reached(&self.from), reached(&self.until));
        let mut extents = None;
        if from || until {
            let parts = self.extents(listing, listed, &whole).await?;
            if from {
                self.from = self.find(listing, listed, &parts, &self.from).await?;
            }
            if until {
                self.until = self.find(listing, listed, &parts, &self.until).await?;
            }
            extents = Some(parts);
        }
        let range = self.range();
        if matches!(self.from, Bound::Time(_)) || !whole.meets(&range) {
            self.times.late += u64::from(whole.from.position >= range.until && self.times.has_late(object.times));
            return Ok(None);
        }
        if whole.lies_within(&range) {
            self.times.early += u64::from(self.times.has_early(object.times));
            self.take(&whole);
            return Ok(Some(Selected { bytes: None }));
        }
        // Of the objects that lie outside no index is read.
        let extents = match extents {
            Some(extents) => extents,
            None => self.extents(listing, listed, &whole).await?,
        };
        let Some(joined) = Extent::joined(&extents, &range) else { return Ok(None) };
        self.take(&joined);
        if !joined.lies_within(&range) {
            if self.encoding.format == Format::Raw {
                let within = joined.from < Cursor::at(range.from.clone());
                return Err(self.refuse(listed, if within { &range.from } else { &range.until }, &extents));
            }
            self.counts = None;
        }
        Ok(Some(Selected { bytes: (joined.bytes != whole.bytes).then_some(joined.bytes) }))
    }

    /// What is to be said of times that are out of order.
    pub(super) fn notes(&self) -> Vec<String> {
        let shard = &self.shard.shard;
        let early = (self.times.early > 0).then(|| {
            format!(
                "shard {shard}: times are out of order: {} within the range, with events of before from, {} imported \
                 too",
                counted(self.times.early, "object"),
                are(self.times.early)
            )
        });
        let late = (self.times.late > 0).then(|| {
            format!(
                "shard {shard}: times are out of order: {} behind the range, with events of before until, {} not \
                 imported",
                counted(self.times.late, "object"),
                are(self.times.late)
            )
        });
        early.into_iter().chain(late).collect()
    }

    fn take(&mut self, extent: &Extent) {
        self.counts = self.counts.map(|counts| counts + extent.span.counts);
        self.seen.take(extent.span.times);
    }

    fn range(&self) -> Range {
        Range { from: self.from.position(), until: self.until.position() }
    }

    /// All objects were shown.
    pub(super) fn taken(self) -> Taken {
        Taken { counts: self.counts, range: self.range(), times: self.seen.times.filter(|_| !self.seen.untold) }
    }

    /// The time of the first event that is taken of an object, if one is and has a time.
    pub(super) async fn first_time(
        &self,
        listing: &Listing<'_>,
        listed: &Listed,
        selected: &Selected,
    ) -> Result<Option<Timestamp>, OperationError> {
        let range = self.range();
        let is_taken = |event: &Decoded| {
            event.sequence.as_ref().is_some_and(|sequence| !range.from.covers(sequence) && range.until.covers(sequence))
        };
        let bytes = selected.bytes.clone().unwrap_or(0..listed.object.object.checksum.len);
        let first = first_event(listing.bucket(), self.encoding, listed, &bytes, FIRST_BYTES, is_taken).await?;
        Ok(first.and_then(|event| event.time))
    }

    /// The parts of an object, or all of it where it has no index.
    async fn extents(
        &self,
        listing: &Listing<'_>,
        listed: &Listed,
        whole: &Extent,
    ) -> Result<Vec<Extent>, OperationError> {
        Ok(listing.index(listed).await?.map_or_else(|| vec![whole.clone()], |index| index.extents()))
    }

    /// Where a time is in an object that reaches it.
    async fn find(
        &self,
        listing: &Listing<'_>,
        listed: &Listed,
        extents: &[Extent],
        bound: &Bound,
    ) -> Result<Bound, OperationError> {
        let Bound::Time(time) = *bound else { return Ok(Bound::At(bound.position())) };
        let reaches = |extent: &&Extent| extent.span.times.is_some_and(|times| times.max >= time);
        // The index was compared with what the segment says, so there is one.
        let Some(extent) = extents.iter().find(reaches) else { return Ok(Bound::Time(time)) };
        let all = extent.span.times.is_some_and(|times| times.min >= time);
        // An event of raw bytes may begin in the part before, or in the object before, which was looked at already.
        if self.encoding.format == Format::Raw && (!all || extent.from.offset > 0) {
            return Err(self.refuse(listed, &extent.from.position, extents));
        }
        if all {
            return Ok(Bound::At(extent.from.position.clone()));
        }
        first_of_time(self.engine, listing.bucket(), self.encoding, listed, &extent.bytes, time).await.map(Bound::At)
    }

    /// Raw objects do not hold where in them an event ends. Of some parts it is known: those that end where one does.
    fn refuse(&self, listed: &Listed, bound: &Position, extents: &[Extent]) -> OperationError {
        let known =
            || extents.iter().flat_map(|extent| [&extent.from, &extent.span.until]).filter(|end| end.offset == 0);
        let name = |cursor: Option<&Cursor>| {
            let sequence = cursor.and_then(|cursor| cursor.position.next_sequence());
            sequence.map_or_else(|| "none".to_owned(), |sequence| format!("{}@{sequence}", self.shard.shard))
        };
        let before = name(known().rfind(|end| end.position <= *bound));
        let behind = name(known().find(|end| end.position > *bound));
        OperationError::new(
            Code::Invalid,
            format!(
                "{}: a range of raw objects can begin and end only where one of their parts ends with an event, since they \
                 do not hold where others do; in front of this bound the nearest such place is {before}, behind it \
                 {behind}",
                listed.key
            ),
        )
    }
}

/// Bytes that are read at once of an object whose first event is looked for.
const FIRST_BYTES: u64 = 256 << 10;

/// In front of the first event of that time or later in some parts of an object.
async fn first_of_time(
    engine: &Engine,
    bucket: &dyn BucketStore,
    encoding: Encoding,
    listed: &Listed,
    bytes: &Interval<u64>,
    time: Timestamp,
) -> Result<Position, OperationError> {
    if encoding.format == Format::Raw {
        return Ok(Position::End);
    }
    let is_later = |event: &Decoded| event.sequence.is_some() && event.time.is_some_and(|found| found >= time);
    let found = first_event(bucket, encoding, listed, bytes, engine.settings.read_bytes as u64, is_later).await?;
    found.and_then(|event| event.sequence).map(|sequence| Position::before(&sequence)).ok_or_else(|| {
        let why = format!("its manifest says that it holds an event of {time} or later, but it does not");
        damaged(listed, &why)
    })
}

fn damaged(listed: &Listed, why: &str) -> OperationError {
    OperationError::new(Code::ObjectDamaged, format!("{}: {why}", listed.key))
}

/// The first event of a kind in some parts of an object, of which `read_bytes` are read at once.
async fn first_event(
    bucket: &dyn BucketStore,
    encoding: Encoding,
    listed: &Listed,
    bytes: &Interval<u64>,
    read_bytes: u64,
    is_wanted: impl Fn(&Decoded) -> bool,
) -> Result<Option<Decoded>, OperationError> {
    let Some(mut decoder) = decoder(encoding) else { return Ok(None) };
    let Some(info) = bucket.head(&listed.key).await? else {
        return Err(OperationError::new(Code::ObjectMissing, format!("{} is missing", listed.key)));
    };
    let read = |offset: u64, len: u64| bucket.get(&listed.key, Some(&info.etag), offset, len);
    let head = if decoder.head_len() == 0 { bytes::Bytes::new() } else { read(0, decoder.head_len()).await? };
    let first = decoder.head(&head).map_err(|error| damaged(listed, &error.to_string()))?;
    let mut at = bytes.start.max(first);
    decoder.seek(Place { offset: at, within: 0 });
    loop {
        while let Some(event) = decoder.next().map_err(|error| damaged(listed, &error.to_string()))? {
            if is_wanted(&event) {
                return Ok(Some(event));
            }
        }
        let more = if at < bytes.end { read(at, (bytes.end - at).min(read_bytes)).await? } else { bytes::Bytes::new() };
        if more.is_empty() {
            return Ok(decoder.finish().ok().flatten().filter(is_wanted));
        }
        at += more.len() as u64;
        decoder.feed(more);
    }
}
