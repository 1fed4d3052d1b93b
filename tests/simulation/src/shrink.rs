//! A failing schedule, made short: what does not matter for the failure is left out, one thing after the other.
//!
//! An edit takes something away, or has the rest drawn anew: what is left is still a schedule that could have been
//! drawn. What comes behind a happening that is left out may be another, so each edit is tried, and kept if the same
//! goes wrong.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::failure::Failure;
use crate::guards::Guard;
use crate::host::run_edited;

/// Runs that shrinking takes at most.
const MOST_RUNS: u32 = 4_000;
/// Where so few happenings are left, every selection of them is tried.
const FEW: u64 = 10;
/// Other draws that are tried with fewer happenings, or events.
const DRAWS: u64 = 80;

/// Something about a schedule that can be simpler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Simpler {
    /// Calls do not wait before they happen.
    Calm,
    /// The stream has one shard.
    OneShard,
    /// Slices end at their deadlines only.
    LongSlices,
    /// A part is stored before the next one is read.
    OnePart,
    /// A record is written as soon as it could be.
    PromptRecords,
    /// The same bytes have the same etag.
    SameEtags,
    /// All of an export is imported.
    Whole,
    /// The source counts what a range holds.
    Counted,
    /// The source is not trimmed.
    Untrimmed,
    /// Nobody cancels.
    Uncancelled,
    /// Objects are not compressed.
    Plain,
    /// Shards go into shards, whatever the keys are.
    Unplaced,
    /// Imports keep the order of keys.
    ByKey,
    /// The source keeps its events.
    Kept,
    /// Imports do not wait for the rhythm of their source.
    AtOnce,
    /// The target holds every event.
    Fitting,
}

const NAMES: [(Simpler, &str); 16] = [
    (Simpler::Calm, "calm"),
    (Simpler::OneShard, "one-shard"),
    (Simpler::LongSlices, "long-slices"),
    (Simpler::OnePart, "one-part"),
    (Simpler::PromptRecords, "prompt-records"),
    (Simpler::SameEtags, "same-etags"),
    (Simpler::Whole, "whole"),
    (Simpler::Counted, "counted"),
    (Simpler::Untrimmed, "untrimmed"),
    (Simpler::Uncancelled, "uncancelled"),
    (Simpler::Plain, "plain"),
    (Simpler::Unplaced, "unplaced"),
    (Simpler::ByKey, "by-key"),
    (Simpler::Kept, "kept"),
    (Simpler::AtOnce, "at-once"),
    (Simpler::Fitting, "fitting"),
];

/// What is taken away from a schedule. Happenings are its faults, its pauses, its trims and the slices that are left
/// behind, numbered from 0 in their order.
///
/// Written `draw=7,first=9,out=2+5,events=3,calm,one-shard`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Faults, waits and the order of actors are drawn anew, from this number; what is moved stays.
    pub draw: Option<u64>,
    /// Happenings from this number on are left out.
    pub first: Option<u64>,
    /// These are left out.
    pub out: BTreeSet<u64>,
    /// Events of each shard, at most.
    pub events: Option<usize>,
    /// What is simpler.
    pub simpler: BTreeSet<Simpler>,
}

impl Edits {
    /// True if the happening of that number is left out.
    pub(crate) fn leave_out(&self, number: u64) -> bool {
        self.first.is_some_and(|first| number >= first) || self.out.contains(&number)
    }

    /// True if that is simpler.
    pub(crate) fn make(&self, simpler: Simpler) -> bool {
        self.simpler.contains(&simpler)
    }

    /// Happenings that are left, of a schedule of `happenings`.
    pub fn left(&self, happenings: u64) -> usize {
        (0..happenings).filter(|number| !self.leave_out(*number)).count()
    }
}

