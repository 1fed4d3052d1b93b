//! Keys' hashes: they say which shard of a stream takes an event.

use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// Hexadecimal digits of a hash.
const DIGITS: usize = 32;

/// The hash of a key: its MD5, read as a number, as Kinesis has it (Kinesis Data Streams, API reference,
/// `PutRecordsRequestEntry`).
///
/// ```
/// assert_eq!(sluice_transfer::key_hash(b"a"), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
/// ```
pub fn key_hash(key: &[u8]) -> u128 {
    u128::from_be_bytes(Md5::digest(key).into())
}

/// Hashes in a row, at least one. Written as the first and the last, in hexadecimal.
///
/// ```
/// use sluice_transfer::HashRange;
///
/// let [low, high] = HashRange::equal(2)[..] else { panic!() };
/// assert_eq!(low.to_string(), "00000000000000000000000000000000-7fffffffffffffffffffffffffffffff");
/// assert!(high.contains(u128::MAX) && !low.meets(high));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HashRange {
    first: u128,
    last: u128,
}

/// What is not a range of hashes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a range of hashes is written FIRST-LAST, each of 32 hexadecimal digits, the first not behind the last")]
pub struct HashRangeError;

impl HashRange {
    /// All hashes.
    pub const ALL: Self = Self { first: 0, last: u128::MAX };

    /// From the first to the last, both of them in it. None if the first lies behind the last.
    pub fn new(first: u128, last: u128) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The whole space in this many ranges of one size; the last one has what is left over. No more than 2^16 of them.
    pub fn equal(count: u16) -> Vec<Self> {
        let count = u128::from(count.max(1));
        if count == 1 {
            return vec![Self::ALL];
        }
        // 2^128 / count, rounded down, without 2^128.
        let size = (u128::MAX - (count - 1)) / count + 1;
        let last = |number: u128| if number + 1 == count { u128::MAX } else { (number + 1) * size - 1 };
        (0..count).map(|number| Self { first: number * size, last: last(number) }).collect()
    }

    /// True if the hash lies in it.
    pub fn contains(self, hash: u128) -> bool {
        (self.first..=self.last).contains(&hash)
    }

    /// True if some hash lies in both.
    pub fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// True if all hashes of the other one lie in it.
    pub fn holds(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// The first hash.
    pub fn first(self) -> u128 {
        self.first
    }

    /// The last hash.
    pub fn last(self) -> u128 {
        self.last
    }

    /// True if each hash lies in exactly one of the ranges.
    pub fn tile(ranges: &[Self]) -> bool {
        let mut ranges = ranges.to_vec();
        ranges.sort_unstable();
        let mut next = Some(0);
        for range in ranges {
            if next != Some(range.first) {
                return false;
            }
            next = range.last.checked_add(1);
        }
        next.is_none()
    }
}

impl fmt::Display for HashRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}-{:032x}", self.first, self.last)
    }
}

impl FromStr for HashRange {
    type Err = HashRangeError;

    fn from_str(text: &str) -> Result<Self, HashRangeError> {
        let hash = |text: &str| {
            let is_one = text.len() == DIGITS && text.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_one.then(|| u128::from_str_radix(text, 16).ok()).flatten()
        };
        let (first, last) = text.split_once('-').ok_or(HashRangeError)?;
        hash(first).zip(hash(last)).and_then(|(first, last)| Self::new(first, last)).ok_or(HashRangeError)
    }
}

impl TryFrom<String> for HashRange {
    type Error = HashRangeError;

    fn try_from(text: String) -> Result<Self, HashRangeError> {
        text.parse()
    }
}

impl From<HashRange> for String {
    fn from(range: HashRange) -> Self {
        range.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equal_ranges_tile_the_space(count in prop_oneof![0..5_u16, any::<u16>()]) {
            let ranges = HashRange::equal(count);
            prop_assert_eq!(ranges.len(), usize::from(count.max(1)));
            prop_assert!(HashRange::tile(&ranges));
        }

        #[test]
        fn a_range_is_read_as_it_is_written(first: u128, last: u128) {
            let range = HashRange::new(first.min(last), first.max(last)).unwrap();
            prop_assert_eq!(range.to_string().parse(), Ok(range));
        }

        #[test]
        fn ranges_meet_where_a_hash_lies_in_both(a: u8, b: u8, c: u8, d: u8) {
            let range = |x: u8, y: u8| HashRange::new(x.min(y).into(), x.max(y).into()).unwrap();
            let (one, other) = (range(a, b), range(c, d));
            let both = (0..=u128::from(u8::MAX)).any(|hash| one.contains(hash) && other.contains(hash));
            prop_assert_eq!(one.meets(other), both);
        }
    }

    #[test]
    fn what_overlaps_or_leaves_something_out_does_not_tile() {
        let halves = HashRange::equal(2);
        assert!(HashRange::tile(&[halves[1], halves[0]]), "in any order");
        assert!(!HashRange::tile(&halves[..1]) && !HashRange::tile(&halves[1..]) && !HashRange::tile(&[]));
        assert!(!HashRange::tile(&[halves[0], HashRange::ALL]));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        let (low, high) = ("0".repeat(32), "f".repeat(32));
        for text in ["", "-", "0-1", &low, &format!("{high}-{low}"), &format!("+{}-{high}", &low[1..])] {
            assert_eq!(text.parse::<HashRange>(), Err(HashRangeError), "{text}");
        }
    }
}
