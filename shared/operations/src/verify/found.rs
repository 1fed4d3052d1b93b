//! The findings of a verification.

use serde::{Deserialize, Serialize};
use sluice_transfer::{Counts, Misfits, TransferId};

use crate::error::{Code, OperationError};

/// Most lines of findings.
const FINDINGS: usize = 100;

/// Most characters of one line.
const FINDING_CHARS: usize = 500;

/// Most bytes of all lines together: what a workflow hands on is bounded (256 KiB; Step Functions developer guide,
/// "Service quotas").
const FINDINGS_BYTES: usize = 40_000;

/// The result of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Everything that the transfer moved is there.
    Proved,
    /// Everything that it moved is there, and so are the files of events that its target cannot hold.
    Misfits,
    /// Everything that it moved is there, and its record lists gaps.
    Gaps,
    /// A part could not be read, so nothing is proved.
    Unproved,
    /// A part differs from the transfer's records.
    Mismatch,
}

/// The answer of a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The transfer.
    pub id: TransferId,
    /// The verdict.
    pub verdict: Verdict,
    /// Events and bytes that were seen.
    pub counts: Counts,
    /// Objects, or shards of a target, that were read.
    pub read: u64,
    /// Events of an import that its target dropped since, by age or by hand; not there where none was.
    #[serde(default, skip_serializing_if = "is_none")]
    pub expired: u64,
    /// Events of an import that its target cannot hold, whose files are there; not there where there is none.
    #[serde(default, skip_serializing_if = "Misfits::is_none")]
    pub misfits: Misfits,
    /// The differences, the unreadable parts, the gaps and the misfits; at most 100 lines of 500 characters. The first
    /// is one that the verdict rests on.
    pub findings: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Verification {
    pub(super) fn new(id: &TransferId) -> Self {
        let (verdict, counts) = (Verdict::Proved, Counts::default());
        let misfits = Misfits::default();
        Self { id: id.clone(), verdict, counts, read: 0, expired: 0, misfits, findings: Vec::new() }
    }

    pub(super) fn find(&mut self, verdict: Verdict, what: &str) {
        let line = what.chars().take(FINDING_CHARS).collect();
        if verdict > self.verdict {
            self.verdict = verdict;
            self.findings.insert(0, line);
        } else {
            self.findings.push(line);
        }
        let mut bytes = 0;
        let fits = |line: &&String| {
            bytes += line.len();
            bytes <= FINDINGS_BYTES
        };
        let lines = self.findings.iter().take(FINDINGS).take_while(fits).count();
        self.findings.truncate(lines);
    }

    /// An error is a finding: what it is about is wrong, or could not be read.
    pub(super) fn find_error(&mut self, error: &OperationError) {
        let verdict = match error.code {
            Code::Denied | Code::Unavailable | Code::NoRoom => Verdict::Unproved,
            _ => Verdict::Mismatch,
        };
        self.find(verdict, &error.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_bounded_and_begin_with_the_worst() {
        let mut found = Verification::new(&"t".parse().unwrap());
        for n in 0..300 {
            found.find(Verdict::Gaps, &format!("gap {n}"));
        }
        assert_eq!((found.findings.len(), found.findings[99].as_str()), (100, "gap 99"));
        found.find(Verdict::Mismatch, "wrong");
        found.find(Verdict::Unproved, "unreadable");
        assert_eq!(
            (found.verdict, found.findings[0].as_str(), found.findings.len()),
            (Verdict::Mismatch, "wrong", 100)
        );
        for _ in 0..300 {
            found.find(Verdict::Mismatch, &"ü".repeat(1_000));
        }
        let mut many = Verification::new(&"t".parse().unwrap());
        for _ in 0..300 {
            many.find(Verdict::Mismatch, &"ü".repeat(1_000));
        }
        assert_eq!(many.findings[0].chars().count(), 500);
        for found in [found, many] {
            assert!(serde_json::to_string(&found).unwrap().len() < 45_000);
        }
    }
}
