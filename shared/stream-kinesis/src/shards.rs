//! What a stream's description tells, remembered.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use aws_sdk_kinesis::types;
use sluice_ports::{Error, ErrorKind, Result};
use sluice_transfer::{HashRange, Sequence, ShardId};

use crate::KinesisStream;
use crate::held::Facts;
use crate::number::Numbering;

/// Digits of a number, far more than Kinesis' own have (API reference, `SequenceNumber`: at most 129).
const LONGEST_NUMBER: usize = 256;

/// One shard as the stream lists it. All of it but the end never changes.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    pub id: ShardId,
    pub numbering: Numbering,
    /// The end of its range of numbers, which need not be a record's: the shard is closed.
    pub ending: Option<Sequence>,
    /// The hashes that lead here.
    pub hashes: HashRange,
    pub parents: Vec<ShardId>,
}

/// A stream's shards, in the order it lists them, and what concerns all.
#[derive(Debug)]
pub(crate) struct Known {
    pub shards: Vec<Shard>,
    pub facts: Facts,
}

impl Shard {
    pub(crate) fn of(shard: &types::Shard) -> Result<Self> {
        let corrupt = |what: &str| Error::new(ErrorKind::Corrupt, format!("shard {} has {what}", shard.shard_id));
        let named =
            |id: &str| id.parse::<ShardId>().map_err(|why| Error::with(ErrorKind::Corrupt, "a shard's name", why));
        let range = shard.sequence_number_range().ok_or_else(|| corrupt("no range of numbers"))?;
        let hashes = shard.hash_key_range().ok_or_else(|| corrupt("no range of hashes"))?;
        let start = range.starting_sequence_number();
        if start.len() > LONGEST_NUMBER {
            return Err(corrupt("a first number of too many digits"));
        }
        let bound = |hash: &str| hash.parse::<u128>().ok();
        let hashes = bound(hashes.starting_hash_key()).zip(bound(hashes.ending_hash_key()));
        let ending = range.ending_sequence_number().map(str::parse).transpose();
        Ok(Self {
            id: named(&shard.shard_id)?,
            numbering: Numbering::new(start),
            ending: ending.map_err(|why| Error::with(ErrorKind::Corrupt, "a shard's last number", why))?,
            hashes: hashes
                .and_then(|(first, last)| HashRange::new(first, last))
                .ok_or_else(|| corrupt("a range of hashes that is none"))?,
            parents: [shard.parent_shard_id(), shard.adjacent_parent_shard_id()]
                .into_iter()
                .flatten()
                .map(named)
                .collect::<Result<_>>()?,
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.ending.is_some()
    }
}

impl KinesisStream {
    /// What the last look at the stream told, if there was one.
    pub(crate) fn remembered(&self) -> Option<Arc<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What concerns every record, as the last look at the stream found it.
    pub(crate) fn remembered_facts(&self) -> Option<Facts> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|known| known.facts)
    }

    /// What was told once, or is told now.
    pub(crate) async fn known(&self) -> Result<Arc<Known>> {
        match self.remembered() {
            Some(known) => Ok(known),
            None => self.look().await,
        }
    }

    /// What the stream tells now.
    pub(crate) async fn look(&self) -> Result<Arc<Known>> {
        let facts = self.wire.summary().await?;
        let mut shards = self.wire.shards().await?;
        // A parent whose records are all gone is no longer listed, and nothing is to be read from it.
        let listed: HashSet<ShardId> = shards.iter().map(|shard| shard.id.clone()).collect();
        for shard in &mut shards {
            shard.parents.retain(|parent| listed.contains(parent));
        }
        let known = Arc::new(Known { shards, facts });
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(known)
    }

    /// One shard as it was last seen. One that is not known may be new: then it is looked for once more.
    pub(crate) async fn shard(&self, id: &ShardId) -> Result<Shard> {
        let find = |known: &Known| known.shards.iter().find(|shard| shard.id == *id).cloned();
        let found = match find(&*self.known().await?) {
            None => find(&*self.look().await?),
            found => found,
        };
        found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("the stream {} has no shard '{id}'", self.wire.name()))
        })
    }
}
