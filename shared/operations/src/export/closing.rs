//! Completing an object, and finding out what became of one that may be complete.
//!
//! The record says `Closing` before the object can exist, with its exact end, size and checksum. So whatever is
//! found at the key afterwards is either that object, or somebody else's, which is never touched.

use bytes::Bytes;
use sluice_ports::{CompleteAnswer, PartAnswer, PutAnswer, Read, ReadLimit};
use sluice_transfer::manifest::ObjectIndex;
use sluice_transfer::record::{Closing, PartEntry, Phase};
use sluice_transfer::{Checksum, ObjectKeys, Packed, Seal, UploadId};

use super::shard::{Setback, ShardExport};
use crate::error::{Code, OperationError, Stop};
use crate::objects::{metadata, put_document, recognise};

/// What stands at the key of a closing object.
enum Found {
    Nothing,
    /// The object that was being closed, and which of its closings it is.
    Ours {
        which: Box<Closing>,
        etag: String,
    },
    /// Somebody else's object.
    Foreign,
}

/// What came of sealing the object that stands at the key.
#[derive(PartialEq, Eq)]
enum Sealed {
    Done,
    /// There is none.
    Nothing,
}

/// Completes the closing object. `last` are the bytes of its last part, if this slice packed them; it may be on its
/// way. After a crash they are found in the bucket or packed again. Rewound if all begins again from the sealed cursor.
pub(crate) async fn complete(shard: &mut ShardExport<'_, '_>, last: Option<Bytes>) -> Result<(), Setback> {
    let fresh = last.is_some();
    let closing = at_hand(shard)?;
    if !fresh && seal_what_is_there(shard, &closing).await? == Sealed::Done {
        return Ok(());
    }
    let Some(upload) = closing.upload.clone() else {
        let bytes = last_bytes(shard, &closing, last).await?;
        return Ok(put(shard, &closing, bytes).await?);
    };
    let mut ledger: Vec<PartEntry> = shard.ledger.iter().map(|entry| entry.part.clone()).collect();
    if let Some(checksum) = closing.last {
        let stored = if fresh { None } else { stored_part(shard, &upload.id, ledger.len(), checksum).await? };
        let entry = if let Some(entry) = stored {
            entry
        } else {
            let answer = if let Some((.., answer)) = shard.in_flight.first().await {
                answer?
            } else {
                let bytes = last_bytes(shard, &closing, last).await?;
                let place = (ledger.len() as u64 + 1, closing.checksum.len - checksum.len);
                shard.call(&upload.id, place, bytes, checksum)?.await?
            };
            let PartAnswer::Stored { etag } = answer else {
                abandon_upload(shard).await?;
                return Err(Setback::Rewound);
            };
            PartEntry { etag, checksum }
        };
        ledger.push(entry);
    }
    complete_upload(shard, &closing, &upload.id, ledger).await
}

fn at_hand(shard: &ShardExport<'_, '_>) -> Result<Closing, Stop> {
    match &shard.destination()?.phase {
        Phase::Closing(closing) => Ok(closing.clone()),
        Phase::Idle | Phase::Open(_) => Err(shard.corrupt("has no object to complete")),
    }
}

/// A single put: create-only, so it can be repeated.
async fn put(shard: &mut ShardExport<'_, '_>, closing: &Closing, bytes: Bytes) -> Result<(), Stop> {
    let key = shard.object_key()?;
    let ours = our_metadata(shard)?;
    match shard.target.bucket.put(&key, bytes.clone(), closing.checksum, &ours).await? {
        PutAnswer::Stored { etag } => seal(shard, closing, etag).await,
        PutAnswer::Exists => seal_what_exists(shard, closing, &key).await,
    }
}

async fn complete_upload(
    shard: &mut ShardExport<'_, '_>,
    closing: &Closing,
    upload: &UploadId,
    mut ledger: Vec<PartEntry>,
) -> Result<(), Setback> {
    let key = shard.object_key()?;
    let (slice, bucket) = (shard.claimed.slice, &shard.target.bucket);
    let mut adopted = false;
    let mut trouble = None;
    for _ in 0..slice.engine.settings.attempts.max(2) {
        trouble = None;
        match bucket.complete(&key, upload, &ledger, closing.checksum).await.map_err(Stop::from) {
            Ok(CompleteAnswer::Completed { etag }) => return Ok(seal(shard, closing, etag).await?),
            Ok(CompleteAnswer::InvalidPart) if !adopted => {
                adopted = true;
                match adopt(shard, upload, &ledger).await? {
                    Some(seen) => ledger = seen,
                    None => break,
                }
            }
            Ok(CompleteAnswer::InvalidPart | CompleteAnswer::Conflict | CompleteAnswer::NoSuchUpload) => break,
            Ok(CompleteAnswer::Exists) => return Ok(seal_what_exists(shard, closing, &key).await?),
            // Whether it happened is not known: look before trying again.
            Err(Stop::Trouble(error)) => {
                tracing::debug!(%error, "completion is uncertain");
                if seal_what_is_there(shard, closing).await? == Sealed::Done {
                    return Ok(());
                }
                trouble = Some(error);
            }
            Err(stop) => return Err(stop.into()),
        }
    }
    if let Some(error) = trouble {
        return Err(Stop::Trouble(error).into());
    }
    abandon_upload(shard).await?;
    // Somebody may have completed it just before.
    let sealed = shard.destination()?.is_idle() && shard.destination()?.cursor() == &closing.until;
    if sealed { Ok(()) } else { Err(Setback::Rewound) }
}

