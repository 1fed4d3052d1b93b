//! The parts of one object: sent, taken into the ledger, and closed.

use sluice_ports::PartAnswer;
use sluice_transfer::record::{PartEntry, Phase};
use sluice_transfer::{Checksum, Packed};

use super::closing::{abandon_upload, complete};
use super::in_flight::beside;
use super::shard::ShardExport;
use crate::error::Stop;
use crate::objects::metadata;

impl ShardExport<'_, '_> {
    /// Sends a part, and meanwhile writes the record of those before; one that ends its object is stored when this
    /// returns. Answers false if the upload is gone: the packer must begin again.
    pub(super) async fn store(&mut self, part: Packed) -> Result<bool, Stop> {
        if part.ends_object {
            return self.store_last(part).await;
        }
        // Parts before may still be on their way.
        let checksum = Checksum::of(&part.bytes);
        if !self.has_room().await? {
            return Ok(false);
        }
        let is_first = self.destination()?.is_idle();
        if is_first {
            self.open().await?;
        }
        self.send(part, checksum).await?;
        if !is_first {
            beside(&mut self.in_flight, self.claimed.flush_in_turn()).await?;
        }
        Ok(true)
    }

    /// Sends the part that ends the object at hand while those before arrive and its end goes on record, and completes
    /// the object. Only for an end that follows from the cursor and the events alone, so that a late slice sends the
    /// same bytes as one that goes on; where it does not, as a pause came first, the completion sees it and the object
    /// begins anew.
    pub(super) async fn store_last(&mut self, part: Packed) -> Result<bool, Stop> {
        let mut behind = 0;
        if !self.destination()?.is_idle() {
            let checksum = Checksum::of(&part.bytes);
            if !self.has_room().await? {
                return Ok(false);
            }
            self.send(part.clone(), checksum).await?;
            behind = 1;
        }
        while self.in_flight.len() > behind {
            if !self.land().await? {
                return Ok(false);
            }
        }
        self.close(Some(part)).await
    }

    /// Puts the end of the object at hand on record, behind a last part or behind those that are stored, and completes
    /// it. Answers false if all begins again from the sealed cursor.
    pub(super) async fn close(&mut self, last: Option<Packed>) -> Result<bool, Stop> {
        self.destination_mut()?.close(last.as_ref())?;
        if self.in_flight.is_empty() {
            self.flush().await?;
        } else {
            // A segment waits for the next object's record: nothing else moves the part on while one is written.
            beside(&mut self.in_flight, self.claimed.flush()).await?;
        }
        complete(self, last.map(|part| part.bytes)).await
    }

    /// A new upload, which is on record before anything is sent to it.
    async fn open(&mut self) -> Result<(), Stop> {
        let key = self.object_key()?;
        let record = &self.claimed.record;
        let metadata = metadata(&self.target.seed(&record.transfer, &record.shard), self.destination()?);
        let (slice, bucket) = (self.claimed.slice, &self.target.bucket);
        let create = slice.engine.persist(async || bucket.create_upload(&key, &metadata).await);
        let id = slice.bounded(create).await?;
        self.destination_mut()?.opened(id)?;
        self.ledger.clear();
        self.flush().await
    }

    /// Sends a part to the upload at hand, behind those of the ledger and those that are on their way.
    async fn send(&mut self, part: Packed, checksum: Checksum) -> Result<(), Stop> {
        let Phase::Open(upload) = &self.destination()?.phase else {
            return Err(self.corrupt("is not in the phase it was brought to"));
        };
        let place =
            (self.ledger.len() as u64 + self.in_flight.len() as u64 + 1, upload.checksum.len + self.in_flight.bytes());
        let call = self.call(&upload.id, place, part.bytes.clone(), checksum)?;
        self.in_flight.begin(part, checksum, Box::pin(call)).await;
        Ok(())
    }

    /// Waits until there is room for one more on its way, and takes what is stored by now into the ledger. Answers
    /// false if the upload is gone.
    async fn has_room(&mut self) -> Result<bool, Stop> {
        while self.in_flight.is_full() {
            if !self.land().await? {
                return Ok(false);
            }
        }
        self.arrived_landed().await
    }

    /// Takes what is stored by now into the ledger; does not wait. Answers false if the upload is gone.
    pub(super) async fn arrived_landed(&mut self) -> Result<bool, Stop> {
        while self.in_flight.has_arrived().await {
            if !self.land().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for all parts that are on their way. Answers false if their upload is gone.
    pub(super) async fn all_landed(&mut self) -> Result<bool, Stop> {
        while !self.in_flight.is_empty() {
            if !self.land().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for the first part that is on its way. Answers false if its upload is gone: the packer must begin again.
    async fn land(&mut self) -> Result<bool, Stop> {
        let Some((part, checksum, answer)) = self.in_flight.first().await else { return Ok(true) };
        let landed = answer.and_then(|answer| self.take_in(part, checksum, answer));
        if !matches!(landed, Ok(true)) {
            // What comes behind a part that is missing is sent again with it, or of an upload that is gone.
            self.in_flight.drain().await;
        }
        if !landed? {
            abandon_upload(self).await?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes a part into the ledger, with what came of it. Answers false if its upload is gone.
    fn take_in(&mut self, part: Packed, checksum: Checksum, answer: PartAnswer) -> Result<bool, Stop> {
        let PartAnswer::Stored { etag } = answer else { return Ok(false) };
        if part.ends_object {
            // That the object ends there did not go on record: it is sent again.
            return Ok(true);
        }
        let entry = self.destination_mut()?.part_stored(&part, PartEntry { etag, checksum })?;
        self.spare.push(part.bytes);
        self.ledger.push(entry);
        self.claimed.touch();
        self.stored = true;
        Ok(true)
    }
}
