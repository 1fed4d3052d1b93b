//! Shards that continue each other.

use std::collections::BTreeSet;

use crate::ShardId;

/// The places of `items`, each behind those that it continues, else in their order. So who goes through them meets the
/// events of a key in order.
///
/// `lineage` answers an item's shard, if it has one, and the shards that it continues; those that are not among the
/// items hold nothing back. Shards that continue each other in a circle, which no store has, come last, in their order.
///
/// # Examples
/// ```
/// use sluice_transfer::{ShardId, parents_first};
///
/// let shard = |name: &str| name.parse::<ShardId>().unwrap();
/// let shards = [(shard("child"), vec![shard("parent")]), (shard("parent"), vec![])];
/// assert_eq!(parents_first(&shards, |(shard, parents)| (Some(shard), parents)), [1, 0]);
/// ```
pub fn parents_first<T>(items: &[T], lineage: impl Fn(&T) -> (Option<&ShardId>, &[ShardId])) -> Vec<usize> {
    let lineage: Vec<_> = items.iter().map(lineage).collect();
    let (mut order, mut left) = (Vec::with_capacity(items.len()), (0..items.len()).collect::<Vec<_>>());
    while !left.is_empty() {
        let waiting: BTreeSet<&ShardId> = left.iter().filter_map(|place| lineage[*place].0).collect();
        let is_ready = |place: &usize| !lineage[*place].1.iter().any(|parent| waiting.contains(parent));
        let (ready, rest): (Vec<usize>, Vec<usize>) = left.iter().partition(|place| is_ready(place));
        if ready.is_empty() {
            order.extend(rest);
            break;
        }
        order.extend(ready);
        left = rest;
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(number: usize) -> ShardId {
        format!("shard-{number}").parse().unwrap()
    }

    proptest! {
        /// Any lineage without circles, its shards in any order: each once, and none in front of its parents.
        #[test]
        fn each_once_and_behind_its_parents(
            family in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 1..40),
            shuffled in any::<u64>(),
        ) {
            let parents = |number: usize| family[number].iter().filter(move |_| number > 0).map(move |of| of.index(number));
            let mut items: Vec<usize> = (0..family.len()).collect();
            items.sort_by_key(|number| (*number as u64 + 1).wrapping_mul(shuffled | 1));
            let shards: Vec<(ShardId, Vec<ShardId>)> =
                items.iter().map(|number| (name(*number), parents(*number).map(name).collect())).collect();
            let order = parents_first(&shards, |(shard, parents)| (Some(shard), parents));
            prop_assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), items.len());
            prop_assert_eq!(order.len(), items.len());
            let place = |number: usize| order.iter().position(|place| items[*place] == number).unwrap();
            for number in 0..family.len() {
                prop_assert!(parents(number).all(|parent| place(parent) < place(number)));
            }
        }

        /// Where nothing continues anything, or what it continues is not there, the order stays.
        #[test]
        fn unrelated_shards_keep_their_order(count in 0_usize..20) {
            let shards: Vec<(ShardId, Vec<ShardId>)> =
                (0..count).map(|number| (name(number), vec![name(number + 100)])).collect();
            let order = parents_first(&shards, |(shard, parents)| (Some(shard), parents));
            prop_assert_eq!(order, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_circle_ends_and_loses_none() {
        let shards = [(name(0), vec![name(1)]), (name(1), vec![name(0)]), (name(2), vec![])];
        assert_eq!(parents_first(&shards, |(shard, parents)| (Some(shard), parents)), [2, 0, 1]);
    }
}