/// A zombie may have sent a part again, with the same bytes but another etag. Parts whose size and checksum are ours
/// are taken as they are; anything else is not.
async fn adopt(
    shard: &ShardExport<'_, '_>,
    upload: &UploadId,
    ledger: &[PartEntry],
) -> Result<Option<Vec<PartEntry>>, Stop> {
    let key = shard.object_key()?;
    let Some(stored) = shard.target.bucket.list_parts(&key, upload).await? else { return Ok(None) };
    let seen = ledger
        .iter()
        .zip(1_u64..)
        .map(|(entry, number)| stored.get(&number).filter(|part| part.checksum == entry.checksum).cloned());
    Ok(seen.collect())
}

/// The last part, if the bucket has just the one that the record names.
async fn stored_part(
    shard: &ShardExport<'_, '_>,
    upload: &UploadId,
    before: usize,
    checksum: Checksum,
) -> Result<Option<PartEntry>, Stop> {
    let key = shard.object_key()?;
    let stored = shard.target.bucket.list_parts(&key, upload).await?;
    Ok(stored.and_then(|parts| parts.get(&(before as u64 + 1)).cloned()).filter(|part| part.checksum == checksum))
}

/// Seals our object on the record, if it stands at the key. A foreign one ends the transfer.
async fn seal_what_is_there(shard: &mut ShardExport<'_, '_>, closing: &Closing) -> Result<Sealed, Stop> {
    match find(shard, closing).await? {
        Found::Ours { which, etag } => seal(shard, &which, etag).await.map(|()| Sealed::Done),
        Found::Nothing => Ok(Sealed::Nothing),
        Found::Foreign => {
            let key = shard.object_key()?;
            let message = format!(
                "an object that is not this transfer's stands at {key}; nothing was overwritten: \
                 move it away and resume, or export to another prefix"
            );
            Err(OperationError::new(Code::ForeignObject, message).into())
        }
    }
}

/// The same where an object was there a moment ago: if it is not, the next slice sees what it is.
async fn seal_what_exists(shard: &mut ShardExport<'_, '_>, closing: &Closing, key: &str) -> Result<(), Stop> {
    match seal_what_is_there(shard, closing).await? {
        Sealed::Done => Ok(()),
        Sealed::Nothing => Err(unsteady(key)),
    }
}

/// Looks at the key of a closing object.
async fn find(shard: &ShardExport<'_, '_>, closing: &Closing) -> Result<Found, Stop> {
    let key = shard.object_key()?;
    let Some(found) = shard.target.bucket.head(&key).await? else { return Ok(Found::Nothing) };
    let which = recognise(&found, &our_metadata(shard)?, closing).cloned();
    Ok(which.map_or(Found::Foreign, |which| Found::Ours { which: Box::new(which), etag: found.etag }))
}

fn our_metadata(shard: &ShardExport<'_, '_>) -> Result<sluice_ports::Metadata, Stop> {
    let record = &shard.claimed.record;
    Ok(metadata(&shard.target.seed(&record.transfer, &record.shard), shard.destination()?))
}

/// The object exists: its index is written, then it is on the record, to be written with the next flush. The closing on
/// record holds until then, and whoever goes on from there writes the same index.
async fn seal(shard: &mut ShardExport<'_, '_>, which: &Closing, etag: String) -> Result<(), Stop> {
    let number = shard.destination()?.objects;
    // Once an object, and behind much else: on the heap it does not make all that leads here larger.
    let parts = Box::pin(write_index(shard, which)).await?;
    shard.destination_mut()?.sealed_as(which, etag, parts)?;
    // Totals can be rebuilt from these lines. One that is sealed again after a crash has the same number.
    let (counts, size) = (which.counts, which.checksum.len);
    tracing::info!(object = number, events = counts.events, bytes = counts.bytes, size, "an object is sealed");
    shard.ledger.clear();
    shard.claimed.touch();
    shard.stored = true;
    Ok(())
}

