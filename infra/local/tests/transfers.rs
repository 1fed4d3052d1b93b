//! Export, import and verify, from end to end, and what stands in their way.
#![cfg(test)]

mod common;

use common::{Stage, dir};
use serde_json::{Value, json};

/// The fields that every report has, everywhere.
const FIELDS: [&str; 14] = [
    "id",
    "kind",
    "state",
    "events",
    "bytes",
    "objects",
    "slices",
    "progress",
    "etaSeconds",
    "lagSeconds",
    "cut",
    "manifest",
    "error",
    "gaps",
];

fn check_shape(report: &Value) {
    for field in FIELDS {
        assert!(report.get(field).is_some(), "{field} is missing in {report}");
    }
}

#[test]
fn avro_keeps_everything() {
    let stage = Stage::new();
    stage.with_input("append local:a --shards 2", b"one\n\ntwo\n").code(0);
    stage.with_input("append local:a --key k", b"three\n\xff\n").code(0);
    let report = stage.json("export local:a dir:out --id e", 0);
    check_shape(&report);
    assert_eq!(report["state"], "COMPLETED");
    assert_eq!((&report["kind"], &report["events"], &report["objects"]), (&json!("export"), &json!(5), &json!(2)));
    assert_eq!(
        (&report["progress"], &report["error"], &report["etaSeconds"]),
        (&json!(1.0), &Value::Null, &Value::Null)
    );
    assert_eq!(report["manifest"], json!(dir(&stage.path("out/e/manifest.json"))));
    assert_eq!(stage.open_uploads("out"), 0);
    let report = stage.json("import dir:out/e local:b --id i", 0);
    check_shape(&report);
    assert_eq!(
        (&report["kind"], &report["state"], &report["events"]),
        (&json!("import"), &json!("COMPLETED"), &json!(5))
    );
    assert_eq!(stage.events("b"), stage.events("a"));
    for id in ["e", "i"] {
        let told = stage.json(&format!("verify {id}"), 0);
        check_shape(&told);
        assert_eq!((&told["verdict"], &told["findings"]), (&json!("PROVED"), &json!([])));
        assert_eq!(told["seen"]["events"], 5);
    }
    let listed = stage.json("list", 0);
    let ids: Vec<_> = listed["transfers"].as_array().unwrap().iter().map(|report| &report["id"]).collect();
    assert_eq!(ids, ["i", "e"]);
    check_shape(&listed["transfers"][0]);
    assert_eq!(stage.json("status", 0), listed["transfers"][0]);
    assert_eq!(stage.json("status e --watch", 0), listed["transfers"][1]);
}

#[test]
fn raw_keeps_the_bytes_and_cuts_them_anywhere() {
    let stage = Stage::new();
    let bytes: Vec<u8> = (0..100_003_u32).map(|n| (n.wrapping_mul(n) >> 7).to_le_bytes()[0]).collect();
    std::fs::write(stage.path("f"), &bytes).unwrap();
    stage.ok("append local:a --file f --by bytes --event-bytes 777");
    stage.ok("export local:a dir:out --id e --format raw --object-size 10000 --part-size 999");
    let objects = stage.objects("out/e");
    assert_eq!(objects.len(), 11);
    let joined: Vec<u8> = objects.iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
    assert_eq!(joined, bytes);
    stage.ok("import dir:out/e/manifest.json local:b --event-size 777");
    assert_eq!(stage.payload("b"), bytes);
    let payloads =
        |name| stage.events(name).into_iter().map(|mut e| e.as_object_mut().unwrap().remove("payloadBase64"));
    assert!(payloads("a").eq(payloads("b")));
    stage.ok("verify e");
}

