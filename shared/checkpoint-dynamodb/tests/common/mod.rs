//! Clients of tests: over a connector of their own, or over a server that somebody else wrote.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::io::Write;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Config, Credentials, Region, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnector, SharedHttpConnector, http_client_fn};

fn config() -> Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(RetryConfig::standard().with_max_attempts(6).with_initial_backoff(Duration::from_millis(1)))
}

/// A client whose requests that connector answers.
pub fn client_through(connector: impl HttpConnector + 'static) -> Client {
    let connector = SharedHttpConnector::new(connector);
    let http = http_client_fn(move |_, _| connector.clone());
    Client::from_conf(config().endpoint_url("http://scripted.invalid").http_client(http).build())
}

/// The endpoint of a foreign server, which `SLUICE_TEST_DYNAMODB` names. Without one nothing is run, and that is said.
pub fn endpoint() -> Option<String> {
    let endpoint = std::env::var("SLUICE_TEST_DYNAMODB").ok().filter(|endpoint| !endpoint.is_empty());
    if endpoint.is_none() {
        // Not by a macro: what those print is shown of tests that fail only.
        std::io::stderr().write_all(b"not run, since SLUICE_TEST_DYNAMODB names no server\n").unwrap();
    }
    endpoint
}

/// A client of the server there, whose connections `wrap` makes of the real ones.
pub fn client_of<C>(endpoint: &str, wrap: impl Fn(SharedHttpConnector) -> C + Send + Sync + 'static) -> Client
where
    C: HttpConnector + 'static,
{
    let real = aws_smithy_http_client::Builder::new().build_http();
    let http = http_client_fn(move |settings, components| {
        SharedHttpConnector::new(wrap(real.http_connector(settings, components)))
    });
    Client::from_conf(config().endpoint_url(endpoint).http_client(http).build())
}
