//! The numbers that stores give to events.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::PositionError;

/// Digits of a sequence number, at most.
const LONGEST: usize = 256;
/// Digits of the largest number of 64 bits. No longer number is one.
const SMALL: usize = 20;

/// The sub-number of an event that ends its record: behind it the whole record is read.
const LAST: u32 = u32::MAX;

/// A number that a store gave to an event, unique and growing within a shard.
///
/// Every store that Sluice knows numbers in decimal; Kinesis uses 56 digits, which no integer holds
/// (Kinesis Data Streams, API reference, `SequenceNumber`). Order is that of the numbers.
///
/// A record may hold several events. They are written `NUMBER#0`, `NUMBER#1` and so on, and the last one has the
/// record's number alone: behind it lies nothing more of the record.
///
/// ```
/// use sluice_transfer::Sequence;
///
/// let record = Sequence::new(12);
/// assert_eq!(record.event(0, 3).to_string(), "12#0");
/// assert_eq!(record.event(2, 3), record);
/// assert!(record.event(1, 3) < record && record.event(0, 3) > Sequence::new(11));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sequence {
    digits: Digits,
    sub: u32,
}

/// Canonical: `Large` only for what `Small` cannot hold, without leading zeros. So the derived order and equality
/// are those of the numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Digits {
    Small(u64),
    Large(Box<str>),
}

impl Ord for Digits {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Small(a), Self::Small(b)) => a.cmp(b),
            (Self::Small(_), Self::Large(_)) => std::cmp::Ordering::Less,
            (Self::Large(_), Self::Small(_)) => std::cmp::Ordering::Greater,
            (Self::Large(a), Self::Large(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
        }
    }
}

impl PartialOrd for Digits {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Sequence {
    /// From a number.
    pub const fn new(number: u64) -> Self {
        Self::of(Digits::Small(number))
    }

    const fn of(digits: Digits) -> Self {
        Self { digits, sub: LAST }
    }

    /// The number of one of the events that the record of this number holds, counted from 0.
    #[must_use]
    pub fn event(&self, index: u32, events: u32) -> Self {
        let sub = if index + 1 >= events { LAST } else { index };
        Self { digits: self.digits.clone(), sub }
    }

    /// The number of the record that holds the event.
    #[must_use]
    pub fn record(&self) -> Self {
        Self::of(self.digits.clone())
    }

    /// The event's place in its record, from 0, if others follow it there.
    pub fn sub(&self) -> Option<u32> {
        (self.sub != LAST).then_some(self.sub)
    }

    /// The number, where it fits.
    pub fn as_u64(&self) -> Option<u64> {
        match self.digits {
            Digits::Small(number) if self.sub == LAST => Some(number),
            Digits::Small(_) | Digits::Large(_) => None,
        }
    }

    /// The number one below; none below zero. In front of the first event of a record that is the record before.
    pub fn before(&self) -> Option<Self> {
        if let Some(sub) = self.sub().filter(|sub| *sub > 0) {
            return Some(Self { digits: self.digits.clone(), sub: sub - 1 });
        }
        match &self.digits {
            Digits::Small(number) => number.checked_sub(1).map(Self::new),
            Digits::Large(text) => {
                let mut digits = text.as_bytes().to_vec();
                for digit in digits.iter_mut().rev() {
                    if *digit > b'0' {
                        *digit -= 1;
                        break;
                    }
                    *digit = b'9';
                }
                Some(Self::of_digits(std::str::from_utf8(&digits).ok()?))
            }
        }
    }

    /// Of decimal digits, zeros in front or not.
    fn of_digits(text: &str) -> Self {
        let zeros = text.bytes().take_while(|digit| *digit == b'0').count();
        let digits = &text[zeros..];
        let small = (digits.len() <= SMALL).then(|| if digits.is_empty() { Ok(0) } else { digits.parse() });
        match small {
            Some(Ok(number)) => Self::new(number),
            Some(Err(_)) | None => Self::of(Digits::Large(digits.into())),
        }
    }

    /// True if the number one above is longer than any that is read.
    pub(crate) fn is_last(&self) -> bool {
        matches!(&self.digits, Digits::Large(text) if text.len() == LONGEST && text.bytes().all(|digit| digit == b'9'))
    }

    /// The number one above. Within a record that is the next event of it, which may be written in two ways: as its last
    /// one it has the record's number.
    #[must_use]
    pub fn next(&self) -> Self {
        if let Some(sub) = self.sub() {
            return Self { digits: self.digits.clone(), sub: sub + 1 };
        }
        let text = match &self.digits {
            Digits::Small(number) if *number < u64::MAX => return Self::new(number + 1),
            Digits::Small(number) => number.to_string(),
            Digits::Large(text) => text.to_string(),
        };
        let mut digits = text.into_bytes();
        let mut carry = true;
        for digit in digits.iter_mut().rev() {
            if *digit < b'9' {
                *digit += 1;
                carry = false;
                break;
            }
            *digit = b'0';
        }
        if carry {
            digits.insert(0, b'1');
        }
        let text: String = digits.into_iter().map(char::from).collect();
        Self::of(Digits::Large(text.into()))
    }

