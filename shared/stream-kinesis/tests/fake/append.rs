//! Appends under refusals, failures and lost answers.

use std::collections::VecDeque;

use proptest::prelude::*;
use serde_json::json;
use sluice_ports::{Appended, Appends, ErrorKind, NewEvent, Result, StreamReader, StreamStore, append_once};
use sluice_transfer::{Position, Value};

use crate::server::{Fate, Fault, State, Stored};
use crate::{World, after, event, kind, shard};

async fn append(world: &World, events: &[NewEvent]) -> Result<Appended> {
    append_once(&world.stream, &shard(1), None, &Position::Beginning, events).await
}

fn stored(world: &World) -> Vec<Stored> {
    world.state(|state| {
        assert!(state.shards[0].records.is_empty(), "nothing goes elsewhere");
        state.shards[1].records.clone()
    })
}

fn of_key(stored: &[Stored], key: &str) -> Vec<String> {
    let of_key = stored.iter().filter(|record| record.key == key);
    of_key.map(|record| String::from_utf8_lossy(&record.data).into_owned()).collect()
}

fn events(keys: &[u8]) -> Vec<NewEvent> {
    keys.iter().enumerate().map(|(index, key)| event(&format!("k{key}"), &format!("{index}"))).collect()
}

#[tokio::test]
async fn all_of_it_arrives_in_its_shard() {
    let world = World::new(State::with_shards(2));
    assert_eq!(world.stream.promises().appends, Appends::ByKey);
    let nothing = append(&world, &[]).await.unwrap();
    assert_eq!(nothing, Appended::Done { tail: Position::Beginning });
    let large = "x".repeat((1 << 20) - 2);
    let mut all: Vec<_> = (0..1_200).map(|index| event(&format!("k{index}"), "p")).collect();
    all.push(event("k0", &large));
    assert_eq!(append(&world, &all).await.unwrap(), Appended::Done { tail: after(10 + 1_201) });
    assert_eq!(stored(&world).len(), 1_201);
    assert_eq!(world.state(|state| state.puts.iter().map(Vec::len).collect::<Vec<_>>()), [500, 500, 200, 1]);
    assert_eq!(world.calls("ListShards"), 1, "the shards are remembered");
}

#[tokio::test]
async fn what_may_have_happened_is_not_sent_again() {
    for (fault, written) in [(Fault::Lost, 3), (Fault::Refused("InternalFailure"), 0)] {
        let world = World::new(State::with_shards(2));
        world.state(|state| state.faults.insert("PutRecords", [fault].into()));
        assert_eq!(kind(append(&world, &events(&[1, 2, 3])).await), ErrorKind::Indeterminate, "{fault:?}");
        assert_eq!(stored(&world).len(), written);
        assert_eq!(world.calls("PutRecords"), 1);
    }
    let in_use = Fault::Refused("ResourceInUseException");
    for (faults, expected) in [
        (vec![in_use], ErrorKind::Unavailable),
        (vec![Fault::Passed, in_use], ErrorKind::Indeterminate),
        (vec![Fault::Passed, Fault::Refused("AccessDeniedException")], ErrorKind::Denied),
    ] {
        let world = World::new(State::with_shards(2));
        world.state(|state| state.faults.insert("PutRecords", faults.into()));
        assert_eq!(kind(append(&world, &events(&[1, 1])).await), expected);
    }
    let world = World::new(State::with_shards(2));
    world.state(|state| state.fates = [Fate::Taken, Fate::FailedButWritten, Fate::Throttled].into());
    assert_eq!(kind(append(&world, &events(&[1, 2, 3, 1])).await), ErrorKind::Indeterminate);
    assert_eq!(world.calls("PutRecords"), 1);
}

#[tokio::test]
async fn refusals_are_sat_out_or_told() {
    let throttled = Fault::Refused("ProvisionedThroughputExceededException");
    let world = World::new(State::with_shards(2));
    world.state(|state| state.faults.insert("PutRecords", vec![throttled; 3].into()));
    append(&world, &events(&[1, 1, 2])).await.expect("throttling passes");
    assert_eq!(stored(&world).len(), 3);

    let world = World::new(State::with_shards(2));
    world.state(|state| state.faults.insert("PutRecords", vec![throttled; 1_000].into()));
    assert_eq!(kind(append(&world, &events(&[1, 1, 2])).await), ErrorKind::Throttled, "nothing was written");
    assert!(world.calls("PutRecords") < 20);
    let world = World::new(State::with_shards(2));
    world.state(|state| state.fates = std::iter::once(Fate::Taken).chain(vec![Fate::Throttled; 1_000]).collect());
    assert_eq!(kind(append(&world, &events(&[1, 1, 2])).await), ErrorKind::Indeterminate, "some of it was");
    for (code, expected) in [
        ("AccessDeniedException", ErrorKind::Denied),
        ("ResourceNotFoundException", ErrorKind::NotFound),
        ("ValidationException", ErrorKind::Invalid),
    ] {
        let world = World::new(State::with_shards(2));
        world.state(|state| state.faults.insert("PutRecords", [Fault::Refused(code)].into()));
        assert_eq!(kind(append(&world, &events(&[1])).await), expected, "{code}");
    }
}