/// Writes the index of an object that exists, if it has one. Answers how many parts it lists.
async fn write_index(shard: &ShardExport<'_, '_>, which: &Closing) -> Result<Option<u64>, Stop> {
    let Some(parts) = ObjectIndex::parts_of(&shard.ledger, which) else { return Ok(None) };
    let (record, destination) = (&shard.claimed.record, shard.destination()?);
    let listed = parts.len() as u64;
    let index = ObjectIndex {
        transfer: record.transfer.clone(),
        shard: record.shard.clone(),
        number: destination.objects,
        from: destination.sealed.clone(),
        parts,
    };
    let key = shard.target.keys(&record.transfer).whole(&ObjectKeys::index(&record.shard, index.number));
    put_document(&*shard.target.bucket, &key, &index).await?;
    Ok(Some(listed))
}

fn unsteady(key: &str) -> Stop {
    OperationError::new(Code::Unavailable, format!("{key} was there and is gone again")).into()
}

/// Gives the current upload up: from the sealed cursor again. The upload is aborted first, so that nobody can complete
/// it later; if somebody just did, the object is ours.
pub(crate) async fn abandon_upload(shard: &mut ShardExport<'_, '_>) -> Result<(), Stop> {
    let key = shard.object_key()?;
    let (upload, closing) = match &shard.destination()?.phase {
        Phase::Idle => return Ok(()),
        Phase::Open(upload) => (Some(upload.id.clone()), None),
        Phase::Closing(closing) => (closing.upload.as_ref().map(|upload| upload.id.clone()), Some(closing.clone())),
    };
    if let Some(upload) = upload {
        shard.target.bucket.abort(&key, &upload).await?;
    }
    // A foreign object is met again when the next upload is completed, if there is one.
    if let Some(closing) = closing
        && let Found::Ours { which, etag } = find(shard, &closing).await?
    {
        return seal(shard, &which, etag).await;
    }
    tracing::warn!(key, "the upload is gone: a new one begins at the last complete object");
    shard.destination_mut()?.rewind()?;
    shard.ledger.clear();
    shard.flush().await
}

/// The bytes of the closing object's last part: those at hand, or packed again from the source. Rewound if the source
/// has lost them, or they come out otherwise: the record then says what is left.
async fn last_bytes(
    shard: &mut ShardExport<'_, '_>,
    closing: &Closing,
    at_hand: Option<Bytes>,
) -> Result<Bytes, Setback> {
    if let Some(bytes) = at_hand {
        return Ok(bytes);
    }
    let Some(part) = pack_again(shard, closing).await? else {
        tracing::warn!(until = %closing.until, "the source lost the end of an object that was being closed");
        shard.destination_mut()?.supersede()?;
        shard.flush().await?;
        return Err(Setback::Rewound);
    };
    if Some(Checksum::of(&part.bytes)) != closing.last || part.end != closing.until {
        if !shard.target.config.compression.is_plain() {
            // Another version of the codec may have written what is on record: the object begins anew with this one.
            tracing::warn!(until = %closing.until, "the last part is compressed otherwise than before");
            abandon_upload(shard).await?;
            return Err(Setback::Rewound);
        }
        return Err(OperationError::new(
            Code::SourceChanged,
            format!("the stream's events before {} are not those that were read before", closing.until),
        )
        .into());
    }
    Ok(part.bytes)
}

/// Reads and packs the last part again. None if the source no longer has its events.
async fn pack_again(shard: &ShardExport<'_, '_>, closing: &Closing) -> Result<Option<Packed>, Stop> {
    let slice = shard.claimed.slice;
    let settings = &slice.engine.settings;
    let mut packer = shard.packer()?;
    let mut from = packer.pushed().position;
    let stream = &shard.target.stream;
    let limit = ReadLimit::new(settings.read_events, settings.read_bytes);
    while packer.pushed() < closing.until {
        let id = &shard.claimed.record.shard;
        let Read::Events { events, next, at_tail, .. } = stream.read(id, &from, limit).await? else { return Ok(None) };
        if events.is_empty() && at_tail {
            return Ok(None);
        }
        from = next;
        for event in events {
            if packer.pushed() >= closing.until {
                break;
            }
            packer.push(event)?;
            if let Some(part) = packer.take() {
                return Ok(Some(part));
            }
        }
    }
    Ok(match packer.seal() {
        Seal::Part(part) => Some(part),
        Seal::AtPart | Seal::Nothing => None,
    })
}

/// Leaves nothing open: the current object ends where its last stored part did, or is dropped. Nothing is read unless
/// an object was being closed.
pub(crate) async fn quiesce(shard: &mut ShardExport<'_, '_>, drop_upload: bool) -> Result<(), Stop> {
    loop {
        match &shard.destination()?.phase {
            Phase::Idle => return Ok(()),
            Phase::Open(_) | Phase::Closing(_) if drop_upload => abandon_upload(shard).await?,
            Phase::Open(upload) if upload.parts == 0 => abandon_upload(shard).await?,
            Phase::Open(_) => {
                shard.destination_mut()?.close(None)?;
                shard.flush().await?;
            }
            Phase::Closing(_) => {
                Setback::unless_rewound(complete(shard, None).await)?;
            }
        }
    }
}
