//! One test for each row of the table in the README: what Kinesis does that emulators do not.
#![cfg(test)]

use bytes::Bytes;
use sluice_fake_kinesis::{Behind, Code, Entry, Faults, Filter, Kinesis, Millis, Mode, Operation, Records, Start};

const HOUR: Millis = 3_600_000;
const FIRST: &str = "shardId-000000000000";

fn with(faults: Faults, shards: u32) -> Kinesis {
    let kinesis = Kinesis::new();
    kinesis.set(faults);
    kinesis.call("owner", |call| call.create_stream("orders", shards, Mode::Provisioned)).unwrap();
    kinesis
}

fn put(kinesis: &Kinesis, key: &str, data: &str) -> String {
    let entry = Entry::new(key, data.to_owned());
    kinesis.call("producer", |call| call.put_record("orders", entry)).unwrap().number
}

fn begin(kinesis: &Kinesis, start: &Start) -> Result<String, Code> {
    let iterator = kinesis.call("reader", |call| call.get_shard_iterator("orders", FIRST, start));
    iterator.map_err(|refused| refused.code)
}

fn read(kinesis: &Kinesis, caller: &str, iterator: &str, limit: u32) -> Result<Records, Code> {
    kinesis.call(caller, |call| call.get_records(iterator, limit)).map_err(|refused| refused.code)
}

fn data(answer: &Records) -> Vec<&[u8]> {
    answer.records.iter().map(|record| &record.data[..]).collect()
}

/// Row 1: a record is gone in the millisecond in which it is older than the retention.
#[tokio::test(start_paused = true)]
async fn row_1_the_horizon_moves_by_the_millisecond() {
    let kinesis = with(Faults { moving_horizon: true, ..Faults::default() }, 1);
    put(&kinesis, "a", "old");
    kinesis.clock().pass(1).await;
    put(&kinesis, "a", "new");
    let begun = || begin(&kinesis, &Start::TrimHorizon).unwrap();
    kinesis.clock().pass(24 * HOUR - 1).await;
    assert_eq!(data(&read(&kinesis, "reader", &begun(), 10).unwrap()), [b"old", b"new"]);
    // An iterator at the horizon is where the horizon is when it is used.
    let early = begun();
    kinesis.clock().pass(1).await;
    assert_eq!(data(&read(&kinesis, "reader", &early, 10).unwrap()), [b"new"]);
    kinesis.clock().pass(1).await;
    assert!(read(&kinesis, "reader", &begun(), 10).unwrap().records.is_empty());
    kinesis.call("owner", |call| call.increase_stream_retention_period("orders", 48)).unwrap();
    put(&kinesis, "a", "longer");
    kinesis.clock().pass(47 * HOUR).await;
    assert_eq!(data(&read(&kinesis, "reader", &begun(), 10).unwrap()), [b"longer"]);
}

/// Row 2: an iterator for a number behind the horizon does one of three things.
#[tokio::test(start_paused = true)]
async fn row_2_an_iterator_behind_the_horizon() {
    for behind in [Behind::AtHorizon, Behind::Refused, Behind::EmptyForEver] {
        let kinesis = with(Faults { moving_horizon: true, behind, ..Faults::default() }, 1);
        let lost = put(&kinesis, "a", "lost");
        kinesis.clock().pass(2 * HOUR).await;
        let kept = put(&kinesis, "a", "kept");
        kinesis.clock().pass(23 * HOUR).await;
        for start in [Start::AtSequenceNumber(lost.clone()), Start::AfterSequenceNumber(lost.clone())] {
            match (behind, begin(&kinesis, &start)) {
                (Behind::Refused, answer) => assert_eq!(answer, Err(Code::InvalidArgument)),
                (Behind::AtHorizon, iterator) => {
                    assert_eq!(data(&read(&kinesis, "reader", &iterator.unwrap(), 10).unwrap()), [b"kept"]);
                }
                (Behind::EmptyForEver, iterator) => {
                    let mut iterator = iterator.unwrap();
                    for _ in 0..100 {
                        let answer = read(&kinesis, "reader", &iterator, 10).unwrap();
                        assert_eq!((answer.records.len(), answer.behind), (0, 24 * HOUR));
                        iterator = answer.next.unwrap();
                    }
                }
            }
        }
        let iterator = begin(&kinesis, &Start::AtSequenceNumber(kept)).unwrap();
        assert_eq!(data(&read(&kinesis, "reader", &iterator, 10).unwrap()), [b"kept"], "{behind:?}");
    }
}

