//! Everything that reads bytes from outside, and what must hold whatever those bytes are.
//!
//! A target takes bytes, hands them to the code that parses their like, and panics where an invariant is broken. That
//! nothing else panics, that no case takes seconds or hundreds of MiB, is the runner's business: `src/main.rs` needs
//! no special compiler, `cargo-fuzz/` calls the same functions with libFuzzer.
#![allow(clippy::missing_panics_doc, reason = "a target says what is wrong by a panic")]

mod compressed;
mod documents;
mod events;
mod folder;
mod foreign;
pub mod mutate;
mod records;
mod seeds;
mod texts;

pub use compressed::{gzip, zstd};
pub use documents::{documents, tiles};
pub use events::{avro, jsonl};
pub use folder::folder;
pub use foreign::foreign;
pub use records::{records, requests};
pub use seeds::seeds;
pub use texts::texts;

/// Something that reads foreign bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As the command line and the corpus name it.
    pub name: &'static str,
    /// Panics where an invariant is broken.
    pub run: fn(&[u8]),
    /// What means something to it: thrown into cases.
    pub tokens: &'static [&'static str],
}

/// In JSON of ours, besides what its seeds hold.
const JSON: &[&str] = &[
    "null",
    "true",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "\\u0000",
    "\\ud800",
    ",",
    ":",
    "-1",
    "0",
    "1e400",
    "0.1",
    "\"start\"",
    "\"end\"",
    "\"after:9\"",
    "\"after:4+3\"",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "4294967295",
    "\"../x\"",
    "\"/abs\"",
    "\".sluice/x\"",
    "[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
];

/// Words of lines of JSON and of schemas.
const FOREIGN: &[&str] = &[
    "\"p\"",
    "\"m\"",
    "\"k\"",
    "\"t\"",
    "null",
    "\n",
    "{\"m\":{",
    "\"record\"",
    "\"array\"",
    "\"items\"",
    "\"map\"",
    "\"fixed\"",
    "\"size\"",
    "\"R\"",
    "\"M\"",
    "[\"null\",",
    "\"bytes\"",
    "\"logicalType\"",
    "18446744073709551615",
];

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "avro",
        run: avro,
        tokens: &["avro.schema", "avro.codec", "zstandard", "deflate", "null", "Obj\u{1}"],
    },
    Target { name: "jsonl", run: jsonl, tokens: JSON },
    Target { name: "foreign", run: foreign, tokens: FOREIGN },
    Target { name: "zstd", run: zstd, tokens: &[] },
    Target { name: "gzip", run: gzip, tokens: &[] },
    Target { name: "documents", run: documents, tokens: JSON },
    Target { name: "tiles", run: tiles, tokens: JSON },
    Target { name: "folder", run: folder, tokens: JSON },
    Target { name: "records", run: records, tokens: JSON },
    Target { name: "requests", run: requests, tokens: JSON },
    Target {
        name: "texts",
        run: texts,
        tokens: &[
            "start",
            "end",
            "after:",
            "+",
            "cut:",
            "@",
            ",",
            "ago:",
            "ms",
            "us",
            "earliest",
            "latest",
            "sum:",
            "-",
            "..",
            "/",
            "//",
            ":",
            "s3://",
            "arn:aws:kinesis:eu-west-1:1:stream/a",
            "Z",
            "+02:00",
            "2026-01-01T00:00:00",
            "99999999999999999999",
            "\u{0}",
            "\\",
            "\u{e4}",
        ],
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
