//! Logs: one JSON object a line on stdout, which Lambda hands to CloudWatch Logs.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Begins to log: what the libraries warn of, and our own from the level on that the function's logging configuration
/// says (`AWS_LAMBDA_LOG_LEVEL`; AWS Lambda developer guide, "Log-level filtering").
pub(crate) fn begin() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| level.to_lowercase().parse().ok());
    let filter =
        Targets::new().with_default(LevelFilter::WARN).with_target("sluice", level.unwrap_or(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
