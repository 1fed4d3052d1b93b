//! Lanes: which shards of a transfer a slice works on.

use serde::{Deserialize, Serialize};
use sluice_transfer::ShardId;

/// Shards that share a slice, unless there are more of them than lanes.
const SHARDS_PER_LANE: usize = 8;
/// Slices of a lane in one wave: few at first, so that a person sees something move; a quarter of those before later,
/// so that a transfer of a year has some thousand waves. A wave takes less than 20 events of the execution's history,
/// which may have 25,000 (Step Functions developer guide, "Quotas").
const SLICES: std::ops::RangeInclusive<u64> = 3..=96;

/// One lane of so many: it takes every `of`-th shard, beginning with its own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Its number, from 0.
    #[serde(rename = "lane")]
    pub number: usize,
    /// How many lanes there are, at least 1.
    pub of: usize,
    /// Slices after which it makes room for settling.
    #[serde(default)]
    pub slices: u64,
}

impl Lane {
    /// The lanes for this many shards, of which each had at most so many slices before. There are `most` at most.
    pub(crate) fn all(shards: usize, before: u64, most: usize) -> Vec<Self> {
        let of = shards.div_ceil(SHARDS_PER_LANE).clamp(1, most.max(1));
        let slices = (before / 4).clamp(*SLICES.start(), *SLICES.end());
        (0..of).map(|number| Self { number, of, slices }).collect()
    }

    /// The lane's own among a transfer's shards.
    pub(crate) fn of(self, shards: &[ShardId]) -> Vec<ShardId> {
        shards.iter().skip(self.number).step_by(self.of.max(1)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_cover_all_shards_once() {
        for (count, most) in [(0, 40), (1, 40), (8, 40), (9, 40), (100, 40), (320, 40), (1_000, 40), (1_000, 3), (9, 1)]
        {
            let shards: Vec<ShardId> = (0..count).map(|n| n.to_string().parse().unwrap()).collect();
            let lanes = Lane::all(count, 0, most);
            assert!(!lanes.is_empty() && lanes.len() <= most);
            let mut covered: Vec<ShardId> = lanes.iter().flat_map(|lane| lane.of(&shards)).collect();
            covered.sort_by_key(|shard| shards.iter().position(|there| there == shard));
            assert_eq!(covered, shards);
        }
    }

    #[test]
    fn a_year_of_slices_has_room_in_a_history() {
        let (mut slices, mut waves) = (0, 0);
        // Of 5 minutes each.
        while slices < 365 * 24 * 12 {
            slices += Lane::all(1, slices, 40)[0].slices;
            waves += 1;
        }
        assert!(waves * 20 < 25_000, "{waves} waves");
    }
}