    /// The distance from `from` to this number; nothing where it does not. The difference is exact and only then
    /// rounded, so of two numbers the larger one never has the smaller span.
    pub fn span(&self, from: &Self) -> f64 {
        if let (Digits::Small(this), Digits::Small(from)) = (&self.digits, &from.digits) {
            return this.saturating_sub(*from) as f64;
        }
        if self <= from {
            return 0.0;
        }
        let mut digits = self.record().to_string().into_bytes();
        let lower = from.record().to_string().into_bytes();
        let mut borrow = false;
        for (index, digit) in digits.iter_mut().rev().enumerate() {
            let less = lower.iter().rev().nth(index).map_or(0, |digit| digit - b'0') + u8::from(borrow);
            let here = *digit - b'0';
            borrow = here < less;
            *digit = b'0' + here + if borrow { 10 } else { 0 } - less;
        }
        // 256 digits at most, which is far from the largest `f64`.
        digits.into_iter().map(char::from).collect::<String>().parse().unwrap_or(f64::MAX)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.digits, self.sub()) {
            (Digits::Small(number), None) => f.pad(&number.to_string()),
            (Digits::Large(text), None) => f.pad(text),
            (Digits::Small(number), Some(sub)) => f.pad(&format!("{number}#{sub}")),
            (Digits::Large(text), Some(sub)) => f.pad(&format!("{text}#{sub}")),
        }
    }
}

impl FromStr for Sequence {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let wrong = || PositionError::Sequence(text.chars().take(80).collect());
        // All bytes are looked at, without a branch for each: numbers are read once an event.
        let is_digits = |text: &str| text.bytes().fold(true, |all, byte| all & byte.is_ascii_digit());
        let is_number = |text: &str| !text.is_empty() && is_digits(text);
        if text.len() <= LONGEST && is_number(text) {
            return Ok(Self::of_digits(text));
        }
        let (digits, sub) = text.split_once('#').map_or((text, None), |(digits, sub)| (digits, Some(sub)));
        if !is_number(digits) || digits.len() > LONGEST || sub.is_some_and(|sub| !is_number(sub)) {
            return Err(wrong());
        }
        // A record holds less than a few million events: the largest number is that of the record as a whole.
        let sub = sub.map(|sub| sub.parse().ok().filter(|sub| *sub < LAST - 1).ok_or_else(wrong)).transpose()?;
        Ok(Self { sub: sub.unwrap_or(LAST), ..Self::of_digits(digits) })
    }
}

impl TryFrom<String> for Sequence {
    type Error = PositionError;
    fn try_from(text: String) -> Result<Self, PositionError> {
        text.parse()
    }
}

impl From<Sequence> for String {
    fn from(sequence: Sequence) -> Self {
        sequence.to_string()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers of events of any store.
    pub(crate) fn number() -> impl Strategy<Value = Sequence> {
        let sub = prop_oneof![8 => Just(LAST), 1 => 0..3_u32, 1 => 0..1_u32 << 31];
        (whole(), sub).prop_map(|(whole, sub)| Sequence { sub, ..whole })
    }

    fn whole() -> impl Strategy<Value = Sequence> {
        prop_oneof!["[1-9][0-9]{0,60}", "[0-9]{1,4}", "1?9{1,25}", "10{1,25}"].prop_map(|text| text.parse().unwrap())
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "#", "#1", "1#", "1#-1", "1#+1", "-1", "1#1#1", "1#4294967294", "1#4294967295", "1# 1", "a"] {
            assert!(text.parse::<Sequence>().is_err(), "{text}");
        }
        assert_eq!("007#01".parse::<Sequence>().unwrap().to_string(), "7#1");
    }

    #[test]
    fn events_of_a_record_lie_between_its_neighbours() {
        let record = Sequence::new(7);
        let numbers: Vec<_> = (0..3).map(|index| record.event(index, 3)).collect();
        assert_eq!(numbers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["7#0", "7#1", "7"]);
        assert!(numbers.is_sorted() && numbers[0] > Sequence::new(6) && numbers[2] < Sequence::new(8));
        assert_eq!(numbers[0].before(), Some(Sequence::new(6)));
        assert!(numbers.iter().all(|number| number.record() == record));
        assert_eq!(record.event(0, 1), record);
    }

    proptest! {
        #[test]
        fn sequence_order_is_numeric(a in number(), b in number()) {
            let pad = |s: &Sequence| format!("{:0>80}#{:0>10}", s.record().to_string(), s.sub);
            prop_assert_eq!(a.cmp(&b), pad(&a).cmp(&pad(&b)));
        }

        #[test]
        fn a_span_is_the_difference(a in any::<u64>(), b in any::<u64>(), ahead in "[1-9][0-9]{0,55}", n in whole()) {
            // Both in front of 10^56, so that the digits' own subtraction is at work.
            let large = |small: u64| format!("{ahead}{small:0>20}").parse::<Sequence>().unwrap();
            prop_assert_eq!(large(a).span(&large(b)).to_bits(), (a.saturating_sub(b) as f64).to_bits());
            prop_assert_eq!(Sequence::new(a).span(&Sequence::new(b)).to_bits(), (a.saturating_sub(b) as f64).to_bits());
            prop_assert_eq!(n.span(&Sequence::new(0)).to_bits(), n.to_string().parse::<f64>().unwrap().to_bits());
            prop_assert!(Sequence::new(0).span(&n) == 0.0);
        }

        #[test]
        fn a_span_grows_with_its_end(a in number(), b in number(), from in number()) {
            let (less, more) = if a <= b { (a, b) } else { (b, a) };
            prop_assert!(less.span(&from) <= more.span(&from));
            prop_assert!(more.span(&more) == 0.0);
        }
    }
}
