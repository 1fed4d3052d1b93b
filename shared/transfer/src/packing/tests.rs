//! Packing is the identity, whatever the sizes and however often it is interrupted.

use proptest::prelude::*;

use super::*;
use crate::{Sequence, Timestamp, Value};

/// A unit: `N` events, each a length and its payload, with a mark in front.
struct Marked {
    per_unit: usize,
    open: Vec<u8>,
    events: usize,
}

impl UnitEncoder for Marked {
    fn begin(&mut self, object: u64, out: &mut Vec<u8>) {
        out.push(b'H');
        out.push(u8::try_from(object % 256).unwrap());
    }
    fn resume(&mut self, _object: u64) {}
    fn push(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<bool, PackError> {
        self.open.push(u8::try_from(event.payload.len()).unwrap());
        self.open.extend_from_slice(event.payload.as_slice());
        self.events += 1;
        let ended = self.events == self.per_unit;
        if ended {
            self.end_unit(out);
        }
        Ok(ended)
    }
    fn end_unit(&mut self, out: &mut Vec<u8>) {
        if self.events > 0 {
            out.push(b'U');
            out.push(u8::try_from(std::mem::take(&mut self.events)).unwrap());
            out.append(&mut self.open);
        }
    }
}

/// Takes an object written by [`Marked`] apart.
fn unmark(object: u64, mut bytes: &[u8]) -> Vec<Vec<u8>> {
    assert_eq!(bytes[..2], [b'H', u8::try_from(object % 256).unwrap()]);
    bytes = &bytes[2..];
    let mut events = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(bytes[0], b'U');
        let count = bytes[1];
        bytes = &bytes[2..];
        for _ in 0..count {
            let (event, rest) = bytes[1..].split_at(bytes[0].into());
            events.push(event.to_vec());
            bytes = rest;
        }
    }
    events
}

fn events(payloads: &[Vec<u8>]) -> Vec<Event> {
    let event = |(i, payload): (usize, &Vec<u8>)| Event {
        sequence: Sequence::new(i as u64),
        time: Timestamp::from_millis(i64::try_from(i).unwrap()),
        key: Value::Absent,
        headers: Vec::new(),
        payload: payload.clone().into(),
    };
    payloads.iter().enumerate().map(event).collect()
}

/// Where a transfer is between two parts, as its record keeps it.
#[derive(Clone)]
struct Kept {
    object: u64,
    taken: u64,
    cursor: Cursor,
}

struct Outcome {
    objects: Vec<Vec<u8>>,
    parts: Vec<(u64, usize)>,
    counts: Counts,
}

/// Packs all events. Every slice is interrupted after the number of events that `interruptions` gives (then none),
/// which drops what no part holds.
fn run(events: &[Event], spec: PackSpec, per_unit: Option<usize>, interruptions: &[usize]) -> Outcome {
    let mut kept = Kept { object: 0, taken: 0, cursor: Cursor::default() };
    let mut outcome = Outcome { objects: vec![Vec::new()], parts: Vec::new(), counts: Counts::default() };
    let mut interruptions = interruptions.iter();
    loop {
        let mut packer = match per_unit {
            None => Packer::joined(spec, kept.object, kept.taken, kept.cursor.clone()),
            Some(per_unit) => {
                let encoder = Box::new(Marked { per_unit, open: Vec::new(), events: 0 });
                Packer::units(encoder, spec, kept.object, kept.taken, kept.cursor.clone())
            }
        };
        let limit = interruptions.next().copied();
        let from = kept.cursor.position.clone();
        let rest = events.iter().filter(|event| !from.covers(&event.sequence));
        let mut store = |part: Packed| {
            outcome.parts.push((kept.object, part.bytes.len()));
            outcome.objects.last_mut().unwrap().extend_from_slice(&part.bytes);
            outcome.counts += part.counts;
            assert!(part.end > kept.cursor || part.counts.events > 0, "a part moves the cursor");
            kept.cursor = part.end;
            kept.taken += part.bytes.len() as u64;
            if part.ends_object {
                kept = Kept { object: kept.object + 1, taken: 0, cursor: kept.cursor.clone() };
                outcome.objects.push(Vec::new());
            }
        };
        let mut interrupted = false;
        for (n, event) in rest.enumerate() {
            if limit.is_some_and(|limit| n >= limit) {
                interrupted = true;
                break;
            }
            packer.push(event.clone()).unwrap();
            while let Some(part) = packer.take() {
                store(part);
            }
        }
        if interrupted {
            continue;
        }
        match packer.seal() {
            Seal::Part(part) => store(part),
            Seal::AtPart | Seal::Nothing => {}
        }
        outcome.objects.retain(|object| !object.is_empty());
        return outcome;
    }
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..40)
}

