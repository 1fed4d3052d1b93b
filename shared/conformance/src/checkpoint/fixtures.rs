//! Records with everything that can be absent present, and absent.

use std::collections::BTreeMap;

use sluice_transfer::manifest::SegmentChain;
use sluice_transfer::record::{
    Check, Closing, Config, DestinationConfig, DestinationRecord, ExportConfig, FIRST_VERSION, Failure, ImportConfig,
    ImportRecord, Lateness, LedgerEntry, LedgerPage, ManifestRef, Mark, Origin, Owner, PartEntry, PartSpan, Phase,
    ReadBack, SealedObject, ShardRecord, Silence, SourceCursor, TimeBounds, TransferRecord, Upload, Work,
};
use sluice_transfer::{
    Aggregates, Anchor, Checksum, Counts, Cursor, DestinationName, EventDigest, ExportRequest, FieldNames,
    ForeignFiles, Format, Gap, HashRange, ImportRequest, Inflate, Lacking, MisfitReason, Misfits, OnMisfit, Order,
    Pace, Placement, Position, PositionSpec, Range, Reason, Request, Rhythm, Sequence, ShardId, SourceFormat, State,
    StreamUri, TimeRange, Timestamp, TransferId, UploadId, Value, Wanted,
};

/// The largest number that a stream gives (Kinesis): 56 digits.
const KINESIS: &str = "49590338271490256608559692538361571095921575989136588898";

pub(crate) fn id(name: &str) -> TransferId {
    name.parse().expect("a transfer's id")
}

pub(super) fn shard_id(name: &str) -> ShardId {
    name.parse().expect("a shard's name")
}

pub(super) fn destination(name: &str) -> DestinationName {
    name.parse().expect("a destination's name")
}

pub(super) fn stream(name: &str) -> StreamUri {
    format!("local:{name}").parse().expect("a stream")
}

fn kinesis() -> Sequence {
    KINESIS.parse().expect("a sequence number")
}

fn counts() -> Counts {
    Counts::new(u64::MAX / 3, u64::MAX)
}

fn times() -> TimeRange {
    TimeRange { min: Timestamp::from_micros(-62_135_596_800_000_000), max: Timestamp::from_micros(i64::MAX) }
}

fn at(number: u64) -> Cursor {
    Cursor::at(Position::After(Sequence::new(number)))
}

/// With nothing that can be absent.
pub(crate) fn export(name: &str, created_millis: i64) -> TransferRecord {
    let request = ExportRequest::new(stream("orders"), "dir:/archive".parse().expect("a bucket"));
    let destination = DestinationConfig {
        bucket: "dir:/archive".parse().expect("a bucket"),
        prefix: String::new(),
        format: Format::Avro,
        compression: sluice_transfer::Compression::Plain,
        part_size: 8 << 20,
        object_size: 1 << 30,
    };
    let config = ExportConfig::new(stream("orders"), [(DestinationName::only(), destination)].into());
    TransferRecord::new(
        id(name),
        "host".to_owned(),
        Request::Export(request),
        Config::Export(config),
        vec![shard_id("0")],
        Timestamp::from_millis(created_millis),
    )
}

/// With everything that can be absent.
fn full_export(name: &str) -> TransferRecord {
    let mut record = export(name, 1_000);
    if let Request::Export(request) = &mut record.request {
        request.format = Some(Format::Raw);
        request.from = Some("ago:1h".parse().expect("a position"));
        request.until = Some("cut:0@12,shardId-000000000001@end".parse().expect("a position"));
        request.object_size = Some(u64::MAX);
        request.part_size = Some(1);
        request.rate = Some(1 << 40);
    }
    if let Config::Export(config) = &mut record.config {
        config.rate = Some(1 << 40);
        config.retention_millis = Some(u64::MAX >> 1);
        config.source_created = Some(Timestamp::from_micros(1_700_000_000_000_001));
        let mut second = config.destinations.values().next().cloned().expect("a destination");
        "2026/ä b".clone_into(&mut second.prefix);
        config.destinations.insert(destination("second-1.x_y"), second);
    }
    record.state = State::CompletedWithFailures;
    record.wanted = Wanted::Cancelled;
    record.generation = u32::MAX;
    record.shards = vec![shard_id("0"), shard_id("shardId-000000000001")];
    record.totals.expected = Some(counts());
    record.totals.moved = counts();
    record.manifest = Some(ManifestRef { key: "orders/manifest.json".to_owned(), sha256: "5".repeat(64) });
    record.rate = Some(0);
    record.rested_millis = 1 << 50;
    record.failure = Some(Failure { code: "Gone".to_owned(), message: "'\"\\\u{1f600}\n\u{0}".to_owned() });
    record
}

