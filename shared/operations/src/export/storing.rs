//! The parts of one object: sent, taken into the ledger, and closed.

use sluice_ports::PartAnswer;
use sluice_transfer::record::{PartEntry, Phase};
use sluice_transfer::{Checksum, Packed};

use super::closing::{abandon_upload, complete};
use super::in_flight::beside;
use super::shard::{Setback, ShardExport};
use crate::error::Stop;
use crate::objects::metadata;

impl ShardExport<'_, '_> {
    /// Sends a part, and meanwhile writes the record of those before; one that ends its object is stored when this
    /// returns. Rewound if the upload is gone.
    pub(super) async fn store(&mut self, part: Packed) -> Result<(), Setback> {
        if part.ends_object {
            return self.store_last(part).await;
        }
        // Parts before may still be on their way.
        let checksum = Checksum::of(&part.bytes);
        self.make_room().await?;
        let is_first = self.destination()?.is_idle();
        if is_first {
            self.open().await?;
        }
        self.send(part, checksum).await?;
        if !is_first {
            beside(&mut self.in_flight, self.claimed.flush_if_due()).await?;
        }
        Ok(())
    }

    /// Sends the part that ends the current object while those before arrive and its end goes on record, and completes
    /// the object. Only for an end that follows from the cursor and the events alone, so that a late slice sends the
    /// same bytes as one that goes on; where it does not, as a pause came first, the completion sees it and the object
    /// begins anew.
    pub(super) async fn store_last(&mut self, part: Packed) -> Result<(), Setback> {
        let mut behind = 0;
        if !self.destination()?.is_idle() {
            let checksum = Checksum::of(&part.bytes);
            self.make_room().await?;
            self.send(part.clone(), checksum).await?;
            behind = 1;
        }
        while self.in_flight.len() > behind {
            self.land().await?;
        }
        self.close(Some(part)).await
    }

    /// Puts the end of the current object on record, behind a last part or behind those that are stored, and completes
    /// it. Rewound if all begins again from the sealed cursor.
    pub(super) async fn close(&mut self, last: Option<Packed>) -> Result<(), Setback> {
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
        let id = self.target.bucket.create_upload(&key, &metadata).await?;
        self.destination_mut()?.opened(id)?;
        self.ledger.clear();
        self.flush().await
    }

    /// Sends a part to the current upload, behind those of the ledger and those that are on their way.
    async fn send(&mut self, part: Packed, checksum: Checksum) -> Result<(), Stop> {
        let Phase::Open(upload) = &self.destination()?.phase else {
            return Err(self.corrupt("is not in the phase it was brought to"));
        };
        let place =
            (self.ledger.len() as u64 + self.in_flight.len() as u64 + 1, upload.checksum.len + self.in_flight.bytes());
        let call = self.call(&upload.id, place, part.bytes.clone(), checksum)?;
        self.in_flight.begin(part, checksum, self.target.line.as_ref(), Box::pin(call)).await;
        Ok(())
    }

    /// Waits until one more part may be in flight, and takes what is stored by now into the ledger. Rewound if the
    /// upload is gone.
    async fn make_room(&mut self) -> Result<(), Setback> {
        while self.in_flight.is_full() {
            self.land().await?;
        }
        self.land_arrived().await
    }

    /// Takes what is stored by now into the ledger; does not wait. Rewound if the upload is gone.
    pub(super) async fn land_arrived(&mut self) -> Result<(), Setback> {
        while self.in_flight.has_arrived().await {
            self.land().await?;
        }
        Ok(())
    }

    /// Waits for all parts in flight. Rewound if their upload is gone.
    pub(super) async fn land_all(&mut self) -> Result<(), Setback> {
        while !self.in_flight.is_empty() {
            self.land().await?;
        }
        Ok(())
    }

    /// Waits for the first part in flight. Rewound if its upload is gone.
    async fn land(&mut self) -> Result<(), Setback> {
        let Some((part, checksum, answer)) = self.in_flight.first().await else { return Ok(()) };
        let landed = match answer {
            Ok(answer) => self.take_in(part, checksum, answer),
            Err(stop) => Err(stop.into()),
        };
        if landed.is_err() {
            // What comes behind a part that is missing is sent again with it, or of an upload that is gone.
            self.in_flight.drain().await;
        }
        if matches!(landed, Err(Setback::Rewound)) {
            abandon_upload(self).await?;
        }
        landed
    }

    /// Takes a part into the ledger, with what came of it. Rewound if its upload is gone.
    fn take_in(&mut self, part: Packed, checksum: Checksum, answer: PartAnswer) -> Result<(), Setback> {
        let PartAnswer::Stored { etag } = answer else { return Err(Setback::Rewound) };
        if part.ends_object {
            // That the object ends there did not go on record: it is sent again.
            return Ok(());
        }
        let entry = self.destination_mut()?.part_stored(&part, PartEntry { etag, checksum })?;
        // Shards that share the line are many, and fill their parts slowly: they keep no memory for the next one.
        if self.target.line.is_none() {
            self.spare.push(part.bytes);
        }
        self.ledger.push(entry);
        self.claimed.touch();
        self.stored = true;
        Ok(())
    }
}
