use proptest::prelude::*;

use super::*;
use crate::{Checksum, Position, Sequence};

fn at(n: u64) -> Cursor {
    Cursor::at(Position::After(Sequence::new(n)))
}

fn object(number: u64, from: u64, until: u64) -> ManifestObject {
    ManifestObject {
        key: format!("data/{number}"),
        object: SealedObject {
            number,
            incarnation: 0,
            from: at(from),
            until: at(until),
            checksum: Checksum::of(b"x"),
            etag: "e".into(),
            counts: Counts::new(until - from, until - from),
            times: None,
            parts: None,
        },
    }
}

fn shard(from: u64, until: u64, events: u64, objects: u64, gaps: &[(u64, u64)]) -> ShardManifest {
    ShardManifest {
        hashes: None,
        shard: "0".parse().unwrap(),
        from: at(from),
        until: at(until),
        counts: Counts::new(events, events),
        aggregates: Aggregates::default(),
        objects,
        gaps: gaps.iter().map(|(from, until)| Gap { from: at(*from), until: at(*until) }).collect(),
        segments: SegmentChain::default(),
        parents: Vec::new(),
        began: None,
        reached: None,
    }
}

fn check(shard: &ShardManifest, objects: &[ManifestObject]) -> Result<(), ManifestError> {
    let mut tiles = Tiles::new(shard);
    objects.iter().try_for_each(|object| tiles.object(shard, object))?;
    tiles.finish(shard)
}

#[test]
fn what_tiles_and_what_does_not() {
    let (a, b) = (object(0, 0, 5), object(1, 5, 9));
    assert_eq!(check(&shard(0, 9, 9, 2, &[]), &[a.clone(), b.clone()]), Ok(()));
    assert_eq!(check(&shard(0, 0, 0, 0, &[]), &[]), Ok(()));
    assert_eq!(check(&shard(0, 12, 9, 2, &[(9, 12)]), &[a.clone(), b.clone()]), Ok(()));
    let late = object(1, 7, 9);
    assert_eq!(check(&shard(0, 9, 7, 2, &[(5, 7)]), &[a.clone(), late.clone()]), Ok(()));
    assert!(matches!(check(&shard(0, 9, 7, 2, &[]), &[a.clone(), late]), Err(ManifestError::Hole { .. })));
    let early = object(1, 4, 9);
    assert!(matches!(check(&shard(0, 9, 10, 2, &[]), &[a.clone(), early]), Err(ManifestError::Overlap { .. })));
    assert!(matches!(check(&shard(0, 9, 9, 2, &[]), &[b.clone(), a.clone()]), Err(ManifestError::Hole { .. })));
    assert!(matches!(check(&shard(0, 9, 5, 1, &[]), std::slice::from_ref(&a)), Err(ManifestError::Hole { .. })));
    assert!(matches!(check(&shard(0, 4, 5, 1, &[]), std::slice::from_ref(&a)), Err(ManifestError::Overlap { .. })));
    assert!(matches!(check(&shard(0, 9, 8, 2, &[]), &[a.clone(), b.clone()]), Err(ManifestError::Sums { .. })));
    assert!(matches!(check(&shard(0, 9, 9, 3, &[]), &[a, b]), Err(ManifestError::Sums { .. })));
}

#[test]
fn a_gap_lies_where_nothing_is_covered() {
    let (a, b) = (object(0, 0, 5), object(1, 5, 9));
    for gap in [(2, 4), (0, 5), (5, 9), (9, 12), (20, 30)] {
        let refused = check(&shard(0, 9, 9, 2, &[gap]), &[a.clone(), b.clone()]).unwrap_err();
        assert!(matches!(refused, ManifestError::Overlap { .. }), "{gap:?}: {refused}");
    }
    assert!(matches!(check(&shard(0, 12, 9, 2, &[(9, 12), (9, 12)]), &[a, b]), Err(ManifestError::Overlap { .. })));
}

#[test]
fn sums_past_all_numbers_are_no_sums() {
    let (mut a, mut b) = (object(0, 0, 5), object(1, 5, 9));
    (a.object.counts, b.object.counts) = (Counts::new(u64::MAX, 1), Counts::new(10, 1));
    // As they would be if they went round, and as they would be if they stood still.
    for events in [9, u64::MAX] {
        let mut shard = shard(0, 9, events, 2, &[]);
        shard.counts.bytes = 2;
        let refused = check(&shard, &[a.clone(), b.clone()]).unwrap_err();
        assert!(refused.to_string().contains("do not add up"), "{refused}");
    }
}

fn root(shards: Vec<ShardManifest>) -> ExportManifest {
    ExportManifest {
        transfer: "t".parse().unwrap(),
        stream: "local:a".parse().unwrap(),
        format: Format::Avro,
        compression: Compression::Plain,
        encoder: 1,
        state: State::Completed,
        created: Timestamp::default(),
        counts: shards.iter().map(|shard| shard.counts).sum(),
        deaggregated: false,
        objects: shards.iter().map(|shard| shard.objects).sum(),
        shards,
        previous: None,
        series: None,
        notes: Vec::new(),
    }
}

