//! What a person types at the console, and what the bus tells, as the functions get it.

use serde_json::{Value, json};
use sluice_host::Command;
use sluice_transfer::Request;

use crate::answers::{brief, named};

/// What of an input goes on record besides its request.
const LONGEST_REASON: usize = 4_000;

/// The execution's name on the first line, its input on the others.
pub fn inputs(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (name, input) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(input) = serde_json::from_str::<Value>(input) else { return };
    match Command::read(&input, name) {
        Ok(Command::Start(id, request)) => {
            // Asked for once more, as it is kept, under its id: the same.
            let kept = match &*request {
                Request::Export(export) => json!({ "export": export }),
                Request::Import(import) => json!({ "import": import }),
            };
            let again = Command::read(&kept, id.as_str()).expect("a request that was taken is taken again");
            assert_eq!(again, Command::Start(id, request));
        }
        Ok(Command::Stopped(Some(stopped))) => {
            for text in [&stopped.execution, &stopped.status, &stopped.why] {
                assert!(text.len() <= LONGEST_REASON, "{} bytes of a stop go on record", text.len());
            }
        }
        Ok(command) => assert!(command.id().is_none_or(|id| !id.as_str().is_empty())),
        Err(error) => brief(&error.message),
    }
}

fn input(name: &str, input: &Value) -> Vec<u8> {
    format!("{name}\n{input}").into_bytes()
}

/// Where mutating begins.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let export = json!({"export": {"stream": "kinesis:orders", "to": "s3://b/p", "id": "mine", "format": "jsonl",
        "compression": "zstd", "from": "ago:1h", "until": "latest", "objectSize": "256MiB", "partSize": 8_388_608,
        "rate": "1MB/s"}});
    let import = json!({"import": {"source": "s3://b/p/manifest.json", "stream": "kinesis:copy", "format": "jsonl",
        "payloadField": "p", "keyField": "k", "timeField": "t", "pack": true, "append": false}});
    let stopped = |input: &Value, cause: &str| {
        json!({"stopped": {"executionArn": "arn:e", "name": "run-1", "status": "ABORTED", "input": input.to_string(),
            "error": "States.Runtime", "cause": cause}})
    };
    let mut within = export.clone();
    for _ in 0..5 {
        within = stopped(&within, "");
    }
    let long = "9".repeat(9_000);
    named(vec![
        ("export", input("run-1", &export)),
        ("import", input("run-1", &import)),
        ("resume", input("run-1", &json!({"resume": "nightly"}))),
        ("pause", input("run-1", &json!({"pause": "nightly"}))),
        ("describe", input("run-1", &json!({"describe": "nightly"}))),
        ("stopped", input("run-2", &stopped(&export, "by hand"))),
        ("stopped-within", input("run-2", &within)),
        ("stopped-for-a-long-reason", input("run-2", &stopped(&export, &long))),
        ("a-long-size", input("run-1", &json!({"export": {"stream": "kinesis:a", "to": "s3://b", "rate": long}}))),
        ("a-long-id", input(&long, &json!({"resume": long}))),
        ("a-long-name", input(&long, &json!({"export": {"stream": "kinesis:a", "to": "s3://b"}}))),
        ("a-long-field", input("run-1", &json!({ long.clone(): 1 }))),
        ("deep", [&b"run-1\n"[..], &b"{\"export\":".repeat(5_000)].concat()),
    ])
}
