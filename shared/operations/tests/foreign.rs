//! Imports of files that others wrote, in slices of any length.
#![cfg(test)]

use std::io::Write;
use std::sync::Arc;

use proptest::prelude::*;
use sluice_operations::{
    Code, Engine, Finish, OperationError, Settings, Settled, SliceOrder, SliceOutcome, describe, finish, import_slice,
    plan, settle,
};
use sluice_ports::Capabilities;
use sluice_ports::memory::{MemoryBucket, MemoryCheckpoints, MemoryClock, MemoryPlaces, MemoryStream, now};
use sluice_transfer::record::{Failure, Proof};
use sluice_transfer::{Budget, Compression, ImportRequest, Inflate, Request, SourceFormat, TransferId};

struct Rig {
    engine: Engine,
    target: MemoryStream,
    id: TransferId,
}

impl Rig {
    /// Files in a bucket, read in pieces of a size.
    fn new(files: &[(&str, Vec<u8>)], read_bytes: usize, longest_stream: u64) -> Self {
        let (target, bucket) = (
            MemoryStream::new(),
            MemoryBucket::with(Capabilities { create_only: true, smallest_part: 1, attests_content: false }),
        );
        for (key, bytes) in files {
            bucket.put_foreign(&format!("export/{key}"), bytes.clone());
        }
        let (source, work) = (MemoryStream::new(), MemoryBucket::new());
        let places = MemoryPlaces { source, target: target.clone(), bucket, work };
        let settings =
            Settings { read_bytes, read_events: 5, wind_down_millis: 0, longest_stream, ..Settings::default() };
        let engine = Engine {
            checkpoints: Arc::new(MemoryCheckpoints::default()),
            places: Arc::new(places),
            clock: Arc::new(MemoryClock::stepping()),
            settings,
        };
        Self { engine, target, id: "import".parse().unwrap() }
    }

    fn plan(&self, format: SourceFormat, compression: Option<Inflate>) -> Result<(), OperationError> {
        self.plan_as(|asked| ImportRequest { format: Some(format), compression, ..asked })
    }

    /// Records of JSON, of which the field `p` is the payload.
    fn plan_json(&self) -> Result<(), OperationError> {
        let (format, payload_field) = (Some(SourceFormat::Jsonl), Some("p".to_owned()));
        self.plan_as(|asked| ImportRequest { format, payload_field, ..asked })
    }

    fn plan_as(&self, asked: impl FnOnce(ImportRequest) -> ImportRequest) -> Result<(), OperationError> {
        let all = ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap());
        now(plan(&self.engine, &self.id, &Request::Import(asked(all)), "test")).map(|_| ())
    }

    fn order(&self, steps: u64) -> SliceOrder {
        let deadline = self.engine.clock.now().plus_millis(1 + steps);
        let budget = Budget { events: None, bytes: None, deadline };
        SliceOrder { id: self.id.clone(), lane: Vec::new(), slice: "slice".to_owned(), budget, proof: Proof::SoleOwner }
    }

    /// A slice of so many steps, and what follows it. Answers whether the import is through.
    fn slice(&self, steps: u64) -> Result<bool, Failure> {
        if let SliceOutcome::Failed(failure) = now(import_slice(&self.engine, &self.order(steps))).unwrap() {
            return Err(failure);
        }
        let after = self.order(1_000_000);
        Ok(match now(settle(&self.engine, &after, None)).unwrap() {
            Settled::Finish => now(finish(&self.engine, &after)).unwrap() == Finish::Ended,
            _ => false,
        })
    }

    fn progress(&self) -> f64 {
        let told = now(describe(&self.engine, &self.id)).unwrap();
        told.progress.unwrap_or(0.0)
    }

    fn payloads(&self) -> Vec<Vec<u8>> {
        let shard = "0".parse().unwrap();
        self.target.events(&shard).into_iter().map(|event| event.payload.as_slice().to_vec()).collect()
    }
}

/// One stream, or member, of these bytes.
fn compressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        Compression::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        _ => bytes.to_vec(),
    }
}

