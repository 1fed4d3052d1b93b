//! The bounds of a shard's range where its source knows events by when they arrived, and has to search for numbers.

use serde::{Deserialize, Serialize};

use crate::{Position, Timestamp};

/// Events become visible within this time of their arrival, in milliseconds.
const SHOWN_MILLIS: u64 = 1_000;
/// The same for a reader that is not at the tip and computes its place from two clocks.
const CLOCKS_MILLIS: u64 = 10_000;

/// Bounds that are times until reading finds the numbers, and the progress of reading.
///
/// A stream that knows its events by their arrival does not return where its shards begin and end. A search would take
/// too many calls. So a plan has times, and the slice that meets the first or the last event writes its number into the
/// record's range. From then on numbers bound the shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeBounds {
    /// The range begins with the first event of this time or later. None for the oldest event when reading begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// The range ends in front of the first event of this time or later.
    pub until: Timestamp,
    /// The arrival of the first event; none before it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// The arrival of the last event that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Silence that was crossed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<Silence>,
    /// How long the source keeps events, in milliseconds, where the last slice saw another time than the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_millis: Option<u64>,
}

/// A stretch of time without events: none behind `behind` arrived before `until`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// Its beginning.
    pub behind: Position,
    /// Its end, as far as it is known.
    pub until: Timestamp,
}

impl TimeBounds {
    /// Silence counts as known only up to this time ago, in milliseconds. A source may show events out of the order of
    /// their times, and clocks may differ by 5 minutes: AWS refuses requests of clocks that differ more.
    pub const DOUBT_MILLIS: u64 = 600_000;

    /// Bounds of a shard that nobody has read.
    pub const fn new(from: Option<Timestamp>, until: Timestamp) -> Self {
        Self { from, until, began: None, at: None, silence: None, retention_millis: None }
    }

    /// True if an event of that time lies behind the range.
    pub fn is_behind(&self, time: Timestamp) -> bool {
        time >= self.until
    }

    /// True if a reader that has read all that arrived before `reached` has read the range. At the tip this depends on
    /// the reader's clock alone.
    pub fn is_read_by(&self, reached: Timestamp, at_tip: bool) -> bool {
        reached >= self.until.plus_millis(if at_tip { SHOWN_MILLIS } else { CLOCKS_MILLIS })
    }

    /// Records the arrival of an event that was read.
    pub fn read(&mut self, time: Timestamp) {
        self.began = self.began.or(Some(time));
        self.at = Some(time);
    }

    /// Records silence behind `behind` up to `reached`. Short silence is ignored: reading continues behind the event in
    /// front of it.
    pub fn heard_nothing(&mut self, behind: &Position, reached: Timestamp) {
        if self.is_long(reached) {
            self.silence = Some(Silence { behind: behind.clone(), until: reached });
        }
    }

    /// The time at which reading continues behind `position`; none if the position is enough. `heard` is the end of the
    /// silence that this reader has crossed behind it.
    pub fn since(&self, position: &Position, heard: Option<Timestamp>) -> Option<Timestamp> {
        let from = self.from.filter(|_| *position == Position::Beginning);
        let silence = self.silence.as_ref().filter(|silence| silence.behind == *position).map(|silence| silence.until);
        from.max(silence.map(|until| until.minus_millis(Self::DOUBT_MILLIS))).max(heard)
    }

    /// All that arrived before this time stands in front of `position`, the last one that was read, or did not come; none
    /// where that is not known, and at the beginning.
    pub fn known_behind(&self, position: &Position) -> Option<Timestamp> {
        if *position == Position::Beginning {
            return None;
        }
        let silence = self.silence.as_ref().filter(|silence| silence.behind == *position).map(|silence| silence.until);
        silence.or(self.at)
    }

    /// True if silence up to that time is worth keeping: it is longer than the doubt about it.
    pub fn is_long(&self, silence: Timestamp) -> bool {
        self.at.is_none_or(|at| silence.millis_since(at) > 2 * Self::DOUBT_MILLIS)
    }

