//! The workflow and the functions agree on the names of errors, and on where an answer leads.
#![cfg(test)]

use std::collections::BTreeSet;

use serde_json::Value;
use sluice_host::{Next, Refused, SliceNext};
use sluice_operations::{Code, FoundSoFar, OperationError, Replay, Report, Retention, StoredMisfits};
use sluice_transfer::{Aggregates, Cut, Kind, Lacking, LeftOut, MisfitReason, Misfits, Reason, State};

const WORKFLOW: &str = include_str!("../../../infra/workflow/transfer.asl.json");

fn workflow() -> Value {
    serde_json::from_str(WORKFLOW).unwrap()
}

fn names(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn codes() -> BTreeSet<String> {
    let name = |code: &Code| lambda_runtime::Diagnostic::from(Refused(OperationError::new(*code, ""))).error_type;
    Code::ALL.iter().map(name).collect()
}

#[test]
fn retry_and_catch_list_what_functions_answer() {
    let workflow = workflow();
    for name in ["Plan", "PlanAgain", "Settle", "Finish"] {
        let state = &workflow["States"][name];
        assert_eq!(names(&state["Catch"][0]["ErrorEquals"]), codes(), "what is caught by name");
        assert_eq!(names(&state["Catch"][1]["ErrorEquals"]), BTreeSet::from(["States.ALL".to_owned()]));
        let retried = names(&state["Retry"][0]["ErrorEquals"]);
        let ours: Vec<_> = retried.iter().filter(|name| !name.starts_with("Lambda.")).collect();
        // A plan waits less for the newer version that wrote a record: it tells a person.
        let helps_itself: &[&str] = if name == "Plan" { &["Unavailable"] } else { &["Newer", "Unavailable"] };
        assert_eq!(ours, helps_itself, "of our own only what helps itself is tried again");
        if name == "Plan" {
            assert_eq!(names(&state["Retry"][1]["ErrorEquals"]), BTreeSet::from(["Newer".to_owned()]));
        }
        assert!(retried.iter().filter(|name| !ours.contains(name)).all(|name| !codes().contains(name)));
    }
}

/// What the workflow itself calls a failure stands in `shared/ERRORS.md`, and nothing else does under its name.
#[test]
fn the_page_of_errors_has_the_workflows_own_codes() {
    let page = include_str!("../../ERRORS.md");
    let documented: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | workflow |").map(|(code, _)| code))
        .collect();
    let said: BTreeSet<&str> =
        WORKFLOW.split("'code': '").skip(1).filter_map(|rest| rest.split_once('\'').map(|(code, _)| code)).collect();
    assert!(!said.is_empty());
    assert_eq!(documented, said);
}

/// A texts' conditions, wherever they stand below `value`.
fn conditions(value: &Value) -> String {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match (name.as_str(), value) {
                ("Condition", Value::String(text)) => text.clone(),
                (_, value) => conditions(value),
            })
            .collect(),
        Value::Array(values) => values.iter().map(conditions).collect(),
        _ => String::new(),
    }
}

#[test]
fn every_answer_leads_somewhere() {
    let workflow = workflow();
    let text = |next: Value| format!("= '{}'", next.as_str().unwrap());
    let routes = conditions(&workflow["States"]["Route"]);
    for next in [Next::Plan, Next::Move, Next::Settle, Next::Finish, Next::Verify] {
        assert!(routes.contains(&text(serde_json::to_value(next).unwrap())), "{next:?} has a choice of its own");
    }
    assert_eq!(workflow["States"]["Route"]["Default"], "Ended", "End is what is left");
    let again = &workflow["States"]["PlanAgain"]["Arguments"];
    assert_eq!(again["FunctionName"], workflow["States"]["Plan"]["Arguments"]["FunctionName"]);
    assert!(again["Payload"].get("input").is_none(), "a resume that is read again would undo a pause since");
    // Behind the end of a rule's run the execution plans again, from its own input.
    for state in ["Settle", "Finish"] {
        let fired = &workflow["States"][state]["Arguments"]["Payload"]["fired"];
        assert_eq!(
            fired,
            "{% $exists($states.context.Execution.Input.fire) or \
             $exists($states.context.Execution.Input.import.series) %}",
            "{state}"
        );
    }
    let lane = conditions(&workflow["States"]["Wave"]["ItemProcessor"]["States"]["Judge"]);
    assert!(lane.contains(&text(serde_json::to_value(SliceNext::Done).unwrap())));
    let slice = workflow["States"]["Wave"]["ItemProcessor"]["States"]["Slice"]["Output"].to_string();
    assert!(slice.contains(&text(serde_json::to_value(SliceNext::Trouble).unwrap())), "troubles are counted");
    // Where no function answers the workflow counts by itself: calls and deaths apart, and both have a bound.
    assert!(lane.contains("deaths >= 40") && lane.contains("calls >= 150"), "{lane}");
    let handed = &workflow["States"]["Wave"]["ItemProcessor"]["States"]["Slice"]["Arguments"]["Payload"];
    for (name, counted) in [("before", "slices"), ("most", "most"), ("troubles", "troubles")] {
        assert_eq!(handed[name], format!("{{% $states.input.{counted} %}}"), "what the function judges by");
    }
}

