//! Logs: one JSON object a line on stdout, which Lambda hands to CloudWatch Logs.

use std::fmt;

use serde_json::{Map, Value};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt;

/// Begins to log: what the libraries warn of, and our own from the level on that the function's logging configuration
/// says (`AWS_LAMBDA_LOG_LEVEL`; AWS Lambda developer guide, "Log-level filtering").
pub(crate) fn begin() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| level.to_lowercase().parse().ok());
    subscriber(level.unwrap_or(LevelFilter::INFO), std::io::stdout).init();
}

fn subscriber<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("sluice", level);
    let lines = tracing_subscriber::fmt::layer().fmt_fields(JsonFields::new()).event_format(Lines).with_writer(writer);
    tracing_subscriber::registry().with(lines.with_filter(filter))
}

/// One JSON object: `timestamp`, `level` and `message`, and beside them the fields of the event and of all spans
/// around it, the inner ones before the outer. CloudWatch Logs Insights finds each under its own name, such as
/// `transfer` or `shard`; in a list it would be `spans.1.shard`, by the depth at which it happened to be logged
/// (CloudWatch Logs user guide, "Supported logs and discovered fields").
struct Lines;

impl<S> FormatEvent<S, JsonFields> for Lines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        line.insert("timestamp".to_owned(), time.into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("target".to_owned(), event.metadata().target().into());
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                line.extend(parsed(fields));
            }
        }
        let mut fields = String::new();
        context.field_format().format_fields(Writer::new(&mut fields), event)?;
        line.extend(parsed(&fields));
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Fields as they were formatted; none where a span has none.
fn parsed(fields: &str) -> Map<String, Value> {
    serde_json::from_str(fields).unwrap_or_default()
}

#[cfg(test)]
mod tests;
