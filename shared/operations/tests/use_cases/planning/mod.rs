//! An import's plan that goes on over invocations: it finds the same as in one go, whatever happens in between.

mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use sluice_kit::{BucketLayer, Layered, Rig, append, shard};
use sluice_memory::{MemoryBucket, now};
use sluice_operations::{Code, Settings, Wish, cancel, describe, kept_for_import, pause, resume, settle};
use sluice_ports::{BucketStore, Listed, NewEvent, Result, StreamAdmin, StreamReader};
use sluice_transfer::record::Config;
use sluice_transfer::{
    Call, Cut, ExportRequest, Format, ImportRequest, Position, PositionSpec, Request, Sequence, Settled, SourceFormat,
    State, Timestamp, Value, Wanted,
};

use self::stage::{List, Stage, import};

/// A folder of files, some of which are left out.
fn files(number: usize) -> MemoryBucket {
    let bucket = Stage::bucket();
    for n in 0..number {
        bucket.put_foreign(&format!("in/{n:07}.txt"), format!("line {n}\n"));
    }
    for n in (0..number).step_by(700) {
        bucket.put_foreign(&format!("in/{n:07}.tmp"), "not done");
        bucket.put_foreign(&format!("in/_{n:07}"), "hidden");
    }
    bucket
}

fn lines() -> Request {
    Request::Import(ImportRequest { format: Some(SourceFormat::Lines), ..import("in/") })
}

/// An export of three shards with many objects.
fn exported(format: Format) -> MemoryBucket {
    let event = |n: u64| NewEvent {
        time: Timestamp::from_millis(1_700_000_000_000 + i64::try_from(n).unwrap() * 1_000),
        key: Value::Absent,
        headers: Vec::new(),
        payload: Value::from(format!("event {n}").into_bytes()),
    };
    let rig = Rig::new(Settings::default(), &[Vec::new(), Vec::new(), Vec::new()]);
    for (number, events) in [(0, 0..61), (1, 0..0), (2, 7..30)] {
        let events: Vec<_> = events.map(event).collect();
        if !events.is_empty() {
            append(&rig.source, number, &Position::Beginning, &events);
        }
    }
    let request = Request::Export(ExportRequest {
        format: Some(format),
        object_size: Some(24),
        part_size: Some(24),
        ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
    });
    rig.transfer("export", &request, 1_000_000).unwrap();
    rig.bucket
}

/// Plans that leave off everywhere: of files, of exports, of a range by numbers and one by times.
fn plans() -> Vec<(&'static str, MemoryBucket, Request)> {
    let of = |request| Request::Import(request);
    let at = |n: u64| Position::before(&Sequence::new(n));
    let cut = |n| PositionSpec::Cut(Cut([0, 1, 2].map(|number| (shard(number), at(n))).into()));
    let range = ImportRequest { from: Some(cut(5)), until: Some(cut(40)), ..import("export/") };
    let from = Some("2023-11-14T22:13:25Z".parse().unwrap());
    let by_time = ImportRequest { from, pace: Some("original".parse().unwrap()), ..import("export/manifest.json") };
    let beside = exported(Format::Raw);
    for n in 0..1_100 {
        beside.put_foreign(&format!("export/other/{n:04}"), "not of the export");
    }
    vec![
        ("files", files(3_210), lines()),
        ("a folder with a manifest", beside, of(import("export/"))),
        ("a range", exported(Format::Avro), of(range)),
        ("a rhythm from a time on", exported(Format::Avro), of(by_time)),
    ]
}

fn in_one_go(bucket: &MemoryBucket, request: &Request) -> (List, Config) {
    let stage = Stage::new(Arc::new(bucket.clone()));
    assert_eq!(stage.plan(request, 1_000_000), (Call::Slice, 1));
    (stage.list(), stage.record().unwrap().config)
}

/// What a plan resolved, without what depends on when it was made.
fn timeless(config: Config) -> Config {
    let Config::Import(config) = config else { panic!("an import") };
    let list = config.list.rsplit_once('/').unwrap().1.to_owned();
    Config::Import(sluice_transfer::record::ImportConfig { time: Timestamp::default(), list, ..config })
}