fn import_transfer(name: &str, full: bool) -> TransferRecord {
    let request = ImportRequest {
        source: "dir:/archive/orders".parse().expect("a bucket"),
        stream: stream("copy"),
        from: full.then_some(PositionSpec::Ago(1)),
        until: full.then_some(PositionSpec::Latest),
        format: full.then_some(SourceFormat::Jsonl),
        compression: full.then_some(Inflate::Auto),
        payload_field: full.then(|| "order.body".to_owned()),
        key_field: None,
        time_field: full.then(|| "at".to_owned()),
        event_size: full.then_some(1_024),
        all_files: full,
        pack: full,
        append: full,
        create_target: full,
        placement: full.then_some(Placement::AsSource),
        order: full.then_some(Order::Shard),
        pace: full.then(|| "10x".parse().expect("a pace")),
        on_misfit: full.then_some(OnMisfit::Store),
        rate: full.then_some(9),
    };
    let config = ImportConfig {
        bucket: "dir:/archive".parse().expect("a bucket"),
        work: "dir:/work".parse().expect("a bucket"),
        list: "list.json".to_owned(),
        stream: stream("copy"),
        format: if full { Format::Raw } else { Format::Avro },
        compression: sluice_transfer::Compression::Plain,
        foreign: full.then(|| {
            let fields = FieldNames { payload: Some("order.body".to_owned()), ..FieldNames::default() };
            Box::new(ForeignFiles { format: SourceFormat::Jsonl, inflate: true, fields })
        }),
        event_size: 1_024,
        largest_event: full.then_some(1 << 20),
        pack: full,
        placement: full.then_some(Placement::Key),
        order: full.then_some(Order::None),
        on_misfit: if full { OnMisfit::Store } else { OnMisfit::Fail },
        time: Timestamp::from_micros(-1),
        rhythm: full.then(|| Rhythm {
            factor: "2.125x".parse().expect("a factor"),
            from: Timestamp::from_micros(i64::MIN),
            until: Some(Timestamp::from_micros(i64::MAX)),
        }),
        rate: full.then_some(9),
    };
    let now = Timestamp::from_millis(1_000);
    let mut record =
        TransferRecord::new(id(name), String::new(), Request::Import(request), Config::Import(config), Vec::new(), now);
    if full {
        record.anchor = Some(Anchor { began: Timestamp::from_micros(-7), held: Some(now) });
        record.left_out.add(Reason::Link, "current.log");
        record.left_out.add(Reason::NotUtf8, "caf\u{fffd}");
        record.notes = vec!["shard 0: times are out of order".to_owned()];
    }
    record
}

/// Every shape of a transfer.
pub(super) fn transfers() -> Vec<TransferRecord> {
    vec![
        export("bare-export", 1_000),
        full_export("full-export"),
        import_transfer("bare-import", false),
        import_transfer("full-import", true),
    ]
}

pub(super) fn page(index: u32, text: &str) -> LedgerPage {
    let entry = |part: &str, span| {
        let part = PartEntry { etag: format!("{text}{part}"), checksum: Checksum::of(text.as_bytes()) };
        LedgerEntry { part, span }
    };
    let span = |times| Some(PartSpan { until: at(7), counts: counts(), times });
    let entries = vec![entry("a", None), entry("b", span(None)), entry("c", span(Some(times())))];
    LedgerPage { version: FIRST_VERSION, object: 3, incarnation: 1, index, entries }
}

fn aggregates() -> Aggregates {
    Aggregates { records: 1 << 40, user_records: u64::MAX >> 1 }
}

fn upload(full: bool) -> Upload {
    Upload {
        id: UploadId("opaque/+=id".to_owned()),
        cursor: Cursor { position: Position::After(kinesis()), offset: if full { 512 } else { 0 } },
        parts: u64::from(full) * 10_000,
        checksum: Checksum::of(b"parts"),
        counts: counts(),
        times: full.then(times),
        aggregates: if full { aggregates() } else { Aggregates::default() },
        pages: u32::from(full) * 1_249,
        tail: if full { page(0, "tail").entries } else { Vec::new() },
    }
}

fn closing(full: bool) -> Closing {
    let bare = Closing {
        upload: None,
        last: None,
        until: at(9),
        checksum: Checksum::of(b"object"),
        counts: counts(),
        times: None,
        aggregates: Aggregates::default(),
        last_times: None,
        superseded: None,
    };
    if !full {
        return bare;
    }
    let superseded =
        Closing { last: Some(Checksum::of(b"lost")), times: Some(times()), last_times: Some(times()), ..bare.clone() };
    let (upload, superseded) = (Some(upload(true)), Some(Box::new(superseded)));
    Closing { upload, superseded, aggregates: aggregates(), ..bare }
}

fn full_destination(phase: Phase) -> DestinationRecord {
    let object = SealedObject {
        number: 0,
        incarnation: 2,
        from: Cursor::default(),
        until: Cursor { position: Position::After(kinesis()), offset: u64::MAX },
        checksum: Checksum::of(b"object"),
        etag: "\"0123456789abcdef0123456789abcdef-12\"".to_owned(),
        counts: counts(),
        times: Some(times()),
        parts: Some(10_000),
    };
    let untimed = SealedObject { times: None, parts: None, number: 1, from: at(7), until: at(8), ..object.clone() };
    DestinationRecord {
        sealed: at(8),
        counts: counts(),
        aggregates: aggregates(),
        objects: 2,
        written: Some(1 << 50),
        incarnation: 1,
        phase,
        segments: SegmentChain { count: 4, digest: "d".repeat(64) },
        unlisted: vec![object, untimed],
        gaps: vec![Gap { from: at(3), until: at(7) }],
        high_water: counts(),
        verified: 1,
    }
}

