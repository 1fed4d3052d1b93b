//! One test for each limit, each with the page of the API reference that it is from. The model alone: no runtime.
#![cfg(test)]

use bytes::Bytes;
use sluice_fake_kinesis::{Answer, Call, Code, Entry, Faults, Filter, Millis, Mode, Service, Start};

const NOW: Millis = 1_700_000_000_000;
const FIRST: &str = "shardId-000000000000";

fn with(faults: Faults, shards: u32) -> Service {
    let mut service = Service::new();
    service.faults = faults;
    service.call("owner", NOW).create_stream("orders", shards, Mode::Provisioned).unwrap();
    service
}

fn code<T: std::fmt::Debug>(answer: Answer<T>) -> Code {
    answer.expect_err("it is refused").code
}

fn horizon(call: &mut Call<'_>) -> Answer<String> {
    call.get_shard_iterator("orders", FIRST, &Start::TrimHorizon)
}

/// `GetShardIterator`: an iterator expires 5 minutes after it was returned.
#[test]
fn iterators_live_for_five_minutes() {
    let mut service = with(Faults::default(), 1);
    let iterator = horizon(&mut service.call("me", NOW)).unwrap();
    let next = service.call("me", NOW + 300_000).get_records(&iterator, 1).unwrap().next.unwrap();
    assert_eq!(code(service.call("me", NOW + 300_001).get_records(&iterator, 1)), Code::ExpiredIterator);
    assert!(service.call("me", NOW + 600_000).get_records(&next, 1).is_ok(), "each answer's iterator has its own time");
}

/// `GetShardIterator`: five transactions a second for each open shard.
#[test]
fn a_shard_gives_five_iterators_a_second() {
    let mut service = with(Faults { call_limits: true, ..Faults::default() }, 1);
    let mut call = service.call("me", NOW);
    assert!((0..5).all(|_| horizon(&mut call).is_ok()));
    assert_eq!(code(horizon(&mut call)), Code::ProvisionedThroughputExceeded);
    assert!(horizon(&mut service.call("me", NOW + 1_000)).is_ok());
}

/// `GetShardIterator`: a number must be one of the shard's, a time must not lie ahead.
#[test]
fn iterators_begin_at_what_the_shard_has() {
    let mut service = with(Faults::default(), 2);
    let mut call = service.call("me", NOW);
    let landed = call.put_record("orders", Entry { explicit_hash: Some(0), ..Entry::new("a", "1") }).unwrap();
    let later = call.put_record("orders", Entry { explicit_hash: Some(0), ..Entry::new("a", "2") }).unwrap();
    let at = |number: &str| Start::AtSequenceNumber(number.to_owned());
    let mut begin = |shard: &str, start: &Start| call.get_shard_iterator("orders", shard, start);
    assert!(begin(FIRST, &at(&landed.number)).is_ok());
    for (shard, number) in [("shardId-000000000001", landed.number.as_str()), (FIRST, "0"), (FIRST, "17")] {
        assert_eq!(code(begin(shard, &at(number))), Code::InvalidArgument, "{number}");
    }
    assert_eq!(code(begin(FIRST, &Start::AtTimestamp(NOW + 1))), Code::InvalidArgument);
    assert_eq!(code(begin("shardId-000000000009", &Start::Latest)), Code::ResourceNotFound);
    let after = begin(FIRST, &Start::AfterSequenceNumber(landed.number.clone())).unwrap();
    let latest = begin(FIRST, &Start::Latest).unwrap();
    let at_now = begin(FIRST, &Start::AtTimestamp(NOW)).unwrap();
    let starting = call.list_shards("orders", Filter::default(), None).unwrap().shards[0].starting.clone();
    let from_start = call.get_shard_iterator("orders", FIRST, &at(&starting)).unwrap();
    let mut read = |iterator: &str| call.get_records(iterator, 10).unwrap().records;
    let counts = [&after, &latest, &at_now, &from_start].map(|iterator| read(iterator).len());
    assert_eq!(counts, [1, 0, 2, 2]);
    assert_eq!(read(&after)[0].number, later.number);
}

/// `GetRecords`: a limit of 1 to 10,000.
#[test]
fn an_answer_has_ten_thousand_records_at_most() {
    let mut service = with(Faults::default(), 1);
    let mut call = service.call("me", NOW);
    for _ in 0..21 {
        call.put_records("orders", vec![Entry::new("a", ""); 500]).unwrap();
    }
    let iterator = horizon(&mut call).unwrap();
    assert_eq!(code(call.get_records(&iterator, 0)), Code::Validation);
    assert_eq!(code(call.get_records(&iterator, 10_001)), Code::InvalidArgument);
    assert_eq!(call.get_records(&iterator, 10_000).unwrap().records.len(), 10_000);
    assert_eq!(code(call.get_records("bm9uc2Vuc2U=", 1)), Code::InvalidArgument);
}

