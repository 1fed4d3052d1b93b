//! Sequence numbers as Kinesis writes them: 186 bits, 56 decimal digits, the last four bits the same in all.
//!
//! Kinesis calls them opaque. Their layout is known from the numbers themselves: the shard's creation second, the
//! record's index, the record's arrival second, the shard. Only numbers of that layout are accepted, so a reader that
//! adds one to a number is refused here as it is there.

use std::fmt;

/// Chunks of decimal digits that a limb's division yields.
const CHUNK: u64 = 1_000_000_000_000_000_000;
/// The four bits that all numbers end with, and begin with.
const VERSION: u64 = 2;

/// A sequence number. Order is that of the digits: records of one shard by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number {
    /// Second in which the shard began.
    pub created: u64,
    /// The shard's index in its stream.
    pub shard: u32,
    /// Grows with each record of the stream. [`Number::LAST`] ends a closed shard.
    pub index: u64,
    /// Second of arrival.
    pub second: u64,
}

impl Number {
    /// The index in the ending number of a closed shard; no record has it.
    pub(crate) const LAST: u64 = i64::MAX as u64;

    fn limbs(self) -> [u64; 3] {
        let shard = u64::from(self.shard);
        [
            self.index >> 48 | (shard & 0xf) << 16 | self.created << 20 | VERSION << 56,
            self.second >> 28 | self.index << 16,
            VERSION | shard << 4 | self.second << 36,
        ]
    }

    /// The number that the digits stand for; none if Kinesis would not have given it.
    pub(crate) fn parse(digits: &str) -> Option<Self> {
        if digits.starts_with('0') || digits.len() > 57 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let mut limbs = [0_u64; 3];
        for digit in digits.bytes() {
            let mut carry = u128::from(digit - b'0');
            for limb in limbs.iter_mut().rev() {
                let product = u128::from(*limb) * 10 + carry;
                *limb = low(product);
                carry = product >> 64;
            }
            if carry > 0 {
                return None;
            }
        }
        let [high, middle, rest] = limbs;
        let number = Self {
            created: high >> 20 & 0xf_ffff_ffff,
            shard: u32::try_from(rest >> 4 & 0xffff_ffff).ok()?,
            index: (high & 0xffff) << 48 | middle >> 16,
            second: (middle & 0xff) << 28 | rest >> 36,
        };
        // Whatever has other bits than these is no number.
        (number.limbs() == limbs).then_some(number)
    }
}

fn low(wide: u128) -> u64 {
    u64::try_from(wide & u128::from(u64::MAX)).unwrap_or(u64::MAX)
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limbs = self.limbs();
        let mut chunks = [0_u64; 4];
        for chunk in chunks.iter_mut().rev() {
            let mut rest = 0_u128;
            for limb in &mut limbs {
                let dividend = rest << 64 | u128::from(*limb);
                *limb = low(dividend / u128::from(CHUNK));
                rest = dividend % u128::from(CHUNK);
            }
            *chunk = low(rest);
        }
        let [first, others @ ..] = chunks;
        write!(f, "{first}")?;
        others.iter().try_for_each(|chunk| write!(f, "{chunk:018}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_of_kinesis_is_read_and_written() {
        let real = "49590338271490256608559692538361571095921575989136588898";
        let number = Number::parse(real).unwrap();
        assert_eq!((number.to_string().as_str(), number.shard), (real, 6));
        assert!((1_500_000_000..1_600_000_000).contains(&number.created), "{number:?}");
        assert_eq!(real.len(), 56);
    }

    #[test]
    fn made_up_numbers_are_none() {
        let next = "49590338271490256608559692538361571095921575989136588899";
        for text in ["", "0", "1", "-1", "a", next, "049590338271490256608559692538361571095921575989136588898"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        assert_eq!(Number::parse(&"9".repeat(57)), None);
        assert_eq!(Number::parse(&"9".repeat(58)), None);
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_written_and_grow(
            created in 1_000_000_000_u64..3_000_000_000, shard in any::<u32>(),
            index in 0..Number::LAST,
            later in 1_000_000_000_u64..3_000_000_000, second in 1_000_000_000_u64..3_000_000_000,
        ) {
            let number = Number { created, shard, index, second };
            let text = number.to_string();
            prop_assert_eq!((text.len(), Number::parse(&text)), (56, Some(number)));
            let next = Number { index: index + 1, second: later, ..number };
            prop_assert!(next > number && next.to_string() > text);
        }
    }
}
