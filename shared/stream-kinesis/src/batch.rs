//! Which events go into one request.
//!
//! **Invariant.** At most one event of a line is under way, and it is the first of its line that has not arrived. So
//! the events of a line arrive in their order, whichever of them are refused. Events in no line wait for none.

use std::collections::{BTreeSet, HashMap, VecDeque};

/// Records in one request (API reference, `PutRecords`).
pub(crate) const RECORDS: usize = 500;
/// Bytes of payload and key in one request, exceeded by a single larger record only. Kinesis takes 10 MiB, but all of
/// it goes to one shard, which takes 1 MB a second: more at once is refused and sent again.
pub(crate) const BYTES: usize = 1 << 20;

/// Events that have not arrived.
#[derive(Debug)]
pub(crate) struct Batches<'a> {
    /// Each event's line, if it is in one, and bytes of payload and key.
    events: Vec<(Option<&'a [u8]>, usize)>,
    /// Those that wait behind an earlier one of their line.
    behind: HashMap<&'a [u8], VecDeque<usize>>,
    /// Those that may go now: the first of each line, and all in no line.
    heads: BTreeSet<usize>,
}

impl<'a> Batches<'a> {
    /// Events in their order: each one's line, if it is in one, and bytes of payload and key.
    pub(crate) fn new(events: Vec<(Option<&'a [u8]>, usize)>) -> Self {
        let (mut behind, mut heads) = (HashMap::<_, VecDeque<usize>>::new(), BTreeSet::new());
        for (index, (line, _)) in events.iter().enumerate() {
            match line.map(|line| behind.entry(line)) {
                Some(std::collections::hash_map::Entry::Occupied(mut waiting)) => {
                    waiting.get_mut().push_back(index);
                    continue;
                }
                Some(std::collections::hash_map::Entry::Vacant(first)) => drop(first.insert(VecDeque::new())),
                None => {}
            }
            heads.insert(index);
        }
        Self { events, behind, heads }
    }

    /// The events of the next request, which are under way from now on; none when all others have arrived, are under
    /// way, or wait.
    pub(crate) fn next(&mut self) -> Vec<usize> {
        let (mut request, mut bytes) = (Vec::new(), 0);
        for index in self.heads.iter().copied().take(RECORDS) {
            bytes += self.events[index].1;
            if bytes > BYTES && !request.is_empty() {
                break;
            }
            request.push(index);
        }
        for index in &request {
            self.heads.remove(index);
        }
        request
    }

    /// One that was under way has arrived: the next of its line may go.
    pub(crate) fn arrived(&mut self, index: usize) {
        let line = self.events[index].0;
        if let Some(next) = line.and_then(|line| self.behind.get_mut(line)).and_then(VecDeque::pop_front) {
            self.heads.insert(next);
        }
    }

    /// One that was under way was refused: it goes again.
    pub(crate) fn refused(&mut self, index: usize) {
        self.heads.insert(index);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is refused and however many are in flight, each event arrives once, in the order of its line, in
        /// requests that Kinesis takes. Key 0 stands for none.
        #[test]
        fn lines_keep_their_order(
            events in proptest::collection::vec((0_u8..40, 0_usize..700_000), 0..300),
            refusals in proptest::collection::vec(0_u8..4, 1..200),
            at_once in 1_usize..5,
            next in proptest::collection::vec(any::<usize>(), 1..50),
        ) {
            let keys: Vec<[u8; 1]> = events.iter().map(|(key, _)| [*key]).collect();
            let line = |index: usize| (keys[index] != [0]).then_some(&keys[index][..]);
            let sized = events.iter().enumerate().map(|(index, (_, size))| (line(index), *size)).collect();
            let mut batches = Batches::new(sized);
            let (mut refused, mut next) = (refused_of(&refusals), next.iter().cycle());
            let (mut arrived, mut in_flight, mut calls) = (Vec::new(), Vec::<Vec<usize>>::new(), 0);
            loop {
                while in_flight.len() < at_once {
                    let request = batches.next();
                    if request.is_empty() {
                        break;
                    }
                    prop_assert!(request.len() <= RECORDS);
                    let bytes: usize = request.iter().map(|index| events[*index].1).sum();
                    prop_assert!(bytes <= BYTES || request.len() == 1);
                    in_flight.push(request);
                }
                let mut lines: Vec<_> = in_flight.iter().flatten().filter_map(|index| line(*index)).collect();
                lines.sort_unstable();
                prop_assert!(lines.windows(2).all(|pair| pair[0] != pair[1]), "one event of a line");
                if in_flight.is_empty() {
                    break;
                }
                for index in in_flight.swap_remove(next.next().unwrap() % in_flight.len()) {
                    if refused.next().unwrap() && calls < 2_000 {
                        batches.refused(index);
                    } else {
                        batches.arrived(index);
                        arrived.push(index);
                    }
                }
                calls += 1;
            }
            let mut sorted = arrived.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..events.len()).collect::<Vec<_>>(), "each once");
            for key in 1..40 {
                let of_key: Vec<_> = arrived.iter().filter(|index| events[**index].0 == key).collect();
                prop_assert!(of_key.is_sorted(), "key {} arrived as {:?}", key, of_key);
            }
        }
    }

    /// One of four is refused.
    fn refused_of(refusals: &[u8]) -> impl Iterator<Item = bool> {
        refusals.iter().cycle().map(|refusal| *refusal == 0)
    }

    fn sizes(mut batches: Batches<'_>) -> Vec<usize> {
        let mut sizes = Vec::new();
        while let request = batches.next()
            && !request.is_empty()
        {
            sizes.push(request.len());
            for index in request {
                batches.arrived(index);
            }
        }
        sizes
    }

    #[test]
    fn requests_are_full() {
        let keys: Vec<_> = (0..1_200_u32).map(u32::to_be_bytes).collect();
        let by_key = Batches::new(keys.iter().map(|key| (Some(&key[..]), 10)).collect());
        assert_eq!(sizes(by_key), [500, 500, 200]);
        assert_eq!(sizes(Batches::new(vec![(None, 10); 1_200])), [500, 500, 200]);
        assert_eq!(sizes(Batches::new(vec![(Some(b"key"), 10); 3])), [1, 1, 1]);
    }
}
