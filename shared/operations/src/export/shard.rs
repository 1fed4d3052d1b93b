//! A shard of an export in a slice: its record, its ledger and the parts that are sent, and how the record is written.
//!
//! A checkpoint is written before anything that depends on it: before an object is completed (its end is fixed), as
//! soon as an upload exists, and of each part once it is stored, while the next ones are on their way; of parts that are
//! stored faster than records, of several at once (`Settings::record_millis`). So there is at most one write for each
//! part, and what was stored behind the last one is sent again after a crash, with the same bytes.

use bytes::Bytes;
use sluice_formats::packer;
use sluice_ports::PartAnswer;
use sluice_transfer::manifest::{ManifestObject, Segment};
use sluice_transfer::record::{DestinationRecord, LedgerEntry, Phase, Work};
use sluice_transfer::{Checksum, ObjectKeys, Packer, UploadId};

use super::in_flight::InFlight;
use super::target::Target;
use crate::claimed::Claimed;
use crate::error::{Code, OperationError, Stop};
use crate::objects::put_document;

/// A shard that is being exported in this slice.
pub(crate) struct ShardExport<'a, 'h> {
    pub target: &'a Target,
    pub claimed: &'a mut Claimed<'h>,
    /// All parts of the upload at hand, also those that went into pages.
    pub ledger: Vec<LedgerEntry>,
    /// Whether this slice stored a part or sealed an object.
    pub stored: bool,
    /// Parts of the upload at hand, behind those of the ledger. While an object is closing there is at most its last one.
    pub(super) in_flight: InFlight<'a>,
    /// Bytes of parts that are stored, whose memory the packer may have.
    pub(super) spare: Vec<Bytes>,
}

impl<'a, 'h> ShardExport<'a, 'h> {
    pub(crate) async fn new(target: &'a Target, claimed: &'a mut Claimed<'h>) -> Result<Self, Stop> {
        let in_flight = InFlight::new(&*claimed.slice.engine.clock, 1);
        let mut shard = Self { target, claimed, ledger: Vec::new(), stored: false, in_flight, spare: Vec::new() };
        shard.load_ledger().await?;
        Ok(shard)
    }

    pub(crate) fn destination(&self) -> Result<&DestinationRecord, Stop> {
        match &self.claimed.record.work {
            Work::Export(destinations) => destinations.get(&self.target.name),
            Work::Import(_) => None,
        }
        .ok_or_else(|| self.corrupt("has no record of its destination"))
    }

    pub(crate) fn destination_mut(&mut self) -> Result<&mut DestinationRecord, Stop> {
        let missing = self.corrupt("has no record of its destination");
        match &mut self.claimed.record.work {
            Work::Export(destinations) => destinations.get_mut(&self.target.name),
            Work::Import(_) => None,
        }
        .ok_or(missing)
    }

    pub(crate) fn corrupt(&self, what: &str) -> Stop {
        let record = &self.claimed.record;
        OperationError::new(Code::Corrupt, format!("shard {} of transfer {} {what}", record.shard, record.transfer))
            .into()
    }

    /// The key of the object at hand.
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

    /// The ledger of the upload at hand, from its pages and the record.
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
        let (engine, record) = (slice.engine, &self.claimed.record);
        let read = engine.persist(async || {
            engine.checkpoints.ledger(&record.transfer, &record.shard, &self.target.name, pages).await
        });
        let mut ledger = Vec::new();
        for page in slice.bounded(read).await? {
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
        let (slice, target, upload, key) = (self.claimed.slice, self.target, upload.clone(), self.object_key()?);
        Ok(async move {
            let send = async || target.bucket.upload_part(&key, &upload, number, offset, bytes.clone(), checksum).await;
            slice.bounded(slice.engine.persist(send)).await
        })
    }

    /// Writes the record, then the manifest's next segment if its objects are now on record.
    pub(crate) async fn flush(&mut self) -> Result<(), Stop> {
        self.claimed.flush().await?;
        while self.write_segment(false).await? {}
        Ok(())
    }

    /// Writes the next segment of the manifest, if there are objects for it. They are on record as sealed, so
    /// whoever writes this segment writes the same.
    pub(crate) async fn write_segment(&mut self, at_end: bool) -> Result<bool, Stop> {
        let record = &self.claimed.record;
        let destination = self.destination()?;
        let Some(objects) = destination.next_segment(at_end) else { return Ok(false) };
        let number = destination.segments.count + 1;
        let encoding = self.target.config.encoding();
        let entries: Vec<_> = objects
            .iter()
            .map(|object| ManifestObject {
                key: ObjectKeys::object(&record.shard, object.number, &object.from.position, encoding),
                object: object.clone(),
            })
            .collect();
        let listed = entries.len();
        let segment = Segment { transfer: record.transfer.clone(), shard: Some(record.shard.clone()), number, entries };
        let key = self.target.keys(&record.transfer).whole(&ObjectKeys::segment(&record.shard, number));
        let slice = self.claimed.slice;
        let sha256 = slice.bounded(put_document(slice.engine, &*self.target.bucket, &key, &segment)).await?;
        self.destination_mut()?.listed(listed, &sha256);
        self.claimed.touch();
        Ok(true)
    }
}
