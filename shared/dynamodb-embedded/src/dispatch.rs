//! Operations by name: JSON in, JSON out, errors in `DynamoDB`'s words.

use dynoxide::actions::batch_write_item::{BatchWriteItemRequest, BatchWriteItemResponse, WriteRequest};
use dynoxide::actions::transact_write_items::{
    TransactDelete, TransactPut, TransactWriteItem, TransactWriteItemsRequest,
};
use dynoxide::{BackendError, Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What `SQLite` says when the disk is full; `dynoxide` passes it on as text only.
const SQLITE_FULL: &str = "database or disk is full";

/// Items of a `BatchWriteItem`, at most (Amazon `DynamoDB` API reference).
const IN_ONE_BATCH: usize = 25;

/// In front of what `dynoxide` says of a request that it cannot read.
const MARKS: [&str; 3] = ["VALIDATION:", "VALIDATION_REQUEST:", "SERIALIZATION:"];

/// An answer as it goes over the wire.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Carries an operation out. Blocks.
pub(crate) fn answer(database: &Database, operation: &str, body: &[u8]) -> Answer {
    let done = match operation {
        "CreateTable" => run(body, |request| database.create_table(request)),
        "DescribeTable" => run(body, |request| database.describe_table(request)),
        "PutItem" => run(body, |request| database.put_item(request)),
        "GetItem" => run(body, |request| database.get_item(request)),
        "DeleteItem" => run(body, |request| database.delete_item(request)),
        "BatchWriteItem" => run(body, |request| batch(database, request)),
        "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
        "Query" => run(body, |request| database.query(request)),
        _ => {
            let kind = "com.amazon.coral.service#UnknownOperationException";
            return refusal(400, kind, &format!("the embedded DynamoDB does not have '{operation}'"));
        }
    };
    done.unwrap_or_else(|error| failure(&error))
}

/// A batch as one transaction: the disk is waited for once, not for each item.
fn batch(database: &Database, request: BatchWriteItemRequest) -> dynoxide::Result<BatchWriteItemResponse> {
    let writes = request.request_items.values().map(Vec::len).sum::<usize>();
    if !(1..=IN_ONE_BATCH).contains(&writes) {
        // It says what is wrong with that.
        return database.batch_write_item(request);
    }
    let of_table = |(table, writes): (String, Vec<WriteRequest>)| {
        writes.into_iter().map(move |write| TransactWriteItem {
            put: write.put_request.map(|put| TransactPut {
                table_name: table.clone(),
                item: put.item,
                ..TransactPut::default()
            }),
            delete: write.delete_request.map(|delete| TransactDelete {
                table_name: table.clone(),
                key: delete.key,
                ..TransactDelete::default()
            }),
            ..TransactWriteItem::default()
        })
    };
    let transact_items = request.request_items.into_iter().flat_map(of_table).collect();
    database.transact_write_items(TransactWriteItemsRequest { transact_items, ..Default::default() })?;
    Ok(BatchWriteItemResponse::default())
}

fn run<Q, A>(body: &[u8], call: impl FnOnce(Q) -> dynoxide::Result<A>) -> dynoxide::Result<Answer>
where
    Q: DeserializeOwned,
    A: Serialize,
{
    let request = serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        // `dynoxide` marks what it refuses while it reads a request; the marks are not for its callers.
        let unmarked = MARKS.iter().find_map(|mark| text.strip_prefix(mark)).unwrap_or(&text);
        DynoxideError::ValidationException(unmarked.to_owned())
    })?;
    let answer = call(request)?;
    let body = serde_json::to_string(&answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))?;
    Ok(Answer { status: 200, body })
}

fn failure(error: &DynoxideError) -> Answer {
    let text = error.to_string();
    // `SQLite` refuses the lock at the transaction's begin, so nothing has happened: not the 500 that says nothing.
    if text == BackendError::Locked.to_string() {
        return refusal(400, "com.amazon.coral.availability#ThrottlingException", "another process holds the file");
    }
    // Rolled back. The one error of DynamoDB that means that there is no room.
    if error.status_code() >= 500 && text.contains(SQLITE_FULL) {
        let kind = "com.amazonaws.dynamodb.v20120810#ItemCollectionSizeLimitExceededException";
        return refusal(400, kind, "the disk is full");
    }
    Answer { status: error.status_code(), body: error.to_json() }
}

