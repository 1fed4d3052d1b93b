//! Imports of lists of objects.

use std::sync::Arc;

use proptest::prelude::*;
use sluice_kit::Rig;
use sluice_memory::{MemoryClock, MemoryStream, now};
use sluice_operations::{Runner, Settings, Wish, begin, call, describe};
use sluice_ports::{Clock, StreamAdmin};
use sluice_transfer::manifest::{Document, ListedObject, ObjectList};
use sluice_transfer::record::Failure;
use sluice_transfer::{Answer, Call, Course, ImportRequest, Kind, Pacing, Request, SourceFormat};

fn rig() -> Rig {
    let (source, target) = (MemoryStream::new(), MemoryStream::new());
    now(target.create(1)).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(MemoryClock::stepping());
    let settings = Settings { wind_down_millis: 0, plan_millis: 0, ..Settings::default() };
    Rig::with(settings, source, target, clock)
}

fn named(key: &str) -> ListedObject {
    ListedObject { key: key.to_owned(), etag: None, size: None, version: None, sequencer: None, time: None }
}

/// The list is what the places in memory take for the source, and its objects lie below it.
fn put(rig: &Rig, may_change: bool, objects: Vec<ListedObject>) {
    let list = ObjectList { bucket: "memory:archive".parse().unwrap(), may_change, objects };
    rig.bucket.put_foreign("export", list.to_bytes());
}

fn object(rig: &Rig, key: &str, text: &str) {
    rig.bucket.put_foreign(&format!("export/{key}"), text.to_owned());
}

fn request() -> Request {
    let all = ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap());
    Request::Import(ImportRequest { format: Some(SourceFormat::Lines), append: true, ..all })
}

fn payloads(rig: &Rig) -> Vec<String> {
    let text = |event: &sluice_transfer::Event| String::from_utf8(event.payload.as_slice().to_vec()).unwrap();
    rig.target.events(&"0".parse().unwrap()).iter().map(text).collect()
}

fn refused(rig: &Rig) -> Failure {
    rig.transfer("import", &request(), 1_000).unwrap_err()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn objects_arrive_in_the_order_of_their_list(order in proptest::collection::vec(0_usize..8, 1..30)) {
        let rig = rig();
        (0..8).for_each(|number| object(&rig, &number.to_string(), &format!("a{number}\nb{number}\n")));
        put(&rig, false, order.iter().map(|number| named(&number.to_string())).collect());
        rig.transfer("import", &request(), 1_000).unwrap();
        let expected: Vec<_> = order.iter().flat_map(|number| [format!("a{number}"), format!("b{number}")]).collect();
        prop_assert_eq!(payloads(&rig), expected);
    }
}

#[test]
fn an_object_is_the_one_that_is_meant() {
    let rig = rig();
    object(&rig, "a", "a\n");
    object(&rig, "b", "b\n");
    let gone = || named("gone");
    let sized = || ListedObject { size: Some(9), ..named("a") };
    let other = || ListedObject { etag: Some("other".to_owned()), ..named("a") };
    for (object, code) in [(gone(), "ObjectMissing"), (sized(), "ObjectChanged"), (other(), "ObjectChanged")] {
        put(&rig, false, vec![named("b"), object]);
        assert_eq!(refused(&rig).code, code);
    }
    put(&rig, true, vec![gone(), other()]);
    let nothing = refused(&rig);
    assert_eq!(nothing.code, "NothingToImport");
    assert!(nothing.message.contains("2 objects, all gone or replaced"), "{}", nothing.message);
    put(&rig, false, vec![named("x/data/shard=0/00000001-end.avro")]);
    assert!(refused(&rig).message.contains("belongs to an export"));
    put(&rig, false, Vec::new());
    assert_eq!(refused(&rig).code, "ManifestInvalid");
    // An etag is the same with quotes and without.
    let etag = now(sluice_ports::BucketStore::head(&rig.bucket, "export/a")).unwrap().unwrap().etag;
    let same = ListedObject { etag: Some(format!("\"{etag}\"")), size: Some(2), ..named("a") };
    put(&rig, true, vec![gone(), same, sized(), named("b")]);
    rig.transfer("import", &request(), 1_000).unwrap();
    assert_eq!(payloads(&rig), ["a", "b"]);
    let report = now(describe(&rig.engine, &"import".parse().unwrap())).unwrap();
    assert!(report.notes.iter().any(|note| note.starts_with("2 objects of export left out")), "{:?}", report.notes);
}

#[test]
fn a_plan_goes_on_within_a_list() {
    let rig = rig();
    let keys: Vec<String> = (0..600).map(|number| format!("{number:03}")).collect();
    for key in keys.iter().filter(|key| *key != "300") {
        object(&rig, key, &format!("{key}\n"));
    }
    put(&rig, true, keys.iter().map(|key| named(key)).collect());
    let (id, request) = ("import".parse().unwrap(), request());
    let deadline = Some(rig.engine.clock.now());
    let runner = Runner { execution: "test", alone: true, deadline };
    let begun = now(begin(&rig.engine, &id, Wish::Start(&request), runner)).unwrap();
    let (mut course, mut plans) = (Course::from(begun.call), 1);
    while course.call == Call::Plan {
        let answer = now(call(&rig.engine, Kind::Import, &course.call, &rig.order(&id, 0))).unwrap();
        assert!(!matches!(answer, Answer::Trouble(_)), "{answer:?}");
        course = course.after(answer, &Pacing::default());
        plans += 1;
    }
    assert!(plans >= 3, "{plans} invocations");
    rig.transfer("import", &request, 10_000).unwrap();
    let expected: Vec<_> = keys.into_iter().filter(|key| key != "300").collect();
    assert_eq!(payloads(&rig), expected);
}
