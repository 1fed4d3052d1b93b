//! Rules as a person types them.

use serde_json::{Map, Value};
use sluice_operations::OperationError;
use sluice_transfer::rule::{GATHER_SECONDS, On, Rule};
use sluice_transfer::{Request, RuleName};

use crate::command::{Command, EXPORT, IMPORT, check_known, fields, typed};
use crate::error::invalid;

const RULE: [&str; 5] = ["name", "on", "import", "export", "gather"];
const ON: [&str; 3] = ["bucket", "prefix", "suffix"];
/// Fields of an import that a rule says itself, or that mean one source alone.
const NOT_IN_IMPORT: [&str; 6] = ["source", "id", "append", "from", "until", "series"];
/// Fields of an export that mean one run alone.
const NOT_IN_EXPORT: [&str; 2] = ["id", "takeOver"];

const EXAMPLE: &str = r#"{"rule": {"name": "replay", "on": {"bucket": "incoming", "prefix": "orders/"}, "import": {"stream": "kinesis:orders", "format": "lines"}}}"#;

fn object<'a>(place: &str, value: &'a Value) -> Result<&'a Map<String, Value>, OperationError> {
    value.as_object().ok_or_else(|| invalid(format!("{place}: write its fields as an object; for example {EXAMPLE}")))
}

