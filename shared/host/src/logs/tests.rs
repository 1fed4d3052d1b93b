use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::*;
use crate::rig::{SECRET, begin, handed, host, invocation};

/// What was written, for all who write.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An export and an import of what it wrote, up to their ends.
async fn transfers() {
    let host = host(500).await;
    let long = invocation(&host, 600_000);
    for id in ["export", "import"] {
        begin(&host, id).await;
        let slice = json!({"id": id, "lane": 0, "of": 1, "slice": "execution#0", "died": null});
        let answer = match id {
            "export" => crate::export(&host, handed(slice), &long).await.unwrap(),
            _ => crate::import(&host, handed(slice), &long).await.unwrap(),
        };
        assert_eq!(answer.outcome, "done");
        crate::settle(&host, handed(json!({"id": id})), &long).await.unwrap();
        crate::finish(&host, handed(json!({"id": id, "next": "finish"})), &long).await.unwrap();
    }
}

fn lines(level: LevelFilter) -> Vec<Map<String, Value>> {
    let written = Written::default();
    let writer = written.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    // Without a subscriber first: a place that logs, and that another test's thread comes to just while this one begins to
    // listen, would stay silent for good.
    runtime.block_on(transfers());
    let subscriber = subscriber(level, move || writer.clone());
    tracing::subscriber::with_default(subscriber, || runtime.block_on(transfers()));
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains(SECRET), "neither keys nor payloads of events: {text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_line_says_whose_it_is() {
    // All that is ever logged, so that what a line must not hold is looked for everywhere.
    let lines = lines(LevelFilter::TRACE);
    for message in ["an object is sealed", "the shard is drained"] {
        let found: Vec<_> = lines.iter().filter(|line| line["message"] == message).collect();
        assert!(!found.is_empty(), "{message}: {lines:?}");
        for line in found {
            let fields = ["level", "shard", "epoch", "generation", "slice"].map(|name| line[name].clone());
            assert_eq!(fields, [json!("INFO"), json!("0"), json!(1), json!(1), json!("execution#0")], "{line:?}");
            assert!(line["transfer"] == "export" || line["transfer"] == "import", "{line:?}");
        }
    }
    let sealed = lines.iter().find(|line| line["message"] == "an object is sealed").unwrap();
    assert_eq!(sealed["object"], 0);
    assert!(sealed["size"].as_u64().unwrap() > 65_536);
    for line in &lines {
        for name in ["timestamp", "level", "message", "transfer", "slice", "generation"] {
            assert!(line.contains_key(name), "{name} is missing: {line:?}");
        }
    }
    assert!(lines.iter().any(|line| line["slice"] == "request-1" && line["message"] == "settled"));
}

/// What watches the logs alone knows how much each transfer moved.
#[test]
fn lines_hold_the_totals() {
    let lines = lines(LevelFilter::INFO);
    let sum = |field: &str| -> u64 {
        let sealed = lines.iter().filter(|line| line["message"] == "an object is sealed");
        sealed.map(|line| line[field].as_u64().unwrap()).sum()
    };
    for transfer in ["export", "import"] {
        let told = |line: &&Map<String, Value>| line["transfer"] == transfer && line["message"] == "finishing";
        let last = lines.iter().rfind(told).unwrap();
        assert_eq!((&last["kind"], &last["state"]), (&json!(transfer), &json!("COMPLETED")), "{last:?}");
        let totals = [sum("events"), sum("bytes")];
        assert_eq!([&last["events"], &last["bytes"]].map(|number| number.as_u64().unwrap()), totals, "{last:?}");
        assert_eq!(totals[0], 500);
    }
    let objects = lines.iter().filter(|line| line["message"] == "an object is sealed").count();
    let last = lines.iter().rfind(|line| line["message"] == "finishing" && line["transfer"] == "export").unwrap();
    assert_eq!(last["objects"], objects);
}