/// Bytes that nothing makes fewer.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(step).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn lines_arrive_however_short_slices_are(
        lines in proptest::collection::vec("[a-z]{0,30}", 1..60),
        streams in 1_usize..4,
        compression in proptest::sample::select(vec![Compression::Plain, Compression::Zstd, Compression::Gzip]),
        steps in proptest::collection::vec(60_u64..200, 1..6),
        read_bytes in 100_usize..600,
    ) {
        // Streams end where they like, also within a line; the last line has no newline.
        let text = lines.join("\n").into_bytes();
        let each = text.len().div_ceil(streams).max(1);
        let file: Vec<u8> = text.chunks(each).flat_map(|part| compressed(compression, part)).collect();
        let rig = Rig::new(&[("a", file.clone()), ("b", file)], read_bytes, 1 << 20);
        rig.plan(SourceFormat::Lines, None).unwrap();
        let (mut before, mut through) = (0.0, false);
        for steps in steps.iter().cycle().take(2_000) {
            through = rig.slice(*steps).unwrap();
            let progress = rig.progress();
            prop_assert!(progress >= before && progress <= 1.0, "{progress} behind {before}");
            before = progress;
            if through {
                break;
            }
        }
        prop_assert!(through && before > 0.999_999);
        let mut wanted: Vec<Vec<u8>> = lines.iter().map(|line| line.clone().into_bytes()).collect();
        if wanted.last().is_some_and(Vec::is_empty) {
            wanted.pop();
        }
        prop_assert_eq!(rig.payloads(), [wanted.clone(), wanted].concat());
    }
}

#[test]
fn one_stream_longer_than_a_slice_is_refused_by_the_plan() {
    for compression in [Compression::Zstd, Compression::Gzip] {
        let long = compressed(compression, &noise(60_000));
        let pieces: Vec<u8> = noise(60_000).chunks(20_000).flat_map(|part| compressed(compression, part)).collect();
        let plan =
            |file: &[u8], format, inflate| Rig::new(&[("a", file.to_vec())], 1_000, 30_000).plan(format, inflate);
        let refused = plan(&long, SourceFormat::Lines, None).unwrap_err();
        assert_eq!(refused.code, Code::OutOfRange);
        assert!(refused.message.contains("a is one compressed stream of more than 30000 bytes"), "{refused}");
        assert!(plan(&long, SourceFormat::Raw, Some(Inflate::Auto)).is_err());
        plan(&long, SourceFormat::Raw, None).unwrap();
        plan(&long, SourceFormat::Lines, Some(Inflate::None)).unwrap();
        plan(&pieces, SourceFormat::Lines, None).unwrap();
    }
}

#[test]
fn slices_that_never_get_past_what_they_have_say_so() {
    let text: String = noise(30_000).iter().map(u8::to_string).collect::<Vec<_>>().join("\n");
    for compression in [Compression::Zstd, Compression::Gzip] {
        let rig = Rig::new(&[("a", compressed(compression, text.as_bytes()))], 20, 64 << 10);
        rig.plan(SourceFormat::Lines, None).unwrap();
        assert!(!rig.slice(8_000).unwrap());
        let before = rig.payloads().len();
        assert!(before > 10);
        // Some steps go to taking the shard; a slice too short for that does nothing, and fails nothing.
        // One that was only unlucky fails nothing.
        assert!(!rig.slice(60).unwrap());
        let refused = rig.slice(500).unwrap_err();
        assert!(refused.code == "OutOfRange" && refused.message.contains("longer than one slice"), "{refused:?}");
        assert_eq!(rig.payloads().len(), before, "nothing is written twice");
    }
}

#[test]
fn raw_bytes_are_inflated_only_if_asked() {
    let bytes = noise(5_000);
    let file = compressed(Compression::Gzip, &bytes);
    for (inflate, wanted) in [(None, &file), (Some(Inflate::None), &file), (Some(Inflate::Auto), &bytes)] {
        let rig = Rig::new(&[("a", file.clone())], 100, 1 << 20);
        rig.plan(SourceFormat::Raw, inflate).unwrap();
        while !rig.slice(100_000).unwrap() {}
        assert_eq!(&rig.payloads().concat(), wanted);
    }
}

