//! The exports that read a stream, and what each of them may take of its reading limits. All together take no more than
//! one of them alone.
//!
//! An export that comes later takes only what is free, and waits if nothing is. The others see it with their next look
//! and take less. So the sum never passes the whole, at no moment in between.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::FIRST_VERSION;
use crate::{ReadShare, StreamUri, Timestamp, TransferId};

/// READERS: one item a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadersRecord {
    /// Version of this record's shape.
    pub version: u32,
    /// The stream, by its canonical name.
    pub stream: StreamUri,
    /// Raised by each write; a write is conditional on the one before. 0 for one that was never written.
    pub revision: u64,
    /// The exports that read the stream.
    pub readers: BTreeMap<TransferId, Reader>,
}

/// An export that reads a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reader {
    /// The part that all exports of the stream may take together, as this one was told.
    pub share: ReadShare,
    /// The part that this one takes.
    pub taken: ReadShare,
    /// It is alive until this time, unless it says otherwise by then.
    pub until: Timestamp,
    /// The part that it took before, as long as not all of its slices have seen that it takes less now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
}

/// What a reader took before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Before {
    /// The part.
    pub taken: ReadShare,
    /// No slice takes it any more from this time on.
    pub until: Timestamp,
}

/// A look of an export at the readers of its stream.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The part that all exports of the stream may take together.
    pub share: ReadShare,
    /// The time of the look.
    pub now: Timestamp,
    /// If it may read, it does so until this time, unless it looks again.
    pub until: Timestamp,
    /// If it has to wait, it does so until this time.
    pub waits_until: Timestamp,
    /// By this time all slices of the export have looked. None if there is one only, and this is its look.
    pub seen_by: Option<Timestamp>,
}

/// A reader that would have less than a tenth of its due waits for more: calls would be minutes apart.
const LEAST: usize = 10;

impl Reader {
    /// The part that it may be taking at that time.
    fn at(&self, now: Timestamp) -> ReadShare {
        let before = self.before.filter(|before| before.until > now).map_or(ReadShare::NOTHING, |before| before.taken);
        self.taken.max(before)
    }
}

impl ReadersRecord {
    /// Of a stream that nobody reads.
    pub fn new(stream: StreamUri) -> Self {
        Self { version: FIRST_VERSION, stream, revision: 0, readers: BTreeMap::new() }
    }

    /// Notes that an export reads, or wants to. Answers the part that it may take now; nothing if it has to wait.
    /// Readers that did not look again in time are gone.
    pub fn look(&mut self, id: &TransferId, look: Look) -> ReadShare {
        let now = look.now;
        self.readers.retain(|_, reader| reader.until > now);
        let own = self.readers.remove(id);
        let others = self.readers.values().fold(ReadShare::NOTHING, |sum, other| sum.with(other.at(now)));
        let whole = self.readers.values().map(|other| other.share).fold(look.share, ReadShare::max);
        let due = look.share.divided(self.readers.len() + 1);
        let taken = due.min(whole.without(others));
        let taken = if taken < due.divided(LEAST) { ReadShare::NOTHING } else { taken };
        let before = match (own, look.seen_by) {
            (Some(own), Some(until)) if taken < own.taken => Some(Before { taken: own.at(now), until }),
            (Some(own), Some(_)) => own.before.filter(|before| before.until > now),
            _ => None,
        };
        let end = if taken == ReadShare::NOTHING { look.waits_until } else { look.until };
        let until = own.map_or(end, |own| own.until.max(end));
        self.readers.insert(id.clone(), Reader { share: look.share, taken, until, before });
        taken
    }

    /// An export reads no more. Answers true if it was there.
    pub fn leave(&mut self, id: &TransferId) -> bool {
        self.readers.remove(id).is_some()
    }

