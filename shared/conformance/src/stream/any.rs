//! What every store must do, however it names shards and numbers events, and whatever it promises.

use std::collections::BTreeSet;

use sluice_ports::{Appended, ErrorKind, Made, NewEvent, Read, ReadLimit, Reservation, append_once};
use sluice_transfer::{Counts, Event, Order, Placement, Position, Range, ShardId, Timestamp, Value};

use super::by_key::{append, event, shards};
use super::{Store, import, refused, size};

/// Reads after which what was written should have been seen.
const READS: usize = 1_000;

/// Events of different keys and sizes, as the store keeps them.
fn events(store: &Store, count: usize) -> Vec<NewEvent> {
    let events = (0..count).map(|number| event(&format!("key {number}"), &"x".repeat(number * 7 % 90)));
    events.map(|event| store.as_stored(event).expect("a plain event is kept")).collect()
}

/// One read, checked against what any read promises.
async fn read(store: &Store, shard: &ShardId, from: &Position, limit: ReadLimit) -> (Vec<Event>, Position, bool) {
    let answer = store.read(shard, from, limit).await;
    let Ok(Read::Events { events, next, at_tail, .. }) = answer else { panic!("a read answered {answer:?}") };
    assert!(events.len() <= limit.events.max(1), "{} events are more than {limit:?} allows", events.len());
    let but_last: usize = events.iter().rev().skip(1).map(size).sum();
    assert!(events.len() <= 1 || but_last < limit.bytes, "{limit:?} is passed by the last event at most");
    assert!(next >= *from, "a read does not go back from {from} to {next}");
    assert!(events.is_sorted_by(|one, other| one.sequence < other.sequence), "numbers grow within a shard");
    let here = |event: &Event| !from.covers(&event.sequence) && next.covers(&event.sequence);
    assert!(events.iter().all(here), "a read answers what lies between where it began and where it goes on");
    (events, next, at_tail)
}

/// So many events behind a position, by reads of such a limit, to the tail.
async fn read_all(store: &Store, shard: &ShardId, from: Position, limit: ReadLimit, many: usize) -> Vec<Event> {
    let (mut all, mut position) = (Vec::new(), from);
    for _ in 0..READS {
        let (events, next, at_tail) = read(store, shard, &position, limit).await;
        all.extend(events);
        position = next;
        if at_tail && all.len() >= many {
            break;
        }
    }
    assert_eq!(all.len(), many, "every event is read once");
    all
}

const MUCH: ReadLimit = ReadLimit::new(10_000, 1_000_000);

/// A stream that does not exist, and one of three shards in which nothing happened.
pub(super) async fn existence(missing: Store, store: Store) {
    use ErrorKind::{Invalid, NotFound};
    let promises = store.promises();
    let known = shards(&store).await;
    let names: BTreeSet<_> = known.iter().map(|(shard, _)| shard.clone()).collect();
    assert_eq!((known.len(), names.len()), (3, 3), "as many shards as were asked for, each with its own name");
    let again = shards(&store).await;
    assert_eq!(again, known, "shards are described in one order");
    let info = store.describe().await.expect("a stream describes itself");
    assert!(info.is_empty() && info.writer.is_none(), "a new stream is empty and reserved for nobody: {info:?}");
    assert_eq!(
        store.create(5).await.expect("creating again is no error"),
        Made::Before,
        "a stream that exists is left as it is"
    );
    let facts = store.facts().await.expect("a stream says what concerns it as a whole");
    assert_eq!(store.list().await.expect("a listing").facts, facts, "a listing says the same");
    assert_eq!(store.facts().await.expect("as before"), facts, "it was made when it was made");
    let shard = &known[0].0;
    for _ in 0..2 {
        // Twice: asking must not make the stream.
        refused(missing.describe().await, NotFound, "describing no stream");
        refused(missing.facts().await, NotFound, "the facts of no stream");
        refused(missing.read(shard, &Position::Beginning, MUCH).await, NotFound, "reading no stream");
        refused(missing.position_at(shard, Timestamp::default()).await, NotFound, "asking no stream for a time");
        let events = [event("k", "p")];
        refused(
            append_once(&*missing, shard, None, &Position::Beginning, &events).await,
            NotFound,
            "appending to no stream",
        );
        if !promises.creates {
            refused(missing.create(1).await, NotFound, "creating, where others make streams");
        }
    }
    if promises.creates {
        refused(missing.create(0).await, Invalid, "a stream of no shards");
    }
    let unknown: ShardId = "no-such-shard".parse().expect("a plain name");
    refused(store.read(&unknown, &Position::Beginning, MUCH).await, NotFound, "reading an unknown shard");
    refused(store.position_at(&unknown, Timestamp::default()).await, NotFound, "a time in an unknown shard");
    let answer = append_once(&*store, &unknown, None, &Position::Beginning, &[event("k", "p")]).await;
    refused(answer, NotFound, "appending to an unknown shard");
}

