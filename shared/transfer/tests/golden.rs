//! Documents of manifests as they are kept in `tests/golden`: written byte for byte the same, and read as the same.
//!
//! A golden file never changes: every later version has to read it. A document that grows gets a file of its own beside
//! it, which `SLUICE_WRITE_GOLDEN=1 cargo test -p sluice-transfer --test golden` writes if it is not there.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;

use sluice_transfer::manifest::{
    Document, ExportManifest, ImportManifest, ImportedShard, ListPart, ListShard, ListedObject, ManifestObject,
    ObjectList, Segment, SegmentChain, SegmentRef, ShardManifest, SourceEntry, SourceList,
};
use sluice_transfer::record::{ManifestRef, Mark, Origin, SealedObject, SourceCursor};
use sluice_transfer::{
    Aggregates, BucketUri, Checksum, Compression, Counts, Cursor, Cut, EventDigest, Format, Gap, HashRange, HostName,
    Lacking, LeftOut, MisfitReason, Misfits, Position, PreviousRun, Range, Reason, RunEnding, Sequence, SeriesEnd,
    SeriesPlace, SeriesRun, ShardId, State, StreamUri, TimeRange, Timestamp, TransferId, Value, sha256_hex,
};

fn golden<T: Document + PartialEq + Debug>(name: &str, document: &T) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/manifests-v1").join(name);
    let written = document.to_bytes();
    if std::env::var_os("SLUICE_WRITE_GOLDEN").is_some() && !path.exists() {
        std::fs::write(&path, &written).unwrap();
    }
    let kept = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&kept), "{name} is written as another");
    assert_eq!(T::from_bytes(&kept).as_ref(), Ok(document), "{name} is read as another");
}

fn shard(name: &str) -> ShardId {
    name.parse().unwrap()
}

fn transfer() -> TransferId {
    "nightly-2026".parse().unwrap()
}

fn stream() -> StreamUri {
    "kinesis:orders".parse().unwrap()
}

fn bucket() -> BucketUri {
    "s3://archive/orders/".parse().unwrap()
}

fn behind(n: u64) -> Position {
    Position::After(Sequence::new(n))
}

fn at(n: u64) -> Cursor {
    Cursor::at(behind(n))
}

fn time(n: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + n)
}

fn chain(segments: u32) -> SegmentChain {
    let mut chain = SegmentChain::default();
    (0..segments).for_each(|n| chain.push(&sha256_hex(&n.to_le_bytes())));
    chain
}

fn gap() -> Gap {
    Gap { from: at(20), until: at(25) }
}

fn root(compression: Compression, state: State) -> ExportManifest {
    let one = |name: &str, events: u64, gaps: Vec<Gap>, parents: Vec<ShardId>| ShardManifest {
        hashes: None,
        shard: shard(name),
        from: Cursor::at(Position::Beginning),
        until: at(60),
        counts: Counts::new(events, events * 100),
        aggregates: Aggregates::default(),
        objects: 2,
        gaps,
        segments: chain(1),
        parents,
        began: None,
        reached: None,
    };
    ExportManifest {
        transfer: transfer(),
        stream: stream(),
        format: Format::Avro,
        compression,
        encoder: 1,
        state,
        created: time(0),
        counts: Counts::new(110, 11_000),
        deaggregated: false,
        objects: 4,
        shards: vec![
            one("shardId-000000000000", 60, Vec::new(), Vec::new()),
            one("shardId-000000000001", 50, vec![gap()], vec![shard("shardId-000000000000")]),
        ],
        previous: Some("s3://archive/orders/nightly-2025/manifest.json".to_owned()),
        series: None,
        notes: Vec::new(),
    }
}

fn previous() -> PreviousRun {
    let manifest = ManifestRef { key: "nightly-2026-11-28/manifest.json".to_owned(), sha256: sha256_hex(b"a root") };
    PreviousRun { transfer: "nightly-2026-11-28".parse().unwrap(), manifest, reached: Some(time(400)) }
}

