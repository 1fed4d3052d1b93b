//! Reading on, opening anew, and what was trimmed.

use proptest::prelude::*;
use sluice_ports::{ErrorKind, Read, ReadLimit, StreamReader};
use sluice_transfer::{Event, Position};

use crate::server::{Fault, State};
use crate::{World, after, before, kind, sequence, shard};

const MUCH: ReadLimit = ReadLimit::new(10_000, 100 << 20);

/// Records 11 to 10 + `count`, a second apart.
fn world(count: u32) -> World {
    let mut state = State::with_shards(1);
    for index in 0..count {
        state.now += 1_000;
        state.put(0, &format!("k{index}"), format!("payload {index}").as_bytes());
    }
    World::new(state)
}

async fn read(world: &World, from: &Position, limit: ReadLimit) -> (Vec<Event>, Position, bool) {
    match world.stream.read(&shard(0), from, limit).await.expect("a read answers") {
        Read::Events { events, next, at_tail, .. } => (events, next, at_tail),
        Read::Trimmed { earliest } => panic!("{from} is trimmed to {earliest}"),
    }
}

async fn trimmed(world: &World, from: &Position) -> Position {
    match world.stream.read(&shard(0), from, MUCH).await.expect("a read answers") {
        Read::Trimmed { earliest } => earliest,
        Read::Events { events, .. } => panic!("{from} is not trimmed: {} events", events.len()),
    }
}

fn numbers(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.sequence.to_string()).collect()
}

fn given(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|number| sequence(number).to_string()).collect()
}

#[tokio::test]
async fn an_event_is_the_record() {
    let world = world(1);
    let (events, next, at_tail) = read(&world, &Position::Beginning, MUCH).await;
    let event = &events[0];
    assert_eq!((event.key.as_slice(), event.payload.as_slice()), (&b"k0"[..], &b"payload 0"[..]));
    assert_eq!(event.time.micros(), 1_700_000_001_000_000);
    assert_eq!((&event.sequence, event.headers.len()), (&sequence(11), 0));
    assert_eq!((next, at_tail), (after(11), true));
    assert_eq!(read(&world, &after(11), MUCH).await, (Vec::new(), after(11), true));
}

#[tokio::test]
async fn reads_go_on_by_one_iterator() {
    let world = world(100);
    let (mut position, mut all) = (Position::Beginning, Vec::new());
    loop {
        let (events, next, at_tail) = read(&world, &position, ReadLimit::new(7, 60)).await;
        assert!(events.len() <= 7);
        let bytes: usize = events.iter().map(|event| event.payload.len() + event.key.len()).sum();
        assert!(bytes < 60 + 20, "the limit is exceeded by one event at most");
        all.extend(events);
        position = next;
        if at_tail {
            break;
        }
    }
    assert_eq!(numbers(&all), given(11..111));
    assert_eq!(world.calls("GetShardIterator"), 1, "what is over is kept for the next read");
    world.state(|state| state.put(0, "late", b""));
    assert_eq!(numbers(&read(&world, &position, MUCH).await.0), given(111..112), "a tip moves on");
    assert_eq!(world.calls("GetShardIterator"), 0);
}

#[tokio::test]
async fn any_position_can_be_opened() {
    let mut world = world(20);
    for number in 11..31 {
        for (from, first) in [(after(number), number + 1), (before(number), number)] {
            world.forget();
            assert_eq!(numbers(&read_on(&world, &from).await), given(first..31), "from {from}");
        }
    }
    world.forget();
    let between = Position::After(sequence(20).next().next().next());
    assert_eq!(numbers(&read_on(&world, &between).await), given(21..31), "a number that no record has");
    assert_eq!(read(&world, &Position::End, MUCH).await, (Vec::new(), Position::End, true));
    let beyond: Position = "after:99999999999999999999999999999999999999999999999999999999".parse().unwrap();
    assert_eq!(read(&world, &beyond, MUCH).await, (Vec::new(), beyond, true), "behind all there is nothing");
}

