//! What a stream looks like, and where times are.

use proptest::prelude::*;
use serde_json::json;
use sluice_ports::{ErrorKind, Made, Read, ReadLimit, StreamAdmin, StreamReader, append_once};
use sluice_transfer::{Position, Timestamp};

use crate::server::{Fault, State};
use crate::{World, after, before, event, kind, shard};

#[tokio::test]
async fn shards_and_their_ends() {
    let mut state = State::with_shards(3);
    state.put(0, "a", b"1");
    state.now += 86_400_000;
    state.put(1, "a", b"2");
    state.put(1, "a", b"3");
    state.put(0, "a", b"4");
    state.shards[1].closed = true;
    state.now += 5_000_000;
    state.hollow = 2;
    let world = World::new(state);
    let info = world.stream.describe().await.unwrap();
    let ends: Vec<_> = info.shards.iter().map(|shard| (shard.earliest.clone(), shard.tail.clone())).collect();
    let empty = (Position::Beginning, Position::Beginning);
    assert_eq!(ends, [(before(11), after(14)), (before(12), after(13)), empty]);
    let names: Vec<_> = info.shards.iter().map(|shard| shard.shard.clone()).collect();
    assert_eq!(names, [shard(0), shard(1), shard(2)]);
    assert!(info.shards.iter().all(|shard| shard.parents.is_empty()), "a parent that is gone is none");
    assert_eq!((info.writer, info.largest_event), (None, 1 << 20));
    assert!(World::new(State::with_shards(2)).stream.describe().await.unwrap().is_empty());
}

#[tokio::test]
async fn streams_that_are_not_there() {
    let world = World::new(State::with_shards(1));
    for (status, expected) in [("CREATING", ErrorKind::Unavailable), ("DELETING", ErrorKind::NotFound)] {
        world.state(|state| state.summary.insert("StreamStatus", json!(status)));
        assert_eq!(kind(world.stream.describe().await), expected, "{status}");
    }
    world.state(|state| state.faults.insert("DescribeStreamSummary", [MISSING].into()));
    assert_eq!(kind(world.stream.describe().await), ErrorKind::NotFound);
}

const MISSING: Fault = Fault::Refused("ResourceNotFoundException");

#[tokio::test]
async fn a_stream_is_made_once_whatever_becomes_of_the_answer() {
    let world = World::new(State::with_shards(1));
    let faults = |faults: &[Fault]| {
        let faults = faults.to_vec().into();
        world.state(|state| state.faults.insert("CreateStream", faults));
    };
    assert_eq!(world.stream.create(3).await.unwrap(), Made::Now);
    let there = Fault::Refused("ResourceInUseException");
    faults(&[there]);
    assert_eq!(world.stream.create(3).await.unwrap(), Made::Before, "a stream that exists is left as it is");
    faults(&[Fault::Lost, there]);
    assert_eq!(world.stream.create(3).await.unwrap(), Made::Before, "who made it is not known");
    let limit = Fault::Refused("LimitExceededException");
    faults(&[limit]);
    assert_eq!(world.stream.create(3).await.unwrap(), Made::Now, "for a moment there were too many");
    faults(&[limit; 5]);
    let why = world.stream.create(3).await.unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Full);
    assert!(why.to_string().contains("no room for 3 shards"), "{why}");
    faults(&[Fault::Refused("AccessDeniedException")]);
    let why = world.stream.create(3).await.unwrap_err();
    assert!(why.kind() == ErrorKind::Denied && why.to_string().contains("kinesis:CreateStream allowed"), "{why}");
}

#[tokio::test]
async fn where_none_may_be_made_the_command_is_named() {
    let world = World::new(State::with_shards(1));
    let command = "aws kinesis create-stream --stream-name orders --shard-count 3";
    assert_eq!(world.stream.create_command(3).as_deref(), Some(command));
    let stream = World::stream(&world.server).never_made("the owner says no");
    assert_eq!(stream.create(3).await.unwrap(), Made::Before, "a stream that exists is left as it is");
    world.state(|state| state.faults.insert("DescribeStreamSummary", [MISSING].into()));
    let why = stream.create(3).await.unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Denied);
    assert!(why.to_string().contains("the owner says no") && why.to_string().contains(command), "{why}");
    assert_eq!(world.calls("CreateStream"), 0);
}

