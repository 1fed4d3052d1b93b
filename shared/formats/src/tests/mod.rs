//! Encoding and decoding together: with each other, with another implementation, with kept files, with broken ones.

mod foreign;
mod foreign_avro;
mod golden;
mod hostile;
mod jsonl;
mod reference;
mod roundtrip;

use bytes::Bytes;
use proptest::prelude::*;
use sluice_transfer::{
    Compression, Cursor, Decoded, Decoder, DestinationName, Encoding, Event, Format, Header, PackSpec, Place, Seal,
    Sequence, Timestamp, UnitEncoder, UnpackError, Value,
};

use crate::{AvroDecoder, AvroEncoder, ObjectSeed};

/// As a transfer names its objects.
fn seed() -> ObjectSeed {
    ObjectSeed {
        transfer: "orders-2026".parse().unwrap(),
        destination: DestinationName::only(),
        shard: "shardId-000000000003".parse().unwrap(),
    }
}

/// An object of these events, sealed behind the last.
fn object_of(number: u64, events: &[Event]) -> Vec<u8> {
    object_in(Compression::Plain, number, events)
}

/// The same, compressed.
fn object_in(compression: Compression, number: u64, events: &[Event]) -> Vec<u8> {
    encode(&mut AvroEncoder::new(seed(), compression), number, events)
}

fn encode(encoder: &mut dyn UnitEncoder, number: u64, events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(number, &mut out);
    for event in events {
        encoder.push(event, &mut out).unwrap();
    }
    encoder.end_unit(&mut out);
    out
}

fn head(decoder: &mut dyn Decoder, object: &[u8]) -> Result<u64, UnpackError> {
    let mut len = object.len().min(usize::try_from(decoder.head_len()).unwrap());
    loop {
        let wanted = object.len().min(usize::try_from(decoder.head_wants(&object[..len])).unwrap());
        if wanted <= len {
            return decoder.head(&object[..len]);
        }
        len = wanted;
    }
}

/// Reads from a place, or from the first unit, in pieces of these sizes, again and again.
fn decode_from(object: &[u8], from: Option<Place>, sizes: &[usize]) -> Result<Vec<Decoded>, UnpackError> {
    read_from(Box::new(AvroDecoder::new()), object, from, sizes)
}

fn read_from(
    mut decoder: Box<dyn Decoder>,
    object: &[u8],
    from: Option<Place>,
    sizes: &[usize],
) -> Result<Vec<Decoded>, UnpackError> {
    let first = head(&mut *decoder, object)?;
    let from = from.unwrap_or(Place { offset: first, within: 0 });
    decoder.seek(from);
    let mut rest = Bytes::copy_from_slice(&object[usize::try_from(from.offset).unwrap()..]);
    let mut sizes = sizes.iter().cycle();
    let mut events = Vec::new();
    loop {
        while let Some(event) = decoder.next()? {
            events.push(event);
        }
        if rest.is_empty() {
            events.extend(decoder.finish()?);
            return Ok(events);
        }
        let size = sizes.next().copied().unwrap_or(usize::MAX).clamp(1, rest.len());
        decoder.feed(rest.split_to(size));
    }
}

fn decode(object: &[u8]) -> Result<Vec<Decoded>, UnpackError> {
    decode_from(object, None, &[])
}

fn assert_same(decoded: &[Decoded], events: &[Event]) {
    assert_eq!(decoded.len(), events.len());
    for (decoded, Event { sequence, time, key, headers, payload }) in decoded.iter().zip(events) {
        assert_eq!((decoded.sequence.as_ref(), decoded.time), (Some(sequence), Some(*time)));
        assert_eq!((&decoded.key, &decoded.headers, &decoded.payload), (key, headers, payload));
    }
}

fn bytes_value(longest: usize) -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Absent),
        1 => Just(Value::Null),
        1 => Just(Value::from(Bytes::new())),
        4 => proptest::collection::vec(any::<u8>(), 0..longest).prop_map(Value::from),
    ]
}

/// Mostly small; some so large that a few, or one, fill a block.
fn payload() -> impl Strategy<Value = Value> {
    let filled = |(byte, len): (u8, usize)| Value::from(vec![byte; len]);
    prop_oneof![
        3 => bytes_value(200),
        2 => (any::<u8>(), 0_usize..40_000).prop_map(filled),
        1 => (any::<u8>(), 60_000_usize..300_000).prop_map(filled),
        1 => (any::<u8>(), 65_480_usize..65_560).prop_map(filled),
    ]
}

/// Events in the order of their numbers, of up to 60 digits.
fn events(most: usize) -> impl Strategy<Value = Vec<Event>> {
    let header = (".{0,12}", bytes_value(20)).prop_map(|(name, value)| Header { name, value });
    let headers = prop_oneof![Just(Vec::new()), proptest::collection::vec(header, 0..5)];
    let time = prop_oneof![any::<i64>(), -100_i64..100, 1_700_000_000_000_000_i64..1_800_000_000_000_000];
    let number = prop_oneof!["[0-9]{1,5}", "[1-9][0-9]{17,59}"].prop_map(|text| text.parse::<Sequence>().unwrap());
    let event = (number, time, bytes_value(40), headers, payload());
    proptest::collection::vec(event, 0..most).prop_map(|mut events| {
        events.sort_by(|a, b| a.0.cmp(&b.0));
        events.dedup_by(|a, b| a.0 == b.0);
        let event = |(sequence, time, key, headers, payload)| Event {
            sequence,
            time: Timestamp::from_micros(time),
            key,
            headers,
            payload,
        };
        events.into_iter().map(event).collect()
    })
}

fn small(sequence: u64, payload: impl Into<Value>) -> Event {
    Event {
        sequence: Sequence::new(sequence),
        time: Timestamp::from_micros(0),
        key: Value::Absent,
        headers: Vec::new(),
        payload: payload.into(),
    }
}
