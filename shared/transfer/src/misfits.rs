//! Events of an import that its target cannot hold.
//!
//! Such an event is not sent. If the import asks for it ([`OnMisfit::Store`]) it is put into a file of its own, and the
//! import passes over it. It is not lost, and it did not arrive: so it is counted on its own, by reason.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::{Counts, counted};

/// What an import does with an event that its target cannot hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMisfit {
    /// The import fails in front of it.
    #[default]
    Fail,
    /// The event is stored in the host's work bucket, and the import passes over it.
    Store,
}

impl OnMisfit {
    /// The name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Store => "store",
        }
    }

    /// True if the import fails: the default.
    pub fn is_fail(&self) -> bool {
        *self == Self::Fail
    }
}

/// What of an event its target cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MisfitReason {
    /// Its size.
    Size,
    /// Its headers.
    Headers,
    /// Its key.
    Key,
    /// Its payload for another reason than size: it has none, for example.
    Payload,
    /// It is an aggregate of the Kinesis Producer Library whose events belong to several shards.
    Aggregate,
    /// Several of these together.
    Several,
}

impl MisfitReason {
    /// What is said of one such event.
    pub fn text(self) -> &'static str {
        match self {
            Self::Size => "too large",
            Self::Headers => "with headers",
            Self::Key => "with such a key",
            Self::Payload => "with such a payload, or none",
            Self::Aggregate => "aggregates for several shards",
            Self::Several => "for several reasons",
        }
    }
}

/// The misfits of a shard or a transfer, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Misfits {
    /// All of them. An aggregate counts as one.
    pub events: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Events by what of them the target cannot hold.
    pub reasons: BTreeMap<MisfitReason, u64>,
}

impl Misfits {
    /// One event.
    pub fn of(reason: MisfitReason, bytes: u64) -> Self {
        Self { events: 1, bytes, reasons: BTreeMap::from([(reason, 1)]) }
    }

    /// True if there is none.
    pub fn is_none(&self) -> bool {
        self.events == 0
    }

    /// Events and bytes of payload.
    pub fn counts(&self) -> Counts {
        Counts::new(self.events, self.bytes)
    }
}

impl AddAssign<&Self> for Misfits {
    fn add_assign(&mut self, other: &Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        for (reason, count) in &other.reasons {
            *self.reasons.entry(*reason).or_default() += count;
        }
    }
}

impl<'a> Sum<&'a Self> for Misfits {
    fn sum<I: Iterator<Item = &'a Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

impl fmt::Display for Misfits {
    /// `3 events (2 too large, 1 with headers)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<_> = self.reasons.iter().map(|(reason, count)| format!("{count} {}", reason.text())).collect();
        write!(f, "{} ({})", counted(self.events, "event"), reasons.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_every_reason() {
        let all = [
            Misfits::of(MisfitReason::Headers, 3),
            Misfits::of(MisfitReason::Size, 1_000),
            Misfits::of(MisfitReason::Headers, 0),
        ];
        let sum: Misfits = all.iter().sum();
        assert_eq!((sum.counts(), sum.is_none()), (Counts::new(3, 1_003), false));
        assert_eq!(sum.to_string(), "3 events (1 too large, 2 with headers)");
        let json = r#"{"events":3,"bytes":1003,"reasons":{"size":1,"headers":2}}"#;
        assert_eq!(serde_json::to_string(&sum).unwrap(), json);
        assert_eq!(serde_json::from_str::<Misfits>(json).unwrap(), sum);
        assert!(Misfits::default().is_none());
    }
}
