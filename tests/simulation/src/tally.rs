//! What schedules did, in numbers.

/// What a schedule did, to see that it did something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Calls on ports.
    pub calls: u64,
    /// Plans that left off before their end.
    pub plans: u64,
    /// Slices.
    pub slices: u64,
    /// Actors that died.
    pub deaths: u64,
    /// Slices that were left behind alive while others took over.
    pub zombies: u64,
    /// Pauses.
    pub pauses: u64,
    /// Trims of the source.
    pub trims: u64,
    /// Gaps in the manifest.
    pub gaps: u64,
    /// Transfers that completed.
    pub completed: u64,
    /// Imports among them whose target appends by key.
    pub by_key: u64,
    /// Imports that are placed by key.
    pub placed: u64,
    /// Imports out of shards that were split and merged, into such.
    pub lineages: u64,
    /// Splits and merges of targets.
    pub reshards: u64,
    /// Imports that take a range.
    pub ranges: u64,
    /// Imports in the rhythm of their source.
    pub paced: u64,
    /// Imports whose target cannot hold all events.
    pub misfits: u64,
    /// Transfers that were cancelled.
    pub cancelled: u64,
    /// Transfers that were stopped by a foreign object, rightly.
    pub refused: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.plans += other.plans;
        self.slices += other.slices;
        self.deaths += other.deaths;
        self.zombies += other.zombies;
        self.pauses += other.pauses;
        self.trims += other.trims;
        self.gaps += other.gaps;
        self.completed += other.completed;
        self.by_key += other.by_key;
        self.placed += other.placed;
        self.lineages += other.lineages;
        self.reshards += other.reshards;
        self.ranges += other.ranges;
        self.paced += other.paced;
        self.misfits += other.misfits;
        self.cancelled += other.cancelled;
        self.refused += other.refused;
    }
}
