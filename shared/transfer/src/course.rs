//! The course of a transfer: what a host calls next after an answer, and how long it waits before.
//!
//! The laptop's loop, the functions behind the workflow and the simulator follow the same course, so what one of them
//! shows holds for the others. Operations decide; this only routes.
//!
//! **Invariant.** Every call has a course after every answer. Trouble is followed by the same call, a bounded number of
//! times in a row, and every wait is bounded. So a host that follows the course ends.

use crate::outcome::{Finish, Planning, Settled, SliceOutcome};
use crate::record::Failure;

/// The call that a host makes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Planning, which goes on where the invocation before left off.
    Plan,
    /// A slice.
    Slice,
    /// Settling, with the failure of a slice or of finishing.
    Settle(Option<Failure>),
    /// Finishing.
    Finish,
    /// None: the transfer is at rest or at its end.
    End,
    /// None: settling itself was in trouble too often, so nothing was put on record. The host says so.
    GiveUp(Failure),
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of a plan that goes on.
    Plan(Planning),
    /// Of a slice.
    Slice(SliceOutcome),
    /// Of settling.
    Settle(Settled),
    /// Of finishing.
    Finish(Finish),
    /// Of any call that did not end: a store or the host is in trouble.
    Trouble(Failure),
}

impl Answer {
    /// What a store or the host is in trouble with, if that is the answer: the call is repeated.
    pub fn trouble(&self) -> Option<&Failure> {
        match self {
            Self::Slice(SliceOutcome::Interrupted(failure))
            | Self::Finish(Finish::Interrupted(failure))
            | Self::Trouble(failure) => Some(failure),
            Self::Plan(_) | Self::Slice(_) | Self::Settle(_) | Self::Finish(_) => None,
        }
    }
}

/// The bounds of a host: how long its waves are, and how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// Slices before settling, at least one.
    pub slices: u64,
    /// The longest wait for the owner of a shard, in milliseconds.
    pub busy_millis: u64,
    /// The longest wait for an event of an import in rhythm to be due, in milliseconds. A clock that is set meanwhile, or
    /// a machine that sleeps, makes it late by no more than that.
    pub idle_millis: u64,
    /// The longest wait for owners that are asked to rest, in milliseconds. They see that long before their leases end.
    pub rest_millis: u64,
    /// The wait after the first trouble, in milliseconds; it doubles with each one in a row.
    pub trouble_millis: u64,
    /// The longest wait after trouble, in milliseconds.
    pub longest_millis: u64,
    /// Answers in a row that may be trouble; the last of them fails the transfer. An answer to calls that moved
    /// something is none.
    pub troubles: u32,
}

impl Default for Pacing {
    /// For a process that a person waits for: the transfer is settled after each slice, and trouble is tried again
    /// soon.
    fn default() -> Self {
        Self {
            slices: 1,
            busy_millis: 10_000,
            idle_millis: 60_000,
            rest_millis: 10_000,
            trouble_millis: 200,
            longest_millis: 10_000,
            troubles: 10,
        }
    }
}

/// The place of a transfer on its course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// The next call.
    pub call: Call,
    /// Milliseconds to wait before it; 0 for none.
    pub wait_millis: u64,
    /// Answers in a row that were trouble.
    pub troubles: u32,
    /// Slices since the transfer was settled.
    pub slices: u64,
}

impl Course {
    /// A course that begins with a call.
    pub fn from(call: Call) -> Self {
        Self { call, wait_millis: 0, troubles: 0, slices: 0 }
    }

    /// What comes after the answer to this call.
    #[must_use]
    pub fn after(&self, answer: Answer, pacing: &Pacing) -> Self {
        match answer {
            Answer::Plan(planning) => Self::from(match planning {
                Planning::Again => Call::Plan,
                Planning::Planned => Call::Slice,
                Planning::Stopped => Call::Settle(None),
            }),
            Answer::Slice(outcome) => self.after_slice(outcome, pacing),
            Answer::Settle(settled) => match settled {
                Settled::Again => Self::from(Call::Slice),
                Settled::Finish => Self::from(Call::Finish),
                Settled::Ended => Self::from(Call::End),
                // A failure is on record by now.
                Settled::Busy { wait_millis } => Self {
                    wait_millis: wait_millis.clamp(1, pacing.rest_millis.max(1)),
                    ..Self::from(Call::Settle(None))
                },
            },
            Answer::Finish(finish) => match finish {
                Finish::Ended => Self::from(Call::End),
                Finish::Again => Self::from(Call::Finish),
                Finish::Busy { wait_millis } => {
                    Self { wait_millis: wait_millis.clamp(1, pacing.rest_millis.max(1)), ..Self::from(Call::Finish) }
                }
                Finish::Interrupted(failure) => self.after_trouble(failure, pacing),
            },
            Answer::Trouble(failure) => self.after_trouble(failure, pacing),
        }
    }

