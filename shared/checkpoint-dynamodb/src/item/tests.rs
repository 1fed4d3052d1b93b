mod rules;
mod size;
mod source;

use std::collections::BTreeMap;

use serde_json::Value as Json;
use sluice_transfer::limits::{LEDGER_TAIL, SEGMENT_ENTRIES};
use sluice_transfer::manifest::SegmentChain;
use sluice_transfer::record::{
    Check, Closing, Config, DestinationConfig, DestinationRecord, ExportConfig, ImportConfig, ImportRecord,
    LedgerEntry, LedgerPage, Look, ManifestRef, Mark, Owner, PartEntry, PartSpan, Phase, PlanProgress, ReadBack,
    ReadersRecord, SealedObject, ShardRecord, Share, SourceCursor, SweepRecord, TimeBounds, TransferRecord, Upload,
    Work,
};
use sluice_transfer::{
    Aggregates, Anchor, Checksum, Counts, Cursor, DestinationName, EventDigest, ExportRequest, FieldNames,
    ForeignFiles, Format, Gap, HashRange, HostName, ImportRequest, Lacking, MisfitReason, Misfits, OnMisfit, Order,
    Pace, Placement, Position, Range, ReadMode, ReadShare, Reason, Request, Rhythm, Sequence, SeriesName, SeriesRun,
    ShardId, SourceFormat, State, StreamUri, TimeRange, Timestamp, UploadId, Value,
};

use super::*;

fn id() -> TransferId {
    "export-2026-11-22T08.00.00Z-0f3a".parse().unwrap()
}

fn shard_id() -> ShardId {
    "shardId-000000000012".parse().unwrap()
}

/// The n-th of some numbers of 56 digits, as Kinesis gives them.
fn kinesis(n: u64) -> Position {
    Position::After(format!("4959033827149025660855969253836157109592157598{n:010}").parse::<Sequence>().unwrap())
}

fn cursor(n: u64) -> Cursor {
    Cursor { position: kinesis(n), offset: 524_288 }
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_795_334_400_123_456)
}

fn times() -> TimeRange {
    TimeRange { min: now().minus_millis(60_000), max: now() }
}

/// As before objects had indexes.
fn part(n: u64) -> LedgerEntry {
    let part = PartEntry { etag: format!("\"{n:032x}\""), checksum: Checksum { crc: u64::MAX / 3 + n, len: 8 << 20 } };
    LedgerEntry { part, span: None }
}

fn indexed_part(n: u64) -> LedgerEntry {
    let span = PartSpan { until: cursor(n), counts: Counts::new(8_192, 8 << 20), times: Some(times()) };
    LedgerEntry { span: Some(span), ..part(n) }
}

fn object(n: u64) -> SealedObject {
    SealedObject {
        number: 100 + n,
        incarnation: 0,
        from: cursor(n),
        until: cursor(n + 1),
        checksum: Checksum { crc: u64::MAX / 5 + n, len: 1 << 30 },
        etag: part(n).part.etag,
        counts: Counts::new(1_048_576, 1_073_741_824),
        times: Some(times()),
        parts: None,
    }
}

fn meta() -> TransferRecord {
    let request = ExportRequest {
        stream: "kinesis:orders".parse().unwrap(),
        to: "s3:archive/orders".parse().unwrap(),
        format: Some(Format::Raw),
        compression: None,
        series: None,
        from: Some("2026-11-21T00:00:00Z".parse().unwrap()),
        until: None,
        object_size: Some(1 << 30),
        part_size: None,
        deaggregate: false,
        read_share: None,
        read: None,
        rate: None,
    };
    let destination = DestinationConfig {
        bucket: "s3:archive".parse().unwrap(),
        prefix: "orders".to_owned(),
        format: Format::Raw,
        compression: sluice_transfer::Compression::Plain,
        part_size: 8 << 20,
        object_size: 1 << 30,
    };
    let destinations = [(DestinationName::only(), destination)].into();
    let config = ExportConfig { rate: Some(1 << 20), ..ExportConfig::new(request.stream.clone(), destinations) };
    let (request, config) = (Request::Export(request), Config::Export(config));
    TransferRecord::new(id(), "host-1".to_owned(), request, config, vec![shard_id()], now())
}

