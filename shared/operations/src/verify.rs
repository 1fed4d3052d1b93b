//! Proof after the fact: reads everything again and changes nothing.
//!
//! An export is proved by its manifest and its objects: the segments are the ones that the root names, the objects
//! tile every shard's range, each has the size and the checksum that were sealed, and holds the events it says. An
//! import is proved by its target: read from where it began to where it ended, it has the digest of what was sent.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sluice_formats::decoder;
use sluice_ports::{BucketStore, Error, ErrorKind};
use sluice_transfer::manifest::{ExportManifest, ManifestObject};
use sluice_transfer::record::{Config, ExportConfig, ImportConfig, ManifestRef, TransferRecord, Work};
use sluice_transfer::{Checksum, Counts, Decoder, Format, State, TransferId, UnpackError};

use crate::engine::Engine;
use crate::error::{Code, Halt, OperationError};
use crate::export::open_target;
use crate::finish::{read_more, read_segments};
use crate::objects::get_document;
use crate::settle::shard_records;

/// What verifying came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// All that the transfer says it moved is there.
    Proved,
    /// All that it says it moved is there, and it says that something was lost before it came.
    Gaps,
    /// Something could not be read, so nothing is said about it.
    Unproved,
    /// Something is not as the transfer says.
    Mismatch,
}

/// The answer of a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The transfer.
    pub id: TransferId,
    /// What it came to.
    pub verdict: Verdict,
    /// Events and bytes that were seen.
    pub counts: Counts,
    /// Objects, or shards of a target, that were read.
    pub read: u64,
    /// What is wrong, what could not be read, and which gaps there are; at most 100 lines.
    pub findings: Vec<String>,
}

impl Verification {
    fn new(id: &TransferId) -> Self {
        Self { id: id.clone(), verdict: Verdict::Proved, counts: Counts::default(), read: 0, findings: Vec::new() }
    }

    fn find(&mut self, verdict: Verdict, what: String) {
        let rank = |verdict| match verdict {
            Verdict::Proved => 0,
            Verdict::Gaps => 1,
            Verdict::Unproved => 2,
            Verdict::Mismatch => 3,
        };
        if rank(verdict) > rank(self.verdict) {
            self.verdict = verdict;
        }
        if self.findings.len() < 100 {
            self.findings.push(what);
        }
    }

    /// An error is a finding: what it is about is wrong, or could not be read.
    fn find_error(&mut self, error: &OperationError) {
        let verdict = match error.code {
            Code::Denied | Code::Unavailable | Code::NoRoom => Verdict::Unproved,
            _ => Verdict::Mismatch,
        };
        self.find(verdict, error.message.clone());
    }
}

/// Verifies a transfer that is complete, or was cancelled. `seen` is told each time more bytes were read.
pub async fn verify(
    engine: &Engine,
    id: &TransferId,
    seen: &mut dyn FnMut(u64),
) -> Result<Verification, OperationError> {
    let transfer = engine.transfer(id).await?;
    let ended = matches!(
        transfer.state,
        State::Completed | State::CompletedWithGaps | State::CompletedWithFailures | State::Cancelled
    );
    if !ended {
        return Err(OperationError::new(
            Code::IllegalState,
            format!("the transfer {id} is {}: there is nothing to prove before it is complete", transfer.state),
        ));
    }
    let mut verification = Verification::new(id);
    match &transfer.config {
        Config::Export(config) => export(engine, &transfer, config, &mut verification, seen).await?,
        Config::Import(config) => import(engine, &transfer, config, &mut verification, seen).await?,
    }
    Ok(verification)
}

async fn export(
    engine: &Engine,
    transfer: &TransferRecord,
    config: &ExportConfig,
    verification: &mut Verification,
    seen: &mut dyn FnMut(u64),
) -> Result<(), OperationError> {
    let target = match open_target(engine, config).await {
        Ok(target) => target,
        // Not there, or not within reach: an unmounted disk is no mismatch.
        Err(Halt::Failed(error)) => {
            verification.find(Verdict::Unproved, error.message);
            return Ok(());
        }
        Err(other) => {
            verification.find(Verdict::Unproved, format!("the bucket cannot be opened: {other:?}"));
            return Ok(());
        }
    };
    let Some(ManifestRef { key: root, sha256 }) = &transfer.manifest else {
        if transfer.state != State::Cancelled {
            verification.find(Verdict::Mismatch, "the transfer's record names no manifest".into());
        }
        return Ok(());
    };
    let bucket = &*target.bucket;
    let manifest: ExportManifest = match get_document(engine, bucket, root, Some(sha256)).await {
        Ok(manifest) => manifest,
        Err(error) => {
            verification.find_error(&error);
            return Ok(());
        }
    };
    if manifest.transfer != transfer.id || manifest.counts != transfer.totals.moved {
        let what = format!(
            "{root} speaks of {} events of {} bytes by {}, the transfer's record of {} of {}",
            manifest.counts.events,
            manifest.counts.bytes,
            manifest.transfer,
            transfer.totals.moved.events,
            transfer.totals.moved.bytes
        );
        // What a cancelled transfer had sent and not sealed is in its totals and not in its manifest.
        if manifest.transfer != transfer.id || transfer.state != State::Cancelled {
            verification.find(Verdict::Mismatch, what);
        }
    }
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    for shard in &manifest.shards {
        for gap in &shard.gaps {
            let what = format!("shard {}: {} to {} was gone before it was read", shard.shard, gap.from, gap.until);
            verification.find(Verdict::Gaps, what);
        }
        let read = read_segments(engine, bucket, folder, shard, async |key, object| {
            match read_object(engine, bucket, manifest.format, &key, &object, seen).await {
                Ok(counts) => {
                    verification.counts += counts;
                    verification.read += 1;
                }
                Err(error) => verification.find_error(&error),
            }
            Ok(())
        });
        if let Err(error) = read.await {
            verification.find_error(&error);
        }
    }
    Ok(())
}

