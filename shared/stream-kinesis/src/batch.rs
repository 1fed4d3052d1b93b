//! Which events go into one request.
//!
//! **Invariant.** At most one event of a key is under way, and it is the first of its key that has not arrived. So
//! the events of a key arrive in their order, whichever of them are refused.

use std::collections::{BTreeSet, HashMap, VecDeque};

/// Records in one request (API reference, `PutRecords`).
pub(crate) const RECORDS: usize = 500;
/// Bytes of payload and key in one request, exceeded by a single larger record only. Kinesis takes 10 MiB, but all of
/// it goes to one shard, which takes 1 MB a second: more at once is refused and sent again.
pub(crate) const BYTES: usize = 1 << 20;

/// Events that have not arrived.
#[derive(Debug)]
pub(crate) struct Batches<'a> {
    /// Each event's key, and bytes of payload and key.
    events: Vec<(&'a [u8], usize)>,
    /// Those that wait behind an earlier one of their key.
    behind: HashMap<&'a [u8], VecDeque<usize>>,
    /// The first of each key.
    heads: BTreeSet<usize>,
}

impl<'a> Batches<'a> {
    /// Events in their order: each one's key, and bytes of payload and key.
    pub(crate) fn new(events: Vec<(&'a [u8], usize)>) -> Self {
        let (mut behind, mut heads) = (HashMap::<_, VecDeque<usize>>::new(), BTreeSet::new());
        for (index, (key, _)) in events.iter().enumerate() {
            match behind.entry(*key) {
                std::collections::hash_map::Entry::Occupied(mut waiting) => waiting.get_mut().push_back(index),
                std::collections::hash_map::Entry::Vacant(first) => {
                    first.insert(VecDeque::new());
                    heads.insert(index);
                }
            }
        }
        Self { events, behind, heads }
    }

    /// The events of the next request; none when all have arrived.
    pub(crate) fn next(&self) -> Vec<usize> {
        let (mut request, mut bytes) = (Vec::new(), 0);
        for index in self.heads.iter().copied().take(RECORDS) {
            bytes += self.events[index].1;
            if bytes > BYTES && !request.is_empty() {
                break;
            }
            request.push(index);
        }
        request
    }

    /// One of a request's events has arrived.
    pub(crate) fn arrived(&mut self, index: usize) {
        if self.heads.remove(&index)
            && let Some(next) = self.behind.get_mut(self.events[index].0).and_then(VecDeque::pop_front)
        {
            self.heads.insert(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is refused, each event arrives once, in the order of its key, in requests that Kinesis takes.
        #[test]
        fn keys_keep_their_order(
            events in proptest::collection::vec((0_u8..40, 0_usize..700_000), 0..300),
            refusals in proptest::collection::vec(0_u8..4, 1..200),
        ) {
            let keys: Vec<[u8; 1]> = events.iter().map(|(key, _)| [*key]).collect();
            let sized = keys.iter().zip(&events).map(|(key, (_, size))| (&key[..], *size)).collect();
            let mut batches = Batches::new(sized);
            let mut refused = refusals.iter().cycle();
            let (mut arrived, mut calls) = (Vec::new(), 0);
            loop {
                let request = batches.next();
                if request.is_empty() {
                    break;
                }
                let mut distinct: Vec<_> = request.iter().map(|index| keys[*index]).collect();
                distinct.sort_unstable();
                distinct.dedup();
                prop_assert_eq!(distinct.len(), request.len(), "one event of a key");
                prop_assert!(request.len() <= RECORDS);
                let bytes: usize = request.iter().map(|index| events[*index].1).sum();
                prop_assert!(bytes <= BYTES || request.len() == 1);
                for index in request {
                    if *refused.next().unwrap() > 0 || calls > 2_000 {
                        batches.arrived(index);
                        arrived.push(index);
                    }
                }
                calls += 1;
            }
            let mut sorted = arrived.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..events.len()).collect::<Vec<_>>(), "each once");
            for key in 0..40 {
                let of_key: Vec<_> = arrived.iter().filter(|index| events[**index].0 == key).collect();
                prop_assert!(of_key.is_sorted(), "key {} arrived as {:?}", key, of_key);
            }
        }
    }

    #[test]
    fn requests_are_full() {
        let keys: Vec<_> = (0..1_200_u32).map(u32::to_be_bytes).collect();
        let mut batches = Batches::new(keys.iter().map(|key| (&key[..], 10)).collect());
        let mut sizes = Vec::new();
        while let request = batches.next()
            && !request.is_empty()
        {
            sizes.push(request.len());
            for index in request {
                batches.arrived(index);
            }
        }
        assert_eq!(sizes, [500, 500, 200]);
    }
}
