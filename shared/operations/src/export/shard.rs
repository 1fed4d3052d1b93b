//! A shard of an export in a slice: its record, its ledger and the parts that are sent, and how the record is written.
//!
//! A checkpoint is written before anything that depends on it: before an object is completed (its end is fixed), as
//! soon as an upload exists, and of each part once it is stored, while the next ones are on their way; of parts that
//! are stored faster than records, of several at once (`Settings::record_millis`). So there is at most one write for
//! each part, and what was stored behind the last one is sent again after a crash, with the same bytes.

use bytes::Bytes;
use sluice_formats::packer;
use sluice_ports::PartAnswer;
use sluice_transfer::manifest::{ManifestObject, Segment};
use sluice_transfer::record::{DestinationRecord, ExportWork, LedgerEntry, Phase};
use sluice_transfer::{Aggregate, Checksum, Event, ObjectKeys, Packer, UploadId, Value, key_hash};

use super::in_flight::InFlight;
use super::target::Target;
use crate::claimed::Claimed;
use crate::error::{Code, OperationError, Stop};
use crate::objects::put_document;

/// A shard that is being exported in this slice.
pub(crate) struct ShardExport<'a, 'h> {
    pub target: &'a Target,
    pub claimed: &'a mut Claimed<'h, ExportWork>,
    /// All parts of the current upload, also those that went into pages.
    pub ledger: Vec<LedgerEntry>,
    /// True if this slice stored a part or sealed an object.
    pub stored: bool,
    /// Parts of the current upload, behind those of the ledger. While an object is closing there is at most its last
    /// one.
    pub(super) in_flight: InFlight<'a>,
    /// Bytes of parts that are stored, whose memory the packer may have.
    pub(super) spare: Vec<Bytes>,
}

/// Why the current object does not go on.
pub(crate) enum Setback {
    /// The record went to another place, mostly back to the last complete object: packing begins again from there.
    Rewound,
    /// The slice leaves off.
    Stopped(Stop),
}

impl<E: Into<Stop>> From<E> for Setback {
    fn from(error: E) -> Self {
        Self::Stopped(error.into())
    }
}

impl Setback {
    /// An answer where it is all the same whether the record was rewound: none if it was.
    pub(crate) fn unless_rewound<T>(answer: Result<T, Self>) -> Result<Option<T>, Stop> {
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(Self::Rewound) => Ok(None),
            Err(Self::Stopped(stop)) => Err(stop),
        }
    }
}

impl<'a, 'h> ShardExport<'a, 'h> {
    pub(crate) async fn new(target: &'a Target, claimed: &'a mut Claimed<'h, ExportWork>) -> Result<Self, Stop> {
        let in_flight = InFlight::new(&*claimed.slice.engine.clock, 1);
        let mut shard = Self { target, claimed, ledger: Vec::new(), stored: false, in_flight, spare: Vec::new() };
        shard.load_ledger().await?;
        Ok(shard)
    }

    /// Keeps on record whether the keys of all events are those that lead to this shard. Who imports them then knows
    /// where they go without reading them.
    pub(super) fn note_keys(&mut self, events: &[Event]) {
        let Some(hashes) = self.claimed.record.hashes else { return };
        // An aggregate belongs where the events in it do.
        let belongs = |event: &Event| match (Aggregate::of(&event.payload), &event.key) {
            (Some(aggregate), _) => aggregate.hashes().all(|hash| hashes.contains(hash)),
            (None, Value::Bytes(key)) if !key.is_empty() => hashes.contains(key_hash(key)),
            _ => false,
        };
        if !events.iter().all(belongs) {
            self.claimed.record.hashes = None;
            self.claimed.touch();
        }
    }

    pub(crate) fn destination(&self) -> Result<&DestinationRecord, Stop> {
        let destination = self.claimed.record.work.get(&self.target.name);
        destination.ok_or_else(|| self.corrupt("has no record of its destination"))
    }

    pub(crate) fn destination_mut(&mut self) -> Result<&mut DestinationRecord, Stop> {
        let missing = self.corrupt("has no record of its destination");
        self.claimed.record.work.get_mut(&self.target.name).ok_or(missing)
    }

    pub(crate) fn corrupt(&self, what: &str) -> Stop {
        let record = &self.claimed.record;
        OperationError::new(Code::Corrupt, format!("shard {} of transfer {} {what}", record.shard, record.transfer))
            .into()
    }

