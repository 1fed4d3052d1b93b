//! The end of an import: the target is read back and compared with what was sent.

use futures::stream::{self, StreamExt};
use sluice_transfer::manifest::{ImportManifest, ImportedShard, ListShard, SourceList};
use sluice_transfer::record::{ImportConfig, ImportRecord, ImportWork, ManifestRef, TransferRecord};
use sluice_transfer::{Counts, Format, Misfits, ObjectKeys, Range, ShardId, State, Wanted};
use tracing::Instrument;

use super::checked::Checked;
use crate::claimed::{Claimed, Taken};
use crate::error::{Code, OperationError, Stop};
use crate::import::misfit::difference;
use crate::import::read_back::{ReadOn, read_more};
use crate::import::route::{Route, open_route};
use crate::import::shard::write_segments;
use crate::objects::put_document;
use crate::slice::{Slice, shard_span};

/// Shards that are read back at the same time, however much memory there is.
const SHARDS_AT_ONCE: usize = 32;

/// Reads every shard back, writes the import's own manifest.
pub(super) async fn check(
    slice: &Slice<'_>,
    transfer: &TransferRecord,
    config: &ImportConfig,
) -> Result<Checked, Stop> {
    let route = open_route(&*slice.places, config).await?;
    let settings = &slice.engine.settings;
    // What is compared, and what is read meanwhile.
    let at_once = usize::try_from(settings.memory_bytes / (2 * settings.read_bytes as u64).max(1)).unwrap_or(1);
    let looks = transfer.shards.iter().map(|shard| look(slice, &route, shard).instrument(shard_span(shard)));
    // Each is waited for: none is left claimed.
    let looks: Vec<_> = stream::iter(looks).buffered(at_once.clamp(1, SHARDS_AT_ONCE)).collect().await;
    let (mut shards, mut busy, mut is_all) = (Vec::with_capacity(looks.len()), None, true);
    for look in looks {
        match look? {
            Look::Compared(shard) => shards.push(*shard),
            Look::More => is_all = false,
            Look::Busy(wait) => busy = busy.max(Some(wait)),
        }
    }
    if let Some(wait) = busy {
        return Ok(Checked::Busy(wait));
    }
    if !is_all {
        return Ok(Checked::More);
    }
    let counts = shards.iter().map(|shard| shard.counts).sum::<Counts>();
    let misfits: Misfits = shards.iter().map(|shard| &shard.misfits).sum();
    check_sum(config, route.list.counts, counts + misfits.counts())?;
    let gaps = shards.iter().any(|shard| !shard.gaps.is_empty());
    let manifest = ImportManifest {
        transfer: transfer.id.clone(),
        source: config.bucket.clone(),
        list: config.list.clone(),
        stream: config.stream.clone(),
        state: ends_as(gaps, &misfits),
        created: transfer.created_at,
        counts,
        lacking: shards.iter().map(|shard| shard.lacking).sum(),
        misfits,
        shards,
        left_out: transfer.left_out.clone(),
        notes: transfer.notes.clone(),
    };
    let key = format!("{}/{}", route.folder(), ObjectKeys::root());
    let sha256 = put_document(&*route.work, &key, &manifest).await?;
    Ok(Checked::All { manifest: ManifestRef { key, sha256 } })
}

/// What came of looking at a shard.
enum Look {
    Compared(Box<ImportedShard>),
    /// Time ran out, or it is wanted that the transfer rests.
    More,
    /// Another slice may be alive; wait this number of milliseconds.
    Busy(u64),
}

async fn look(slice: &Slice<'_>, route: &Route, shard: &ShardId) -> Result<Look, Stop> {
    if !slice.has_time() {
        return Ok(Look::More);
    }
    let mut claimed = match Claimed::take(slice, shard).await? {
        Taken::Claimed(claimed) => claimed,
        Taken::Busy(wait) => return Ok(Look::Busy(wait)),
    };
    let listed = check_shard(slice, route, &mut claimed).await;
    // Also when time ran out: what was compared stays compared.
    Ok(claimed.conclude(listed).await?.map_or(Look::More, |listed| Look::Compared(Box::new(listed))))
}

/// As [`super::finish`] ends it.
fn ends_as(gaps: bool, misfits: &Misfits) -> State {
    match (gaps, misfits.is_none()) {
        (true, _) => State::CompletedWithGaps,
        (false, false) => State::CompletedWithMisfits,
        (false, true) => State::Completed,
    }
}