pub(super) async fn reads_are_bounded(store: Store) {
    let known = shards(&store).await;
    let (shard, tail) = &known[0];
    for from in [Position::Beginning, tail.clone(), Position::End] {
        let (events, _, at_tail) = read(&store, shard, &from, MUCH).await;
        assert!(
            events.is_empty() && at_tail,
            "an empty shard answers no events from {from}, and that this is its tail"
        );
    }
    let written = events(&store, 20);
    let end = append(&store, shard, tail, &written).await;
    let all = read_all(&store, shard, Position::Beginning, MUCH, written.len()).await;
    for (count, bytes) in [(0, 0), (0, 1_000), (1, 0), (1, 1), (3, 1_000), (100, 1), (100, 250), (7, 701)] {
        let limit = ReadLimit::new(count, bytes);
        let joined = read_all(&store, shard, Position::Beginning, limit, written.len()).await;
        assert_eq!(joined, all, "reads of {limit:?} joined are the shard");
    }
    for (place, event) in all.iter().enumerate() {
        let behind = Position::After(event.sequence.clone());
        let rest = read_all(&store, shard, behind, MUCH, written.len() - place - 1).await;
        assert_eq!(rest, all[place + 1..], "a read goes on behind a position");
        let front = Position::before(&event.sequence);
        let rest = read_all(&store, shard, front, MUCH, written.len() - place).await;
        assert_eq!(rest, all[place..], "a read goes on in front of an event");
    }
    for from in [end, Position::End] {
        let (events, _, at_tail) = read(&store, shard, &from, MUCH).await;
        assert!(events.is_empty() && at_tail, "at the tail there are no events ({from})");
    }
    let (events, ..) = read(&store, &known[1].0, &Position::Beginning, MUCH).await;
    assert!(events.is_empty(), "shards do not mix");
}

/// A writer appends as often as it is asked to. One that was dropped or closed leaves all that it answered, and another
/// goes on; those of two shards are open at once.
pub(super) async fn writers(store: Store) {
    let known = shards(&store).await;
    let written = events(&store, 8);
    let open = async |shard: &ShardId| store.writer(shard, None).await.expect("a writer is opened");
    let done = |answer| match answer {
        Ok(Appended::Done { tail }) => tail,
        other => panic!("an append is done, but it answered {other:?}"),
    };
    let (shard, tail) = &known[0];
    let (other_shard, other_tail) = &known[1];
    let (first, other) = (open(shard).await, open(other_shard).await);
    let tail = done(first.append(tail, &written[..2]).await);
    let tail = done(first.append_by_key(&tail, &written[2..4]).await);
    done(other.append(other_tail, &written[..1]).await);
    drop(first);
    let second = open(shard).await;
    let tail = done(second.append_ordered(&tail, &written[4..6], (Placement::AsSource, Order::Key)).await);
    second.close().await;
    other.close().await;
    let unused = open(shard).await;
    unused.close().await;
    let third = open(shard).await;
    done(third.append(&tail, &written[6..]).await);
    third.close().await;
    read_all(&store, shard, Position::Beginning, MUCH, written.len()).await;
    read_all(&store, other_shard, Position::Beginning, MUCH, 1).await;
}

