//! The file of checkpoints as it is kept in `tests/golden/checkpoint-sqlite-v1.sql`: its tables and rows are written as
//! there, and a file that is made of that text is read and written to. `checkpoint-sqlite-v1-readers.sql` has the
//! table besides that is made with its first row.
//!
//! A golden file never changes: every later version has to read it. A new layout or a new version of a record gets
//! one of its own beside it, which `SLUICE_WRITE_GOLDEN=1 cargo test -p sluice-checkpoint-sqlite --test golden` writes
//! if it is not there.
#![cfg(test)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use sluice_checkpoint_sqlite::SqliteCheckpoints;
use sluice_kit::sqlite_dump;
use sluice_ports::{CheckpointStore, Created, Stored, WriterAnswer};
use sluice_transfer::manifest::SegmentChain;
use sluice_transfer::record::{
    Check, Config, DestinationConfig, DestinationRecord, ExportConfig, Failure, ImportConfig, ImportRecord,
    LedgerEntry, LedgerPage, Look, Mark, Owner, PartEntry, ReadersRecord, ShardRecord, Share, SourceCursor,
    TransferRecord, Work,
};
use sluice_transfer::{
    Checksum, Compression, Counts, Cursor, DestinationName, EventDigest, ExportRequest, FieldNames, ForeignFiles,
    Format, ImportRequest, Lacking, OnMisfit, Pace, Position, Range, ReadShare, Reason, Request, Sequence, ShardId,
    SourceFormat, Step, StreamUri, Timestamp, TransferId, Value,
};

/// Without the exports that read a stream, and with them.
const KEPT: [&str; 2] = ["checkpoint-sqlite-v1.sql", "checkpoint-sqlite-v1-readers.sql"];

fn kept(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

/// The file is as the one that is kept under that name.
fn is_as_kept(file: &Path, name: &str) {
    let (written, kept) = (sqlite_dump(file), kept(name));
    if std::env::var_os("SLUICE_WRITE_GOLDEN").is_some() && !kept.exists() {
        std::fs::write(&kept, &written).unwrap();
    }
    assert_eq!(written, std::fs::read_to_string(kept).unwrap());
}

fn readers() -> ReadersRecord {
    let mut record = ReadersRecord { revision: 1, ..ReadersRecord::new(stream()) };
    let look = Look { share: ReadShare::HALF, now: at(0), until: at(310_000), waits_until: at(60_000), seen_by: None };
    record.look(&id("export"), look);
    record
}

fn id(name: &str) -> TransferId {
    name.parse().unwrap()
}

fn shard() -> ShardId {
    "0".parse().unwrap()
}

fn stream() -> StreamUri {
    "local:orders".parse().unwrap()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000).plus_millis(millis)
}

fn behind(number: u64) -> Position {
    Position::After(Sequence::new(number))
}

/// A failed export whose rate was changed, and which was at rest before.
fn export() -> TransferRecord {
    let request = ExportRequest {
        stream: stream(),
        to: "dir:/archive/orders".parse().unwrap(),
        format: Some(Format::Jsonl),
        compression: Some(Compression::Gzip),
        series: None,
        from: Some("2026-11-21T00:00:00Z".parse().unwrap()),
        until: Some("0@90".parse().unwrap()),
        object_size: None,
        part_size: None,
        deaggregate: false,
        read_share: None,
        read: None,
        rate: Some(1 << 20),
    };
    let destination = DestinationConfig {
        bucket: "dir:/archive".parse().unwrap(),
        prefix: "orders".to_owned(),
        format: Format::Jsonl,
        compression: Compression::Gzip,
        part_size: 8 << 20,
        object_size: 256 << 20,
    };
    let destinations = [(DestinationName::only(), destination)].into();
    let config = ExportConfig { rate: Some(1 << 20), ..ExportConfig::new(stream(), destinations) };
    let (request, config) = (Request::Export(request), Config::Export(config));
    let mut record = TransferRecord::new(id("export"), "host-1".to_owned(), request, config, vec![shard()], at(0));
    for step in [Step::Planned, Step::Failed] {
        record.step(step).unwrap();
    }
    record.rate = Some(0);
    record.rested_millis = 86_400_000;
    record.failure = Some(Failure { code: "Denied".to_owned(), message: "it's \"closed\"\n".to_owned() });
    record.notes = vec!["shard 0: until lies behind the stream's end".to_owned()];
    record
}

/// An import of all files of a folder: version 3.
fn import() -> TransferRecord {
    let fields = FieldNames { payload: Some("order.body".to_owned()), key: None, time: Some("at".to_owned()) };
    let request = ImportRequest {
        format: Some(SourceFormat::Jsonl),
        payload_field: fields.payload.clone(),
        time_field: fields.time.clone(),
        all_files: true,
        append: true,
        ..ImportRequest::new("dir:/incoming/".parse().unwrap(), stream())
    };
    let config = ImportConfig {
        bucket: "dir:/incoming/".parse().unwrap(),
        work: "dir:/work".parse().unwrap(),
        list: "import/list.json".to_owned(),
        stream: stream(),
        format: Format::Raw,
        compression: Compression::Plain,
        foreign: Some(Box::new(ForeignFiles { format: SourceFormat::Jsonl, inflate: true, fields })),
        event_size: 1 << 20,
        largest_event: Some(10 << 20),
        pack: false,
        placement: None,
        order: None,
        on_misfit: OnMisfit::Fail,
        time: at(0),
        rhythm: None,
        rate: None,
    };
    let (request, config) = (Request::Import(request), Config::Import(config));
    let mut record = TransferRecord::new(id("import"), "host-1".to_owned(), request, config, vec![shard()], at(1));
    record.step(Step::Planned).unwrap();
    record.left_out.add(Reason::Link, "current.log");
    record.left_out.add(Reason::NotUtf8, "caf\u{fffd}");
    record
}

