//! Positions by times, and reads that begin at a time.

use sluice_ports::ReadLimit;
use sluice_transfer::{Position, Range, Sequence, Timestamp};

use super::Store;
use super::dense::{after, append, as_stored, event, read, shard};

async fn at(store: &Store, time: i64) -> Position {
    let answer = store.position_at(&shard(0), Timestamp::from_micros(time)).await;
    answer.expect("a shard knows where a time is")
}

pub(super) async fn positions(store: Store) {
    let id = shard(0);
    assert_eq!(at(&store, i64::MIN).await, Position::Beginning, "an empty shard answers its tail");
    append(&store, &shard(1), Position::Beginning, &[event(1, 1), event(1_000, 1)]).await;
    // Times neither grow nor are they alone; appends of one, two and four.
    let written = [10_i64, 30, 20, 20, 50, 40, 60];
    append(&store, &id, Position::Beginning, &[event(10, 1)]).await;
    append(&store, &id, after(0), &[event(30, 1), event(20, 1)]).await;
    append(&store, &id, after(2), &[event(20, 1), event(50, 1), event(40, 1), event(60, 1)]).await;
    for time in [i64::MIN, 0, 10, 11, 20, 21, 30, 31, 40, 50, 51, 60, 61, i64::MAX] {
        let expected = written.iter().position(|written| *written >= time).unwrap_or(written.len());
        let expected = Position::before(&Sequence::new(expected as u64));
        assert_eq!(at(&store, time).await, expected, "the first event at {time} or later");
    }
    for (from, until) in [(0, 7), (0, 0), (2, 6), (6, 7), (6, 2), (0, 100)] {
        let place = |number: usize| Position::before(&Sequence::new(number as u64));
        let range = Range { from: place(from), until: place(until) };
        for time in [i64::MIN, 10, 11, 20, 21, 45, i64::MAX] {
            let answer =
                store.count_before(&id, &range, Timestamp::from_micros(time)).await.expect("times are counted");
            let within = written.iter().skip(from).take(until.saturating_sub(from));
            let expected = within.filter(|written| **written < time).count() as u64;
            assert!(answer.is_none_or(|count| count == expected), "{answer:?} of {from} to {until} before {time}");
        }
    }
}

pub(super) async fn reads_begin_at_a_time(store: Store) {
    let id = shard(0);
    let events: Vec<_> = [10_i64, 30, 20, 50, 40].into_iter().map(|time| event(time, 1)).collect();
    append(&store, &id, Position::Beginning, &events).await;
    for time in [0, 10, 11, 30, 31, 50, 51] {
        for from in [Position::Beginning, after(0), after(2), after(4)] {
            let limit = ReadLimit { since: Some(Timestamp::from_micros(time)), ..ReadLimit::new(10, 1_000) };
            let (found, ..) = read(&store, &id, &from, limit).await;
            let first = events.iter().position(|event| event.time.micros() >= time).unwrap_or(events.len());
            let behind =
                from.next_sequence().and_then(|next| next.as_u64()).and_then(|next| usize::try_from(next).ok());
            let first = first.max(behind.unwrap_or(0));
            assert_eq!(found, as_stored(first as u64, &events[first..]), "a read since {time} from {from}");
        }
    }
}

pub(super) async fn positions_after_trimming(store: Store) {
    let id = shard(0);
    // The largest time comes early, so that a trim takes it away from in front of smaller ones.
    let written = [5_i64, 100, 7, 30, 20, 90, 10, 95, 3];
    let mut tail = Position::Beginning;
    for pair in written.chunks(2) {
        let events: Vec<_> = pair.iter().map(|time| event(*time, 1)).collect();
        tail = append(&store, &id, tail, &events).await;
    }
    for kept in 0..=written.len() {
        store.trim(&id, &Position::before(&Sequence::new(kept as u64))).await.expect("a trim is done");
        for time in [i64::MIN, 3, 4, 8, 20, 25, 31, 90, 91, 95, 96, 100, 101] {
            let found = (kept..).zip(&written[kept..]).find(|(_, written)| **written >= time);
            let expected = found.map_or(tail.clone(), |(number, _)| Position::before(&Sequence::new(number as u64)));
            assert_eq!(
                at(&store, time).await,
                expected,
                "the first event at {time} or later behind {kept} trimmed ones"
            );
        }
    }
    // Nothing is left of the earlier maximum when the shard goes on.
    append(&store, &id, tail.clone(), &[event(1, 1), event(50, 1)]).await;
    assert_eq!(at(&store, 1).await, tail);
    assert_eq!(at(&store, 2).await, after(written.len() as u64));
    assert_eq!(at(&store, 51).await, after(written.len() as u64 + 1));
}
