//! The suite of [`RuleStore`].

use std::future::Future;
use std::sync::Arc;

use sluice_ports::{Enqueued, RuleStore, Stored};
use sluice_transfer::record::{Failure, ManifestRef};
use sluice_transfer::rule::{Arrivals, Drain, EndedRun, On, Rule, RuleRecord, RuleRun, Takes, Waiting};
use sluice_transfer::{ExportRequest, ImportRequest, Request, RuleName, State, Timestamp};

type Store = Arc<dyn RuleStore>;

/// Runs the suite; `fresh` makes a store without any rule each time it is called.
///
/// # Panics
/// Where the store does something else than the port promises, naming what.
pub async fn run<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Store>,
{
    every_shape_of_a_rule_reads_back(&fresh().await).await;
    a_rule_moves_by_one_revision(&fresh().await).await;
    rules_are_listed_by_their_names(&fresh().await).await;
    an_object_waits_once(&fresh().await).await;
    an_inbox_is_in_order(&fresh().await).await;
    what_is_taken_stays_known(&fresh().await).await;
    many_objects_wait_and_are_taken(&fresh().await).await;
    counts_add_up(&fresh().await).await;
    a_change_is_not_released_over(&fresh().await).await;
    rules_do_not_mix(&fresh().await).await;
}