fn shard_of(transfer: &str, pace: Pace, work: Work) -> ShardRecord {
    let range = Range { from: Position::Beginning, until: behind(90) };
    let owner = Owner { slice: "slice-1".to_owned(), lease_until: at(60_000) };
    let record = ShardRecord::new(id(transfer), shard(), range, None, work);
    ShardRecord { epoch: 3, generation: 2, closed: 1, owner: Some(owner), slices: 3, idle_slices: 1, pace, ..record }
}

fn export_shard() -> ShardRecord {
    let mut destination = DestinationRecord::new(Position::Beginning);
    destination.sealed = Cursor::at(behind(40));
    (destination.counts, destination.objects) = (Counts::new(41, 41_000), 1);
    destination.high_water = destination.counts;
    destination.written = Some(7_000);
    destination.segments = SegmentChain { count: 1, digest: "d".repeat(64) };
    let pace = Pace { bytes_per_second: 1_000.125, at: at(9), known_millis: Some(13_999), woken: false };
    let record = shard_of("export", pace, Work::Export([(DestinationName::only(), destination)].into()));
    ShardRecord { expected: Some(Counts::new(91, 91_000)), ..record }
}

fn import_shard() -> ShardRecord {
    let cursor = SourceCursor { entry: 2, offset: 1 << 20, within: 7 };
    let record = ImportRecord {
        cursor,
        passed: Some(9_000),
        check: Some(Check { entry: 2, from: 1 << 23, seen: Checksum::of(b"seen") }),
        unsettled: true,
        counts: Counts::new(30, 3_000),
        lacking: Lacking { payload: 2, key: 0, time: 30 },
        digest: EventDigest::default().with(at(0), &Value::Null, &[], &Value::from(b"payload".to_vec())),
        marks: vec![Mark { source: cursor, origin: None, target: behind(29), continued: BTreeMap::new() }],
        ..ImportRecord::new(5, behind(30), 0)
    };
    let pace = Pace { bytes_per_second: 0.0, at: at(9), known_millis: None, woken: true };
    ShardRecord { share: Some(Share::of_bytes(1, 3)), ..shard_of("import", pace, Work::Import(Box::new(record))) }
}

fn page() -> LedgerPage {
    let part = PartEntry { etag: "\"0123\"".to_owned(), checksum: Checksum::of(b"part") };
    LedgerPage { version: 1, object: 1, incarnation: 0, index: 0, entries: vec![LedgerEntry { part, span: None }] }
}

#[tokio::test]
async fn a_file_is_written_as_the_kept_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.sqlite");
    let store = SqliteCheckpoints::open(&path).await.unwrap();
    for transfer in [export(), import()] {
        assert_eq!(store.create_transfer(&transfer).await.unwrap(), Created::Now);
    }
    for record in [export_shard(), import_shard()] {
        assert_eq!(store.create_shard(&record).await.unwrap(), Created::Now);
    }
    let next = ShardRecord { revision: 2, ..export_shard() };
    assert_eq!(store.update_shard(&next, &[(DestinationName::only(), page())]).await.unwrap(), Stored::Done);
    assert_eq!(store.reserve_writer(&stream(), &id("import")).await.unwrap(), WriterAnswer::Held);
    is_as_kept(&path, KEPT[0]);
    assert_eq!(store.update_readers(&readers()).await.unwrap(), Stored::Done);
    is_as_kept(&path, KEPT[1]);
}

#[tokio::test]
async fn kept_files_are_read_and_written_to() {
    for (name, before) in KEPT.into_iter().zip([None, Some(readers())]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoints.sqlite");
        let text = std::fs::read_to_string(kept(name)).unwrap();
        Connection::open(&path).unwrap().execute_batch(&text).unwrap();
        let store = SqliteCheckpoints::open(&path).await.unwrap();
        is_read_and_written_to(&store).await;
        for looking in [store.clone(), SqliteCheckpoints::looking(&path)] {
            assert_eq!(looking.readers(&stream()).await.unwrap(), before, "{name}");
        }
        let next = before.map_or_else(readers, |before| ReadersRecord { revision: before.revision + 1, ..before });
        assert_eq!(store.update_readers(&next).await.unwrap(), Stored::Done, "{name}");
        assert_eq!(store.readers(&stream()).await.unwrap(), Some(next), "{name}");
    }
}

async fn is_read_and_written_to(store: &SqliteCheckpoints) {
    assert_eq!(store.transfers(&[], 9).await.unwrap(), [import(), export()], "the youngest first");
    assert_eq!((export().version, import().version), (2, 3), "one of each that is not the first");
    for wanted in [ShardRecord { revision: 2, ..export_shard() }, import_shard()] {
        assert_eq!(store.shard(&wanted.transfer, &wanted.shard).await.unwrap().as_ref(), Some(&wanted));
        let next = ShardRecord { revision: wanted.revision + 1, ..wanted };
        assert_eq!(store.update_shard(&next, &[]).await.unwrap(), Stored::Done);
    }
    let ledger = store.ledger(&id("export"), &shard(), &DestinationName::only(), 1).await.unwrap();
    assert_eq!(ledger, [page()]);
    let other = store.reserve_writer(&stream(), &id("other")).await.unwrap();
    assert_eq!(other, WriterAnswer::HeldBy(id("import")));
    let mut resumed = export();
    resumed.step(Step::Resumed).unwrap();
    resumed.revision = 2;
    assert_eq!(store.update_transfer(&resumed).await.unwrap(), Stored::Done);
    assert_eq!(store.transfer(&resumed.id).await.unwrap(), Some(resumed));
}