/// Row 2: an iterator that was overtaken passes over what is gone, or answers nothing for ever.
#[tokio::test(start_paused = true)]
async fn row_2_an_iterator_that_the_horizon_overtakes() {
    for (behind, expected) in [(Behind::AtHorizon, vec![&b"kept"[..]]), (Behind::EmptyForEver, vec![])] {
        let kinesis = with(Faults { moving_horizon: true, behind, ..Faults::default() }, 1);
        put(&kinesis, "a", "read");
        put(&kinesis, "a", "lost");
        kinesis.clock().pass(60_000).await;
        put(&kinesis, "a", "kept");
        kinesis.clock().pass(24 * HOUR - 60_000).await;
        let next = read(&kinesis, "reader", &begin(&kinesis, &Start::TrimHorizon).unwrap(), 1).unwrap().next.unwrap();
        kinesis.clock().pass(30_000).await;
        assert_eq!(data(&read(&kinesis, "reader", &next, 10).unwrap()), expected, "{behind:?}");
    }
}

/// Row 3: an answer that meets silence comes some minutes further, and tells how far it came.
#[tokio::test(start_paused = true)]
async fn row_3_silence_is_crossed_by_minutes() {
    let kinesis = with(Faults { silence: Some(5 * 60_000), idle_tip: 700, ..Faults::default() }, 1);
    put(&kinesis, "a", "before");
    kinesis.clock().pass(20 * HOUR).await;
    put(&kinesis, "a", "behind");
    kinesis.clock().pass(HOUR).await;
    let (mut iterator, mut answers, mut found) = (begin(&kinesis, &Start::TrimHorizon).unwrap(), 0, Vec::new());
    let mut farther = 22 * HOUR;
    while farther > 700 {
        let answer = read(&kinesis, "reader", &iterator, 10).unwrap();
        assert!(answer.behind < farther, "each answer brings the stream time on");
        (farther, answers) = (answer.behind, answers + 1);
        found.extend(data(&answer).into_iter().map(<[u8]>::to_vec));
        iterator = answer.next.unwrap();
    }
    assert_eq!(found, [b"before", b"behind"]);
    // 252 stretches of 5 minutes; the one that ends with the record and the one behind it come in one answer.
    assert_eq!(answers, 251);
    assert_eq!(read(&kinesis, "reader", &iterator, 10).unwrap().behind, 700, "an idle tip need not say 0");
    assert_eq!(kinesis.count("reader", Operation::GetRecords).empty, 250, "all but two");
}

/// Row 4: 5 `GetRecords` a second, to all readers of a shard together, each counted as its caller's.
#[tokio::test(start_paused = true)]
async fn row_4_readers_share_five_calls_a_second() {
    let kinesis = with(Faults { read_limits: true, ..Faults::default() }, 1);
    put(&kinesis, "a", "x");
    let iterator = begin(&kinesis, &Start::TrimHorizon).unwrap();
    for _ in 0..3 {
        read(&kinesis, "neighbour", &iterator, 1).unwrap();
    }
    let answers: Vec<_> = (0..4).map(|_| read(&kinesis, "reader", &iterator, 1).is_ok()).collect();
    assert_eq!(answers, [true, true, false, false]);
    assert_eq!(read(&kinesis, "neighbour", &iterator, 1), Err(Code::ProvisionedThroughputExceeded));
    let throttled = |caller| kinesis.count(caller, Operation::GetRecords).throttled;
    assert_eq!((throttled("reader"), throttled("neighbour")), (2, 1));
    kinesis.clock().pass(999).await;
    assert!(read(&kinesis, "reader", &iterator, 1).is_err());
    kinesis.clock().pass(1).await;
    read(&kinesis, "reader", &iterator, 1).unwrap();
}