#[test]
fn many_invocations_list_what_one_lists() {
    for (what, bucket, request) in plans() {
        let (list, config) = in_one_go(&bucket, &request);
        let stage = Stage::new(Arc::new(bucket));
        let (call, invocations) = stage.plan(&request, 1);
        assert_eq!((call, invocations >= 4), (Call::Slice, true), "{what}: {invocations} invocations");
        assert!(stage.list() == list, "{what}: another list");
        let record = stage.record().unwrap();
        assert_eq!(timeless(record.config.clone()), timeless(config), "{what}");
        let before = in_one_go_record(&request, what);
        assert_eq!((&record.left_out, record.version), (&before.0, before.1), "{what}");
        assert!(!record.shards.is_empty() && record.state == State::Transferring, "{what}: {record:?}");
        println!("{what}: {invocations} invocations, {} documents", list.len());
    }
}

/// What is left out, and the record's version, of a plan in one go.
fn in_one_go_record(request: &Request, what: &str) -> (sluice_transfer::LeftOut, u32) {
    let (_, bucket, _) = plans().into_iter().find(|(name, ..)| *name == what).unwrap();
    let stage = Stage::new(Arc::new(bucket));
    stage.plan(request, 1_000_000);
    let record = stage.record().unwrap();
    (record.left_out, record.version)
}

#[test]
fn a_death_at_any_write_loses_no_more_than_came_since_the_one_before() {
    for (what, bucket, request) in plans() {
        let (list, _) = in_one_go(&bucket, &request);
        for happens in [false, true] {
            let mut writes = 0;
            loop {
                let stage = Stage::new(Arc::new(bucket.clone()));
                *stage.fuse.left.lock().unwrap() = Some(writes);
                *stage.fuse.happens.lock().unwrap() = happens;
                let (call, _) = stage.plan(&request, 1);
                assert_eq!(call, Call::Slice, "{what}, write {writes}, happens: {happens}");
                assert!(stage.list() == list, "{what}, write {writes}, happens: {happens}: another list");
                // The fuse is past its end only if it has blown.
                if stage.fuse.left.lock().unwrap().is_some_and(|left| left < u64::MAX / 2) {
                    break;
                }
                writes += if what == "files" { 1 } else { 7 };
            }
            println!("{what}: {writes} writes");
            assert!(writes >= 10, "{what}: {writes} writes");
        }
    }
}

#[test]
fn a_source_that_grows_meanwhile_is_listed_behind_the_last_key() {
    let bucket = files(3_000);
    let stage = Stage::new(Arc::new(bucket.clone()));
    let request = lines();
    assert_eq!(stage.begin(Wish::Start(&request), "a", 1).unwrap().call, Call::Plan);
    // The search for a manifest is through; the listing itself leaves off behind its first page.
    while stage.record().unwrap().planning.unwrap().sources == 0 {
        assert_eq!(stage.go_on(1), Call::Plan);
    }
    let etag = now(bucket.head("in/0000005.txt")).unwrap().unwrap().etag;
    for key in ["in/0000000a.txt", "in/9999999.txt"] {
        bucket.put_foreign(key, "new\n");
    }
    bucket.mutate("in/0000005.txt", |bytes| bytes.extend(b"more\n"));
    while stage.go_on(1) == Call::Plan {}
    let text: Vec<u8> = stage.list().into_values().flatten().collect();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("in/9999999.txt") && !text.contains("in/0000000a.txt"), "only what came behind is listed");
    assert!(text.contains(&etag), "what was seen stays pinned as it was");
}

/// A plan that died wrote a segment that no record names, and then the source changed.
#[test]
fn what_a_dead_plan_wrote_otherwise_is_in_no_ones_way() {
    let (request, bucket) = (lines(), files(1_700));
    let mut conflicts = 0;
    for writes in 0..8 {
        let stage = Stage::new(Arc::new(bucket.clone()));
        *stage.fuse.left.lock().unwrap() = Some(writes);
        *stage.fuse.happens.lock().unwrap() = true;
        let mut course = Call::Plan;
        while course == Call::Plan {
            course = if let Ok(begun) = stage.begin(Wish::Start(&request), "a", 1) {
                begun.call
            } else {
                for n in [5, 999, 1_003, 1_600] {
                    bucket.mutate(&format!("in/{n:07}.txt"), |bytes| bytes.extend(b"more\n"));
                }
                Call::Plan
            };
        }
        assert_eq!(course, Call::Slice, "after {writes} writes");
        conflicts += stage.list().keys().filter(|key| key.matches('-').count() > 0).count();
    }
    assert!(conflicts > 0, "no plan found what another one wrote");
}