fn hole() -> TimeRange {
    TimeRange { min: time(400), max: time(500) }
}

fn run() -> SeriesRun {
    SeriesRun {
        series: "nightly".parse().unwrap(),
        number: 2,
        transfer: "nightly-2026-11-29".parse().unwrap(),
        stream: stream(),
        source_created: Some(time(-1)),
        from: Some(Cut::of(shard("shardId-000000000000"), behind(60))),
        previous: Some(previous()),
        host: HostName { id: "0123456789abcdef".to_owned(), place: "laptop:/home/me/.sluice".to_owned() },
        execution: "local-7".to_owned(),
        created: time(0),
        hole: Some(hole()),
    }
}

fn object(number: u64, indexed: bool) -> ManifestObject {
    let checksum = Checksum::of(b"an object");
    ManifestObject {
        key: format!("data/shard=0/{number}.avro"),
        object: SealedObject {
            number,
            incarnation: 1,
            from: at(number * 30),
            // A raw object may end within an event.
            until: Cursor { position: behind(number * 30 + 30), offset: 7 * number },
            checksum,
            etag: "d41d8cd98f00b204e9800998ecf8427e-2".to_owned(),
            counts: Counts::new(30, 3_000),
            times: indexed.then(|| TimeRange { min: time(1), max: time(30) }),
            parts: indexed.then_some(2),
        },
    }
}

#[test]
fn an_exports_root_of_each_version_and_end() {
    let whole = root(Compression::Plain, State::CompletedWithGaps);
    assert_eq!(whole.check(), Ok(()));
    golden("export-root.json", &whole);
    let mut hashed = whole.clone();
    hashed.shards[0].hashes = Some(HashRange::ALL);
    golden("export-root-hashes.json", &hashed);
    let mut aggregated = whole.clone();
    aggregated.shards[0].aggregates = Aggregates { records: 3, user_records: 600 };
    golden("export-root-aggregates.json", &aggregated);
    let mut apart = whole.clone();
    apart.deaggregated = true;
    apart.shards[0].until = Cursor::at(Position::After(Sequence::new(61).event(4, 9)));
    golden("export-root-deaggregated.json", &apart);
    golden("export-root-compressed.json", &root(Compression::Zstd, State::CompletedWithGaps));
    golden("export-root-cancelled.json", &root(Compression::Plain, State::Cancelled));
    let mut by_time = whole.clone();
    by_time.shards.iter_mut().for_each(|shard| (shard.began, shard.reached) = (Some(time(5)), Some(time(900))));
    golden("export-root-by-time.json", &by_time);
    let series = Some(SeriesPlace::from(&run()));
    golden("export-root-series.json", &ExportManifest { series, ..whole.clone() });
    let notes = vec!["shard 0: until lies behind the stream's end".to_owned()];
    golden("export-root-told.json", &ExportManifest { notes, ..whole });
}

#[test]
fn a_run_of_a_series() {
    golden("series-run.json", &run());
    let first = SeriesRun { number: 1, source_created: None, from: None, previous: None, hole: None, ..run() };
    golden("series-run-first.json", &first);
    let root = ManifestRef { key: "nightly-2026-11-29/manifest.json".to_owned(), sha256: sha256_hex(b"another") };
    let end = SeriesEnd::completed(&run(), &self::root(Compression::Zstd, State::CompletedWithGaps), root);
    golden("series-end.json", &end);
    golden("series-end-taken-over.json", &SeriesEnd::without(&run(), RunEnding::TakenOver));
    golden("series-end-cancelled.json", &SeriesEnd::without(&first, RunEnding::Cancelled));
}

#[test]
fn a_segment_of_an_export() {
    let entries = vec![object(0, true), object(1, false)];
    golden("export-segment.json", &Segment { transfer: transfer(), shard: Some(shard("0")), number: 1, entries });
}

/// Entries of each reason.
fn left_out() -> LeftOut {
    let mut left_out = LeftOut::default();
    for reason in Reason::ALL {
        left_out.add(reason, "orders/a\n");
    }
    left_out
}

