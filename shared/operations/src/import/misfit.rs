//! Events that the target of an import cannot hold: what is in the way, and the file that keeps each of them.
//!
//! **Invariant.** A misfit's file is named by its place in the sources alone and holds the same bytes at every try. It is
//! written before a record passes over its event, and that record before anything behind the event is sent. So whoever
//! dies in between leaves a file that the next slice finds as its own, and no event behind a misfit is ever in doubt.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use sluice_formats::misfit_line;
use sluice_ports::{BucketStore, NewEvent};
use sluice_transfer::limits::MISFITS;
use sluice_transfer::manifest::{SegmentChain, SourceEntry};
use sluice_transfer::record::{ImportRecord, SourceCursor};
use sluice_transfer::{
    Checksum, Counts, Event, MisfitReason, Misfits, ObjectKeys, OnMisfit, Sequence, ShardId, Value, counted,
};

use super::route::Route;
use crate::error::{Code, Fault, OperationError, Stop};
use crate::objects::{LISTED_AT_ONCE, put_same};

/// Files that are looked at side by side.
const LOOKED_AT_ONCE: usize = 16;

/// Where an event stands in the sources: an object, and a place in it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stands {
    /// Key of the object.
    source: String,
    /// Its number in the shard's list of sources.
    entry: u64,
    /// The byte at which the event ends, if it is the last one of its unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<u64>,
    /// Else the byte at which its unit begins,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_at: Option<u64>,
    /// and its number in the unit, from 1; of raw bytes how many of the unit's bytes there are up to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<u64>,
    #[serde(skip)]
    sequence: Option<Sequence>,
    #[serde(skip)]
    after: SourceCursor,
}

impl Stands {
    /// In front of `after`, in the object of that entry.
    pub(super) fn new(entry: SourceEntry, after: SourceCursor, sequence: Option<Sequence>) -> Self {
        let number = after.entry_before();
        let (ends_at, unit_at) = match after.within {
            0 if after.entry != number => (Some(entry.extent().end), None),
            0 => (Some(after.offset), None),
            _ => (None, Some(after.offset)),
        };
        let within = unit_at.map(|_| after.within);
        Self { source: entry.key, entry: number, ends_at, unit_at, within, sequence, after }
    }

    /// For a person.
    fn which(&self) -> String {
        let sequence = self.sequence.as_ref().map(|number| format!(" (number {number} in the exported stream)"));
        let place = match (self.ends_at, self.unit_at) {
            (Some(_), _) if self.after.entry != self.entry => "its last event".to_owned(),
            (Some(at), _) => format!("the event that ends at byte {at}"),
            (None, at) => format!("event {} of the unit at byte {}", self.after.within, at.unwrap_or_default()),
        };
        place + &sequence.unwrap_or_default()
    }
}

/// Why a target cannot hold an event.
pub(super) struct Refusal {
    code: Code,
    why: String,
    /// The event as it was to be sent, if it is to be stored.
    event: Option<NewEvent>,
    torn: bool,
}

/// The event as the target will hold it; `torn` if it is an aggregate for several shards.
pub(super) fn held(route: &Route, event: NewEvent, torn: bool) -> Result<NewEvent, Box<Refusal>> {
    let kept = (route.config.on_misfit == OnMisfit::Store).then(|| event.clone());
    let held = if torn { Err((Code::Invalid, torn_aggregate(route))) } else { fitted(route, event) };
    held.map_err(|(code, why)| Box::new(Refusal { code, why, event: kept, torn }))
}

fn fitted(route: &Route, event: NewEvent) -> Result<NewEvent, (Code, String)> {
    let largest = route.config.largest_event.unwrap_or(u64::MAX);
    let too_large = event.size() > largest;
    match route.stream.as_stored(event) {
        Ok(event) if event.size() <= largest => Ok(event),
        Ok(event) => {
            let why = format!("it has {} bytes (payload, key and headers) of at most {largest}", event.size());
            Err((Code::EventTooLarge, why))
        }
        Err(error) if too_large => Err((Code::EventTooLarge, error.to_string())),
        Err(error) => Err((Code::Invalid, error.to_string())),
    }
}