    /// The part that all together may be taking at that time.
    pub fn taken(&self, now: Timestamp) -> ReadShare {
        let alive = self.readers.values().filter(|reader| reader.until > now);
        alive.fold(ReadShare::NOTHING, |sum, reader| sum.with(reader.at(now)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).plus_millis(seconds * 1_000)
    }

    fn id(number: u8) -> TransferId {
        format!("t{number}").parse().unwrap()
    }

    fn look(share: f64, seconds: u64) -> Look {
        let share = ReadShare::new(share).unwrap();
        let (until, waits_until) = (at(seconds + 310), at(seconds + 30));
        Look { share, now: at(seconds), until, waits_until, seen_by: None }
    }

    fn readers() -> ReadersRecord {
        ReadersRecord::new("kinesis:orders".parse().unwrap())
    }

    /// As a person writes it.
    fn part(share: ReadShare) -> String {
        share.to_string()
    }

    #[test]
    fn one_alone_takes_all_and_three_a_third_each() {
        let mut readers = readers();
        assert_eq!(part(readers.look(&id(1), look(0.6, 0))), "0.6");
        assert_eq!(part(readers.look(&id(2), look(0.6, 1))), "0", "nothing is free");
        assert_eq!(part(readers.look(&id(3), look(0.6, 1))), "0");
        assert_eq!(part(readers.look(&id(1), look(0.6, 5))), "0.2", "it has seen the others");
        assert_eq!(part(readers.look(&id(2), look(0.6, 6))), "0.2");
        assert_eq!(part(readers.look(&id(3), look(0.6, 6))), "0.2");
        assert!(readers.leave(&id(2)) && !readers.leave(&id(2)));
        assert_eq!(part(readers.look(&id(1), look(0.6, 10))), "0.3");
        assert_eq!(part(readers.look(&id(3), look(0.6, 10))), "0.3");
        assert_eq!(part(readers.taken(at(10))), "0.6");
    }

    #[test]
    fn one_that_is_dead_ages_out() {
        let mut readers = readers();
        readers.look(&id(1), look(0.5, 0));
        for seconds in (5..310).step_by(5) {
            assert_eq!(part(readers.look(&id(2), look(0.5, seconds))), "0", "it may be alive at {seconds}");
        }
        assert_eq!(part(readers.look(&id(2), look(0.5, 310))), "0.5");
        // One that waits and does not come again counts for half a minute.
        readers.look(&id(3), look(0.5, 311));
        assert_eq!(part(readers.look(&id(2), look(0.5, 340))), "0.25");
        assert_eq!(part(readers.look(&id(2), look(0.5, 342))), "0.5");
    }

    #[test]
    fn what_other_slices_may_still_take_is_not_free() {
        let mut readers = readers();
        let several = |seconds| Look { seen_by: Some(at(seconds + 10)), ..look(0.5, seconds) };
        assert_eq!(part(readers.look(&id(1), several(0))), "0.5");
        readers.look(&id(2), look(0.5, 1));
        assert_eq!(part(readers.look(&id(1), several(2))), "0.25");
        // Other slices of the first look as well, and put nothing off.
        assert_eq!(part(readers.look(&id(1), several(7))), "0.25");
        assert_eq!(part(readers.look(&id(2), look(0.5, 11))), "0");
        assert_eq!(part(readers.look(&id(2), look(0.5, 12))), "0.25");
    }

    #[test]
    fn where_they_were_told_otherwise_the_largest_holds_for_all() {
        let mut readers = readers();
        assert_eq!(part(readers.look(&id(1), look(0.2, 0))), "0.2");
        assert_eq!(part(readers.look(&id(2), look(1.0, 0))), "0.5");
        assert_eq!(part(readers.look(&id(1), look(0.2, 1))), "0.1");
    }

    proptest! {
        /// Whoever looks, and dies, in whatever order: together they never take more than one alone may.
        #[test]
        fn together_they_take_no_more_than_one(
            looks in vec((0_u8..6, 0_u64..40, any::<bool>(), any::<bool>()), 1..120),
        ) {
            let (mut readers, mut now, share) = (readers(), 0, ReadShare::HALF);
            // What each slice of a reader last heard, and until when it reads by that.
            let mut heard: BTreeMap<(u8, bool), (ReadShare, u64)> = BTreeMap::new();
            for (number, passes, second, leaves) in looks {
                now += passes;
                // A slice that lives looks every five seconds.
                heard.retain(|_, (_, looked)| *looked + 10 > now);
                if leaves && !second {
                    readers.leave(&id(number));
                    heard.retain(|(other, _), _| *other != number);
                } else {
                    let taken = readers.look(&id(number), Look { seen_by: Some(at(now + 10)), ..look(0.5, now) });
                    heard.insert((number, second), (taken, now));
                }
                prop_assert!(readers.taken(at(now)) <= share);
                let most = |number: u8| {
                    let of = |second| heard.get(&(number, second)).map_or(ReadShare::NOTHING, |(taken, _)| *taken);
                    of(false).max(of(true))
                };
                let all = (0..6).map(most).fold(ReadShare::NOTHING, ReadShare::with);
                prop_assert!(all <= share, "{all} of {share} at {now}: {heard:?}");
            }
        }

        /// Once all have looked twice, each has its due.
        #[test]
        fn whoever_looks_again_has_its_due(count in 1_u8..12) {
            let mut readers = readers();
            for round in 0..3 {
                for number in 0..count {
                    let taken = readers.look(&id(number), look(0.5, round * 5));
                    prop_assert!(round < 2 || taken == ReadShare::HALF.divided(count.into()));
                }
            }
        }

        #[test]
        fn a_record_is_read_as_it_was_written(looks in vec((0_u8..6, 0.001_f64..1.0, 0_u64..100), 0..9)) {
            let mut record = readers();
            for (number, share, now) in looks {
                record.look(&id(number), Look { seen_by: Some(at(now + 10)), ..look(share, now) });
            }
            let text = serde_json::to_string(&record).unwrap();
            prop_assert_eq!(serde_json::from_str::<ReadersRecord>(&text).unwrap(), record);
        }
    }
}