async fn check_shard(
    slice: &Slice<'_>,
    route: &Route,
    claimed: &mut Claimed<'_, ImportWork>,
) -> Result<Option<ImportedShard>, Stop> {
    write_segments(claimed, route, true).await?;
    if claimed.is_dirty() {
        claimed.flush().await?;
    }
    let range = Range { from: claimed.record.range.from.clone(), until: claimed.record.work.tail.clone() };
    if read_back(slice, route, claimed, &range).await? == Reached::Deadline {
        return Ok(None);
    }
    let shard = claimed.record.shard.clone();
    let record = &claimed.record.work;
    check_digest(&route.config.stream.to_string(), &shard, record)?;
    let listed = route.list.shards.iter().find(|listed| listed.shard == shard);
    check_listed(&route.config, listed, record.counts + record.misfits.counts())?;
    let at_once = slice.engine.settings.read_bytes;
    if let Some(what) = difference(&*route.work, route.folder(), &shard, record, at_once).await? {
        return Err(failed(&what));
    }
    Ok(Some(ImportedShard {
        source: listed.and_then(|listed| listed.source.clone()),
        hashes: listed.and_then(|listed| listed.hashes),
        sources: listed.map(|listed| sources(&route.list, listed)).unwrap_or_default(),
        taken: listed.and_then(|listed| listed.range.clone()),
        gaps: listed.map(|listed| listed.gaps.clone()).unwrap_or_default(),
        range,
        counts: record.counts,
        lacking: record.lacking,
        misfits: record.misfits.clone(),
        misfit_files: record.misfit_files.clone(),
        digest: record.digest,
        segments: record.segments.clone(),
        continued: record.continued.clone(),
        shard,
    }))
}

/// How far reading back came.
#[derive(PartialEq, Eq)]
enum Reached {
    End,
    /// Time ran out, or it is wanted that the transfer rests.
    Deadline,
}

/// Reads the target up to the end of its range, as far as time allows.
async fn read_back(
    slice: &Slice<'_>,
    route: &Route,
    claimed: &mut Claimed<'_, ImportWork>,
    range: &Range,
) -> Result<Reached, Stop> {
    let mut ahead = None;
    loop {
        let record = &claimed.record.work;
        let mut back = record.read_back.clone().unwrap_or_else(|| record.to_read_back(range.from.clone()));
        let Some((continued, until)) = record.next_back(&mut back) else {
            claimed.record.work.read_back = Some(back);
            return Ok(Reached::End);
        };
        if !slice.has_time() || slice.wanted().await? != Wanted::Running {
            return Ok(Reached::Deadline);
        }
        let settings = &slice.engine.settings;
        let hashes = continued.as_ref().and(claimed.record.hashes);
        let shard = (continued.as_ref().unwrap_or(&claimed.record.shard), hashes);
        let step = read_more(settings, &slice.patience, &*route.stream, shard, &mut back, &until, &mut ahead);
        match step.await? {
            ReadOn::Further => {}
            // Of fewer events than were sent the counts tell.
            ReadOn::End => back.position = until,
            ReadOn::Trimmed(_) => {
                let (stream, shard, position) = (&route.config.stream, &claimed.record.shard, &back.position);
                return Err(failed(&format!(
                    "{stream} no longer holds all that was imported into shard {shard}: it was trimmed up to {position} \
                     before it was read back"
                )));
            }
        }
        claimed.record.work.read_back = Some(back);
        claimed.touch();
        claimed.flush_if_late().await?;
    }
}

fn check_digest(stream: &str, shard: &ShardId, record: &ImportRecord) -> Result<(), Stop> {
    let back = record.read_back.clone().unwrap_or_default();
    if back.proves(record) {
        return Ok(());
    }
    Err(failed(&format!(
        "{stream} does not hold in shard {shard} what was sent: {} were sent, {} read back",
        record.counts, back.counts
    )))
}

/// What a manifest says of its objects is what they held.
fn check_listed(config: &ImportConfig, listed: Option<&ListShard>, found: Counts) -> Result<(), Stop> {
    let Some(listed) = listed else { return Ok(()) };
    let Some(said) = listed.counts else { return Ok(()) };
    // Bytes are cut as the import was asked to.
    let same = said.bytes == found.bytes && (config.format == Format::Raw || said.events == found.events);
    if same {
        return Ok(());
    }
    let (shard, source) = (listed.source.as_ref().unwrap_or(&listed.shard), &config.bucket);
    let what = format!(
        "{source} contradicts itself: its manifest lists {said} in shard {shard}, its objects hold {found}, which were \
         imported; cancel this import, and ask who wrote or changed the manifest which is right"
    );
    Err(failed(&what))
}

/// The shards that a target shard's events came from, where keys decided.
fn sources(list: &SourceList, listed: &ListShard) -> Vec<ShardId> {
    listed.parts(list).filter_map(|part| part.source.clone()).collect()
}

/// What keys decided went into some shard, and into one only.
fn check_sum(config: &ImportConfig, said: Option<Counts>, found: Counts) -> Result<(), Stop> {
    let Some(said) = said.filter(|said| *said != found) else { return Ok(()) };
    Err(failed(&format!(
        "{} lists {said} in its manifest, and {found} were imported: either its objects hold others than it says, or this \
         import placed some of them twice or nowhere. Cancel this import, and verify the export",
        config.bucket
    )))
}

fn failed(what: &str) -> Stop {
    OperationError::new(Code::VerificationFailed, what).into()
}