impl fmt::Display for Edits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.draw.map(|draw| format!("draw={draw}")));
        parts.extend(self.first.map(|first| format!("first={first}")));
        if !self.out.is_empty() {
            let numbers: Vec<String> = self.out.iter().map(u64::to_string).collect();
            parts.push(format!("out={}", numbers.join("+")));
        }
        parts.extend(self.events.map(|events| format!("events={events}")));
        parts.extend(NAMES.iter().filter(|(simpler, _)| self.make(*simpler)).map(|(_, name)| (*name).to_owned()));
        f.write_str(&parts.join(","))
    }
}

impl FromStr for Edits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut edits = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let wrong = |_| format!("'{part}' is no edit of a schedule");
            match part.split_once('=') {
                Some(("draw", number)) => edits.draw = Some(number.parse().map_err(wrong)?),
                Some(("first", number)) => edits.first = Some(number.parse().map_err(wrong)?),
                Some(("events", number)) => edits.events = Some(number.parse().map_err(wrong)?),
                Some(("out", numbers)) => {
                    for number in numbers.split('+') {
                        edits.out.insert(number.parse().map_err(wrong)?);
                    }
                }
                _ => {
                    let named = NAMES.iter().find(|(_, name)| *name == part);
                    let (simpler, _) = named.ok_or_else(|| format!("'{part}' is no edit of a schedule"))?;
                    edits.simpler.insert(*simpler);
                }
            }
        }
        Ok(edits)
    }
}

/// A failing schedule that was made short.
#[derive(Debug)]
pub struct Shrunk {
    /// What was taken away.
    pub edits: Edits,
    /// What goes wrong in what is left, with its steps.
    pub failure: Box<Failure>,
    /// Happenings of the whole schedule.
    pub whole: u64,
}

/// Makes the failing schedule of a seed short. None if it does not fail.
pub fn shrink(seed: u64, without: Option<Guard>) -> Option<Shrunk> {
    let whole = run_edited(seed, without, &Edits::default(), false).err()?;
    let mut shrinking = Shrinking { seed, without, wanted: shape(&whole.violation), edits: Edits::default(), runs: 0 };
    shrinking.take_away(&whole);
    // Where nothing more can be taken away, others with fewer may still be drawn.
    let left = shrinking.edits.left(whole.happenings) as u64;
    if (1..left).any(|first| shrinking.draw_anew(|edits| (edits.first, edits.out) = (Some(first), BTreeSet::new()))) {
        shrinking.take_away(&whole);
    }
    if shrinking.fewest(whole.happenings) {
        shrinking.take_away(&whole);
    }
    let most = shrinking.edits.events.unwrap_or(whole.events);
    if (1..most).any(|events| shrinking.draw_anew(|edits| edits.events = Some(events))) {
        shrinking.take_away(&whole);
    }
    let mut edits = shrinking.edits;
    // Those behind the last are out anyway.
    edits.out.retain(|number| edits.first.is_none_or(|first| *number < first));
    let failure = run_edited(seed, without, &edits, true).err()?;
    Some(Shrunk { edits, failure, whole: whole.happenings })
}

struct Shrinking {
    seed: u64,
    without: Option<Guard>,
    /// What goes wrong.
    wanted: String,
    /// Those with which it still does.
    edits: Edits,
    runs: u32,
}

impl Shrinking {
    /// Keeps an edit with which the same goes wrong. True if it is kept, and changes something.
    fn attempt(&mut self, edit: impl FnOnce(&mut Edits)) -> bool {
        let mut edits = self.edits.clone();
        edit(&mut edits);
        if edits == self.edits || self.runs >= MOST_RUNS {
            return false;
        }
        self.runs += 1;
        let failure = run_edited(self.seed, self.without, &edits, false).err();
        let same = failure.is_some_and(|failure| shape(&failure.violation) == self.wanted);
        if same {
            self.edits = edits;
        }
        same
    }

