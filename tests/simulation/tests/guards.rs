//! With a guard of the protocol taken out the simulator finds a violation soon; with all guards in place the same
//! schedule holds. So what the simulator finds is due to the guard, and the guard is no decoration.

#![cfg(test)]

use sluice_simulation::{Edits, Guard, run, run_edited, shrink};

/// Schedules tried with a guard taken out.
const SCHEDULES: u64 = 3_000;
/// Schedules that go wrong whose stories are looked at until one is short.
const STORIES: usize = 4;

/// The first schedule that goes wrong in that way without a guard, and what went wrong in it.
fn found_without(guard: Guard, wrong: &str) -> (u64, String) {
    (0..SCHEDULES)
        .filter_map(|seed| run(seed, Some(guard), false).err().map(|failure| (seed, failure.violation)))
        .find(|(_, violation)| violation.contains(wrong))
        .unwrap_or_else(|| panic!("in {SCHEDULES} schedules nothing '{wrong}' without {guard:?}"))
}

/// Without the guard it goes wrong in that way.
fn is_needed(guard: Guard, wrong: &str) {
    let (seed, violation) = found_without(guard, wrong);
    if let Err(failure) = run(seed, None, true) {
        panic!("without {guard:?}: {violation}; with all guards it does not hold either: {failure}");
    }
    // A schedule is a function of its seed, also the wrong one.
    let again = run(seed, Some(guard), false).map_err(|failure| failure.violation);
    assert_eq!(again.err(), Some(violation));
    // Not every schedule has a short one.
    let others = (seed + 1..SCHEDULES).filter(|seed| run(*seed, Some(guard), false).is_err());
    let stories: Vec<String> = std::iter::once(seed)
        .chain(others)
        .take(STORIES)
        .map_while(|seed| is_told_shortly(seed, guard).err())
        .collect();
    assert!(stories.len() < STORIES, "no story of {guard:?} is short: {stories:#?}");
}

/// What is left of the schedule is a short story, and it is about the guard. Else it is told.
fn is_told_shortly(seed: u64, guard: Guard) -> Result<(), String> {
    let shrunk = shrink(seed, Some(guard)).unwrap();
    let (edits, story) = (&shrunk.edits, &shrunk.failure);
    let left = edits.left(shrunk.whole);
    println!("{guard:?}, seed {seed}: {left} of {}, {} lines; {edits}", shrunk.whole, story.trace.len());
    // The printed text replays it.
    let told: Edits = edits.to_string().parse().unwrap();
    let again = run_edited(seed, Some(guard), &told, true).unwrap_err();
    assert_eq!((&again.violation, &again.trace), (&story.violation, &story.trace));
    if let Err(failure) = run_edited(seed, None, edits, true) {
        panic!("with all guards the story of {guard:?} fails too: {failure}");
    }
    let (whole, events) = (shrunk.whole, story.events);
    if left <= 6 && events <= 16 {
        return Ok(());
    }
    Err(format!("seed {seed}: {left} of {whole} happenings and {events} events are left: {edits}"))
}

#[test]
fn a_schedule_that_holds_has_no_story() {
    assert!(shrink(0, None).is_none());
}

#[test]
fn without_the_epoch_condition_late_writers_are_found() {
    is_needed(Guard::EpochCondition, "went back");
}

#[test]
fn without_the_look_after_an_uncertain_completion_foreign_objects_are_found() {
    is_needed(Guard::HeadAfterComplete, "is not what was sealed");
}

#[test]
fn without_the_closing_on_record_objects_nobody_remembers_are_found() {
    is_needed(Guard::ClosingAhead, "ForeignObject");
}

#[test]
fn without_the_look_at_what_an_unanswered_append_left_events_arrive_twice() {
    is_needed(Guard::Reconcile, "is not the next one of its ");
}

#[test]
fn without_the_wait_for_what_is_still_to_land_events_arrive_twice() {
    is_needed(Guard::LandingWait, "is not the next one of its ");
}

#[test]
fn without_a_look_into_the_shards_that_continue_one_events_arrive_twice() {
    is_needed(Guard::Continued, "is not the next one of its ");
}

#[test]
fn without_the_lineage_of_shards_keys_lose_their_order() {
    is_needed(Guard::Lineage, "is not the next one of its ");
}

#[test]
fn without_the_hashes_of_shards_events_stand_where_no_consumer_looks() {
    is_needed(Guard::Placement, "stands where its key does not lead");
}

#[test]
fn without_the_file_in_front_of_the_record_misfits_are_nowhere() {
    is_needed(Guard::MisfitFirst, "passes over a misfit whose file is not there");
}

#[test]
fn without_being_told_of_a_loss_events_are_missing_and_nobody_knows() {
    is_needed(Guard::Horizon, "that are not the source's");
}
