//! Files and events that a transfer leaves out are reported, counted and recorded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sluice_kit::{BucketLayer, Layered, OtherPlaces, Rig, shard};
use sluice_memory::{MemoryBucket, now};
use sluice_operations::{
    Code, Engine, OperationError, Report, Settings, Settled, SliceOrder, SliceOutcome, Verdict, cancel, describe,
    export_slice, import_slice, pause, plan, settle, verify,
};
use sluice_ports::{BucketStore, Clock, Error, ErrorKind, Listed, NewEvent, Stored, StreamAdmin};
use sluice_transfer::manifest::{Document, ExportManifest, ImportManifest, SourceList};
use sluice_transfer::record::{Config, ManifestRef, Proof, TransferRecord};
use sluice_transfer::{
    Budget, Compression, Counts, ExportRequest, Format, ImportRequest, ObjectKeys, Position, PositionSpec, Reason,
    Request, SourceFormat, State, Timestamp, TransferId, Value, sha256_hex,
};

/// An event of that time, in milliseconds since a fixed one.
fn event(millis: i64, size: usize) -> NewEvent {
    let time = Timestamp::from_millis(1_700_000_000_000 + millis);
    NewEvent { time, key: Value::Absent, headers: Vec::new(), payload: Value::from(vec![b'x'; size]) }
}

fn time(millis: i64) -> PositionSpec {
    PositionSpec::Time(event(millis, 0).time)
}

fn export(from: Option<PositionSpec>, until: Option<PositionSpec>) -> ExportRequest {
    ExportRequest {
        stream: "memory:source".parse().unwrap(),
        to: "memory:archive".parse().unwrap(),
        format: Some(Format::Jsonl),
        compression: Some(Compression::Plain),
        series: None,
        from,
        until,
        object_size: None,
        part_size: None,
        deaggregate: false,
        read_share: None,
        read: None,
        rate: None,
    }
}

fn import() -> ImportRequest {
    ImportRequest {
        format: Some(SourceFormat::Lines),
        ..ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap())
    }
}

fn planned(rig: &Rig, id: &str, request: &Request) -> Result<(), OperationError> {
    now(plan(&rig.engine, &id.parse().unwrap(), request, "test")).map(drop)
}

fn report(rig: &Rig, id: &str) -> Report {
    now(describe(&rig.engine, &id.parse().unwrap())).unwrap()
}

fn payloads(rig: &Rig) -> Vec<String> {
    let events = rig.target.events(&shard(0));
    events.into_iter().map(|event| String::from_utf8(event.payload.as_slice().to_vec()).unwrap()).collect()
}

fn rig_of(events: Vec<NewEvent>) -> Rig {
    Rig::new(Settings { wind_down_millis: 0, ..Settings::default() }, &[events])
}

/// Puts an export into a folder of the one that is imported.
fn into_folder(rig: &Rig, id: &str) {
    for (key, bytes) in rig.bucket.read_all() {
        if key.starts_with(&format!("{id}/")) {
            rig.bucket.remove(&key);
            rig.bucket.put_foreign(&format!("export/{key}"), bytes);
        }
    }
}

#[test]
fn what_a_folder_holds_and_is_not_taken_is_in_report_list_and_manifest() {
    let rig = rig_of(Vec::new());
    for (key, bytes) in [
        ("export/a.log", "kept\n"),
        ("export/_SUCCESS", ""),
        ("export/.a.log.crc", "\0\u{1}"),
        ("export/_temporary/0/part", "x"),
        ("export/b.log.tmp", "half"),
        ("export/empty/", ""),
        ("export/day=1/", "also kept"),
        ("export//c\\d\u{1}", "kept too"),
        ("export/x/../y", "climbs"),
    ] {
        rig.bucket.put_foreign(key, bytes);
    }
    rig.bucket.put_no_object(Reason::Link, "export/current.log");
    rig.transfer("t", &Request::Import(import()), 1_000_000).unwrap();
    assert_eq!(payloads(&rig), ["kept too", "kept", "also kept"], "in the order of the keys' bytes");

    let told = report(&rig, "t").left_out;
    let counted = |reason| told.of(reason);
    let reasons =
        [Reason::Link, Reason::Hidden, Reason::Temporary, Reason::FolderMarker, Reason::Unreadable, Reason::NotUtf8];
    assert_eq!(reasons.map(counted), [1, 3, 1, 1, 1, 0]);
    assert_eq!(told.count(), 7);
    let json = serde_json::to_value(report(&rig, "t")).unwrap();
    assert_eq!(json["leftOut"]["link"]["first"][0], "export/current.log");

    let transfer = now(rig.engine.checkpoints.transfer(&"t".parse().unwrap())).unwrap().unwrap();
    let Config::Import(config) = &transfer.config else { panic!("an import") };
    let (work, _) = now(rig.engine.places.bucket(&config.work)).unwrap();
    let read = |key: &str| now(work.get(key, None, 0, u64::MAX)).unwrap();
    assert_eq!(SourceList::from_bytes(&read(&config.list)).unwrap().left_out, told);
    let manifest = ImportManifest::from_bytes(&read(&transfer.manifest.unwrap().key)).unwrap();
    assert_eq!(manifest.left_out, told);
}