/// Consumers of one shard drop the events of others.
fn torn_aggregate(route: &Route) -> String {
    format!(
        "it is an aggregate of the Kinesis Producer Library whose events belong to several shards of {}: consumers would \
         drop some of them without a word; export with deaggregate and import that, or import with the placement as-source",
        route.config.stream
    )
}

impl Refusal {
    /// A misfit, if such events are to be stored. `key` is what the event had before it was given one. Else, and where
    /// the target takes no event at all, an error.
    pub(super) fn misfit(self, route: &Route, stands: Stands, key: Option<Value>) -> Result<Box<Misfit>, Stop> {
        let Some(mut event) = self.event else { return Err(refused(route, &stands, (self.code, &self.why), true)) };
        let reason = if self.torn { Some(MisfitReason::Aggregate) } else { in_the_way(route, &event) };
        let Some(reason) = reason else { return Err(refused(route, &stands, (self.code, &self.why), false)) };
        if let Some(key) = key {
            event.key = key;
        }
        Ok(Box::new(Misfit { event, stands, reason, why: self.why }))
    }
}

/// That of an event without which it would fit. None if the target does not take a plain event either.
fn in_the_way(route: &Route, event: &NewEvent) -> Option<MisfitReason> {
    let fits = |event: NewEvent| fitted(route, event).is_ok();
    let key = || Value::from("k");
    let plain = |payload: &str| NewEvent {
        time: event.time,
        key: key(),
        headers: Vec::new(),
        payload: Value::from(payload.to_owned()),
    };
    let payload = ["", "p"].into_iter().map(plain).find(|event| fits(event.clone()))?.payload;
    if fits(NewEvent { headers: Vec::new(), ..event.clone() }) {
        return Some(MisfitReason::Headers);
    }
    if fits(NewEvent { key: key(), ..event.clone() }) {
        return Some(MisfitReason::Key);
    }
    if fits(NewEvent { payload, ..event.clone() }) {
        return Some(if event.payload.is_empty() { MisfitReason::Payload } else { MisfitReason::Size });
    }
    Some(MisfitReason::Several)
}

/// The error of an import that does not store what its target cannot hold.
fn refused(route: &Route, stands: &Stands, (code, why): (Code, &str), can_store: bool) -> Stop {
    let out = if can_store {
        ". Cancel this import, and import into another stream: into one that takes such events, or with --on-misfit store \
         (\"onMisfit\": \"store\"), which puts them into files and goes on"
    } else {
        ", nor any other event; cancel this import, and import into another stream"
    };
    let message = format!("{}: {} cannot hold {}: {why}{out}", stands.source, route.config.stream, stands.which());
    OperationError::new(code, message).into()
}

/// An event that the target cannot hold, and that is to be stored.
pub(crate) struct Misfit {
    event: NewEvent,
    stands: Stands,
    reason: MisfitReason,
    why: String,
}

impl Misfit {
    /// Where the sources go on behind it.
    pub(super) fn after(&self) -> SourceCursor {
        self.stands.after
    }

    pub(super) fn counted(&self) -> Misfits {
        Misfits::of(self.reason, self.event.payload.len() as u64)
    }

    /// Events and bytes of payload.
    pub(super) fn counts(&self) -> Counts {
        self.counted().counts()
    }

    /// Puts it into its file, or finds that it is there. `from` is the shard that it was exported from, if there was one.
    /// Answers the file's name below the import's folder, and its checksum.
    pub(super) async fn store(
        self,
        route: &Route,
        record: &ImportRecord,
        shard: &ShardId,
        from: Option<&ShardId>,
    ) -> Result<(String, Checksum), Stop> {
        let before = record.misfits.events;
        if before >= MISFITS {
            return Err(self.too_many(route, shard));
        }
        let _one = route.one_misfit.lock().await;
        let name = ObjectKeys::misfit(shard, self.stands.after);
        let bytes = Bytes::from(self.line(from.unwrap_or(shard), before));
        let checksum = Checksum::of(&bytes);
        put_same(&*route.work, &format!("{}/{name}", route.folder()), bytes, "import-misfit").await?;
        Ok((name, checksum))
    }

