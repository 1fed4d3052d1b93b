//! What a person types at the console, and what the API will take: one JSON object with one command.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sluice_operations::OperationError;
use sluice_transfer::limits::excerpt;
use sluice_transfer::rule::Rule;
use sluice_transfer::{ExportRequest, ImportRequest, Request, RuleName, SeriesName, TransferId};

use crate::error::invalid;
use crate::rule_input::{read_rule, read_rules, rule_name};

/// A command that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A transfer begins, or goes on if it is there with the same request.
    Start(TransferId, Box<Request>),
    /// The next run of a series begins; true to take the place of one that another host began and cannot end.
    Series(Box<ExportRequest>, bool),
    /// All complete runs of a series are imported, each as a transfer of its own: this id and the run's number.
    ImportSeries(TransferId, SeriesName, Box<ImportRequest>),
    /// A paused, failed or stopped transfer goes on.
    Resume(TransferId),
    /// A transfer comes to rest.
    Pause(TransferId),
    /// A transfer is given up.
    Cancel(TransferId),
    /// Limits a transfer, from now on, to this many bytes of payload a second; none for no limit.
    Rate(TransferId, Option<u64>),
    /// Everything that a transfer moved is read again.
    Verify(TransferId),
    /// A transfer is shown.
    Describe(TransferId),
    /// A rule is made, or changed.
    MakeRule(RuleName, Box<Rule>),
    /// All rules are shown.
    Rules,
    /// A rule is removed, and what waits for it.
    RemoveRule(RuleName),
    /// The runs of a rule are made, until nothing is left to do.
    Fire(RuleName),
    /// An execution was stopped from outside: said by the bus, not by a person. None if it ran no transfer.
    Stopped(Option<Stopped>),
}

/// A stopped execution, as the bus tells of it, and the transfer that it ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// What it ran.
    pub ran: Ran,
    /// The execution's ARN.
    pub execution: String,
    /// How it ended, such as ABORTED.
    pub status: String,
    /// What it ended with, if it says.
    pub why: String,
}

/// What an execution ran, as its input tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// A transfer.
    Transfer(TransferId),
    /// The last run of a series, or one that it did not come to.
    Series(Box<ExportRequest>),
    /// A run of a rule, if it came to one.
    Rule(RuleName),
}

const COMMANDS: [&str; 12] = [
    "export",
    "import",
    "resume",
    "pause",
    "cancel",
    "rate",
    "verify",
    "describe",
    "rule",
    "rules",
    "removeRule",
    "fire",
];
const RATE: [&str; 2] = ["id", "rate"];
pub(crate) const EXPORT: [&str; 15] = [
    "stream",
    "to",
    "id",
    "format",
    "compression",
    "from",
    "until",
    "objectSize",
    "partSize",
    "deaggregate",
    "readShare",
    "read",
    "rate",
    "series",
    "takeOver",
];
pub(crate) const IMPORT: [&str; 21] = [
    "source",
    "stream",
    "id",
    "from",
    "until",
    "format",
    "compression",
    "payloadField",
    "keyField",
    "timeField",
    "eventSize",
    "allFiles",
    "pack",
    "append",
    "createTarget",
    "placement",
    "order",
    "pace",
    "onMisfit",
    "rate",
    "series",
];
/// Fields that may be written as a size, such as 256MiB.
const SIZES: [&str; 4] = ["objectSize", "partSize", "eventSize", "rate"];

/// Bytes of an ARN (IAM API reference, `arnType`).
const ARN_BYTES: usize = 2_048;

const EXAMPLE: &str = r#"{"export": {"stream": "kinesis:orders", "to": "s3://bucket/prefix"}}"#;

