//! What a schedule that went wrong leaves for a person.

use std::fmt;

/// An invariant that did not hold.
#[derive(Debug)]
pub struct Failure {
    /// The schedule's seed.
    pub seed: u64,
    /// What was wrong.
    pub violation: String,
    /// The steps, if they were asked for.
    pub trace: Vec<String>,
    /// Happenings up to there, those that were left out included.
    pub happenings: u64,
    /// Events of the longest shard.
    pub events: usize,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {}: {}", self.seed, self.violation)
    }
}