#[test]
fn every_format_comes_back_and_says_what_it_is() {
    let stage = Stage::new();
    let lines =
        (0..20_000).map(|n| format!("{{\"order\": {n}, \"state\": \"on its way\"}}\n")).collect::<Vec<_>>().concat();
    stage.with_input("append local:a --key eu", lines.as_bytes()).code(0);
    for (format, plain, others) in
        [("avro", "avro", ["zstd", "deflate"]), ("jsonl", "jsonl", ["zstd", "gzip"]), ("raw", "raw", ["zstd", "gzip"])]
    {
        let mut sizes = Vec::new();
        for compression in ["none", others[0], others[1]] {
            let id = format!("{format}-{compression}");
            stage.ok(&format!("export local:a dir:out --id {id} --format {format} --compression {compression}"));
            let root = std::fs::read(stage.path(&format!("out/{id}/manifest.json"))).unwrap();
            let root: Value = serde_json::from_slice(&root).unwrap();
            let version = if compression == "none" && format != "jsonl" { 1 } else { 2 };
            assert_eq!(root["version"], version, "an older Sluice must not take it for what it knows");
            assert_eq!(root["body"]["compression"].as_str().unwrap_or("none"), compression);
            let objects = stage.objects(&format!("out/{id}"));
            let ending = match compression {
                "zstd" if format != "avro" => format!("{plain}.zst"),
                "gzip" => format!("{plain}.gz"),
                _ => plain.to_owned(),
            };
            assert!(
                objects.iter().all(|object| object.to_string_lossy().ends_with(&format!(".{ending}"))),
                "{objects:?}"
            );
            sizes.push(objects.iter().map(|object| object.metadata().unwrap().len()).sum::<u64>());
            let cut = if format == "raw" { " --event-size 1000" } else { "" };
            stage.ok(&format!("import dir:out/{id} local:from-{id}{cut}"));
            if format == "raw" {
                assert_eq!(stage.payload(&format!("from-{id}")), stage.payload("a"));
            } else {
                assert_eq!(stage.events(&format!("from-{id}")), stage.events("a"));
            }
            stage.ok(&format!("verify {id}"));
        }
        assert!(sizes[1] * 5 < sizes[0] && sizes[2] * 5 < sizes[0], "{format}: {sizes:?}");
    }
    stage
        .run("export local:a dir:out --format raw --compression deflate")
        .fails(2, "raw has none, zstd, gzip, not deflate");
}

#[test]
fn an_empty_stream_goes_and_comes() {
    let stage = Stage::new();
    stage.with_input("append local:a", b"").code(0);
    for format in ["avro", "raw"] {
        let report = stage.json(&format!("export local:a dir:out --id {format} --format {format}"), 0);
        assert_eq!((&report["events"], &report["objects"], &report["progress"]), (&json!(0), &json!(0), &json!(1.0)));
        stage.ok(&format!("import dir:out/{format} local:to-{format}"));
        assert!(stage.events(&format!("to-{format}")).is_empty());
        stage.ok(&format!("verify {format}"));
    }
}

#[test]
fn bounds_are_resolved_once() {
    let stage = Stage::new();
    stage.with_input("append local:a --shards 2", b"0\n1\n2\n3\n4\n5\n").code(0);
    let report = stage.json("export local:a dir:out --id e --from 0@1 --until cut:0@3,1@2", 0);
    assert_eq!((&report["events"], &report["cut"]), (&json!(4), &json!("cut:0@3,1@2")));
    stage.ok("import dir:out/e local:b");
    assert_eq!(stage.payload("b"), b"2413");
    // The end is where it was, whatever came since, and the cut is where the next one starts.
    stage.with_input("append local:a", b"6\n").code(0);
    assert_eq!(stage.json("export local:a dir:out --id e --from 0@1 --until cut:0@3,1@2", 0)["events"], 4);
    stage.ok("export local:a dir:out --id f --from cut:0@3,1@2");
    stage.ok("import dir:out/f local:b --append");
    assert_eq!(stage.payload("b"), b"24".iter().chain(b"6").chain(b"135").copied().collect::<Vec<_>>());
    stage.run("export local:a dir:out --from 9@0").fails(1, "no shard '9'");
}

