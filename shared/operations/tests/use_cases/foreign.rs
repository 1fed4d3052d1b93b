//! Imports of files that others wrote, in slices of any length.

mod fields;

use std::io::Write;
use std::sync::Arc;

use proptest::prelude::*;
use sluice_memory::{MemoryBucket, MemoryCheckpoints, MemoryClock, MemoryPlaces, MemoryStream, now};
use sluice_operations::{Code, Engine, OperationError, Settings, SliceOrder, call, describe, plan};
use sluice_ports::Capabilities;
use sluice_transfer::manifest::{Document, ImportManifest};
use sluice_transfer::record::{Failure, Proof};
use sluice_transfer::{
    Budget, Call, Compression, Course, ImportRequest, Inflate, Kind, Lacking, Pacing, Request, SourceFormat, TransferId,
};

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

    /// A slice of this many steps, and what follows it. Answers whether the import is through.
    fn slice(&self, steps: u64) -> Result<bool, Failure> {
        let (mut course, mut steps) = (Course::from(Call::Slice), steps);
        loop {
            let answer = now(call(&self.engine, Kind::Import, &course.call, &self.order(steps))).unwrap();
            course = course.after(answer, &Pacing::default());
            steps = 1_000_000;
            match course.call {
                Call::Slice => return Ok(false),
                Call::End => return Ok(true),
                Call::Settle(Some(failure)) | Call::GiveUp(failure) => return Err(failure),
                Call::Plan | Call::Settle(None) | Call::Finish => {}
            }
        }
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
        // One that reads a good deal of it, and still does not get there.
        let refused = (300..2_000).step_by(20).find_map(|steps| rig.slice(steps).err()).unwrap();
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
fn a_file_of_another_format_is_called_that_and_not_damaged() {
    let refused = |file: &str, payload: Option<&str>| {
        let rig = Rig::new(&[("a", file.as_bytes().to_vec())], 1 << 20, 1 << 20);
        let refused = plan_of(&rig, payload, None, None).unwrap_err();
        assert_eq!(refused.code, Code::ObjectUnreadable);
        assert!(refused.message.starts_with("export/a cannot be imported: its first "), "{refused}");
        assert!(refused.message.ends_with("Nothing was imported"), "{refused}");
        assert!(!refused.message.contains("mend") && !refused.message.contains("struct"), "{refused}");
        refused.message
    };
    for file in ["1\n", "{\"q\":1}\n", "{\"q\":1}", "no JSON\n", "[1,2]\n"] {
        let message = refused(file, None);
        assert!(message.contains("as Sluice writes them") && message.contains("--payload-field"), "{message}");
    }
    for file in ["{\n  \"q\": 1\n}\n", "[\n  1\n]\n"] {
        for payload in [None, Some("q")] {
            assert!(refused(file, payload).contains("`jq -c .` makes one line of each"), "{file}");
        }
    }
    for file in ["no JSON\n", "1\n", "[1,2]\n"] {
        assert!(refused(file, Some("q")).contains("say another format"), "{file}");
    }
    // A line that Sluice wrote, and that is damaged, is called so.
    let rig = Rig::new(&[("a", b"{\"shard\":\"0\",\"sequence\":7}\n".to_vec())], 1 << 20, 1 << 20);
    let refused = plan_of(&rig, None, None, None).unwrap_err();
    assert!(refused.message.contains("mend the file"), "{refused}");
}

#[test]
fn a_binary_file_is_no_lines_unless_bytes_are_meant() {
    let zeros = vec![0; 5_000];
    let late = [&b"text\n".repeat(1_000)[..], b"\0", &b"text\n".repeat(1_000)].concat();
    for (file, what) in [
        (zeros, "its byte 0 is zero"),
        (late, "its byte 5000 is zero"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), "it is PNG"),
        (b"%PDF-1.7\n%text\n".to_vec(), "it is PDF"),
        (b"\x7fELF\x02\x01\x01\n".to_vec(), "it is ELF"),
    ] {
        let rig = Rig::new(&[("a", b"text\n".to_vec()), ("b", file.clone())], 1 << 20, 1 << 20);
        let refused = rig.plan(SourceFormat::Lines, None).unwrap_err();
        assert_eq!(refused.code, Code::ObjectUnreadable);
        assert!(
            refused.message.starts_with("export/b cannot be imported: ") && refused.message.contains(what),
            "{refused}"
        );
        assert!(refused.message.contains("--format raw or --compression none"), "{refused}");
        assert!(now(describe(&rig.engine, &rig.id)).is_err(), "a refused plan leaves no record");
        rig.plan(SourceFormat::Lines, Some(Inflate::None)).unwrap();
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

fn plan_of(rig: &Rig, payload: Option<&str>, key: Option<&str>, time: Option<&str>) -> Result<(), OperationError> {
    let name = |name: Option<&str>| name.map(str::to_owned);
    let fields = |asked| ImportRequest {
        format: Some(SourceFormat::Jsonl),
        payload_field: name(payload),
        key_field: name(key),
        time_field: name(time),
        ..asked
    };
    rig.plan_as(fields)
}

#[test]
fn markers_of_folders_are_passed_over_and_keys_that_no_directory_could_have_are_read() {
    let line = b"{\"p\":1}\n".to_vec();
    let rig = Rig::new(&[("", Vec::new()), ("in/", Vec::new()), ("in/a", line.clone())], 100, 1 << 20);
    rig.plan_json().unwrap();
    while !rig.slice(100_000).unwrap() {}
    assert_eq!(rig.payloads(), [b"1"]);
    // A marker that holds bytes is somebody's data.
    let files = ["in//a", "/b", "c\\d", "e/"].map(|key| (key, line.clone()));
    let rig = Rig::new(&files, 100, 1 << 20);
    rig.plan_json().unwrap();
    while !rig.slice(100_000).unwrap() {}
    assert_eq!(rig.payloads(), [b"1"; 4]);
}

#[test]
fn files_that_are_not_what_was_said_are_refused_by_the_plan() {
    let bzip2 = include_bytes!("../../../../tests/golden/foreign/digits.bz2").to_vec();
    let snappy = include_bytes!("../../../../tests/golden/foreign/snappy.avro").to_vec();
    let lzo = {
        let at = snappy.windows(6).position(|bytes| bytes == b"snappy").unwrap();
        [&snappy[..at], b"snapqy", &snappy[at + 6..]].concat()
    };
    let gzip = |bytes: &[u8]| compressed(Compression::Gzip, bytes);
    let utf16: Vec<u8> = "one\ntwo\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let document = b"{\"sluice\":\"export-manifest\"".to_vec();
    let auto = Some(Inflate::Auto);
    for (file, format, inflate, why) in [
        (&bzip2, Some(SourceFormat::Lines), None, "it is bzip2, not text"),
        (&bzip2, Some(SourceFormat::Jsonl), None, "it is bzip2, not text"),
        (&bzip2, Some(SourceFormat::Raw), auto, "it is bzip2, which is not unpacked"),
        (&gzip(&gzip(b"a\n")), Some(SourceFormat::Lines), None, "it is gzip within gzip"),
        (&utf16, Some(SourceFormat::Lines), None, "it is UTF-16"),
        (&gzip(&utf16), Some(SourceFormat::Lines), auto, "it is UTF-16 within gzip"),
        (&lzo, Some(SourceFormat::Avro), None, "its codec is 'snapqy'; read are null"),
        (&gzip(&snappy), Some(SourceFormat::Avro), None, "it is gzip, not an Avro"),
        (&b"[1]\n".to_vec(), Some(SourceFormat::Jsonl), None, "no JSON object, but a list"),
        (&snappy, None, None, "is an Avro object container file: say format avro"),
        (&b"{\"shard\":\"0\",".to_vec(), None, None, "a file of an export"),
        (&document, None, None, "a document of Sluice's own"),
    ] {
        let asked = |asked| ImportRequest {
            format,
            compression: inflate,
            payload_field: matches!(format, Some(SourceFormat::Jsonl | SourceFormat::Avro)).then(|| "s".to_owned()),
            ..asked
        };
        // As the first file and as one that is not.
        for at in [0, 1, 3] {
            let sound = match format {
                Some(SourceFormat::Avro) => snappy.clone(),
                _ => b"{\"s\":1}\n".to_vec(),
            };
            let mut files = vec![("a", sound.clone()), ("b", sound.clone()), ("c", sound.clone()), ("d", sound)];
            files[at].1.clone_from(file);
            let rig = Rig::new(&files, 100, 1 << 20);
            let refused = rig.plan_as(asked).unwrap_err();
            let name = ["a", "b", "c", "d"][at];
            assert!(refused.message.contains(why) && refused.message.contains(name), "{refused}");
            assert!(!refused.message.contains("damaged at") || why.contains("list"), "{refused}");
            assert!(now(describe(&rig.engine, &rig.id)).is_err());
        }
    }
    for (file, format) in [(&bzip2, SourceFormat::Lines), (&utf16, SourceFormat::Lines), (&snappy, SourceFormat::Raw)] {
        let rig = Rig::new(&[("a", file.clone())], 100, 1 << 20);
        rig.plan(format, Some(Inflate::None)).unwrap();
        while !rig.slice(100_000).unwrap() {}
        assert!(!rig.payloads().is_empty(), "who wants it as it is gets it");
    }
}

#[test]
fn avro_of_any_codec_and_with_a_long_header() {
    let avro = |asked| ImportRequest { format: Some(SourceFormat::Avro), payload_field: Some("s".to_owned()), ..asked };
    let snappy = include_bytes!("../../../../tests/golden/foreign/snappy.avro").to_vec();
    let bzip2 = include_bytes!("../../../../tests/golden/foreign/bzip2.avro").to_vec();
    let xz = include_bytes!("../../../../tests/golden/foreign/xz.avro").to_vec();
    // 300 KiB of a comment in front of the schema's only field.
    let long = {
        let schema = format!(
            r#"{{"type":"record","name":"R","doc":"{}","fields":[{{"name":"s","type":"string"}}]}}"#,
            "x".repeat(300 << 10)
        );
        let mut file = b"Obj\x01\x02\x16avro.schema".to_vec();
        let len = u32::try_from(schema.len()).unwrap() * 2;
        file.extend([len, len >> 7, len >> 14].map(|bits| (bits & 0x7f) as u8 | if bits >= 0x80 { 0x80 } else { 0 }));
        [&file, schema.as_bytes(), &[0; 17], b"\x02\x04\x02x", &[0; 16]].concat()
    };
    let files = [("a", snappy), ("b", bzip2), ("c", xz), ("d", long)];
    let rig = Rig::new(&files, 1_000, 1 << 20);
    rig.plan_as(avro).unwrap();
    while !rig.slice(300).unwrap() {}
    assert_eq!(rig.payloads(), vec![b"x".to_vec(); 28]);
}

#[test]
fn parts_of_an_export_and_manifests_of_others() {
    let any = b"bytes".to_vec();
    for key in ["data/shard=0/00000000-1.bin", "x/manifest/shard=0/000001.json", "manifest/shard=0/index/00000000.json"]
    {
        let refused = Rig::new(&[(key, any.clone())], 100, 1 << 20).plan(SourceFormat::Raw, None).unwrap_err();
        assert!(refused.code == Code::ManifestInvalid && refused.message.contains("belongs to an export"), "{refused}");
    }
    // A manifest of others is a file among others.
    let files = [("manifest.json", b"{\"p\":1}\n".to_vec()), ("a", b"{\"p\":2}\n".to_vec())];
    let rig = Rig::new(&files, 100, 1 << 20);
    rig.plan_json().unwrap();
    while !rig.slice(100_000).unwrap() {}
    assert_eq!(rig.payloads(), [b"2", b"1"]);
}

#[test]
fn where_slices_may_last_longer_one_goes_on_with_a_stream_however_long_it_is() {
    let text: String = noise(30_000).iter().map(u8::to_string).collect::<Vec<_>>().join("\n");
    for compression in [Compression::Zstd, Compression::Gzip] {
        let rig = Rig::new(&[("a", compressed(compression, text.as_bytes()))], 20, u64::MAX);
        rig.plan(SourceFormat::Lines, None).unwrap();
        // Far too short to inflate what was read before, in the end.
        let (mut slices, mut before) = (1, 0);
        while !rig.slice(500).unwrap() {
            let payloads = rig.payloads().len();
            assert!(payloads > before || slices < 3, "slice {slices} moved nothing");
            (slices, before) = (slices + 1, payloads);
            assert!(slices < 1_000);
        }
        assert_eq!(rig.payloads().len(), 30_000);
    }
}
