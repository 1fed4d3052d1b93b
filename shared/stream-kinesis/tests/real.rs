//! The adapter alone against Kinesis as it is: rows of the table in the fake's README.
#![cfg(test)]

mod world;

use sluice_fake_kinesis::{Behind, Entry, Faults, Kinesis, Millis, Mode, Operation};
use sluice_ports::{Appended, Clock, NewEvent, Read, ReadLimit, StreamReader, append_once};
use sluice_transfer::{Position, Sequence, ShardId, Timestamp, Value};

use crate::world::stream;

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;
const MUCH: ReadLimit = ReadLimit::new(10_000, 4 << 20);

fn with(faults: Faults, shards: u32) -> Kinesis {
    let kinesis = Kinesis::new();
    kinesis.set(faults);
    kinesis.call("owner", |call| call.create_stream("orders", shards, Mode::Provisioned)).unwrap();
    kinesis
}

fn first() -> ShardId {
    "shardId-000000000000".parse().unwrap()
}

/// A record now; its number.
fn put(kinesis: &Kinesis) -> Sequence {
    let entry = Entry::new("a", "payload");
    kinesis.call("producer", |call| call.put_record("orders", entry)).unwrap().number.parse().unwrap()
}

/// Calls of the adapter that read.
fn reads(kinesis: &Kinesis) -> u64 {
    let count = |operation| kinesis.count("sluice", operation).calls;
    count(Operation::GetShardIterator) + count(Operation::GetRecords)
}

/// Row 3: shards that are idle for long are described by at most 3 calls each.
async fn idle_shards_are_described(hours: u64) {
    let kinesis = with(Faults::real(), 4);
    kinesis.call("owner", |call| call.increase_stream_retention_period("orders", 8_760)).unwrap();
    for _ in 0..10 {
        put(&kinesis);
        kinesis.clock().pass(1_000).await;
    }
    kinesis.clock().pass(hours * HOUR).await;
    let listing = stream(&kinesis, "orders").list().await.unwrap();
    assert_eq!((listing.shards.len(), reads(&kinesis)), (4, 0), "a listing looks into no shard");
}

#[tokio::test(start_paused = true)]
async fn shards_that_are_idle_for_a_day_are_described() {
    idle_shards_are_described(20).await;
}

#[tokio::test(start_paused = true)]
async fn shards_that_are_idle_for_thirty_days_are_described() {
    idle_shards_are_described(30 * 24).await;
}

/// Row 3: an idle shard's tip need not say 0, and is the tip all the same.
#[tokio::test(start_paused = true)]
async fn the_tip_of_an_idle_shard_is_seen() {
    let kinesis = with(Faults { idle_tip: 700, ..Faults::real() }, 1);
    let number = put(&kinesis);
    let (stream, mut from) = (stream(&kinesis, "orders"), Position::Beginning);
    for _ in 0..10 {
        let answer = stream.read(&first(), &from, MUCH).await.unwrap();
        let Read::Events { next, reached, .. } = answer else { panic!("nothing is lost, but {answer:?}") };
        from = next;
        let now = Clock::now(&kinesis.clock());
        if reached.is_some_and(|reached| now.millis_since(reached) < 2_000) {
            assert!(from.covers(&number));
            return;
        }
    }
    panic!("no read reached the tip");
}

/// Row 1: a read from the earliest position finds what is there, though the horizon moves meanwhile.
#[tokio::test(start_paused = true)]
async fn the_earliest_position_can_be_read_from() {
    let kinesis = with(Faults::real(), 1);
    for _ in 0..600 {
        put(&kinesis);
        kinesis.clock().pass(100).await;
    }
    kinesis.clock().pass(24 * HOUR - 30_000).await;
    let answer = stream(&kinesis, "orders").read(&first(), &Position::Beginning, MUCH).await.unwrap();
    assert!(matches!(&answer, Read::Events { events, .. } if events.len() > 200), "{answer:?}");
}

/// Rows 1 and 2: a reader that slept for longer than the retention is told exactly what is left, in at most 5 calls.
async fn a_loss_is_told(behind: Behind) {
    let kinesis = with(Faults { behind, ..Faults::real() }, 1);
    let read = put(&kinesis);
    // So close that each answer finds one.
    for _ in 0..30 * 15 {
        kinesis.clock().pass(4 * MINUTE).await;
        put(&kinesis);
    }
    let before = reads(&kinesis);
    let answer = stream(&kinesis, "orders").read(&first(), &Position::After(read), MUCH).await.unwrap();
    let Read::Trimmed { earliest } = answer else { panic!("90 records are lost, but {answer:?}") };
    let calls = reads(&kinesis) - before;
    let left = stream(&kinesis, "orders").read(&first(), &earliest, MUCH).await.unwrap();
    let Read::Events { events, .. } = left else { panic!("what is left is read, but {left:?}") };
    assert_eq!(Position::before(&events[0].sequence), earliest, "exactly what is left");
    assert!(calls <= 5, "{calls} calls");
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_told_where_iterators_begin_at_the_horizon() {
    a_loss_is_told(Behind::AtHorizon).await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_told_where_old_numbers_are_refused() {
    a_loss_is_told(Behind::Refused).await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_told_where_iterators_answer_nothing() {
    a_loss_is_told(Behind::EmptyForEver).await;
}

/// Row 11: a pushed event is silent on later arrivals.
#[tokio::test(start_paused = true)]
async fn what_lay_in_a_buffer_is_not_taken_for_news() {
    let kinesis = with(Faults::real(), 1);
    let number = put(&kinesis);
    let stream = stream(&kinesis, "orders");
    stream.register_reader("sluice-test").await.unwrap();
    let (mut from, mut late) = (Position::Beginning, None);
    for _ in 0..200 {
        let answer = stream.read(&first(), &from, MUCH).await.unwrap();
        let Read::Events { events, next, reached, .. } = answer else { panic!("nothing is lost, but {answer:?}") };
        from = next;
        if let Some((number, arrived)) = &late {
            if from.covers(number) {
                assert_eq!(events.len(), 1);
                return;
            }
            assert!(reached.is_none_or(|reached| reached <= *arrived), "it is not read yet");
        } else if reached.is_some() {
            assert!(from.covers(&number));
            // Events without a record are pushed meanwhile, and nobody reads them.
            kinesis.clock().pass(17_000).await;
            late = Some((put(&kinesis), Clock::now(&kinesis.clock())));
        }
    }
    panic!("no read came to the record");
}

/// Row 9: a writer has a pace. What is refused was sent in vain.
#[tokio::test(start_paused = true)]
async fn a_writer_keeps_to_what_a_shard_takes() {
    let kinesis = with(Faults::real(), 1);
    let adapter = stream(&kinesis, "orders");
    let event = |number: u32| NewEvent {
        time: Timestamp::default(),
        key: Value::from(number.to_string()),
        headers: Vec::new(),
        payload: Value::from(vec![b'x'; 1_000]),
    };
    let events: Vec<_> = (0..10_000).map(event).collect();
    let mut tail = Position::Beginning;
    for some in events.chunks(2_500) {
        let answer = append_once(&adapter, &first(), None, &tail, some).await.unwrap();
        let Appended::Done { tail: end } = answer else { panic!("it is done, but {answer:?}") };
        tail = end;
    }
    let count = kinesis.count("sluice", Operation::PutRecords);
    assert_eq!(count.records, 10_000);
    assert!(count.records_throttled <= 100, "{} refused for 10,000 taken", count.records_throttled);
}
