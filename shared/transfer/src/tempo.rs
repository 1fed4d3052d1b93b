//! The rhythm of an import whose events keep the distances in time that they had at the source.
//!
//! An event of source time T is due at W0 + (T − T0) ÷ factor. T0 is the source time at which the import begins, W0 the
//! instant at which writing began. All shards share both, so they keep step. A due time follows from these alone and
//! never from the event before, so nothing drifts, and who goes on after a death is due when the dead one was.
//!
//! **Invariant.** No event is due before its distance to T0 has passed, rounded up. While a transfer rests, its rhythm
//! stands still.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{ShardId, Timestamp};

/// The name of the factor 1.
const ORIGINAL: &str = "original";
/// The name of no rhythm.
const MAX: &str = "max";
/// The largest factor, in thousandths.
const LARGEST: u32 = 1_000_000_000;

/// A text is no pace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a pace: write original, max, or a factor such as 10x or 0.5x, from 0.001x to 1000000x")]
pub struct TempoError(String);

/// The times at which an import appends its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tempo {
    /// As fast as it can.
    Max,
    /// In the rhythm of the source.
    Rhythm(Factor),
}

/// How much faster than at the source time passes: a number of thousandths, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor(NonZeroU32);

impl Factor {
    /// As at the source.
    pub const ORIGINAL: Self = Self(NonZeroU32::MIN.saturating_add(999));

    fn thousandths(self) -> i128 {
        i128::from(self.0.get())
    }

    /// In words, for a person: `in the original rhythm`.
    pub fn in_words(self) -> String {
        match self.to_string().strip_suffix('x') {
            None => "in the original rhythm".to_owned(),
            Some(times) => format!("at {times} times the original rhythm"),
        }
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ORIGINAL {
            return f.write_str(ORIGINAL);
        }
        let (whole, rest) = (self.0.get() / 1_000, self.0.get() % 1_000);
        let decimals = format!("{whole}.{rest:03}");
        write!(f, "{}x", decimals.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl FromStr for Factor {
    type Err = TempoError;

    fn from_str(text: &str) -> Result<Self, TempoError> {
        let wrong = || TempoError(text.chars().take(80).collect());
        if text == ORIGINAL {
            return Ok(Self::ORIGINAL);
        }
        let number = text.strip_suffix('x').ok_or_else(wrong)?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
        if !are_digits(whole) || !are_digits(decimals) || decimals.len() > 3 {
            return Err(wrong());
        }
        let (whole, rest): (u32, u32) =
            (whole.parse().map_err(|_| wrong())?, format!("{decimals:0<3}").parse().map_err(|_| wrong())?);
        let thousandths = whole.checked_mul(1_000).and_then(|whole| whole.checked_add(rest));
        thousandths.filter(|all| *all <= LARGEST).and_then(NonZeroU32::new).map(Self).ok_or_else(wrong)
    }
}

impl Tempo {
    /// The factor; none for as fast as it can.
    pub fn factor(self) -> Option<Factor> {
        match self {
            Self::Max => None,
            Self::Rhythm(factor) => Some(factor),
        }
    }
}

impl fmt::Display for Tempo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str(MAX),
            Self::Rhythm(factor) => factor.fmt(f),
        }
    }
}

impl FromStr for Tempo {
    type Err = TempoError;

    fn from_str(text: &str) -> Result<Self, TempoError> {
        if text == MAX { Ok(Self::Max) } else { text.parse().map(Self::Rhythm) }
    }
}

macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

as_text!(Tempo);
as_text!(Factor);

/// The rhythm of an import as planned: fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rhythm {
    /// How much faster than at the source.
    pub factor: Factor,
    /// T0: the source time at which it begins. No shard's first event is earlier.
    pub from: Timestamp,
    /// The last source time, if manifests tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Rhythm {
    /// Microseconds of wall time from the beginning until an event of that source time is due, rounded up.
    fn micros_until(&self, time: Timestamp) -> i128 {
        let distance = (i128::from(time.micros()) - i128::from(self.from.micros())).max(0) * 1_000;
        // Rounded up: never early.
        let factor = self.factor.thousandths();
        (distance + factor - 1) / factor
    }

    /// Milliseconds that all of it takes, if its end is known.
    pub fn millis(&self) -> Option<u64> {
        let micros = self.micros_until(self.until?);
        Some(u64::try_from((micros + 999) / 1_000).unwrap_or(u64::MAX))
    }
}

