//! Keys of which some are sent far more often than others: what an append of them takes, on virtual time.
#![cfg(test)]

mod world;

use std::collections::HashMap;

use futures::future::join_all;
use sluice_fake_kinesis::{Faults, Kinesis, Mode};
use sluice_ports::{Appended, Clock, NewEvent, StreamStore};
use sluice_transfer::{HashRange, Position, ShardId, Timestamp, Value, key_hash};

use crate::world::stream;

/// Of a put to its answer, in milliseconds.
const LATENCY: u64 = 10;
/// Events of one append: what a shard takes in a second.
const BATCH: usize = 1_000;
/// Records that a writer sends to a shard in a second.
const TAKEN: f64 = 980.0;

/// Ranks of events whose keys have Zipf shares: the same at every call.
fn ranks(keys: u32, count: usize) -> Vec<u32> {
    let sums = (1..=keys).scan(0.0, |sum, rank| {
        *sum += 1.0 / f64::from(rank);
        Some(*sum)
    });
    let (sums, mut state): (Vec<f64>, u32) = (sums.collect(), 1);
    let draw = |_| {
        // Numerical Recipes' generator.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let drawn = f64::from(state) / f64::from(u32::MAX) * sums.last().copied().unwrap_or_default();
        u32::try_from(sums.partition_point(|sum| *sum < drawn)).unwrap()
    };
    (0..count).map(draw).collect()
}

fn event(rank: u32) -> NewEvent {
    let key = Value::from(format!("key-{rank}"));
    NewEvent { time: Timestamp::default(), key, headers: Vec::new(), payload: Value::from(vec![b'x'; 100]) }
}

/// How many of the most frequent key there are.
fn hottest(events: &[u32]) -> u64 {
    let mut counts = HashMap::<u32, u64>::new();
    for rank in events {
        *counts.entry(*rank).or_default() += 1;
    }
    counts.into_values().max().unwrap_or_default()
}

/// Of a key one event is under way at a time, so its events take a put each, one after the other. All others are sent
/// beside them: a shard takes no longer than that, or than its limit makes of all its events.
#[tokio::test(start_paused = true)]
async fn the_others_of_a_shard_are_sent_beside_its_hot_key() {
    let kinesis = Kinesis::new();
    kinesis.set(Faults { latency: LATENCY, ..Faults::real() });
    kinesis.call("owner", |call| call.create_stream("orders", 4, Mode::Provisioned)).unwrap();
    let (target, clock) = (stream(&kinesis, "orders"), kinesis.clock());
    let shards: Vec<(ShardId, HashRange)> =
        target.list().await.unwrap().shards.into_iter().map(|listed| (listed.shard, listed.hashes.unwrap())).collect();
    let ranks = ranks(1_000, 10_000);
    let begun = Clock::now(&clock);
    let imports = shards.iter().map(async |(shard, hashes)| {
        let is_led_here = |rank: &u32| hashes.contains(key_hash(format!("key-{rank}").as_bytes()));
        let ranks: Vec<u32> = ranks.iter().copied().filter(is_led_here).collect();
        let (mut tail, mut least) = (Position::Beginning, 0.0);
        for batch in ranks.chunks(BATCH) {
            let events: Vec<_> = batch.iter().map(|rank| event(*rank)).collect();
            let Appended::Done { tail: next } = target.append_by_key(shard, None, &tail, &events).await.unwrap() else {
                panic!("no shard was split")
            };
            tail = next;
            least += (batch.len() as f64 / TAKEN).max((hottest(batch) * LATENCY) as f64 / 1e3);
        }
        (Clock::now(&clock).millis_since(begun) as f64 / 1e3, least, ranks.len())
    });
    for (took, least, events) in join_all(imports).await {
        println!("{events} events took {took:.2} s, which can be done in {least:.2}");
        assert!(events > BATCH, "{events} events");
        assert!(took < 1.1 * least, "{events} events took {took} s, which can be done in {least}");
    }
}
