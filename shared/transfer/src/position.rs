//! Where in a stream: sequence numbers, positions, cursors and cuts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ShardId;

/// A text is not what its place asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    /// Sequence numbers are decimal digits.
    #[error("'{0}' is not a sequence number (decimal digits)")]
    Sequence(String),
    /// Positions are written `start`, `after:SEQUENCE` or `end`.
    #[error("'{0}' is not a position (start, after:SEQUENCE or end)")]
    Position(String),
    /// Cuts are written `cut:SHARD@SEQUENCE,SHARD@SEQUENCE`.
    #[error("'{0}' is not a cut (cut:SHARD@SEQUENCE,SHARD@SEQUENCE,…)")]
    Cut(String),
}

/// Digits of a sequence number, at most.
const LONGEST: usize = 256;

/// A number that a store gave to an event, unique and growing within a shard.
///
/// Every store that Sluice knows numbers in decimal; Kinesis uses 56 digits, which no integer holds
/// (Kinesis Data Streams, API reference, `SequenceNumber`). Order is that of the numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sequence(Digits);

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
        Self(Digits::Small(number))
    }

    /// The number, where it fits.
    pub fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Digits::Small(number) => Some(number),
            Digits::Large(_) => None,
        }
    }

    /// The number one below; none below zero.
    pub fn before(&self) -> Option<Self> {
        match &self.0 {
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
        let digits = text.trim_start_matches('0');
        match if digits.is_empty() { "0" } else { digits }.parse::<u64>() {
            Ok(number) => Self::new(number),
            Err(_) => Self(Digits::Large(digits.into())),
        }
    }

    /// Whether the number one above is longer than any that is read.
    fn is_last(&self) -> bool {
        matches!(&self.0, Digits::Large(text) if text.len() == LONGEST && text.bytes().all(|digit| digit == b'9'))
    }

    /// The number one above.
    #[must_use]
    pub fn next(&self) -> Self {
        let text = match &self.0 {
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
        Self(Digits::Large(text.into()))
    }

    /// How far this number lies behind `from`; nothing where it does not. The difference is exact and only then
    /// rounded, so of two numbers the larger one never has the smaller span.
    pub fn span(&self, from: &Self) -> f64 {
        if let (Digits::Small(this), Digits::Small(from)) = (&self.0, &from.0) {
            return this.saturating_sub(*from) as f64;
        }
        if self <= from {
            return 0.0;
        }
        let mut digits = self.to_string().into_bytes();
        let lower = from.to_string().into_bytes();
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
        match &self.0 {
            Digits::Small(number) => f.pad(&number.to_string()),
            Digits::Large(text) => f.pad(text),
        }
    }
}

impl FromStr for Sequence {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(PositionError::Sequence(text.chars().take(80).collect()));
        }
        Ok(Self::of_digits(text))
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

/// A boundary between two events of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Position {
    /// Before whatever the shard held first.
    #[default]
    Beginning,
    /// Behind the event of this number.
    After(Sequence),
    /// Behind all that ever comes.
    End,
}

impl Position {
    /// The boundary in front of the event of that number.
    pub fn before(sequence: &Sequence) -> Self {
        sequence.before().map_or(Self::Beginning, Self::After)
    }

    /// Whether the event of that number lies in front of this boundary.
    pub fn covers(&self, sequence: &Sequence) -> bool {
        match self {
            Self::Beginning => false,
            Self::After(last) => sequence <= last,
            Self::End => true,
        }
    }