#[test]
fn hidden_and_unfinished_files_are_taken_where_they_are_asked_for() {
    let rig = rig_of(Vec::new());
    for key in ["export/_a", "export/.b", "export/c.tmp"] {
        rig.bucket.put_foreign(key, key.to_owned());
    }
    let refused = planned(&rig, "t", &Request::Import(import())).unwrap_err();
    assert_eq!(refused.code, Code::NothingToImport);
    assert!(refused.message.contains("2 hidden files") && refused.message.contains("--all-files"), "{refused}");
    rig.transfer("t", &Request::Import(ImportRequest { all_files: true, ..import() }), 1_000_000).unwrap();
    assert_eq!(payloads(&rig), ["export/.b", "export/_a", "export/c.tmp"]);
    assert!(report(&rig, "t").left_out.is_empty());
}

#[test]
fn a_folder_of_nothing_but_links_says_so() {
    let rig = rig_of(Vec::new());
    rig.bucket.put_no_object(Reason::Link, "export/x.log");
    let refused = planned(&rig, "t", &Request::Import(import())).unwrap_err();
    assert_eq!(refused.code, Code::NothingToImport);
    assert!(refused.message.contains("1 symbolic link (export/x.log)"), "{refused}");
}

#[test]
fn an_export_and_other_files_in_one_folder_are_refused() {
    let rig = rig_of(vec![event(0, 3)]);
    rig.transfer("e", &Request::Export(export(None, None)), 1_000_000).unwrap();
    into_folder(&rig, "e");
    let whole = ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap());
    rig.bucket.put_foreign("export/logs/a.log", "l1\n");
    let refused = planned(&rig, "t", &Request::Import(whole.clone())).unwrap_err();
    assert_eq!(refused.code, Code::Invalid);
    assert!(refused.message.contains("name one of them") && refused.message.contains("export/logs/a.log"), "{refused}");
    assert!(rig.target.events(&shard(0)).is_empty() && now(describe(&rig.engine, &"t".parse().unwrap())).is_err());

    // Leftovers beside it make nothing unclear, and are counted; so is what somebody put into its own folder.
    assert!(rig.bucket.remove("export/logs/a.log"));
    rig.bucket.put_foreign("export/_SUCCESS", "");
    let strays = [
        "README.txt",
        "data/shard=0/copy of 00000000-00000000000000000000.jsonl",
        "data/shard=0/notes.txt",
        "manifest/shard=0/000001.json.bak",
    ];
    for name in strays {
        rig.bucket.put_foreign(&format!("export/e/{name}"), "mine");
    }
    rig.bucket.put_foreign("export/e/data/shard=0/.crc", "");
    rig.transfer("t", &Request::Import(whole), 1_000_000).unwrap();
    let told = report(&rig, "t");
    assert_eq!(told.events, 1);
    assert_eq!(
        (told.left_out.of(Reason::Hidden), told.left_out.of(Reason::NotOfExport), told.left_out.count()),
        (2, strays.len() as u64, 6)
    );
}

#[test]
fn bounds_that_contradict_each_other_are_refused_and_leave_nothing() {
    let rig = rig_of((0..10).map(|n| event(n, 3)).collect());
    let spec = |text: &str| Some(text.parse::<PositionSpec>().unwrap());
    for (from, until) in [(spec("0@8"), spec("0@3")), (spec("0@8"), Some(time(3))), (Some(time(8)), Some(time(3)))] {
        let refused = planned(&rig, "t", &Request::Export(export(from, until))).unwrap_err();
        assert_eq!(refused.code, Code::OutOfRange);
        assert!(refused.message.contains("nothing lies between"), "{refused}");
        assert!(now(describe(&rig.engine, &"t".parse().unwrap())).is_err(), "nothing is on record");
    }
    // An empty stretch is none to refuse: a night without events.
    rig.transfer("t", &Request::Export(export(Some(time(100)), Some(time(200)))), 1_000_000).unwrap();
    assert_eq!(report(&rig, "t").events, 0);
}