/// Row 4: 2 MiB a second; an answer has 10 MiB at most, and nothing follows it for 5 seconds.
#[tokio::test(start_paused = true)]
async fn row_4_ten_mebibytes_and_then_nothing_for_five_seconds() {
    let kinesis = with(Faults { read_limits: true, ..Faults::default() }, 1);
    for _ in 0..24 {
        let entry = Entry::new("a", Bytes::from(vec![7; (1 << 19) - 1]));
        kinesis.call("producer", |call| call.put_record("orders", entry)).unwrap();
    }
    let answer = read(&kinesis, "reader", &begin(&kinesis, &Start::TrimHorizon).unwrap(), 10_000).unwrap();
    assert_eq!(answer.records.len(), 20, "of half a MiB each, key included");
    assert!(answer.behind > 0, "more is there");
    let next = answer.next.unwrap();
    kinesis.clock().pass(5_000).await;
    assert_eq!(read(&kinesis, "reader", &next, 10_000), Err(Code::ProvisionedThroughputExceeded));
    kinesis.clock().pass(1).await;
    assert_eq!(read(&kinesis, "reader", &next, 10_000).unwrap().records.len(), 4);
    // 2 MiB were there and were taken; a moment later a little is there again.
    assert_eq!(read(&kinesis, "reader", &next, 10_000), Err(Code::ProvisionedThroughputExceeded));
    kinesis.clock().pass(1_000).await;
    assert!(read(&kinesis, "reader", &next, 1).is_ok());
}

/// Row 5: an on-demand stream splits what is busy by itself; the parent stays listed until its records expire.
#[tokio::test(start_paused = true)]
async fn row_5_on_demand_streams_split_by_themselves() {
    let kinesis = Kinesis::new();
    kinesis.set(Faults { moving_horizon: true, splits_above: Some(1_000_000), ..Faults::default() });
    for (name, mode) in [("orders", Mode::OnDemand), ("fixed", Mode::Provisioned)] {
        kinesis.call("owner", |call| call.create_stream(name, 4, mode)).unwrap();
        for _ in 0..3 {
            let entry = Entry::new("a", Bytes::from(vec![7; 400_000]));
            kinesis.call("producer", |call| call.put_record(name, entry)).unwrap();
        }
    }
    let shards = |name, filter| kinesis.call("reader", |call| call.list_shards(name, filter, None)).unwrap().shards;
    assert_eq!(shards("fixed", Filter::default()).len(), 4);
    assert_eq!(shards("orders", Filter::default()).len(), 6);
    assert_eq!(shards("orders", Filter::AtLatest).len(), 5);
    kinesis.clock().pass(24 * HOUR + 1).await;
    assert_eq!(shards("orders", Filter::default()).len(), 5, "the parent is gone with its records");
}

/// Row 6: a shard's end tells its children; a child tells both parents of a merge.
#[tokio::test(start_paused = true)]
async fn row_6_the_end_of_a_shard_names_its_children() {
    for end_with_records in [false, true] {
        let kinesis = with(Faults { end_with_records, ..Faults::default() }, 2);
        put(&kinesis, "b", "first");
        let other = "shardId-000000000001";
        kinesis.call("owner", |call| call.merge_shards("orders", FIRST, other)).unwrap();
        let shards = kinesis.call("reader", |call| call.list_shards("orders", Filter::default(), None)).unwrap().shards;
        assert_eq!((shards[2].parent.as_deref(), shards[2].adjacent.as_deref()), (Some(FIRST), Some(other)));
        let holder = if shards[0].hashes.contains(sluice_fake_kinesis::hash_of("b")) { FIRST } else { other };
        let start = kinesis.call("reader", |call| call.get_shard_iterator("orders", holder, &Start::TrimHorizon));
        let mut answer = read(&kinesis, "reader", &start.unwrap(), 10).unwrap();
        assert_eq!(data(&answer), [b"first"]);
        assert_eq!(answer.next.is_none(), end_with_records);
        if let Some(next) = answer.next {
            answer = read(&kinesis, "reader", &next, 10).unwrap();
        }
        assert_eq!(answer.next, None);
        assert_eq!(answer.children.len(), 1);
        assert_eq!(answer.children[0].parents, [FIRST, other]);
    }
}

/// Row 7: a record goes where the MD5 of its key leads, unless it says another hash.
#[tokio::test(start_paused = true)]
async fn row_7_keys_lead_to_shards_by_md5() {
    let kinesis = with(Faults::default(), 2);
    // md5("a") begins with 0c, md5("b") with 92.
    let landed = |entry| kinesis.call("producer", |call| call.put_record("orders", entry)).unwrap().shard;
    assert_eq!(landed(Entry::new("a", "")), FIRST);
    assert_eq!(landed(Entry::new("b", "")), "shardId-000000000001");
    let explicit = |hash| Entry { explicit_hash: Some(hash), ..Entry::new("b", "") };
    assert_eq!((landed(explicit(0)), landed(explicit(u128::MAX))), (FIRST.into(), "shardId-000000000001".into()));
}