/// Of a manifest, of foreign files, and of a range.
fn list(source: Option<ShardId>, counts: Option<Counts>, range: Option<Range>, gaps: Vec<Gap>) -> SourceList {
    let sha256 = sha256_hex(b"a segment");
    let segments = vec![SegmentRef { key: "shard=0/1.json".to_owned(), sha256, entries: 2 }];
    let one = ListShard {
        shard: shard("0"),
        source,
        entries: 2,
        counts,
        bytes: 9_000,
        range,
        gaps,
        segments,
        hashes: None,
        reads: Vec::new(),
    };
    SourceList {
        parts: Vec::new(),
        transfer: transfer(),
        source: bucket(),
        shards: vec![one],
        left_out: LeftOut::default(),
        counts: None,
    }
}

fn halves() -> [HashRange; 2] {
    HashRange::equal(2).try_into().unwrap()
}

#[test]
fn a_list_of_sources_of_each_kind() {
    let counts = Some(Counts::new(60, 6_000));
    let range = Range { from: behind(10), until: behind(50) };
    golden("source-list.json", &list(Some(shard("shardId-000000000000")), counts, None, vec![gap()]));
    golden("source-list-foreign.json", &list(None, None, None, Vec::new()));
    golden("source-list-range.json", &list(Some(shard("0")), counts, Some(range), Vec::new()));
    let mut placed = list(None, None, None, vec![gap()]);
    let mut one = placed.shards.remove(0);
    let segments = std::mem::take(&mut one.segments);
    let (range, [hashes, other]) = (Some(Range { from: behind(10), until: behind(50) }), halves());
    let part = ListPart { source: Some(shard("1")), first: 7, entries: 2, range, hashes: Some(hashes), segments };
    placed.parts = vec![part];
    placed.counts = counts;
    placed.shards = [hashes, other].map(|of| ListShard { hashes: Some(of), reads: vec![0], ..one.clone() }).into();
    golden("source-list-placed.json", &placed);
    golden("source-list-left-out.json", &SourceList { left_out: left_out(), ..list(None, None, None, Vec::new()) });
}

#[test]
fn a_segment_of_each_kind_of_sources() {
    let of_manifest = SourceEntry {
        key: "orders/data/shard=0/0.avro".to_owned(),
        size: 5_000,
        etag: "\"e\"".to_owned(),
        checksum: Some(Checksum::of(b"an object")),
        counts: Some(Counts::new(30, 3_000)),
        index: Some("orders/index/shard=0/0.json".to_owned()),
        bytes: Some(1_000..4_000),
    };
    let foreign = SourceEntry { checksum: None, counts: None, index: None, bytes: None, ..of_manifest.clone() };
    let segment = |shard, entries| Segment { transfer: transfer(), shard, number: 1, entries };
    golden("source-segment.json", &segment(Some(shard("0")), vec![of_manifest]));
    golden("source-segment-foreign.json", &segment(None, vec![foreign]));
}