    /// The key of the current object.
    pub(crate) fn object_key(&self) -> Result<String, Stop> {
        let record = &self.claimed.record;
        let destination = self.destination()?;
        let relative = ObjectKeys::object(
            &record.shard,
            destination.objects,
            &destination.sealed.position,
            self.target.config.encoding(),
        );
        Ok(self.target.keys(&record.transfer).whole(&relative))
    }

    /// The ledger of the current upload, from its pages and the record.
    async fn load_ledger(&mut self) -> Result<(), Stop> {
        let destination = self.destination()?;
        let upload = match &destination.phase {
            Phase::Idle => return Ok(()),
            Phase::Open(upload) => Some(upload),
            Phase::Closing(closing) => closing.upload.as_ref(),
        };
        let Some(upload) = upload else { return Ok(()) };
        let (object, incarnation, pages, parts) =
            (destination.objects, destination.incarnation, upload.pages, upload.parts);
        let tail = upload.tail.clone();
        let slice = self.claimed.slice;
        let record = &self.claimed.record;
        let read = slice.checkpoints.ledger(&record.transfer, &record.shard, &self.target.name, pages).await?;
        let mut ledger = Vec::new();
        for page in read {
            if (page.object, page.incarnation) != (object, incarnation) {
                return Err(self.corrupt("has a page of another upload in its ledger"));
            }
            ledger.extend(page.entries);
        }
        ledger.extend(tail);
        if ledger.len() as u64 != parts {
            return Err(self.corrupt("has a ledger with missing parts"));
        }
        self.ledger = ledger;
        Ok(())
    }

    /// A packer that goes on where the record is.
    pub(crate) fn packer(&self) -> Result<Packer, Stop> {
        let destination = self.destination()?;
        let record = &self.claimed.record;
        let seed = self.target.seed(&record.transfer, &record.shard);
        let config = &self.target.config;
        // While an object is closing its last part is packed anew, from where the stored ones end.
        let (cursor, taken) = match &destination.phase {
            Phase::Closing(closing) => {
                closing.upload.as_ref().map_or((&destination.sealed, 0), |upload| (&upload.cursor, upload.checksum.len))
            }
            Phase::Idle | Phase::Open(_) => (destination.cursor(), destination.taken()),
        };
        Ok(packer(config.encoding(), config.pack(), &seed, destination.objects, taken, cursor.clone()))
    }

    /// The call that stores a part, which has such a number and offset.
    pub(super) fn call(
        &self,
        upload: &UploadId,
        (number, offset): (u64, u64),
        bytes: Bytes,
        checksum: Checksum,
    ) -> Result<impl Future<Output = Result<PartAnswer, Stop>> + use<'a, 'h>, Stop> {
        let (target, upload, key) = (self.target, upload.clone(), self.object_key()?);
        Ok(async move { Ok(target.bucket.upload_part(&key, &upload, number, offset, bytes, checksum).await?) })
    }

    /// Writes the record, then the manifest's next segment if its objects are now on record.
    pub(crate) async fn flush(&mut self) -> Result<(), Stop> {
        self.claimed.flush().await?;
        self.write_segments(false).await
    }

    /// Writes the segments of the manifest for which there are objects; at the end also the last, which is not full.
    /// They are on record as sealed, so whoever writes a segment writes the same.
    pub(crate) async fn write_segments(&mut self, at_end: bool) -> Result<(), Stop> {
        while let Some((key, segment)) = self.next_segment(at_end)? {
            let sha256 = put_document(&*self.target.bucket, &key, &segment).await?;
            self.destination_mut()?.listed(segment.entries.len(), &sha256);
            self.claimed.touch();
        }
        Ok(())
    }

    /// The next segment of the manifest and its key, if there are objects for it.
    fn next_segment(&self, at_end: bool) -> Result<Option<(String, Segment<ManifestObject>)>, Stop> {
        let record = &self.claimed.record;
        let destination = self.destination()?;
        let Some(objects) = destination.next_segment(at_end) else { return Ok(None) };
        let number = destination.segments.count + 1;
        let encoding = self.target.config.encoding();
        let entries: Vec<_> = objects
            .iter()
            .map(|object| ManifestObject {
                key: ObjectKeys::object(&record.shard, object.number, &object.from.position, encoding),
                object: object.clone(),
            })
            .collect();
        let segment = Segment { transfer: record.transfer.clone(), shard: Some(record.shard.clone()), number, entries };
        let key = self.target.keys(&record.transfer).whole(&ObjectKeys::segment(&record.shard, number));
        Ok(Some((key, segment)))
    }
}