fn spec() -> impl Strategy<Value = PackSpec> {
    (1_u64..80, 1_u64..200).prop_map(|(part_size, object_size)| PackSpec { part_size, object_size })
}

proptest! {
    #[test]
    fn joined_is_the_identity_to_the_byte(
        payloads in payloads(), spec in spec(), interruptions in proptest::collection::vec(0_usize..30, 0..6)
    ) {
        let whole = payloads.concat();
        let outcome = run(&events(&payloads), spec, None, &interruptions);
        prop_assert_eq!(outcome.objects.concat(), whole.clone());
        prop_assert_eq!(outcome.counts, Counts::new(payloads.len() as u64, whole.len() as u64));
        // Every object but the last has exactly the size asked for, every part but an object's last its own.
        for object in outcome.objects.iter().rev().skip(1) {
            prop_assert_eq!(object.len() as u64, spec.object_size);
        }
        for pair in outcome.parts.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            prop_assert_eq!(pair[0].1 as u64, spec.part_size);
        }
    }

    #[test]
    fn units_are_the_identity_and_objects_stand_alone(
        payloads in payloads(), spec in spec(), per_unit in 1_usize..6,
        interruptions in proptest::collection::vec(0_usize..30, 0..6)
    ) {
        let outcome = run(&events(&payloads), spec, Some(per_unit), &interruptions);
        let mut decoded = Vec::new();
        for (number, object) in outcome.objects.iter().enumerate() {
            decoded.extend(unmark(number as u64, object));
        }
        prop_assert_eq!(&decoded, &payloads);
        prop_assert_eq!(outcome.counts.events, payloads.len() as u64);
        for object in outcome.objects.iter().rev().skip(1) {
            prop_assert!(object.len() as u64 >= spec.object_size);
        }
        for pair in outcome.parts.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            prop_assert!(pair[0].1 as u64 >= spec.part_size);
        }
    }

    #[test]
    fn interruptions_change_no_byte(
        payloads in payloads(), spec in spec(), per_unit in proptest::option::of(1_usize..6),
        interruptions in proptest::collection::vec(0_usize..30, 1..6)
    ) {
        let events = events(&payloads);
        let quiet = run(&events, spec, per_unit, &[]);
        let disturbed = run(&events, spec, per_unit, &interruptions);
        prop_assert_eq!(quiet.objects, disturbed.objects);
        prop_assert_eq!(quiet.parts, disturbed.parts);
    }
}

#[test]
fn an_event_longer_than_objects_spans_them() {
    let spec = PackSpec { part_size: 4, object_size: 10 };
    let outcome = run(&events(&[b"abcdefghijklmnopqrstuvwxyz".to_vec()]), spec, None, &[]);
    let objects: Vec<_> = outcome.objects.iter().map(|object| String::from_utf8_lossy(object).into_owned()).collect();
    assert_eq!(objects, ["abcdefghij", "klmnopqrst", "uvwxyz"]);
    assert_eq!(outcome.parts, [(0, 4), (0, 4), (0, 2), (1, 4), (1, 4), (1, 2), (2, 4), (2, 2)]);
}

#[test]
fn a_shorter_event_than_the_cursor_is_a_changed_source() {
    let cursor = Cursor { position: Position::Beginning, offset: 9 };
    let mut packer = Packer::joined(PackSpec { part_size: 4, object_size: 10 }, 0, 9, cursor);
    let error = packer.push(events(&[b"short".to_vec()]).remove(0)).unwrap_err();
    assert!(matches!(error, PackError::SourceChanged { len: 5, offset: 9, .. }));
}