/// Row 9: 1,000 records and 1 MiB a second; what is too much is refused inside a call that is answered.
#[tokio::test(start_paused = true)]
async fn row_9_a_shard_takes_so_much_and_refuses_the_rest_one_by_one() {
    let kinesis = with(Faults { write_limits: true, ..Faults::default() }, 1);
    let many = |count, bytes| vec![Entry::new("a", Bytes::from(vec![7; bytes])); count];
    let put = |entries| kinesis.call("producer", |call| call.put_records("orders", entries)).unwrap();
    assert!(put(many(500, 1)).iter().chain(&put(many(500, 1))).all(Result::is_ok));
    assert!(
        put(many(10, 1))
            .into_iter()
            .all(|result| { result.is_err_and(|refused| refused.code == Code::ProvisionedThroughputExceeded) })
    );
    kinesis.clock().pass(1_000).await;
    let taken = put(many(20, 100_000)).into_iter().flatten().count();
    assert_eq!(taken, 10, "of 100,001 bytes each");
    let count = kinesis.count("producer", Operation::PutRecords);
    assert_eq!((count.records, count.records_throttled, count.throttled), (1_010, 20, 0));
    // Large records have a store of their own, which fills slowly.
    kinesis.call("owner", |call| call.allow_records_of("orders", 10_240)).unwrap();
    let large = || put(many(1, 5 << 20)).into_iter().flatten().count();
    assert_eq!((large(), large()), (1, 0), "the keys count too");
    kinesis.clock().pass(1_000).await;
    assert_eq!(large(), 1);
    kinesis.clock().pass(60_000).await;
    assert_eq!(large(), 0, "2 % of a MiB a second");
}

/// Row 9: records of one request land in any order; their results keep the request's.
#[tokio::test(start_paused = true)]
async fn row_9_records_of_a_request_land_in_any_order() {
    for any_order in [false, true] {
        let kinesis = with(Faults { any_order, ..Faults::default() }, 1);
        let entries: Vec<_> = (0..100).map(|number| Entry::new("a", format!("{number}"))).collect();
        let results = kinesis.call("producer", |call| call.put_records("orders", entries.clone())).unwrap();
        let numbers: Vec<_> = results.into_iter().map(|result| result.unwrap().number).collect();
        let answer = read(&kinesis, "reader", &begin(&kinesis, &Start::TrimHorizon).unwrap(), 1_000).unwrap();
        assert!(answer.records.is_sorted_by(|one, other| one.number < other.number));
        for (number, entry) in numbers.iter().zip(&entries) {
            assert!(answer.records.iter().any(|record| record.number == *number && record.data == entry.data));
        }
        assert_eq!(numbers.is_sorted(), !any_order);
    }
}

/// Row 10: a stream that was made again under its name tells it by its creation time; nothing of the old one is valid.
#[tokio::test(start_paused = true)]
async fn row_10_a_stream_is_made_again_under_its_name() {
    let kinesis = with(Faults { changing: 10_000, ..Faults::default() }, 1);
    let described = || kinesis.call("reader", |call| call.describe_stream_summary("orders"));
    assert_eq!(described().unwrap().status.to_string(), "CREATING");
    kinesis.clock().pass(10_000).await;
    let number = put(&kinesis, "a", "old");
    let iterator = begin(&kinesis, &Start::TrimHorizon).unwrap();
    let before = described().unwrap();
    kinesis.call("owner", |call| call.delete_stream("orders")).unwrap();
    assert_eq!(described().unwrap().status.to_string(), "DELETING");
    kinesis.clock().pass(10_000).await;
    assert_eq!(described().unwrap_err().code, Code::ResourceNotFound);
    kinesis.call("owner", |call| call.create_stream("orders", 1, Mode::Provisioned)).unwrap();
    kinesis.clock().pass(10_000).await;
    let after = described().unwrap();
    assert_eq!((before.name, before.arn), (after.name, after.arn));
    assert_eq!(after.created - before.created, 20_000);
    assert_eq!(read(&kinesis, "reader", &iterator, 10), Err(Code::ResourceNotFound));
    assert_eq!(begin(&kinesis, &Start::AtSequenceNumber(number)), Err(Code::InvalidArgument));
}
