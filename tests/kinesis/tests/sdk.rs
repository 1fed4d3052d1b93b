//! The AWS SDK against the fake, on virtual time: what it decodes, and what it waits for.
#![cfg(test)]

use aws_sdk_kinesis::config::{BehaviorVersion, Region};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, ShardIteratorType, StartingPosition, StreamMode, StreamModeDetails,
    SubscribeToShardEventStream,
};
use aws_sdk_kinesis::{Client, Config};
use sluice_fake_kinesis::{Code, Fault, Kinesis, Mode, Operation};
use sluice_stream_kinesis::configure;

/// A client as Sluice makes it: no retries, 30 s for an answer.
fn client(kinesis: &Kinesis, caller: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .endpoint_url("http://kinesis.invalid")
        .allow_no_auth()
        .http_client(kinesis.http_client(caller));
    Client::from_conf(configure(config).build())
}

fn entry(key: &str, data: &str) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(data)).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_made_written_split_and_read() {
    let kinesis = Kinesis::new();
    let client = client(&kinesis, "sdk");
    client.create_stream().stream_name("orders").shard_count(1).send().await.unwrap();
    let summary = client.describe_stream_summary().stream_name("orders").send().await.unwrap();
    let summary = summary.stream_description_summary.unwrap();
    assert_eq!((summary.retention_period_hours, summary.open_shard_count), (24, 1));
    assert_eq!(summary.stream_creation_timestamp.to_millis().unwrap(), 1_700_000_000_000);
    let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
    assert_eq!(summary.stream_arn, arn);

    kinesis.clock().pass(277).await;
    let put = client.put_records().stream_arn(arn).records(entry("a", "1")).records(entry("b", "2")).send().await;
    let put = put.unwrap();
    assert_eq!((put.failed_record_count, put.records.len()), (Some(0), 2));
    let shards = client.list_shards().stream_name("orders").send().await.unwrap().shards.unwrap();
    let shard = shards[0].shard_id();
    let half = (1_u128 << 127).to_string();
    client.split_shard().stream_name("orders").shard_to_split(shard).new_starting_hash_key(half).send().await.unwrap();

    let begin = client.get_shard_iterator().stream_name("orders").shard_id(shard);
    let begin = begin.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap().shard_iterator.unwrap();
    let answer = client.get_records().shard_iterator(begin).limit(1).send().await.unwrap();
    assert_eq!(answer.records[0].sequence_number, *put.records[0].sequence_number.as_ref().unwrap());
    assert_eq!((answer.records[0].data.as_ref(), answer.records[0].partition_key.as_deref()), (&b"1"[..], Some("a")));
    // Seconds in floating point, as on the wire: cut off they may lie a millisecond early.
    let arrived = answer.records[0].approximate_arrival_timestamp.unwrap().as_secs_f64();
    assert!((arrived - 1_700_000_000.277).abs() < 0.000_1, "{arrived}");
    let answer = client.get_records().shard_iterator(answer.next_shard_iterator.unwrap()).send().await.unwrap();
    assert_eq!((answer.records.len(), answer.millis_behind_latest), (1, Some(0)));
    let end = client.get_records().shard_iterator(answer.next_shard_iterator.unwrap()).send().await.unwrap();
    let children: Vec<_> = end.child_shards().iter().map(aws_sdk_kinesis::types::ChildShard::shard_id).collect();
    assert_eq!((end.next_shard_iterator(), children), (None, vec!["shardId-000000000001", "shardId-000000000002"]));
    assert_eq!(kinesis.count("sdk", Operation::GetRecords).records, 2);
}

#[tokio::test(start_paused = true)]
async fn modes_and_refusals_have_kinesis_names() {
    let kinesis = Kinesis::new();
    let client = client(&kinesis, "sdk");
    let mode = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build().unwrap();
    client.create_stream().stream_name("orders").stream_mode_details(mode).send().await.unwrap();
    assert_eq!(client.list_shards().stream_name("orders").send().await.unwrap().shards().len(), 4);
    let again = client.create_stream().stream_name("orders").shard_count(1).send().await.unwrap_err();
    assert!(again.into_service_error().is_resource_in_use_exception());
    let missing = client.describe_stream_summary().stream_name("other").send().await.unwrap_err();
    assert_eq!(missing.message(), Some("Stream other under account 123456789012 not found."));
    assert!(missing.into_service_error().is_resource_not_found_exception());
    let iterator = client.get_records().shard_iterator("nonsense").send().await.unwrap_err();
    assert!(iterator.into_service_error().is_invalid_argument_exception());
    kinesis.script(Operation::ListShards, [Fault::Passed, Fault::Refused(Code::InternalFailure)]);
    assert!(client.list_shards().stream_name("orders").send().await.is_ok());
    let failed = client.list_shards().stream_name("orders").send().await.unwrap_err();
    assert_eq!((failed.code(), failed.raw_response().unwrap().status().as_u16()), (Some("InternalFailure"), 500));
}

