//! What the file promises: durable settings, and turns between several handles on it.

use aws_sdk_dynamodb::config::Config;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use dynoxide::storage::Storage;
use sluice_dynamodb_embedded::EmbeddedDynamo;

#[test]
fn a_write_is_synced_before_it_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.db");
    // `Database` opens its file through this and sets nothing else.
    let storage = Storage::new(path.to_str().unwrap()).unwrap();
    let synchronous: i64 = storage.conn().query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
    let journal: String = storage.conn().query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!((synchronous, journal.as_str()), (2, "wal"), "2 is FULL");
}

#[test]
fn several_may_make_the_file_at_once() {
    for _ in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoints.db");
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..4).map(|_| scope.spawn(|| EmbeddedDynamo::open(&path).map(drop))).collect();
            for open in opened {
                open.join().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn what_is_no_database_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = EmbeddedDynamo::open(&dir.path().join("no/such/directory.db")).unwrap_err().to_string();
    assert!(error.contains("no/such/directory.db"), "{error}");
    let path = dir.path().join("text");
    std::fs::write(&path, "This is not a database, but long enough to be taken for one's header. ".repeat(20)).unwrap();
    let error = EmbeddedDynamo::open(&path).unwrap_err().to_string();
    assert!(error.contains("text") && error.contains("not a valid"), "{error}");
}

/// Takes the five seconds that a request waits for a lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_waited_for_in_vain_is_throttling() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.db");
    let client = EmbeddedDynamo::open(&path).unwrap().client();
    let attribute = AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S).build();
    let key = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build();
    let table = client.create_table().table_name("table").billing_mode(BillingMode::PayPerRequest);
    table.attribute_definitions(attribute.unwrap()).key_schema(key.unwrap()).send().await.unwrap();
    let holder = Storage::new(path.to_str().unwrap()).unwrap();
    holder.begin_transaction().unwrap();
    let once = Config::builder().retry_config(RetryConfig::disabled());
    let put = client.put_item().table_name("table").item("pk", AttributeValue::S("a".into()));
    let refused = put.clone().customize().config_override(once).send().await.unwrap_err();
    assert_eq!(refused.as_service_error().and_then(ProvideErrorMetadata::code), Some("ThrottlingException"));
    holder.rollback().unwrap();
    put.send().await.unwrap();
}
