//! Which shard of the target takes which events of the sources.
//!
//! *As in the source*, a shard's events go to the shard that stands for it. *By key*, each shard of the target takes
//! the events whose keys have its hashes, out of all sources that may hold some: so any number of shards goes into any
//! number, a key is continued where live producers would put it, and what a shard held before it was split comes before
//! what its children held.

use std::collections::BTreeSet;

use sluice_ports::{ShardInfo, StreamInfo};
use sluice_transfer::limits::SHARDS;
use sluice_transfer::{Aggregates, HashRange, OnMisfit, Placement, ShardId, StreamUri, counted, parents_first};

use super::list::{ListedShard, Sources, Taken};
use crate::error::{Code, OperationError};

/// The number of shards that a target is made with, if it is not there: one for each that the sources had, or, where keys
/// decide, for each of them that nothing continues.
pub(super) fn shards_to_make(asked: Option<Placement>, sources: &Sources) -> u32 {
    let all = &sources.shards;
    let parents: BTreeSet<&ShardId> = all.iter().flat_map(|source| &source.parents).collect();
    let last = all.iter().filter(|source| source.source.as_ref().is_none_or(|name| !parents.contains(name))).count();
    let shard_by_shard = sources.are_cut() || asked == Some(Placement::AsSource);
    u32::try_from(if shard_by_shard { all.len() } else { last }.max(1)).unwrap_or(u32::MAX)
}

/// Decides what each shard of the target takes. A reason that the request does not show is answered as a note.
pub(super) fn place(
    (asked, on_misfit): (Option<Placement>, OnMisfit),
    sources: &Sources,
    info: &StreamInfo,
    stream: &StreamUri,
) -> Result<(Vec<Taken>, Vec<String>), OperationError> {
    let open: Vec<&ShardInfo> = info.shards.iter().filter(|shard| !shard.closed).collect();
    let cut = sources.are_cut();
    let of_its_own = open.iter().any(|shard| shard.hashes.is_some());
    let (listed, there) = (sources.shards.len(), open.len());
    let split = sources.shards.iter().any(|source| !source.parents.is_empty());
    let (placement, why) = match asked {
        Some(Placement::Key) if cut => {
            let what = "placement: raw bytes have no keys; leave it out, so that each shard's bytes go into one shard";
            return Err(OperationError::new(Code::Invalid, what));
        }
        Some(placement) => (placement, None),
        None if cut => (Placement::AsSource, None),
        None if of_its_own => (Placement::Key, None),
        None if split => (Placement::Key, Some("were split or merged".to_owned())),
        None if listed != there => (Placement::Key, Some(format!("are {listed}, and {stream} has {there}"))),
        None => (Placement::AsSource, None),
    };
    let mut notes: Vec<String> =
        why.map(|why| format!("placement: by key, since the shards of the source {why}")).into_iter().collect();
    let taken = match placement {
        Placement::Key => by_key(&sources.shards, &open, stream)?,
        Placement::AsSource => as_source(&sources.shards, &open, stream, cut)?,
    };
    if taken.len() > SHARDS {
        let what = format!("{stream} has {} shards; this version takes {SHARDS} in one transfer", taken.len());
        return Err(OperationError::new(Code::OutOfRange, what));
    }
    if placement == Placement::Key && of_its_own {
        notes.extend(check_aggregates(&sources.shards, &taken, stream, on_misfit)?);
    }
    notes.extend(read_again(&sources.shards, &taken));
    Ok((taken, notes))
}

/// Refuses aggregates whose events may belong to several shards: consumers would drop those of the others. Where one
/// shard takes all that a shard of the source held, each of them stays whole. A note where those that are torn are
/// stored.
fn check_aggregates(
    sources: &[ListedShard],
    taken: &[Taken],
    stream: &StreamUri,
    on_misfit: OnMisfit,
) -> Result<Option<String>, OperationError> {
    let is_torn = |source: &&ListedShard| {
        let fits = |one: &Taken| match (one.hashes, source.hashes) {
            (Some(hashes), Some(held)) => hashes.holds(held),
            (Some(hashes), None) => hashes == HashRange::ALL,
            (None, _) => true,
        };
        !source.aggregates.is_none() && !taken.iter().any(fits)
    };
    let torn: Vec<_> = sources.iter().filter(is_torn).collect();
    let Some(first) = torn.first() else { return Ok(None) };
    let aggregates: Aggregates = torn.iter().map(|source| source.aggregates).sum();
    let name = first.source.as_ref().map_or_else(String::new, |shard| format!(" such as {shard}"));
    let aggregates = counted(aggregates.records, "aggregate");
    if on_misfit == OnMisfit::Store {
        return Ok(Some(format!(
            "misfits: {aggregates} of the Kinesis Producer Library, in shards{name}, may hold events for several shards of \
             {stream}; those that do are stored, each as one event"
        )));
    }
    Err(OperationError::new(
        Code::Invalid,
        format!(
            "{aggregates} of the Kinesis Producer Library, in shards{name}, may hold events for several shards of {stream}, and \
             consumers would drop some of them without a word: export again with deaggregate and import that, or use \
             the placement as-source, with as many shards as the source has and the same hashes; with --on-misfit store \
             (\"onMisfit\": \"store\") those that do are stored beside the import's manifest"
        ),
    ))
}

