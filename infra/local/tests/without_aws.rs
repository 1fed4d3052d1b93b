//! A build without AWS says how to get one with it.
#![cfg(test)]
#![cfg(not(feature = "aws"))]

mod common;

use common::Stage;

#[test]
fn what_leads_to_aws_is_refused_with_the_way_to_a_build_that_has_it() {
    let stage = Stage::new();
    stage.stream("a", 1);
    for (line, scheme) in [
        ("read kinesis:a", "kinesis:"),
        ("read arn:aws:kinesis:eu-west-1:123456789012:stream/a", "kinesis:"),
        ("export kinesis:a dir:out", "kinesis:"),
        ("export local:a s3://archive/a", "s3:"),
        ("import s3://archive/a local:b", "s3:"),
        ("import dir:out kinesis:b", "kinesis:"),
    ] {
        let done = stage.run(line).fails(2, "is built without it");
        assert!(done.err.contains(scheme) && done.err.contains("cargo install --path infra/local"), "{}", done.err);
    }
    assert!(stage.json("list", 0)["transfers"].as_array().unwrap().is_empty());
}

#[test]
fn it_is_said_of_which_build_it_is() {
    let said = Stage::new().ok("--version").text();
    assert!(said.contains(", without AWS, SQLite 3."), "{said}");
}
