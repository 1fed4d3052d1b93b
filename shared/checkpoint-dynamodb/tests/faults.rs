//! What each answer of `DynamoDB`'s means to the caller. The answers are scripted, in the form that it documents.
#![cfg(test)]

mod common;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use serde_json::json;
use sluice_checkpoint_dynamodb::DynamoCheckpoints;
use sluice_ports::{CheckpointStore, ErrorKind};
use sluice_transfer::record::{LedgerPage, ShardRecord, Work};
use sluice_transfer::{DestinationName, Position, Range};

/// Answers in turn, the last one again and again; an answer without a status is a broken connection.
#[derive(Clone, Debug)]
struct Script(Arc<Mutex<VecDeque<(u16, String)>>>);

impl HttpConnector for Script {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let mut answers = self.0.lock().unwrap();
        let (status, body) = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap();
        HttpConnectorFuture::ready(match status {
            0 => Err(ConnectorError::timeout("no answer".into())),
            status => Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))),
        })
    }
}

fn store(answers: impl IntoIterator<Item = (u16, String)>) -> DynamoCheckpoints {
    let script = Script(Arc::new(Mutex::new(answers.into_iter().collect())));
    DynamoCheckpoints::new(common::client_through(script), "sluice")
}

fn error(status: u16, kind: &str) -> (u16, String) {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{kind}");
    (status, json!({ "__type": kind, "message": "because" }).to_string())
}

fn cancelled(codes: &[&str]) -> (u16, String) {
    let reasons: Vec<_> = codes.iter().map(|code| json!({ "Code": code })).collect();
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    (400, json!({ "__type": kind, "Message": "cancelled", "CancellationReasons": reasons }).to_string())
}

fn shard() -> ShardRecord {
    let range = Range { from: Position::Beginning, until: Position::End };
    let work = Work::Export([].into());
    ShardRecord { revision: 2, ..ShardRecord::new("t".parse().unwrap(), "0".parse().unwrap(), range, None, work) }
}

async fn read(answers: Vec<(u16, String)>) -> ErrorKind {
    store(answers).shard(&shard().transfer, &shard().shard).await.unwrap_err().kind()
}

async fn write(answers: Vec<(u16, String)>) -> ErrorKind {
    store(answers).update_shard(&shard(), &[]).await.unwrap_err().kind()
}

async fn write_pages(answers: Vec<(u16, String)>) -> ErrorKind {
    let page = LedgerPage { version: 1, object: 0, incarnation: 0, index: 0, entries: Vec::new() };
    store(answers).update_shard(&shard(), &[(DestinationName::only(), page)]).await.unwrap_err().kind()
}

#[tokio::test(start_paused = true)]
async fn each_error_is_of_the_kind_that_says_what_to_do() {
    for (answer, on_read, on_write) in [
        (error(400, "ThrottlingException"), ErrorKind::Throttled, ErrorKind::Throttled),
        (error(400, "ProvisionedThroughputExceededException"), ErrorKind::Throttled, ErrorKind::Throttled),
        (error(400, "RequestLimitExceeded"), ErrorKind::Throttled, ErrorKind::Throttled),
        (error(400, "TransactionConflictException"), ErrorKind::Throttled, ErrorKind::Throttled),
        (error(400, "ResourceNotFoundException"), ErrorKind::NotFound, ErrorKind::NotFound),
        (error(400, "AccessDeniedException"), ErrorKind::Denied, ErrorKind::Denied),
        (error(400, "UnrecognizedClientException"), ErrorKind::Denied, ErrorKind::Denied),
        (error(400, "ValidationException"), ErrorKind::Invalid, ErrorKind::Invalid),
        (error(400, "SomethingNewException"), ErrorKind::Invalid, ErrorKind::Invalid),
        (error(400, "ItemCollectionSizeLimitExceededException"), ErrorKind::Full, ErrorKind::Full),
        (error(500, "InternalServerError"), ErrorKind::Unavailable, ErrorKind::Indeterminate),
        (error(503, "ServiceUnavailable"), ErrorKind::Unavailable, ErrorKind::Indeterminate),
        ((200, "no JSON".to_owned()), ErrorKind::Unavailable, ErrorKind::Indeterminate),
        ((0, String::new()), ErrorKind::Unavailable, ErrorKind::Indeterminate),
    ] {
        let text = format!("{answer:?}");
        assert_eq!(read(vec![answer.clone()]).await, on_read, "reading: {text}");
        assert_eq!(write(vec![answer.clone()]).await, on_write, "writing: {text}");
        assert_eq!(write_pages(vec![answer]).await, on_write, "writing with pages: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_an_unanswered_try_does_not_say_that_nothing_happened() {
    for lost in [(0, String::new()), error(500, "InternalServerError")] {
        let answers = vec![lost, error(400, "ThrottlingException")];
        assert_eq!(write(answers.clone()).await, ErrorKind::Indeterminate);
        assert_eq!(write_pages(answers.clone()).await, ErrorKind::Indeterminate);
        assert_eq!(read(answers).await, ErrorKind::Throttled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_transaction_is_of_the_kind_of_its_reasons() {
    assert_eq!(write_pages(vec![cancelled(&["None", "TransactionConflict"])]).await, ErrorKind::Throttled);
    assert_eq!(write_pages(vec![cancelled(&["ThrottlingError", "None"])]).await, ErrorKind::Throttled);
    assert_eq!(write_pages(vec![cancelled(&["TransactionConflict", "ValidationError"])]).await, ErrorKind::Invalid);
    assert_eq!(write_pages(vec![error(400, "TransactionInProgressException")]).await, ErrorKind::Indeterminate);
    let lost = vec![error(500, "InternalServerError"), cancelled(&["TransactionConflict", "None"])];
    assert_eq!(write_pages(lost).await, ErrorKind::Indeterminate);
}

#[tokio::test(start_paused = true)]
async fn an_error_names_the_item_the_table_and_the_cause() {
    let error = store([error(400, "AccessDeniedException")]).update_shard(&shard(), &[]).await.unwrap_err();
    let text = error.to_string();
    for part in ["transfer#t#shard#0 SHARD", "table sluice", "AccessDenied", "because"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_does_not_say_all_that_it_was_told() {
    let long = json!({ "__type": "AccessDeniedException", "message": "x".repeat(100_000) }).to_string();
    let error = store([(400, long)]).update_shard(&shard(), &[]).await.unwrap_err();
    assert!(error.to_string().len() < 2_000, "{} bytes", error.to_string().len());
    let item = json!({ "Item": { "pk": { "S": "x".repeat(100_000) } } }).to_string();
    let error = store([(200, item)]).shard(&shard().transfer, &shard().shard).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().len() < 2_000, "{} bytes", error.to_string().len());
}

#[tokio::test(start_paused = true)]
async fn a_query_that_does_not_go_on_is_given_up() {
    let same = json!({ "Items": [], "LastEvaluatedKey": { "pk": { "S": "a" } } }).to_string();
    let (id, name) = (shard().transfer, shard().shard);
    let table = || store([(200, same.clone())]);
    let pages = table().ledger(&id, &name, &DestinationName::only(), 3).await.map(drop);
    for answer in [pages, table().transfers(&[], 5).await.map(drop), table().drop_ledger(&id, &name).await] {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_of_an_unknown_type_is_no_record() {
    for value in [json!({ "X": 1 }), json!({ "M": { "a": { "L": [{ "X": 1 }] } } })] {
        let item = json!({ "Item": { "version": { "N": "1" }, "owner": value } }).to_string();
        assert_eq!(read(vec![(200, item)]).await, ErrorKind::Corrupt);
    }
}