fn shard(work: Work) -> ShardRecord {
    let range = Range { from: kinesis(0), until: kinesis(9) };
    let lease_until = now().plus_millis(60_000);
    ShardRecord {
        revision: 12_345,
        epoch: 17,
        generation: 2,
        owner: Some(Owner { slice: "0b29ac5e-7a51-4d4c-9d0f-2b1f7a0c6f55".to_owned(), lease_until }),
        pace: Pace { bytes_per_second: 123_456_789.125, at: now(), known_millis: None, woken: false },
        slices: 16,
        ..ShardRecord::new(id(), shard_id(), range, Some(Counts::new(1 << 30, 1 << 40)), work)
    }
}

/// One destination with an open upload, so many entries in its ledger's tail and so many objects in no segment yet.
fn export(tail: usize, unlisted: usize, gaps: Vec<Gap>) -> ShardRecord {
    let upload = Upload {
        id: UploadId("u".repeat(128)),
        cursor: cursor(8),
        parts: 124,
        checksum: Checksum { crc: u64::MAX / 7, len: 1 << 30 },
        counts: Counts::new(1_048_576, 1_073_741_824),
        times: Some(times()),
        aggregates: Aggregates::default(),
        pages: 15,
        tail: (0..tail as u64).map(part).collect(),
    };
    let destination = DestinationRecord {
        sealed: cursor(7),
        counts: Counts::new(1 << 30, 1 << 40),
        aggregates: Aggregates::default(),
        objects: 107,
        // As earlier versions left it.
        written: None,
        incarnation: 1,
        phase: Phase::Open(upload),
        segments: SegmentChain { count: 12, digest: "d".repeat(64) },
        unlisted: (0..unlisted as u64).map(object).collect(),
        gaps,
        high_water: Counts::new(1 << 30, 1 << 40),
        verified: 0,
    };
    shard(Work::Export([(DestinationName::only(), destination)].into()))
}

fn import() -> ShardRecord {
    let cursor = SourceCursor { entry: 3, offset: 1 << 20, within: 7 };
    let digest = EventDigest::default().with(now(), &Value::Null, &[], &Value::from("payload"));
    let counts = Counts::new(1_000, 1_000_000);
    shard(Work::Import(Box::new(ImportRecord {
        cursor,
        check: Some(Check { entry: 3, from: 0, seen: Checksum { crc: u64::MAX / 3, len: 1 << 20 } }),
        counts,
        digest,
        segments: SegmentChain { count: 4, digest: "d".repeat(64) },
        marks: vec![Mark { source: cursor, origin: None, target: kinesis(3), continued: BTreeMap::new() }],
        read_back: Some(ReadBack { position: kinesis(2), shard: None, counts, digest }),
        ..ImportRecord::new(5, kinesis(4), 0)
    })))
}

fn page(entries: Vec<LedgerEntry>) -> LedgerPage {
    LedgerPage { version: 1, object: 107, incarnation: 1, index: 12, entries }
}

/// The same shard with objects that have indexes.
fn indexed(mut record: ShardRecord) -> ShardRecord {
    let Work::Export(destinations) = &mut record.work else { panic!("an export") };
    let destination = destinations.values_mut().next().unwrap();
    for object in &mut destination.unlisted {
        object.parts = Some(128);
    }
    let (Phase::Open(upload) | Phase::Closing(Closing { upload: Some(upload), .. })) = &mut destination.phase else {
        panic!("an upload")
    };
    upload.tail = (0..upload.tail.len() as u64).map(indexed_part).collect();
    record
}

/// The same while its object is being closed; `again` if its end had to be fixed a second time.
fn closing(tail: usize, unlisted: usize, again: bool) -> ShardRecord {
    let mut record = export(tail, unlisted, Vec::new());
    let Work::Export(destinations) = &mut record.work else { panic!("an export") };
    let destination = destinations.values_mut().next().unwrap();
    let Phase::Open(upload) = destination.phase.clone() else { panic!("an open upload") };
    let once = Closing {
        last: Some(part(0).part.checksum),
        until: cursor(9),
        checksum: upload.checksum,
        counts: upload.counts,
        times: upload.times,
        aggregates: upload.aggregates,
        last_times: upload.times,
        upload: Some(upload),
        superseded: None,
    };
    let superseded = again.then(|| Box::new(Closing { upload: None, ..once.clone() }));
    let last = once.last.filter(|_| !again);
    destination.phase = Phase::Closing(Closing { last, superseded, ..once });
    record
}

