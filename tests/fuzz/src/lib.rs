//! Everything that reads bytes from outside, and what must hold whatever those bytes are.
//!
//! A target takes bytes, hands them to the code that parses their like, and panics where an invariant is broken.
//! `tests/` replays the kept corpus, `tests/fuzz/run` changes its cases with libFuzzer, which also bounds time and
//! memory.
#![expect(clippy::missing_panics_doc, reason = "a target says what is wrong by a panic")]

mod answers;
mod compressed;
mod directory;
mod documents;
mod dynamodb;
mod events;
mod folder;
mod foreign;
mod inputs;
mod kinesis;
mod records;
mod rows;
mod s3;
mod seeds;
mod texts;

pub use compressed::{gzip, zstd};
pub use directory::directory;
pub use documents::{documents, tiles};
pub use dynamodb::dynamodb;
pub use events::{avro, jsonl};
pub use folder::folder;
pub use foreign::foreign;
pub use inputs::inputs;
pub use kinesis::kinesis;
pub use records::{records, requests};
pub use rows::rows;
pub use s3::s3;
pub use seeds::seeds;
pub use texts::texts;

/// Something that reads foreign bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As the command line and the corpus name it.
    pub name: &'static str,
    /// Panics where an invariant is broken.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "avro", run: avro },
    Target { name: "jsonl", run: jsonl },
    Target { name: "foreign", run: foreign },
    Target { name: "zstd", run: zstd },
    Target { name: "gzip", run: gzip },
    Target { name: "documents", run: documents },
    Target { name: "tiles", run: tiles },
    Target { name: "folder", run: folder },
    Target { name: "records", run: records },
    Target { name: "requests", run: requests },
    Target { name: "texts", run: texts },
    Target { name: "inputs", run: inputs },
    Target { name: "rows", run: rows },
    Target { name: "directory", run: directory },
    Target { name: "dynamodb", run: dynamodb },
    Target { name: "kinesis", run: kinesis },
    Target { name: "s3", run: s3 },
];

/// A fault that bytes thrown about do not find, and a fuzzer that sees comparisons does: `tests/run` holds it to that.
pub const PLANTED: Target = Target { name: "planted", run: planted };

fn planted(bytes: &[u8]) {
    if let Some(head) = bytes.first_chunk() {
        assert_ne!(u64::from_le_bytes(*head), 0x5ca1_ab1e_0ddb_a115, "the planted fault");
    }
}

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