#[test]
fn an_imports_root() {
    let digest = |digest: EventDigest| digest.with(time(1), &Value::Null, &[], &Value::from(b"payload".to_vec()));
    let imported = |name: &str, source, taken, digest| ImportedShard {
        hashes: None,
        sources: Vec::new(),
        continued: BTreeMap::new(),
        shard: shard(name),
        source,
        taken,
        range: Range { from: behind(7), until: behind(67) },
        counts: Counts::new(60, 6_000),
        lacking: Lacking::default(),
        misfits: Misfits::default(),
        misfit_files: SegmentChain::default(),
        digest,
        segments: chain(2),
        gaps: vec![gap()],
    };
    let taken = Some(Range { from: behind(10), until: behind(50) });
    let root = ImportManifest {
        transfer: transfer(),
        source: bucket(),
        list: "sluice/nightly-2026/list.json".to_owned(),
        stream: stream(),
        state: State::Completed,
        created: time(0),
        counts: Counts::new(120, 12_000),
        lacking: Lacking::default(),
        misfits: Misfits::default(),
        shards: vec![
            imported("0", Some(shard("0")), taken, digest(EventDigest::default())),
            // Order across keys is not known of targets that append by key.
            imported("1", None, None, digest(EventDigest::unordered())),
        ],
        left_out: LeftOut::default(),
        notes: Vec::new(),
    };
    golden("import-root.json", &root);
    let notes = vec!["shard 0: times are out of order".to_owned()];
    golden("import-root-told.json", &ImportManifest { left_out: left_out(), notes, ..root.clone() });
    // By key, into a target that was split meanwhile.
    let shards = root.shards.iter().zip(HashRange::equal(2)).map(|(one, hashes)| ImportedShard {
        source: None,
        sources: vec![shard("0"), shard("1")],
        hashes: Some(hashes),
        continued: BTreeMap::from([(shard("2"), behind(90))]),
        ..one.clone()
    });
    golden("import-root-placed.json", &ImportManifest { shards: shards.collect(), ..root.clone() });
    // Of files whose fields are named.
    let lacks = [Lacking { payload: 2, key: 0, time: 60 }, Lacking { payload: 0, key: 1, time: 0 }];
    let shards = root.shards.iter().zip(lacks);
    let shards = shards.map(|(shard, lacking)| ImportedShard { lacking, source: None, ..shard.clone() }).collect();
    golden("import-root-lacking.json", &ImportManifest { lacking: lacks.into_iter().sum(), shards, ..root.clone() });
    // Of events that the target cannot hold.
    let misfits = [Misfits::of(MisfitReason::Size, 2_000_000), Misfits::default()];
    let files = [chain(1), SegmentChain::default()];
    let shards = root.shards.iter().zip(misfits.iter().cloned().zip(files));
    let shards =
        shards.map(|(shard, (misfits, misfit_files))| ImportedShard { misfits, misfit_files, ..shard.clone() });
    let (misfits, shards) = (misfits.iter().sum(), shards.collect());
    golden("import-root-misfits.json", &ImportManifest { state: State::CompletedWithMisfits, misfits, shards, ..root });
}

#[test]
fn a_segment_of_marks() {
    let mark = |n: u64| Mark {
        source: SourceCursor { entry: n, offset: n * 1_000, within: 3 },
        origin: None,
        target: behind(n * 30),
        continued: BTreeMap::new(),
    };
    let split = Mark { continued: BTreeMap::from([(shard("2"), behind(90))]), ..mark(2) };
    let entries = vec![mark(0), mark(1)];
    let segment = Segment { transfer: transfer(), shard: Some(shard("0")), number: 1, entries };
    golden("import-segment.json", &segment);
    golden("import-segment-placed.json", &Segment { entries: vec![split], ..segment.clone() });
    let origin = |n: u64| Some(Origin { shard: shard("shardId-000000000001"), sequence: Sequence::new(n) });
    let entries = [1, 2].map(|n| Mark { origin: origin(n * 30), ..mark(n) }).into();
    golden("import-segment-mapped.json", &Segment { entries, ..segment });
}

#[test]
fn a_list_of_objects() {
    let bare = ListedObject {
        key: "orders/a b.jsonl".to_owned(),
        etag: None,
        size: None,
        version: None,
        sequencer: None,
        time: None,
    };
    let arrived = ListedObject {
        etag: Some("d41d8cd98f00b204e9800998ecf8427e".to_owned()),
        size: Some(7),
        version: Some("L4kqtJlcpXroDTDmpUMLUo".to_owned()),
        sequencer: Some("0055AED6DCD90281E5".to_owned()),
        time: Some(time(5)),
        ..bare.clone()
    };
    let list = ObjectList { bucket: bucket(), may_change: false, objects: vec![bare] };
    golden("object-list.json", &list);
    golden("object-list-arrived.json", &ObjectList { may_change: true, objects: vec![arrived], ..list });
}