impl Command {
    /// Reads an input. `name` is the execution's, and the transfer's unless the input names another.
    pub fn read(input: &Value, name: &str) -> Result<Self, OperationError> {
        let Value::Object(input) = input else {
            return Err(invalid(format!("the input is no JSON object; write for example {EXAMPLE}")));
        };
        if let Some(said) = input.get("stopped") {
            return Ok(Self::Stopped(read_stopped(said)));
        }
        for key in input.keys() {
            check_known("the input", key, &COMMANDS)?;
        }
        let mut given = input.iter();
        let (Some((command, body)), None) = (given.next(), given.next()) else {
            return Err(invalid(format!(
                "the input must hold one command, one of {}; write for example {EXAMPLE}",
                COMMANDS.join(", ")
            )));
        };
        let id = |body: &Value| match body {
            Value::String(id) => id.parse().map_err(|error| invalid(format!("{command}: {error}"))),
            _ => Err(invalid(format!(r#"{command}: write the transfer's id, as in {{"{command}": "nightly"}}"#))),
        };
        Ok(match command.as_str() {
            "export" => read_export(command, body, name)?,
            "import" => read_import(command, body, name)?,
            "resume" => Self::Resume(id(body)?),
            "pause" => Self::Pause(id(body)?),
            "cancel" => Self::Cancel(id(body)?),
            "rate" => read_rate(command, body)?,
            "verify" => Self::Verify(id(body)?),
            "rule" => read_rule(body)?,
            "rules" => read_rules(body)?,
            "removeRule" => Self::RemoveRule(rule_name(command, body)?),
            "fire" => Self::Fire(rule_name(command, body)?),
            _ => Self::Describe(id(body)?),
        })
    }

    /// The transfer that it is about, if it is about one that the input names.
    pub fn id(&self) -> Option<&TransferId> {
        match self {
            // Which of its transfers an execution runs, their records say.
            Self::Series(..)
            | Self::ImportSeries(..)
            | Self::MakeRule(..)
            | Self::Rules
            | Self::RemoveRule(_)
            | Self::Fire(_)
            | Self::Stopped(None | Some(Stopped { ran: Ran::Series(_) | Ran::Rule(_), .. })) => None,
            Self::Stopped(Some(Stopped { ran: Ran::Transfer(id), .. }))
            | Self::Start(id, _)
            | Self::Resume(id)
            | Self::Pause(id)
            | Self::Cancel(id)
            | Self::Rate(id, _)
            | Self::Verify(id)
            | Self::Describe(id) => Some(id),
        }
    }
}

/// An export, or the next run of a series, which has an id of its own.
fn read_export(command: &str, body: &Value, name: &str) -> Result<Command, OperationError> {
    let is_run = body.get("series").is_some();
    if is_run && body.get("id").is_some() {
        return Err(invalid(
            "export.id: a run of a series has an id of its own, such as nightly-2026-11-29: leave it out",
        ));
    }
    let name = if is_run { "series" } else { name };
    let (id, mut body) = fields(command, body, name, &EXPORT, &["stream", "to"])?;
    let take_over = match body.remove("takeOver") {
        None => false,
        Some(Value::Bool(take_over)) if is_run => take_over,
        Some(_) => return Err(invalid("export.takeOver: write true, and name the series")),
    };
    let request: ExportRequest = typed(command, body)?;
    if is_run {
        return Ok(Command::Series(Box::new(request), take_over));
    }
    Ok(Command::Start(id, Box::new(Request::Export(request))))
}

/// An import, or one of a whole series.
fn read_import(command: &str, body: &Value, name: &str) -> Result<Command, OperationError> {
    let (id, mut body) = fields(command, body, name, &IMPORT, &["source", "stream"])?;
    let series = match body.remove("series") {
        None => None,
        Some(Value::String(series)) => {
            Some(series.parse().map_err(|error| invalid(format!("import.series: {error}")))?)
        }
        Some(_) => return Err(invalid("import.series: write the name of the series")),
    };
    let request: ImportRequest = typed(command, body)?;
    let Some(series) = series else { return Ok(Command::Start(id, Box::new(Request::Import(request)))) };
    if request.from.is_some() || request.until.is_some() {
        let what = "import.series: all runs are taken whole: leave out from and until, or import the runs that hold \
                    the range";
        return Err(invalid(what));
    }
    Ok(Command::ImportSeries(id, series, Box::new(request)))
}

/// `{"id": "nightly", "rate": "20MB"}`; null for no limit.
fn read_rate(command: &str, body: &Value) -> Result<Command, OperationError> {
    let wrong = || invalid(r#"rate: write {"rate": {"id": "nightly", "rate": "20MB"}}, or null for no limit"#);
    let named = body.get("id").is_some_and(Value::is_string);
    if !named {
        return Err(wrong());
    }
    let (id, body) = fields(command, body, "", &RATE, &["rate"])?;
    match body.get("rate") {
        Some(Value::Null) => Ok(Command::Rate(id, None)),
        Some(rate) => rate.as_u64().map(|rate| Command::Rate(id, Some(rate))).ok_or_else(wrong),
        None => Err(wrong()),
    }
}

/// The detail of a `Step Functions Execution Status Change` (Step Functions developer guide, "Automating event
/// delivery"), handed on by the stack's rule. None if the execution's input was no transfer's.
fn read_stopped(said: &Value) -> Option<Stopped> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Detail {
        execution_arn: String,
        name: String,
        status: String,
        input: String,
        error: Option<String>,
        cause: Option<String>,
    }
    let detail = Detail::deserialize(said).ok().filter(|detail| detail.execution_arn.len() <= ARN_BYTES)?;
    let input: Value = serde_json::from_str(&detail.input).ok()?;
    let ran = match Command::read(&input, &detail.name).ok()? {
        Command::Series(request, _) => Ran::Series(request),
        Command::Fire(rule) => Ran::Rule(rule),
        command => Ran::Transfer(command.id()?.clone()),
    };
    // A cause has up to 32 KiB, and a person may type more; it goes on record.
    let said: Vec<String> = [detail.error, detail.cause].into_iter().flatten().map(excerpt).collect();
    let (status, why) = (excerpt(detail.status), said.join(": "));
    Some(Stopped { ran, execution: detail.execution_arn, status, why })
}

/// A body's fields, all known and the needed ones there, with sizes as numbers; and the transfer's id.
pub(crate) fn fields(
    command: &str,
    body: &Value,
    name: &str,
    known: &[&str],
    needed: &[&str],
) -> Result<(TransferId, Map<String, Value>), OperationError> {
    let Value::Object(body) = body else {
        return Err(invalid(format!("{command}: write its fields as an object; for example {EXAMPLE}")));
    };
    for key in body.keys() {
        check_known(command, key, known)?;
    }
    if let Some(missing) = needed.iter().find(|field| !body.contains_key(**field)) {
        return Err(invalid(format!("{command}: the field '{missing}' is missing; it needs {}", needed.join(" and "))));
    }
    let mut body = body.clone();
    let id = match body.remove("id") {
        None => name.parse().map_err(|error| invalid(format!("{error}; give the transfer an id of its own")))?,
        Some(Value::String(id)) => id.parse().map_err(|error| invalid(format!("{command}.id: {error}")))?,
        Some(_) => return Err(invalid(format!("{command}.id: write a text"))),
    };
    for field in SIZES {
        if let Some(Value::String(text)) = body.get(field) {
            let size: bytesize::ByteSize = text.trim_end_matches("/s").parse().map_err(|_| {
                let text = excerpt(text);
                invalid(format!("{command}.{field}: '{text}' is not a size; write 8388608, 8MiB or 8MB"))
            })?;
            body.insert(field.to_owned(), size.as_u64().into());
        }
    }
    Ok((id, body))
}

pub(crate) fn typed<T: DeserializeOwned>(command: &str, body: Map<String, Value>) -> Result<T, OperationError> {
    serde_path_to_error::deserialize(Value::Object(body))
        .map_err(|error| invalid(format!("{command}.{}: {}", error.path(), excerpt(error.inner()))))
}

pub(crate) fn check_known(place: &str, key: &str, known: &[&str]) -> Result<(), OperationError> {
    if known.contains(&key) {
        return Ok(());
    }
    let shown: String = key.chars().take(60).collect();
    let distance = |there: &&&str| strsim::damerau_levenshtein(&shown.to_lowercase(), &there.to_lowercase());
    let near = known.iter().min_by_key(distance).filter(|there| distance(there) <= 3);
    let hint = near.map_or_else(|| format!("it takes {}", known.join(", ")), |near| format!("did you mean '{near}'?"));
    Err(invalid(format!("{place}: there is no field '{shown}'; {hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sluice_transfer::{Format, OnMisfit, Order, PositionSpec, ReadMode};

    fn refused(input: impl Into<Value>) -> String {
        Command::read(&input.into(), "run-1").unwrap_err().message
    }

    #[test]
    fn what_a_person_types_is_understood() {
        let input = json!({"export": {"stream": "kinesis://orders", "to": "s3://bucket/prefix", "format": "avro",
            "from": "earliest", "until": "ago:1h", "objectSize": "256MiB", "readShare": 0.25, "read": "fanout",
            "rate": "1MB/s"}});
        let request = ExportRequest {
            stream: "kinesis:orders".parse().unwrap(),
            to: "s3://bucket/prefix".parse().unwrap(),
            format: Some(Format::Avro),
            compression: None,
            from: Some(PositionSpec::Earliest),
            until: Some(PositionSpec::Ago(3_600_000)),
            object_size: Some(256 << 20),
            part_size: None,
            series: None,
            deaggregate: false,
            read_share: Some("0.25".parse().unwrap()),
            read: Some(ReadMode::Fanout),
            rate: Some(1_000_000),
        };
        let read = Command::read(&input, "run-1");
        assert_eq!(read, Ok(Command::Start("run-1".parse().unwrap(), Box::new(Request::Export(request)))));
        let input = json!({"import": {"source": "s3://b/x/manifest.json", "stream": "kinesis:copy", "id": "mine"}});
        assert_eq!(Command::read(&input, "run-1").unwrap().id().unwrap().as_str(), "mine");
        let import = json!({"import": {"source": "s3://archive/orders", "stream": "kinesis:copy",
            "from": "shardId-000000000000@7", "until": "2026-11-22T08:00:00Z", "createTarget": true, "order": "none",
            "pace": "10x", "onMisfit": "store"}});
        let Ok(Command::Start(_, read)) = Command::read(&import, "run-1") else { panic!("an import") };
        let Request::Import(read) = *read else { panic!("an import") };
        assert!(read.create_target && read.order == Some(Order::None));
        assert_eq!(read.pace.map(|pace| pace.to_string()).as_deref(), Some("10x"));
        assert_eq!(read.on_misfit, Some(OnMisfit::Store));
        assert!(matches!((read.from, read.until), (Some(PositionSpec::Sequence { .. }), Some(PositionSpec::Time(_)))));
        let run = |more: (&str, Value)| {
            let mut input = json!({"export": {"stream": "kinesis:a", "to": "s3://b", "series": "nightly"}});
            input["export"][more.0] = more.1;
            Command::read(&input, "run-1")
        };
        let Ok(Command::Series(request, true)) = run(("takeOver", json!(true))) else { panic!("a run") };
        assert_eq!(request.series.map(String::from).as_deref(), Some("nightly"));
        assert!(matches!(run(("format", json!("jsonl"))), Ok(Command::Series(_, false))));
        assert!(run(("id", json!("mine"))).unwrap_err().message.contains("an id of its own"));
        let id: TransferId = "nightly".parse().unwrap();
        assert_eq!(Command::read(&json!({"resume": "nightly"}), "x"), Ok(Command::Resume(id.clone())));
        assert_eq!(Command::read(&json!({"pause": "nightly"}), "x"), Ok(Command::Pause(id.clone())));
        assert_eq!(Command::read(&json!({"cancel": "nightly"}), "x"), Ok(Command::Cancel(id.clone())));
        let rate = |rate: Value| Command::read(&json!({"rate": {"id": "nightly", "rate": rate}}), "x");
        assert_eq!(rate(json!("20MB")), Ok(Command::Rate(id.clone(), Some(20_000_000))));
        assert_eq!(rate(json!(5)), Ok(Command::Rate(id.clone(), Some(5))));
        assert_eq!(rate(json!(null)), Ok(Command::Rate(id.clone(), None)));
        assert_eq!(Command::read(&json!({"verify": "nightly"}), "x"), Ok(Command::Verify(id.clone())));
        assert_eq!(Command::read(&json!({"describe": "nightly"}), "x"), Ok(Command::Describe(id)));
    }

    #[test]
    fn what_is_not_understood_is_named_with_the_nearest_known() {
        assert!(refused(json!({"exprot": {}})).contains("'exprot'; did you mean 'export'?"));
        assert!(refused(json!({"Comment": "Insert your JSON here"})).contains("it takes export, import"));
        let body = |field: &str, value: Value| json!({"export": {"stream": "kinesis:a", "to": "s3://b", field: value}});
        assert!(
            refused(body("objectsize", json!(1)))
                .contains("export: there is no field 'objectsize'; did you mean 'objectSize'?")
        );
        assert!(refused(body("objectSize", json!("many"))).contains("export.objectSize: 'many' is not a size"));
        assert!(refused(body("from", json!("yesterday"))).contains("export.from: 'yesterday' is not a position"));
        let share = |share| refused(body("readShare", json!(share)));
        assert!(share(1.5).starts_with("export.readShare: a part of a shard's limits is a number"), "{}", share(1.5));
        let pace = json!({"import": {"source": "s3://b", "stream": "kinesis:a", "pace": "fast"}});
        assert!(refused(pace).starts_with("import.pace: 'fast' is not a pace: write original, max"));
        assert!(refused(body("read", json!("push"))).starts_with("export.read: "));
        assert!(refused(body("format", json!("parquet"))).starts_with("export.format: "));
        assert!(refused(body("id", json!("a/b"))).starts_with("export.id: "));
        assert!(refused(body("takeOver", json!(true))).contains("name the series"));
        assert!(refused(json!({"export": {"to": "s3://b"}})).contains("'stream' is missing"));
        assert!(refused(json!({"import": {"source": "s3://b"}})).contains("'stream' is missing"));
        assert!(refused(json!({"resume": {}})).contains(r#"{"resume": "nightly"}"#));
        assert!(refused(json!({"rate": "20MB"})).contains(r#""id": "nightly""#));
        assert!(refused(json!({"rate": {"rate": "20MB"}})).contains(r#""id": "nightly""#));
        assert!(refused(json!({"rate": {"id": "a", "rate": "fast"}})).contains("'fast' is not a size"));
        assert!(refused(json!({"rate": {"id": "a", "rate": -1}})).contains("null for no limit"));
        assert!(refused(json!({"resume": "a", "pause": "a"})).contains("one command"));
        assert!(refused(body("rate", json!("9".repeat(9_000)))).len() < 500, "nothing is quoted whole");
        assert!(refused(json!([])).contains("no JSON object"));
        assert!(refused(json!({})).contains("one command"));
    }

    #[test]
    fn a_stopped_execution_is_known_by_its_input() {
        let said = |input: &Value| {
            let detail = json!({"executionArn": "arn:e", "name": "run-1", "status": "ABORTED", "startDate": 1,
                "input": input.to_string(), "error": null, "cause": "by hand"});
            Command::read(&json!({ "stopped": detail }), "other")
        };
        let stopped = |id: &str| {
            let (execution, status, why) = ("arn:e".to_owned(), "ABORTED".to_owned(), "by hand".to_owned());
            Ok(Command::Stopped(Some(Stopped { ran: Ran::Transfer(id.parse().unwrap()), execution, status, why })))
        };
        assert_eq!(said(&json!({"export": {"stream": "kinesis:a", "to": "s3://b"}})), stopped("run-1"));
        assert_eq!(said(&json!({"resume": "nightly"})), stopped("nightly"));
        let series = json!({"export": {"stream": "kinesis:a", "to": "s3://b", "series": "nightly"}});
        let Ok(Command::Stopped(Some(Stopped { ran: Ran::Series(request), .. }))) = said(&series) else { panic!() };
        assert_eq!(request.series, Some("nightly".parse().unwrap()));
        let detail = json!({"executionArn": "arn:e", "name": "run-1", "status": "FAILED", "error": "e".repeat(9_000),
            "cause": "c".repeat(9_000), "input": json!({"resume": "nightly"}).to_string()});
        let Ok(Command::Stopped(Some(long))) = Command::read(&json!({ "stopped": detail }), "other") else { panic!() };
        assert!(long.why.len() < 700, "{} bytes of a cause go on record", long.why.len());
        assert_eq!(said(&json!({"exprot": 1})), Ok(Command::Stopped(None)), "a typo ran no transfer");
        assert_eq!(Command::read(&json!({"stopped": {}}), "other"), Ok(Command::Stopped(None)));
    }
}
