//! A stream of the fake Kinesis, through the adapter and the SDK.

use std::sync::Arc;

use aws_sdk_kinesis::config::{BehaviorVersion, Region};
use aws_sdk_kinesis::{Client, Config};
use sluice_fake_kinesis::Kinesis;
use sluice_stream_kinesis::{KinesisStream, configure};

/// An adapter that remembers nothing; its calls are counted as `sluice`'s.
pub(crate) fn stream(kinesis: &Kinesis, name: &str) -> KinesisStream {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .endpoint_url("http://kinesis.invalid")
        .allow_no_auth()
        .http_client(kinesis.http_client("sluice"));
    KinesisStream::new(Client::from_conf(configure(config).build()), name, Arc::new(kinesis.clock()))
}