    fn after_slice(&self, outcome: SliceOutcome, pacing: &Pacing) -> Self {
        let slices = self.slices + 1;
        // Settling sees a pause, and tells how far the transfer is.
        let next = if slices < pacing.slices {
            Self { slices, ..Self::from(Call::Slice) }
        } else {
            Self::from(Call::Settle(None))
        };
        match outcome {
            SliceOutcome::More => next,
            SliceOutcome::Busy { wait_millis } => {
                Self { wait_millis: wait_millis.clamp(1, pacing.busy_millis.max(1)), ..next }
            }
            SliceOutcome::Waiting { wait_millis } => {
                Self { wait_millis: wait_millis.clamp(1, pacing.idle_millis.max(1)), ..next }
            }
            SliceOutcome::Done | SliceOutcome::Stopped | SliceOutcome::Fenced => Self::from(Call::Settle(None)),
            SliceOutcome::Failed(failure) => Self::from(Call::Settle(Some(failure))),
            SliceOutcome::Interrupted(failure) => Self { slices, ..self.clone() }.after_trouble(failure, pacing),
        }
    }

    /// The same call after a wait that doubles; after too many in a row a failure, or the end where even that cannot be
    /// put on record.
    fn after_trouble(&self, failure: Failure, pacing: &Pacing) -> Self {
        let troubles = self.troubles.saturating_add(1);
        if troubles < pacing.troubles {
            let doubled = pacing.trouble_millis.saturating_mul(1 << self.troubles.min(20));
            return Self { wait_millis: doubled.min(pacing.longest_millis), troubles, ..self.clone() };
        }
        Self::from(match &self.call {
            Call::Slice | Call::Finish => Call::Settle(Some(failure)),
            // A plan has moved nothing that could fail. What it found stays on record for the next one.
            Call::Plan | Call::Settle(_) => Call::GiveUp(failure),
            call @ (Call::End | Call::GiveUp(_)) => call.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TROUBLES: u32 = 10;
    const PACING: Pacing = Pacing {
        slices: 3,
        busy_millis: 30_000,
        idle_millis: 900_000,
        rest_millis: 10_000,
        trouble_millis: 200,
        longest_millis: 10_000,
        troubles: TROUBLES,
    };

    fn failure(message: &str) -> Failure {
        Failure { code: "Unavailable".into(), message: message.into() }
    }

    fn course(call: Call, wait_millis: u64, troubles: u32, slices: u64) -> Course {
        Course { call, wait_millis, troubles, slices }
    }

    #[test]
    fn the_whole_table() {
        let (calm, wait) = (Course::from, |call, millis| course(call, millis, 0, 0));
        let slice = |slices| course(Call::Slice, 0, 4, slices);
        let (settle, failed) = (Call::Settle(None), Call::Settle(Some(failure("a"))));
        let (finish, plan) = (course(Call::Finish, 0, 4, 0), course(Call::Plan, 0, 4, 0));
        let settling = course(failed.clone(), 0, 4, 0);
        let busy = |wait_millis| SliceOutcome::Busy { wait_millis };
        let waiting = |wait_millis| SliceOutcome::Waiting { wait_millis };
        for (at, answer, next) in [
            (plan.clone(), Answer::Plan(Planning::Again), calm(Call::Plan)),
            (plan.clone(), Answer::Plan(Planning::Planned), calm(Call::Slice)),
            (plan.clone(), Answer::Plan(Planning::Stopped), calm(settle.clone())),
            (plan, Answer::Trouble(failure("b")), course(Call::Plan, 3_200, 5, 0)),
            (slice(0), Answer::Slice(SliceOutcome::More), course(Call::Slice, 0, 0, 1)),
            (slice(1), Answer::Slice(SliceOutcome::More), course(Call::Slice, 0, 0, 2)),
            (slice(2), Answer::Slice(SliceOutcome::More), calm(settle.clone())),
            (slice(0), Answer::Slice(busy(7)), course(Call::Slice, 7, 0, 1)),
            (slice(0), Answer::Slice(busy(u64::MAX)), course(Call::Slice, 30_000, 0, 1)),
            (slice(2), Answer::Slice(busy(7)), wait(settle.clone(), 7)),
            (slice(0), Answer::Slice(waiting(7)), course(Call::Slice, 7, 0, 1)),
            (slice(0), Answer::Slice(waiting(u64::MAX)), course(Call::Slice, 900_000, 0, 1)),
            (slice(2), Answer::Slice(waiting(7)), wait(settle.clone(), 7)),
            (slice(0), Answer::Slice(SliceOutcome::Done), calm(settle.clone())),
            (slice(0), Answer::Slice(SliceOutcome::Stopped), calm(settle.clone())),
            (slice(0), Answer::Slice(SliceOutcome::Fenced), calm(settle.clone())),
            (slice(0), Answer::Slice(SliceOutcome::Failed(failure("a"))), calm(failed.clone())),
            (slice(0), Answer::Slice(SliceOutcome::Interrupted(failure("b"))), course(Call::Slice, 3_200, 5, 1)),
            (slice(0), Answer::Trouble(failure("b")), course(Call::Slice, 3_200, 5, 0)),
            (settling.clone(), Answer::Settle(Settled::Again), calm(Call::Slice)),
            (settling.clone(), Answer::Settle(Settled::Finish), calm(Call::Finish)),
            (settling.clone(), Answer::Settle(Settled::Ended), calm(Call::End)),
            (settling.clone(), Answer::Settle(Settled::Busy { wait_millis: 9 }), wait(settle.clone(), 9)),
            (settling.clone(), Answer::Settle(Settled::Busy { wait_millis: 99_999 }), wait(settle, 10_000)),
            (settling, Answer::Trouble(failure("b")), course(failed.clone(), 3_200, 5, 0)),
            (finish.clone(), Answer::Finish(Finish::Ended), calm(Call::End)),
            (finish.clone(), Answer::Finish(Finish::Again), calm(Call::Finish)),
            (finish.clone(), Answer::Finish(Finish::Busy { wait_millis: 9 }), wait(Call::Finish, 9)),
            (finish.clone(), Answer::Finish(Finish::Busy { wait_millis: 99_999 }), wait(Call::Finish, 10_000)),
            (finish.clone(), Answer::Finish(Finish::Interrupted(failure("b"))), course(Call::Finish, 3_200, 5, 0)),
            (finish, Answer::Trouble(failure("b")), course(Call::Finish, 3_200, 5, 0)),
        ] {
            assert_eq!(at.after(answer.clone(), &PACING), next, "{at:?} after {answer:?}");
        }
    }

    #[test]
    fn the_tenth_trouble_in_a_row_ends_the_call() {
        for (call, end) in [
            (Call::Slice, Call::Settle(Some(failure("10")))),
            (Call::Finish, Call::Settle(Some(failure("10")))),
            (Call::Settle(Some(failure("it"))), Call::GiveUp(failure("10"))),
            (Call::Settle(None), Call::GiveUp(failure("10"))),
            (Call::Plan, Call::GiveUp(failure("10"))),
        ] {
            let (mut at, mut waits) = (Course::from(call.clone()), Vec::new());
            for time in 1..TROUBLES {
                at = at.after(Answer::Trouble(failure(&time.to_string())), &PACING);
                assert_eq!((&at.call, at.troubles), (&call, time));
                waits.push(at.wait_millis);
            }
            assert_eq!(waits, [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000]);
            assert_eq!(at.after(Answer::Trouble(failure("10")), &PACING), Course::from(end));
        }
    }

    #[test]
    fn trouble_that_passes_is_forgotten() {
        let at = course(Call::Slice, 0, TROUBLES - 1, 0);
        let calm = at.after(Answer::Slice(SliceOutcome::More), &PACING);
        assert_eq!(calm.troubles, 0);
        assert_eq!(calm.after(Answer::Trouble(failure("a")), &PACING).troubles, 1);
    }

    /// An answer of each kind; waits as they come.
    fn answers(wait_millis: u64) -> Vec<Answer> {
        let failure = failure("x");
        vec![
            Answer::Plan(Planning::Again),
            Answer::Plan(Planning::Planned),
            Answer::Plan(Planning::Stopped),
            Answer::Slice(SliceOutcome::Done),
            Answer::Slice(SliceOutcome::More),
            Answer::Slice(SliceOutcome::Busy { wait_millis }),
            Answer::Slice(SliceOutcome::Waiting { wait_millis }),
            Answer::Slice(SliceOutcome::Stopped),
            Answer::Slice(SliceOutcome::Fenced),
            Answer::Slice(SliceOutcome::Interrupted(failure.clone())),
            Answer::Slice(SliceOutcome::Failed(failure.clone())),
            Answer::Settle(Settled::Again),
            Answer::Settle(Settled::Finish),
            Answer::Settle(Settled::Ended),
            Answer::Settle(Settled::Busy { wait_millis }),
            Answer::Finish(Finish::Ended),
            Answer::Finish(Finish::Again),
            Answer::Finish(Finish::Busy { wait_millis }),
            Answer::Finish(Finish::Interrupted(failure.clone())),
            Answer::Trouble(failure),
        ]
    }

    fn any_answer() -> impl Strategy<Value = Answer> {
        (any::<u64>(), any::<prop::sample::Index>()).prop_map(|(wait, index)| index.get(&answers(wait)).clone())
    }

    fn any_call() -> impl Strategy<Value = Call> {
        prop::sample::select(vec![
            Call::Plan,
            Call::Slice,
            Call::Settle(None),
            Call::Settle(Some(failure("it"))),
            Call::Finish,
            Call::End,
            Call::GiveUp(failure("it")),
        ])
    }

    fn any_pacing() -> impl Strategy<Value = Pacing> {
        let millis = || prop_oneof![Just(0), 1_u64..100_000, Just(u64::MAX)];
        (0_u64..5, millis(), millis(), millis(), millis(), millis(), 3_u32..100).prop_map(
            |(slices, busy_millis, idle_millis, rest_millis, trouble_millis, longest_millis, troubles)| Pacing {
                slices,
                busy_millis,
                idle_millis,
                rest_millis,
                trouble_millis,
                longest_millis,
                troubles,
            },
        )
    }

    #[test]
    fn trouble_is_named_where_the_call_is_repeated() {
        for answer in answers(1) {
            let at = course(Call::Finish, 0, 3, 0);
            assert_eq!(at.after(answer.clone(), &PACING).troubles > 0, answer.trouble().is_some(), "{answer:?}");
        }
    }

    proptest! {
        /// Every call has a course after every answer, under any bounds: a wait within them, the same call only after
        /// trouble or where there is more, and a failure that is not lost before settling was told of it.
        #[test]
        fn every_call_has_a_course_after_every_answer(
            call in any_call(),
            wait in any::<u64>(),
            before in any::<prop::sample::Index>(),
            slices in any::<u32>(),
            answer in any_answer(),
            pacing in any_pacing(),
        ) {
            let before = u32::try_from(before.index(pacing.troubles as usize)).unwrap_or_default();
            let at = course(call.clone(), wait, before, u64::from(slices));
            let next = at.after(answer.clone(), &pacing);
            let waits = [pacing.busy_millis, pacing.idle_millis, pacing.rest_millis, pacing.longest_millis, 1];
            let longest = waits.into_iter().max().unwrap_or_default();
            prop_assert!(next.wait_millis <= longest, "{next:?}");
            prop_assert!(next.troubles < pacing.troubles);
            if answer.trouble().is_none() {
                prop_assert_eq!(next.troubles, 0);
            } else if before + 1 < pacing.troubles {
                prop_assert_eq!((&next.call, next.troubles), (&call, before + 1));
            } else {
                prop_assert_eq!(next.troubles, 0);
                prop_assert!(matches!(next.call, Call::Settle(Some(_)) | Call::GiveUp(_) | Call::End), "{next:?}");
            }
            if let Answer::Slice(SliceOutcome::Failed(failure)) = answer {
                prop_assert_eq!(next.call, Call::Settle(Some(failure)));
            }
        }

        /// In one stretch of trouble no wait is shorter than the one before, and the stretch ends.
        #[test]
        fn waits_after_trouble_grow_and_are_bounded(call in any_call(), pacing in any_pacing()) {
            let (mut at, mut waits) = (Course::from(call.clone()), Vec::new());
            for _ in 1..pacing.troubles {
                at = at.after(Answer::Trouble(failure("x")), &pacing);
                prop_assert_eq!(&at.call, &call);
                waits.push(at.wait_millis);
            }
            prop_assert!(waits.is_sorted(), "{waits:?}");
            prop_assert!(waits.iter().all(|wait| *wait <= pacing.longest_millis), "{waits:?}");
            let doubles = pacing.trouble_millis > 0 && pacing.longest_millis / 2 >= pacing.trouble_millis;
            prop_assert!(!doubles || waits[1] == 2 * waits[0], "{waits:?}");
            at = at.after(Answer::Trouble(failure("x")), &pacing);
            prop_assert!(matches!(at.call, Call::Settle(Some(_)) | Call::GiveUp(_) | Call::End), "{at:?}");
        }

        /// Whatever is answered, waits and troubles are bounded, and waves are as long as the host says.
        #[test]
        fn no_course_goes_on_for_ever_in_one_call(answers in prop::collection::vec(any_answer(), 0..200)) {
            let mut at = Course::from(Call::Slice);
            for answer in answers {
                at = at.after(answer, &PACING);
                prop_assert!(at.wait_millis <= PACING.idle_millis);
                prop_assert!(at.troubles < TROUBLES);
                prop_assert!(at.call != Call::Slice || at.troubles > 0 || at.slices < PACING.slices);
            }
        }
    }
}
