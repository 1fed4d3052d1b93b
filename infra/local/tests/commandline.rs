//! What the command line takes, and homes.
#![cfg(test)]

mod common;

use common::Stage;

#[test]
fn what_cannot_be_understood_ends_with_2() {
    let stage = Stage::new();
    stage.stream("a", 1);
    for line in [
        "",
        "frobnicate",
        "export local:a",
        "export a dir:out",
        "export kafka:a dir:out",
        "export arn:aws:sqs:eu-west-1:123456789012:a dir:out",
        "export local:a gs://out",
        "export local:a s3://Out",
        "export kinesis:a dir:out --bucket-owner 1234",
        "append kinesis:a",
        "trim kinesis:a --before latest",
        "export local:a/b dir:out",
        "export local:a dir:out --format parquet",
        "export local:a dir:out --from never",
        "export local:a dir:out --from cut:",
        "export local:a dir:out --from=",
        "read local:a --until cut:,",
        "trim local:a --before cut:",
        "export local:a dir:out --object-size much",
        "export local:a dir:out --read-share 0",
        "export local:a dir:out --read-share 1.5",
        "export local:a dir:out --read-share half",
        "export local:a dir:out --read push",
        "export local:a dir:out --id a/b",
        "export local:a dir:out --slice-seconds 0",
        "export local:a dir:out --slice-events 0",
        "export local:a dir:out --slice-bytes 0",
        "export local:a dir:out --output xml",
        "append local:b --shards 0",
        "append local:b --event-bytes 0",
        "append local:b --event-bytes 33MiB",
        "import dir:out",
        "import dir:out local:b --on-misfit drop",
        "status a b",
    ] {
        let done = stage.run(line).code(2);
        assert!(done.out.is_empty(), "{line}: {}", done.text());
        assert!(!done.err.is_empty());
    }
    // Nothing was made.
    assert!(!stage.path("out").exists());
    assert!(stage.json("list", 0)["transfers"].as_array().unwrap().is_empty());
    assert_eq!(stage.json("streams", 0)["streams"].as_array().unwrap().len(), 1);
}

#[test]
fn values_out_of_range_end_with_2_and_name_the_range() {
    let stage = Stage::new();
    stage.stream("a", 1);
    for (options, what) in [
        ("--object-size 0", "objectSize: 0 bytes"),
        ("--part-size 0", "partSize: 0 bytes"),
        ("--part-size 1GiB", "it must be 1 to"),
        ("--object-size 10001 --part-size 1", "10001 parts"),
        ("--object-size 999999999TiB", "objectSize"),
    ] {
        let done = stage.run(&format!("export local:a dir:out {options} --id t --output json")).fails(2, what);
        assert_eq!(done.json()["error"]["code"], "OutOfRange");
    }
    let done = stage.run("export local:a dir:out --read fanout --id t --output json").fails(1, "no enhanced fan-out");
    assert_eq!(done.json()["error"]["code"], "Invalid");
    assert!(stage.json("list", 0)["transfers"].as_array().unwrap().is_empty(), "a refused plan leaves no record");
    std::fs::write(stage.path("f"), "x").unwrap();
    stage.run("import dir:f local:b --event-size 0").fails(2, "eventSize: 0 bytes");
    stage.run("import dir:f local:b --event-size 33MiB").fails(2, "eventSize");
    // One wording, whoever takes a rate.
    for line in ["export local:a dir:out --rate 0", "import dir:f local:b --rate 0", "resume t --rate 0", "rate t 0"] {
        stage.run(line).fails(2, "at least 1 byte a second, or none for no limit");
    }
    stage.run("status t").fails(1, "there is no transfer 't'");
}

#[test]
fn errors_are_one_object_too() {
    let stage = Stage::new();
    stage.stream("a", 1);
    let done = stage.run("export local:nope dir:out --output json").fails(1, "there is no stream local:nope");
    let json = done.json();
    assert_eq!(json.as_object().unwrap().len(), 1);
    assert_eq!(json["error"]["code"], "NotFound");
    let done = stage.run("export local:a --output json").code(2);
    assert_eq!(done.json()["error"]["code"], "Usage");
}

#[test]
fn help_has_examples_for_everybody() {
    let stage = Stage::new();
    let help = stage.ok("--help").text();
    assert!(help.contains("Examples:") && help.contains("Exit codes"));
    for command in
        ["append", "read", "trim", "export", "import", "status", "pause", "resume", "cancel", "verify", "demo"]
    {
        assert!(help.contains(command));
        let text = stage.ok(&format!("help {command}")).text();
        assert!(text.contains("Example"), "{command}: {text}");
    }
    assert!(stage.ok("help export").text().contains("--from is inclusive, --until is exclusive"));
    let version = stage.ok("--version").text();
    let (name, built) = version.trim_end().split_once(" (").unwrap();
    assert_eq!(name, concat!("sluice ", env!("CARGO_PKG_VERSION")));
    let built: Vec<_> = built.strip_suffix(')').unwrap().split(", ").collect();
    let aws = if cfg!(feature = "aws") { "with AWS" } else { "without AWS" };
    assert!(
        matches!(built[..], [commit, "debug" | "release", said, sqlite]
        if !commit.is_empty() && said == aws && sqlite == format!("SQLite {}", sluice_sqlite::version())),
        "{version}"
    );
    assert!(!stage.path("home").exists());
}

#[test]
fn a_home_is_made_only_by_what_fills_it() {
    let stage = Stage::new();
    assert!(stage.json("list", 0)["transfers"].as_array().unwrap().is_empty());
    assert!(stage.json("streams", 0)["streams"].as_array().unwrap().is_empty());
    for line in ["status", "status t", "pause t", "verify t", "read local:a", "export local:a dir:out"] {
        stage.run(line).fails(1, "there is no home at");
    }
    assert!(!stage.path("home").exists() && !stage.path("out").exists());
    stage.with_input("--home other append local:a", b"x\n").code(0);
    assert!(stage.path("other/home.json").exists() && !stage.path("home").exists());
    assert_eq!(std::fs::read_to_string(stage.path("other/home.json")).unwrap(), r#"{"version":2}"#);
}

#[test]
fn a_newer_home_and_what_is_no_home_are_left_alone() {
    let stage = Stage::new();
    stage.stream("a", 1);
    std::fs::write(stage.path("home/home.json"), r#"{"version":3,"more":true}"#).unwrap();
    let before = stage.files("home");
    for line in ["streams", "list", "read local:a", "append local:a", "export local:a dir:out"] {
        let done = stage.run(&format!("{line} --output json")).fails(1, "use a newer sluice");
        assert_eq!(done.json()["error"]["code"], "Newer");
    }
    assert_eq!(stage.files("home"), before);
    std::fs::write(stage.path("home/home.json"), "{").unwrap();
    stage.run("streams").fails(1, "home.json is broken");
    std::fs::create_dir(stage.path("folder")).unwrap();
    std::fs::write(stage.path("folder/letter"), "x").unwrap();
    stage.run("append local:a --home folder").fails(1, "no home of sluice and not empty");
    assert_eq!(stage.files("folder").len(), 1);
}