    /// Takes away one thing after the other, until nothing more can be.
    fn take_away(&mut self, whole: &Failure) {
        self.happenings_to(self.edits.first.unwrap_or(whole.happenings));
        loop {
            let before = self.edits.clone();
            for (simpler, _) in NAMES {
                self.attempt(|edits| _ = edits.simpler.insert(simpler));
            }
            let most = self.edits.events.unwrap_or(whole.events);
            (0..most).any(|events| self.attempt(|edits| edits.events = Some(events)));
            for number in 0..self.edits.first.unwrap_or(whole.happenings) {
                self.attempt(|edits| _ = edits.out.insert(number));
            }
            self.happenings_to(self.edits.first.unwrap_or(whole.happenings));
            if self.edits == before || self.runs >= MOST_RUNS {
                break;
            }
        }
    }

    /// Keeps an edit with which the same goes wrong in another draw. True if there is one.
    fn draw_anew(&mut self, edit: impl Fn(&mut Edits)) -> bool {
        (1..=DRAWS).any(|draw| {
            self.attempt(|edits| {
                edit(edits);
                edits.draw = Some(draw);
            })
        })
    }

    /// Where few happenings are left, finds the fewest of them with which the same goes wrong. What is left out
    /// changes what is drawn behind it, so two can often be left out together where neither can be alone. True if
    /// there are fewer.
    fn fewest(&mut self, whole: u64) -> bool {
        let left: Vec<u64> = (0..whole).filter(|number| !self.edits.leave_out(*number)).collect();
        selections(&left).into_iter().any(|selection| {
            self.attempt(|edits| edits.out.extend(left.iter().filter(|number| !selection.contains(number))))
        })
    }

    /// Leaves out all happenings behind the last one that matters.
    fn happenings_to(&mut self, most: u64) {
        (0..most).any(|first| self.attempt(|edits| edits.first = Some(first)));
    }
}

/// Every selection of a few happenings but all of them, the smallest first; none of many.
fn selections(left: &[u64]) -> Vec<BTreeSet<u64>> {
    if left.len() as u64 > FEW {
        return Vec::new();
    }
    let of = |mask: u64| {
        let chosen = left.iter().enumerate().filter(|(place, _)| mask & (1 << place) != 0);
        chosen.map(|(_, number)| *number).collect::<BTreeSet<u64>>()
    };
    let mut selections: Vec<_> = (0..(1_u64 << left.len()) - 1).map(of).collect();
    selections.sort_by_key(BTreeSet::len);
    selections
}

/// What went wrong, whichever event, shard or byte it went wrong with.
fn shape(violation: &str) -> String {
    violation.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_read_as_they_are_written() {
        let text = "draw=7,first=9,out=2+5,events=3,calm,one-shard,plain";
        let edits: Edits = text.parse().unwrap();
        assert_eq!(edits.to_string(), text);
        assert_eq!(edits.left(12), 7);
        assert_eq!("".parse(), Ok(Edits::default()));
        assert!(Edits::default().to_string().is_empty());
        for wrong in ["first", "first=x", "out=1+", "calmer", "=1"] {
            assert!(wrong.parse::<Edits>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn selections_are_all_but_the_whole_and_the_smallest_come_first() {
        assert_eq!(selections(&[2, 5]), [vec![], vec![2], vec![5]].map(BTreeSet::from_iter));
        let of_ten = selections(&(0..10).collect::<Vec<_>>());
        assert_eq!(of_ten.len(), 1_023);
        assert!(of_ten.is_sorted_by_key(BTreeSet::len));
        assert_eq!(of_ten.iter().collect::<BTreeSet<_>>().len(), 1_023, "each once");
        assert!(selections(&(0..11).collect::<Vec<_>>()).is_empty(), "that many are too many");
        assert!(selections(&[]).is_empty());
    }

    #[test]
    fn what_goes_wrong_is_the_same_with_other_numbers() {
        assert_eq!(shape("shard 0: event 17"), shape("shard 12: event 3"));
        assert_ne!(shape("shard 0: event 17"), shape("shard 0: object 17"));
    }
}