fn writer() -> WriterRecord {
    WriterRecord { version: 1, stream: "kinesis:orders".parse().unwrap(), writer: id() }
}

fn json(item: Item) -> Json {
    serde_json::to_value(serde_dynamo::Item::from(item)).unwrap()
}

fn item(json: Json) -> Item {
    serde_json::from_value::<serde_dynamo::Item>(json).unwrap().into()
}

/// What is written is what the file holds, and what the file holds is read as what is written.
fn golden<T>(name: &str, key: Key<'_>, record: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let path = format!("{}/../../tests/golden/records-v1/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let found = json(to_item(key, record).unwrap());
    if std::env::var_os("SLUICE_WRITE_GOLDEN").is_some() && !std::path::Path::new(&path).exists() {
        std::fs::write(&path, format!("{found:#}\n")).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let expected: Json = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!(found, expected, "{path} differs from what is written now: {found:#}");
    assert_eq!(&from_item::<T>(item(expected)).unwrap(), record, "{path} reads as something else");
}

#[test]
fn records_of_version_1_are_read_and_written_as_ever() {
    let (id, shard, stream) = (id(), shard_id(), writer().stream);
    golden("meta", Key::Meta(&id), &meta());
    golden("shard-export", Key::Shard(&id, &shard), &export(2, 1, vec![Gap { from: cursor(1), until: cursor(2) }]));
    golden("shard-import", Key::Shard(&id, &shard), &import());
    golden("parts", Key::Page(&id, &shard, &DestinationName::only(), 12), &page(vec![part(96), part(97)]));
    golden("writer", Key::Writer(&stream), &writer());
}

#[test]
fn records_of_objects_with_an_index_are_read_and_written_as_ever() {
    let (id, shard) = (id(), shard_id());
    golden("shard-export-indexed", Key::Shard(&id, &shard), &indexed(closing(2, 1, false)));
    let page = page(vec![indexed_part(96), indexed_part(97)]);
    golden("parts-indexed", Key::Page(&id, &shard, &DestinationName::only(), 12), &page);
}

/// An import of all files of a folder: version 3.
fn all_files() -> TransferRecord {
    let request = ImportRequest {
        format: Some(SourceFormat::Lines),
        all_files: true,
        ..ImportRequest::new("s3:archive/incoming/".parse().unwrap(), "kinesis:orders".parse().unwrap())
    };
    let files = ForeignFiles { format: SourceFormat::Lines, inflate: true, fields: FieldNames::default() };
    let config = ImportConfig {
        bucket: request.source.clone(),
        work: "s3:work".parse().unwrap(),
        list: "imports/i/sources-1/list.json".to_owned(),
        stream: request.stream.clone(),
        format: Format::Raw,
        compression: sluice_transfer::Compression::Plain,
        foreign: Some(Box::new(files)),
        event_size: 1 << 20,
        largest_event: Some(10 << 20),
        pack: false,
        placement: None,
        order: None,
        on_misfit: OnMisfit::Fail,
        time: now(),
        rhythm: None,
        rate: None,
    };
    let (request, config) = (Request::Import(request), Config::Import(config));
    TransferRecord::new(id(), "host-1".to_owned(), request, config, vec![shard_id()], now())
}

#[test]
fn records_with_what_came_later_are_read_and_written_as_ever() {
    let (id, shard) = (id(), shard_id());
    let mut noted = meta();
    (noted.rate, noted.rested_millis) = (Some(0), 86_400_000);
    noted.left_out.add(Reason::Link, "current.log");
    noted.notes = vec!["shard shardId-000000000012: until lies behind the stream's end".to_owned()];
    golden("meta-noted", Key::Meta(&id), &noted);
    let mut swept = SweepRecord { revision: 3, ended_at: Timestamp::from_millis(7), ..SweepRecord::default() };
    swept.see(&id, "0123456789abcdef", Timestamp::from_millis(5));
    swept.settle(
        &id,
        "arn:aws:states:eu-west-1:1:execution:sluice-transfer:sweep-0".to_owned(),
        Timestamp::from_millis(6),
    );
    golden("sweep", Key::Sweep, &swept);
    golden("meta-all-files", Key::Meta(&id), &all_files());

    let mut written = export(2, 1, vec![Gap { from: cursor(1), until: cursor(2) }]);
    written.pace.known_millis = Some(13_999);
    let Work::Export(destinations) = &mut written.work else { panic!("an export") };
    destinations.values_mut().next().unwrap().written = Some(1 << 39);
    golden("shard-export-written", Key::Shard(&id, &shard), &written);

    let mut aggregated = export(2, 1, Vec::new());
    let Work::Export(destinations) = &mut aggregated.work else { panic!("an export") };
    let destination = destinations.values_mut().next().unwrap();
    destination.aggregates = Aggregates { records: 7, user_records: 900 };
    let Phase::Open(upload) = &mut destination.phase else { panic!("an upload") };
    upload.aggregates = Aggregates { records: 1, user_records: 30 };
    golden("shard-export-aggregates", Key::Shard(&id, &shard), &aggregated);

    let apart = meta();
    let (Config::Export(config), Request::Export(request)) = (apart.config, apart.request) else { panic!("an export") };
    let config = Config::Export(ExportConfig { deaggregate: true, ..config });
    let request = Request::Export(ExportRequest { deaggregate: true, ..request });
    let apart = TransferRecord::new(apart.id, apart.execution, request, config, apart.shards, now());
    assert_eq!(apart.version, 5);
    golden("meta-deaggregate", Key::Meta(&id), &apart);

    let mut by_time = meta();
    let Config::Export(config) = by_time.config else { panic!("an export") };
    let config = Config::Export(ExportConfig { by_time: true, ..config });
    by_time = TransferRecord::new(by_time.id, by_time.execution, by_time.request, config, by_time.shards, now());
    assert_eq!(by_time.version, 4);
    golden("meta-by-time", Key::Meta(&id), &by_time);
    let mut times = TimeBounds::new(Some(now().minus_millis(90_000_000)), now());
    times.read(now().minus_millis(80_000_000));
    times.heard_nothing(&kinesis(8), now().minus_millis(10_000_000));
    let silent = export(2, 1, Vec::new());
    let range = Range { from: kinesis(0), until: Position::End };
    let silent = ShardRecord { range, expected: None, times: Some(times), parents: vec![shard_id()], ..silent };
    golden("shard-export-times", Key::Shard(&id, &shard), &silent);

    let placed = all_files();
    let Config::Import(config) = placed.config else { panic!("an import") };
    let config = Config::Import(ImportConfig { placement: Some(Placement::Key), ..config });
    let placed = TransferRecord::new(placed.id, placed.execution, placed.request, config, placed.shards, now());
    assert_eq!(placed.version, 5);
    golden("meta-placed", Key::Meta(&id), &placed);
    let mut split = import();
    split.hashes = Some(HashRange::equal(2)[1]);
    let Work::Import(record) = &mut split.work else { panic!("an import") };
    record.continued = BTreeMap::from([("shardId-000000000014".parse().unwrap(), kinesis(7))]);
    record.read_back.as_mut().unwrap().shard = Some("shardId-000000000014".parse().unwrap());
    golden("shard-import-placed", Key::Shard(&id, &shard), &split);

    let mut lacking = import();
    lacking.pace.woken = true;
    lacking.share = Some(Share::of_bytes(1, 3));
    let Work::Import(record) = &mut lacking.work else { panic!("an import") };
    record.lacking = Lacking { payload: 2, key: 0, time: 1_000 };
    (record.passed, record.unsettled) = (Some(9_000_000), true);
    record.check.as_mut().unwrap().from = 8 << 20;
    golden("shard-import-lacking", Key::Shard(&id, &shard), &lacking);
}

/// What the versions before 6 must not go on with.
#[test]
fn records_of_version_6_are_read_and_written_as_ever() {
    let TransferRecord { id, execution, request, config, shards, .. } = all_files();
    let Request::Import(request) = request else { panic!("an import") };
    let request = Request::Import(ImportRequest { create_target: true, ..request });
    let made = TransferRecord::new(id.clone(), execution, request, config, shards, now());
    assert_eq!(made.version, 6);
    golden("meta-create-target", Key::Meta(&id), &made);
    let (Request::Import(request), Config::Import(config)) = (made.request, made.config) else { panic!("an import") };
    let request = ImportRequest { create_target: false, order: Some(Order::None), ..request };
    let config = Config::Import(ImportConfig { placement: Some(Placement::Key), order: Some(Order::None), ..config });
    let ordered = TransferRecord::new(id.clone(), made.execution, Request::Import(request), config, made.shards, now());
    assert_eq!(ordered.version, 6);
    golden("meta-ordered", Key::Meta(&id), &ordered);
}

/// What the versions before 7 would run as fast as they can.
#[test]
fn records_of_an_import_in_rhythm_are_read_and_written_as_ever() {
    let TransferRecord { id, execution, request, config, shards, .. } = all_files();
    let (Request::Import(request), Config::Import(config)) = (request, config) else { panic!("an import") };
    let request = Request::Import(ImportRequest { pace: Some("0.5x".parse().unwrap()), ..request });
    let rhythm = Rhythm {
        factor: "0.5x".parse().unwrap(),
        from: now().minus_millis(90_000_000),
        until: Some(now().minus_millis(80_000_000)),
    };
    let config = Config::Import(ImportConfig { rhythm: Some(rhythm), ..config });
    let mut paced = TransferRecord::new(id.clone(), execution, request, config, shards, now());
    assert_eq!(paced.version, 7);
    let mut anchor = Anchor::new(now());
    anchor.hold(now().plus_millis(7_000));
    paced.anchor = Some(anchor);
    golden("meta-paced", Key::Meta(&id), &paced);

    let mut waits = import();
    let Work::Import(record) = &mut waits.work else { panic!("an import") };
    record.waits_for = Some(now().minus_millis(85_000_000));
    record.late.sent(90_000);
    record.late.sent(0);
    golden("shard-import-paced", Key::Shard(&id, &shard_id()), &waits);
}

#[test]
fn records_of_misfits_are_read_and_written_as_ever() {
    let TransferRecord { id, execution, request, config, shards, .. } = all_files();
    let (Request::Import(request), Config::Import(config)) = (request, config) else { panic!() };
    let request = Request::Import(ImportRequest { on_misfit: Some(OnMisfit::Store), ..request });
    let config = Config::Import(ImportConfig { on_misfit: OnMisfit::Store, ..config });
    let mut stored = TransferRecord::new(id.clone(), execution, request, config, shards, now());
    assert_eq!(stored.version, 7);
    (stored.state, stored.totals.misfits) = (State::CompletedWithMisfits, 3);
    golden("meta-misfits", Key::Meta(&id), &stored);
    let mut passed = import();
    let Work::Import(record) = &mut passed.work else { panic!() };
    for (within, reason) in [(8, MisfitReason::Headers), (9, MisfitReason::Size), (10, MisfitReason::Headers)] {
        let cursor = SourceCursor { within, ..record.cursor };
        record.passed_misfit(cursor, &Misfits::of(reason, 70), "misfits/a.jsonl", Checksum::of(b"a line"));
    }
    golden("shard-import-misfits", Key::Shard(&id, &shard_id()), &passed);
}

#[test]
fn records_of_an_import_whose_plan_goes_on_are_read_and_written_as_ever() {
    let TransferRecord { id, execution, request, config, .. } = all_files();
    let mut goes_on = TransferRecord::being_planned(id.clone(), execution, request, config, now());
    let found = ManifestRef { key: "imports/nightly/sources-7/progress-1.json".to_owned(), sha256: "ab".repeat(32) };
    goes_on.planning = Some(PlanProgress { found: Some(found), sources: 250_000, bytes: 1_000_000_000 });
    golden("meta-planning", Key::Meta(&id), &goes_on);
}

#[test]
fn a_newer_record_is_refused_with_the_way_out() {
    let mut item = to_item(Key::Meta(&id()), &meta()).unwrap();
    item.insert(VERSION.to_owned(), AttributeValue::N((RECORD_VERSION + 1).to_string()));
    // Its shape may be another one.
    item.remove("config");
    let error = from_item::<TransferRecord>(item).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Newer);
    let text = error.to_string();
    assert!(text.contains("transfer#export-2026") && text.contains("newer one"), "{text}");
}

#[test]
fn what_is_no_record_is_corrupt_and_named() {
    let (id, shard) = (id(), shard_id());
    let whole = to_item(Key::Shard(&id, &shard), &import()).unwrap();
    for change in [("work", None), ("version", None), ("epoch", Some("many")), ("version", Some("1"))] {
        let mut item = whole.clone();
        match change {
            (name, None) => item.remove(name),
            (name, Some(text)) => item.insert(name.to_owned(), AttributeValue::S(text.to_owned())),
        };
        let error = from_item::<ShardRecord>(item).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{change:?}: {error}");
        assert!(error.to_string().contains("#shard#shardId-000000000012 SHARD"), "{error}");
    }
}
