//! The names of the table's index. The stack's template makes the table.

/// The index of transfers: partition `state`, sort key `createdAt` (microseconds, a number), all attributes.
pub const BY_STATE: &str = "byState";
/// Its partition key.
pub(crate) const STATE: &str = "state";
/// The time to live of items that go by themselves, in seconds since the epoch, as the table is told to look for it.
pub const EXPIRES_AT: &str = "expiresAt";
