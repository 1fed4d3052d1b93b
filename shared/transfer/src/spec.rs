//! Positions as a person types them. What they mean for a shard is resolved once, when a transfer is planned.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Cut, Position, Sequence, ShardId, Timestamp};

/// A bound of a transfer: inclusive as a start, exclusive as an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PositionSpec {
    /// The first event that the store still has.
    Earliest,
    /// Behind the last event that the store has when the bound is resolved.
    Latest,
    /// The first event, in order, of that time or later.
    Time(Timestamp),
    /// As `Time`, this many milliseconds before the bound is resolved.
    Ago(u64),
    /// The event of that number in one shard; other shards are not bounded.
    Sequence {
        /// The shard.
        shard: ShardId,
        /// The event.
        sequence: Sequence,
    },
    /// A position for every shard; shards it does not name are not bounded.
    Cut(Cut),
}

/// A text is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not a position; write earliest, latest, a date, an RFC 3339 time, ago:1h, SHARD@SEQUENCE or cut:SHARD@SEQUENCE,… ({why})"
)]
pub struct SpecError {
    text: String,
    why: String,
}

const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

fn millis(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == &text[digits..])?;
    text[..digits].parse::<u64>().ok()?.checked_mul(*unit)
}

/// The beginning, in UTC, of a day that is written `2026-11-22`.
fn midnight(text: &str) -> Option<Timestamp> {
    let is_date = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
    if is_date { format!("{text}T00:00:00Z").parse().ok() } else { None }
}

impl FromStr for PositionSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let wrong = |why: String| SpecError { text: text.chars().take(120).collect(), why };
        match text {
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            _ => {}
        }
        if let Some(ago) = text.strip_prefix("ago:") {
            return millis(ago)
                .map(Self::Ago)
                .ok_or_else(|| wrong("after ago: a number and ms, s, m, h, d or w".into()));
        }
        if text.starts_with(Cut::PREFIX) {
            let cut: Cut = text.parse().map_err(|error: crate::PositionError| wrong(error.to_string()))?;
            // It would bound nothing, where a script's variable is empty that should hold one.
            return if cut.0.is_empty() { Err(wrong("this cut names no shard".into())) } else { Ok(Self::Cut(cut)) };
        }
        if let Some((shard, sequence)) = text.rsplit_once('@') {
            let shard = shard.parse().map_err(|error: crate::NameError| wrong(error.to_string()))?;
            let sequence = sequence.parse().map_err(|error: crate::PositionError| wrong(error.to_string()))?;
            return Ok(Self::Sequence { shard, sequence });
        }
        if let Some(midnight) = midnight(text) {
            return Ok(Self::Time(midnight));
        }
        text.parse().map(Self::Time).map_err(|error: crate::TimeError| wrong(error.to_string()))
    }
}

impl PositionSpec {
    /// The number that it names in a shard, as a position; none if it names none there.
    pub fn number_in(&self, shard: &ShardId) -> Option<Position> {
        match self {
            Self::Sequence { shard: named, sequence } if named == shard => Some(Position::before(sequence)),
            Self::Cut(Cut(positions)) => positions.get(shard).cloned(),
            _ => None,
        }
    }
}

impl fmt::Display for PositionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Time(time) => write!(f, "{time}"),
            Self::Ago(millis) => write!(f, "ago:{millis}ms"),
            Self::Sequence { shard, sequence } => write!(f, "{shard}@{sequence}"),
            Self::Cut(cut) => write!(f, "{cut}"),
        }
    }
}

impl TryFrom<String> for PositionSpec {
    type Error = SpecError;

    /// As a record has it: earlier versions took a cut of no shards, and what they wrote stays readable.
    fn try_from(text: String) -> Result<Self, SpecError> {
        if text == Cut::PREFIX { Ok(Self::Cut(Cut::default())) } else { text.parse() }
    }
}

impl From<PositionSpec> for String {
    fn from(spec: PositionSpec) -> Self {
        spec.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_type() {
        assert_eq!("ago:1h".parse(), Ok(PositionSpec::Ago(3_600_000)));
        assert_eq!("ago:250ms".parse(), Ok(PositionSpec::Ago(250)));
        let sequence = PositionSpec::Sequence { shard: "0".parse().unwrap(), sequence: Sequence::new(12) };
        assert_eq!("0@12".parse(), Ok(sequence));
        assert!(matches!("2026-01-01T00:00:00Z".parse(), Ok(PositionSpec::Time(_))));
        assert_eq!("2026-11-22".parse::<PositionSpec>(), "2026-11-22T00:00:00Z".parse());
        assert_eq!("2024-02-29".parse::<PositionSpec>(), "2024-02-29T00:00:00Z".parse());
        let no_dates = ["2026-11", "2026-11-31", "2026-13-01", "20261122", "2026-11-22Z", "2026/11/22", "+026-11-22"];
        let numbers = ["", "ago:", "ago:1", "ago:1y", "now", "0@", "@1", "0@x", "cut:0", "ago:99999999999999999999w"];
        let others = numbers.into_iter().chain(["cut:", "cut:,", "cut:,,"]);
        for text in no_dates.into_iter().chain(others) {
            let error = text.parse::<PositionSpec>().unwrap_err().to_string();
            assert!(error.contains("earliest, latest"), "{error}");
        }
    }

    #[test]
    fn a_cut_of_no_shards_is_read_from_records_alone() {
        let refused = "cut:".parse::<PositionSpec>().unwrap_err().to_string();
        assert!(refused.contains("this cut names no shard"), "{refused}");
        let empty = PositionSpec::Cut(Cut::default());
        assert_eq!(serde_json::from_str::<PositionSpec>(r#""cut:""#).unwrap(), empty);
        assert_eq!(serde_json::to_string(&empty).unwrap(), r#""cut:""#);
    }

    proptest! {
        #[test]
        fn texts_read_back(millis in any::<u32>(), micros in 0_i64..4_000_000_000_000_000, n in any::<u64>()) {
            let shard: ShardId = "shard-1".parse().unwrap();
            let cut = Cut([(shard.clone(), Position::before(&Sequence::new(n)))].into());
            for spec in [
                PositionSpec::Earliest,
                PositionSpec::Latest,
                PositionSpec::Ago(millis.into()),
                PositionSpec::Time(Timestamp::from_micros(micros)),
                PositionSpec::Sequence { shard, sequence: Sequence::new(n) },
                PositionSpec::Cut(cut),
            ] {
                prop_assert_eq!(spec.to_string().parse(), Ok(spec));
            }
        }
    }
}
