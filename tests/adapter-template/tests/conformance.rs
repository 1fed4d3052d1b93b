//! The adapter against the port's suite, and what the suite cannot ask of a store: answers that are missing.
#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sluice_adapter_template::TopicStream;
use sluice_adapter_template::broker::{Broker, Refused};
use sluice_ports::{ErrorKind, NewEvent, Read, ReadLimit, StreamAdmin, StreamReader, StreamStore, append_once};
use sluice_transfer::{Position, ShardId, Timestamp, Value};

#[tokio::test]
async fn it_keeps_its_promises() {
    let (broker, topics) = (Arc::new(Broker::new()), AtomicU32::new(0));
    sluice_conformance::stream::run(|_| {
        let topic = format!("topic-{}", topics.fetch_add(1, Ordering::Relaxed));
        std::future::ready(Arc::new(TopicStream::new(broker.clone(), topic)) as Arc<dyn StreamStore>)
    })
    .await;
}

/// An append that is not answered may have happened, so it is never sent again.
#[tokio::test]
async fn an_append_is_made_once() {
    let broker = Arc::new(Broker::new());
    let (stream, shard) = (TopicStream::new(broker.clone(), "orders"), "0".parse::<ShardId>().unwrap());
    stream.create(1).await.unwrap();
    let payload = Value::from("payload");
    let event = NewEvent { time: Timestamp::from_millis(7), key: Value::from("key"), headers: Vec::new(), payload };
    for (trouble, kind, stored) in
        [(Refused::TimedOut, ErrorKind::Indeterminate, 1), (Refused::Busy, ErrorKind::Throttled, 1)]
    {
        broker.trouble(trouble);
        let answer = append_once(&stream, &shard, None, &Position::Beginning, std::slice::from_ref(&event)).await;
        assert_eq!(answer.unwrap_err().kind(), kind);
        let read = stream.read(&shard, &Position::Beginning, ReadLimit::new(10, 1_000)).await.unwrap();
        let Read::Events { events, .. } = read else { panic!("{read:?}") };
        assert_eq!(events.len(), stored, "after {trouble:?}");
    }
}
