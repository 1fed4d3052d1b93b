//! The states of a transfer and the only ways between them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Stream to bucket, or bucket to stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Stream to bucket.
    Export,
    /// Bucket to stream.
    Import,
}

/// The state of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Bounds, shards or sources are being resolved.
    Preparing,
    /// Slices run.
    Transferring,
    /// At rest; holds nothing open.
    Paused,
    /// Everything was moved and is being checked.
    Verifying,
    /// Everything arrived and was checked.
    Completed,
    /// Everything that the source still had arrived and was checked; the manifest names what was lost before it was
    /// read.
    CompletedWithGaps,
    /// Everything that the target of an import can hold arrived and was checked; the rest is stored, and counted.
    CompletedWithMisfits,
    /// Some destinations are complete, at least one is not.
    CompletedWithFailures,
    /// Stopped by an error; can be resumed.
    Failed,
    /// Given up; finished objects stay.
    Cancelled,
}

/// The state that the user wants; slices read it at every checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Wanted {
    /// Go on.
    Running,
    /// Come to rest.
    Paused,
    /// Give up.
    Cancelled,
}

/// A step of a transfer as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Bounds and shards are on record.
    Planned,
    /// Every shard is through.
    Drained,
    /// Every slice is at rest after a pause was wanted.
    Paused,
    /// A person or a schedule goes on with it.
    Resumed,
    /// Everything checked, nothing missing.
    Verified,
    /// Everything checked; the source had lost some of it.
    VerifiedWithGaps,
    /// Everything checked; the target could not hold some of it, which is stored.
    VerifiedWithMisfits,
    /// Everything checked at some destinations.
    VerifiedWithFailures,
    /// An error that trying again does not mend.
    Failed,
    /// Every slice is at rest after cancelling was wanted, and nothing is open.
    Cancelled,
}

/// A step that a state does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a transfer that is {state} cannot be {step:?}")]
pub struct Illegal {
    /// The current state.
    pub state: State,
    /// The step that was asked for.
    pub step: Step,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Preparing,
        Self::Transferring,
        Self::Paused,
        Self::Verifying,
        Self::Completed,
        Self::CompletedWithGaps,
        Self::CompletedWithMisfits,
        Self::CompletedWithFailures,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Those in which a transfer is at work: one has an execution, or had one that is gone.
    pub const ACTIVE: [Self; 3] = [Self::Preparing, Self::Transferring, Self::Verifying];

    /// Those that nothing follows.
    pub const FINAL: [Self; 4] =
        [Self::Completed, Self::CompletedWithGaps, Self::CompletedWithMisfits, Self::Cancelled];

    /// The state behind a step.
    pub fn after(self, step: Step) -> Result<Self, Illegal> {
        match (self, step) {
            (Self::Preparing, Step::Planned)
            | (Self::Paused | Self::Failed | Self::CompletedWithFailures, Step::Resumed) => Ok(Self::Transferring),
            (Self::Transferring, Step::Drained) => Ok(Self::Verifying),
            (Self::Transferring | Self::Verifying, Step::Paused) => Ok(Self::Paused),
            (Self::Verifying, Step::Verified) => Ok(Self::Completed),
            (Self::Verifying, Step::VerifiedWithGaps) => Ok(Self::CompletedWithGaps),
            (Self::Verifying, Step::VerifiedWithMisfits) => Ok(Self::CompletedWithMisfits),
            (Self::Verifying, Step::VerifiedWithFailures) => Ok(Self::CompletedWithFailures),
            (Self::Preparing | Self::Transferring | Self::Verifying, Step::Failed) => Ok(Self::Failed),
            (Self::Preparing | Self::Transferring | Self::Verifying | Self::Paused | Self::Failed, Step::Cancelled) => {
                Ok(Self::Cancelled)
            }
            (state, step) => Err(Illegal { state, step }),
        }
    }

    /// True if slices may run.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Preparing | Self::Transferring | Self::Verifying)
    }

    /// True if everything that could be moved is there and was checked.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Completed | Self::CompletedWithGaps | Self::CompletedWithMisfits)
    }

    /// True if nothing can follow.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::CompletedWithGaps | Self::CompletedWithMisfits | Self::Cancelled)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Preparing => "PREPARING",
            Self::Transferring => "TRANSFERRING",
            Self::Paused => "PAUSED",
            Self::Verifying => "VERIFYING",
            Self::Completed => "COMPLETED",
            Self::CompletedWithGaps => "COMPLETED_WITH_GAPS",
            Self::CompletedWithMisfits => "COMPLETED_WITH_MISFITS",
            Self::CompletedWithFailures => "COMPLETED_WITH_FAILURES",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 10] = [
        Step::Planned,
        Step::Drained,
        Step::Paused,
        Step::Resumed,
        Step::Verified,
        Step::VerifiedWithGaps,
        Step::VerifiedWithMisfits,
        Step::VerifiedWithFailures,
        Step::Failed,
        Step::Cancelled,
    ];

    /// The whole table, a row a state, a column a step; `.` is illegal.
    const TABLE: [(State, &str); 10] = [
        //                              Pl Dr Pa Re Ve Vg Vm Vf Fa Ca
        (State::Preparing, "             T  .  .  .  .  .  .  .  F  X"),
        (State::Transferring, "          .  V  P  .  .  .  .  .  F  X"),
        (State::Paused, "                .  .  .  T  .  .  .  .  .  X"),
        (State::Verifying, "             .  .  P  .  C  G  M  S  F  X"),
        (State::Completed, "             .  .  .  .  .  .  .  .  .  ."),
        (State::CompletedWithGaps, "     .  .  .  .  .  .  .  .  .  ."),
        (State::CompletedWithMisfits, "  .  .  .  .  .  .  .  .  .  ."),
        (State::CompletedWithFailures, " .  .  .  T  .  .  .  .  .  ."),
        (State::Failed, "                .  .  .  T  .  .  .  .  .  X"),
        (State::Cancelled, "             .  .  .  .  .  .  .  .  .  ."),
    ];

    fn letter(state: State) -> char {
        match state {
            State::Preparing => 'p',
            State::Transferring => 'T',
            State::Paused => 'P',
            State::Verifying => 'V',
            State::Completed => 'C',
            State::CompletedWithGaps => 'G',
            State::CompletedWithMisfits => 'M',
            State::CompletedWithFailures => 'S',
            State::Failed => 'F',
            State::Cancelled => 'X',
        }
    }

    #[test]
    fn the_whole_table_of_transitions() {
        for (row, (state, cells)) in TABLE.into_iter().enumerate() {
            assert_eq!(state, State::ALL[row]);
            for (step, expected) in STEPS.into_iter().zip(cells.split_whitespace()) {
                let seen = state.after(step).map_or('.', letter);
                assert_eq!(seen.to_string(), expected, "{state} after {step:?}");
            }
        }
    }

    #[test]
    fn nothing_follows_a_final_state_and_only_there() {
        for state in State::ALL {
            let stuck = STEPS.iter().all(|step| state.after(*step).is_err());
            assert_eq!(stuck, state.is_final(), "{state}");
            assert_eq!(State::FINAL.contains(&state), state.is_final(), "{state}");
            assert_eq!(State::ACTIVE.contains(&state), state.is_active(), "{state}");
        }
    }

    #[test]
    fn texts_are_those_of_serde() {
        for state in State::ALL {
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }
    }
}