/// `ListShards`: pages of 1,000 unless told, tokens that live for 300 seconds.
#[test]
fn shards_come_in_pages() {
    let mut service = with(Faults::default(), 2_100);
    let page = service.call("me", NOW).list_shards("orders", Filter::default(), None).unwrap();
    assert_eq!(page.shards.len(), 1_000);
    let token = page.next_token.unwrap();
    let mut call = service.call("me", NOW + 300_000);
    let page = call.list_more_shards(&token, None).unwrap();
    assert_eq!((page.shards.len(), page.shards[0].shard.as_str()), (1_000, "shardId-000000001000"));
    let last = call.list_more_shards(&page.next_token.unwrap(), None).unwrap();
    assert_eq!((last.shards.len(), last.next_token), (100, None));
    assert_eq!(code(call.list_shards("orders", Filter::default(), Some(10_001))), Code::Validation);
    assert_eq!(code(call.list_more_shards("nonsense", None)), Code::InvalidArgument);
    assert_eq!(code(service.call("me", NOW + 300_001).list_more_shards(&token, None)), Code::ExpiredNextToken);
}

/// `ShardFilter`: which shards are listed.
#[test]
fn shards_are_listed_by_filter() {
    let mut service = with(Faults { moving_horizon: true, ..Faults::default() }, 1);
    let split = NOW + 3_600_000;
    service.call("owner", split).split_shard("orders", FIRST, 1 << 127).unwrap();
    let mut names = |now: Millis, filter: Filter| {
        let page = service.call("me", now).list_shards("orders", filter, None).unwrap();
        page.shards.into_iter().map(|shard| shard.shard[8..].parse::<u32>().unwrap()).collect::<Vec<_>>()
    };
    let now = split + 1;
    assert_eq!(names(now, Filter::FromTrimHorizon), [0, 1, 2]);
    assert_eq!(names(now, Filter::AtTrimHorizon), [0]);
    assert_eq!(names(now, Filter::AtLatest), [1, 2]);
    assert_eq!(names(now, Filter::AtTimestamp(split - 1)), [0]);
    assert_eq!(names(now, Filter::AtTimestamp(split + 1)), [1, 2]);
    assert_eq!(names(now, Filter::FromTimestamp(split - 1)), [0, 1, 2]);
    assert_eq!(names(now, Filter::FromTimestamp(split + 1)), [1, 2]);
    assert_eq!(names(now, Filter::AfterShardId("shardId-000000000001".to_owned())), [2]);
    assert_eq!(names(split + 86_400_001, Filter::FromTrimHorizon), [1, 2], "a closed shard goes with its records");
}

/// `PutRecords`: 500 records, 10 MiB, keys of 1 to 256 characters, records as large as the stream allows.
#[test]
fn a_request_has_its_limits() {
    let mut service = with(Faults::default(), 1);
    let mut call = service.call("me", NOW);
    let mut put = |entries: Vec<Entry>| call.put_records("orders", entries).map(|results| results.len());
    assert_eq!(put(vec![Entry::new("a", ""); 500]), Ok(500));
    assert_eq!(code(put(vec![Entry::new("a", ""); 501])), Code::Validation);
    assert_eq!(code(put(Vec::new())), Code::Validation);
    assert_eq!(put(vec![Entry::new("ä".repeat(256), "")]), Ok(1));
    assert_eq!(code(put(vec![Entry::new("ä".repeat(257), "")])), Code::Validation);
    assert_eq!(code(put(vec![Entry::new("", "x")])), Code::Validation);
    let sized = |bytes: usize| Entry::new("k", Bytes::from(vec![7; bytes - 1]));
    assert_eq!(put(vec![sized(1 << 20); 10]), Ok(10), "key included");
    assert_eq!(code(put(vec![sized(1 << 20); 11])), Code::InvalidArgument);
    assert_eq!(code(put(vec![sized((1 << 20) + 1)])), Code::InvalidArgument);
    call.allow_records_of("orders", 10_240).unwrap();
    assert!(call.put_record("orders", sized(10 << 20)).is_ok());
    assert_eq!(code(call.allow_records_of("orders", 10_241)), Code::Validation);
}