#[test]
fn another_request_is_refused_and_another_execution_only_looks() {
    let stage = Stage::new(Arc::new(files(3_000)));
    let request = lines();
    assert_eq!(stage.begin(Wish::Start(&request), "a", 1).unwrap().call, Call::Plan);
    let other = Request::Import(ImportRequest { append: true, ..import("in/") });
    let refused = stage.begin(Wish::Start(&other), "b", 1).unwrap_err();
    assert_eq!(refused.code, Code::RequestDiffers);
    let before = stage.record().unwrap();
    let begun = stage.begin(Wish::Start(&request), "b", 1).unwrap();
    assert_eq!((begun.call, begun.before), (Call::End, true), "a plans it");
    assert_eq!(stage.record().unwrap(), before);
    let begun = stage.begin(Wish::Resume, "b", 1).unwrap();
    assert_eq!((begun.call, begun.transfer.execution.as_str()), (Call::Plan, "b"), "b takes over");
    assert!(begun.transfer.planning != before.planning, "and goes on");
    // An invocation of a's that comes late finds another record than it wrote, and goes on from that.
    assert_eq!(stage.plan(&request, 1).0, Call::End);
    while stage.go_on(1) == Call::Plan {}
    assert_eq!(stage.record().unwrap().state, State::Transferring);
}

#[test]
fn a_plan_that_is_refused_on_its_way_makes_room_for_another_request() {
    let bucket = files(3_000);
    bucket.put_foreign("in/0000001.txt", vec![0_u8; 20]);
    let stage = Stage::new(Arc::new(bucket.clone()));
    let request = lines();
    let refused = loop {
        match stage.begin(Wish::Start(&request), "a", 1) {
            Ok(begun) => assert_eq!(begun.call, Call::Plan),
            Err(error) => break error,
        }
    };
    assert_eq!(refused.code, Code::ObjectUnreadable, "{refused:?}");
    let record = stage.record().unwrap();
    assert_eq!(record.failure.as_ref(), Some(&refused.to_failure()));
    assert!(record.is_refused() && record.planning.as_ref().unwrap().found.is_none(), "{record:?}");
    let report = now(describe(&stage.engine, &stage.id)).unwrap();
    assert_eq!((report.state, report.error), (State::Preparing, Some(refused.to_failure())));
    // The same one begins anew, and sees what was mended; in another execution too, since none plans it.
    bucket.put_foreign("in/0000001.txt", "mended\n");
    let mended = Stage { id: stage.id.clone(), ..Stage::new(Arc::new(bucket.clone())) };
    mended.plan(&request, 1_000_000);
    assert_eq!(stage.begin(Wish::Start(&request), "b", 1_000_000).unwrap().call, Call::Slice);
    assert!(stage.list() == mended.list(), "nothing of before is in it");

    bucket.put_foreign("in/0000001.txt", vec![0_u8; 20]);
    let stage = Stage::new(Arc::new(bucket));
    while stage.begin(Wish::Start(&request), "a", 1).is_ok() {}
    let raw = Request::Import(ImportRequest { format: Some(SourceFormat::Raw), ..import("in/") });
    assert_eq!(stage.begin(Wish::Start(&raw), "c", 1_000_000).unwrap().call, Call::Slice);
    let record = stage.record().unwrap();
    assert_eq!((record.request, record.execution.as_str(), record.failure), (raw, "c", None));
}

#[test]
fn a_cancel_meanwhile_leaves_nothing_that_looks_alive() {
    let stage = Stage::new(Arc::new(files(3_000)));
    let request = lines();
    assert_eq!(stage.begin(Wish::Start(&request), "a", 1).unwrap().call, Call::Plan);
    while stage.record().unwrap().planning.unwrap().sources < 1_000 {
        assert_eq!(stage.go_on(1), Call::Plan);
    }
    let report = now(describe(&stage.engine, &stage.id)).unwrap();
    let found = report.planning.unwrap();
    assert!((report.state, found.sources >= 900) == (State::Preparing, true), "{report:?}");
    now(cancel(&stage.engine, &stage.id)).unwrap();
    assert_eq!(stage.go_on(1), Call::Settle(None));
    assert_eq!(now(settle(&stage.engine, &stage.order(1_000), None)).unwrap(), Settled::Ended);
    let record = stage.record().unwrap();
    assert_eq!((record.state, record.planning, record.totals.objects), (State::Cancelled, None, 0));
    assert_eq!(now(describe(&stage.engine, &stage.id)).unwrap().planning, None);
    assert!(now(stage.target.describe()).is_err(), "the target was not made");
    // Segments and progress count as the import's own, and can be removed with it.
    let kept: Vec<_> = now(kept_for_import(&stage.engine, &stage.id)).unwrap().into_iter().map(|one| one.key).collect();
    assert_eq!(kept, stage.work.read_all().into_keys().collect::<Vec<_>>());
    assert!(kept.iter().any(|key| key.contains("/0001/000001.json")), "{kept:?}");
}

