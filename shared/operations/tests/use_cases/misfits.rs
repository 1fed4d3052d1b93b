//! Events that a target cannot hold: refused by name, or stored, counted and passed over, with a death at each step.

mod deaths;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use sluice_kit::{BucketLayer, CheckpointLayer, Layered, OtherPlaces, Rig, StreamLayer, append, shard};
use sluice_memory::{MemoryClock, MemoryStream, now};
use sluice_operations::{
    Code, Finish, Settings, Settled, SliceOutcome, Verdict, describe, finish, import_slice, kept_for_import, plan,
    settle, verify,
};
use sluice_ports::{
    Appended, BucketStore, CheckpointStore, Error, ErrorKind, Metadata, NewEvent, Places, PutAnswer, Result, Stored,
    StreamAdmin, StreamStore, StreamWriter,
};
use sluice_transfer::limits::MISFITS;
use sluice_transfer::manifest::{Document, ImportManifest};
use sluice_transfer::record::LedgerPage;
use sluice_transfer::{
    BucketUri, Checksum, DestinationName, ExportRequest, Format, Header, ImportRequest, MisfitReason, OnMisfit, Order,
    Placement, Position, Request, ShardId, SourceFormat, State, StreamUri, Timestamp, TransferId, Value,
};

/// Bytes that the target takes of an event.
const LARGEST: u64 = 40;

fn event(number: usize, size: usize, headers: usize) -> NewEvent {
    let headers = (0..headers).map(|n| Header { name: format!("h{n}"), value: Value::from(&b"\xff"[..]) }).collect();
    let payload = format!("{number:03}{}", "x".repeat(size)).into_bytes();
    let time = Timestamp::from_millis(1_700_000_000_000 + i64::try_from(number).unwrap());
    NewEvent { time, key: Value::from(format!("k{}", number % 3)), headers, payload: Value::from(payload) }
}

/// Some fit, some do not: alone, in a row, at the beginning and at the end.
fn mixed() -> Vec<NewEvent> {
    let fits = |n| event(n, 5, 0);
    let large = |n| event(n, 60, 0);
    let headed = |n| event(n, 5, 2);
    vec![
        headed(0),
        fits(1),
        fits(2),
        large(3),
        fits(4),
        headed(5),
        large(6),
        large(7),
        fits(8),
        fits(9),
        fits(10),
        headed(11),
        fits(12),
        large(13),
    ]
}

fn fits(event: &NewEvent) -> bool {
    event.headers.is_empty() && event.size() <= LARGEST
}

fn settings() -> Settings {
    Settings { wind_down_millis: 0, read_events: 3, landing_millis: 1, shown_millis: 0, ..Settings::default() }
}

/// An export of these events is there.
fn exported(target: MemoryStream, settings: Settings, events: &[NewEvent], format: Format) -> Rig {
    let source = MemoryStream::new();
    now(source.create(1)).unwrap();
    append(&source, 0, &Position::Beginning, events);
    let rig = Rig::with(settings, source, target, Arc::new(MemoryClock::stepping()));
    let export = ExportRequest {
        format: Some(format),
        object_size: Some(400),
        part_size: Some(150),
        ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
    };
    rig.transfer("export", &Request::Export(export), 1_000_000).unwrap();
    rig
}

fn import(on_misfit: Option<OnMisfit>) -> ImportRequest {
    ImportRequest {
        on_misfit,
        ..ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap())
    }
}

fn work(places: &dyn Places) -> Arc<dyn BucketStore> {
    now(places.bucket(&places.work())).unwrap().0
}

/// The files of the import's misfits, by key.
fn files(work: &dyn BucketStore) -> Vec<(String, Bytes)> {
    let listed = now(work.list("imports/import/misfits/", None, 20_000)).unwrap();
    let read = |key: &str, size| now(work.get(key, None, 0, size)).unwrap();
    listed.into_iter().map(|file| (file.key.clone(), read(&file.key, file.size))).collect()
}

