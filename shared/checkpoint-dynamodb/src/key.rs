//! Where each item lies. Names hold no `#` (`sluice_transfer::TransferId` and its kin), so no two keys meet.

use sluice_transfer::{DestinationName, ShardId, StreamUri, TransferId};

/// The table's partition key.
pub(crate) const PARTITION: &str = "pk";
/// The table's sort key.
pub(crate) const SORT: &str = "sk";
/// In front of each page's sort key.
pub(crate) const PARTS: &str = "PARTS#";
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
}

impl Key<'_> {
    /// Its partition.
    pub(crate) fn partition(self) -> String {
        match self {
            Self::Meta(id) => format!("transfer#{id}"),
            Self::Shard(id, shard) | Self::Page(id, shard, _, _) => format!("transfer#{id}#shard#{shard}"),
            Self::Writer(stream) | Self::Readers(stream) => format!("stream#{stream}"),
            Self::Sweep => "sweep".to_owned(),
        }
    }

    /// Its place in the partition.
    pub(crate) fn sort(self) -> String {
        match self {
            Self::Meta(_) | Self::Shard(..) | Self::Writer(_) | Self::Readers(_) | Self::Sweep => {
                self.kind().to_owned()
            }
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
        }
    }
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.partition(), self.sort())
    }
}
