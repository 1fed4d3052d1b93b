//! What is encoded is decoded again, however it is fed, resumed or interrupted.

use sluice_transfer::limits::{EVENT_BYTES, HEADERS};
use sluice_transfer::{PackError, Position};

use super::*;
use crate::avro::encode::UNIT_BYTES;
use crate::{Inflater, decoder, packer};

/// Packs all events into objects. Every slice is interrupted after this many events, which drops what no part holds;
/// the last one is not.
fn pack(encoding: Encoding, events: &[Event], spec: PackSpec, interruptions: &[usize]) -> Vec<Vec<u8>> {
    let (mut object, mut taken, mut cursor) = (0, 0, Cursor::default());
    let mut objects: Vec<Vec<u8>> = vec![Vec::new()];
    for limit in interruptions.iter().copied().chain([usize::MAX]) {
        let mut packer = packer(encoding, spec, &seed(), object, taken, cursor.clone());
        let from = cursor.position.clone();
        let mut store = |part: sluice_transfer::Packed| {
            objects.last_mut().unwrap().extend_from_slice(&part.bytes);
            taken += part.bytes.len() as u64;
            cursor = part.end;
            if part.ends_object {
                (object, taken) = (object + 1, 0);
                objects.push(Vec::new());
            }
        };
        for event in events.iter().filter(|event| !from.covers(&event.sequence)).take(limit) {
            packer.push(event.clone()).unwrap();
            while let Some(part) = packer.take() {
                store(part);
            }
        }
        if limit == usize::MAX
            && let Seal::Part(part) = packer.seal()
        {
            store(part);
        }
    }
    objects.retain(|object| !object.is_empty());
    objects
}

fn inflate(compression: Compression, object: &[u8]) -> Vec<u8> {
    let mut inflater = Inflater::new(compression);
    inflater.feed(Bytes::copy_from_slice(object));
    let mut bytes = Vec::new();
    while let Some(piece) = inflater.piece().unwrap() {
        bytes.extend_from_slice(&piece.bytes);
    }
    inflater.finish().unwrap();
    bytes
}

