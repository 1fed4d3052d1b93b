//! Owners of shards, and their claims. Safety comes from the epoch, which every write is conditional on; the lease only
//! tells how long a takeover waits.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The slice that holds a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Names the invocation, so that a failed answer of just that one is proof of its death.
    pub slice: String,
    /// The slice's deadline and a margin for requests in flight.
    pub lease_until: Timestamp,
}

/// The claiming host's knowledge of the last owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing.
    None,
    /// The named invocation answered with a failure, so it is dead.
    DeadSlice(String),
    /// No other owner can be alive: the host holds a lock that died with it.
    SoleOwner,
}

/// The answer to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The shard can be taken.
    Free,
    /// Another slice may be alive for this many milliseconds.
    Busy(u64),
}

impl Claim {
    /// Whether a shard held by `owner` can be taken at `now`.
    pub fn of(owner: Option<&Owner>, now: Timestamp, proof: &Proof) -> Self {
        let Some(owner) = owner else { return Self::Free };
        let dead = match proof {
            Proof::None => false,
            Proof::DeadSlice(slice) => *slice == owner.slice,
            Proof::SoleOwner => true,
        };
        if dead || owner.lease_until <= now {
            return Self::Free;
        }
        Self::Busy(owner.lease_until.millis_since(now).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_free_without_owner_after_its_lease_or_with_proof() {
        let now = Timestamp::from_millis(1_000);
        let owner = Owner { slice: "a".into(), lease_until: Timestamp::from_millis(1_500) };
        assert_eq!(Claim::of(None, now, &Proof::None), Claim::Free);
        assert_eq!(Claim::of(Some(&owner), now, &Proof::None), Claim::Busy(500));
        assert_eq!(Claim::of(Some(&owner), now, &Proof::DeadSlice("b".into())), Claim::Busy(500));
        assert_eq!(Claim::of(Some(&owner), now, &Proof::DeadSlice("a".into())), Claim::Free);
        assert_eq!(Claim::of(Some(&owner), now, &Proof::SoleOwner), Claim::Free);
        assert_eq!(Claim::of(Some(&owner), now.plus_millis(500), &Proof::None), Claim::Free);
    }
}