#[tokio::test(start_paused = true)]
async fn consumers_are_registered_and_told() {
    let kinesis = Kinesis::new();
    let client = client(&kinesis, "sdk");
    kinesis.call("owner", |call| call.create_stream("orders", 1, Mode::Provisioned)).unwrap();
    let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
    let made = client.register_stream_consumer().stream_arn(arn).consumer_name("sluice").send().await.unwrap();
    let consumer = made.consumer.unwrap();
    let found = client.describe_stream_consumer().consumer_arn(&consumer.consumer_arn).send().await.unwrap();
    assert_eq!(found.consumer_description.unwrap().stream_arn, arn);
    assert_eq!(client.list_stream_consumers().stream_arn(arn).send().await.unwrap().consumers().len(), 1);
    client.deregister_stream_consumer().stream_arn(arn).consumer_name("sluice").send().await.unwrap();
    let gone = client.describe_stream_consumer().consumer_arn(&consumer.consumer_arn).send().await.unwrap_err();
    assert!(gone.into_service_error().is_resource_not_found_exception());
}

/// Row 11: what is pushed, when a subscription ends, and what it refuses.
#[tokio::test(start_paused = true)]
async fn a_shard_is_subscribed_to() {
    let kinesis = Kinesis::new();
    let client = client(&kinesis, "sdk");
    kinesis.call("owner", |call| call.create_stream("orders", 1, Mode::Provisioned)).unwrap();
    let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
    let made = client.register_stream_consumer().stream_arn(arn).consumer_name("sluice").send().await.unwrap();
    let consumer = made.consumer.unwrap().consumer_arn;
    client.put_record().stream_arn(arn).partition_key("a").data(Blob::new("1")).send().await.unwrap();
    let position = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().unwrap();
    let subscribe = || {
        let request = client.subscribe_to_shard().consumer_arn(&consumer).shard_id("shardId-000000000000");
        request.starting_position(position.clone()).send()
    };
    let mut events = subscribe().await.unwrap().event_stream;
    let Some(SubscribeToShardEventStream::SubscribeToShardEvent(first)) = events.recv().await.unwrap() else {
        panic!()
    };
    assert_eq!((first.records.len(), first.records[0].data.as_ref()), (1, &b"1"[..]));
    assert_eq!(first.continuation_sequence_number, first.records[0].sequence_number);
    assert_eq!(first.millis_behind_latest, 0);
    let again = subscribe().await.unwrap_err();
    assert!(again.into_service_error().is_resource_in_use_exception(), "one every 5 seconds");
    // Nothing arrives: events without a record, and the end after 5 minutes.
    let (began, mut empty) = (kinesis.clock().millis(), 0);
    while let Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) = events.recv().await.unwrap() {
        assert!(event.records.is_empty());
        empty += 1;
    }
    assert!((50..=61).contains(&empty), "{empty}");
    assert!((299_000..=300_100).contains(&(kinesis.clock().millis() - began)));
    let mut events = subscribe().await.unwrap().event_stream;
    assert!(events.recv().await.unwrap().is_some());
    kinesis.clock().pass(5_000).await;
    let _other = subscribe().await.unwrap();
    let taken = events.recv().await.unwrap_err();
    assert!(taken.into_service_error().is_resource_in_use_exception(), "the later one takes over");
    assert_eq!(kinesis.count("sdk", Operation::GetRecords).calls, 0);
}

/// Row 9: a put without an answer may have landed, may land later, or never.
#[tokio::test(start_paused = true)]
async fn a_put_that_times_out_lands_now_later_or_never() {
    for (fault, at_timeout, in_the_end) in
        [(Fault::AnswerLost, 1, 1), (Fault::Late(29_999), 1, 1), (Fault::Late(33_000), 0, 1), (Fault::Lost, 0, 0)]
    {
        let kinesis = Kinesis::new();
        let client = client(&kinesis, "writer");
        kinesis.call("owner", |call| call.create_stream("orders", 1, Mode::Provisioned)).unwrap();
        kinesis.script(Operation::PutRecords, [fault]);
        let before = kinesis.clock().millis();
        let error = client.put_records().stream_name("orders").records(entry("a", "1")).send().await.unwrap_err();
        let timed_out = match &error {
            SdkError::DispatchFailure(failure) => failure.is_timeout(),
            error => matches!(error, SdkError::TimeoutError(_)),
        };
        assert!(timed_out, "{error:?}");
        assert_eq!(kinesis.clock().millis() - before, 30_000, "the SDK's own timeout, on virtual time");
        let count = kinesis.count("writer", Operation::PutRecords);
        assert_eq!((count.calls, count.unanswered), (1, 1), "{fault:?}");
        let held = || {
            kinesis.call("reader", |call| {
                let start = sluice_fake_kinesis::Start::TrimHorizon;
                let iterator = call.get_shard_iterator("orders", "shardId-000000000000", &start).unwrap();
                call.get_records(&iterator, 10).unwrap().records.len()
            })
        };
        assert_eq!(held(), at_timeout, "{fault:?}");
        kinesis.clock().pass(3_000).await;
        assert_eq!(held(), in_the_end, "{fault:?}");
    }
}
