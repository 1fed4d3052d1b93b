//! The adapter against a server that others wrote, whose endpoint `SLUICE_TEST_KINESIS` names
//! (`http://127.0.0.1:4566`). Without it nothing is run, and that is said.
#![cfg(test)]

mod suite;
mod world;

use sluice_ports::{Clock, ErrorKind, NewEvent, Read, ReadLimit, StreamAdmin, StreamReader, append_once};
use sluice_transfer::{Event, Position, ShardId, Timestamp, Value};

use crate::world::{MUCH, SystemClock, World, client, is_left_out, not_run, open};

fn event(key: &str, payload: Vec<u8>) -> NewEvent {
    let (key, payload) = (Value::from(key.to_owned()), Value::from(payload));
    NewEvent { time: Timestamp::default(), key, headers: Vec::new(), payload }
}

/// Payloads of each key, in their order.
fn by_key<'a>(events: impl Iterator<Item = (&'a Value, &'a Value)>) -> Vec<(&'a [u8], &'a [u8])> {
    let mut pairs: Vec<_> = events.map(|(key, payload)| (key.as_slice(), payload.as_slice())).collect();
    pairs.sort_by_key(|(key, _)| *key);
    pairs
}

fn assert_same(sent: &[NewEvent], read: &[Event]) {
    let sent = by_key(sent.iter().map(|event| (&event.key, &event.payload)));
    let read = by_key(read.iter().map(|event| (&event.key, &event.payload)));
    assert!(sent == read, "{} events were sent, {} read", sent.len(), read.len());
}

#[tokio::test]
async fn what_is_written_is_read() {
    let Some(world) = World::new("written", 3).await else { return };
    let mut events: Vec<_> =
        (0..1_300_u32).map(|index| event(&format!("k{}", index % 700), index.to_be_bytes().to_vec())).collect();
    events.push(event("empty", Vec::new()));
    events.push(event("ключ", (0..=255).collect()));
    events.push(event(&"ä".repeat(128), vec![0; 3]));
    for (shard, part) in events.chunks(600).enumerate() {
        let tail = world.append(shard, part).await;
        let read = world.read_all(shard, &Position::Beginning, MUCH).await;
        assert_same(part, &read);
        assert!(read.is_sorted_by(|a, b| a.sequence < b.sequence));
        let last = read.last().map(|event| event.sequence.clone());
        assert_eq!(Position::After(last.expect("events")), tail);
        let age = SystemClock.now().millis_since(read[0].time);
        assert!(age < 60_000, "the time is that of the arrival: {age} ms ago");
    }
    let bounded = world.read_all(0, &Position::Beginning, ReadLimit::new(90, 600)).await;
    assert_same(&events[..600], &bounded);
    world.remove().await;
}

#[tokio::test]
async fn positions_and_ends() {
    if is_left_out("positions_and_ends") {
        return;
    }
    let Some(world) = World::new("ends", 2).await else { return };
    let empty = world.read_all(1, &Position::Beginning, MUCH).await;
    assert!(empty.is_empty());
    let mut tails = Vec::new();
    for index in 0..6_u8 {
        tails.push(world.append(0, &[event("k", vec![index])]).await);
        SystemClock.sleep(30).await;
    }
    let read = world.read_all(0, &Position::Beginning, MUCH).await;
    let info = open(&world.client, &world.name).describe().await.expect("it is there");
    assert_eq!(info.shards[0].earliest, Position::before(&read[0].sequence));
    assert_eq!(info.shards[0].tail, tails[5]);
    assert_eq!((&info.shards[1].earliest, &info.shards[1].tail), (&Position::Beginning, &Position::Beginning));
    assert_eq!(info.largest_event, 1 << 20);
    for (index, event) in read.iter().enumerate() {
        assert_eq!(Position::After(event.sequence.clone()), tails[index]);
        for (from, rest) in [(Position::before(&event.sequence), index), (tails[index].clone(), index + 1)] {
            let anew = world.anew();
            assert!(anew.read_all(0, &from, MUCH).await == read[rest..], "behind {from}");
        }
        let found = world.stream.position_at(&world.shards[0], event.time).await.expect("a time is found");
        let expected =
            index.checked_sub(1).map_or_else(|| info.shards[0].earliest.clone(), |before| tails[before].clone());
        assert_eq!(found, expected, "in front of the first event at {}", event.time);
    }
    let hour = SystemClock.now().plus_millis(3_600_000);
    for (shard, time, expected) in [
        (0, Timestamp::from_micros(i64::MIN), info.shards[0].earliest.clone()),
        (0, SystemClock.now(), tails[5].clone()),
        (0, hour, tails[5].clone()),
        (1, hour, Position::Beginning),
    ] {
        let found = world.stream.position_at(&world.shards[shard], time).await.expect("a time is found");
        assert_eq!(found, expected, "shard {shard} at {time}");
    }
    world.remove().await;
}

