//! The part of a shard's reading limits that may be used.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// In millionths, so that parts add up to exactly the whole.
const WHOLE: u32 = 1_000_000;

/// A part of what a shard gives to its readers in a second: calls and bytes. Written as a number from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadShare(u32);

/// A number that is no part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a part of a shard's limits is a number from 0.001 to 1, such as 0.5")]
pub struct ReadShareError;

impl ReadShare {
    /// Nothing: whoever has it waits.
    pub const NOTHING: Self = Self(0);
    /// Half, unless told otherwise: a consumer that reads once a second, as AWS advises, has room beside it.
    pub const HALF: Self = Self(WHOLE / 2);
    /// All of it.
    pub const ALL: Self = Self(WHOLE);
    /// The smallest part that can be asked for.
    pub const SMALLEST: Self = Self(WHOLE / 1_000);

    /// A part from 0 to 1, to the next millionth.
    pub fn new(part: f64) -> Result<Self, ReadShareError> {
        if !(0.0..=1.0).contains(&part) {
            return Err(ReadShareError);
        }
        // From 0 to a million.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(Self((part * f64::from(WHOLE)).round() as u32))
    }

    /// From 0 to 1.
    pub fn part(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE)
    }

    /// True if it can be asked for.
    pub fn is_enough(self) -> bool {
        self >= Self::SMALLEST
    }

    /// A part of this many that are alike, rounded down; for 0 the whole.
    #[must_use]
    pub fn divided(self, readers: usize) -> Self {
        Self(self.0 / u32::try_from(readers).unwrap_or(u32::MAX).max(1))
    }

    /// Both together, at most all.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self((self.0 + other.0).min(WHOLE))
    }

    /// What is left of it without the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for ReadShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.part().fmt(f)
    }
}

impl FromStr for ReadShare {
    type Err = ReadShareError;

    fn from_str(text: &str) -> Result<Self, ReadShareError> {
        let share = Self::new(text.parse().map_err(|_| ReadShareError)?)?;
        if share.is_enough() { Ok(share) } else { Err(ReadShareError) }
    }
}

impl Serialize for ReadShare {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.part())
    }
}

impl<'de> Deserialize<'de> for ReadShare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_part_is_what_a_person_writes() {
        for (text, millionths) in [("0.5", 500_000), ("1", 1_000_000), ("0.001", 1_000), ("1.0", 1_000_000)] {
            assert_eq!(text.parse::<ReadShare>(), Ok(ReadShare(millionths)), "{text}");
        }
        for text in ["0", "0.0001", "1.01", "-0.5", "NaN", "inf", "half", "", "50%"] {
            assert_eq!(text.parse::<ReadShare>(), Err(ReadShareError), "{text}");
        }
        assert_eq!(ReadShare::HALF.to_string(), "0.5");
        assert_eq!(serde_json::to_string(&ReadShare(300_000)).unwrap(), "0.3");
        assert_eq!(serde_json::from_str::<ReadShare>("1").unwrap(), ReadShare::ALL);
        assert!(serde_json::from_str::<ReadShare>("1.5").is_err());
    }

    proptest! {
        #[test]
        fn a_part_is_read_as_it_was_written(millionths in 0..=WHOLE) {
            let share = ReadShare(millionths);
            let text = serde_json::to_string(&share).unwrap();
            prop_assert_eq!(serde_json::from_str::<ReadShare>(&text).unwrap(), share);
        }

        #[test]
        fn parts_of_many_are_no_more_than_the_whole(millionths in 0..=WHOLE, readers in 1_usize..50) {
            let share = ReadShare(millionths);
            let all = (0..readers).fold(ReadShare::NOTHING, |sum, _| sum.with(share.divided(readers)));
            prop_assert!(all <= share);
        }
    }
}
