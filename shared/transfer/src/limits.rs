//! Limits on everything that comes from outside. S3's are from the Amazon S3 user guide, "Amazon S3 multipart
//! upload limits".

/// Parts in one object (S3).
pub const PARTS_PER_OBJECT: u64 = 10_000;
/// Smallest part but the last (S3): 5 MiB. A directory takes smaller ones.
pub const S3_SMALLEST_PART: u64 = 5 << 20;
/// Largest part (S3): 5 GiB; ours are held in memory, so far less.
pub const LARGEST_PART: u64 = 512 << 20;
/// Largest object (S3): 48.8 TiB.
pub const LARGEST_OBJECT: u64 = 53_687_091_200_000;
/// Length of a key in bytes (S3).
pub const KEY_BYTES: usize = 1_024;
/// Payload, key and headers of one event; Kinesis takes 10 MiB, Kafka what it is told.
pub const EVENT_BYTES: usize = 32 << 20;
/// Headers of one event.
pub const HEADERS: usize = 10_000;
/// Shards in one transfer of this version.
pub const SHARDS: usize = 1_000;
/// Encoded size of a manifest's root or of one segment.
pub const MANIFEST_BYTES: u64 = 64 << 20;
/// Entries of the parts' ledger that a shard's record holds before they become a page.
pub const LEDGER_TAIL: usize = 4;
/// Objects, or marks of an import, in one segment of a manifest: what a shard's record can hold within 4 KB beside a
/// full ledger's tail and an object that is being closed, with Kinesis' sequence numbers.
pub const SEGMENT_ENTRIES: usize = 6;
/// Sources in one segment of an import's list.
pub const LIST_ENTRIES: usize = 500;
/// Objects in a list that is a source of an import.
pub const LISTED_OBJECTS: usize = 10_000;
/// Rules at the same time: all are looked at for each object that arrives.
pub const RULES: usize = 100;
/// Names of rules that were ever given. One that is removed keeps the number of its last run.
pub const RULE_NAMES: usize = 500;
/// Names that are kept of the entries that an import leaves out, for each reason.
pub const LEFT_OUT_NAMES: usize = 5;
/// Gaps recorded for one shard; a source that loses more than this while it is read cannot be followed.
pub const GAPS: usize = 100;
/// Events that one shard of an import's target cannot hold and that are stored; each is an object of its own.
pub const MISFITS: u64 = 10_000;
/// Slices without any movement before a transfer fails.
pub const IDLE_SLICES: u32 = 20;

/// The largest number of characters in an error's quotation.
const QUOTED: usize = 300;

/// The beginning of a parser's message. It may quote all that it was given, of which no record, answer or log needs
/// megabytes.
pub fn excerpt(said: impl std::fmt::Display) -> String {
    said.to_string().chars().take(QUOTED).collect()
}