#[test]
fn what_stands_in_front_of_a_bad_record_arrives() {
    let records = |numbers: std::ops::Range<u32>| {
        let records: Vec<_> = numbers.map(|n| format!("{{\"p\":{n}}}\n")).collect();
        records.concat()
    };
    let pieces = [records(0..20), records(20..33), "no record\n".to_owned(), records(34..60)];
    for (compression, read_bytes) in
        [(Compression::Plain, 7), (Compression::Plain, 10_000), (Compression::Gzip, 10_000)]
    {
        let file: Vec<u8> = pieces.iter().flat_map(|piece| compressed(compression, piece.as_bytes())).collect();
        let rig = Rig::new(&[("a", file)], read_bytes, 1 << 20);
        rig.plan_json().unwrap();
        let refused = rig.slice(1_000_000).unwrap_err();
        assert_eq!(refused.code, Code::ObjectUnreadable.to_string());
        assert!(refused.message.contains("in front of that was imported"), "{refused:?}");
        let wanted: Vec<Vec<u8>> = (0..33).map(|n: u32| n.to_string().into_bytes()).collect();
        assert_eq!(rig.payloads(), wanted, "{compression:?}, {read_bytes}");
    }
}

#[test]
fn a_slice_leaves_off_among_lines_that_hold_nothing() {
    let record = "{\"p\":1}\n";
    let (short, long) = ("\n".repeat(2_000_000), format!("{}\n", " ".repeat(999)).repeat(3_000));
    let files = |text: &str, compression| {
        let text = format!("{text}{record}").into_bytes();
        vec![text.chunks(100_000).flat_map(|chunk| compressed(compression, chunk)).collect()]
    };
    let many = [vec![b"\n".to_vec(); 500], vec![record.as_bytes().to_vec()]].concat();
    let cases = [
        (files(&short, Compression::Plain), 1 << 20),
        (files(&short, Compression::Gzip), 1 << 20),
        (files(&long, Compression::Plain), 10_000),
        (files(&long, Compression::Gzip), 100),
        (many, 100),
    ];
    for (files, read_bytes) in cases {
        let files: Vec<_> =
            files.into_iter().enumerate().map(|(number, bytes)| (format!("{number:04}"), bytes)).collect();
        let files: Vec<_> = files.iter().map(|(key, bytes)| (&key[..], bytes.clone())).collect();
        let rig = Rig::new(&files, read_bytes, 1 << 20);
        rig.plan_json().unwrap();
        let (mut slices, mut before) = (1, 0.0);
        while !rig.slice(60).unwrap() {
            assert!(rig.progress() >= before, "{} behind {before}", rig.progress());
            (slices, before) = (slices + 1, rig.progress());
            assert!(slices < 1_000, "it does not end");
        }
        assert!(slices > 2, "{slices} slices");
        assert_eq!(rig.payloads(), [b"1"]);
    }
}

#[test]
fn markers_of_folders_are_passed_over_and_keys_that_cannot_be_followed_named() {
    let line = b"{\"p\":1}\n".to_vec();
    let rig = Rig::new(&[("", Vec::new()), ("in/", Vec::new()), ("in/a", line.clone())], 100, 1 << 20);
    rig.plan_json().unwrap();
    while !rig.slice(100_000).unwrap() {}
    assert_eq!(rig.payloads(), [b"1"]);
    let refused = Rig::new(&[("in//a", line)], 100, 1 << 20).plan_json().unwrap_err();
    assert!(refused.message.contains("in//a") && refused.message.contains("rename or move it"), "{refused}");
}

#[test]
fn a_payload_that_no_record_has_is_told_before_anything_is_written() {
    let rig = |first: &str, settings: usize| {
        let mut rig = Rig::new(&[("a", first.repeat(150).into_bytes())], 1 << 20, 1 << 20);
        rig.engine.settings.read_events = settings;
        rig.plan_json().unwrap();
        rig
    };
    let rig_of_others = rig("{\"q\":1}\n", 1_000);
    let refused = rig_of_others.slice(100_000).unwrap_err();
    assert_eq!(refused.code, Code::ObjectUnreadable.to_string());
    assert!(refused.message.contains("none of its first 150 records has the field 'p'"), "{refused:?}");
    assert!(rig_of_others.payloads().is_empty());
    // Deletions have one that is null, and few records say little.
    for sound in [rig("{\"p\":null}\n", 1_000), rig("{\"p\":\"\"}\n", 1_000), rig("{\"q\":1}\n", 99)] {
        while !sound.slice(100_000).unwrap() {}
        assert_eq!(sound.payloads().len(), 150);
    }
}
