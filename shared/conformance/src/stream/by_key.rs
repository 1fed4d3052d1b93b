//! The order of keys, which every store keeps, and what a store must do that cannot append conditionally.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use sluice_ports::{Appended, ErrorKind, NewEvent, Read, ReadLimit, append_once};
use sluice_transfer::{Header, Position, ShardId, Timestamp, Value};

use super::Store;

/// Reads after which what was written should have been seen.
const READS: usize = 1_000;

pub(super) fn event(key: &str, payload: &str) -> NewEvent {
    let (key, payload) = (Value::from(key.as_bytes().to_vec()), Value::from(payload.as_bytes().to_vec()));
    NewEvent { time: Timestamp::from_millis(1_234), key, headers: Vec::new(), payload }
}

/// Events of three keys, two of them equal, as the store keeps them.
pub(super) fn events(store: &Store, name: &str) -> Vec<NewEvent> {
    let keys = ["a", "b", "a", "c", "a", "b", "b", "a"];
    let payload = |n: usize| if n == 5 { format!("{name} 1") } else { format!("{name} {n}") };
    let events = keys.iter().enumerate().map(|(n, key)| event(key, &payload(n)));
    events.map(|event| store.as_stored(event).expect("a plain event is kept")).collect()
}

pub(super) async fn shards(store: &Store) -> Vec<(ShardId, Position)> {
    let info = store.describe().await.expect("a stream describes itself");
    info.shards.into_iter().map(|info| (info.shard, info.tail)).collect()
}

pub(super) async fn append(store: &Store, shard: &ShardId, expected: &Position, events: &[NewEvent]) -> Position {
    match append_once(&**store, shard, None, expected, events).await {
        Ok(Appended::Done { tail }) => tail,
        other => panic!("an append is done, but it answered {other:?}"),
    }
}

/// So many events behind a position, in the form that they are kept in, and where the last of them stands.
async fn read(store: &Store, shard: &ShardId, from: &Position, many: usize) -> (Vec<NewEvent>, Position) {
    let (mut all, mut position, mut last) = (Vec::new(), from.clone(), from.clone());
    for _ in 0..READS {
        let answer = store.read(shard, &position, ReadLimit::new(3, 1_000_000)).await;
        let Ok(Read::Events { events, next, at_tail, .. }) = answer else { panic!("a read answered {answer:?}") };
        assert!(next >= position, "a read does not go back from {position} to {next}");
        for event in events {
            let here = Position::After(event.sequence.clone());
            assert!(here > last && here <= next, "numbers grow within a shard and a read goes on behind its events");
            last = here;
            let read = NewEvent::from(event);
            all.push(store.as_stored(read).expect("what the store holds it can hold"));
        }
        position = next;
        if at_tail && all.len() >= many {
            break;
        }
    }
    assert_eq!(all.len(), many, "every event is read once");
    (all, last)
}

/// What was read is what was written, in the order of each key.
fn same_by_key(read: &[NewEvent], written: &[NewEvent]) {
    let mut by_key: HashMap<&Value, VecDeque<&NewEvent>> = HashMap::new();
    for event in written {
        by_key.entry(&event.key).or_default().push_back(event);
    }
    for event in read {
        let next = by_key.get_mut(&event.key).and_then(VecDeque::pop_front);
        assert_eq!(Some(event), next, "events of one key keep their order");
    }
}

pub(super) fn what_is_kept_stays(store: &Store) {
    let promises = store.promises();
    let plain = event("key", "payload");
    let header = Header { name: "name".to_owned(), value: Value::Null };
    let odd = [
        plain.clone(),
        NewEvent { key: Value::Absent, ..plain.clone() },
        NewEvent { key: Value::Null, ..plain.clone() },
        NewEvent { key: Value::Bytes(Bytes::new()), ..plain.clone() },
        NewEvent { headers: vec![header], ..plain.clone() },
        NewEvent { payload: Value::Absent, ..plain.clone() },
        NewEvent { payload: Value::Null, ..plain.clone() },
        NewEvent { payload: Value::Bytes(Bytes::new()), ..plain },
    ];
    for event in odd {
        match store.as_stored(event.clone()) {
            Ok(kept) => {
                assert_eq!(kept.payload, event.payload, "a payload is kept as it is, or the event is refused");
                let given = event.key == Value::Absent || (!promises.empty_keys && event.key.is_empty());
                assert!(given || kept.key == event.key, "only a key that was not there is given");
                assert!(kept.headers == event.headers, "headers are kept, or the event is refused");
                assert!(kept.time == event.time || kept.time == Timestamp::default(), "a time is kept or none is");
                assert_eq!(store.as_stored(kept.clone()).ok(), Some(kept), "what was kept once is kept as it is");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid, "{event:?}: {error}"),
        }
    }
}

pub(super) async fn appends_arrive_in_the_order_of_keys(store: Store) {
    let there = shards(&store).await;
    for (number, (shard, tail)) in there.iter().enumerate() {
        let (first, second) = (events(&store, &format!("first {number}")), events(&store, &format!("second {number}")));
        let middle = append(&store, shard, tail, &first).await;
        let end = append(&store, shard, &middle, &second).await;
        assert!(*tail < middle && middle < end, "the tail moves on with each append");
        let (all, last) = read(&store, shard, tail, first.len() + second.len()).await;
        assert!(last <= end, "the tail lies behind all that was appended");
        same_by_key(&all[..first.len()], &first);
        same_by_key(&all[first.len()..], &second);
        let (rest, _) = read(&store, shard, &middle, second.len()).await;
        same_by_key(&rest, &second);
        read(&store, shard, &end, 0).await;
    }
}

pub(super) async fn the_expected_tail_is_not_looked_at(store: Store) {
    let there = shards(&store).await;
    let (shard, tail) = &there[0];
    let events = events(&store, "again");
    append(&store, shard, tail, &events[..4]).await;
    append(&store, shard, tail, &events[4..]).await;
    let (all, _) = read(&store, shard, tail, events.len()).await;
    same_by_key(&all, &events);
}