fn refusal(status: u16, kind: &str, message: &str) -> Answer {
    Answer { status, body: serde_json::json!({ "__type": kind, "message": message }).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(answer: &Answer) -> String {
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        body["__type"].as_str().unwrap().rsplit('#').next().unwrap().to_owned()
    }

    #[test]
    fn what_is_not_listed_is_refused() {
        let database = Database::memory().unwrap();
        for operation in ["", "Scan", "putItem", "DeleteTable"] {
            let refused = answer(&database, operation, b"{}");
            assert_eq!((refused.status, kind(&refused)), (400, "UnknownOperationException".to_owned()));
        }
    }

    #[test]
    fn a_request_that_is_none_is_the_callers_fault() {
        let database = Database::memory().unwrap();
        for body in [&b""[..], b"{", b"[]", br#"{"TableName":1}"#] {
            let refused = answer(&database, "GetItem", body);
            assert_eq!((refused.status, kind(&refused)), (400, "ValidationException".to_owned()));
        }
        let short = br#"{"TableName":"t","KeySchema":[],"AttributeDefinitions":[]}"#;
        let refused = answer(&database, "CreateTable", short);
        assert_eq!((refused.status, kind(&refused)), (400, "ValidationException".to_owned()));
        assert!(refused.body.contains("tableName") && !refused.body.contains(MARKS[0]), "{}", refused.body);
        let missing = answer(&database, "GetItem", br#"{"TableName":"none","Key":{"pk":{"S":"a"}}}"#);
        assert_eq!((missing.status, kind(&missing)), (400, "ResourceNotFoundException".to_owned()));
    }

    #[test]
    fn a_batch_is_answered_as_a_batch() {
        let database = Database::memory().unwrap();
        let table = br#"{"TableName":"things","KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],
            "AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}"#;
        assert_eq!(answer(&database, "CreateTable", table).status, 200);
        let batch = |table: &str, writes: &[String]| {
            let body = format!(r#"{{"RequestItems":{{"{table}":[{}]}}}}"#, writes.join(","));
            answer(&database, "BatchWriteItem", body.as_bytes())
        };
        let put = |key: &str| format!(r#"{{"PutRequest":{{"Item":{{"pk":{{"S":"{key}"}}}}}}}}"#);
        let delete = |key: &str| format!(r#"{{"DeleteRequest":{{"Key":{{"pk":{{"S":"{key}"}}}}}}}}"#);
        let is_there = |key: &str| {
            let body = format!(r#"{{"TableName":"things","Key":{{"pk":{{"S":"{key}"}}}}}}"#);
            answer(&database, "GetItem", body.as_bytes()).body.contains("Item")
        };
        let done = batch("things", &[put("a"), put("b"), put("c")]);
        assert_eq!((done.status, done.body.as_str()), (200, r#"{"UnprocessedItems":{}}"#));
        assert_eq!(batch("things", &[delete("a"), delete("c"), delete("none"), put("d")]).status, 200);
        assert_eq!(["a", "b", "c", "d"].map(is_there), [false, true, false, true]);
        let refused = |answer: Answer| (answer.status, kind(&answer));
        let many: Vec<_> = (0..26).map(|number| put(&number.to_string())).collect();
        for writes in [&[][..], &many, &[put("x"), put("x")]] {
            assert_eq!(refused(batch("things", writes)), (400, "ValidationException".to_owned()));
        }
        assert_eq!(refused(batch("none", &[put("x")])), (400, "ResourceNotFoundException".to_owned()));
        assert!(!is_there("x"));
    }

    #[test]
    fn a_lock_waited_for_in_vain_and_a_full_disk_have_not_happened() {
        let locked = failure(&BackendError::Locked.into());
        assert_eq!((locked.status, kind(&locked)), (400, "ThrottlingException".to_owned()));
        let full = failure(&BackendError::Other(SQLITE_FULL.to_owned()).into());
        assert_eq!((full.status, kind(&full)), (400, "ItemCollectionSizeLimitExceededException".to_owned()));
        let broken = failure(&BackendError::Io("disk I/O error".to_owned()).into());
        assert_eq!((broken.status, kind(&broken)), (500, "InternalServerError".to_owned()));
    }
}