fn without(known: &[&'static str], not: &[&str]) -> Vec<&'static str> {
    known.iter().copied().filter(|field| !not.contains(field)).collect()
}

/// The name of a rule, as `{"fire": "replay"}` has it.
pub(crate) fn rule_name(command: &str, body: &Value) -> Result<RuleName, OperationError> {
    match body {
        Value::String(name) => name.parse().map_err(|error| invalid(format!("{command}: {error}"))),
        _ => Err(invalid(format!(r#"{command}: write the rule's name, as in {{"{command}": "replay"}}"#))),
    }
}

/// `{"rules": {}}`.
pub(crate) fn read_rules(body: &Value) -> Result<Command, OperationError> {
    match body {
        Value::Object(body) if body.is_empty() => Ok(Command::Rules),
        _ => Err(invalid(r#"rules: write {"rules": {}}, which shows all"#)),
    }
}

/// A rule, as [`EXAMPLE`] has it.
pub(crate) fn read_rule(body: &Value) -> Result<Command, OperationError> {
    let body = object("rule", body)?;
    for key in body.keys() {
        check_known("rule", key, &RULE)?;
    }
    let name = body.get("name").ok_or_else(|| invalid(format!("rule: the field 'name' is missing: {EXAMPLE}")))?;
    let name = rule_name("rule.name", name)?;
    let on = body.get("on").map(read_on).transpose()?;
    let gather = match body.get("gather") {
        None => GATHER_SECONDS,
        Some(seconds) => seconds
            .as_u64()
            .and_then(|seconds| u32::try_from(seconds).ok())
            .ok_or_else(|| invalid("rule.gather: write whole seconds, such as 5"))?,
    };
    let starts = match (body.get("import"), body.get("export")) {
        (Some(import), None) => {
            let place = "rule.import";
            // Of no use but to be checked as an import's: each run has an id of its own.
            let (_, mut import) = fields(place, import, "rule", &without(&IMPORT, &NOT_IN_IMPORT), &["stream"])?;
            let on = on
                .as_ref()
                .ok_or_else(|| invalid(format!("rule.on is missing: an import waits for objects: {EXAMPLE}")))?;
            import.insert("source".to_owned(), format!("s3://{}/{}", on.bucket, on.prefix).into());
            import.insert("append".to_owned(), true.into());
            Request::Import(typed(place, import)?)
        }
        (None, Some(export)) => {
            let place = "rule.export";
            let (_, export) = fields(place, export, "rule", &without(&EXPORT, &NOT_IN_EXPORT), &["stream", "to"])?;
            Request::Export(typed(place, export)?)
        }
        _ => return Err(invalid(format!("rule: write one of import and export, which it starts: {EXAMPLE}"))),
    };
    Ok(Command::MakeRule(name, Box::new(Rule { on, starts, gather })))
}

fn read_on(on: &Value) -> Result<On, OperationError> {
    let on = object("rule.on", on)?;
    for key in on.keys() {
        check_known("rule.on", key, &ON)?;
    }
    if !on.contains_key("bucket") {
        return Err(invalid("rule.on: the field 'bucket' is missing"));
    }
    typed("rule.on", on.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sluice_transfer::SourceFormat;

    fn read(input: &Value) -> Result<Command, OperationError> {
        Command::read(input, "run-1")
    }

    #[test]
    fn a_rule_is_understood() {
        let input = json!({"rule": {"name": "replay", "on": {"bucket": "incoming", "prefix": "orders/", "suffix": ".jsonl"},
            "import": {"stream": "kinesis:orders", "format": "lines", "rate": "1MB"}}});
        let Ok(Command::MakeRule(name, rule)) = read(&input) else { panic!("a rule") };
        assert_eq!((name.as_str(), rule.gather), ("replay", 5));
        let Request::Import(import) = rule.starts else { panic!("an import") };
        assert!(import.append && import.format == Some(SourceFormat::Lines) && import.rate == Some(1_000_000));
        assert_eq!(import.source.to_string(), "s3://incoming/orders/");
        let input = json!({"rule": {"name": "out", "gather": 0,
            "export": {"stream": "kinesis:orders", "to": "s3://archive", "series": "nightly"}}});
        let Ok(Command::MakeRule(_, rule)) = read(&input) else { panic!("a rule") };
        assert!(rule.on.is_none() && matches!(rule.starts, Request::Export(_)) && rule.gather == 0);
        assert_eq!(read(&json!({"rules": {}})), Ok(Command::Rules));
        let name = || "replay".parse().unwrap();
        assert_eq!(read(&json!({"removeRule": "replay"})), Ok(Command::RemoveRule(name())));
        assert_eq!(read(&json!({"fire": "replay"})), Ok(Command::Fire(name())));
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_named() {
        let refused = |rule: Value| read(&json!({ "rule": rule })).unwrap_err().message;
        let import = || json!({"stream": "kinesis:orders"});
        let on = || json!({"bucket": "incoming"});
        let wrong = json!({"name": "a", "on": on(), "import": {"stream": "kinesis:a", "source": "s3://b"}});
        assert!(refused(wrong).starts_with("rule.import: there is no field 'source'"));
        let wrong = json!({"name": "a", "on": on(), "import": {"stream": "kinesis:a", "format": "csv"}});
        assert!(refused(wrong).starts_with("rule.import.format: "));
        assert!(refused(json!({"name": "a/b", "on": on(), "import": import()})).starts_with("rule.name: "));
        assert!(refused(json!({"on": on(), "import": import()})).contains("'name' is missing"));
        assert!(refused(json!({"name": "a", "import": import()})).contains("rule.on is missing"));
        assert!(
            refused(json!({"name": "a", "on": {"prefix": "x"}, "import": import()})).contains("'bucket' is missing")
        );
        assert!(
            refused(json!({"name": "a", "on": {"bucket": "x", "prefx": "x"}, "import": import()}))
                .contains("'prefix'?")
        );
        assert!(refused(json!({"name": "a", "on": on()})).contains("one of import and export"));
        assert!(refused(json!({"name": "a", "on": on(), "import": import(), "gather": -1})).starts_with("rule.gather"));
        assert!(refused(json!({"name": "a", "on": on(), "imprt": import()})).contains("did you mean 'import'?"));
        assert!(refused(json!([])).contains("as an object"));
        assert!(read(&json!({"rules": "all"})).unwrap_err().message.contains(r#"{"rules": {}}"#));
        assert!(read(&json!({"fire": 1})).unwrap_err().message.contains(r#"{"fire": "replay"}"#));
    }
}
