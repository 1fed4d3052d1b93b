//! The budget of one slice.

use crate::{Counts, Timestamp};

/// Bounds of one slice. Events and bytes are soft by one part a shard, the deadline is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The largest number of events; none for no limit.
    pub events: Option<u64>,
    /// The largest number of bytes of payload; none for no limit.
    pub bytes: Option<u64>,
    /// Everything, answers included, has ended by then.
    pub deadline: Timestamp,
}

/// The rest of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// The events and bytes that are left, both above zero.
    Limit {
        /// Events.
        events: u64,
        /// Bytes of payload.
        bytes: u64,
    },
    /// Nothing.
    Exhausted,
}

impl Budget {
    /// The rest of the budget after `spent`.
    pub fn remaining(&self, spent: Counts) -> Remaining {
        let events = self.events.map_or(u64::MAX, |limit| limit.saturating_sub(spent.events));
        let bytes = self.bytes.map_or(u64::MAX, |limit| limit.saturating_sub(spent.bytes));
        if events == 0 || bytes == 0 { Remaining::Exhausted } else { Remaining::Limit { events, bytes } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_bound_exhausts() {
        let budget = Budget { events: Some(3), bytes: Some(10), deadline: Timestamp::default() };
        assert_eq!(budget.remaining(Counts::new(1, 4)), Remaining::Limit { events: 2, bytes: 6 });
        assert_eq!(budget.remaining(Counts::new(3, 4)), Remaining::Exhausted);
        assert_eq!(budget.remaining(Counts::new(1, 11)), Remaining::Exhausted);
    }
}