    /// The smallest number an event behind this boundary can have; none behind the end.
    pub fn next_sequence(&self) -> Option<Sequence> {
        match self {
            Self::Beginning => Some(Sequence::new(0)),
            Self::After(last) => Some(last.next()),
            Self::End => None,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beginning => f.write_str("start"),
            Self::After(sequence) => write!(f, "after:{sequence}"),
            Self::End => f.write_str("end"),
        }
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        match text {
            "start" => Ok(Self::Beginning),
            "end" => Ok(Self::End),
            _ => text
                .strip_prefix("after:")
                .and_then(|sequence| sequence.parse().ok())
                // Behind the last number that can be read there is none, and a cut is written by the one behind.
                .filter(|sequence: &Sequence| !sequence.is_last())
                .map(Self::After)
                .ok_or_else(|| PositionError::Position(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for Position {
    type Error = PositionError;
    fn try_from(text: String) -> Result<Self, PositionError> {
        text.parse()
    }
}

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

/// A place between two bytes of a shard: so many bytes of payload into the event behind a position.
/// Written `after:12` or `after:12+400`. Only formats that cut events have an offset.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    /// Behind the last event that is whole.
    pub position: Position,
    /// Bytes of the next event's payload that lie in front, 0 at an event's boundary.
    pub offset: u64,
}

impl Cursor {
    /// At an event's boundary.
    pub const fn at(position: Position) -> Self {
        Self { position, offset: 0 }
    }
}

impl Cursor {
    /// As a person reads it: a cut of the one shard, and how far into its event.
    pub fn of_shard(&self, shard: &ShardId) -> String {
        let cut = Cut::of(shard.clone(), self.position.clone());
        if self.offset == 0 { cut.to_string() } else { format!("{cut} (its byte {})", self.offset) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            0 => write!(f, "{}", self.position),
            offset => write!(f, "{}+{offset}", self.position),
        }
    }
}

impl FromStr for Cursor {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let Some((position, offset)) = text.split_once('+') else {
            return Ok(Self::at(text.parse()?));
        };
        let offset = offset.parse().map_err(|_| PositionError::Position(text.chars().take(80).collect()))?;
        Ok(Self { position: position.parse()?, offset })
    }
}

impl TryFrom<String> for Cursor {
    type Error = PositionError;
    fn try_from(text: String) -> Result<Self, PositionError> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

/// What a transfer takes of a shard: the events behind `from` and not behind `until`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Starts behind this.
    pub from: Position,
    /// Ends here.
    pub until: Position,
}

impl Range {
    /// Whether no event can lie in it.
    pub fn is_empty(&self) -> bool {
        self.until <= self.from
    }
}

/// Events that the source no longer had when they were to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Lost from here
    pub from: Cursor,
    /// to here.
    pub until: Cursor,
}

/// One position for every shard of a stream. It can be printed, kept and given as a bound.
///
/// Written `cut:SHARD@SEQUENCE,…`: the boundary in front of the event of that number. Read with or without `cut:`,
/// since earlier versions left it out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cut(pub BTreeMap<ShardId, Position>);

impl Cut {
    /// How a cut begins.
    pub const PREFIX: &str = "cut:";

    /// The position of one shard.
    pub fn of(shard: ShardId, position: Position) -> Self {
        Self(BTreeMap::from([(shard, position)]))
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        for (i, (shard, position)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match position.next_sequence() {
                Some(sequence) => write!(f, "{comma}{shard}@{sequence}")?,
                None => write!(f, "{comma}{shard}@end")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Cut {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let wrong = || PositionError::Cut(text.chars().take(80).collect());
        let mut cut = BTreeMap::new();
        for entry in text.strip_prefix(Self::PREFIX).unwrap_or(text).split(',').filter(|entry| !entry.is_empty()) {
            let (shard, sequence) = entry.rsplit_once('@').ok_or_else(wrong)?;
            let position = match sequence {
                "end" => Position::End,
                _ => Position::before(&sequence.parse()?),
            };
            if cut.insert(shard.parse().map_err(|_| wrong())?, position).is_some() {
                return Err(wrong());
            }
        }
        Ok(Self(cut))
    }
}

impl TryFrom<String> for Cut {
    type Error = PositionError;
    fn try_from(text: String) -> Result<Self, PositionError> {
        text.parse()
    }
}

impl From<Cut> for String {
    fn from(cut: Cut) -> Self {
        cut.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = Sequence> {
        prop_oneof!["[1-9][0-9]{0,60}", "[0-9]{1,4}", "1?9{1,25}", "10{1,25}"].prop_map(|text| text.parse().unwrap())
    }

    fn position() -> impl Strategy<Value = Position> {
        prop_oneof![Just(Position::Beginning), number().prop_map(Position::After), Just(Position::End)]
    }

    #[test]
    fn people_read_cuts() {
        let shard = "0".parse().unwrap();
        let mut cursor = Cursor::at(Position::After(Sequence::new(11)));
        assert_eq!(cursor.of_shard(&shard), "cut:0@12");
        cursor.offset = 400;
        assert_eq!(cursor.of_shard(&shard), "cut:0@12 (its byte 400)");
        assert_eq!(Cursor::default().of_shard(&shard), "cut:0@0");
    }

    #[test]
    fn behind_the_longest_numbers_nothing_is_lost() {
        let last: Sequence = "9".repeat(256).parse().unwrap();
        assert_eq!(last.next().before(), Some(last.clone()));
        assert!(format!("after:{last}").parse::<Position>().is_err(), "a cut could not name the number behind it");
        assert!(format!("1{last}").parse::<Sequence>().is_err());
        let position = Position::before(&last);
        assert_eq!(position.to_string().parse(), Ok(position.clone()));
        let cut = Cut([("0".parse().unwrap(), position)].into());
        assert_eq!(cut.to_string().parse(), Ok(cut));
    }

    proptest! {
        #[test]
        fn sequence_order_is_numeric(a in number(), b in number()) {
            let pad = |s: &Sequence| format!("{:0>80}", s.to_string());
            prop_assert_eq!(a.cmp(&b), pad(&a).cmp(&pad(&b)));
        }

        #[test]
        fn next_and_before_are_inverse(a in number()) {
            prop_assert_eq!(a.next().before(), Some(a.clone()));
            prop_assert!(a.next() > a);
            prop_assert!(Position::before(&a.next()) == Position::After(a));
        }

        #[test]
        fn a_span_is_the_difference(a in any::<u64>(), b in any::<u64>(), ahead in "[1-9][0-9]{0,55}", n in number()) {
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

        #[test]
        fn texts_read_back(p in position(), offset in prop_oneof![Just(0), any::<u64>()], a in number()) {
            prop_assert_eq!(p.to_string().parse::<Position>(), Ok(p.clone()));
            let cursor = Cursor { position: p, offset };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
            prop_assert_eq!(format!("000{a}").parse::<Sequence>(), Ok(a));
        }

        #[test]
        fn cuts_read_back(shards in proptest::collection::btree_map("[a-zA-Z0-9-]{1,12}", position(), 0..5)) {
            // Before the event 0 and before everything are the same boundary, once written as a number.
            let cut = Cut(shards.into_iter().map(|(shard, position)| (shard.parse().unwrap(), position)).collect());
            let text = cut.to_string();
            prop_assert_eq!(text.parse::<Cut>(), Ok(cut.clone()));
            prop_assert_eq!(text.strip_prefix("cut:").unwrap().parse::<Cut>(), Ok(cut), "as earlier versions wrote it");
        }

        #[test]
        fn foreign_texts_do_not_panic(text in ".*") {
            let _ = text.parse::<Sequence>();
            let _ = text.parse::<Cursor>();
            let _ = text.parse::<Cut>();
        }
    }
}