/// Times are those that the store answers: some keep none of the sender's.
pub(super) async fn times(store: Store) {
    let (shard, mut tail) = shards(&store).await.remove(0);
    let written = events(&store, 12);
    for some in written.chunks(4) {
        tail = append(&store, &shard, &tail, some).await;
    }
    let all = read_all(&store, &shard, Position::Beginning, MUCH, written.len()).await;
    let moments = all.iter().flat_map(|event| {
        let time = event.time;
        [time.minus_millis(1), time, time.plus_millis(1)]
    });
    for time in moments.collect::<BTreeSet<_>>() {
        let position = store.position_at(&shard, time).await.expect("a shard knows where a time is");
        let place = all.iter().position(|event| event.time >= time).unwrap_or(all.len());
        let behind: Vec<_> = all.iter().filter(|event| !position.covers(&event.sequence)).cloned().collect();
        assert_eq!(behind, all[place..], "{position} is in front of the first event at {time:?} or later");
    }
}

pub(super) async fn measuring(store: Store) {
    let promises = store.promises();
    let (shard, tail) = shards(&store).await.remove(0);
    let written = events(&store, 6);
    append(&store, &shard, &tail, &written).await;
    let all = read_all(&store, &shard, Position::Beginning, MUCH, written.len()).await;
    for from in 0..all.len() {
        for until in from..all.len() {
            let place = |place: usize| Position::before(&all[place].sequence);
            let range = Range { from: place(from), until: place(until) };
            let counts = store.measure(&shard, &range).await.expect("a range is measured");
            let exact: Counts = all[from..until].iter().map(|event| Counts::new(1, event.payload.len() as u64)).sum();
            assert_eq!(counts, promises.counts.then_some(exact), "what {range:?} holds");
        }
    }
}

pub(super) async fn trimming(store: Store) {
    let promises = store.promises();
    let (shard, tail) = shards(&store).await.remove(0);
    let written = events(&store, 6);
    append(&store, &shard, &tail, &written).await;
    let all = read_all(&store, &shard, Position::Beginning, MUCH, written.len()).await;
    let before = Position::before(&all[2].sequence);
    let answer = store.trim(&shard, &before).await;
    if !promises.trims {
        refused(answer, ErrorKind::Invalid, "trimming a store that trims by itself");
        let left = read_all(&store, &shard, Position::Beginning, MUCH, written.len()).await;
        assert_eq!(left, all, "a trim that is refused drops nothing");
        return;
    }
    answer.expect("a trim is done");
    let read = store.read(&shard, &Position::Beginning, MUCH).await.expect("a trim is no error");
    assert_eq!(read, Read::Trimmed { earliest: before.clone() });
    assert_eq!(read_all(&store, &shard, before, MUCH, written.len() - 2).await, all[2..], "what is left is read");
}

pub(super) async fn reserving(store: Store) {
    let promises = store.promises();
    let (one, two) = (import("one"), import("two"));
    assert_eq!(store.reserve(&one).await.expect("a reservation"), Reservation::Held);
    assert_eq!(store.reserve(&one).await.expect("a reservation"), Reservation::Held, "also when it was before");
    let other = store.reserve(&two).await.expect("a reservation");
    let writer = store.describe().await.expect("it exists").writer;
    if promises.reserves {
        assert_eq!((other, writer), (Reservation::HeldBy(one.clone()), Some(one.clone())));
    } else {
        assert_eq!((other, writer), (Reservation::Held, None), "the host keeps who writes");
    }
    store.release(&two).await.expect("releasing what others hold is no error");
    store.release(&one).await.expect("it is given back");
    assert_eq!(store.reserve(&two).await.expect("a reservation"), Reservation::Held, "free for the next");
}

pub(super) async fn largest_event(store: Store) {
    let (shard, tail) = shards(&store).await.remove(0);
    let largest = store.describe().await.expect("it exists").largest_event;
    let largest = usize::try_from(largest).expect("the largest event fits memory");
    let sized = |bytes: usize| NewEvent { payload: Value::from(vec![7; bytes - 3]), ..event("key", "") };
    let answer = append_once(&*store, &shard, None, &tail, &[event("key", "p"), sized(largest + 1)]).await;
    refused(answer, ErrorKind::Invalid, "an event larger than the largest");
    read_all(&store, &shard, Position::Beginning, MUCH, 0).await;
    append(&store, &shard, &tail, &[sized(largest)]).await;
    let all = read_all(&store, &shard, Position::Beginning, MUCH, 1).await;
    assert_eq!(size(&all[0]), largest, "the largest event is read as it was written");
}
