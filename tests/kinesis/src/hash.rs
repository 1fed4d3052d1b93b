//! The hash space of partition keys, 0 to 2^128 − 1, and its ranges.

use md5::{Digest, Md5};

/// Hashes that lead to one shard. Both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashes {
    /// The first.
    pub first: u128,
    /// The last.
    pub last: u128,
}

impl Hashes {
    /// All hashes.
    pub const ALL: Self = Self { first: 0, last: u128::MAX };

    /// True if the hash lies in the range.
    pub fn contains(self, hash: u128) -> bool {
        (self.first..=self.last).contains(&hash)
    }

    /// The range cut in two, so that the second half begins at `start`. None if one of them would be empty.
    pub(crate) fn split(self, start: u128) -> Option<[Self; 2]> {
        let inside = start > self.first && start <= self.last;
        inside.then(|| [Self { last: start - 1, ..self }, Self { first: start, ..self }])
    }

    /// Where the second half begins.
    pub(crate) fn middle(self) -> u128 {
        self.first + (self.last - self.first) / 2 + 1
    }

    /// Equal ranges that fill the space, as a new stream has them; the last one has what is left over.
    pub(crate) fn equal(count: u32) -> Vec<Self> {
        let count = u128::from(count.max(1));
        // The floor of 2^128 / count, which is not a u128 for a count of 1.
        let step = (u128::MAX - (count - 1)) / count;
        let first = |number: u128| number * step + number;
        let last = |number: u128| if number + 1 == count { u128::MAX } else { first(number + 1) - 1 };
        (0..count).map(|number| Self { first: first(number), last: last(number) }).collect()
    }
}

/// The hash of a partition key: MD5, read as a number.
pub fn hash_of(key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(key.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_to_md5() {
        assert_eq!(hash_of(""), 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e);
        assert_eq!(hash_of("a"), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
    }

    #[test]
    fn equal_ranges_fill_the_space() {
        for count in [1, 2, 3, 7, 16, 1_000] {
            let ranges = Hashes::equal(count);
            assert_eq!(ranges.len(), count as usize);
            assert_eq!((ranges[0].first, ranges.last().unwrap().last), (0, u128::MAX));
            assert!(ranges.windows(2).all(|two| two[0].last + 1 == two[1].first), "{ranges:?}");
        }
        assert_eq!(Hashes::equal(2)[1].first, 1 << 127, "as in the API reference");
        assert_eq!(Hashes::ALL.middle(), 1 << 127);
    }
}