    /// All that arrived before this time is read; none before the first event or silence.
    pub fn reached(&self) -> Option<Timestamp> {
        self.at.max(self.silence.as_ref().map(|silence| silence.until))
    }

    /// Milliseconds of the stream's time between the first event that was read and the end of what was read.
    pub fn read_millis(&self) -> u64 {
        self.reached().zip(self.began).map_or(0, |(here, first)| here.millis_since(first))
    }

    /// The part of the time between both bounds that was read, 0 to 1; none before the first event or silence.
    pub fn share(&self) -> Option<f64> {
        let here = self.reached()?;
        let first = self.from.or(self.began)?;
        let (done, whole) = (here.millis_since(first), self.until.millis_since(first).max(1));
        Some((done as f64 / whole as f64).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Sequence;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).plus_millis(seconds * 1_000)
    }

    #[test]
    fn reading_goes_on_where_it_is_known_to_have_come() {
        let behind = Position::After(Sequence::new(7));
        let mut bounds = TimeBounds::new(Some(at(0)), at(10_000));
        assert_eq!(bounds.since(&Position::Beginning, None), Some(at(0)), "from the time that was asked for");
        bounds.heard_nothing(&Position::Beginning, at(100));
        assert_eq!(bounds.since(&Position::Beginning, None), Some(at(0)), "never in front of it");
        bounds.heard_nothing(&Position::Beginning, at(5_000));
        assert_eq!(bounds.since(&Position::Beginning, None), Some(at(4_400)));
        assert_eq!(bounds.since(&behind, None), None, "the number is enough");
        assert_eq!(bounds.since(&Position::Beginning, Some(at(6_000))), Some(at(6_000)), "by what this slice heard");
        bounds.read(at(5_100));
        bounds.heard_nothing(&behind, at(6_300));
        assert_eq!(bounds.since(&behind, None), None, "silence as short as the doubt is ignored");
        bounds.heard_nothing(&behind, at(8_000));
        assert_eq!(bounds.since(&behind, None), Some(at(7_400)));
        assert_eq!(bounds.since(&Position::After(Sequence::new(8)), None), None, "it is silence behind one position");
        assert_eq!(TimeBounds::new(None, at(9)).since(&Position::Beginning, None), None, "from the oldest");
    }

    #[test]
    fn what_is_known_behind_a_position() {
        let behind = Position::After(Sequence::new(7));
        let mut bounds = TimeBounds::new(Some(at(0)), at(10_000));
        assert_eq!(bounds.known_behind(&behind), None, "nothing was read");
        bounds.read(at(100));
        assert_eq!(bounds.known_behind(&behind), Some(at(100)), "the event itself");
        bounds.heard_nothing(&behind, at(5_000));
        assert_eq!(bounds.known_behind(&behind), Some(at(5_000)));
        assert_eq!(bounds.known_behind(&Position::Beginning), None);
    }

    #[test]
    fn the_end_is_a_time() {
        let bounds = TimeBounds::new(None, at(100));
        assert!(bounds.is_behind(at(100)) && !bounds.is_behind(at(99)));
        assert!(
            bounds.is_read_by(at(101), true) && !bounds.is_read_by(at(100), true),
            "what arrived may not be shown at once"
        );
        assert!(bounds.is_read_by(at(110), false) && !bounds.is_read_by(at(109), false), "clocks differ");
    }

    proptest! {
        #[test]
        fn the_share_grows_with_time(began in 0_u64..1_000, steps in proptest::collection::vec(0_u64..500, 1..20)) {
            let mut bounds = TimeBounds::new(None, at(2_000));
            prop_assert_eq!(bounds.share(), None);
            bounds.read(at(began));
            let (mut here, mut before) = (began, 0.0);
            for step in steps {
                here += step;
                if step % 2 == 0 { bounds.read(at(here)) } else { bounds.heard_nothing(&Position::Beginning, at(here)) }
                let share = bounds.share().unwrap();
                prop_assert!((before..=1.0).contains(&share));
                before = share;
            }
        }
    }
}
