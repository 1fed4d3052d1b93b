//! Over random puts, splits and merges: every record is read once and in order by a reader that drains parents before
//! their children, and open shards always fill the hash space.
#![cfg(test)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use sluice_fake_kinesis::{Call, Entry, Faults, Filter, Lineage, Mode, Service, Start, hash_of};

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>),
    Split(usize, u128),
    Merge(usize),
    Scale(u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(0_u8..20, 1..20).prop_map(Step::Put),
        2 => (any::<usize>(), any::<u128>()).prop_map(|(shard, hash)| Step::Split(shard, hash)),
        2 => any::<usize>().prop_map(Step::Merge),
        1 => (1_u32..9).prop_map(Step::Scale),
        2 => (1_u64..600_000).prop_map(Step::Wait),
    ]
}

fn all(call: &mut Call<'_>) -> Vec<Lineage> {
    let mut page = call.list_shards("orders", Filter::default(), Some(2)).unwrap();
    let mut shards = page.shards;
    while let Some(token) = page.next_token {
        page = call.list_more_shards(&token, Some(2)).unwrap();
        shards.append(&mut page.shards);
    }
    shards
}

fn open(call: &mut Call<'_>) -> Vec<Lineage> {
    let mut open = call.list_shards("orders", Filter::AtLatest, None).unwrap().shards;
    open.sort_by_key(|shard| shard.hashes.first);
    open
}

/// Reads each shard to its end once its parents are read to theirs.
fn drained(service: &mut Service, now: &mut u64) -> Vec<(String, u64)> {
    let shards = all(&mut service.call("reader", *now));
    let (mut done, mut read) = (Vec::<String>::new(), Vec::new());
    while done.len() < shards.len() {
        let ready = |shard: &&Lineage| {
            let parents = [&shard.parent, &shard.adjacent];
            !done.contains(&shard.shard) && parents.into_iter().flatten().all(|parent| done.contains(parent))
        };
        let shard = shards.iter().find(ready).expect("parents are listed before they are gone");
        let mut iterator = service.call("reader", *now).get_shard_iterator("orders", &shard.shard, &Start::TrimHorizon);
        while let Ok(here) = iterator {
            *now += 200;
            let answer = service.call("reader", *now).get_records(&here, 3).unwrap();
            let number = |data: &[u8]| u64::from_le_bytes(data.try_into().unwrap());
            read.extend(answer.records.iter().map(|record| (record.key.clone(), number(&record.data))));
            iterator = match answer.next {
                Some(next) if !(answer.behind == 0 && answer.records.is_empty()) => Ok(next),
                next => {
                    assert_eq!(
                        next.is_none(),
                        shard.ending.is_some(),
                        "a closed shard has an end, an open one has none"
                    );
                    let children = shards.iter().filter(|child| {
                        [&child.parent, &child.adjacent].into_iter().flatten().any(|parent| *parent == shard.shard)
                    });
                    if next.is_none() {
                        let told: Vec<_> = answer.children.iter().map(|child| child.shard.clone()).collect();
                        assert_eq!(told, children.map(|child| child.shard.clone()).collect::<Vec<_>>());
                    }
                    break;
                }
            };
        }
        done.push(shard.shard.clone());
    }
    read
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_record_is_read_once_and_in_the_order_of_its_key(
        shards in 1_u32..5, steps in prop::collection::vec(step(), 1..40),
        silence in prop::option::of(1_000_u64..600_000), end_with_records in any::<bool>(),
    ) {
        let mut service = Service::new();
        service.faults = Faults { silence, end_with_records, ..Faults::default() };
        let (mut now, mut sent, mut written) = (1_700_000_000_000_u64, 0_u64, BTreeMap::<String, Vec<u64>>::new());
        service.call("owner", now).create_stream("orders", shards, Mode::Provisioned).unwrap();
        for step in steps {
            now += 1;
            let mut call = service.call("owner", now);
            let before = open(&mut call);
            match step {
                Step::Put(keys) => {
                    for key in keys {
                        let key = key.to_string();
                        let landed = call.put_record("orders", Entry::new(&key, sent.to_le_bytes().to_vec())).unwrap();
                        let holder = before.iter().find(|shard| shard.shard == landed.shard).unwrap();
                        prop_assert!(holder.hashes.contains(hash_of(&key)));
                        written.entry(key).or_default().push(sent);
                        sent += 1;
                    }
                }
                Step::Split(shard, hash) => {
                    let shard = &before[shard % before.len()];
                    let inside = hash > shard.hashes.first && hash <= shard.hashes.last;
                    prop_assert_eq!(call.split_shard("orders", &shard.shard, hash).is_ok(), inside);
                }
                Step::Merge(shard) if before.len() > 1 => {
                    let place = shard % (before.len() - 1);
                    call.merge_shards("orders", &before[place + 1].shard, &before[place].shard).unwrap();
                }
                Step::Merge(_) => {}
                Step::Scale(target) => {
                    let fits = target as usize <= before.len() * 2 && target as usize >= before.len().div_ceil(2);
                    prop_assert_eq!(call.update_shard_count("orders", target).is_ok(), fits);
                    prop_assert!(!fits || open(&mut call).len() == target as usize);
                }
                Step::Wait(millis) => now += millis,
            }
            let after = open(&mut service.call("owner", now));
            prop_assert_eq!((after[0].hashes.first, after[after.len() - 1].hashes.last), (0, u128::MAX));
            prop_assert!(after.windows(2).all(|two| two[0].hashes.last + 1 == two[1].hashes.first));
        }
        let mut read = BTreeMap::<String, Vec<u64>>::new();
        for (key, number) in drained(&mut service, &mut now) {
            read.entry(key).or_default().push(number);
        }
        prop_assert_eq!(read, written);
    }
}