/// The events of those files, as an import of them brings them into a stream that holds all.
fn imported_again(files: &[(String, Bytes)]) -> Vec<NewEvent> {
    let rig = Rig::new(settings(), &[Vec::new()]);
    for (key, bytes) in files {
        let name = key.rsplit('/').next().unwrap();
        rig.bucket.put_foreign(&format!("export/{name}"), bytes.to_vec());
    }
    let request = ImportRequest { format: Some(SourceFormat::Jsonl), ..import(None) };
    rig.transfer("again", &Request::Import(request), 1_000_000).unwrap();
    rig.target.events(&shard(0)).into_iter().map(NewEvent::from).collect()
}

fn of_target(target: &MemoryStream) -> Vec<NewEvent> {
    target.events(&shard(0)).into_iter().map(NewEvent::from).collect()
}

#[test]
fn misfits_are_stored_counted_and_can_be_imported_again() {
    for format in [Format::Avro, Format::Jsonl] {
        for steps in [40, 100, 1_000_000] {
            let rig = exported(MemoryStream::new().narrow(LARGEST), settings(), &mixed(), format);
            rig.transfer("import", &Request::Import(import(Some(OnMisfit::Store))), steps).unwrap();
            let id: TransferId = "import".parse().unwrap();
            let report = now(describe(&rig.engine, &id)).unwrap();
            assert_eq!(report.state, State::CompletedWithMisfits);
            let (fitting, misfits): (Vec<_>, Vec<_>) = mixed().into_iter().partition(fits);
            assert_eq!(of_target(&rig.target), fitting);
            let told = report.misfits.unwrap();
            let reasons = [(MisfitReason::Size, 4), (MisfitReason::Headers, 3)].into();
            assert_eq!((told.misfits.events, told.misfits.reasons), (7, reasons));
            assert_eq!((report.events, report.progress), (7, Some(1.0)));
            assert!(told.folder.ends_with("imports/import/misfits/"), "{}", told.folder);
            let json = serde_json::to_value(now(describe(&rig.engine, &id)).unwrap()).unwrap();
            assert_eq!(json["misfits"]["reasons"]["headers"], 3);
            assert!(report.notes.iter().any(|note| note.starts_with("misfits: ")), "{:?}", report.notes);

            let work = work(&*rig.engine.places);
            let files = files(&*work);
            assert_eq!(imported_again(&files), misfits, "{format:?}, {steps} steps");
            let first = String::from_utf8(files[0].1.to_vec()).unwrap();
            for part in
                ["\"sequence\":\"0\"", "\"source\":\"export/data/shard=0/0000", "\"reason\":\"headers\"", "\"why\":"]
            {
                assert!(first.contains(part), "{part} is not in {first}");
            }
            let kept = now(kept_for_import(&rig.engine, &id)).unwrap();
            assert!(!kept.is_empty() && kept.iter().all(|object| !object.key.contains("misfits")), "{kept:?}");
            let root = now(work.head("imports/import/manifest.json")).unwrap().unwrap();
            let root = now(work.get("imports/import/manifest.json", None, 0, root.size)).unwrap();
            let root = ImportManifest::from_bytes(&root).unwrap();
            assert_eq!((root.state, root.counts.events, root.misfits.events), (State::CompletedWithMisfits, 7, 7));
            assert_eq!((root.shards[0].misfits.events, root.shards[0].misfit_files.count), (7, 7));

            let proof = now(verify(&rig.engine, &id, &mut |_| {})).unwrap();
            assert_eq!((proof.verdict, proof.misfits.events), (Verdict::Misfits, 7), "{:?}", proof.findings);
            assert!(
                proof.findings[0].starts_with("left out: 7 events (4 too large, 3 with headers)"),
                "{:?}",
                proof.findings
            );
        }
    }
}