/// `IncreaseStreamRetentionPeriod`, `DecreaseStreamRetentionPeriod`: 24 to 8,760 hours, each its own way.
#[test]
fn records_are_kept_for_a_day_to_a_year() {
    let mut service = with(Faults::default(), 1);
    let mut call = service.call("owner", NOW);
    assert!(call.increase_stream_retention_period("orders", 8_760).is_ok());
    assert_eq!(code(call.increase_stream_retention_period("orders", 8_761)), Code::InvalidArgument);
    assert_eq!(code(call.increase_stream_retention_period("orders", 48)), Code::InvalidArgument);
    assert!(call.decrease_stream_retention_period("orders", 24).is_ok());
    assert_eq!(code(call.decrease_stream_retention_period("orders", 23)), Code::InvalidArgument);
    assert_eq!(call.describe_stream_summary("orders").unwrap().retention_hours, 24);
}

/// `SplitShard`, `MergeShards`, `UpdateShardCount`: open shards, ranges that meet, at most twice and at least half.
#[test]
fn shards_are_changed_within_bounds() {
    let mut service = with(Faults::default(), 4);
    let mut call = service.call("owner", NOW);
    let named = |number: u32| format!("shardId-{number:012}");
    assert_eq!(code(call.split_shard("orders", FIRST, 0)), Code::InvalidArgument);
    assert_eq!(code(call.split_shard("orders", FIRST, u128::MAX)), Code::InvalidArgument);
    assert_eq!(code(call.split_shard("orders", &named(9), 5)), Code::ResourceNotFound);
    assert_eq!(code(call.merge_shards("orders", FIRST, &named(2))), Code::InvalidArgument);
    call.merge_shards("orders", FIRST, &named(1)).unwrap();
    assert_eq!(code(call.merge_shards("orders", FIRST, &named(1))), Code::InvalidArgument, "they are closed");
    assert_eq!(code(call.update_shard_count("orders", 7)), Code::LimitExceeded);
    assert_eq!(code(call.update_shard_count("orders", 1)), Code::LimitExceeded);
    call.update_shard_count("orders", 6).unwrap();
    assert_eq!(call.list_shards("orders", Filter::AtLatest, None).unwrap().shards.len(), 6);
    call.create_stream("demand", 1, Mode::OnDemand).unwrap();
    assert_eq!(code(call.update_shard_count("demand", 8)), Code::Validation);
}

/// A stream that is being changed is not changed again; one that is being made has nothing to read.
#[test]
fn one_change_at_a_time() {
    let mut service = with(Faults { changing: 10_000, ..Faults::default() }, 1);
    let mut call = service.call("owner", NOW + 9_999);
    assert_eq!(code(call.split_shard("orders", FIRST, 5)), Code::ResourceInUse);
    assert_eq!(code(call.list_shards("orders", Filter::default(), None)), Code::ResourceInUse);
    assert_eq!(code(call.put_record("orders", Entry::new("a", ""))), Code::ResourceNotFound);
    assert_eq!(code(horizon(&mut call)), Code::ResourceNotFound);
    let mut call = service.call("owner", NOW + 10_000);
    call.split_shard("orders", FIRST, 5).unwrap();
    assert_eq!(code(call.update_shard_count("orders", 4)), Code::ResourceInUse);
    assert!(call.put_record("orders", Entry::new("a", "")).is_ok(), "while it is UPDATING it takes records");
    assert_eq!(code(call.create_stream("orders", 1, Mode::Provisioned)), Code::ResourceInUse);
    assert_eq!(code(call.create_stream("no spaces", 1, Mode::Provisioned)), Code::Validation);
    assert_eq!(code(call.create_stream("none", 0, Mode::Provisioned)), Code::Validation);
}

/// `DescribeStreamSummary`: 20 calls a second in an account; other operations have their own.
#[test]
fn an_account_has_so_many_calls() {
    let mut service = with(Faults { call_limits: true, ..Faults::default() }, 1);
    let mut call = service.call("me", NOW + 1_000);
    assert!((0..20).all(|_| call.describe_stream_summary("orders").is_ok()));
    assert_eq!(code(call.describe_stream_summary("orders")), Code::LimitExceeded);
    assert!(call.list_shards("orders", Filter::default(), None).is_ok());
    assert!(service.call("me", NOW + 2_000).describe_stream_summary("orders").is_ok());
}

/// `RegisterStreamConsumer`: up to 20 consumers a stream.
#[test]
fn a_stream_has_twenty_consumers() {
    let mut service = with(Faults::default(), 1);
    let mut call = service.call("owner", NOW);
    for number in 0..20 {
        call.register_stream_consumer("orders", &number.to_string()).unwrap();
    }
    assert_eq!(code(call.register_stream_consumer("orders", "20")), Code::LimitExceeded);
    assert_eq!(code(call.register_stream_consumer("orders", "7")), Code::ResourceInUse);
    call.deregister_stream_consumer("orders", "7").unwrap();
    assert_eq!(code(call.describe_stream_consumer("orders", "7")), Code::ResourceNotFound);
    assert_eq!(call.list_stream_consumers("orders").unwrap().len(), 19);
}
