//! What the tests of the file share: records, and processes of the test itself.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sluice_transfer::record::{LedgerPage, Owner, ShardRecord, Work};
use sluice_transfer::{DestinationName, Position, Range, Timestamp};

/// A shard's first record.
pub fn shard(name: &str) -> ShardRecord {
    let range = Range { from: Position::Beginning, until: Position::End };
    ShardRecord::new("t".parse().unwrap(), name.parse().unwrap(), range, None, Work::Export([].into()))
}

/// The record of the next write, by that slice.
pub fn next(record: &ShardRecord, slice: &str) -> ShardRecord {
    let owner = Owner { slice: slice.to_owned(), lease_until: Timestamp::from_millis(9) };
    ShardRecord { revision: record.revision + 1, slices: record.slices + 1, owner: Some(owner), ..record.clone() }
}

/// The first page of a ledger, of that object.
pub fn page(object: u64) -> (DestinationName, LedgerPage) {
    (DestinationName::only(), LedgerPage { version: 1, object, incarnation: 0, index: 0, entries: Vec::new() })
}

/// Where a process that a test starts finds its file, and what it is to be.
const FILE: &str = "SLUICE_TEST_FILE";
const ROLE: &str = "SLUICE_TEST_ROLE";

/// The file and the role of this process; none in the test itself.
pub fn role() -> Option<(PathBuf, String)> {
    Some((std::env::var_os(FILE)?.into(), std::env::var(ROLE).unwrap()))
}

/// This very test again, in a process of its own.
pub fn again(test: &str, file: &Path, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(FILE, file).env(ROLE, role);
    command.stdout(Stdio::piped());
    command
}
