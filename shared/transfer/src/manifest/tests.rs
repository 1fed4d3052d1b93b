use proptest::prelude::*;

use super::*;
use crate::{Position, Sequence};

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
        },
    }
}

fn shard(from: u64, until: u64, events: u64, objects: u64, gaps: &[(u64, u64)]) -> ShardManifest {
    ShardManifest {
        shard: "0".parse().unwrap(),
        from: at(from),
        until: at(until),
        counts: Counts::new(events, events),
        objects,
        gaps: gaps.iter().map(|(from, until)| Gap { from: at(*from), until: at(*until) }).collect(),
        segments: SegmentChain::default(),
        parents: Vec::new(),
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
    assert_eq!(read(text.replace(r#""version":1"#, r#""version":3"#)), Err(ManifestError::Newer(3)));
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