#[tokio::test]
async fn a_stream_by_its_arn() {
    let world = World::new(State::with_shards(1));
    let name = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
    let clock = std::sync::Arc::new(crate::ServerClock(world.server.clone()));
    let stream = sluice_stream_kinesis::KinesisStream::new(world.server.client(), name, clock);
    let answer = append_once(&stream, &shard(0), None, &Position::Beginning, &[event("k", "p")]).await.unwrap();
    assert_eq!(answer, sluice_ports::Appended::Done { tail: after(11) });
    assert_eq!(stream.describe().await.unwrap().shards[0].tail, after(11));
    assert_eq!(stream.create(1).await.unwrap(), Made::Now, "by its name");
    let command = stream.create_command(1).unwrap();
    assert!(command.ends_with("--stream-name orders --shard-count 1 --region eu-west-1"), "{command}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Wherever a time lies: in front of the first record of that time or later.
    #[test]
    fn times_are_found(
        pauses in proptest::collection::vec(prop_oneof![0_i64..3, 0_i64..20_000, 0_i64..9_000_000], 0..25),
        asked in proptest::collection::vec((0_usize..25, -3_i64..3), 1..6),
        trimmed in 0_usize..10,
        hollow in 0_u64..2,
    ) {
        let mut state = State::with_shards(1);
        for pause in &pauses {
            state.now += pause;
            state.put(0, "k", b"p");
        }
        state.now += 60_000;
        let gone = trimmed.min(state.shards[0].records.len());
        state.shards[0].records.drain(..gone);
        state.hollow = hollow;
        let records = state.shards[0].records.clone();
        let world = World::new(state);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (index, shift) in asked {
            let millis = records.get(index).map_or(1_700_000_000_000, |record| record.millis) + shift;
            let expected = match records.iter().position(|record| record.millis >= millis) {
                Some(0) => before(records[0].number),
                Some(found) => after(records[found - 1].number),
                None => records.last().map_or(Position::Beginning, |last| after(last.number)),
            };
            let found = runtime.block_on(world.stream.position_at(&shard(0), Timestamp::from_millis(millis))).unwrap();
            prop_assert_eq!(&found, &expected);
            let read = runtime.block_on(world.stream.read(&shard(0), &found, ReadLimit::new(1, 1)));
            let Ok(Read::Events { events, .. }) = read else { panic!("nothing behind it is trimmed") };
            let first = records.iter().find(|record| record.millis >= millis).map(|record| crate::sequence(record.number));
            prop_assert_eq!(events.first().map(|event| event.sequence.clone()), first);
        }
    }
}

#[tokio::test]
async fn shards_without_an_end_and_numbers_of_too_many_digits_are_refused() {
    let mut state = State::with_shards(1);
    state.more_shards = Some("again");
    let world = World::new(state);
    assert_eq!(kind(world.stream.describe().await), ErrorKind::Corrupt);
    assert_eq!(world.calls("ListShards"), 2, "the same token comes twice");
    let mut state = State::with_shards(1);
    state.put(0, "k", b"payload");
    // No text is as wide.
    state.begins = Some("1".repeat(70_000));
    assert_eq!(kind(World::new(state).stream.describe().await), ErrorKind::Corrupt);
}

#[tokio::test]
async fn the_oldest_is_the_first_of_those_that_are_answered() {
    let mut state = State::with_shards(1);
    state.generous = true;
    for index in 0..3 {
        state.now += 1_000;
        state.put(0, "k", format!("payload {index}").as_bytes());
    }
    let (world, first) = (World::new(state), 11);
    let ends = world.stream.describe().await.expect("it is described").shards.remove(0);
    assert_eq!((ends.earliest, ends.tail), (before(first), after(first + 2)));
    let found = world.stream.position_at(&shard(0), Timestamp::from_millis(0)).await;
    assert_eq!(found.expect("a place"), before(first));
}