/// Everything from there on, as reads give it.
async fn read_on(world: &World, from: &Position) -> Vec<Event> {
    let (mut position, mut all) = (from.clone(), Vec::new());
    loop {
        let (events, next, at_tail) = read(world, &position, MUCH).await;
        all.extend(events);
        position = next;
        if at_tail {
            return all;
        }
    }
}

#[tokio::test]
async fn empty_answers_are_not_the_end() {
    let mut world = world(3);
    world.state(|state| state.hollow = 4);
    assert_eq!(numbers(&read_on(&world, &Position::Beginning).await), given(11..14));
    world.state(|state| state.hollow = 70);
    world.forget();
    let (mut position, mut reads) = (after(11), 0);
    loop {
        let (events, next, at_tail) = read(&world, &position, MUCH).await;
        assert!(!at_tail || !events.is_empty(), "more lies behind");
        (position, reads) = (next, reads + 1);
        if !events.is_empty() {
            assert_eq!(numbers(&events), given(12..14));
            break;
        }
        assert!(reads < 60, "reads go on where the last one gave up");
    }
    assert!(reads > 1, "one read does not go on for ever");
}

#[tokio::test]
async fn what_was_trimmed_is_told() {
    let mut world = world(20);
    world.state(|state| drop(state.shards[0].records.drain(..5)));
    for from in [before(11), after(11), after(14)] {
        assert_eq!(trimmed(&world, &from).await, before(16), "from {from}");
    }
    // Record 15 is gone, and nothing between it and 16; but numbers are not dense, so that cannot be told.
    assert_eq!(trimmed(&world, &after(15)).await, before(16));
    for from in [before(16), Position::Beginning] {
        assert_eq!(numbers(&read_on(&world, &from).await), given(16..31), "from {from}");
    }
    world.forget();
    assert_eq!(numbers(&read_on(&world, &after(16)).await), given(17..31));
    // An open shard that is empty tells nothing; a closed one does.
    world.state(|state| state.shards[0].records.clear());
    world.forget();
    assert_eq!(read(&world, &after(20), MUCH).await, (Vec::new(), after(20), true));
    world.state(|state| state.shards[0].closed = true);
    world.forget();
    assert_eq!(trimmed(&world, &after(20)).await, after(1_000_000_000));
    assert_eq!(read(&world, &after(1_000_000_000), MUCH).await, (Vec::new(), Position::End, true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    /// A reader at the edge of the retention, which loses races against it: what it did not read lies in a gap that
    /// it was told.
    #[test]
    fn nothing_is_lost_silently(
        pauses in proptest::collection::vec(prop_oneof![9 => 0_i64..120_000, 1 => 0_i64..7_200_000], 1..60),
        slow in proptest::collection::vec(0_i64..400_000, 1..20),
        events in 1_usize..5,
    ) {
        let mut state = State::with_shards(1);
        for pause in pauses {
            state.now += pause;
            state.put(0, "k", b"p");
        }
        let sent: Vec<_> = state.shards[0].records.iter().map(|record| sequence(record.number)).collect();
        // An hour before the first is gone.
        state.now = state.shards[0].records[0].millis + 23 * 3_600_000;
        state.trims = true;
        let world = World::new(state);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut position = runtime.block_on(world.stream.describe()).unwrap().shards[0].earliest.clone();
        world.state(|state| state.now += 3_590_000);
        let (mut slow, mut lost, mut found) = (slow.iter().cycle(), Vec::new(), Vec::new());
        loop {
            let limit = ReadLimit::new(events, 1_000);
            match runtime.block_on(world.stream.read(&shard(0), &position, limit)).unwrap() {
                Read::Trimmed { earliest } => {
                    prop_assert!(earliest > position);
                    lost.push((position, earliest.clone()));
                    position = earliest;
                }
                Read::Events { events, next, at_tail, .. } => {
                    found.extend(events.into_iter().map(|event| event.sequence));
                    position = next;
                    if at_tail {
                        break;
                    }
                }
            }
            world.state(|state| state.now += slow.next().unwrap());
        }
        prop_assert!(found.is_sorted());
        // What is gone with all behind it is the one loss that an open shard does not tell.
        let last = found.last().cloned();
        for number in sent.iter().filter(|number| !found.contains(number) && last.as_ref() > Some(number)) {
            let told = lost.iter().any(|(from, until)| !from.covers(number) && until.covers(number));
            prop_assert!(told, "{} was lost silently", number);
        }
    }
}

#[tokio::test]
async fn a_closed_shard_ends() {
    let mut world = world(10);
    world.state(|state| state.shards[0].closed = true);
    let (events, next, at_tail) = read(&world, &after(15), MUCH).await;
    assert_eq!((numbers(&events), next, at_tail), (given(16..21), Position::End, true));
    world.forget();
    let (events, next, at_tail) = read(&world, &after(15), ReadLimit::new(2, 100)).await;
    assert_eq!((numbers(&events), next, at_tail), (given(16..18), after(17), false), "not before all of it is read");
}

#[tokio::test]
async fn an_iterator_that_expired_is_made_anew() {
    let world = world(10);
    let limit = ReadLimit::new(3, 1_000);
    let (mut position, mut all) = (Position::Beginning, Vec::new());
    loop {
        let expired = Fault::Refused("ExpiredIteratorException");
        world.state(|state| state.faults.entry("GetRecords").or_default().push_front(expired));
        // The first one is made and used at once: expired, it is trouble, not a state to go on from.
        let answer = world.stream.read(&shard(0), &position, limit).await;
        if position == Position::Beginning && all.is_empty() && answer.is_err() {
            assert_eq!(kind(answer), ErrorKind::Unavailable);
            let (events, next, _) = read(&world, &position, limit).await;
            all.extend(events);
            position = next;
            continue;
        }
        let Read::Events { events, next, at_tail, .. } = answer.unwrap() else { panic!("nothing is trimmed") };
        all.extend(events);
        position = next;
        if at_tail {
            break;
        }
    }
    assert_eq!(numbers(&all), given(11..21));
}

#[tokio::test]
async fn trouble_is_told_and_passes() {
    let world = world(3);
    let (events, next, _) = read(&world, &Position::Beginning, ReadLimit::new(1, 1)).await;
    assert_eq!(numbers(&events), given(11..12));
    for (code, expected) in [
        ("ProvisionedThroughputExceededException", ErrorKind::Throttled),
        ("InternalFailure", ErrorKind::Unavailable),
        ("AccessDeniedException", ErrorKind::Denied),
        ("KMSDisabledException", ErrorKind::Denied),
    ] {
        world.state(|state| state.faults.insert("GetRecords", vec![Fault::Refused(code); 5].into()));
        assert_eq!(kind(world.stream.read(&shard(0), &next, MUCH).await), expected, "{code}");
        world.state(|state| state.faults.clear());
    }
    for fault in [Fault::Lost, Fault::Refused("ProvisionedThroughputExceededException")] {
        world.state(|state| state.faults.insert("GetRecords", vec![fault; 4].into()));
        assert_eq!(numbers(&read(&world, &next, MUCH).await.0), given(12..14), "what passes is sat out");
        world.calls("GetShardIterator");
    }
}

#[tokio::test]
async fn a_shard_is_read_at_its_pace() {
    let world = world(0);
    world.state(|state| {
        for _ in 0..30 {
            state.put(0, "k", &vec![7; 1 << 20]);
        }
    });
    let begun = world.state(|state| state.now);
    let events = read_on(&world, &Position::Beginning).await;
    assert_eq!(events.len(), 30);
    let passed = world.state(|state| state.now) - begun;
    // The first one is full, since nobody knew how large records are; then half of what the shard gives.
    assert!((24_000..34_000).contains(&passed), "{passed} ms");
    assert!(events.iter().all(|event| event.payload.len() == 1 << 20));
}

#[tokio::test]
async fn records_out_of_their_order_are_refused() {
    let world = world(3);
    world.state(|state| state.shards[0].records.swap(1, 2));
    assert_eq!(kind(world.stream.read(&shard(0), &Position::Beginning, MUCH).await), ErrorKind::Corrupt);
}
