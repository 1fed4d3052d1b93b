//! Manifests: documents one by one, and whether what they list covers what they say.

use std::fmt::Debug;

use sluice_transfer::manifest::{
    Document, ExportManifest, ImportManifest, ManifestError, ManifestObject, ObjectIndex, Segment, ShardManifest,
    SourceEntry, SourceList, Tiles,
};
use sluice_transfer::record::{Mark, SealedObject};
use sluice_transfer::{Checksum, Counts, Cursor, TimeRange, sha256_hex};

/// What an error may say, so that no document fills a log.
const LONGEST_ERROR: usize = 4_000;

/// The bytes as a document of each kind, and as the body of one whose checksum is right: whoever can write a manifest
/// can also seal it.
pub fn documents(bytes: &[u8]) {
    every_kind(bytes);
    if let Ok(body) = std::str::from_utf8(bytes) {
        document::<ExportManifest>(&sealed(ExportManifest::KIND, body));
        document::<Segment<ManifestObject>>(&sealed(Segment::<ManifestObject>::KIND, body));
        document::<SourceList>(&sealed(SourceList::KIND, body));
        document::<Segment<SourceEntry>>(&sealed(Segment::<SourceEntry>::KIND, body));
        document::<ImportManifest>(&sealed(ImportManifest::KIND, body));
        document::<Segment<Mark>>(&sealed(Segment::<Mark>::KIND, body));
        index(&sealed(ObjectIndex::KIND, body));
    }
}

/// An index: where it says its parts lie they follow one another, and it is that of an object that is said to be so.
fn index(bytes: &[u8]) {
    document::<ObjectIndex>(bytes);
    let Ok(index) = ObjectIndex::from_bytes(bytes) else { return };
    let (mut byte, mut from, mut times) = (0, index.from.clone(), None);
    let (mut checksum, mut counts) = (Checksum::default(), Some(Counts::default()));
    for (extent, part) in index.extents().into_iter().zip(&index.parts) {
        assert_eq!((extent.bytes.start, &extent.from), (byte, &from), "a part does not begin where the last one ends");
        (byte, from) = (extent.bytes.end, extent.span.until);
        checksum = checksum.then(part.checksum);
        counts = counts.and_then(|counts| counts.checked_add(part.span.counts));
        times = TimeRange::cover(times, part.span.times);
    }
    let object = SealedObject {
        number: index.number,
        incarnation: 0,
        from: index.from.clone(),
        until: from,
        checksum,
        etag: String::new(),
        counts: counts.unwrap_or_default(),
        times,
        parts: Some(index.parts.len() as u64),
    };
    let checked = index.check(&object);
    let grows = index.parts.is_sorted_by(|one, next| one.span.until <= next.span.until)
        && index.parts.first().is_none_or(|first| first.span.until >= index.from);
    assert_eq!(checked.is_ok(), grows && counts.is_some(), "{checked:?}");
    assert!(index.check(&SealedObject { number: index.number ^ 1, ..object }).is_err(), "it is of another object too");
}

fn every_kind(bytes: &[u8]) {
    let read = [
        document::<ExportManifest>(bytes),
        document::<Segment<ManifestObject>>(bytes),
        document::<SourceList>(bytes),
        document::<Segment<SourceEntry>>(bytes),
        document::<ImportManifest>(bytes),
        document::<Segment<Mark>>(bytes),
        document::<ObjectIndex>(bytes),
    ];
    assert!(read.into_iter().filter(|read| *read).count() <= 1, "it is of two kinds at once");
}

/// A document around a body, with a checksum that is right.
pub(crate) fn sealed(kind: &str, body: &str) -> Vec<u8> {
    let sha256 = sha256_hex(body.trim_matches([' ', '\t', '\r', '\n']).as_bytes());
    format!("{{\"sluice\":\"{kind}\",\"version\":1,\"sha256\":\"{sha256}\",\"body\":{body}}}\n").into_bytes()
}

/// Whether it was taken. Then it is written as something that is read as the same.
fn document<D: Document + PartialEq + Debug>(bytes: &[u8]) -> bool {
    match D::from_bytes(bytes) {
        Ok(document) => {
            let written = document.to_bytes();
            let again = D::from_bytes(&written);
            assert_eq!(again.as_ref(), Ok(&document), "written and read again it is another");
            assert_eq!(document.to_bytes(), written, "it has two forms");
            true
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && said.len() < LONGEST_ERROR, "an error of {} bytes", said.len());
            false
        }
    }
}

/// A shard on the first line, its objects on the others.
pub fn tiles(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let Some(Ok(shard)) = lines.next().map(serde_json::from_slice::<ShardManifest>) else { return };
    let objects: Vec<ManifestObject> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let whole = walk(&shard, &objects, false);
    let resumed = walk(&shard, &objects, true);
    assert_eq!(whole, resumed, "whoever leaves off and goes on finds something else");
    match whole {
        Ok(()) => covers(&shard, &objects),
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && said.len() < LONGEST_ERROR, "an error of {} bytes", said.len());
        }
    }
}

fn walk(shard: &ShardManifest, objects: &[ManifestObject], resumed: bool) -> Result<(), ManifestError> {
    let mut tiles = Tiles::new(shard);
    for object in objects {
        if resumed {
            let kept = serde_json::to_string(&tiles).expect("a place is kept as JSON");
            assert!(kept.len() < 3_000, "a place has {} bytes", kept.len());
            tiles = serde_json::from_str(&kept).expect("it was written");
        }
        tiles.object(shard, object)?;
    }
    tiles.finish(shard)
}

/// What was let through covers the shard's range once, by another reckoning.
fn covers(shard: &ShardManifest, objects: &[ManifestObject]) {
    let mut stretches: Vec<(&Cursor, &Cursor)> =
        objects.iter().map(|object| (&object.object.from, &object.object.until)).collect();
    stretches.extend(shard.gaps.iter().map(|gap| (&gap.from, &gap.until)));
    stretches.sort();
    let mut reached = &shard.from;
    for (from, until) in stretches {
        assert!(from == reached && until >= from, "{from} to {until} is not what follows {reached}");
        reached = until;
    }
    assert_eq!(*reached, shard.until, "the end is not reached");
    let sum = |of: fn(&Counts) -> u64| objects.iter().map(|object| u128::from(of(&object.object.counts))).sum::<u128>();
    assert_eq!(sum(|counts| counts.events), u128::from(shard.counts.events), "events");
    assert_eq!(sum(|counts| counts.bytes), u128::from(shard.counts.bytes), "bytes");
    assert_eq!(objects.len() as u64, shard.objects, "objects");
}