fn named(name: &str, parents: &[&str]) -> ShardManifest {
    let parents = parents.iter().map(|parent| parent.parse().unwrap()).collect();
    ShardManifest { shard: name.parse().unwrap(), parents, ..shard(0, 9, 9, 2, &[]) }
}

#[test]
fn a_root_does_not_contradict_itself() {
    let fine = root(vec![named("c", &["a", "b", "long-gone"]), named("a", &[]), named("b", &["a"])]);
    assert_eq!(fine.check(), Ok(()));
    let refused = |shards: Vec<ShardManifest>| root(shards).check().unwrap_err().to_string();
    assert!(refused(vec![named("a", &[]), named("b", &[]), named("a", &[])]).contains("shard a is listed twice"));
    assert!(refused(vec![named("a", &["a"])]).contains("shard a continues itself"));
    let circle = refused(vec![named("x", &[]), named("a", &["c"]), named("b", &["a", "x"]), named("c", &["b", "b"])]);
    assert!(circle.contains("continues itself"), "{circle}");
    let many = (0..=crate::limits::SHARDS).map(|n| named(&n.to_string(), &[])).collect();
    assert!(refused(many).contains("at most 1000"));
    let gaps = ShardManifest { gaps: vec![Gap { from: at(0), until: at(1) }; 101], ..named("a", &[]) };
    assert!(refused(vec![gaps]).contains("101 gaps"));
    let huge = || ShardManifest { counts: Counts::new(u64::MAX, 1), ..named("a", &[]) };
    assert!(
        refused(vec![huge(), ShardManifest { shard: "b".parse().unwrap(), ..huge() }]).contains("past all numbers")
    );
    let mut sums = fine;
    sums.counts.events += 1;
    assert!(sums.check().unwrap_err().to_string().contains("27 events of 27 bytes in 6 objects together"));
}

#[test]
fn an_error_does_not_hold_all_that_it_refuses() {
    let text = String::from_utf8(root(vec![named("a", &[])]).to_bytes()).unwrap();
    let long = text.replace("\"avro\"", &format!("\"{}\"", "x".repeat(1_000_000)));
    let body = long.split_once("\"body\":").unwrap().1.trim_end().strip_suffix('}').unwrap();
    let sealed = long.replace(&text[text.find("\"sha256\"").unwrap()..][10..74], &sha256_hex(body.as_bytes()));
    for bytes in [sealed, long.replace("\"version\":1", &format!("\"version\":\"{}\"", "x".repeat(1_000_000)))] {
        let error = ExportManifest::from_bytes(bytes.as_bytes()).unwrap_err();
        assert!(matches!(error, ManifestError::Body(_) | ManifestError::Foreign(_)), "{error:.200}");
        assert!(error.to_string().len() < 500, "{} bytes", error.to_string().len());
    }
}

#[test]
fn a_chain_tells_order_and_number() {
    let chain = |digests: &[&str]| {
        let mut chain = SegmentChain::default();
        for digest in digests {
            chain.push(digest);
        }
        chain
    };
    assert_eq!(chain(&["a", "b"]), chain(&["a", "b"]));
    for other in [&["b", "a"][..], &["a"], &["ab"], &["a", "b", "b"], &[]] {
        assert_ne!(chain(other).digest, chain(&["a", "b"]).digest);
    }
}

fn segment() -> Segment<ManifestObject> {
    Segment {
        transfer: "t".parse().unwrap(),
        shard: Some("0".parse().unwrap()),
        number: 1,
        entries: vec![object(0, 0, 5)],
    }
}

#[test]
fn a_document_reads_back_and_has_one_form() {
    let bytes = segment().to_bytes();
    assert_eq!(Segment::<ManifestObject>::from_bytes(&bytes), Ok(segment()));
    assert_eq!(segment().to_bytes(), bytes);
}

#[test]
fn what_was_changed_or_is_another_kind_is_refused() {
    let text = String::from_utf8(segment().to_bytes()).unwrap();
    let read = |text: String| Segment::<ManifestObject>::from_bytes(text.as_bytes());
    assert_eq!(read(text.replace("data/0", "data/1")), Err(ManifestError::Checksum));
    assert_eq!(read(text.replace(r#""version":1"#, r#""version":7"#)), Err(ManifestError::Newer(7)));
    assert!(matches!(read(text.replace("export-segment", "x")), Err(ManifestError::Kind { .. })));
    assert!(matches!(read("{}".into()), Err(ManifestError::Foreign(_))));
    assert!(matches!(SourceList::from_bytes(text.as_bytes()), Err(ManifestError::Kind { .. })));
}

proptest! {
    #[test]
    fn foreign_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = ExportManifest::from_bytes(&bytes);
    }

    #[test]
    fn any_changed_byte_is_noticed(at in 0_usize..10_000, with in any::<u8>()) {
        let mut bytes = segment().to_bytes();
        let at = at % (bytes.len() - 1);
        prop_assume!(bytes[at] != with);
        bytes[at] = with;
        // White space may stand anywhere in JSON outside the body; nothing else goes unnoticed.
        if let Ok(read) = Segment::<ManifestObject>::from_bytes(&bytes) {
            prop_assert_eq!(read, segment());
        }
    }
}