/// W0, on the transfer's record: the instant at which writing began, put off by all rests since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Anchor {
    /// W0.
    pub began: Timestamp,
    /// Since when it is wanted that the transfer rests: the rhythm stands still. Absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Timestamp>,
}

impl Anchor {
    /// Writing begins now.
    pub fn new(now: Timestamp) -> Self {
        Self { began: now, held: None }
    }

    /// The transfer is to rest from now on, if it does not already.
    pub fn hold(&mut self, now: Timestamp) {
        self.held.get_or_insert(now);
    }

    /// It goes on: the time of its rest does not count.
    pub fn go_on(&mut self, now: Timestamp) {
        if let Some(held) = self.held.take() {
            self.began = self.began.plus_micros(i128::from(now.micros().saturating_sub(held.micros()).max(0)));
        }
    }
}

/// When each event of an import is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The rhythm.
    pub rhythm: Rhythm,
    /// The instant at which it began.
    pub anchor: Anchor,
}

impl Schedule {
    /// The instant at which an event of that source time is due. Of events out of order that is the highest time that
    /// was seen in their shard.
    pub fn due(&self, time: Timestamp) -> Timestamp {
        self.anchor.began.plus_micros(self.rhythm.micros_until(time))
    }

    /// Milliseconds from `now` until an event of that source time is due, rounded up; 0 if it is. While the transfer is
    /// to rest the rhythm stands at the instant at which that was wanted.
    pub fn wait_millis(&self, time: Timestamp, now: Timestamp) -> u64 {
        let now = self.anchor.held.map_or(now, |held| held.min(now));
        let micros = i128::from(self.due(time).micros()) - i128::from(now.micros());
        u64::try_from((micros.max(0) + 999) / 1_000).unwrap_or(u64::MAX)
    }

    /// Milliseconds that have passed since an event of that source time was due; 0 if it was not.
    pub fn late_millis(&self, time: Timestamp, now: Timestamp) -> u64 {
        self.anchor.held.map_or(now, |held| held.min(now)).millis_since(self.due(time))
    }
}

/// The shards of a slice, and which of them wait for an event to be due.
///
/// A slice that waits costs as much as one that works. So it ends once all of its shards wait for long; and while one
/// works or is about to, the others stay with it, since nobody would call another slice for them in time.
#[derive(Debug, Default)]
pub struct Lull(BTreeMap<ShardId, Option<Timestamp>>);

impl Lull {
    /// These shards, each with the instant until which it waits; none if it works.
    pub fn new(shards: impl IntoIterator<Item = (ShardId, Option<Timestamp>)>) -> Self {
        Self(shards.into_iter().collect())
    }

    /// The shard works.
    pub fn works(&mut self, shard: &ShardId) {
        self.0.insert(shard.clone(), None);
    }

    /// The shard waits until that instant.
    pub fn waits(&mut self, shard: &ShardId, due: Timestamp) {
        self.0.insert(shard.clone(), Some(due));
    }

    /// The shard was given back.
    pub fn leaves(&mut self, shard: &ShardId) {
        self.0.remove(shard);
    }

