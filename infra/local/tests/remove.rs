//! Removal: records, objects, streams, and the disk space of trimmed events.
#![cfg(test)]

mod common;

use common::{Stage, ended};
use serde_json::json;

/// An export of several objects, with indexes, segments and a manifest.
fn exported() -> Stage {
    let stage = Stage::new();
    stage.stream("a", 300);
    stage.ok("export local:a dir:out --id e --compression none --object-size 50000 --part-size 10000");
    stage
}

#[test]
fn a_record_goes_and_its_objects_stay() {
    let stage = exported();
    let before = stage.files("out");
    assert!(stage.ok("remove e").text().contains("its objects stay"));
    assert_eq!(stage.files("out"), before);
    stage.run("status e").fails(1, "there is no transfer 'e'");
    stage.run("remove e").fails(1, "there is no transfer 'e'");
    stage.ok("import dir:out/e local:b --id i");
    assert_eq!(stage.events("b"), stage.events("a"));
    // An import's own lists go with its record.
    assert!(!stage.files("home/work").is_empty());
    stage.ok("remove i --yes");
    assert!(stage.files("home/work").is_empty());
    assert_eq!(stage.events("b"), stage.events("a"));
    stage.run("remove i --yes").fails(1, "there is no transfer 'i'");
}

#[test]
fn what_its_manifest_names_goes_with_it_and_nothing_else() {
    let stage = exported();
    stage.ok("export local:a dir:out --id other");
    let others = stage.files("out/other");
    std::fs::write(stage.path("out/e/notes"), "mine").unwrap();
    let changed = stage.objects("out/e")[1].clone();
    std::fs::write(&changed, "edited").unwrap();
    // Nobody is there to be asked.
    stage.run("remove e --objects").fails(2, "say --yes");
    assert_eq!(stage.json("status e", 0)["state"], "COMPLETED");
    let done = stage.run("remove e --objects --yes --output json").code(0);
    assert!(
        done.err.contains("2 others in its folder stay") && done.err.contains("out/e/notes")
            || done.err.contains("  e/notes"),
        "{}",
        done.err
    );
    assert_eq!((&done.json()["removed"], &done.json()["othersLeft"]), (&json!("e"), &json!(2)));
    assert_eq!(stage.files("out/e"), [changed, stage.path("out/e/notes")]);
    assert_eq!(stage.files("out/other"), others);
    stage.ok("verify other");
    // Metadata of removed objects are gone as well; those of the other export and of the edited file stay.
    let kept = std::fs::read_dir(stage.path("out/.sluice/objects")).unwrap().count();
    assert_eq!(kept, others.len() + 1);
}

#[test]
fn a_removal_that_was_cut_off_goes_on() {
    let stage = exported();
    // As far as the segments, and one of them.
    for path in stage.objects("out/e") {
        std::fs::remove_file(path).unwrap();
    }
    std::fs::remove_file(stage.path("out/e/manifest/shard=0/000001.json")).unwrap();
    stage.ok("remove e --objects --yes");
    assert!(
        stage.files("out/e").iter().all(|path| path.to_string_lossy().contains("/index/")),
        "{:?}",
        stage.files("out/e")
    );
    let stage = exported();
    std::fs::remove_dir_all(stage.path("out/e")).unwrap();
    stage.ok("remove e --objects --yes");
    stage.run("status e").fails(1, "there is no transfer 'e'");
}

#[test]
fn where_the_folder_is_gone_the_record_can_still_be_taken_away() {
    let stage = exported();
    std::fs::remove_dir_all(stage.path("out")).unwrap();
    stage.run("remove e --objects --yes").fails(1, "`sluice remove e` alone forgets its record");
    stage.ok("remove e --yes");
    stage.run("status e").fails(1, "there is no transfer 'e'");
}

#[test]
fn only_what_is_at_its_end_is_removed() {
    let stage = Stage::new();
    stage.numbers("a", 1_000);
    let child = stage.start("export local:a dir:out --id t --rate 1 --part-size 1KiB --object-size 1MiB");
    stage.wait("t", |report| report["state"] == "TRANSFERRING");
    stage.run("remove t").fails(1, "TRANSFERRING and not at its end");
    stage.run("streams delete local:a").fails(1, "needed by the transfer t");
    stage.ok("pause t");
    ended(child).code(3);
    stage.run("remove t --objects --yes").fails(1, "PAUSED and not at its end");
    stage.run("streams delete local:a").fails(1, "needed by the transfer t");
    stage.ok("cancel t");
    stage.ok("remove t --objects --yes");
    stage.ok("streams delete local:a");
}

#[test]
fn a_stream_is_deleted_unless_somebody_needs_it() {
    let stage = exported();
    stage.run("streams delete kinesis:a").fails(2, "aws kinesis delete-stream");
    stage.run("streams delete local:nobody").fails(1, "there is no stream local:nobody");
    let child = stage.start("import dir:out/e local:b --id i --rate 1");
    stage.wait("i", |report| report["state"] == "TRANSFERRING");
    stage.run("streams delete local:b").fails(1, "needed by the transfer i");
    stage.ok("cancel i");
    ended(child).code(3);
    stage.ok("streams delete local:b");
    assert_eq!(stage.json("streams", 0)["streams"].as_array().unwrap().len(), 1);
    assert!(stage.files("home/streams").iter().all(|path| !path.to_string_lossy().contains("/b.")));
    // One of that name is a new one.
    stage.ok("import dir:out/e local:b");
    assert_eq!(stage.events("b"), stage.events("a"));
}

#[test]
fn a_trim_gives_the_disk_back() {
    let stage = Stage::new();
    stage.stream("a", 5_000);
    let size = || -> u64 { stage.files("home/streams").iter().map(|path| path.metadata().unwrap().len()).sum() };
    let before = size();
    assert!(before > 5_000_000, "{before}");
    stage.ok("trim local:a --before 0@4900");
    let after = size();
    assert!(after < before / 10, "{after} of {before} bytes are left");
    assert_eq!(stage.events("a").len(), 100);
    stage.ok("trim local:a --before latest");
    assert!(size() < 600_000, "{}", size());
    stage.stream("a", 10);
    assert_eq!(stage.events("a").len(), 10);
}
