//! Exports that are not what they were: found by verify, refused by import, and nothing is made of them.
#![cfg(test)]

mod common;

use std::fs;
use std::path::PathBuf;

use common::Stage;
use serde_json::{Value, json};

/// An export `e` of 300 events in several objects, in `out/e`.
fn exported() -> Stage {
    let stage = Stage::new();
    stage.stream("a", 300);
    stage.ok("export local:a dir:out --id e --compression none --object-size 64KiB --part-size 16KiB");
    assert!(stage.objects("out/e").len() > 3);
    stage
}

/// Verify finds it, import refuses it, and the target is not there or empty.
fn is_refused(stage: &Stage, code: &str, what: &str) {
    let done = stage.run("verify e --output json").fails(1, what);
    assert_eq!(done.json()["verdict"], "MISMATCH");
    import_is_refused(stage, code, what);
}

/// As `is_refused`, for a manifest that was written anew: the transfer's record knows its own by its digest, an import
/// has to find out by itself what is wrong.
fn forged_is_refused(stage: &Stage, code: &str, what: &str) {
    let done = stage.run("verify e --output json").fails(1, "its SHA-256 differs");
    assert_eq!(done.json()["verdict"], "MISMATCH");
    import_is_refused(stage, code, what);
}

fn import_is_refused(stage: &Stage, code: &str, what: &str) {
    let done = stage.run("import dir:out/e local:b --id i --output json").fails(1, what);
    assert_eq!(done.json()["error"]["code"], code, "{}", done.err);
    let streams = stage.json("streams", 0);
    assert!(streams["streams"].as_array().unwrap().iter().all(|stream| stream["name"] != "local:b"), "{streams}");
}

/// Changes a document and seals it again, as somebody who knows how could.
fn reseal(path: PathBuf, change: impl FnOnce(&mut Value)) -> String {
    let document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut body = document["body"].clone();
    change(&mut body);
    let body = body.to_string();
    let kind = document["sluice"].as_str().unwrap();
    let sha256 = sluice_transfer::sha256_hex(body.as_bytes());
    let text = format!("{{\"sluice\":\"{kind}\",\"version\":1,\"sha256\":\"{sha256}\",\"body\":{body}}}\n");
    fs::write(path, &text).unwrap();
    sluice_transfer::sha256_hex(text.as_bytes())
}

/// Changes the first segment of shard 0, and the root that names it, so that all checksums are right.
fn forge(stage: &Stage, change: impl FnOnce(&mut Value)) {
    let sha256 = reseal(stage.path("out/e/manifest/shard=0/000001.json"), change);
    reseal(stage.path("out/e/manifest.json"), |root| {
        assert_eq!(root["shards"][0]["segments"]["count"], 1);
        root["shards"][0]["segments"]["digest"] = json!(sluice_transfer::sha256_hex(sha256.as_bytes()));
    });
}

#[test]
fn a_missing_object() {
    let stage = exported();
    fs::remove_file(&stage.objects("out/e")[1]).unwrap();
    is_refused(&stage, "ObjectMissing", "missing");
}

#[test]
fn a_truncated_object() {
    let stage = exported();
    let object = &stage.objects("out/e")[1];
    let bytes = fs::read(object).unwrap();
    fs::write(object, &bytes[..bytes.len() - 1]).unwrap();
    is_refused(&stage, "ObjectDamaged", "bytes");
}