#[test]
fn unless_it_is_asked_for_the_import_fails_and_says_how_to_go_on() {
    for asked in [None, Some(OnMisfit::Fail)] {
        let rig = exported(MemoryStream::new().narrow(LARGEST), settings(), &mixed()[1..5], Format::Avro);
        let failure = rig.transfer("import", &Request::Import(import(asked)), 1_000_000).unwrap_err();
        assert_eq!(failure.code, Code::EventTooLarge.to_string());
        for part in
            ["export/data/shard=0/", "(number 2 in the exported stream)", "--on-misfit store", "\"onMisfit\"", "Cancel"]
        {
            assert!(failure.message.contains(part), "{part} is not in {}", failure.message);
        }
        assert!(!failure.message.contains("xxx"), "no payload is quoted: {}", failure.message);
        assert_eq!(of_target(&rig.target).len(), 2, "all in front of it arrived");
        assert_eq!(files(&*work(&*rig.engine.places)).len(), 0);
    }
}

#[test]
fn foreign_files_have_misfits_too() {
    let rig = Rig::with(
        settings(),
        MemoryStream::new(),
        MemoryStream::new().narrow(LARGEST),
        Arc::new(MemoryClock::stepping()),
    );
    let lines = ["one", &"2".repeat(50), "", "four", &"5".repeat(41)];
    rig.bucket.put_foreign("export/a.log", lines.join("\n").into_bytes());
    let request = ImportRequest { format: Some(SourceFormat::Lines), ..import(Some(OnMisfit::Store)) };
    rig.transfer("import", &Request::Import(request), 60).unwrap();
    let payload = |event: NewEvent| String::from_utf8(event.payload.as_slice().to_vec()).unwrap();
    let held: Vec<_> = of_target(&rig.target).into_iter().map(payload).collect();
    assert_eq!(held, ["one", "", "four"]);
    let files = files(&*work(&*rig.engine.places));
    let again: Vec<_> = imported_again(&files).into_iter().map(payload).collect();
    assert_eq!(again, [lines[1], lines[4]]);
    assert!(
        files[0].1.starts_with(br#"{"shard":"0","sequence":"0""#)
            && files[1].1.starts_with(br#"{"shard":"0","sequence":"1""#)
    );
}

#[test]
fn gaps_win_over_misfits_and_both_are_told() {
    let source = MemoryStream::new();
    now(source.create(1)).unwrap();
    append(&source, 0, &Position::Beginning, &mixed());
    now(source.trim(&shard(0), &Position::After(sluice_transfer::Sequence::new(1)))).unwrap();
    let rig = Rig::with(settings(), source, MemoryStream::new().narrow(LARGEST), Arc::new(MemoryClock::stepping()));
    let export = ExportRequest {
        from: Some("0@0".parse().unwrap()),
        ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
    };
    rig.transfer("export", &Request::Export(export), 1_000_000).unwrap();
    rig.transfer("import", &Request::Import(import(Some(OnMisfit::Store))), 1_000_000).unwrap();
    let id: TransferId = "import".parse().unwrap();
    let report = now(describe(&rig.engine, &id)).unwrap();
    assert_eq!((report.state, report.gaps), (State::CompletedWithGaps, 1));
    assert_eq!(report.misfits.unwrap().misfits.events, 6);
    let proof = now(verify(&rig.engine, &id, &mut |_| {})).unwrap();
    assert_eq!(
        (proof.verdict, proof.misfits.events, proof.findings.len()),
        (Verdict::Gaps, 6, 2),
        "{:?}",
        proof.findings
    );
}

#[test]
fn a_file_that_is_gone_or_changed_refutes_the_import() {
    let rig = exported(MemoryStream::new().narrow(LARGEST), settings(), &mixed(), Format::Avro);
    let places = Arc::new(OwnWork { places: rig.engine.places.clone(), gone: AtomicBool::new(false) });
    let rig = Rig { engine: sluice_operations::Engine { places: places.clone(), ..rig.engine }, ..rig };
    rig.transfer("import", &Request::Import(import(Some(OnMisfit::Store))), 1_000_000).unwrap();
    places.gone.store(true, Ordering::Relaxed);
    let proof = now(verify(&rig.engine, &"import".parse().unwrap(), &mut |_| {})).unwrap();
    assert_eq!((proof.verdict, proof.misfits.events), (Verdict::Mismatch, 0));
    assert!(proof.findings[0].contains("holds 6 files where the 7 events"), "{:?}", proof.findings);
}

/// An import of the files would bring it twice.
#[test]
fn a_file_of_an_event_that_was_sent_refutes_the_import() {
    let rig = exported(MemoryStream::new().narrow(LARGEST), settings(), &mixed(), Format::Avro);
    rig.transfer("import", &Request::Import(import(Some(OnMisfit::Store))), 1_000_000).unwrap();
    let work = work(&*rig.engine.places);
    let (last, bytes) = files(&*work).pop().unwrap();
    let checksum = Checksum::of(&bytes);
    now(work.put(&last.replace(".jsonl", "9.jsonl"), bytes, checksum, &Metadata::new())).unwrap();
    let proof = now(verify(&rig.engine, &"import".parse().unwrap(), &mut |_| {})).unwrap();
    assert_eq!(proof.verdict, Verdict::Mismatch);
    assert!(proof.findings[0].contains("holds more than 7 files where the 7 events"), "{:?}", proof.findings);
}

/// Places whose work bucket may lose a file of a misfit.
struct OwnWork {
    places: Arc<dyn Places>,
    gone: AtomicBool,
}

struct Losing(Arc<dyn BucketStore>);

#[async_trait]
impl BucketLayer for Losing {
    fn inner(&self) -> &dyn BucketStore {
        &*self.0
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<sluice_ports::Listed>> {
        let mut listed = self.0.list(prefix, after, limit).await?;
        if after.is_none() {
            listed.remove(0);
        }
        Ok(listed)
    }
}

#[async_trait]
impl Places for OwnWork {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        self.places.stream(uri).await
    }

    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let (bucket, prefix) = self.places.bucket(uri).await?;
        let lost = self.gone.load(Ordering::Relaxed) && *uri == self.places.work();
        Ok((if lost { Arc::new(Layered(Losing(bucket))) } else { bucket }, prefix))
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.places.source(uri).await
    }

    fn work(&self) -> BucketUri {
        self.places.work()
    }
}

#[test]
fn more_than_the_limit_fails_for_good() {
    let most = usize::try_from(MISFITS).unwrap();
    let rig =
        Rig::with(settings(), MemoryStream::new(), MemoryStream::new().narrow(1), Arc::new(MemoryClock::stepping()));
    rig.bucket.put_foreign("export/a.log", "no\n".repeat(most + 1).into_bytes());
    let request = ImportRequest { format: Some(SourceFormat::Lines), ..import(Some(OnMisfit::Store)) };
    let failure = rig.transfer("import", &Request::Import(request), 1_000_000_000).unwrap_err();
    assert_eq!(failure.code, Code::TooManyMisfits.to_string());
    assert!(Code::TooManyMisfits.is_for_good());
    for part in ["export/a.log", "10000 misfits", "cancel this import"] {
        assert!(failure.message.contains(part), "{part} is not in {}", failure.message);
    }
    assert_eq!(files(&*work(&*rig.engine.places)).len(), most);
}

/// A stream that takes nothing.
struct Closed(MemoryStream);

#[async_trait]
impl StreamLayer for Closed {
    fn inner(&self) -> &dyn StreamStore {
        &self.0
    }

    fn as_stored(&self, _: NewEvent) -> Result<NewEvent> {
        Err(Error::new(ErrorKind::Invalid, "it is closed for today"))
    }
}

#[test]
fn a_stream_that_takes_no_event_at_all_has_no_misfits() {
    let rig = exported(MemoryStream::new(), settings(), &mixed(), Format::Avro);
    let target: Arc<dyn StreamStore> = Arc::new(Layered(Closed(rig.target.clone())));
    let (places, archive) = (rig.engine.places.clone(), Arc::new(rig.bucket.clone()));
    let places = Arc::new(OtherPlaces { places, archive, target: Some(target) });
    let rig = Rig { engine: sluice_operations::Engine { places, ..rig.engine }, ..rig };
    let failure = rig.transfer("import", &Request::Import(import(Some(OnMisfit::Store))), 1_000_000).unwrap_err();
    assert_eq!(failure.code, Code::Invalid.to_string());
    assert!(failure.message.contains("it is closed for today, nor any other event"), "{}", failure.message);
    assert_eq!(files(&*work(&*rig.engine.places)).len(), 0);
}
