//! Rules and what lies beside them, as they are kept.

use sluice_transfer::record::Failure;
use sluice_transfer::rule::{Drain, EndedRun, On, Rule, RuleRecord, RuleRun, Takes, Waiting};
use sluice_transfer::{ImportRequest, Request};

use super::*;
use crate::rules::SeenRecord;

fn object() -> Waiting {
    Waiting {
        version: 1,
        time: now(),
        bucket: "incoming".to_owned(),
        key: "orders/2026-11-30/ü 1.jsonl".to_owned(),
        object_version: Some("L4kqtJlcpXroDTDmpUMLUo".to_owned()),
        etag: Some("d41d8cd98f00b204e9800998ecf8427e".to_owned()),
        sequencer: Some("0055AED6DCD90281E5".to_owned()),
        size: Some(1_024),
        is_manifest: false,
    }
}

fn rule() -> RuleRecord {
    let request = ImportRequest {
        format: Some(SourceFormat::Lines),
        append: true,
        ..ImportRequest::new("s3://incoming/orders/".parse().unwrap(), "kinesis:orders".parse().unwrap())
    };
    let on = On { bucket: "incoming".to_owned(), prefix: "orders/".to_owned(), suffix: ".jsonl".to_owned() };
    let list = ManifestRef { key: "rules/replay/run-000012.json".to_owned(), sha256: "ab".repeat(32) };
    RuleRecord {
        revision: 40,
        changed_at: now(),
        rule: Some(Rule { on: Some(on), starts: Request::Import(request), gather: 30 }),
        runs: 12,
        taken: 1_200,
        drain: Some(Drain { execution: "arn:e".to_owned(), began: now(), runs: 1, changes: 1_300 }),
        run: Some(RuleRun {
            id: "replay-000012".parse().unwrap(),
            takes: Takes::List { list, objects: 100 },
            failure: Some(Failure { code: "Denied".to_owned(), message: "a right is missing".to_owned() }),
            is_anothers: true,
        }),
        last: Some(EndedRun {
            id: "replay-000011".parse().unwrap(),
            state: State::Completed,
            seen_at: now(),
            objects: 99,
        }),
        ..RuleRecord::new("replay".parse().unwrap())
    }
}

#[test]
fn rules_are_read_and_written_as_ever() {
    let name = "replay".parse().unwrap();
    golden("rule", Key::Rule(&name), &rule());
    let root = Waiting { is_manifest: true, key: "orders/nightly/manifest.json".to_owned(), ..object() };
    let run = RuleRun { takes: Takes::Manifest(Box::new(root.clone())), failure: None, ..rule().run.unwrap() };
    golden("rule-manifest", Key::Rule(&name), &RuleRecord { run: Some(run), rule: None, ..rule() });
    golden("waiting", Key::Waiting(&name, &object()), &object());
    golden("waiting-manifest", Key::Waiting(&name, &root), &root);
    golden("seen", Key::Seen(&name, &object()), &SeenRecord { version: 1, expires_at: 1_800_000_000 });
}