#[test]
fn a_bound_behind_the_end_is_said() {
    let rig = rig_of((0..3).map(|n| event(n, 3)).collect());
    let until = Some("0@30".parse().unwrap());
    rig.transfer("t", &Request::Export(export(None, until)), 1_000_000).unwrap();
    let told = report(&rig, "t");
    assert_eq!(told.events, 3);
    assert!(told.notes[0].contains("until lies behind the stream's end"), "{:?}", told.notes);
}

#[test]
fn a_number_behind_the_end_is_refused_as_a_beginning() {
    let rig = rig_of((0..3).map(|n| event(n, 3)).collect());
    for from in ["0@4", "cut:0@7000"] {
        let request = Request::Export(export(Some(from.parse().unwrap()), None));
        let refused = planned(&rig, "t", &request).unwrap_err();
        assert_eq!(refused.code, Code::OutOfRange);
        for part in ["shard 0", "the stream ends at 0@3", "made anew", "from earliest, under a new id"] {
            assert!(refused.message.contains(part), "{refused}");
        }
        assert!(now(describe(&rig.engine, &"t".parse().unwrap())).is_err(), "nothing is on record");
    }
    // The end itself: a night without events.
    rig.transfer("t", &Request::Export(export(Some("0@3".parse().unwrap()), None)), 1_000_000).unwrap();
    let told = report(&rig, "t");
    assert_eq!((told.events, told.cut.to_string().as_str(), told.notes.len()), (0, "cut:0@3", 0));
}

#[test]
fn a_beginning_that_is_later_than_all_events_is_said_and_ends_where_the_stream_does() {
    let rig = rig_of((0..3).map(|n| event(n, 3)).collect());
    let far: PositionSpec = "2035-01-01".parse().unwrap();
    rig.transfer("t", &Request::Export(export(Some(far), None)), 1_000_000).unwrap();
    let told = report(&rig, "t");
    assert_eq!((told.events, told.cut.to_string().as_str()), (0, "cut:0@3"));
    let expected = "from: 2035-01-01T00:00:00Z is later than all events of the stream: nothing is exported";
    assert_eq!(told.notes, [expected]);
    // Of an event that is there nothing is said, nor of a stream that has none.
    rig.transfer("u", &Request::Export(export(Some(time(2)), None)), 1_000_000).unwrap();
    assert_eq!((report(&rig, "u").events, report(&rig, "u").notes.len()), (1, 0));
    let empty = rig_of(Vec::new());
    empty.transfer("t", &Request::Export(export(Some(time(2)), None)), 1_000_000).unwrap();
    assert_eq!(report(&empty, "t").notes, [""; 0]);
}

#[test]
fn a_range_that_ends_where_the_stream_begins_is_said_to_be_empty() {
    let events = || (5..8).map(|n| event(n, 3)).collect();
    let trimmed = || {
        let rig = rig_of((0..8).map(|n| event(n, 3)).collect());
        now(rig.source.trim(&shard(0), &"0@5".parse::<PositionSpec>().map(before).unwrap())).unwrap();
        rig
    };
    // In front of the first event, and at it; by number also where events in front of it are gone.
    for (rig, until) in [
        (rig_of(events()), time(2)),
        (rig_of(events()), time(5)),
        (trimmed(), time(5)),
        (trimmed(), "0@5".parse().unwrap()),
        (trimmed(), "0@3".parse().unwrap()),
    ] {
        rig.transfer("t", &Request::Export(export(None, Some(until.clone()))), 1_000_000).unwrap();
        let told = report(&rig, "t");
        assert_eq!((told.events, told.notes.len()), (0, 1), "{until}: {:?}", told.notes);
        assert!(told.notes[0].contains("nothing is exported"), "{:?}", told.notes);
    }
    // One event is no empty range.
    let rig = trimmed();
    rig.transfer("t", &Request::Export(export(None, Some(time(6)))), 1_000_000).unwrap();
    assert_eq!((report(&rig, "t").events, report(&rig, "t").notes.len()), (1, 0));
}

/// The position of a bound that is a number.
fn before(spec: PositionSpec) -> Position {
    let PositionSpec::Sequence { sequence, .. } = spec else { panic!("a number: {spec}") };
    Position::before(&sequence)
}

