//! What a store must do that keeps every promise there is: conditional appends, shards named `0`, `1`, …, numbers
//! without a gap from 0, and every event as it was given.

use bytes::Bytes;
use sluice_ports::{Appended, ErrorKind, Made, NewEvent, Read, ReadLimit, Reservation, append_once};
use sluice_transfer::{Counts, Event, Header, Position, Range, Sequence, ShardId, Timestamp, Value};

use super::{Store, import, made, refused, size};

pub(super) fn shard(number: u32) -> ShardId {
    number.to_string().parse().expect("digits are a shard's name")
}

pub(super) fn after(number: u64) -> Position {
    Position::After(Sequence::new(number))
}

/// An event at so many microseconds whose payload has this many bytes.
pub(super) fn event(time: i64, bytes: usize) -> NewEvent {
    let fill = u8::try_from(time.rem_euclid(251)).unwrap_or(0);
    let payload = Value::Bytes(vec![fill; bytes].into());
    NewEvent { time: Timestamp::from_micros(time), key: Value::Absent, headers: Vec::new(), payload }
}

pub(super) fn as_stored(first: u64, events: &[NewEvent]) -> Vec<Event> {
    let stored = |(sequence, event): (u64, &NewEvent)| Event {
        sequence: Sequence::new(sequence),
        time: event.time,
        key: event.key.clone(),
        headers: event.headers.clone(),
        payload: event.payload.clone(),
    };
    (first..).zip(events).map(stored).collect()
}

pub(super) async fn append(store: &Store, id: &ShardId, expected: Position, events: &[NewEvent]) -> Position {
    match append_once(&**store, id, None, &expected, events).await {
        Ok(Appended::Done { tail }) => tail,
        other => panic!("an append at the tail {expected} is done, but it answered {other:?}"),
    }
}

/// One read, checked against what any read promises.
pub(super) async fn read(
    store: &Store,
    id: &ShardId,
    from: &Position,
    limit: ReadLimit,
) -> (Vec<Event>, Position, bool) {
    match store.read(id, from, limit).await {
        Ok(Read::Events { events, next, at_tail, .. }) => {
            assert!(events.len() <= limit.events.max(1), "{} events are more than {limit:?} allows", events.len());
            let but_last: usize = events.iter().rev().skip(1).map(size).sum();
            assert!(
                events.len() <= 1 || but_last < limit.bytes,
                "the bytes of {limit:?} are passed by the last event at most, but {but_last} came before it"
            );
            let expected = events.last().map_or_else(|| from.clone(), |last| Position::After(last.sequence.clone()));
            assert_eq!(next, expected, "a read goes on behind its last event, or from where it began");
            (events, next, at_tail)
        }
        other => panic!("a read from {from} answers events, but it answered {other:?}"),
    }
}

/// All events behind a position, by reads of two.
pub(super) async fn read_all(store: &Store, id: &ShardId, from: Position) -> Vec<Event> {
    let (mut all, mut position) = (Vec::new(), from);
    loop {
        let (events, next, at_tail) = read(store, id, &position, ReadLimit::new(2, usize::MAX)).await;
        let stuck = events.is_empty();
        all.extend(events);
        if at_tail {
            return all;
        }
        assert!(!stuck, "a read from {position} answered no events in front of the tail");
        position = next;
    }
}

pub(super) async fn ends(store: &Store, number: u32) -> (Position, Position) {
    let info = store.describe().await.expect("a stream describes itself");
    let found = info.shards.into_iter().find(|info| info.shard == shard(number)).expect("the shard is described");
    let listed = store.list().await.expect("a stream is listed");
    let listed = listed.shards.into_iter().find(|listed| listed.shard == shard(number)).expect("the shard is listed");
    let (earliest, tail) = (found.earliest, found.tail);
    assert_eq!(listed.parents, found.parents, "a listing names the same parents");
    assert!(listed.ends.is_none_or(|ends| ends == (earliest.clone(), tail.clone())), "a listing tells no other ends");
    (earliest, tail)
}

