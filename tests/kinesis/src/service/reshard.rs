//! Splits and merges (row 6): parents close, children open.

use super::{Call, Stream};
use crate::Millis;
use crate::counts::Operation;
use crate::hash::Hashes;
use crate::refused::{Answer, Code, Refused};

impl Call<'_> {
    /// Closes a shard and opens two, of which the second begins at a hash.
    pub fn split_shard(&mut self, stream: &str, shard: &str, new_starting_hash: u128) -> Answer<()> {
        self.counted(Operation::SplitShard, |service, now| {
            let account = service.account.clone();
            let found = service.stream(stream)?;
            let hashes = open(found, shard, &account)?;
            if hashes.split(new_starting_hash).is_none() {
                let Hashes { first, last } = hashes;
                return Err(Refused::argument(format!(
                    "NewStartingHashKey {new_starting_hash} used in SplitShard() on \
                    shard {shard} in stream {stream} under account {account} is not both greater than one plus the \
                    shard's StartingHashKey {first} and less than the shard's EndingHashKey {last}."
                )));
            }
            service.changeable(stream, now)?.split(now, shard, new_starting_hash);
            Ok(())
        })
    }

    /// Closes two shards whose ranges meet, and opens one.
    pub fn merge_shards(&mut self, stream: &str, shard: &str, adjacent: &str) -> Answer<()> {
        self.counted(Operation::MergeShards, |service, now| {
            let account = service.account.clone();
            let found = service.stream(stream)?;
            let (one, other) = (open(found, shard, &account)?, open(found, adjacent, &account)?);
            if !meets(one, other) && !meets(other, one) {
                return Err(Refused::argument(format!(
                    "Shards {shard} and {adjacent} in stream {stream} under account \
                    {account} are not an adjacent pair of shards eligible for merging"
                )));
            }
            service.changeable(stream, now)?.merge(now, shard, adjacent);
            Ok(())
        })
    }

    /// Splits and merges until there are this many open shards, all of one size. At most twice as many as before, and
    /// at least half as many.
    pub fn update_shard_count(&mut self, stream: &str, target: u32) -> Answer<()> {
        self.counted(Operation::UpdateShardCount, |service, now| {
            let found = service.stream(stream)?;
            let open = u32::try_from(found.open_shards().count()).unwrap_or(u32::MAX);
            if found.mode == super::Mode::OnDemand {
                let what = format!("Request is invalid. Stream {stream} is ON_DEMAND.");
                return Err(Refused::new(Code::Validation, what));
            }
            if target == 0 || target > open.saturating_mul(2) || target < open.div_ceil(2) {
                let what = format!(
                    "UpdateShardCount cannot scale from {open} to {target} shards: at most twice, at \
                    least half as many."
                );
                return Err(Refused::new(if target == 0 { Code::Validation } else { Code::LimitExceeded }, what));
            }
            service.changeable(stream, now)?.scale(now, target);
            Ok(())
        })
    }
}

fn meets(left: Hashes, right: Hashes) -> bool {
    left.last.checked_add(1) == Some(right.first)
}

/// The hashes of a shard that takes records.
fn open(stream: &Stream, shard: &str, account: &str) -> Answer<Hashes> {
    let name = &stream.name;
    let Some(found) = stream.shard(shard) else {
        let what = format!("Shard {shard} in stream {name} under account {account} does not exist");
        return Err(Refused::new(Code::ResourceNotFound, what));
    };
    if found.closed.is_some() {
        return Err(Refused::argument(format!(
            "Shard {shard} in stream {name} under account {account} has already been \
            merged or split, and thus is not eligible for merging or splitting."
        )));
    }
    Ok(found.hashes)
}

impl Stream {
    /// Nothing, if one half would be empty.
    pub(super) fn split(&mut self, now: Millis, id: &str, start: u128) {
        if let Some(halves) = self.shard(id).and_then(|shard| shard.hashes.split(start)) {
            self.close(id, now);
            for hashes in halves {
                self.open(now, hashes, [Some(id.to_owned()), None]);
            }
        }
    }

    fn merge(&mut self, now: Millis, id: &str, adjacent: &str) -> Option<String> {
        let (one, other) = (self.shard(id)?.hashes, self.shard(adjacent)?.hashes);
        self.close(id, now);
        self.close(adjacent, now);
        let hashes = Hashes { first: one.first.min(other.first), last: one.last.max(other.last) };
        Some(self.open(now, hashes, [Some(id.to_owned()), Some(adjacent.to_owned())]))
    }

    /// Splits at each border of a new shard, and merges what lies between two.
    fn scale(&mut self, now: Millis, target: u32) {
        let ranges = Hashes::equal(target);
        for range in &ranges {
            let across = self.open_shards().find(|shard| shard.hashes.split(range.first).is_some());
            if let Some(id) = across.map(|shard| shard.id.clone()) {
                self.split(now, &id, range.first);
            }
        }
        for range in ranges {
            let within = self.open_shards().filter(|shard| range.contains(shard.hashes.first));
            let mut pieces: Vec<_> = within.map(|shard| (shard.hashes.first, shard.id.clone())).collect();
            pieces.sort_unstable();
            let mut pieces = pieces.into_iter().map(|(_, id)| id);
            let Some(mut whole) = pieces.next() else { continue };
            for piece in pieces {
                whole = self.merge(now, &whole, &piece).unwrap_or(piece);
            }
        }
    }
}