fn name(name: &str) -> RuleName {
    name.parse().expect("a rule's name")
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn object(millis: i64, key: &str) -> Waiting {
    Waiting {
        version: 1,
        time: at(millis),
        bucket: "incoming".to_owned(),
        key: key.to_owned(),
        object_version: None,
        etag: Some("abc".to_owned()),
        sequencer: Some(format!("{millis:016X}")),
        size: Some(7),
        is_manifest: false,
    }
}

fn record(named: &str) -> RuleRecord {
    RuleRecord { revision: 1, changed_at: at(0), ..RuleRecord::new(name(named)) }
}

/// Records of every shape.
fn shapes() -> Vec<RuleRecord> {
    let (stream, place) = ("kinesis:orders", "s3://incoming/orders/");
    let uri = |text: &str| text.parse().expect("a place");
    let import = Request::Import(ImportRequest::new(uri(place), stream.parse().expect("a stream")));
    let export = Request::Export(ExportRequest::new(stream.parse().expect("a stream"), uri(place)));
    let on = On { bucket: "incoming".to_owned(), prefix: "orders/".to_owned(), suffix: ".jsonl".to_owned() };
    let all = On { prefix: String::new(), suffix: String::new(), ..on.clone() };
    let list = ManifestRef { key: "rules/a/run-000002.json".to_owned(), sha256: "ab".repeat(32) };
    let run = |takes| RuleRun {
        id: "a-000002".parse().expect("an id"),
        takes,
        failure: Some(Failure { code: "Denied".to_owned(), message: "no".to_owned() }),
        is_anothers: false,
    };
    let rule = |on, starts, gather| Some(Rule { on, starts, gather });
    vec![
        record("bare"),
        RuleRecord { rule: rule(Some(on), import.clone(), 5), ..record("import") },
        RuleRecord {
            rule: rule(Some(all), import.clone(), 0),
            runs: 2,
            taken: 9,
            drain: Some(Drain { execution: "arn:e".to_owned(), began: at(1), runs: 1, changes: 4 }),
            run: Some(run(Takes::List { list, objects: 3 })),
            last: Some(EndedRun {
                id: "a-000001".parse().expect("an id"),
                state: State::CompletedWithMisfits,
                seen_at: at(2),
                objects: 9,
            }),
            ..record("busy")
        },
        RuleRecord { run: Some(run(Takes::Manifest(Box::new(object(1, "x/manifest.json"))))), ..record("manifest") },
        RuleRecord {
            rule: rule(None, export, 300),
            run: Some(RuleRun { failure: None, is_anothers: true, ..run(Takes::Nothing) }),
            ..record("export")
        },
    ]
}

async fn read(store: &Store, named: &RuleName) -> Option<RuleRecord> {
    store.rule(named).await.expect("reading a rule")
}

async fn write(store: &Store, record: &RuleRecord) -> Stored {
    store.update_rule(record).await.expect("writing a rule")
}

async fn put(store: &Store, named: &str, object: &Waiting) -> Enqueued {
    store.enqueue(&name(named), object, at(9_000_000)).await.expect("putting an object into an inbox")
}

async fn head(store: &Store, named: &str, limit: usize) -> Vec<Waiting> {
    store.head(&name(named), limit).await.expect("reading an inbox")
}

async fn every_shape_of_a_rule_reads_back(store: &Store) {
    for made in shapes() {
        assert_eq!(read(store, &made.name).await, None);
        assert_eq!(write(store, &made).await, Stored::Done);
        assert_eq!(read(store, &made.name).await.as_ref(), Some(&made), "a rule does not read back as it was made");
        // What was present and is absent again must not linger.
        let bare = RuleRecord { revision: 2, ..record(made.name.as_str()) };
        assert_eq!(write(store, &bare).await, Stored::Done);
        assert_eq!(read(store, &made.name).await, Some(bare), "something of a rule lingers");
    }
}

async fn a_rule_moves_by_one_revision(store: &Store) {
    let first = record("a");
    assert_eq!(write(store, &RuleRecord { revision: 2, ..first.clone() }).await, Stored::Mismatch, "nothing is there");
    assert_eq!(write(store, &first).await, Stored::Done);
    assert_eq!(write(store, &first).await, Stored::Done, "a write that repeats what is stored is done");
    let other = RuleRecord { runs: 7, ..first.clone() };
    assert_eq!(write(store, &other).await, Stored::Mismatch, "another of the same revision");
    assert_eq!(
        write(store, &RuleRecord { revision: 3, ..first.clone() }).await,
        Stored::Mismatch,
        "a revision is skipped"
    );
    assert_eq!(write(store, &RuleRecord { revision: 2, ..other.clone() }).await, Stored::Done);
    assert_eq!(write(store, &first).await, Stored::Mismatch, "an old one");
    assert_eq!(read(store, &first.name).await, Some(RuleRecord { revision: 2, ..other }));
}

async fn rules_are_listed_by_their_names(store: &Store) {
    assert_eq!(store.rules().await.expect("listing rules"), []);
    for named in ["b", "c", "a"] {
        write(store, &record(named)).await;
        put(store, named, &object(1, "x")).await;
    }
    let listed = store.rules().await.expect("listing rules");
    assert_eq!(listed, [record("a"), record("b"), record("c")], "all rules, and nothing else");
}

async fn an_object_waits_once(store: &Store) {
    let one = object(1, "x");
    assert_eq!(put(store, "a", &one).await, Enqueued::Now);
    assert_eq!(put(store, "a", &one).await, Enqueued::Before);
    // The same object, of which another event tells.
    let again = Waiting { object_version: Some("v1".to_owned()), ..object(5, "x") };
    assert_eq!(put(store, "a", &again).await, Enqueued::Now, "another version is another object");
    let later = Waiting { time: at(9), ..again.clone() };
    assert_eq!(put(store, "a", &later).await, Enqueued::Before, "of the same version");
    assert_eq!(head(store, "a", 10).await, [one, again]);
}

async fn an_inbox_is_in_order(store: &Store) {
    let order = [object(1, "b"), object(2, "a"), object(2, "a!b"), object(2, "a/b"), object(2, "ab"), object(10, "a")];
    for number in [3, 0, 5, 2, 4, 1] {
        put(store, "a", &order[number]).await;
    }
    assert_eq!(head(store, "a", 10).await, order, "by time, then by key");
    assert_eq!(head(store, "a", 2).await, order[..2]);
    assert_eq!(store.waiting(&name("a")).await.expect("counting an inbox"), 6);
}

async fn what_is_taken_stays_known(store: &Store) {
    let (one, two) = (object(1, "x"), object(2, "y"));
    put(store, "a", &one).await;
    put(store, "a", &two).await;
    for _ in 0..2 {
        store.take(&name("a"), std::slice::from_ref(&one)).await.expect("taking an object");
        assert_eq!(head(store, "a", 10).await, std::slice::from_ref(&two));
    }
    assert_eq!(put(store, "a", &one).await, Enqueued::Before, "one that was taken comes back");
    assert_eq!(head(store, "a", 10).await, [two]);
}

async fn many_objects_wait_and_are_taken(store: &Store) {
    let all: Vec<Waiting> = (0..60).map(|number| object(number, &format!("{number:03}{}", "ü".repeat(500)))).collect();
    for object in &all {
        assert_eq!(put(store, "a", object).await, Enqueued::Now);
    }
    assert_eq!(head(store, "a", 100).await, all);
    store.take(&name("a"), &all[..55]).await.expect("taking objects");
    assert_eq!(head(store, "a", 100).await, all[55..]);
}

async fn counts_add_up(store: &Store) {
    let counted = async || store.arrivals(&name("a")).await.expect("reading what was counted");
    assert_eq!(counted().await, Arrivals::default());
    let more = Arrivals { changes: 1, repeated: 2, ignored: 0, refused: 4 };
    for _ in 0..3 {
        store.count(&name("a"), more).await.expect("counting");
    }
    assert_eq!(counted().await, Arrivals { changes: 3, repeated: 6, ignored: 0, refused: 12 });
}

async fn a_change_is_not_released_over(store: &Store) {
    let held = RuleRecord { drain: shapes()[2].drain.clone(), ..record("a") };
    write(store, &held).await;
    let release = async |record: &RuleRecord, changes| store.release_rule(record, changes).await.expect("releasing");
    let free = RuleRecord { revision: 2, drain: None, ..held.clone() };
    assert_eq!(release(&free, 1).await, Stored::Mismatch, "nothing was counted yet");
    assert_eq!(
        release(&RuleRecord { revision: 3, ..free.clone() }, 0).await,
        Stored::Mismatch,
        "a revision is skipped"
    );
    store.count(&name("a"), Arrivals { changes: 1, ..Arrivals::default() }).await.expect("counting");
    assert_eq!(release(&free, 0).await, Stored::Mismatch, "something came");
    assert_eq!(read(store, &free.name).await.as_ref(), Some(&held));
    assert_eq!(release(&free, 1).await, Stored::Done);
    assert_eq!(release(&free, 1).await, Stored::Done, "a write that repeats what is stored is done");
    assert_eq!(read(store, &free.name).await.as_ref(), Some(&free));
    // Of a rule for which nothing ever came.
    let quiet = record("quiet");
    write(store, &quiet).await;
    assert_eq!(release(&RuleRecord { revision: 2, ..quiet }, 0).await, Stored::Done);
}

async fn rules_do_not_mix(store: &Store) {
    let one = object(1, "x");
    put(store, "a", &one).await;
    assert_eq!(put(store, "a.b", &one).await, Enqueued::Now, "each rule has an inbox of its own");
    store.take(&name("a"), std::slice::from_ref(&one)).await.expect("taking an object");
    store.count(&name("a"), Arrivals { changes: 1, ..Arrivals::default() }).await.expect("counting");
    assert_eq!(head(store, "a.b", 10).await, [one]);
    assert_eq!(store.arrivals(&name("a.b")).await.expect("reading what was counted"), Arrivals::default());
}