pub(super) async fn existence(store: Store) {
    use ErrorKind::{Invalid, NotFound};
    let (first, everything) = (shard(0), Range { from: Position::Beginning, until: Position::End });
    let limit = ReadLimit::new(1, 1);
    for _ in 0..2 {
        // Twice: asking must not make the stream.
        refused(store.describe().await, NotFound, "describing no stream");
        refused(store.read(&first, &Position::Beginning, limit).await, NotFound, "reading no stream");
        refused(store.list().await, NotFound, "listing no stream");
        refused(store.position_at(&first, Timestamp::default()).await, NotFound, "asking no stream for a time");
        refused(store.measure(&first, &everything).await, NotFound, "measuring no stream");
        refused(
            append_once(&*store, &first, None, &Position::Beginning, &[]).await,
            NotFound,
            "appending to no stream",
        );
        refused(store.reserve(&import("a")).await, NotFound, "reserving no stream");
        refused(store.trim(&first, &Position::End).await, NotFound, "trimming no stream");
    }
    refused(store.create(0).await, Invalid, "a stream of no shards");
    let store = made(store, 12).await;
    let info = store.describe().await.expect("a stream describes itself");
    let names: Vec<_> = info.shards.iter().map(|info| info.shard.clone()).collect();
    assert_eq!(
        names,
        (0..12).map(shard).collect::<Vec<_>>(),
        "shards are described in the order that they are counted"
    );
    assert!(info.is_empty() && info.writer.is_none(), "a new stream is empty and reserved for nobody: {info:?}");
    for info in &info.shards {
        assert_eq!((&info.earliest, &info.tail), (&Position::Beginning, &Position::Beginning), "a new shard's ends");
        assert!(info.parents.is_empty(), "a new shard continues nothing");
    }
    append(&store, &shard(1), Position::Beginning, &[event(1, 1)]).await;
    assert_eq!(
        store.create(5).await.expect("creating again is no error"),
        Made::Before,
        "a stream that exists is not made again"
    );
    let again = store.describe().await.expect("a stream describes itself");
    assert_eq!(again.shards.len(), 12, "a stream that exists is left as it is");
    assert!(!again.is_empty(), "a stream that exists keeps its events");

    for name in ["12", "00", "-1", "a", "4294967296"] {
        let unknown: ShardId = name.parse().expect("a plain name");
        refused(store.read(&unknown, &Position::Beginning, limit).await, NotFound, "reading an unknown shard");
        refused(store.position_at(&unknown, Timestamp::default()).await, NotFound, "a time in an unknown shard");
        refused(store.measure(&unknown, &everything).await, NotFound, "measuring an unknown shard");
        let answer = append_once(&*store, &unknown, None, &Position::Beginning, &[event(1, 1)]).await;
        refused(answer, NotFound, "appending to an unknown shard");
        refused(store.trim(&unknown, &Position::End).await, NotFound, "trimming an unknown shard");
    }
}

pub(super) async fn what_is_written_is_read(store: Store) {
    let states = || [Value::Absent, Value::Null, Value::Bytes(Bytes::new()), Value::from(&b"\0bytes\xff"[..])];
    let header = |name: &str, value: Value| Header { name: name.to_owned(), value };
    let mut events = Vec::new();
    for key in states() {
        for payload in states() {
            let time = Timestamp::from_micros(i64::try_from(events.len()).unwrap_or(0) - 7);
            events.push(NewEvent { time, key: key.clone(), headers: Vec::new(), payload });
        }
    }
    let mut many: Vec<_> = states().into_iter().map(|value| header("again", value)).collect();
    many.extend([header("", Value::Absent), header("näme", Value::from(vec![7; 300])), header("again", Value::Null)]);
    events.push(NewEvent { headers: many, ..event(3, 70_000) });
    events.push(event(i64::MIN, 5));
    events.push(event(i64::MAX, 5));
    let expected = as_stored(0, &events);

    let mut tail = Position::Beginning;
    for chunk in events.chunks(4) {
        tail = append(&store, &shard(1), tail, chunk).await;
    }
    assert_eq!(tail, after(events.len() as u64 - 1), "the tail lies behind the last event");
    let stored = read_all(&store, &shard(1), Position::Beginning).await;
    for (stored, expected) in stored.iter().zip(&expected) {
        assert_eq!(stored, expected, "an event is read as it was written");
    }
    assert_eq!(stored.len(), expected.len(), "every event is read once");
    assert_eq!(read_all(&store, &shard(1), after(4)).await, expected[5..], "reading goes on behind a position");
    assert!(read_all(&store, &shard(0), Position::Beginning).await.is_empty(), "shards do not mix");
}