#[test]
fn a_damaged_object_fails_the_import_that_reads_it() {
    let stage = exported();
    let object = &stage.objects("out/e")[1];
    let mut bytes = fs::read(object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(object, &bytes).unwrap();
    let done = stage.run("verify e --output json").fails(1, "checksum");
    assert_eq!(done.json()["verdict"], "MISMATCH");
    // Size and place are right, so it is found while it is read: what came before it may have been written.
    let done = stage.run("import dir:out/e local:b --id i --output json").code(1);
    let report = done.json();
    assert_eq!(
        (&report["state"], &report["error"]["code"]),
        (&json!("FAILED"), &json!("ObjectDamaged")),
        "{}",
        done.err
    );
    let (a, b) = (stage.events("a"), stage.events("b"));
    assert!(b.len() < a.len() && a[..b.len()] == b[..]);
    // The stream stays reserved: nobody can take half an import for a whole one by accident.
    stage.with_input("append local:b", b"x\n").fails(1, "sluice cancel i");
    stage.ok("cancel i");
    stage.with_input("append local:b", b"x\n").code(0);
}

#[test]
fn a_replaced_object() {
    let stage = exported();
    let objects = stage.objects("out/e");
    let len = fs::read(&objects[1]).unwrap().len();
    fs::write(&objects[1], vec![b'x'; len]).unwrap();
    stage.run("verify e").fails(1, "checksum");
    let done = stage.run("import dir:out/e local:b --id i --output json").code(1);
    assert_eq!(done.json()["error"]["code"], "ObjectDamaged", "{}", done.err);
}

#[test]
fn a_manifest_whose_checksum_is_wrong() {
    let stage = exported();
    let path = stage.path("out/e/manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"events\":300", "\"events\":301", 1)).unwrap();
    forged_is_refused(&stage, "ManifestInvalid", "its checksum is wrong");
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    forged_is_refused(&stage, "ManifestInvalid", "not a manifest");
    fs::write(&path, text.replacen("\"version\":1", "\"version\":99", 1)).unwrap();
    forged_is_refused(&stage, "Newer", "use a newer one");
    fs::write(&path, &text).unwrap();
    stage.ok("verify e");
}

#[test]
fn a_segment_that_is_not_the_one_that_was_named() {
    let stage = exported();
    reseal(stage.path("out/e/manifest/shard=0/000001.json"), |segment| {
        segment["entries"].as_array_mut().unwrap().pop();
    });
    is_refused(&stage, "ManifestInvalid", "chained digest differs");
}

#[test]
fn a_hole() {
    let stage = exported();
    forge(&stage, |segment| {
        segment["entries"].as_array_mut().unwrap().remove(1);
    });
    forged_is_refused(&stage, "ManifestInvalid", "nothing covers");
}

#[test]
fn an_overlap() {
    let stage = exported();
    forge(&stage, |segment| {
        let again = segment["entries"][0].clone();
        segment["entries"].as_array_mut().unwrap().insert(1, again);
    });
    forged_is_refused(&stage, "ManifestInvalid", "is covered already");
}

#[test]
fn sums_that_do_not_add_up() {
    let stage = exported();
    reseal(stage.path("out/e/manifest.json"), |root| {
        root["counts"]["events"] = json!(301);
        root["shards"][0]["counts"]["events"] = json!(301);
    });
    import_is_refused(&stage, "ManifestInvalid", "do not add up");
    reseal(stage.path("out/e/manifest.json"), |root| root["shards"][0]["counts"]["events"] = json!(300));
    import_is_refused(&stage, "ManifestInvalid", "300 events");
}

#[test]
fn a_root_that_contradicts_itself() {
    let stage = exported();
    let path = || stage.path("out/e/manifest.json");
    let whole = fs::read(path()).unwrap();
    // Twice what is there, sums and all.
    reseal(path(), |root| {
        let again = root["shards"][0].clone();
        root["shards"].as_array_mut().unwrap().push(again);
        root["objects"] = json!(2 * root["objects"].as_u64().unwrap());
        root["counts"] = json!({"events": 600, "bytes": 2 * root["counts"]["bytes"].as_u64().unwrap()});
    });
    import_is_refused(&stage, "ManifestInvalid", "listed twice");
    fs::write(path(), &whole).unwrap();
    reseal(path(), |root| root["shards"][0]["parents"] = json!([root["shards"][0]["shard"]]));
    import_is_refused(&stage, "ManifestInvalid", "continues itself");
    fs::write(path(), &whole).unwrap();
    stage.ok("import dir:out/e local:b --id i");
}

#[test]
fn a_segment_that_comes_again() {
    let stage = exported();
    let first = stage.path("out/e/manifest/shard=0/000001.json");
    let sha256 = sluice_transfer::sha256_hex(&fs::read(&first).unwrap());
    fs::copy(&first, stage.path("out/e/manifest/shard=0/000002.json")).unwrap();
    reseal(stage.path("out/e/manifest.json"), |root| {
        let once = sluice_transfer::sha256_hex(sha256.as_bytes());
        let digest = sluice_transfer::sha256_hex(format!("{once}{sha256}").as_bytes());
        root["shards"][0]["segments"] = json!({"count": 2, "digest": digest});
    });
    import_is_refused(&stage, "ManifestInvalid", "is covered already");
    // As many as are said, and no more are looked for.
    reseal(stage.path("out/e/manifest.json"), |root| root["shards"][0]["segments"]["count"] = json!(u32::MAX));
    import_is_refused(&stage, "ManifestInvalid", "is covered already");
}