/// Reads an object whole. Answers the events and bytes of payload it holds.
async fn read_object(
    engine: &Engine,
    bucket: &dyn BucketStore,
    format: Format,
    key: &str,
    object: &ManifestObject,
    seen: &mut dyn FnMut(u64),
) -> Result<Counts, OperationError> {
    let info = engine.persist(async || bucket.head(key).await).await?;
    let Some(info) = info else {
        return Err(OperationError::new(Code::ObjectMissing, format!("{key} is missing")));
    };
    let wanted = object.object.checksum;
    let damaged = |why: String| OperationError::new(Code::ObjectDamaged, format!("{key}: {why}"));
    if info.size != wanted.len {
        return Err(damaged(format!("it has {} bytes instead of {}", info.size, wanted.len)));
    }
    let mut decoding = decoder(format).map(Decoding::new);
    let mut checksum = Checksum::default();
    while checksum.len < info.size {
        let (at, len) = (checksum.len, engine.settings.read_bytes as u64);
        let bytes = engine.persist(async || bucket.get(key, Some(&info.etag), at, len).await).await?;
        if bytes.is_empty() {
            return Err(Error::new(ErrorKind::Unavailable, format!("{key} ends early")).into());
        }
        checksum = checksum.then(Checksum::of(&bytes));
        seen(bytes.len() as u64);
        if let Some(decoding) = &mut decoding {
            decoding.feed(bytes, checksum.len == info.size);
        }
    }
    if checksum != wanted {
        return Err(damaged("its checksum is not the one that was sealed".into()));
    }
    if let Some(decoding) = decoding {
        let counts = decoding.finish().map_err(|error| damaged(error.to_string()))?;
        if counts != object.object.counts {
            let said = object.object.counts.events;
            return Err(damaged(format!("it holds {} events, the manifest says {said}", counts.events)));
        }
    }
    Ok(object.object.counts)
}

/// Counts the events of an object that is read from its beginning to its end.
struct Decoding {
    decoder: Box<dyn Decoder>,
    /// The object's beginning, until there is enough of it.
    head: Option<Vec<u8>>,
    counts: Counts,
    broken: Option<UnpackError>,
}

impl Decoding {
    fn new(decoder: Box<dyn Decoder>) -> Self {
        Self { decoder, head: Some(Vec::new()), counts: Counts::default(), broken: None }
    }

    fn feed(&mut self, bytes: Bytes, last: bool) {
        if self.broken.is_none() {
            self.broken = self.try_feed(bytes, last).err();
        }
    }

    fn try_feed(&mut self, mut bytes: Bytes, last: bool) -> Result<(), UnpackError> {
        if let Some(head) = &mut self.head {
            head.extend_from_slice(&bytes);
            if (head.len() as u64) < self.decoder.head_len() && !last {
                return Ok(());
            }
            bytes = Bytes::from(std::mem::take(head));
            self.head = None;
            let first = self.decoder.head(&bytes)?;
            self.decoder.seek(first);
            bytes = bytes.slice(usize::try_from(first).unwrap_or(usize::MAX).min(bytes.len())..);
        }
        self.decoder.feed(bytes);
        while let Some(event) = self.decoder.next()? {
            self.counts += Counts::new(1, event.payload.len() as u64);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Counts, UnpackError> {
        match self.broken {
            Some(error) => Err(error),
            None => self.decoder.finish().map(|()| self.counts),
        }
    }
}

async fn import(
    engine: &Engine,
    transfer: &TransferRecord,
    config: &ImportConfig,
    verification: &mut Verification,
    seen: &mut dyn FnMut(u64),
) -> Result<(), OperationError> {
    let stream = engine.places.stream(&config.stream).await?;
    for shard in shard_records(engine, transfer).await? {
        let Work::Import(record) = &shard.work else { continue };
        let mut back = record.to_read_back(shard.range.from.clone());
        let mut whole = true;
        while whole && back.position < record.tail {
            let before = back.counts.bytes;
            whole = match read_more(engine, &*stream, &shard.shard, &mut back, &record.tail).await {
                Ok(true) => true,
                Ok(false) => {
                    let what = format!(
                        "shard {} of {}: what was imported has been trimmed since, so it can no longer be compared",
                        shard.shard, config.stream
                    );
                    verification.find(Verdict::Unproved, what);
                    false
                }
                Err(error) => {
                    verification.find_error(&error);
                    false
                }
            };
            seen(back.counts.bytes - before);
        }
        verification.counts += back.counts;
        verification.read += 1;
        if whole && !back.proves(record) {
            let what = format!(
                "shard {} of {} holds {} events of {} bytes where {} of {} were imported, or others than these",
                shard.shard,
                config.stream,
                back.counts.events,
                back.counts.bytes,
                record.counts.events,
                record.counts.bytes
            );
            verification.find(Verdict::Mismatch, what);
        }
    }
    if transfer.totals.gaps > 0 {
        let what = format!(
            "the imported manifest names {} gaps: events that were gone before they were exported",
            transfer.totals.gaps
        );
        verification.find(Verdict::Gaps, what);
    }
    Ok(())
}