/// Places grow, and the last one is the object's end.
fn assert_tiled(object: &[u8], decoded: &[Decoded]) {
    assert!(decoded.is_sorted_by(|a, b| a.after < b.after));
    if let Some(last) = decoded.last() {
        assert_eq!(last.after, Place { offset: object.len() as u64, within: 0 });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn decoding_is_the_inverse_however_it_is_fed(
        events in events(20),
        sizes in proptest::collection::vec(prop_oneof![1_usize..40, 1_000_usize..100_000], 1..6),
    ) {
        let object = object_of(0, &events);
        let whole = decode(&object).unwrap();
        assert_same(&whole, &events);
        assert_tiled(&object, &whole);
        prop_assert_eq!(decode_from(&object, None, &sizes).unwrap(), whole);
    }

    #[test]
    fn compressed_blocks_hold_the_same_events_however_they_are_fed(
        events in events(20),
        sizes in proptest::collection::vec(prop_oneof![1_usize..40, 1_000_usize..100_000], 1..6),
    ) {
        for compression in [Compression::Zstd, Compression::Deflate] {
            let object = object_in(compression, 0, &events);
            prop_assert_eq!(&object, &object_in(compression, 0, &events));
            let whole = decode(&object).unwrap();
            assert_same(&whole, &events);
            assert_tiled(&object, &whole);
            prop_assert_eq!(&decode_from(&object, None, &sizes).unwrap(), &whole);
            for (index, event) in whole.iter().enumerate() {
                prop_assert_eq!(&decode_from(&object, Some(event.after), &sizes).unwrap(), &whole[index + 1..]);
            }
        }
    }

    #[test]
    fn reading_goes_on_at_any_event(events in events(20), size in 1_usize..70_000) {
        let object = object_of(3, &events);
        let whole = decode(&object).unwrap();
        for (i, event) in whole.iter().enumerate() {
            prop_assert_eq!(&decode_from(&object, Some(event.after), &[size]).unwrap(), &whole[i + 1..]);
        }
    }

    #[test]
    fn interruptions_change_no_byte(
        events in events(30),
        part_size in 1_u64..200_000,
        parts in 1_u64..5,
        interruptions in proptest::collection::vec(0_usize..20, 0..8),
        encoding in proptest::sample::select(Encoding::ALL.to_vec()),
    ) {
        let spec = PackSpec { part_size, object_size: part_size * parts };
        let objects = pack(encoding, &events, spec, &[]);
        prop_assert_eq!(&pack(encoding, &events, spec, &interruptions), &objects);
        if encoding.format == Format::Raw {
            let payloads: Vec<u8> = events.iter().flat_map(|event| event.payload.as_slice().to_vec()).collect();
            let inflated: Vec<u8> = objects.iter().flat_map(|object| inflate(encoding.compression, object)).collect();
            prop_assert!(inflated == payloads);
            return Ok(());
        }
        let read = |object: &Vec<u8>| read_from(decoder(encoding).unwrap(), object, None, &[]).unwrap();
        let decoded: Vec<_> = objects.iter().flat_map(read).collect();
        assert_same(&decoded, &events);
    }
}

#[test]
fn a_block_ends_with_the_event_that_fills_it() {
    // Number 2, time 1, key 2, headers 1; the payload's branch 1, length 3, flag 1.
    let around = 11;
    for (len, ends) in [(UNIT_BYTES - around - 1, false), (UNIT_BYTES - around, true), (UNIT_BYTES * 3, true)] {
        let (mut encoder, mut out) = (AvroEncoder::new(seed(), Compression::Plain), Vec::new());
        encoder.resume(0);
        assert_eq!(encoder.push(&small(1, vec![7; len]), &mut out), Ok(ends), "{len}");
        assert_eq!(out.is_empty(), !ends);
        encoder.end_unit(&mut out);
        let before = out.len();
        encoder.end_unit(&mut out);
        assert_eq!(out.len(), before, "no empty block");
    }
}

#[test]
fn objects_differ_in_their_marker_alone() {
    let events = [small(1, "a"), small(2, "b")];
    let (a, b) = (object_of(0, &events), object_of(1, &events));
    assert_ne!(a, b);
    let differ = a.iter().zip(&b).filter(|(a, b)| a != b).count();
    assert!(a.len() == b.len() && differ <= 32, "{differ}");
    // One letter moved from the one name to the other.
    let named = |transfer: &str, destination: &str| {
        let identity = ObjectSeed {
            transfer: transfer.parse().unwrap(),
            destination: destination.parse().unwrap(),
            shard: "0".parse().unwrap(),
        };
        crate::avro::header::marker(&identity, 0)
    };
    assert_ne!(named("ab", "c"), named("a", "bc"));
}

#[test]
fn what_is_past_the_limits_is_not_packed() {
    let mut out = Vec::new();
    let mut refused = |event: &Event| {
        let error = AvroEncoder::new(seed(), Compression::Plain).push(event, &mut out).unwrap_err();
        assert!(out.is_empty());
        let PackError::TooLarge { position, what } = error else { panic!("{error}") };
        assert_eq!(position, Position::before(&event.sequence));
        what
    };
    let header = Header { name: "n".to_owned(), value: Value::Null };
    let many = Event { headers: vec![header.clone(); HEADERS + 1], ..small(9, "x") };
    assert!(refused(&many).contains("10001 headers"));
    let large = Event { key: "k".into(), headers: vec![header.clone()], ..small(9, vec![0; EVENT_BYTES - 1]) };
    assert!(refused(&large).contains("33554433 bytes"));

    // At the limits is within them, on both sides.
    let largest = Event { headers: vec![header.clone()], ..small(9, vec![1; EVENT_BYTES - 1]) };
    let most = Event { headers: vec![header; HEADERS], ..small(10, "x") };
    let events = [small(8, "in the same block"), largest, most];
    assert_same(&decode(&object_of(0, &events)).unwrap(), &events);
}

#[test]
fn payloads_in_one_piece_are_not_copied() {
    let object = Bytes::from(object_of(0, &[small(1, vec![5; 100]), small(2, vec![6; 70_000])]));
    let mut decoder = AvroDecoder::new();
    let first = head(&mut decoder, &object).unwrap();
    decoder.seek(Place { offset: first, within: 0 });
    decoder.feed(object.slice(usize::try_from(first).unwrap()..));
    while let Some(event) = decoder.next().unwrap() {
        assert!(object.as_ptr_range().contains(&event.payload.as_slice().as_ptr()));
    }
}

#[test]
fn raw_has_no_units() {
    assert!(decoder(Encoding::RAW).is_none());
    assert!(decoder(Encoding::AVRO).is_some());
    let spec = PackSpec { part_size: 4, object_size: 8 };
    let mut packer = packer(Encoding::RAW, spec, &seed(), 0, 0, Cursor::default());
    packer.push(small(1, "payload")).unwrap();
    assert_eq!(&packer.take().unwrap().bytes[..], b"payl");
}