/// What is told where several shards read the same sources, since nobody knows which keys these hold.
fn read_again(sources: &[ListedShard], taken: &[Taken]) -> Option<String> {
    let unknown = sources.iter().filter(|source| source.hashes.is_none()).count();
    (taken.len() > 1 && taken[0].hashes.is_some() && unknown > 0).then(|| {
        let all = counted(unknown as u64, "shard");
        format!("placement: {all} of the source without known keys, read once for each of {} shards", taken.len())
    })
}

/// Each source into the shard of its own name, if they all have one; else in their order.
fn as_source(
    sources: &[ListedShard],
    open: &[&ShardInfo],
    stream: &StreamUri,
    cut: bool,
) -> Result<Vec<Taken>, OperationError> {
    let (needed, there) = (sources.len(), open.len());
    if there < needed {
        let key = if cut { "" } else { ", or leave placement out, so that keys decide" };
        return Err(OperationError::new(
            Code::Invalid,
            format!(
                "{stream} has {there} shards that take events, the source has {needed}: import into a new stream, or one \
                 of {needed} shards{key}"
            ),
        ));
    }
    let names: BTreeSet<&ShardId> = open.iter().map(|shard| &shard.shard).collect();
    let own = |source: &ListedShard| source.source.clone().filter(|name| names.contains(name));
    let own: Option<Vec<ShardId>> = sources.iter().map(own).collect();
    let shards = own.unwrap_or_else(|| open.iter().map(|shard| shard.shard.clone()).collect());
    let taken = shards.into_iter().zip(0..needed);
    Ok(taken.map(|(shard, source)| Taken { shard, hashes: None, sources: vec![source] }).collect())
}

/// Each event into the shard whose hashes hold that of its key.
fn by_key(sources: &[ListedShard], open: &[&ShardInfo], stream: &StreamUri) -> Result<Vec<Taken>, OperationError> {
    let ranges: Option<Vec<HashRange>> = open.iter().map(|shard| shard.hashes).collect();
    let ranges = ranges.unwrap_or_else(|| HashRange::equal(u16::try_from(open.len()).unwrap_or(u16::MAX)));
    if ranges.len() != open.len() || !HashRange::tile(&ranges) {
        let what = format!("the open shards of {stream} do not share all keys among them: try again in a moment");
        return Err(OperationError::new(Code::Invalid, what));
    }
    // A manifest whose shards continue each other in a circle was refused.
    let order = parents_first(sources, |listed| (listed.source.as_ref(), &listed.parents));
    let taken = open.iter().zip(ranges).map(|(shard, hashes)| {
        let may_hold = |source: &&usize| sources[**source].hashes.is_none_or(|of| of.meets(hashes));
        let sources = order.iter().filter(may_hold).copied().collect();
        Taken { shard: shard.shard.clone(), hashes: Some(hashes), sources }
    });
    Ok(taken.collect())
}

#[cfg(test)]
mod tests {
    use sluice_transfer::{Encoding, Format, LeftOut, Position};

    use super::*;
    use crate::plan::notes::Notes;

    fn source(name: &str, parents: &[&str], hashes: Option<HashRange>) -> ListedShard {
        let parents = parents.iter().map(|parent| parent.parse().unwrap()).collect();
        let mut listed = ListedShard::of(Some(name.parse().unwrap()));
        (listed.parents, listed.hashes) = (parents, hashes);
        listed
    }

    fn sources(shards: Vec<ListedShard>) -> Sources {
        Sources {
            encoding: Encoding { format: Format::Avro, ..Encoding::RAW },
            bucket: None,
            foreign: None,
            joined: false,
            shards,
            left_out: LeftOut::default(),
            notes: Notes::default(),
        }
    }