    /// True if no shard has anything to do for longer than `short_millis` from `now` on.
    pub fn is_long(&self, now: Timestamp, short_millis: u64) -> bool {
        let soon = now.plus_millis(short_millis);
        self.0.values().all(|due| due.is_some_and(|due| due > soon))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn factor(text: &str) -> Factor {
        text.parse().unwrap()
    }

    fn schedule(text: &str) -> Schedule {
        let rhythm = Rhythm { factor: factor(text), from: at(1_000), until: Some(at(61_000)) };
        Schedule { rhythm, anchor: Anchor::new(at(500_000)) }
    }

    #[test]
    fn a_pace_is_a_word_or_a_factor() {
        for (text, written) in [
            ("original", "original"),
            ("1x", "original"),
            ("1.000x", "original"),
            ("max", "max"),
            ("10x", "10x"),
            ("0.5x", "0.5x"),
            ("0.50x", "0.5x"),
            ("0.001x", "0.001x"),
            ("2.125x", "2.125x"),
            ("1000000x", "1000000x"),
        ] {
            let tempo: Tempo = text.parse().unwrap();
            assert_eq!(tempo.to_string(), written, "{text}");
            assert_eq!(serde_json::to_string(&tempo).unwrap(), format!("\"{written}\""));
            assert_eq!(serde_json::from_str::<Tempo>(&format!("\"{text}\"")).unwrap(), tempo);
        }
        for wrong in
            ["", "x", "10", "0x", "0.0x", "-1x", "+1x", ".5x", "1.x", "1.0001x", "1000000.001x", "fast", "1e3x"]
        {
            assert!(wrong.parse::<Tempo>().unwrap_err().to_string().contains("10x or 0.5x"), "{wrong}");
        }
        assert!("9".repeat(9_000).parse::<Tempo>().unwrap_err().to_string().len() < 300);
        assert_eq!((Tempo::Max.factor(), factor("10x").in_words().as_str()), (None, "at 10 times the original rhythm"));
        assert_eq!(Factor::ORIGINAL.in_words(), "in the original rhythm");
    }

    #[test]
    fn an_event_is_due_at_its_distance_and_what_is_earlier_at_the_beginning() {
        for (pace, due) in [("original", 560_000), ("10x", 506_000), ("0.5x", 620_000)] {
            let schedule = schedule(pace);
            assert_eq!(schedule.due(at(61_000)), at(due), "{pace}");
            assert_eq!(schedule.due(at(-5)), at(500_000), "{pace}");
            assert_eq!(schedule.wait_millis(at(61_000), at(due - 7)), 7);
            assert_eq!(
                (schedule.wait_millis(at(61_000), at(due)), schedule.late_millis(at(61_000), at(due + 9))),
                (0, 9)
            );
        }
        assert_eq!(schedule("10x").rhythm.millis(), Some(6_000));
        assert_eq!(Rhythm { until: None, ..schedule("10x").rhythm }.millis(), None);
        // A third of a microsecond is waited for as a whole one, and a microsecond as a millisecond.
        let third = schedule("3x");
        assert_eq!(third.due(Timestamp::from_micros(1_000_001)), Timestamp::from_micros(500_000_001));
        assert_eq!(third.wait_millis(Timestamp::from_micros(1_000_001), at(500_000)), 1);
    }

    #[test]
    fn times_at_the_ends_of_all_time_overflow_nothing() {
        let far = [Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX)];
        for from in far {
            for time in far {
                for pace in ["0.001x", "1000000x"] {
                    let rhythm = Rhythm { factor: factor(pace), from, until: Some(time) };
                    let schedule = Schedule { rhythm, anchor: Anchor::new(at(1)) };
                    assert!(schedule.due(time) >= at(1));
                    assert!(rhythm.millis().is_some() && schedule.wait_millis(time, at(1)) < u64::MAX);
                }
            }
        }
    }

