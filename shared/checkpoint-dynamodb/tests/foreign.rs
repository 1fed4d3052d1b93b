//! The adapter against a server that somebody else wrote: the suite, and lost answers.
//!
//! `SLUICE_TEST_DYNAMODB` is the endpoint of one, such as `http://127.0.0.1:4566`; without it nothing is run, and that
//! is said.
#![cfg(test)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use sluice_checkpoint_dynamodb::{BY_STATE, DynamoCheckpoints};
use sluice_ports::{CheckpointStore, Created, ErrorKind, Stored};
use sluice_transfer::record::{DestinationRecord, LedgerPage, ShardRecord, Work};
use sluice_transfer::{DestinationName, Position, Range};

/// A table as the stack's template makes it, that nobody used before.
async fn table(client: &Client) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("sluice-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let attribute =
        |name: &str, kind| AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap();
    let index = GlobalSecondaryIndex::builder()
        .index_name(BY_STATE)
        .key_schema(key("state", KeyType::Hash))
        .key_schema(key("createdAt", KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::All).build());
    let request = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    request
        .attribute_definitions(attribute("pk", ScalarAttributeType::S))
        .attribute_definitions(attribute("sk", ScalarAttributeType::S))
        .attribute_definitions(attribute("state", ScalarAttributeType::S))
        .attribute_definitions(attribute("createdAt", ScalarAttributeType::N))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .global_secondary_indexes(index.build().unwrap())
        .send()
        .await
        .unwrap();
    name
}

fn client(endpoint: &str) -> Client {
    common::client_of(endpoint, |real| real)
}

async fn fresh(client: &Client) -> DynamoCheckpoints {
    DynamoCheckpoints::new(client.clone(), table(client).await)
}

fn shard() -> ShardRecord {
    let idle = DestinationRecord::new(Position::Beginning);
    let work = Work::Export([(DestinationName::only(), idle)].into());
    let range = Range { from: Position::Beginning, until: Position::End };
    ShardRecord::new("t".parse().unwrap(), "0".parse().unwrap(), range, None, work)
}

fn pages(text: &str) -> [(DestinationName, LedgerPage); 1] {
    let page = LedgerPage { version: 1, object: text.len() as u64, incarnation: 0, index: 0, entries: Vec::new() };
    [(DestinationName::only(), page)]
}

#[tokio::test]
async fn a_foreign_server_conforms() {
    let Some(endpoint) = common::endpoint() else { return };
    let client = client(&endpoint);
    sluice_conformance::checkpoint::run(async || Arc::new(fresh(&client).await) as Arc<dyn CheckpointStore>).await;
    sluice_conformance::sweep::run(async || Arc::new(fresh(&client).await)).await;
}

/// Carries requests out and loses the answers to some: those of one operation, so many of them.
#[derive(Debug)]
struct Lossy {
    inner: SharedHttpConnector,
    operation: &'static str,
    to_lose: Arc<AtomicUsize>,
}

impl HttpConnector for Lossy {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let hit = request.headers().get("x-amz-target").is_some_and(|target| target.ends_with(self.operation));
        let lose =
            hit && self.to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            if lose { Err(ConnectorError::io("the connection broke".into())) } else { Ok(answer) }
        })
    }
}

/// A store with a shard in it that will lose so many answers, and one on the same data that will not.
async fn lossy(endpoint: &str, operation: &'static str) -> (DynamoCheckpoints, DynamoCheckpoints, Arc<AtomicUsize>) {
    let to_lose = Arc::new(AtomicUsize::new(0));
    let counter = to_lose.clone();
    let losing = common::client_of(endpoint, move |inner| Lossy { inner, operation, to_lose: counter.clone() });
    let sound = client(endpoint);
    let table = table(&sound).await;
    let sound = DynamoCheckpoints::new(sound, &table);
    sound.create_shard(&shard()).await.unwrap();
    (DynamoCheckpoints::new(losing, &table), sound, to_lose)
}

#[tokio::test]
async fn a_write_that_landed_without_an_answer_is_done() {
    let Some(endpoint) = common::endpoint() else { return };
    for (operation, pages) in [("PutItem", &[][..]), ("TransactWriteItems", &pages("x")[..])] {
        let (store, sound, to_lose) = lossy(&endpoint, operation).await;
        let mut record = shard();
        for times in 1..4 {
            to_lose.store(times, Ordering::SeqCst);
            record.revision += 1;
            record.epoch += 1;
            assert_eq!(store.update_shard(&record, pages).await.unwrap(), Stored::Done, "{operation}");
            assert_eq!(to_lose.load(Ordering::SeqCst), 0, "{operation}: nothing was lost, so this shows nothing");
            assert_eq!(sound.shard(&record.transfer, &record.shard).await.unwrap().as_ref(), Some(&record));
        }
        // Somebody else's record under the same revision is still a mismatch.
        to_lose.store(1, Ordering::SeqCst);
        let other = ShardRecord { slices: 99, ..record.clone() };
        assert_eq!(store.update_shard(&other, pages).await.unwrap(), Stored::Mismatch, "{operation}");
    }
}

#[tokio::test]
async fn a_write_that_is_never_answered_may_have_happened() {
    let Some(endpoint) = common::endpoint() else { return };
    for (operation, pages) in [("PutItem", &[][..]), ("TransactWriteItems", &pages("x")[..])] {
        let (store, sound, to_lose) = lossy(&endpoint, operation).await;
        to_lose.store(usize::MAX, Ordering::SeqCst);
        let record = ShardRecord { revision: 2, ..shard() };
        let error = store.update_shard(&record, pages).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        assert!(error.to_string().contains("transfer#t#shard#0 SHARD"), "{error}");
        assert_eq!(sound.shard(&record.transfer, &record.shard).await.unwrap(), Some(record.clone()));
        to_lose.store(0, Ordering::SeqCst);
        assert_eq!(store.update_shard(&record, pages).await.unwrap(), Stored::Done, "sent again");
    }
    let (store, _, to_lose) = lossy(&endpoint, "GetItem").await;
    to_lose.store(usize::MAX, Ordering::SeqCst);
    let error = store.shard(&shard().transfer, &shard().shard).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_record_made_without_an_answer_was_there_before() {
    let Some(endpoint) = common::endpoint() else { return };
    let (store, _, to_lose) = lossy(&endpoint, "PutItem").await;
    to_lose.store(1, Ordering::SeqCst);
    let record = ShardRecord { shard: "1".parse().unwrap(), ..shard() };
    assert_eq!(store.create_shard(&record).await.unwrap(), Created::Before(record));
    to_lose.store(1, Ordering::SeqCst);
    let (stream, writer) = ("local:s".parse().unwrap(), "w".parse().unwrap());
    let held = sluice_ports::WriterAnswer::Held;
    assert_eq!(store.reserve_writer(&stream, &writer).await.unwrap(), held);
}

#[tokio::test]
async fn a_missing_table_is_named() {
    let Some(endpoint) = common::endpoint() else { return };
    let store = DynamoCheckpoints::new(client(&endpoint), "nowhere");
    let error = store.shard(&shard().transfer, &shard().shard).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("nowhere"), "{error}");
    let error = store.create_shard(&shard()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = store.update_shard(&ShardRecord { revision: 2, ..shard() }, &pages("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}