    /// Its line. What has no number gets that of the misfits in front of it, which is the same at every try.
    fn line(self, shard: &ShardId, before: u64) -> Vec<u8> {
        #[derive(Serialize)]
        struct Told<'a> {
            #[serde(flatten)]
            stands: &'a Stands,
            reason: MisfitReason,
            why: &'a str,
        }
        let told = Told { stands: &self.stands, reason: self.reason, why: &self.why };
        // A plain struct: serializing it into memory has no way to fail.
        let told = serde_json::to_string(&told).unwrap_or_default();
        let NewEvent { time, key, headers, payload } = self.event;
        let sequence = self.stands.sequence.unwrap_or_else(|| Sequence::new(before));
        misfit_line(shard, &Event { sequence, time, key, headers, payload }, &told)
    }

    fn too_many(&self, route: &Route, shard: &ShardId) -> Stop {
        let what = format!(
            "{}: shard {shard} of {} cannot hold {}: {}. It is one more than the {MISFITS} misfits that an import stores for \
             a shard: cancel this import, and import into a stream that takes such events",
            self.stands.source,
            route.config.stream,
            self.stands.which(),
            self.why
        );
        OperationError::new(Code::TooManyMisfits, what).into()
    }
}

/// What differs between a shard's record and the files of its misfits; none if nothing does. A file behind those on record
/// belongs to an event that was sent after all: an import of the files would bring it twice.
pub(crate) async fn difference(
    work: &dyn BucketStore,
    folder: &str,
    shard: &ShardId,
    record: &ImportRecord,
    at_once: usize,
) -> Result<Option<String>, Fault> {
    let said = u64::from(record.misfit_files.count);
    let of = format!("{folder}/");
    let below = format!("{of}{}", ObjectKeys::misfits(shard));
    let (mut chain, mut after) = (SegmentChain::default(), None::<String>);
    while u64::from(chain.count) < said {
        let mut page = work.list(&below, after.as_deref(), LISTED_AT_ONCE).await?;
        page.truncate(usize::try_from(said - u64::from(chain.count)).unwrap_or(usize::MAX));
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        let checksums = stream::iter(page).map(|file| async move {
            let checksum = checksum_of(work, &file.key, at_once).await?;
            Ok::<_, Fault>((file.key, checksum))
        });
        let checksums: Vec<_> = checksums.buffered(LOOKED_AT_ONCE).try_collect().await?;
        for (key, checksum) in checksums {
            chain.push_named(key.strip_prefix(&of).unwrap_or(&key), checksum);
        }
    }
    let more = !work.list(&below, after.as_deref(), 1).await?.is_empty();
    if !more && chain == record.misfit_files && said == record.misfits.events {
        return Ok(None);
    }
    let files = counted(chain.count.into(), "file");
    let files = if more { format!("more than {files}") } else { files };
    Ok(Some(format!(
        "{below} holds {files} where the {} of the import were stored that do not fit shard {shard}, or others than these",
        counted(said, "event")
    )))
}

/// The checksum that the bucket tells of an object, or that of its bytes. One that is gone by now has none of ours.
async fn checksum_of(work: &dyn BucketStore, key: &str, at_once: usize) -> Result<Checksum, Fault> {
    let Some(info) = work.head(key).await? else { return Ok(Checksum::default()) };
    if let Some(checksum) = info.checksum {
        return Ok(checksum);
    }
    let mut seen = Checksum::default();
    while seen.len < info.size {
        let bytes = work.get(key, Some(&info.etag), seen.len, at_once as u64).await?;
        if bytes.is_empty() {
            break;
        }
        seen = seen.then(Checksum::of(&bytes));
    }
    Ok(seen)
}