pub(super) async fn appends_are_conditional(store: Store) {
    let (id, more) = (shard(0), [event(9, 9)]);
    assert_eq!(append(&store, &id, Position::Beginning, &[]).await, Position::Beginning, "nothing moves no tail");
    let written = [event(1, 1), event(2, 2)];
    let tail = append(&store, &id, Position::Beginning, &written).await;
    assert_eq!(tail, after(1), "numbers begin at 0");
    for wrong in [Position::Beginning, after(0), after(2), after(u64::MAX), Position::End] {
        for events in [&more[..], &[]] {
            let answer = append_once(&*store, &id, None, &wrong, events).await.expect("a wrong tail is no error");
            assert_eq!(answer, Appended::Elsewhere { tail: tail.clone() }, "an append expected at {wrong}");
        }
    }
    assert_eq!(ends(&store, 0).await, (Position::Beginning, tail.clone()), "a refused append moves nothing");
    assert_eq!(read_all(&store, &id, Position::Beginning).await, as_stored(0, &written), "nor writes it anything");
    assert_eq!(append(&store, &id, tail.clone(), &[]).await, tail, "nothing moves no tail");
    assert_eq!(append(&store, &id, tail, &more).await, after(2), "an append goes on at the tail");
    assert_eq!(ends(&store, 1).await.1, Position::Beginning, "another shard's tail is its own");
}

pub(super) async fn reads_are_bounded(store: Store) {
    let id = shard(0);
    let mut events: Vec<_> = (0..20).map(|number| event(number, 100)).collect();
    events[3].key = Value::from(vec![1; 400]);
    events[4].headers = vec![Header { name: "n".repeat(150), value: Value::from(vec![1; 150]) }];
    append(&store, &id, Position::Beginning, &events).await;
    for (count, bytes) in [(0, 0), (0, 1_000), (1, 0), (1, 1), (3, 1_000), (100, 1), (100, 250), (100, 700), (7, 701)] {
        let limit = ReadLimit::new(count, bytes);
        let (mut position, mut all, mut reads) = (Position::Beginning, Vec::new(), 0);
        loop {
            // `read` checks both bounds.
            let (events, next, at_tail) = read(&store, &id, &position, limit).await;
            assert!(!events.is_empty(), "{limit:?} answers at least one event");
            assert_eq!(at_tail, next == after(19), "a read knows whether it reached the tail");
            all.extend(events);
            (position, reads) = (next, reads + 1);
            if at_tail {
                break;
            }
            assert!(reads < 20, "a read of {limit:?} moves on");
        }
        assert_eq!(all, as_stored(0, &events), "reads of {limit:?} joined are the shard");
    }
}

