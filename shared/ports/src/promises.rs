//! The promises of a stream, as a value.

/// The promise of an append that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appends {
    /// All events are written or none, and only if the shard ends where it is expected to.
    Conditional,
    /// The expected tail is not looked at, and an append that does not answer may have written any of its events, but
    /// of each key only the first ones, in their order: events of different keys may stand in any order and without
    /// one another. An append that answers has written all of them, and answers a tail behind the last of them.
    /// Whoever appends has to be alone, and to look afterwards what arrived. By `append_ordered` it may be other ones.
    ByKey,
}

/// What a stream promises that some services cannot. What is not promised is not asked for, but what the store then
/// answers instead must be right: the conformance suite holds it to both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promises {
    /// The promise of an append that fails.
    pub appends: Appends,
    /// True if the store demands a key of every event: one that has none is given one, and may be spread by it.
    pub needs_keys: bool,
    /// True if a key that is null or empty is kept as it is, or its event refused; else such an event gets a key of the
    /// store's own, as one without a key does.
    pub empty_keys: bool,
    /// True if `create` makes a stream; else a stream that is missing stays missing, and `create` answers `NotFound`.
    pub creates: bool,
    /// True if `trim` drops events; else it is refused as `Invalid`.
    pub trims: bool,
    /// True if `measure` counts exactly; else it answers none.
    pub counts: bool,
    /// True if the store itself keeps who writes; else everyone is told to hold the reservation.
    pub reserves: bool,
    /// True if shards are named `0`, `1`, …, numbers count from 0 without a gap, and every event is kept as it was
    /// given. Who promises this keeps all other promises, too.
    pub dense: bool,
}

impl Promises {
    /// All of them.
    pub const ALL: Self = Self {
        appends: Appends::Conditional,
        needs_keys: false,
        empty_keys: true,
        creates: true,
        trims: true,
        counts: true,
        reserves: true,
        dense: true,
    };
}
