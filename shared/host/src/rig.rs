//! A host over stores in memory, for the tests.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use sluice_memory::{MemoryCheckpoints, MemoryPlaces};
use sluice_operations::{Engine, plan};
use sluice_ports::{NewEvent, StreamAdmin, append_once};
use sluice_transfer::{ExportRequest, Format, ImportRequest, Position, Request, Timestamp, TransferId, Value};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::function::{Host, Invocation};

/// In all keys and payloads of the events.
pub(crate) const SECRET: &str = "hush-hush";

/// A host whose source stream has one shard with this many events of some 1,000 bytes.
pub(crate) async fn host(events: usize) -> Host {
    host_of(&MemoryPlaces::default(), events).await
}

/// The same over these places, which have no source yet.
pub(crate) async fn host_of(places: &MemoryPlaces, events: usize) -> Host {
    places.source.create(1).await.unwrap();
    let event = || NewEvent {
        time: Timestamp::from_millis(0),
        key: Value::Bytes(Bytes::from_static(SECRET.as_bytes())),
        headers: Vec::new(),
        payload: Value::Bytes(Bytes::from(SECRET.repeat(1_000 / SECRET.len()))),
    };
    let events: Vec<_> = std::iter::repeat_with(event).take(events).collect();
    append_once(&places.source, &"0".parse().unwrap(), None, &Position::Beginning, &events).await.unwrap();
    let config = Config::read(|name| {
        let number = ["SECONDS", "SIZE", "MEMORY", "DAYS"].iter().any(|end| name.ends_with(end));
        let other = if name.ends_with("SHARE") { "0.5" } else { "x" };
        Some(if number { "256" } else { other }.to_owned())
    });
    let config = config.unwrap();
    let (checkpoints, clock) = (Arc::new(MemoryCheckpoints::default()), Arc::new(SystemClock));
    let sweep = checkpoints.clone();
    let settings = config.settings();
    Host {
        engine: Engine { checkpoints, places: Arc::new(places.clone()), clock, settings },
        sweep,
        executions: None,
        config,
    }
}

/// An invocation that still has this many milliseconds.
pub(crate) fn invocation(host: &Host, millis: u64) -> Invocation {
    Invocation { request: "request-1".to_owned(), deadline: host.engine.clock.now().plus_millis(millis) }
}

/// What the workflow hands on.
pub(crate) fn handed<T: DeserializeOwned>(json: Json) -> T {
    serde_json::from_value(json).unwrap()
}

/// Plans the transfer that is called `export` or `import`.
pub(crate) async fn begin(host: &Host, id: &str) {
    let id: TransferId = id.parse().unwrap();
    let request = match id.as_str() {
        "export" => Request::Export(ExportRequest {
            format: Some(Format::Avro),
            compression: Some(sluice_transfer::Compression::Plain),
            object_size: Some(100_000),
            part_size: Some(100_000),
            ..ExportRequest::new("memory:source".parse().unwrap(), "memory:archive".parse().unwrap())
        }),
        _ => Request::Import(ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap())),
    };
    plan(&host.engine, &id, &request, "execution").await.unwrap();
}
