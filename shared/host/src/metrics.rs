//! Metrics in CloudWatch's embedded format (CloudWatch user guide, "Specification: Embedded metric format"): a line of
//! the log, so no call and no right of its own. Dimensions are the stack and the kind of transfer, never more: each
//! value of a dimension is a metric that is paid for. The transfer is a property.
//!
//! **Invariant.** A line passes every log level. Lambda takes a line without a level or a time for INFO and drops it
//! where the function's application log level is higher (AWS Lambda developer guide, "Log-level filtering").

use serde_json::{Map, Value, json};
use sluice_transfer::{Kind, Timestamp, TransferId};

/// The highest level that Lambda knows. No other line has it.
const LEVEL: &str = "FATAL";

/// One line of metrics.
#[derive(Debug)]
pub(crate) struct Metrics<'a> {
    pub stack: &'a str,
    /// The kind of transfer that is measured; none for a measure of the stack's.
    pub of: Option<Kind>,
    pub transfer: Option<&'a TransferId>,
    pub at: Timestamp,
    /// Name, unit, value.
    pub values: Vec<(&'static str, &'static str, f64)>,
}

impl Metrics<'_> {
    fn line(&self) -> Value {
        let named: Vec<Value> = self.values.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
        let dimensions = if self.of.is_some() { json!([["Stack", "Kind"]]) } else { json!([["Stack"]]) };
        let mut line = Map::new();
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": self.at.micros() / 1_000,
                "CloudWatchMetrics": [{"Namespace": "Sluice", "Dimensions": dimensions, "Metrics": named}],
            }),
        );
        line.insert("timestamp".to_owned(), self.at.to_string().into());
        line.insert("level".to_owned(), LEVEL.into());
        line.insert("message".to_owned(), "metrics".into());
        line.insert("Stack".to_owned(), self.stack.into());
        line.extend(self.of.map(|kind| ("Kind".to_owned(), json!(kind))));
        line.extend(self.transfer.map(|transfer| ("Transfer".to_owned(), json!(transfer))));
        line.extend(self.values.iter().map(|(name, _, value)| ((*name).to_owned(), json!(value))));
        Value::Object(line)
    }

    /// Writes it.
    pub(crate) fn emit(&self) {
        use std::io::Write;
        // A log that cannot be written is no reason to fail.
        let _ = writeln!(std::io::stdout().lock(), "{}", self.line());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_the_format_asks() {
        let transfer = "nightly".parse().unwrap();
        let values = vec![("BytesMoved", "Bytes", 7.0)];
        let at = Timestamp::from_millis(1_000);
        let line = Metrics { stack: "s", of: Some(Kind::Export), transfer: Some(&transfer), at, values }.line();
        assert_eq!(
            line,
            json!({
                "_aws": {"Timestamp": 1_000, "CloudWatchMetrics": [{
                    "Namespace": "Sluice", "Dimensions": [["Stack", "Kind"]],
                    "Metrics": [{"Name": "BytesMoved", "Unit": "Bytes"}],
                }]},
                "timestamp": "1970-01-01T00:00:01Z", "level": "FATAL", "message": "metrics",
                "Stack": "s", "Kind": "export", "Transfer": "nightly", "BytesMoved": 7.0,
            })
        );
    }
}
