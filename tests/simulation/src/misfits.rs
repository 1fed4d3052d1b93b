//! Events that the target cannot hold: each is in a file of its own before a record passes over it, and in no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use sluice_kit::{BucketLayer, Layered};
use sluice_memory::{MemoryBucket, MemoryStream};
use sluice_operations::Report;
use sluice_ports::{BucketStore, Metadata, NewEvent, PutAnswer, Result, StreamStore};
use sluice_transfer::manifest::SegmentChain;
use sluice_transfer::record::ImportRecord;
use sluice_transfer::{Checksum, Encoding, Format, ObjectKeys, ShardId, State, TransferId};

use crate::guards::Guard;
use crate::random::Random;
use crate::scheduler::Violation;
use crate::world::World;

/// Bytes that the target takes of an event, in a third of all schedules whose objects hold events; it takes no headers
/// then. Drawn apart, so that schedules of before stay what they were.
pub(crate) fn draw(seed: u64, encoding: Encoding, events: &[Vec<NewEvent>]) -> Option<u64> {
    let mut apart = Random::new(seed ^ 0x0315_f175);
    let longest = events.iter().flatten().map(NewEvent::size).max()?;
    let most = if apart.chance(200) { longest + 1 } else { longest };
    let largest = apart.within(1, most.max(1));
    (encoding.format != Format::Raw && apart.chance(330)).then_some(largest)
}

/// Removes from an import's events all that the target cannot hold.
pub(crate) fn split_off(target: &MemoryStream, expected: &mut BTreeMap<ShardId, Vec<NewEvent>>) -> Vec<NewEvent> {
    let mut misfits = Vec::new();
    for events in expected.values_mut() {
        let fits = |event: &NewEvent| target.as_stored(event.clone()).is_ok();
        let (fitting, others) = std::mem::take(events).into_iter().partition(fits);
        *events = fitting;
        misfits.extend::<Vec<_>>(others);
    }
    misfits
}

/// What the record passes over is in its files.
pub(crate) fn stored(
    work: &MemoryBucket,
    transfer: &TransferId,
    shard: &ShardId,
    record: &ImportRecord,
) -> std::result::Result<(), Violation> {
    let mut chain = SegmentChain::default();
    let folder = format!("imports/{transfer}/");
    let files = work.read_all();
    let of_shard = format!("{folder}{}", ObjectKeys::misfits(shard));
    let files = files.iter().filter(|(key, _)| key.starts_with(&of_shard));
    for (key, bytes) in files.take(usize::try_from(record.misfit_files.count).unwrap_or(usize::MAX)) {
        chain.push_named(&key[folder.len()..], Checksum::of(bytes));
    }
    let told: u64 = record.misfits.reasons.values().sum();
    if chain != record.misfit_files || u64::from(chain.count) != record.misfits.events || told != record.misfits.events
    {
        return Err(format!("{transfer} shard {shard} passes over a misfit whose file is not there"));
    }
    Ok(())
}

/// All that the target cannot hold is in files, each once, as it was in the source, and the report counts it.
pub(crate) fn all_stored(
    work: &MemoryBucket,
    report: &Report,
    mut expected: Vec<NewEvent>,
) -> std::result::Result<(), Violation> {
    let counted = report.misfits.as_ref().map_or(0, |stored| stored.misfits.events);
    let state = match (report.gaps, expected.len()) {
        (0, 0) => State::Completed,
        (0, _) => State::CompletedWithMisfits,
        _ => State::CompletedWithGaps,
    };
    if counted != expected.len() as u64 || report.state != state {
        return Err(format!("{} is {} with {counted} misfits instead of {}", report.id, report.state, expected.len()));
    }
    for (key, line) in work.read_all().into_iter().filter(|(key, _)| key.contains("/misfits/")) {
        let event = event_of(line)?;
        let found = expected.iter().position(|misfit| *misfit == event);
        let found =
            found.ok_or_else(|| format!("{key} holds an event that fits, or one that is stored elsewhere too"))?;
        expected.swap_remove(found);
    }
    if expected.is_empty() { Ok(()) } else { Err(format!("{} misfits are in no file", expected.len())) }
}

/// The event of a file, as an import reads it.
fn event_of(line: Bytes) -> std::result::Result<NewEvent, Violation> {
    let encoding = Encoding { format: Format::Jsonl, ..Encoding::RAW };
    let mut decoder = sluice_formats::decoder(encoding).ok_or("lines have no decoder")?;
    decoder.feed(line);
    let event = decoder.next().map_err(|error| error.to_string())?.ok_or("a misfit's file holds no event")?;
    decoder.finish().map_err(|error| error.to_string())?;
    let (time, key) = (event.time.unwrap_or_default(), event.key);
    Ok(NewEvent { time, key, headers: event.headers, payload: event.payload })
}

/// The host's own bucket as actors get it. Without the guard a misfit's file is there only a while after it was written.
pub(crate) fn loose_work(
    world: &Arc<World>,
    without: Option<Guard>,
    inner: Arc<dyn BucketStore>,
) -> Arc<dyn BucketStore> {
    if without != Some(Guard::MisfitFirst) {
        return inner;
    }
    Arc::new(Layered(LateWork { world: world.clone(), inner }))
}

struct LateWork {
    world: Arc<World>,
    inner: Arc<dyn BucketStore>,
}

#[async_trait]
impl BucketLayer for LateWork {
    fn inner(&self) -> &dyn BucketStore {
        &*self.inner
    }

    async fn put(&self, key: &str, bytes: Bytes, checksum: Checksum, metadata: &Metadata) -> Result<PutAnswer> {
        if !key.contains("/misfits/") {
            return self.inner.put(key, bytes, checksum, metadata).await;
        }
        let (inner, key, metadata) = (self.inner.clone(), key.to_owned(), metadata.clone());
        // The stores in memory answer at once.
        let stored = move || drop(inner.put(&key, bytes, checksum, &metadata).now_or_never());
        self.world.then(self.world.within(1, 50), Box::new(stored));
        Ok(PutAnswer::Stored { etag: String::new() })
    }
}