#[tokio::test]
async fn large_records() {
    let Some(world) = World::new("large", 1).await else { return };
    let payload = |index: u8| vec![index; (1 << 20) - 10];
    let events: Vec<_> = (0..12).map(|index| event(&format!("k{}", index % 5), payload(index))).collect();
    world.append(0, &events).await;
    let read = world.read_all(0, &Position::Beginning, ReadLimit::new(100, 3 << 20)).await;
    assert_same(&events, &read);
    let larger = event("k", vec![0; 1 << 20]);
    let answer = append_once(&world.stream, &world.shards[0], None, &Position::Beginning, &[larger]).await;
    assert_eq!(answer.expect_err("it is too large").kind(), ErrorKind::Invalid);
    world.remove().await;
}

#[tokio::test]
async fn streams_that_are_not_there() {
    let Some(client) = client() else { return };
    let stream = open(&client, "sluice-nowhere");
    assert_eq!(stream.describe().await.expect_err("it is not there").kind(), ErrorKind::NotFound);
    let kept = open(&client, "sluice-nowhere").never_made("it is a test");
    let why = kept.create(2).await.expect_err("it is not made").to_string();
    assert!(why.contains("aws kinesis create-stream --stream-name sluice-nowhere --shard-count 2"), "{why}");
    let shard: ShardId = "shardId-000000000000".parse().expect("a shard's name");
    let read = stream.read(&shard, &Position::Beginning, MUCH).await;
    assert_eq!(read.expect_err("it is not there").kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_shard_that_was_split() {
    let Some(world) = World::new("split", 1).await else { return };
    let events: Vec<_> = (0..20_u8).map(|index| event("k", vec![index])).collect();
    let tail = world.append(0, &events).await;
    let split = world.client.split_shard().stream_name(&world.name).shard_to_split(world.shards[0].as_str());
    split.new_starting_hash_key((u128::MAX / 2).to_string()).send().await.expect("the server splits");
    SystemClock.sleep(1_500).await;
    let info = world.stream.describe().await.expect("it is there");
    let Some(parent) = info.shards.iter().find(|shard| shard.shard == world.shards[0]) else {
        not_run("the server drops a shard that is split");
        return world.remove().await;
    };
    assert_eq!(parent.tail, tail, "the tail of a closed shard is its last record");
    let children: Vec<_> = info.shards.iter().filter(|shard| shard.shard != world.shards[0]).collect();
    assert!(children.len() == 2 && children.iter().all(|child| child.parents == world.shards));
    assert_same(&events, &world.read_all(0, &Position::Beginning, MUCH).await);
    let read = world.stream.read(&world.shards[0], &tail, MUCH).await.expect("a read is answered");
    let Read::Events { events: behind, next, at_tail, .. } = read else { panic!("{read:?}") };
    assert!(behind.is_empty() && next == Position::End && at_tail, "nothing ever comes behind it");
    let answer = append_once(&world.stream, &world.shards[0], None, &tail, &events).await;
    assert_eq!(answer.expect_err("it is closed").kind(), ErrorKind::Invalid);
    world.remove().await;
}
