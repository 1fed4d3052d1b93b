//! What a table of `DynamoDB` answers: items, and what they are refused with.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Region};
use serde_json::{Value as Json, json};
use sluice_checkpoint_dynamodb::DynamoCheckpoints;
use sluice_ports::{CheckpointStore, Created};
use sluice_transfer::DestinationName;
use sluice_transfer::record::{ShardRecord, TransferRecord};

use crate::answers::{Script, case, done, named, played, read, same, written};

fn client() -> (Client, Script) {
    let script = Script::default();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .endpoint_url("http://fuzz.invalid")
        .allow_no_auth()
        .retry_config(RetryConfig::disabled())
        .http_client(script.network());
    (Client::from_conf(config.build()), script)
}

/// A call of the port, which one the first byte says, and what the table answers.
pub fn dynamodb(bytes: &[u8]) {
    thread_local! {
        static CLIENT: (Client, Script) = client();
    }
    let Some((client, script, kind)) = played(&CLIENT, bytes, None) else { return };
    done(ask(&DynamoCheckpoints::new(client, "sluice"), &script, kind % 8));
}

async fn ask(table: &DynamoCheckpoints, script: &Script, kind: u8) {
    let (id, shard) = ("t".parse().expect("a plain name"), "0".parse().expect("a plain name"));
    let stream = "kinesis:orders".parse().expect("a stream's name");
    match kind {
        0 => {
            if let Some(Some(record)) = read(table.transfer(&id).await) {
                transfer(table, script, &record).await;
            }
        }
        1 => {
            if let Some(Some(record)) = read(table.shard(&id, &shard).await) {
                of_shard(table, script, &record).await;
            }
        }
        2 => drop(read(table.ledger(&id, &shard, &DestinationName::only(), 3).await)),
        3 => {
            let found = read(table.transfers(&[], 5).await).unwrap_or_default();
            assert!(found.len() <= 5 && found.is_sorted_by(|a, b| a.created_at >= b.created_at));
        }
        4 => drop(written(table.reserve_writer(&stream, &id).await)),
        5 => drop(written(table.drop_ledger(&id, &shard).await)),
        6 => drop(written(table.release_writer(&stream, &id).await)),
        _ => {
            // A record of the table's own, written where another is.
            let Some(Some(record)) = read(table.transfer(&id).await) else { return };
            if let Some(Created::Before(other)) = written(table.create_transfer(&record).await) {
                transfer(table, script, &other).await;
            }
        }
    }
}

/// The item that was written, as the table would answer it.
fn stored(script: &Script) -> Vec<u8> {
    let sent: Json = serde_json::from_slice(&script.sent()).expect("a request in JSON");
    case(b'-', &[("*|200", &json!({ "Item": sent["Item"] }).to_string())])[1..].to_vec()
}

async fn transfer(table: &DynamoCheckpoints, script: &Script, record: &TransferRecord) {
    script.play(b"*|200\n{}", None);
    assert!(matches!(table.create_transfer(record).await, Ok(Created::Now)), "what was read can be written");
    let answer = stored(script);
    script.play(&answer, None);
    same(read(table.transfer(&record.id).await).flatten().as_ref(), record);
}

async fn of_shard(table: &DynamoCheckpoints, script: &Script, record: &ShardRecord) {
    script.play(b"*|200\n{}", None);
    assert!(matches!(table.create_shard(record).await, Ok(Created::Now)), "what was read can be written");
    let answer = stored(script);
    script.play(&answer, None);
    same(read(table.shard(&record.transfer, &record.shard).await).flatten().as_ref(), record);
}

const META: &str = include_str!("../../golden/records-v1/meta.json");
const EXPORT: &str = include_str!("../../golden/records-v1/shard-export.json");
const IMPORT: &str = include_str!("../../golden/records-v1/shard-import.json");
const PARTS: &str = include_str!("../../golden/records-v1/parts.json");
const WRITER: &str = include_str!("../../golden/records-v1/writer.json");

/// Where mutating begins.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let short = |item: &str| serde_json::from_str::<Json>(item).expect("a golden item");
    let item = |item: &str| json!({ "Item": short(item) }).to_string();
    let items = |item: &str| json!({ "Items": [short(item), short(item)], "Count": 2 }).to_string();
    let endless = json!({ "Items": [], "LastEvaluatedKey": { "pk": { "S": "a" }, "sk": { "S": "b" } } }).to_string();
    let refused =
        |item: &str| json!({ "__type": "x#ConditionalCheckFailedException", "Item": short(item) }).to_string();
    let long = json!({ "__type": "AccessDeniedException", "message": "x".repeat(9_000) }).to_string();
    let newer = item(META).replacen(r#""version":{"N":"1"}"#, r#""version":{"N":"4294967295"}"#, 1);
    let deep = format!("{{\"Item\":{{\"a\":{}", r#"{"M":{"a":"#.repeat(3_000));
    named(vec![
        ("meta", case(0, &[("GetItem|200", &item(META))])),
        ("nothing", case(0, &[("GetItem|200", "{}")])),
        ("newer", case(0, &[("GetItem|200", &newer)])),
        ("deep", case(0, &[("GetItem|200", &deep)])),
        ("export", case(1, &[("GetItem|200", &item(EXPORT))])),
        ("import", case(1, &[("GetItem|200", &item(IMPORT))])),
        ("ledger", case(2, &[("Query|200", &items(PARTS))])),
        ("ledger-for-ever", case(2, &[("Query|200", &endless)])),
        ("transfers", case(3, &[("Query|200", &items(META))])),
        ("transfers-for-ever", case(3, &[("Query|200", &endless)])),
        ("writer", case(4, &[("PutItem|400", &refused(WRITER))])),
        ("drop", case(5, &[("Query|200", &items(PARTS)), ("BatchWriteItem|200", "{\"UnprocessedItems\":{}}")])),
        ("drop-for-ever", case(5, &[("Query|200", &endless)])),
        ("release", case(6, &[("DeleteItem|400", &refused(WRITER))])),
        ("created-before", case(7, &[("GetItem|200", &item(META)), ("PutItem|400", &refused(META))])),
        ("a-long-message", case(0, &[("*|400", &long)])),
    ])
}