pub(super) async fn edges_of_a_shard(store: Store) {
    let (id, limit) = (shard(0), ReadLimit::new(10, 1_000));
    let beyond: Position = "after:99999999999999999999999999".parse().expect("a large number is a position");
    for from in [Position::Beginning, after(0), after(7), Position::End] {
        let (events, _, at_tail) = read(&store, &id, &from, limit).await;
        assert!(
            events.is_empty() && at_tail,
            "an empty shard answers no events from {from}, and that this is its tail"
        );
    }
    append(&store, &id, Position::Beginning, &[event(1, 1), event(2, 1)]).await;
    for from in [after(1), after(2), after(u64::MAX), beyond, Position::End] {
        let (events, _, at_tail) = read(&store, &id, &from, limit).await;
        assert!(events.is_empty() && at_tail, "at or behind the tail there are no events ({from})");
    }
    append(&store, &id, after(1), &[event(3, 1)]).await;
    let (events, next, at_tail) = read(&store, &id, &after(1), limit).await;
    assert_eq!(
        (events, next, at_tail),
        (as_stored(2, &[event(3, 1)]), after(2), true),
        "a tail that was read moves on"
    );
}

async fn trimmed(store: &Store, from: &Position, earliest: &Position) {
    let answer = store.read(&shard(0), from, ReadLimit::new(5, 100)).await.expect("a trim is no error");
    assert_eq!(answer, Read::Trimmed { earliest: earliest.clone() }, "a read from {from}, which lies before the rest");
}

pub(super) async fn trimming(store: Store) {
    let id = shard(0);
    let events: Vec<_> = (0..10).map(|number| event(number, 10)).collect();
    append(&store, &id, Position::Beginning, &events).await;
    append(&store, &shard(1), Position::Beginning, &events).await;
    store.trim(&id, &Position::Beginning).await.expect("a trim of nothing is done");
    let writer = import("import");
    store.reserve(&writer).await.expect("nobody has it");
    refused(store.trim(&id, &after(3)).await, ErrorKind::Denied, "trimming a reserved stream");
    store.release(&writer).await.expect("it had it");
    assert_eq!(ends(&store, 0).await, (Position::Beginning, after(9)), "a trim that is refused drops nothing");
    assert_eq!(ends(&store, 0).await, (Position::Beginning, after(9)), "nothing lies in front of the beginning");

    // The same again, and an earlier one, change nothing.
    for position in [after(3), after(3), after(1), Position::Beginning] {
        store.trim(&id, &position).await.expect("a trim is done");
        assert_eq!(ends(&store, 0).await, (after(3), after(9)), "after a trim to {position}");
        for from in [Position::Beginning, after(0), after(2)] {
            trimmed(&store, &from, &after(3)).await;
        }
        assert_eq!(read_all(&store, &id, after(3)).await, as_stored(4, &events[4..]), "what is left is read");
    }
    for position in [Position::End, after(50), Position::End] {
        store.trim(&id, &position).await.expect("a trim of everything is done");
        assert_eq!(ends(&store, 0).await, (after(9), after(9)), "the tail stays when everything goes");
        trimmed(&store, &after(8), &after(9)).await;
        assert!(read_all(&store, &id, after(9)).await.is_empty(), "nothing is left");
    }
    assert!(!store.describe().await.expect("it exists").is_empty(), "a trimmed stream did hold events");
    let tail = append(&store, &id, after(9), &events[..1]).await;
    assert_eq!(tail, after(10), "a number is never given twice");
    assert_eq!(read_all(&store, &id, after(9)).await, as_stored(10, &events[..1]), "a trimmed shard goes on");
    trimmed(&store, &Position::Beginning, &after(9)).await;
    assert_eq!(
        read_all(&store, &shard(1), Position::Beginning).await,
        as_stored(0, &events),
        "shards are trimmed alone"
    );
}