/// What the bus is told has the shape that its schema promises.
#[test]
fn events_are_as_their_schema_says() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../infra/events/transfer-state-change.v2.json")).unwrap();
    let detail = &workflow()["States"]["Emit"]["Arguments"]["Entries"][0]["Detail"];
    assert_eq!(detail["version"], schema["properties"]["version"]["const"]);
    let transfer = &schema["properties"]["transfer"];
    let promised = names(&transfer["required"]);
    let described: BTreeSet<String> = transfer["properties"].as_object().unwrap().keys().cloned().collect();
    let optional: BTreeSet<String> = described.difference(&promised).cloned().collect();
    assert!(promised.is_subset(&described));
    let mut report = Report {
        id: "nightly".parse().unwrap(),
        kind: Kind::Export,
        state: State::Completed,
        events: 1,
        bytes: 2,
        objects: 3,
        slices: 4,
        progress: Some(1.0),
        eta_seconds: None,
        lag_seconds: None,
        cut: Cut::default(),
        manifest: None,
        error: None,
        from: "kinesis:orders".to_owned(),
        to: "s3://archive".to_owned(),
        bytes_per_second: 0.0,
        gaps: 0,
        gap_ranges: Vec::new(),
        lacking: None,
        misfits: None,
        aggregates: Aggregates::default(),
        created_at: "2026-11-23T00:00:00Z".to_owned(),
        ended_at: Some("2026-11-23T00:00:01Z".to_owned()),
        duration_seconds: 1.0,
        average_bytes_per_second: 2.0,
        bytes_written: Some(2),
        rate: None,
        retention: None,
        series: None,
        replay: None,
        planning: None,
        left_out: LeftOut::default(),
        notes: Vec::new(),
    };
    let told = serde_json::to_value(&report).unwrap();
    assert_eq!(told.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>(), promised);
    let properties = &transfer["properties"]["lacking"];
    for (lacking, example) in [Lacking { payload: 0, key: 12, time: 3 }, Lacking::default()]
        .into_iter()
        .zip(properties["examples"].as_array().unwrap())
    {
        report.lacking = Some(lacking);
        assert_eq!(serde_json::to_value(&report).unwrap()["lacking"], *example);
    }
    let whole = serde_json::to_value(Lacking { payload: 1, key: 1, time: 1 }).unwrap();
    let fields: BTreeSet<&String> = whole.as_object().unwrap().keys().collect();
    assert_eq!(properties["properties"].as_object().unwrap().keys().collect::<BTreeSet<_>>(), fields);
    report.aggregates = Aggregates { records: 12, user_records: 4_000 };
    let told = serde_json::to_value(&report).unwrap()["aggregates"].clone();
    assert_eq!(told, transfer["properties"]["aggregates"]["examples"][0]);
    let (size, headers) = (Misfits::of(MisfitReason::Size, 2_000_000), Misfits::of(MisfitReason::Headers, 35));
    let folder = "s3://sluice-1a2b/imports/nightly/misfits/".to_owned();
    report.misfits = Some(StoredMisfits { misfits: [&size, &headers, &headers].into_iter().sum(), folder });
    let told = serde_json::to_value(&report).unwrap()["misfits"].clone();
    assert_eq!(told, transfer["properties"]["misfits"]["examples"][0]);
    report.retention = Some(Retention {
        seconds: 86_400,
        headroom_seconds: Some(7_200),
        overtaken_at: Some("2026-11-23T02:00:00Z".to_owned()),
    });
    let told = serde_json::to_value(&report).unwrap()["retention"].clone();
    assert_eq!(told, transfer["properties"]["retention"]["examples"][0]);
    let fields: BTreeSet<&String> = told.as_object().unwrap().keys().collect();
    let described = transfer["properties"]["retention"]["properties"].as_object().unwrap();
    assert_eq!(described.keys().collect::<BTreeSet<_>>(), fields);
    report.replay = Some(Replay {
        pace: "original".parse().unwrap(),
        ends_at: Some("2026-11-23T03:20:00Z".to_owned()),
        next_at: Some("2026-11-23T01:00:00Z".to_owned()),
        late_seconds: 0,
        most_late_seconds: 4,
    });
    let told = serde_json::to_value(&report).unwrap()["replay"].clone();
    assert_eq!(told, transfer["properties"]["replay"]["examples"][0]);
    let fields: BTreeSet<&String> = told.as_object().unwrap().keys().collect();
    let described = transfer["properties"]["replay"]["properties"].as_object().unwrap();
    assert_eq!(described.keys().collect::<BTreeSet<_>>(), fields);
    report.planning = Some(FoundSoFar { sources: 250_000, bytes: 1_000_000_000 });
    let told = serde_json::to_value(&report).unwrap()["planning"].clone();
    assert_eq!(told, transfer["properties"]["planning"]["examples"][0]);
    report.left_out.add(Reason::Hidden, "_SUCCESS");
    report.notes.push("shard 0: times are out of order".to_owned());
    let more = serde_json::to_value(&report).unwrap();
    let more: BTreeSet<String> = more.as_object().unwrap().keys().cloned().collect();
    assert_eq!(more.difference(&promised).cloned().collect::<BTreeSet<_>>(), optional);
    let states: Vec<String> = State::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(serde_json::to_value(states).unwrap(), transfer["properties"]["state"]["enum"]);
}
