//! Lanes: which shards of a transfer a slice works on.

use serde::{Deserialize, Serialize};
use sluice_transfer::ShardId;

/// Shards that share a slice, unless there are more of them than lanes.
const SHARDS_PER_LANE: usize = 8;
/// Lanes of one wave.
const LANES: usize = 40;

/// One lane of so many: it takes every `of`-th shard, beginning with its own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Its number, from 0.
    pub lane: usize,
    /// How many lanes there are, at least 1.
    pub of: usize,
}

impl Lane {
    /// The lanes for so many shards.
    pub(crate) fn all(shards: usize) -> Vec<Self> {
        let of = shards.div_ceil(SHARDS_PER_LANE).clamp(1, LANES);
        (0..of).map(|lane| Self { lane, of }).collect()
    }

    /// The lane's own among a transfer's shards.
    pub(crate) fn of(self, shards: &[ShardId]) -> Vec<ShardId> {
        shards.iter().skip(self.lane).step_by(self.of.max(1)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_cover_all_shards_once() {
        for count in [0, 1, 8, 9, 100, 320, 1_000] {
            let shards: Vec<ShardId> = (0..count).map(|n| n.to_string().parse().unwrap()).collect();
            let lanes = Lane::all(count);
            assert!(!lanes.is_empty() && lanes.len() <= LANES);
            let mut covered: Vec<ShardId> = lanes.iter().flat_map(|lane| lane.of(&shards)).collect();
            covered.sort_by_key(|shard| shards.iter().position(|there| there == shard));
            assert_eq!(covered, shards);
        }
    }
}
