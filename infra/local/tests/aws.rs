//! What the command says when AWS is not set up, or is not asked at all. Transfers on AWS: `tests/scenarios`.
#![cfg(test)]
#![cfg(feature = "aws")]

mod common;

use std::process::Command;

use common::{Done, Stage, done};

/// Neither configuration nor credentials of whoever runs this.
fn without_aws(stage: &Stage, line: &str) -> Command {
    let mut command = stage.command(line);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_CONFIG_FILE", stage.path("config")).env("AWS_SHARED_CREDENTIALS_FILE", stage.path("credentials"));
    command
}

fn with_a_region(stage: &Stage, line: &str) -> Done {
    done(without_aws(stage, line).env("AWS_REGION", "us-east-1"))
}

#[test]
fn without_credentials_the_way_to_them_is_said() {
    let stage = Stage::new();
    stage.stream("a", 1);
    for line in
        ["read kinesis:a", "export local:a s3://archive/a", "export kinesis:a dir:out", "import s3://archive/a local:b"]
    {
        let done = with_a_region(&stage, &format!("{line} --output json")).fails(1, "there are no AWS credentials");
        assert!(done.err.contains("AWS_PROFILE") && done.err.contains("aws sso login"), "{line}: {}", done.err);
    }
    let done = with_a_region(&stage, "export kinesis:a dir:out --output json");
    assert_eq!(done.json()["error"]["code"], "Denied");
    // Nothing is on record: there is nothing to resume.
    assert!(stage.json("list", 0)["transfers"].as_array().unwrap().is_empty());
}

#[test]
fn without_a_region_the_way_to_one_is_said() {
    let stage = Stage::new();
    stage.stream("a", 1);
    for line in ["read kinesis:a", "export local:a s3://archive/a", "import s3://archive/a local:b"] {
        done(&mut without_aws(&stage, line)).fails(1, "no AWS region is configured: set AWS_REGION");
    }
    // A stream's ARN says in which region it is.
    let line = "read arn:aws:kinesis:eu-west-1:123456789012:stream/a";
    done(&mut without_aws(&stage, line)).fails(1, "there are no AWS credentials");
}

#[test]
fn a_profile_is_looked_for_where_aws_tools_have_it() {
    let stage = Stage::new();
    std::fs::write(
        stage.path("config"),
        "[profile work]\nregion = us-east-1\nsso_session = work\nsso_account_id = 123456789012\nsso_role_name = reader\n\
         [sso-session work]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n",
    )
    .unwrap();
    let mut command = without_aws(&stage, "read kinesis:a");
    // Nobody has signed in.
    done(command.env("AWS_PROFILE", "work").env("HOME", stage.path("nobody"))).fails(1, "SSO token");
}

#[test]
fn a_stream_of_kinesis_needs_no_home_to_be_read() {
    let stage = Stage::new();
    with_a_region(&stage, "read kinesis:a").fails(1, "there are no AWS credentials");
    assert!(!stage.path("home").exists());
}

#[test]
fn what_is_local_asks_nobody() {
    let stage = Stage::new();
    // A profile that cannot be read fails whoever looks for it.
    std::fs::create_dir(stage.path("config")).unwrap();
    stage.stream("a", 3);
    for line in ["export local:a dir:out --id t", "verify t", "import dir:out/t local:b", "read local:b", "list"] {
        let mut command = without_aws(&stage, line);
        done(command.env("AWS_PROFILE", "nowhere")).code(0);
    }
}

#[test]
fn whose_the_buckets_must_be_goes_on_with_the_transfer() {
    let stage = Stage::new();
    stage.numbers("a", 40_000);
    // A pause right behind its beginning: the command that is printed guards the buckets as the first one did.
    let line = "export local:a dir:out --id t --rate 1KiB --bucket-owner 123456789012";
    let child = stage.start(line);
    stage.wait("t", |report| report["state"] == "TRANSFERRING");
    common::signal(&child, "INT");
    let done = common::ended(child).code(3);
    assert!(done.err.contains("--bucket-owner 123456789012 resume t"), "{}", done.err);
}

#[test]
fn a_profile_that_is_not_there_is_named() {
    let stage = Stage::new();
    std::fs::write(stage.path("config"), "[profile work]\nregion = us-east-1\n").unwrap();
    let mut command = without_aws(&stage, "read kinesis:a");
    done(command.env("AWS_PROFILE", "wrok")).fails(1, "AWS_PROFILE names the profile 'wrok', and there is none in");
    let mut command = without_aws(&stage, "read kinesis:a");
    done(command.env("AWS_PROFILE", "").env("AWS_REGION", "us-east-1")).fails(1, "there are no AWS credentials");
}

#[test]
fn an_endpoint_that_refuses_is_named() {
    let stage = Stage::new();
    stage.stream("a", 3);
    // A port that nobody listens on any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let with_endpoint = |line: &str| {
        let mut command = without_aws(&stage, line);
        command.env("AWS_REGION", "us-east-1").env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b");
        command.env("AWS_ENDPOINT_URL", &endpoint);
        command
    };
    done(&mut with_endpoint("import s3://archive/a local:b")).fails(1, &endpoint);
    done(&mut with_endpoint("read kinesis:a")).fails(1, &endpoint);
}