    /// Open shards with these hashes, behind a closed one.
    fn target(hashes: &[Option<HashRange>]) -> StreamInfo {
        let shard = |name: String, hashes: Option<HashRange>, closed| ShardInfo {
            shard: name.parse().unwrap(),
            earliest: Position::Beginning,
            tail: Position::Beginning,
            parents: Vec::new(),
            hashes,
            closed,
        };
        let open = hashes.iter().enumerate().map(|(number, hashes)| shard(format!("t{number}"), *hashes, false));
        let shards = [shard("closed".to_owned(), hashes[0], true)].into_iter().chain(open).collect();
        StreamInfo { shards, writer: None, largest_event: 1 << 20 }
    }

    fn placed(asked: Option<Placement>, sources: &Sources, info: &StreamInfo) -> Result<Vec<Taken>, OperationError> {
        place((asked, OnMisfit::Fail), sources, info, &"memory:target".parse().unwrap()).map(|(taken, _)| taken)
    }

    fn reads(taken: &[Taken]) -> Vec<(&str, &[usize])> {
        taken.iter().map(|one| (one.shard.as_str(), &one.sources[..])).collect()
    }

    #[test]
    fn shards_that_are_as_many_go_one_into_one() {
        let (two, into) = (sources(vec![source("a", &[], None), source("b", &[], None)]), target(&[None, None]));
        let taken = placed(None, &two, &into).unwrap();
        assert_eq!(reads(&taken), [("t0", &[0][..]), ("t1", &[1])]);
        assert!(taken.iter().all(|one| one.hashes.is_none()));
        let named = sources(vec![source("t1", &[], None), source("t0", &[], None)]);
        assert_eq!(reads(&placed(None, &named, &into).unwrap()), [("t1", &[0][..]), ("t0", &[1])]);
    }

    #[test]
    fn other_numbers_of_shards_are_placed_by_key_and_said() {
        let four = sources((0..4).map(|n| source(&n.to_string(), &[], None)).collect());
        let into = target(&[None, None]);
        let (taken, notes) = place((None, OnMisfit::Fail), &four, &into, &"memory:target".parse().unwrap()).unwrap();
        assert_eq!(reads(&taken), [("t0", &[0, 1, 2, 3][..]), ("t1", &[0, 1, 2, 3])]);
        let hashes: Vec<_> = taken.iter().map(|one| one.hashes.unwrap()).collect();
        assert_eq!(hashes, HashRange::equal(2));
        assert_eq!(
            notes,
            [
                "placement: by key, since the shards of the source are 4, and memory:target has 2",
                "placement: 4 shards of the source without known keys, read once for each of 2 shards"
            ]
        );
        let error = placed(Some(Placement::AsSource), &four, &into).unwrap_err();
        assert!(error.message.contains("leave placement out"), "{error:?}");
    }

    #[test]
    fn only_sources_that_may_hold_a_shards_keys_are_read_for_it() {
        let ([low, high], quarters) = (HashRange::equal(2)[..].try_into().unwrap(), HashRange::equal(4));
        let known = sources(vec![source("a", &[], Some(low)), source("b", &[], None), source("c", &[], Some(high))]);
        let taken = placed(None, &known, &target(&quarters.iter().copied().map(Some).collect::<Vec<_>>())).unwrap();
        assert_eq!(reads(&taken), [("t0", &[0, 1][..]), ("t1", &[0, 1]), ("t2", &[1, 2]), ("t3", &[1, 2])]);
    }

    #[test]
    fn what_was_split_comes_parents_first() {
        let split = sources(vec![
            source("grandchild", &["right"], None),
            source("left", &["root"], None),
            source("right", &["root"], None),
            source("root", &["gone"], None),
        ]);
        assert_eq!(shards_to_make(None, &split), 2, "left and grandchild");
        assert_eq!(shards_to_make(Some(Placement::AsSource), &split), 4);
        let taken = placed(None, &split, &target(&[None, None, None, None])).unwrap();
        assert!(taken.iter().all(|one| one.sources == [3, 1, 2, 0]), "{taken:?}");
    }

    #[test]
    fn bytes_that_are_cut_have_no_keys() {
        let raw = Sources { encoding: Encoding::RAW, ..sources(vec![source("a", &[], None), source("b", &[], None)]) };
        assert!(placed(Some(Placement::Key), &raw, &target(&[None, None])).is_err());
        assert!(placed(None, &raw, &target(&[None])).unwrap_err().message.contains("one of 2 shards"));
        assert_eq!(reads(&placed(None, &raw, &target(&[None, None, None])).unwrap()), [("t0", &[0][..]), ("t1", &[1])]);
    }

    #[test]
    fn a_target_whose_shards_overlap_is_refused() {
        let half = HashRange::equal(2)[0];
        let one = sources(vec![source("a", &[], None)]);
        assert!(placed(None, &one, &target(&[Some(half), Some(half)])).is_err());
    }
}
