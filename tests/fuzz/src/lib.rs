//! Everything that reads bytes from outside, and what must hold whatever those bytes are.
//!
//! A target takes bytes, hands them to the code that parses their like, and panics where an invariant is broken. That
//! nothing else panics, that no case takes seconds or hundreds of MiB, is the runner's business: `src/main.rs` needs
//! no special compiler, `cargo-fuzz/` calls the same functions with libFuzzer.
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
pub mod mutate;
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

/// Fields of what a person types.
const INPUTS: &[&str] = &[
    "\"export\":",
    "\"import\":",
    "\"stopped\":",
    "\"id\":",
    "\"rate\":",
    "\"objectSize\":",
    "\"from\":",
    "\"9MiB/s\"",
    "\"18446744073709551616\"",
    "\"1e400\"",
    "\"input\":",
    "\"cause\":",
    "null",
    "\n",
    "[",
    "{",
];

/// Names in a bucket that is a directory.
const DIRECTORY: &[&str] = &[
    "\u{1e}",
    "\n",
    " -> ",
    " -> ../beside",
    " -> /",
    "../",
    ".sluice/",
    ".sluice/uploads/",
    "0123456789abcdef0123456789abcdef",
    "/data",
    "/parts",
    "/upload.json",
    "data/a",
    "begin 0 9",
    "\"version\":1",
    "18446744073709551615",
];

/// Values of items, and fields of answers.
const ITEMS: &[&str] = &[
    "{\"S\":\"a\"}",
    "{\"N\":\"1\"}",
    "{\"N\":\"1e400\"}",
    "{\"N\":\"NaN\"}",
    "{\"N\":\"-1\"}",
    "{\"N\":\"0.1\"}",
    "{\"NULL\":true}",
    "{\"BOOL\":true}",
    "{\"L\":[]}",
    "{\"M\":{}}",
    "{\"B\":\"AA==\"}",
    "{\"SS\":[\"a\"]}",
    "\"Item\":",
    "\"version\":",
    "\u{1e}",
    "|400\n",
    "18446744073709551615",
];

/// Fields of Kinesis' answers.
const KINESIS: &[&str] = &[
    "\u{1e}",
    "*|200\n",
    "|400\n",
    "\"NextToken\":\"t\"",
    "\"SequenceNumber\":\"6\"",
    "\"NextShardIterator\":null",
    "\"MillisBehindLatest\":0",
    "\"ApproximateArrivalTimestamp\":1e300",
    "-1",
    "NaN",
    "\"Data\":\"AA==\"",
    "\"__type\":\"ThrottlingException\"",
    "null",
    "\"ShardId\":\"shard-0\"",
    "\"EndingSequenceNumber\":\"0\"",
    "\"RetentionPeriodHours\":2147483647",
    "\"MaxRecordSizeInKiB\":-1",
];

/// Elements and headers of S3's answers.
const S3: &[&str] = &[
    "\u{1e}",
    "*|200\n",
    "|404\n",
    "|etag: \"e\"",
    "|content-length: 10",
    "|content-range: bytes 3-12/99",
    "|x-amz-bucket-region: x",
    "|x-amz-meta-a: %zz",
    "<Key>data/a</Key>",
    "<Key>../x</Key>",
    "<Size>-1</Size>",
    "<ETag></ETag>",
    "<IsTruncated>true</IsTruncated>",
    "<PartNumber>0</PartNumber>",
    "<Code>NoSuchUpload</Code>",
    "<Contents>",
    "&quot;",
    "&#x0;",
    "9223372036854775807",
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
    Target { name: "inputs", run: inputs, tokens: INPUTS },
    Target { name: "rows", run: rows, tokens: &["\u{0}", "\u{1}", "\u{2}", "\u{4}", "\u{5}"] },
    Target { name: "directory", run: directory, tokens: DIRECTORY },
    Target { name: "dynamodb", run: dynamodb, tokens: ITEMS },
    Target { name: "kinesis", run: kinesis, tokens: KINESIS },
    Target { name: "s3", run: s3, tokens: S3 },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
