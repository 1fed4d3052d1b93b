//! Instants as a number. Reading a clock is the host's business.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{DateTime, Time, date};
use jiff::fmt::temporal::Pieces;
use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z. Serialized as that number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// A text is no RFC 3339 time within the years -9999 to 9999, and no number of microseconds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an RFC 3339 time such as 2026-11-22T08:00:00Z")]
pub struct TimeError(String);

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Itself, if it lies in the years 0 to 9999. RFC 3339 has no others, and other readers refuse them.
    pub fn within_calendar(self) -> Option<Self> {
        const FIRST: i64 = -62_167_219_200_000_000;
        const BEHIND: i64 = 253_402_300_800_000_000;
        (FIRST..BEHIND).contains(&self.0).then_some(self)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Later by `millis` milliseconds.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add_unsigned(millis.saturating_mul(1_000)))
    }

    /// Earlier by `millis` milliseconds.
    #[must_use]
    pub const fn minus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_sub_unsigned(millis.saturating_mul(1_000)))
    }

    /// Later by `micros` microseconds, as far as there is time.
    #[must_use]
    pub(crate) fn plus_micros(self, micros: i128) -> Self {
        let sum = i128::from(self.0).saturating_add(micros);
        Self(i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX }))
    }

    /// The next whole second, or itself: as people are told it.
    #[must_use]
    pub const fn whole_seconds(self) -> Self {
        let behind = self.0.rem_euclid(1_000_000);
        if behind == 0 { self } else { Self(self.0.saturating_add(1_000_000 - behind)) }
    }

    /// Milliseconds from `earlier` to this instant; 0 if that lies later.
    pub fn millis_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0) / 1_000
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => match civil_epoch().checked_add(SignedDuration::from_micros(self.0)) {
                Ok(time) => write!(f, "{time}Z"),
                Err(_) => write!(f, "{}us", self.0),
            },
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    /// Reads what [`Self::fmt`] writes, and any RFC 3339 time.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        if let Some(micros) = text.strip_suffix("us").and_then(|micros| micros.parse().ok()) {
            return Ok(Self(micros));
        }
        text.parse::<jiff::Timestamp>()
            .map(|time| Self(time.as_microsecond()))
            .ok()
            .or_else(|| at_the_ends(text))
            .ok_or_else(|| TimeError(text.chars().take(80).collect()))
    }
}

/// The library's instants leave out a day at both ends of the years that it knows, since some offset could lead out of
/// them. Many write the last second of the year 9999 for "never".
fn at_the_ends(text: &str) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok()?;
    let (time, offset) = (pieces.time()?, pieces.to_numeric_offset()?);
    let since = pieces.date().to_datetime(time).duration_since(civil_epoch());
    let micros = i64::try_from(since.as_micros() - i128::from(offset.seconds()) * 1_000_000).ok()?;
    jiff::Timestamp::from_microsecond(micros).is_err().then_some(Timestamp(micros))
}

fn civil_epoch() -> DateTime {
    date(1970, 1, 1).to_datetime(Time::midnight())
}

/// The earliest and the latest time among some events; their order in the stream need not be that of their times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// The smallest time.
    pub min: Timestamp,
    /// The largest time.
    pub max: Timestamp,
}

impl TimeRange {
    /// The range that covers one instant.
    pub const fn of(time: Timestamp) -> Self {
        Self { min: time, max: time }
    }

    /// The smallest range that covers both, where there are any.
    pub fn cover(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(Self { min: a.min.min(b.min), max: a.max.max(b.max) }),
            (one, None) | (None, one) => one,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_does_not_hold_all_that_it_refuses() {
        let error = "x".repeat(1_000_000).parse::<Timestamp>().unwrap_err().to_string();
        assert!(error.len() < 300, "{} bytes", error.len());
    }

    #[test]
    fn text_and_back() {
        let time: Timestamp = "2026-11-22T10:00:00.000001+02:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-22T08:00:00.000001Z");
        assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        assert!("yesterday".parse::<Timestamp>().is_err());
        let never = Timestamp(253_402_300_799_000_000);
        assert_eq!("9999-12-31T23:59:59Z".parse(), Ok(never));
        assert_eq!(never.to_string(), "9999-12-31T23:59:59Z");
        assert_eq!("9999-12-31T23:59:59.5-01:00".parse(), Ok(Timestamp(253_402_304_399_500_000)));
        for half in ["9999-12-31", "9999-12-31T23:59:59", "23:59:59Z", "9999-12-32T00:00:00Z"] {
            assert!(half.parse::<Timestamp>().is_err(), "{half}");
        }
        for far in [i64::MIN, i64::MAX, 253_402_300_800_000_000, 253_402_300_799_999_999, 253_402_210_800_000_000] {
            assert_eq!(Timestamp(far).to_string().parse(), Ok(Timestamp(far)), "a year of more than four digits");
        }
    }

    #[test]
    fn the_calendar_ends_where_rfc_3339_does() {
        for inside in ["0000-01-01T00:00:00Z", "2026-11-22T08:00:00Z", "9999-12-31T23:59:59.999999Z"] {
            let time: Timestamp = inside.parse().unwrap();
            assert_eq!(time.within_calendar(), Some(time), "{inside}");
        }
        for outside in [i64::MIN, -62_167_219_200_000_001, 253_402_300_800_000_000, i64::MAX] {
            assert_eq!(Timestamp(outside).within_calendar(), None, "{}", Timestamp(outside));
        }
    }

    #[test]
    fn distance_never_underflows() {
        let (a, b) = (Timestamp::from_millis(5), Timestamp::from_millis(9));
        assert_eq!(b.millis_since(a), 4);
        assert_eq!(a.millis_since(b), 0);
        assert_eq!(a.plus_micros(i128::MAX), Timestamp(i64::MAX));
        assert_eq!(a.plus_micros(-6_000), Timestamp::from_millis(-1));
    }

    #[test]
    fn people_are_told_whole_seconds() {
        for (micros, whole) in [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2), (-1, 0), (-1_000_001, -1)] {
            assert_eq!(Timestamp(micros).whole_seconds(), Timestamp::from_millis(whole * 1_000), "{micros}");
        }
    }
}
