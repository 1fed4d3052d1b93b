//! Logs: one JSON object a line on stdout, which Lambda hands to CloudWatch Logs.

use tracing_subscriber::EnvFilter;

/// Begins to log. The level is the function's own (`AWS_LAMBDA_LOG_LEVEL`, as Lambda's logging configuration sets it),
/// or a filter in `SLUICE_LOG`.
pub(crate) fn begin() {
    let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let filter = variable("SLUICE_LOG").unwrap_or_else(|| {
        let level = variable("AWS_LAMBDA_LOG_LEVEL").unwrap_or_else(|| "info".to_owned()).to_lowercase();
        format!("warn,sluice={level}")
    });
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_env_filter(EnvFilter::new(filter))
        .init();
}