#[test]
fn the_same_request_continues_and_another_is_refused() {
    let stage = Stage::new();
    stage.stream("a", 10);
    let first = stage.json("export local:a dir:out --id e --object-size 1MiB", 0);
    let again = stage.json("export local:a dir:./out --id e --object-size 1048576 --slice-seconds 9", 0);
    assert_eq!(first, again);
    for line in [
        "export local:a dir:out --id e",
        "export local:a dir:elsewhere --id e --object-size 1MiB",
        "export local:a dir:out --id e --object-size 1MiB --format raw",
        "import dir:out local:b --id e",
    ] {
        let done = stage.run(&format!("{line} --output json")).fails(1, "the id 'e' is taken by another request");
        assert_eq!(done.json()["error"]["code"], "RequestDiffers");
    }
    assert!(!stage.path("elsewhere").exists());
    assert_eq!(stage.json("resume e", 0), first, "whoever was killed right behind its end need not know");
    stage.run("pause e").fails(1, "COMPLETED");
    stage.run("cancel e").fails(1, "COMPLETED");
    // Another one beside it.
    assert_ne!(stage.json("export local:a dir:out", 0)["id"], "e");
}

#[test]
fn a_request_means_the_same_from_another_folder() {
    let stage = Stage::new();
    stage.stream("a", 10);
    stage.ok("export local:a dir:out --id e");
    std::fs::create_dir(stage.path("sub")).unwrap();
    let mut elsewhere = stage.command("export local:a dir:../out --id e --home ../home");
    let output = elsewhere.current_dir(stage.path("sub")).output().unwrap();
    // `..` is not resolved, since it may lead behind a link; the path itself is the request.
    assert_eq!(output.status.code(), Some(1));
    let line = format!("export local:a {} --id e --home {}", dir(&stage.path("out")), stage.path("home").display());
    assert_eq!(stage.command(&line).current_dir(stage.path("sub")).output().unwrap().status.code(), Some(0));
}

#[test]
fn a_stream_of_the_home_is_made_whether_that_is_asked_for_or_not() {
    let stage = Stage::new();
    stage.stream("orders", 5);
    stage.json("export local:orders dir:out --id t", 0);
    for (target, option) in [("a", ""), ("b", "--create-target")] {
        let report = stage.json(&format!("import dir:out/t local:{target} {option}"), 0);
        assert_eq!(report["events"], 5, "{option}: {report}");
    }
}

#[test]
fn a_target_that_holds_events_is_left_alone_unless_asked() {
    let stage = Stage::new();
    stage.stream("a", 10);
    stage.ok("export local:a dir:out --id e");
    stage.stream("b", 3);
    let done = stage.run("import dir:out/e local:b --id i --output json").fails(1, "say append");
    assert_eq!(done.json()["error"]["code"], "StreamNotEmpty");
    assert_eq!(stage.events("b").len(), 3);
    stage.run("status i").fails(1, "there is no transfer 'i'");
    stage.ok("import dir:out/e local:b --id i --append");
    assert_eq!(stage.events("b").len(), 13);
    stage.ok("verify i");
}

#[test]
fn live_goes_on_at_the_cut_of_an_import() {
    let stage = Stage::new();
    stage.stream("orders", 5);
    stage.json("export local:orders dir:out --id t", 0);
    let report = stage.json("import dir:out/t local:copy --id i", 0);
    let cut = report["cut"].as_str().unwrap().to_owned();
    stage.stream("copy", 3);
    let later = stage.json(&format!("export local:copy dir:later --from {cut}"), 0);
    assert_eq!((&report["events"], &later["events"]), (&5.into(), &3.into()), "{cut}");
    let text = stage.run("status i").code(0).text();
    assert!(text.contains("live      goes on at that cut"), "{text}");
}

#[test]
fn any_files_become_events() {
    let stage = Stage::new();
    std::fs::create_dir_all(stage.path("in/sub")).unwrap();
    for (name, text) in [("in/a", "12345"), ("in/b", ""), ("in/sub/c", "67")] {
        std::fs::write(stage.path(name), text).unwrap();
    }
    let events = |name: &str| -> Vec<String> {
        stage.events(name).iter().map(|event| event["payload"].as_str().unwrap().to_owned()).collect()
    };
    stage.ok("import dir:in local:apart --event-size 3 --id apart");
    assert_eq!(events("apart"), ["123", "45", "67"]);
    stage.ok("import dir:in local:packed --event-size 3 --pack");
    assert_eq!(events("packed"), ["123", "456", "7"]);
    stage.ok("import dir:in/a local:one");
    assert_eq!(events("one"), ["12345"]);
    stage.ok("verify apart");
    stage.run("import dir:nothing local:x").fails(1, "dir:");
    std::fs::create_dir(stage.path("empty")).unwrap();
    stage.run("import dir:empty local:x").fails(1, "holds nothing");
    assert!(!stage.text_of_streams().contains("local:x"));
}