#[tokio::test]
async fn a_stream_that_changes_is_refused() {
    let world = World::new(State::with_shards(2));
    world.state(|state| state.elsewhere = Some(0));
    let why = append(&world, &events(&[1])).await.unwrap_err();
    assert!(why.kind() == ErrorKind::Invalid && why.to_string().contains("split or merged"), "{why}");
    let world = World::new(State::with_shards(2));
    world.state(|state| state.shards[1].closed = true);
    assert_eq!(kind(append(&world, &events(&[1])).await), ErrorKind::Invalid);
    assert_eq!(world.calls("PutRecords"), 0, "a closed shard is not written to");
}

#[tokio::test]
async fn what_the_stream_takes() {
    let world = World::new(State::with_shards(2));
    let sized = |bytes: usize| event("key", &"x".repeat(bytes - 3));
    assert!(world.stream.as_stored(sized((1 << 20) + 1)).is_ok(), "the stream's limit is not known yet");
    assert_eq!(kind(append(&world, &[event("k", "p"), sized((1 << 20) + 1)]).await), ErrorKind::Invalid);
    assert_eq!(world.calls("PutRecords"), 0, "nothing is written of what cannot be written");
    assert_eq!(kind(world.stream.as_stored(sized((1 << 20) + 1))), ErrorKind::Invalid, "it is known now");
    world.state(|state| {
        state.summary.insert("MaxRecordSizeInKiB", json!(2_048));
        state.summary.insert("RecordDistributionStrategy", json!("USER_PARTITION_KEY"))
    });
    assert_eq!(world.stream.describe().await.unwrap().largest_event, 2 << 20);
    append(&world, &[sized(2 << 20), NewEvent { key: Value::Null, ..event("", "p") }]).await.unwrap();
    assert_eq!(of_key(&stored(&world), "-"), ["p"]);
    world.state(|state| state.summary.insert("RecordDistributionStrategy", json!("AUTO")));
    world.stream.describe().await.unwrap();
    for refused in [world.stream.as_stored(event("k", "p")).map(drop), append(&world, &events(&[1])).await.map(drop)] {
        let why = refused.unwrap_err();
        assert!(why.kind() == ErrorKind::Invalid && why.to_string().contains("AUTO"), "{why}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    /// Whatever is refused, fails or is lost: what arrived of a key is what was sent of it, from the first on,
    /// without a hole and in order; all of it if the append answered.
    #[test]
    fn keys_arrive_in_order(
        keys in proptest::collection::vec(0_u8..12, 1..120),
        fates in proptest::collection::vec(0_u8..60, 0..200),
        faults in proptest::collection::vec(proptest::option::weighted(0.3, 0_u8..8), 0..12),
    ) {
        let world = World::new(State::with_shards(2));
        let fates: VecDeque<_> = fates
            .iter()
            .map(|fate| match fate {
                0 => Fate::FailedButWritten,
                1..25 => Fate::Throttled,
                _ => Fate::Taken,
            })
            .collect();
        let throttled = Fault::Refused("ProvisionedThroughputExceededException");
        // A fault for each of the first calls, until one has none.
        let faults = faults.iter().map_while(|fault| *fault).map(|fault| if fault == 0 { Fault::Lost } else { throttled });
        let faults: VecDeque<_> = faults.collect();
        world.state(|state| {
            state.fates = fates;
            state.faults.insert("PutRecords", faults);
        });
        let events = events(&keys);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(append(&world, &events));
        let stored = stored(&world);
        for key in 0..12 {
            let arrived = of_key(&stored, &format!("k{key}"));
            let sent: Vec<_> =
                keys.iter().enumerate().filter(|(_, of)| **of == key).map(|(index, _)| index.to_string()).collect();
            prop_assert_eq!(&arrived[..], &sent[..arrived.len()], "key {}", key);
            prop_assert!(answer.is_err() || arrived.len() == sent.len());
        }
        match answer {
            Ok(answer) => {
                let last = stored.iter().map(|record| record.number).max().unwrap();
                prop_assert_eq!(answer, Appended::Done { tail: after(last) });
            }
            Err(error) if error.kind() == ErrorKind::Throttled => prop_assert!(stored.is_empty()),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Indeterminate),
        }
    }
}