#[test]
fn times_out_of_order_at_the_edges_are_counted() {
    // In the window of 10 to 20: 12, 15, and 18, which comes late. 5 comes late within it.
    let times = [1, 12, 5, 15, 25, 18, 3, 30];
    let rig = rig_of(times.map(|millis| event(millis, 3)).into());
    let request = export(Some(time(10)), Some(time(20)));
    rig.transfer("t", &Request::Export(request), 1_000_000).unwrap();
    let told = report(&rig, "t");
    assert_eq!(told.events, 3, "one stretch: 12, 5, 15");
    let notes = told.notes.join("\n");
    assert!(
        notes.contains("1 event behind the first one of") && notes.contains("is earlier, and is exported too"),
        "{notes}"
    );
    assert!(notes.contains("is not exported"), "{notes}");
    assert_eq!(told.notes.len(), 2, "{notes}");
    let root = rig.bucket.read(&format!("t/{}", ObjectKeys::root()));
    assert_eq!(ExportManifest::from_bytes(&root.unwrap()).unwrap().notes, told.notes);

    // Where times are in order there is nothing to say.
    let rig = rig_of((0..30).map(|millis| event(millis, 3)).collect());
    rig.transfer("t", &Request::Export(export(Some(time(10)), Some(time(20)))), 1_000_000).unwrap();
    assert_eq!(report(&rig, "t").notes, [""; 0]);
}

#[test]
fn an_import_of_a_range_says_which_objects_hold_late_events() {
    let times = [1, 12, 15, 25, 18, 30, 31];
    let rig = rig_of(times.map(|millis| event(millis, 100)).into());
    // Each event an object.
    let request = ExportRequest { object_size: Some(1), ..export(None, None) };
    rig.transfer("export", &Request::Export(request), 1_000_000).unwrap();
    let request = ImportRequest {
        from: Some(time(10)),
        until: Some(time(20)),
        ..ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap())
    };
    rig.transfer("t", &Request::Import(request), 1_000_000).unwrap();
    let told = report(&rig, "t");
    assert_eq!(told.events, 2);
    assert_eq!(told.notes.len(), 1);
    assert!(told.notes[0].contains("1 object behind the range"), "{:?}", told.notes);
}

#[test]
fn of_a_cancelled_export_no_more_has_moved_than_is_kept() {
    let mut rig = rig_of((0..30).map(|n| event(n, 1_000)).collect());
    rig.engine.settings.record_millis = 0;
    let request = ExportRequest { object_size: Some(5_000), part_size: Some(1_000), ..export(None, None) };
    planned(&rig, "t", &Request::Export(request)).unwrap();
    let id: TransferId = "t".parse().unwrap();
    // A part of the way, and within an object.
    let order = |events| SliceOrder {
        budget: Budget { events: Some(events), bytes: None, ..rig.order(&id, 1_000_000).budget },
        ..rig.order(&id, 1_000_000)
    };
    now(export_slice(&rig.engine, &order(13))).unwrap();
    let before = report(&rig, "t");
    now(cancel(&rig.engine, &id)).unwrap();
    assert_eq!(now(settle(&rig.engine, &rig.order(&id, 1_000_000), None)).unwrap(), Settled::Ended);
    let told = report(&rig, "t");
    let listed = rig.bucket.read(&format!("t/{}", ObjectKeys::cancelled()));
    let listed = ExportManifest::from_bytes(&listed.unwrap()).unwrap();
    assert!(before.events > listed.counts.events, "an upload was open: {} events", before.events);
    assert_eq!((told.state, told.events, told.bytes), (State::Cancelled, listed.counts.events, listed.counts.bytes));
    let transfer = now(rig.engine.checkpoints.transfer(&id)).unwrap().unwrap();
    assert_eq!(transfer.totals.moved, listed.counts, "also on its record");

    // Its proof is held to that: not if its totals are those of an earlier version, but if it lists less.
    let verdict = || now(verify(&rig.engine, &id, &mut |_| {})).unwrap().verdict;
    let rewrite = |change: &dyn Fn(&mut TransferRecord)| {
        let mut record = now(rig.engine.checkpoints.transfer(&id)).unwrap().unwrap();
        change(&mut record);
        record.revision += 1;
        assert_eq!(now(rig.engine.checkpoints.update_transfer(&record)).unwrap(), Stored::Done);
    };
    assert_eq!(verdict(), Verdict::Proved);
    rewrite(&|record| record.totals.moved = Counts::new(before.events, before.bytes));
    assert_eq!(verdict(), Verdict::Proved);
    let fewer = ExportManifest { shards: Vec::new(), counts: Counts::default(), objects: 0, ..listed.clone() };
    let bytes = fewer.to_bytes();
    rig.bucket.put_foreign("t/fewer.json", bytes.clone());
    let root = ManifestRef { key: "t/fewer.json".to_owned(), sha256: sha256_hex(&bytes) };
    rewrite(&|record| record.manifest = Some(root.clone()));
    assert_eq!(verdict(), Verdict::Mismatch);
    rewrite(&|record| record.manifest = None);
    assert_eq!(verdict(), Verdict::Unproved);
}