#[test]
fn several_manifests_are_listed() {
    let stage = Stage::new();
    stage.stream("a", 10);
    stage.ok("export local:a dir:out --id e1");
    stage.ok("export local:a dir:out --id e2");
    let done = stage.run("import dir:out local:b --output json").fails(1, "e1/manifest.json, e2/manifest.json");
    assert_eq!(done.json()["error"]["code"], "SeveralManifests");
    stage.ok("import dir:out/e2 local:b");
    assert_eq!(stage.events("b"), stage.events("a"));
    // A folder that is copied elsewhere is still an export.
    std::fs::rename(stage.path("out/e1"), stage.path("moved")).unwrap();
    stage.ok("import dir:moved local:c");
    assert_eq!(stage.events("c"), stage.events("a"));
}

#[test]
fn a_foreign_file_in_the_way_is_never_overwritten() {
    let stage = Stage::new();
    stage.stream("a", 10);
    let object = stage.path("out/e/data/shard=0/00000000-00000000000000000000.avro");
    std::fs::create_dir_all(object.parent().unwrap()).unwrap();
    std::fs::write(&object, "mine").unwrap();
    let done = stage.run("export local:a dir:out --id e --output json").fails(1, "00000000-00000000000000000000.avro");
    let report = done.json();
    check_shape(&report);
    assert_eq!((&report["state"], &report["error"]["code"]), (&json!("FAILED"), &json!("ForeignObject")));
    assert_eq!(std::fs::read(&object).unwrap(), b"mine");
    assert_eq!(stage.open_uploads("out"), 0);
    // Once it is out of the way the same command goes on.
    std::fs::remove_file(&object).unwrap();
    stage.ok("export local:a dir:out --id e");
    stage.ok("verify e");
    // And so for a manifest.
    std::fs::create_dir_all(stage.path("out/f")).unwrap();
    std::fs::write(stage.path("out/f/manifest.json"), "mine").unwrap();
    stage.run("export local:a dir:out --id f").fails(1, "manifest.json");
    assert_eq!(std::fs::read(stage.path("out/f/manifest.json")).unwrap(), b"mine");
}

#[test]
fn a_bucket_that_cannot_be_one_is_refused() {
    let stage = Stage::new();
    stage.stream("a", 10);
    std::fs::write(stage.path("file"), "x").unwrap();
    stage.run("export local:a dir:file --id e").fails(1, "file");
    stage.run("export local:a dir:file/below --id e").fails(1, "file");
    stage.run("status e").fails(1, "there is no transfer 'e'");
}

impl Stage {
    fn text_of_streams(&self) -> String {
        self.ok("streams").text()
    }
}

#[test]
fn shards_keep_their_names_and_take_turns() {
    let stage = Stage::new();
    // More shards than are at work at once, each of more bytes than a slice may move.
    let input = (0..4_000).map(|event| format!("{event:0500}\n")).collect::<Vec<_>>().concat();
    stage.with_input("append local:a --shards 40", input.as_bytes()).code(0);
    stage.with_input("append local:b --shards 40", b"").code(0);
    // A slice reaches a few of the shards only.
    let slices = "--slice-bytes 16KiB --part-size 2KiB --object-size 16KiB";
    let report = stage.json(&format!("export local:a dir:out --id e {slices}"), 0);
    assert!(report["state"] == "COMPLETED" && report["slices"].as_u64() > Some(1), "{report}");
    assert_eq!(stage.json("import dir:out/e local:b --slice-bytes 16KiB", 0)["state"], "COMPLETED");
    // Sequence numbers and shards among them.
    assert_eq!(stage.events("a"), stage.events("b"));
}