pub(super) async fn measuring(store: Store) {
    let id = shard(0);
    let mut events: Vec<_> = (0..12).map(|number| event(1, 1 << number)).collect();
    events[4].payload = Value::Null;
    events[5].payload = Value::Absent;
    events[6].key = Value::from(vec![0; 1_000]);
    events[6].headers = vec![Header { name: "not payload".to_owned(), value: Value::from(vec![0; 1_000]) }];
    let mut tail = Position::Beginning;
    for appended in [0..1, 1..5, 5..11, 11..12] {
        tail = append(&store, &id, tail, &events[appended]).await;
    }
    let number = |position: &Position| {
        let number = position.next_sequence().and_then(|sequence| sequence.as_u64());
        number.and_then(|number| usize::try_from(number).ok()).map_or(events.len(), |number| number.min(events.len()))
    };
    let mut positions = vec![Position::Beginning, Position::End, after(40), after(u64::MAX)];
    positions.extend((0..12).map(after));
    for trimmed in [0, 3, 7, 12] {
        store.trim(&id, &Position::before(&Sequence::new(trimmed as u64))).await.expect("a trim is done");
        for from in &positions {
            for until in &positions {
                let range = Range { from: from.clone(), until: until.clone() };
                let first = number(from).max(trimmed);
                let held = &events[first..number(until).max(first)];
                let expected: Counts = held.iter().map(|event| Counts::new(1, event.payload.len() as u64)).sum();
                let counts = store.measure(&id, &range).await.expect("a range is measured");
                assert_eq!(counts, Some(expected), "{range:?} behind {trimmed} trimmed events");
            }
        }
    }
}

pub(super) async fn reserving(store: Store) {
    let (id, one, two) = (shard(0), import("one"), import("two"));
    let events = [event(1, 1)];
    let answer = append_once(&*store, &id, Some(&one), &Position::Beginning, &events).await;
    refused(answer, ErrorKind::Denied, "an append for an import that reserved nothing");
    for _ in 0..2 {
        assert_eq!(store.reserve(&one).await.expect("a reservation"), Reservation::Held, "also when it was before");
    }
    assert_eq!(store.reserve(&two).await.expect("a reservation"), Reservation::HeldBy(one.clone()));
    store.release(&two).await.expect("releasing what others hold is no error");
    assert_eq!(store.describe().await.expect("it exists").writer, Some(one.clone()), "only its holder gives it back");
    for writer in [None, Some(&two)] {
        // Who may write comes before where.
        for expected in [Position::Beginning, after(5)] {
            let answer =
                append_once(&*store, &id, writer, &expected, &events).await.expect("a reservation is no error");
            assert_eq!(answer, Appended::Reserved(one.clone()), "an append by {writer:?}");
        }
    }
    assert_eq!(ends(&store, 0).await.1, Position::Beginning, "nothing was written");
    let answer =
        append_once(&*store, &id, Some(&one), &Position::Beginning, &events).await.expect("the holder appends");
    assert_eq!(answer, Appended::Done { tail: after(0) });
    for _ in 0..2 {
        store.release(&one).await.expect("a reservation is given back, also twice");
    }
    assert_eq!(store.describe().await.expect("it exists").writer, None);
    let answer = append_once(&*store, &id, Some(&one), &after(0), &events).await;
    refused(answer, ErrorKind::Denied, "an append for an import that gave its reservation back");
    append(&store, &id, after(0), &events).await;
    assert_eq!(store.reserve(&two).await.expect("a reservation"), Reservation::Held, "free for the next");
}

pub(super) async fn largest_event(store: Store) {
    let id = shard(0);
    let largest = store.describe().await.expect("it exists").largest_event;
    let largest = usize::try_from(largest).expect("the largest event fits memory");
    let mut large = event(1, largest - 15);
    large.key = Value::from(&b"12345"[..]);
    large.headers = vec![Header { name: "12345".to_owned(), value: Value::from(&b"12345"[..]) }];
    let mut larger = large.clone();
    larger.headers.push(Header { name: "6".to_owned(), value: Value::Absent });
    let answer = append_once(&*store, &id, None, &Position::Beginning, &[event(1, 1), larger]).await;
    refused(answer, ErrorKind::Invalid, "an event larger than the largest");
    assert_eq!(ends(&store, 0).await.1, Position::Beginning, "all of an append is written, or nothing");
    append(&store, &id, Position::Beginning, std::slice::from_ref(&large)).await;
    let (events, ..) = read(&store, &id, &Position::Beginning, ReadLimit::new(1, 1)).await;
    assert!(events == as_stored(0, &[large]), "the largest event is read as it was written");
}