#[test]
fn a_key_that_climbs() {
    let stage = exported();
    for key in ["../../../../etc/passwd", "/etc/passwd", "data/../../x", "a\u{7}b"] {
        forge(&stage, |segment| segment["entries"][0]["key"] = json!(key));
        forged_is_refused(&stage, "ManifestInvalid", "unsafe");
    }
}

#[test]
fn an_object_that_changes_while_it_is_imported() {
    let stage = Stage::new();
    stage.numbers("a", 40_000);
    stage.ok("export local:a dir:out --id e --compression none --object-size 100KiB");
    let child = stage.start("import dir:out/e local:b --id i --rate 40KB");
    stage.wait_for_movement("i");
    let last = stage.objects("out/e").pop().unwrap();
    let bytes = fs::read(&last).unwrap();
    fs::remove_file(&last).unwrap();
    fs::write(&last, &bytes).unwrap();
    common::signal(&child, "INT");
    common::ended(child).code(3);
    // The same bytes, yet another object than the one that was pinned.
    let done = stage.run("resume i --output json").code(1);
    assert_eq!(done.json()["error"]["code"], "ObjectChanged", "{}", done.err);
}

#[test]
fn an_export_without_its_manifest_is_not_taken_for_any_files() {
    let stage = exported();
    fs::remove_file(stage.path("out/e/manifest.json")).unwrap();
    let done = stage.run("verify e --output json").fails(1, "manifest.json");
    assert_eq!(done.json()["verdict"], "MISMATCH");
    import_is_refused(&stage, "ManifestInvalid", "belongs to an export");
}

#[test]
fn what_was_imported_and_is_gone_cannot_be_proved() {
    let stage = exported();
    stage.ok("import dir:out/e local:b --id i");
    stage.ok("trim local:b --before 0@5");
    let told = stage.json("verify i", 5);
    assert_eq!(told["verdict"], "UNPROVED");
    assert!(told["findings"][0].as_str().unwrap().contains("trimmed"));
}

/// Runs a script in which `small` is a file system of 2 MiB; none where this machine does not let us have one.
fn on_a_small_disk(stage: &Stage, script: &str) -> Option<String> {
    fs::create_dir_all(stage.path("small")).unwrap();
    let mount = "mount -t tmpfs -o size=2m none small || exit 99";
    let script = format!("{mount}; sluice() {{ {} \"$@\"; }}; {script}", env!("CARGO_BIN_EXE_sluice"));
    let done = std::process::Command::new("unshare")
        .args(["-rm", "bash", "-c", &script])
        .current_dir(stage.path(""))
        .env("SLUICE_HOME", "home")
        .output();
    let output = done.ok().filter(|output| {
        let refused = String::from_utf8_lossy(&output.stderr).contains("unshare");
        output.status.code() != Some(99) && !refused
    });
    if output.is_none() {
        eprintln!("SKIPPED: this machine lets nobody but root mount a small file system");
    }
    output.map(|output| {
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!err.contains("panicked"), "{err}");
        format!("{}{err}", String::from_utf8_lossy(&output.stdout))
    })
}

#[test]
fn a_disk_that_is_full_under_the_bucket() {
    let stage = Stage::new();
    stage.stream("a", 3_000);
    let script = "
        sluice export local:a dir:small --id e --compression none --object-size 512KiB; echo first $?
        mount -o remount,size=64m small
        sluice export local:a dir:small --id e --compression none --object-size 512KiB; echo second $?
        sluice verify e; echo verified $?
        sluice import dir:small/e local:b; echo imported $?";
    let Some(said) = on_a_small_disk(&stage, script) else { return };
    for (what, code) in [("first", 1), ("second", 0), ("verified", 0), ("imported", 0)] {
        assert!(said.contains(&format!("{what} {code}\n")), "{said}");
    }
    assert!(said.contains("error: ") && said.contains("No space left"), "{said}");
    assert_eq!(stage.events("b"), stage.events("a"));
}

