use bytes::Bytes;

use super::*;
use crate::Sequence;

fn at(n: u64) -> Cursor {
    Cursor::at(Position::After(Sequence::new(n)))
}

fn part(end: u64, bytes: &'static [u8]) -> Packed {
    Packed {
        bytes: Bytes::from_static(bytes),
        end: at(end),
        counts: Counts::new(1, bytes.len() as u64),
        times: None,
        aggregates: Aggregates { records: 1, user_records: end },
        ends_object: false,
    }
}

fn entry(part: &Packed) -> PartEntry {
    PartEntry { etag: "e".into(), checksum: Checksum::of(&part.bytes) }
}

fn closing(record: &DestinationRecord) -> Closing {
    let Phase::Closing(closing) = &record.phase else { panic!("{:?}", record.phase) };
    closing.clone()
}

#[test]
fn an_object_of_several_parts() {
    let mut record = DestinationRecord::new(Position::Beginning);
    record.opened(UploadId("u".into())).unwrap();
    for (end, bytes) in [(1, b"ab"), (2, b"cd")] {
        let part = part(end, bytes);
        record.part_stored(&part, entry(&part)).unwrap();
    }
    assert_eq!((record.cursor(), &record.sealed), (&at(2), &Cursor::default()));
    record.close(Some(&part(3, b"ef"))).unwrap();
    let found = closing(&record);
    assert_eq!(found.checksum, Checksum::of(b"abcdef"));
    record.sealed_as(&found, "etag".into(), Some(3)).unwrap();
    assert_eq!((&record.sealed, record.objects, record.counts), (&at(3), 1, Counts::new(3, 6)));
    assert_eq!(record.aggregates, Aggregates { records: 3, user_records: 1 + 2 + 3 });
    let object = &record.unlisted[0];
    assert_eq!((&object.from, &object.until, object.parts), (&Cursor::default(), &at(3), Some(3)));
}

#[test]
fn an_upload_given_up_goes_back_to_the_sealed_cursor_but_progress_does_not() {
    let mut record = DestinationRecord::new(Position::Beginning);
    record.opened(UploadId("u".into())).unwrap();
    let first = part(1, b"ab");
    record.part_stored(&first, entry(&first)).unwrap();
    record.rewind().unwrap();
    assert_eq!(record.aggregates, Aggregates::default());
    assert_eq!((record.cursor(), record.incarnation), (&Cursor::default(), 1));
    assert_eq!(record.moved(&Position::End), Counts::new(1, 2));
    assert_eq!(record.moved(&Position::Beginning), Counts::default());
}

#[test]
fn a_lost_last_part_ends_the_object_with_what_is_stored() {
    let mut record = DestinationRecord::new(Position::Beginning);
    record.opened(UploadId("u".into())).unwrap();
    let first = part(1, b"ab");
    record.part_stored(&first, entry(&first)).unwrap();
    record.close(Some(&part(2, b"cd"))).unwrap();
    record.supersede().unwrap();
    let found = closing(&record);
    assert_eq!((found.until.clone(), found.checksum), (at(1), Checksum::of(b"ab")));
    assert_eq!(found.candidates().map(|c| c.until.clone()).collect::<Vec<_>>(), [at(1), at(2)]);
    record.sealed_as(&found, "etag".into(), Some(3)).unwrap();
    record.lost(Position::After(Sequence::new(7))).unwrap();
    record.lost(Position::After(Sequence::new(9))).unwrap();
    assert_eq!(record.gaps, [Gap { from: at(1), until: at(9) }]);
}

#[test]
fn a_lost_single_put_leaves_nothing() {
    let mut record = DestinationRecord::new(Position::Beginning);
    record.close(Some(&part(1, b"ab"))).unwrap();
    record.supersede().unwrap();
    assert!(record.is_idle());
    assert_eq!(record.sealed, Cursor::default());
}

#[test]
fn moves_that_a_phase_does_not_have_are_refused_and_change_nothing() {
    let mut record = DestinationRecord::new(Position::Beginning);
    let before = record.clone();
    let some = part(1, b"ab");
    assert!(record.part_stored(&some, entry(&some)).is_err());
    assert!(record.close(None).is_err());
    assert!(record.rewind().is_err());
    assert!(record.supersede().is_err());
    assert!(record.lost(Position::Beginning).is_err());
    assert_eq!(record, before);
    record.opened(UploadId("u".into())).unwrap();
    assert!(record.opened(UploadId("v".into())).is_err());
    assert!(record.lost(Position::End).is_err());
    record.close(Some(&some)).unwrap();
    assert!(record.close(Some(&some)).is_err());
    assert!(record.part_stored(&some, entry(&some)).is_err());
}

#[test]
fn the_ledger_spills_into_pages_and_stops_at_ten_thousand_parts() {
    let mut record = DestinationRecord::new(Position::Beginning);
    record.opened(UploadId("u".into())).unwrap();
    let mut pages = Vec::new();
    for n in 0..PARTS_PER_OBJECT {
        let part = part(n, b"x");
        record.part_stored(&part, entry(&part)).unwrap();
        pages.extend(record.take_page());
    }
    let Phase::Open(upload) = &record.phase else { panic!() };
    assert!(upload.tail.len() < LEDGER_TAIL);
    let entries: usize = pages.iter().map(|page| page.entries.len()).sum();
    assert_eq!(entries + upload.tail.len(), 10_000);
    assert!(pages.iter().enumerate().all(|(i, page)| page.index as usize == i));
    let more = part(PARTS_PER_OBJECT, b"x");
    assert_eq!(record.part_stored(&more, entry(&more)), Err(AlgebraError::TooManyParts));
}
