//! The port's suite, against a server that somebody else wrote.
//!
//! `SLUICE_TEST_S3` is the endpoint of one, such as `http://127.0.0.1:4566`; without it nothing is run, and that is
//! said. The path of full-object checksums is not played by any server at hand: that is what `scripted` is for.
#![cfg(test)]

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
use sluice_bucket_s3::{S3Bucket, S3Settings, configure};
use sluice_ports::BucketStore;

/// What ministack 1.5.33 cannot keep, all for one reason: a completion that is asked for again it answers as it did the
/// first time, for ever, where the port wants to hear that the upload is gone.
const EXCEPT: [&str; 3] = ["parts_become_an_object", "completed_is_gone", "one_upload_is_completed_once"];

/// The account that ministack plays.
const OWNER: &str = "000000000000";

fn endpoint() -> Option<String> {
    let endpoint = std::env::var("SLUICE_TEST_S3").ok().filter(|endpoint| !endpoint.is_empty());
    if endpoint.is_none() {
        // Not by a macro: what those print is shown of tests that fail only.
        std::io::stderr().write_all(b"not run, since SLUICE_TEST_S3 names no server\n").unwrap();
    }
    endpoint
}

fn client(endpoint: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint);
    Client::from_conf(configure(config, true).build())
}

/// A bucket that nobody used before.
async fn fresh(client: &Client) -> S3Bucket {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("sluice-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    client.create_bucket().bucket(&name).send().await.unwrap();
    let settings = S3Settings { owner: Some(OWNER.to_owned()), foreign: true, ..S3Settings::default() };
    S3Bucket::new(client.clone(), name, settings)
}

#[tokio::test]
async fn a_foreign_server_conforms() {
    let Some(endpoint) = endpoint() else { return };
    let client = client(&endpoint);
    sluice_conformance::bucket::run_except(async || Arc::new(fresh(&client).await) as Arc<dyn BucketStore>, &EXCEPT)
        .await;
}

#[tokio::test]
async fn what_a_foreign_server_can_do_is_found_out() {
    let Some(endpoint) = endpoint() else { return };
    let bucket = fresh(&client(&endpoint)).await;
    let capabilities = bucket.capabilities().await.unwrap();
    assert!(capabilities.create_only, "it refuses to overwrite");
    assert!(!capabilities.attests_content, "it knows checksums of checksums only");
    assert_eq!(bucket.list("", None, 10).await.unwrap(), [], "what was asked for leaves no data");
    assert_eq!(bucket.list_uploads("").await.unwrap(), []);
}