/// A bucket that may be read, but not listed.
struct Unlisted(MemoryBucket);

#[async_trait]
impl BucketLayer for Unlisted {
    fn inner(&self) -> &dyn BucketStore {
        &self.0
    }

    async fn list(&self, _: &str, _: Option<&str>, _: usize) -> sluice_ports::Result<Vec<Listed>> {
        Err(Error::new(ErrorKind::Denied, "s3:ListBucket is missing"))
    }
}

#[test]
fn one_object_is_imported_without_the_right_to_list_its_bucket() {
    let mut rig = rig_of(Vec::new());
    rig.bucket.put_foreign("export", "one\ntwo\n");
    rig.engine.places = Arc::new(OtherPlaces {
        places: rig.engine.places.clone(),
        archive: Arc::new(Layered(Unlisted(rig.bucket.clone()))),
        target: None,
    });
    rig.transfer("t", &Request::Import(import()), 1_000_000).unwrap();
    assert_eq!(payloads(&rig), ["one", "two"]);
    let notes = report(&rig, "t").notes;
    assert!(notes.len() == 1 && notes[0].contains("s3:ListBucket is missing"), "{notes:?}");
    // A folder cannot be imported so.
    rig.bucket.remove("export");
    rig.bucket.put_foreign("export/a", "one\n");
    let folder = Request::Import(ImportRequest { append: true, ..import() });
    assert_eq!(planned(&rig, "folder", &folder).unwrap_err().code, Code::Denied);
}

/// Time that passes by sleeping alone, and something that happens at an instant.
struct Scripted {
    millis: AtomicU64,
    at: u64,
    happens: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

#[async_trait]
impl Clock for Scripted {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).plus_millis(self.millis.load(Ordering::Relaxed))
    }

    async fn sleep(&self, millis: u64) {
        let before = self.millis.fetch_add(millis, Ordering::Relaxed);
        if before < self.at
            && before + millis >= self.at
            && let Some(happens) = self.happens.lock().unwrap().take()
        {
            happens();
        }
    }
}

/// A pause 1.5 s after the beginning of a slice that a rate would hold for minutes. Answers how long it took.
fn paused_under_a_rate(rig: &Rig, id: &TransferId, export: bool) -> u64 {
    let clock = Arc::new(Scripted { millis: AtomicU64::new(0), at: 1_500, happens: Mutex::new(None) });
    let engine = Engine { clock: clock.clone(), ..rig.engine.clone() };
    let (other, named) = (engine.clone(), id.clone());
    *clock.happens.lock().unwrap() = Some(Box::new(move || drop(now(pause(&other, &named)).unwrap())));
    let budget = Budget { events: None, bytes: None, deadline: clock.now().plus_millis(300_000) };
    let order =
        SliceOrder { id: id.clone(), lane: Vec::new(), slice: "slice".to_owned(), budget, proof: Proof::SoleOwner };
    let outcome = if export { now(export_slice(&engine, &order)) } else { now(import_slice(&engine, &order)) };
    assert_eq!(outcome.unwrap(), SliceOutcome::Stopped);
    assert_eq!(now(settle(&engine, &order, None)).unwrap(), Settled::Ended);
    assert_eq!(report(rig, id.as_str()).state, State::Paused);
    clock.millis.load(Ordering::Relaxed) - 1_500
}

#[test]
fn a_pause_under_a_rate_is_obeyed_within_two_seconds() {
    let settings = Settings { poll_millis: 500, ..Settings::default() };
    let rig = Rig::new(settings, &[(0..20).map(|n| event(n, 1_000_000)).collect()]);
    let id: TransferId = "e".parse().unwrap();
    planned(&rig, "e", &Request::Export(ExportRequest { rate: Some(40_000), ..export(None, None) })).unwrap();
    let took = paused_under_a_rate(&rig, &id, true);
    assert!(took <= 2_000, "the export took {took} ms");

    for key in rig.bucket.read_all().into_keys() {
        rig.bucket.remove(&key);
    }
    rig.bucket.put_foreign("export/a", vec![b'x'; 20_000_000]);
    let id: TransferId = "i".parse().unwrap();
    let request = ImportRequest { format: None, rate: Some(40_000), ..import() };
    planned(&rig, "i", &Request::Import(request)).unwrap();
    let took = paused_under_a_rate(&rig, &id, false);
    assert!(took <= 2_000, "the import took {took} ms");
}