#[test]
fn a_disk_that_is_full_under_the_home() {
    let stage = Stage::new();
    let lines = (0..3_000).map(|n| format!("{n:01000}\n")).collect::<Vec<_>>().concat();
    fs::write(stage.path("lines"), &lines).unwrap();
    let script = "
        export SLUICE_HOME=small/home
        head -500 lines | sluice append local:a; echo made $?
        sluice append local:a --file lines; echo full $?
        mount -o remount,size=64m small
        sluice append local:a --file lines; echo appended $?
        sluice export local:a dir:out --id e; echo exported $?
        mount -o remount,size=8m small
        sluice import dir:out/e local:b --id i; echo failed $?
        mount -o remount,size=64m small
        sluice import dir:out/e local:b --id i; echo imported $?
        sluice verify i; echo verified $?
        cmp <(sluice read local:a) <(sluice read local:b); echo compared $?";
    let Some(said) = on_a_small_disk(&stage, script) else { return };
    for (what, code) in [
        ("made", 0),
        ("full", 1),
        ("appended", 0),
        ("exported", 0),
        ("failed", 1),
        ("imported", 0),
        ("verified", 0),
        ("compared", 0),
    ] {
        assert!(said.contains(&format!("{what} {code}\n")), "{said}");
    }
    assert!(said.contains("full"), "{said}");
}

#[test]
fn a_stream_that_a_full_disk_left_unmade_is_in_nobodys_way() {
    let stage = Stage::new();
    fs::write(stage.path("lines"), "1\n2\n").unwrap();
    let script = "
        export SLUICE_HOME=small/home
        mkdir small/home; echo '{\"version\":2}' > small/home/home.json
        mount -o remount,size=40k small
        sluice append local:a --file lines; echo unmade $?
        ls small/home/streams; sluice streams; echo listed $?
        sluice streams delete local:a; echo deleted $?
        sluice append local:b --file lines; echo unmade $?
        mount -o remount,size=64m small
        sluice import dir:lines local:b --format lines --id i; echo imported $?
        sluice verify i; echo verified $?
        sluice streams; echo again $?; ls small/home/streams";
    let Some(said) = on_a_small_disk(&stage, script) else { return };
    for (what, code) in [("unmade", 1), ("listed", 0), ("deleted", 0), ("imported", 0), ("verified", 0), ("again", 0)] {
        assert!(said.contains(&format!("{what} {code}\n")), "{said}");
    }
    assert!(said.contains("local:a was never made, its file is empty") && said.contains("local:b"), "{said}");
    assert_eq!(said.matches("a.sqlite\n").count(), 1, "it is gone at the end: {said}");
}

#[test]
fn a_manifest_that_begins_otherwise_is_no_data() {
    let stage = exported();
    let manifest = stage.path("out/e/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("sluice", "sluicX", 1)).unwrap();
    let done = stage.run("import dir:out/e/manifest.json local:b --output json").fails(1, "not a manifest");
    assert_eq!(done.json()["error"]["code"], "ManifestInvalid");
}

#[test]
fn a_manifest_without_shards() {
    let stage = exported();
    reseal(stage.path("out/e/manifest.json"), |root| {
        (root["shards"], root["objects"]) = (json!([]), json!(0));
        root["counts"] = json!({"events": 0, "bytes": 0});
    });
    forged_is_refused(&stage, "ManifestInvalid", "lists no shards");
}

#[test]
fn counts_that_are_not_the_objects() {
    let stage = exported();
    let less = |counts: &mut Value| counts["events"] = json!(counts["events"].as_u64().unwrap() - 1);
    forge(&stage, |segment| less(&mut segment["entries"][0]["counts"]));
    reseal(stage.path("out/e/manifest.json"), |root| {
        less(&mut root["counts"]);
        less(&mut root["shards"][0]["counts"]);
    });
    let done = stage.run("import dir:out/e local:b --id i --output json").fails(1, "contradicts itself");
    assert_eq!(done.json()["error"]["code"], "VerificationFailed", "{}", done.err);
    assert!(done.err.contains("it cannot go on; give it up with: "), "{}", done.err);
    stage.run("resume i").fails(1, "contradicts itself");
    stage.run("verify i").code(1);
}
