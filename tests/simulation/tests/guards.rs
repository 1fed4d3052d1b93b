//! With a guard of the protocol taken out the simulator finds a violation soon; with all guards in place the same
//! schedule holds. So what the simulator finds is due to the guard, and the guard is no decoration.

#![cfg(test)]

use sluice_simulation::{Edits, Guard, run, run_edited, shrink};

/// Schedules tried with a guard taken out.
const SCHEDULES: u64 = 3_000;

/// The first schedule that goes wrong without a guard, and what went wrong in it.
fn found_without(guard: Guard) -> (u64, String) {
    (0..SCHEDULES)
        .find_map(|seed| run(seed, Some(guard), false).err().map(|failure| (seed, failure.violation)))
        .unwrap_or_else(|| panic!("{SCHEDULES} schedules hold without {guard:?}"))
}

fn is_needed(guard: Guard) {
    let (seed, violation) = found_without(guard);
    if let Err(failure) = run(seed, None, true) {
        panic!("without {guard:?}: {violation}; with all guards it does not hold either: {failure}");
    }
    // A schedule is a function of its seed, also the wrong one.
    let again = run(seed, Some(guard), false).map_err(|failure| failure.violation);
    assert_eq!(again.err(), Some(violation));
    is_told_shortly(seed, guard);
}

/// What is left of the schedule is a short story, and it is about the guard.
fn is_told_shortly(seed: u64, guard: Guard) {
    let shrunk = shrink(seed, Some(guard)).unwrap();
    let (edits, story) = (&shrunk.edits, &shrunk.failure);
    let left = edits.left(shrunk.whole);
    println!("{guard:?}, seed {seed}: {left} of {}, {} lines; {edits}", shrunk.whole, story.trace.len());
    assert!(left <= 6, "{left} of {} happenings are left: {edits}", shrunk.whole);
    assert!(story.events <= 16, "{} events are left: {edits}", story.events);
    // The printed text replays it.
    let told: Edits = edits.to_string().parse().unwrap();
    let again = run_edited(seed, Some(guard), &told, true).unwrap_err();
    assert_eq!((&again.violation, &again.trace), (&story.violation, &story.trace));
    if let Err(failure) = run_edited(seed, None, edits, true) {
        panic!("with all guards the story of {guard:?} fails too: {failure}");
    }
}

#[test]
fn a_schedule_that_holds_has_no_story() {
    assert!(shrink(0, None).is_none());
}

#[test]
fn without_the_epoch_condition_late_writers_are_found() {
    is_needed(Guard::EpochCondition);
}

#[test]
fn without_the_look_after_an_uncertain_completion_foreign_objects_are_found() {
    is_needed(Guard::HeadAfterComplete);
}

#[test]
fn without_the_closing_on_record_objects_nobody_remembers_are_found() {
    is_needed(Guard::ClosingAhead);
}

#[test]
fn without_the_look_at_what_an_unanswered_append_left_events_arrive_twice() {
    is_needed(Guard::Reconcile);
    assert!(found_without(Guard::Reconcile).1.contains("is not the next one of its "));
}

#[test]
fn without_the_wait_for_what_is_still_to_land_events_arrive_twice() {
    is_needed(Guard::LandingWait);
    assert!(found_without(Guard::LandingWait).1.contains("is not the next one of its "));
}
