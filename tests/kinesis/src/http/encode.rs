//! Answers as JSON. Times are seconds since 1970 with three decimals, hashes and numbers are texts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::refused::{Answer, Refused};
use crate::{ChildShard, ConsumerInfo, Hashes, Landed, Lineage, Millis, Mode, Records, ShardPage, Summary};

pub(super) fn refused(refused: &Refused) -> Value {
    json!({ "__type": refused.code.as_str(), "message": refused.message })
}

fn seconds(millis: Millis) -> Value {
    json!(millis as f64 / 1_000.0)
}

fn hashes(hashes: Hashes) -> Value {
    json!({ "StartingHashKey": hashes.first.to_string(), "EndingHashKey": hashes.last.to_string() })
}

/// Fields without a value are not told.
fn told(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

pub(super) fn summary(summary: &Summary) -> Value {
    let mode = match summary.mode {
        Mode::Provisioned => "PROVISIONED",
        Mode::OnDemand => "ON_DEMAND",
    };
    json!({ "StreamDescriptionSummary": {
        "StreamName": summary.name, "StreamARN": summary.arn, "StreamStatus": summary.status.to_string(),
        "StreamModeDetails": { "StreamMode": mode }, "RetentionPeriodHours": summary.retention_hours,
        "StreamCreationTimestamp": seconds(summary.created), "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
        "EncryptionType": "NONE", "OpenShardCount": summary.open_shards, "ConsumerCount": summary.consumers,
        "MaxRecordSizeInKiB": summary.largest_kib,
    } })
}

fn lineage(shard: &Lineage) -> Value {
    told(json!({
        "ShardId": shard.shard, "ParentShardId": shard.parent, "AdjacentParentShardId": shard.adjacent,
        "HashKeyRange": hashes(shard.hashes),
        "SequenceNumberRange": told(json!({
            "StartingSequenceNumber": shard.starting, "EndingSequenceNumber": shard.ending,
        })),
    }))
}

pub(super) fn shards(page: &ShardPage) -> Value {
    let shards: Vec<_> = page.shards.iter().map(lineage).collect();
    told(json!({ "Shards": shards, "NextToken": page.next_token }))
}

fn child(child: &ChildShard) -> Value {
    json!({ "ShardId": child.shard, "ParentShards": child.parents, "HashKeyRange": hashes(child.hashes) })
}

pub(super) fn records(answer: &Records) -> Value {
    told(json!({
        "Records": read(answer), "NextShardIterator": answer.next, "MillisBehindLatest": answer.behind,
        "ChildShards": children(answer),
    }))
}

/// A pushed event, with the number to continue at.
pub(super) fn pushed(event: &Records, continues: &str) -> Value {
    told(json!({
        "Records": read(event), "ContinuationSequenceNumber": continues, "MillisBehindLatest": event.behind,
        "ChildShards": children(event),
    }))
}

fn children(answer: &Records) -> Option<Vec<Value>> {
    (!answer.children.is_empty()).then(|| answer.children.iter().map(child).collect())
}

fn read(answer: &Records) -> Vec<Value> {
    let records = answer.records.iter().map(|record| {
        json!({
            "SequenceNumber": record.number, "ApproximateArrivalTimestamp": seconds(record.arrived),
            "Data": STANDARD.encode(&record.data), "PartitionKey": record.key, "EncryptionType": "NONE",
        })
    });
    records.collect()
}

pub(super) fn landed(landed: &Landed) -> Value {
    json!({ "ShardId": landed.shard, "SequenceNumber": landed.number })
}

pub(super) fn results(results: &[Answer<Landed>]) -> Value {
    let result = |result: &Answer<Landed>| match result {
        Ok(result) => landed(result),
        Err(refused) => json!({ "ErrorCode": refused.code.as_str(), "ErrorMessage": refused.message }),
    };
    let failed = results.iter().filter(|result| result.is_err()).count();
    json!({ "FailedRecordCount": failed, "Records": results.iter().map(result).collect::<Vec<_>>() })
}

pub(super) fn consumer(consumer: &ConsumerInfo) -> Value {
    json!({
        "ConsumerName": consumer.name, "ConsumerARN": consumer.arn, "ConsumerStatus": consumer.status.as_str(),
        "ConsumerCreationTimestamp": seconds(consumer.created),
    })
}