    #[test]
    fn what_is_persisted_is_read_as_it_was() {
        let Schedule { rhythm, mut anchor } = schedule("0.5x");
        let text = r#"{"factor":"0.5x","from":1000000,"until":61000000}"#;
        assert_eq!(serde_json::to_string(&rhythm).unwrap(), text);
        assert_eq!(serde_json::from_str::<Rhythm>(text).unwrap(), rhythm);
        assert_eq!(serde_json::to_string(&anchor).unwrap(), r#"{"began":500000000}"#);
        anchor.hold(at(7));
        assert_eq!(serde_json::from_str::<Anchor>(&serde_json::to_string(&anchor).unwrap()).unwrap(), anchor);
    }

    #[test]
    fn a_slice_stays_while_one_of_its_shards_works_or_will_soon() {
        let (one, two): (ShardId, ShardId) = ("one".parse().unwrap(), "two".parse().unwrap());
        let mut lull = Lull::new([(one.clone(), Some(at(1_000))), (two.clone(), None)]);
        assert!(!lull.is_long(at(0), 10), "the other works");
        lull.waits(&two, at(500));
        assert!(lull.is_long(at(489), 10) && !lull.is_long(at(490), 10), "the nearest decides");
        lull.works(&two);
        assert!(!lull.is_long(at(0), 10));
        lull.leaves(&two);
        assert!(lull.is_long(at(0), 10), "who is gone has nothing to do");
    }

    fn any_factor() -> impl Strategy<Value = Factor> {
        prop_oneof![Just(1_000), 1_u32..=LARGEST, 100_u32..=20_000]
            .prop_map(|all| Factor(NonZeroU32::new(all).unwrap()))
    }

    /// Wall time that must have passed at least, and at most, in microseconds.
    fn exact(distance: u64, factor: Factor) -> (i128, i128) {
        let all = i128::from(distance) * 1_000;
        (all / factor.thousandths(), all / factor.thousandths() + 1)
    }

    proptest! {
        /// A factor is written and read as itself.
        #[test]
        fn factors_go_there_and_back(factor in any_factor()) {
            prop_assert_eq!(factor.to_string().parse(), Ok(factor));
        }

        /// Never early, however the distances are; and no drift: the last due time is as exact as the first.
        #[test]
        fn due_times_keep_the_distances(
            factor in any_factor(),
            gaps in proptest::collection::vec(0_u64..10_000_000_000, 1..200),
        ) {
            let rhythm = Rhythm { factor, from: at(5_000), until: None };
            let schedule = Schedule { rhythm, anchor: Anchor::new(at(900_000)) };
            let (mut distance, mut before) = (0_u64, at(900_000));
            for gap in gaps {
                distance += gap;
                let due = schedule.due(at(5_000).plus_micros(i128::from(distance)));
                let passed = i128::from(due.micros() - at(900_000).micros());
                let (least, most) = exact(distance, factor);
                prop_assert!(passed * factor.thousandths() >= i128::from(distance) * 1_000, "early");
                prop_assert!((least..=most).contains(&passed), "{passed} of {least} to {most}");
                prop_assert!(due >= before);
                before = due;
            }
        }

        /// Shards share their anchor: independent of the progress of one, events of the others are due in the order of their
        /// times, and two events of one time are due at one instant.
        #[test]
        fn many_shards_keep_step(factor in any_factor(), times in proptest::collection::vec(0_i64..1_000_000, 2..50)) {
            let rhythm = Rhythm { factor, from: at(0), until: None };
            let schedule = Schedule { rhythm, anchor: Anchor::new(at(7)) };
            let mut by_time = times.clone();
            by_time.sort_unstable();
            let dues: Vec<_> = by_time.iter().map(|time| schedule.due(at(*time))).collect();
            prop_assert!(dues.is_sorted());
        }

        /// A slice sleeps until its event is due, dies before or behind it, and the next one goes on with what is on
        /// record. No event is early, and none is later than a death lasts: nothing is hurried, nothing waited for twice.
        #[test]
        fn a_death_neither_hurries_nor_doubles(
            factor in any_factor(),
            steps in proptest::collection::vec((0_u64..100_000, 0_u64..50_000, any::<bool>()), 1..60),
        ) {
            let rhythm = Rhythm { factor, from: at(0), until: None };
            let began = at(1_000_000);
            let mut stored = serde_json::to_string(&Anchor::new(began)).unwrap();
            let (mut now, mut time) = (began, at(0));
            for (gap, dead, dies) in steps {
                time = time.plus_millis(gap);
                let outage = if dies { dead } else { 0 };
                // The dead one waited for some time, or had it not begun.
                let ready = now.plus_millis(outage);
                let anchor: Anchor = serde_json::from_str(&stored).unwrap();
                let schedule = Schedule { rhythm, anchor };
                now = ready.plus_millis(schedule.wait_millis(time, ready));
                let due = schedule.due(time);
                prop_assert!(now >= due, "early");
                prop_assert!(now == ready || now.millis_since(due) == 0, "waited longer than until it was due");
                stored = serde_json::to_string(&anchor).unwrap();
            }
        }

        /// However long a transfer rests, and however often: what is left of a distance when the rest is wanted is what
        /// is waited for behind it.
        #[test]
        fn a_pause_is_not_hurried_through(
            factor in any_factor(),
            rests in proptest::collection::vec((0_u64..1_000_000, 0_u64..1_000_000_000), 1..20),
            time in 0_u64..100_000_000,
        ) {
            let rhythm = Rhythm { factor, from: at(0), until: None };
            let time = at(0).plus_millis(time);
            let mut schedule = Schedule { rhythm, anchor: Anchor::new(at(0)) };
            let mut now = at(0);
            for (runs, rests) in rests {
                now = now.plus_millis(runs);
                let left = schedule.due(time).micros() - now.micros();
                schedule.anchor.hold(now);
                let wait = schedule.wait_millis(time, now);
                // A second wish to rest is the same rest.
                schedule.anchor.hold(now.plus_millis(rests / 2));
                prop_assert_eq!(schedule.wait_millis(time, now.plus_millis(rests / 2)), wait);
                now = now.plus_millis(rests);
                schedule.anchor.go_on(now);
                schedule.anchor.go_on(now.plus_millis(5));
                prop_assert_eq!(schedule.due(time).micros() - now.micros(), left);
            }
        }
    }
}
