//! Where each item lies. Names hold no `#` (`sluice_transfer::TransferId` and its kin), so no two keys meet.

use sluice_transfer::rule::Waiting;
use sluice_transfer::{DestinationName, RuleName, ShardId, StreamUri, TransferId};

/// The table's partition key.
pub(crate) const PARTITION: &str = "pk";
/// The table's sort key.
pub(crate) const SORT: &str = "sk";
/// In front of each page's sort key.
pub(crate) const PARTS: &str = "PARTS#";
/// In front of each sort key of an object that waits.
pub(crate) const WAITING: &str = "WAITING#";
/// In front of each sort key of a rule.
pub(crate) const RULE: &str = "RULE#";
/// The largest index of a page that six digits hold.
pub(crate) const LAST_PAGE: u32 = 999_999;

/// Names an item.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key<'a> {
    /// A transfer.
    Meta(&'a TransferId),
    /// A shard of a transfer.
    Shard(&'a TransferId, &'a ShardId),
    /// A page of a shard's ledger at a destination.
    Page(&'a TransferId, &'a ShardId, &'a DestinationName, u32),
    /// A stream's reservation.
    Writer(&'a StreamUri),
    /// The exports that read a stream.
    Readers(&'a StreamUri),
    /// What the sweep keeps.
    Sweep,
    /// A rule.
    Rule(&'a RuleName),
    /// What was counted of a rule.
    Arrivals(&'a RuleName),
    /// An object that waits for a rule.
    Waiting(&'a RuleName, &'a Waiting),
    /// An object that was put into a rule's inbox at some time.
    Seen(&'a RuleName, &'a Waiting),
}

impl Key<'_> {
    /// Its partition.
    pub(crate) fn partition(self) -> String {
        match self {
            Self::Meta(id) => format!("transfer#{id}"),
            Self::Shard(id, shard) | Self::Page(id, shard, _, _) => format!("transfer#{id}#shard#{shard}"),
            Self::Writer(stream) | Self::Readers(stream) => format!("stream#{stream}"),
            Self::Sweep => "sweep".to_owned(),
            // All in one, since all are looked at for each object that arrives.
            Self::Rule(_) => "rules".to_owned(),
            Self::Arrivals(name) | Self::Waiting(name, _) | Self::Seen(name, _) => format!("rule#{name}"),
        }
    }

    /// Its place in the partition.
    pub(crate) fn sort(self) -> String {
        match self {
            Self::Meta(_) | Self::Shard(..) | Self::Writer(_) | Self::Readers(_) | Self::Arrivals(_) | Self::Sweep => {
                self.kind().to_owned()
            }
            Self::Rule(name) => format!("{RULE}{name}"),
            Self::Waiting(_, object) => format!("{WAITING}{}", object.place()),
            Self::Seen(_, object) => format!("SEEN#{}", object.digest()),
            Self::Page(_, _, destination, index) => format!("{PARTS}{destination}#{index:06}"),
        }
    }

    /// What it names, as the attribute `item` says.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Meta(_) => "META",
            Self::Shard(..) => "SHARD",
            Self::Page(..) => "PARTS",
            Self::Writer(_) => "WRITER",
            Self::Readers(_) => "READERS",
            Self::Sweep => "SWEEP",
            Self::Rule(_) => "RULE",
            Self::Arrivals(_) => "ARRIVALS",
            Self::Waiting(..) => "WAITING",
            Self::Seen(..) => "SEEN",
        }
    }
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.partition(), self.sort())
    }
}