pub(super) fn shard_of(transfer: &str, shard: &str, work: Work) -> ShardRecord {
    let range = Range { from: Position::Beginning, until: Position::End };
    ShardRecord::new(id(transfer), shard_id(shard), range, None, work)
}

/// With nothing that can be absent: one destination, idle.
pub(super) fn shard(transfer: &str, name: &str) -> ShardRecord {
    let idle = DestinationRecord::new(Position::Beginning);
    shard_of(transfer, name, Work::Export([(DestinationName::only(), idle)].into()))
}

fn full_import() -> ImportRecord {
    let cursor = SourceCursor { entry: u64::MAX, offset: 7, within: 3 };
    let value = Value::from("payload");
    let digest = EventDigest::default().with(Timestamp::from_millis(1), &Value::Null, &[], &value);
    let continued = BTreeMap::from([(shard_id("child"), Position::After(kinesis()))]);
    ImportRecord {
        unsettled_since: Some(Timestamp::from_millis(6)),
        check: Some(Check { entry: 4, from: 1 << 23, seen: Checksum::of(b"seen") }),
        segments: SegmentChain { count: 2, digest: "d".repeat(64) },
        cursor,
        counts: counts(),
        lacking: Lacking { payload: 1, key: 1 << 50, time: 3 },
        misfits: Misfits::of(MisfitReason::Aggregate, 1 << 50),
        misfit_files: SegmentChain { count: 1, digest: "f".repeat(64) },
        digest,
        marks: vec![Mark {
            source: cursor,
            origin: Some(Origin { shard: shard_id("shard-7"), sequence: kinesis() }),
            target: Position::After(kinesis()),
            continued: continued.clone(),
        }],
        read_back: Some(ReadBack {
            position: Position::After(kinesis()),
            shard: Some(shard_id("child")),
            counts: counts(),
            digest,
        }),
        continued,
        waits_for: Some(Timestamp::from_micros(i64::MIN)),
        late: Lateness { last_millis: 1_000, most_millis: u64::MAX >> 1 },
        ..ImportRecord::new(5, Position::After(kinesis()), 2)
    }
}

/// Every shape of a shard's work, with and without what can be absent beside it.
pub(super) fn shards(transfer: &str) -> Vec<ShardRecord> {
    let phases = [
        Phase::Idle,
        Phase::Open(upload(false)),
        Phase::Open(upload(true)),
        Phase::Closing(closing(false)),
        Phase::Closing(closing(true)),
    ];
    let mut works = vec![
        Work::Export(BTreeMap::new()),
        Work::Import(Box::new(ImportRecord::new(0, Position::Beginning, 0))),
        Work::Import(Box::new(full_import())),
    ];
    for phase in phases {
        let one = full_destination(phase);
        let other = DestinationRecord::new(Position::After(kinesis()));
        works.push(Work::Export([(DestinationName::only(), one.clone())].into()));
        works.push(Work::Export([(DestinationName::only(), one), (destination("b.2_x-Y"), other)].into()));
    }
    let bare = works.into_iter().enumerate().map(|(i, work)| shard_of(transfer, &format!("shape-{i}"), work));
    bare.flat_map(|bare| [full_shard(&bare), bare]).collect()
}

fn full_shard(bare: &ShardRecord) -> ShardRecord {
    ShardRecord {
        shard: shard_id(&format!("{}-full", bare.shard)),
        epoch: u64::MAX,
        generation: 7,
        owner: Some(Owner { slice: "slice/1".to_owned(), lease_until: Timestamp::from_micros(1_763_798_400_000_001) }),
        range: Range { from: Position::After(kinesis()), until: Position::After(kinesis().next()) },
        times: Some(TimeBounds {
            from: Some(Timestamp::from_millis(1)),
            until: Timestamp::from_micros(1_763_798_400_000_001),
            began: Some(Timestamp::from_millis(2)),
            at: Some(Timestamp::from_millis(3)),
            silence: Some(Silence { behind: Position::After(kinesis()), until: Timestamp::from_millis(4) }),
            retention_millis: Some(u64::MAX >> 1),
        }),
        parents: vec![shard_id("parent"), shard_id("adjacent")],
        hashes: Some(HashRange::ALL),
        expected: Some(counts()),
        pace: Pace {
            bytes_per_second: 123_456_789.625,
            at: Timestamp::from_millis(5),
            known_millis: Some(13_999),
            woken: true,
        },
        idle_slices: 19,
        slices: 1 << 60,
        ..bare.clone()
    }
}
