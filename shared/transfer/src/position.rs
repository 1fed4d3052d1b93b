//! Places in a stream: positions, cursors, ranges and cuts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Sequence, ShardId};

/// A text is no position, cursor or cut.
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

/// A boundary between two events of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Position {
    /// In front of the first event that the shard ever held.
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

    /// True if the event of that number lies in front of this boundary.
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

/// A place between two bytes of a shard: this many bytes of payload into the event behind a position.
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

/// The part of a shard that a transfer moves: the events behind `from` and not behind `until`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Starts behind this.
    pub from: Position,
    /// Ends here.
    pub until: Position,
}

impl Range {
    /// True if no event can lie in it.
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
    /// The prefix of a cut.
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
    use proptest::prelude::*;

    use super::*;
    use crate::sequence::tests::number;

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
        fn next_and_before_are_inverse(a in number()) {
            prop_assert_eq!(a.next().before(), Some(a.clone()));
            prop_assert!(a.next() > a);
            prop_assert!(Position::before(&a.next()) == Position::After(a));
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