#[test]
fn a_pause_meanwhile_keeps_what_was_found() {
    let (list, _) = in_one_go(&files(3_000), &lines());
    let stage = Stage::new(Arc::new(files(3_000)));
    let request = lines();
    while stage.record().is_none_or(|record| record.planning.unwrap().sources < 1_000) {
        assert_eq!(stage.begin(Wish::Start(&request), "a", 1).unwrap().call, Call::Plan);
    }
    now(pause(&stage.engine, &stage.id)).unwrap();
    let paused = stage.record().unwrap();
    assert_eq!(stage.go_on(1), Call::Settle(None));
    assert_eq!(now(settle(&stage.engine, &stage.order(1_000), None)).unwrap(), Settled::Ended);
    assert_eq!(stage.record().unwrap().planning, paused.planning);
    assert_eq!(
        stage.begin(Wish::Start(&request), "b", 1).unwrap().call,
        Call::Settle(None),
        "a person wants it to rest"
    );
    now(resume(&stage.engine, &stage.id, "a")).unwrap();
    assert_eq!(stage.record().unwrap().wanted, Wanted::Running);
    while stage.go_on(1) == Call::Plan {}
    assert!(stage.list() == list);
}

/// Small files without end, which are held nowhere.
struct Endless {
    inner: MemoryBucket,
    files: usize,
    most: AtomicU64,
}

#[async_trait]
impl BucketLayer for Endless {
    fn inner(&self) -> &dyn BucketStore {
        &self.inner
    }

    async fn list(&self, _: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        let next = after.map_or(0, |key| key[3..12].parse::<usize>().unwrap() + 1);
        self.most.fetch_max(limit as u64, Ordering::Relaxed);
        let file = |n: usize| Listed { key: format!("in/{n:09}"), size: 4, etag: format!("etag-{n}") };
        Ok((next..self.files.min(next + limit)).map(file).collect())
    }

    async fn get(&self, _: &str, _: Option<&str>, offset: u64, len: u64) -> Result<Bytes> {
        let end = (offset + len).min(4);
        Ok(Bytes::from_static(b"abc\n").slice(usize::try_from(offset).unwrap()..usize::try_from(end).unwrap()))
    }
}

/// All that a plan carries from one invocation to the next is in the document of its progress. `SLUICE_SOURCES` is
/// another number of sources, to measure a plan.
#[test]
fn a_plan_of_100_000_sources_carries_their_segments_and_not_them() {
    let files = std::env::var("SLUICE_SOURCES").map_or(100_000, |files| files.parse().unwrap());
    let bucket = Arc::new(Layered(Endless { inner: Stage::bucket(), files, most: AtomicU64::new(0) }));
    let stage = Stage::new(bucket.clone());
    let (call, invocations) = stage.plan(&lines(), 40);
    assert_eq!(call, Call::Slice);
    assert!(invocations >= 5, "{invocations} invocations");
    let documents = stage.work.read_all();
    let size = |kind: &str| documents.iter().filter(|(key, _)| key.contains(kind)).map(|(_, bytes)| bytes.len()).max();
    let (progress, segment) = (size("/progress-").unwrap(), size("/000001.json").unwrap());
    println!("{invocations} invocations, progress of {progress} bytes, segments of {segment}");
    assert!(progress <= files / 500 * 160 + segment, "{progress} bytes of progress");
    assert!(bucket.0.most.load(Ordering::Relaxed) <= 1_000);
    let listed = now(describe(&stage.engine, &stage.id)).unwrap();
    assert_eq!((listed.state, listed.planning), (State::Transferring, None));
    let segments = documents.keys().filter(|key| key.contains("/0001/")).count();
    assert_eq!(segments, files / 500);
}

/// Once in front of the listing, so that what is wrong with it is said at once, and once behind the reservation, since
/// only then nobody else moves its end.
#[test]
fn a_plan_describes_its_target_once_and_once_more_when_it_holds_it() {
    let described = |millis| {
        let stage = Stage::new(Arc::new(files(3_000)));
        now(stage.target.create(1)).unwrap();
        let (call, invocations) = stage.plan(&lines(), millis);
        assert_eq!(call, Call::Slice);
        (stage.target.0.times.load(Ordering::Relaxed), invocations > 1)
    };
    assert_eq!(described(1_000_000), (2, false));
    // The one of the first invocation is too old when all sources are found.
    assert_eq!(described(1), (3, true));
}
