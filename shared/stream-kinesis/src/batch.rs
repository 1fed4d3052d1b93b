//! Which events go into one request.
//!
//! **Invariant.** At most one event of a line is under way, and it is the first of its line that has not arrived. So
//! the events of a line arrive in their order, whichever of them are refused. Events in no line wait for none.
//!
//! The longest line decides how many requests there are at least. So each request has the heads of the longest lines,
//! and no more events than keep something for those after it: a line that is far longer than the others moves beside
//! them, not behind them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Records in one request (API reference, `PutRecords`).
pub(crate) const RECORDS: usize = 500;
/// Bytes of payload and key in one request, exceeded by a single larger record only. Kinesis takes 10 MiB, but all of
/// it goes to one shard, which takes 1 MB a second: more at once is refused and sent again.
pub(crate) const BYTES: usize = 1 << 20;

/// An event that is to be sent.
#[derive(Debug)]
struct Waiting {
    /// Bytes of payload and key.
    size: usize,
    /// The next event of its line.
    next: Option<usize>,
    /// Events of its line behind it.
    behind: usize,
}

/// Events that have not arrived.
#[derive(Debug)]
pub(crate) struct Batches {
    events: Vec<Waiting>,
    /// Those that may go now, longest lines first: the first of each line, and all in no line. Each with how many are
    /// behind it.
    heads: BinaryHeap<(usize, Reverse<usize>)>,
    /// Events that are neither under way nor have arrived.
    left: usize,
}

impl Batches {
    /// Events in their order: each one's line, if it is in one, and bytes of payload and key.
    pub(crate) fn new<'a>(
        events: impl DoubleEndedIterator<Item = (Option<&'a [u8]>, usize)> + ExactSizeIterator,
    ) -> Self {
        let left = events.len();
        let (mut waiting, mut heads) = (Vec::<Waiting>::with_capacity(left), BinaryHeap::new());
        let mut firsts = HashMap::<&[u8], usize>::new();
        // From the end, so that what is behind each is known. `index` counts from there, too.
        for (index, (line, size)) in events.rev().enumerate() {
            let next = line.and_then(|line| firsts.insert(line, index));
            let behind = next.map_or(0, |next| waiting[next].behind + 1);
            waiting.push(Waiting { size, next: next.map(|next| left - 1 - next), behind });
            if line.is_none() {
                heads.push((0, Reverse(left - 1 - index)));
            }
        }
        heads.extend(firsts.into_values().map(|index| (waiting[index].behind, Reverse(left - 1 - index))));
        waiting.reverse();
        Self { events: waiting, heads, left }
    }

    /// The events of the next request, which are under way from now on; none when all others have arrived, are under
    /// way, or wait.
    pub(crate) fn next(&mut self) -> Vec<usize> {
        let Some((behind, _)) = self.heads.peek() else { return Vec::new() };
        let most = self.left.div_ceil(behind + 1).min(RECORDS);
        let (mut request, mut bytes) = (Vec::with_capacity(most), 0);
        while request.len() < most
            && let Some((_, Reverse(index))) = self.heads.peek()
        {
            bytes += self.events[*index].size;
            if bytes > BYTES && !request.is_empty() {
                break;
            }
            request.push(*index);
            self.heads.pop();
        }
        self.left -= request.len();
        request
    }

    /// One that was under way has arrived: the next of its line may go.
    pub(crate) fn arrived(&mut self, index: usize) {
        if let Some(next) = self.events[index].next {
            self.heads.push((self.events[next].behind, Reverse(next)));
        }
    }

    /// One that was under way was refused: it goes again.
    pub(crate) fn refused(&mut self, index: usize) {
        self.heads.push((self.events[index].behind, Reverse(index)));
        self.left += 1;
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
            let mut batches = Batches::new(events.iter().enumerate().map(|(index, (_, size))| (line(index), *size)));
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

    fn sizes(mut batches: Batches) -> Vec<usize> {
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
        let by_key = Batches::new(keys.iter().map(|key| (Some(&key[..]), 10)));
        assert_eq!(sizes(by_key), [500, 500, 200]);
        assert_eq!(sizes(Batches::new(vec![(None, 10); 1_200].into_iter())), [500, 500, 200]);
        assert_eq!(sizes(Batches::new([(Some(&b"key"[..]), 10); 3].into_iter())), [1, 1, 1]);
    }

    /// The others of a batch go beside a line that is far longer, in as many requests as that has events.
    #[test]
    fn a_long_line_moves_beside_the_others() {
        let keys: Vec<_> = (0..900_u32).map(u32::to_be_bytes).collect();
        let hot = (0..100).map(|_| (Some(&b"hot"[..]), 10));
        let others = keys.iter().map(|key| (Some(&key[..]), 10));
        // Wherever its events stand.
        for events in [hot.clone().chain(others.clone()).collect::<Vec<_>>(), others.chain(hot).collect()] {
            assert_eq!(sizes(Batches::new(events.into_iter())), [10; 100]);
        }
    }
}
