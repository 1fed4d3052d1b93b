//! Kept files: today's encoders write exactly them, today's decoders read them. If this fails, objects that were
//! written before are at stake: raise the encoder's version, keep the files, add others beside them.

use super::*;
use crate::{ENCODER_VERSION, JsonlDecoder, JsonlEncoder, misfit_line};

pub(super) const GOLDEN: &[u8] = include_bytes!("../../../../tests/golden/formats-v1/events.avro");
const MISFITS: &[u8] = include_bytes!("../../../../tests/golden/formats-v1/misfit.jsonl");
const LINES: &[u8] = include_bytes!("../../../../tests/golden/formats-v1/events.jsonl");

/// All states of all fields.
pub(super) fn golden_events() -> Vec<Event> {
    let header = |name: &str, value: Value| Header { name: name.to_owned(), value };
    vec![
        Event {
            sequence: "49590338271490256608559692538361571095921575989136588898".parse().unwrap(),
            time: "2026-11-22T08:00:00.123456Z".parse().unwrap(),
            key: "customer-17".into(),
            headers: vec![
                header("trace", vec![0, 1, 0xff].into()),
                header("trace", Value::Null),
                header("größe", Value::Absent),
                header("", Bytes::new().into()),
            ],
            payload: r#"{"order":1}"#.into(),
        },
        Event { key: "customer-17".into(), ..small(2, Value::Null) },
        Event { time: Timestamp::from_micros(-1), ..small(18_446_744_073_709_551_615, Bytes::new()) },
        Event { time: "0001-01-01T00:00:00Z".parse().unwrap(), key: Value::Null, ..small(0, Value::Absent) },
        Event { key: Bytes::new().into(), ..small(70, (0..=255).collect::<Vec<u8>>()) },
    ]
}

/// Object 7 of its shard, in two blocks.
fn written() -> Vec<u8> {
    let (mut encoder, mut out) = (AvroEncoder::new(seed(), Compression::Plain), Vec::new());
    encoder.begin(7, &mut out);
    for (i, event) in golden_events().iter().enumerate() {
        encoder.push(event, &mut out).unwrap();
        if i == 1 {
            encoder.end_unit(&mut out);
        }
    }
    encoder.end_unit(&mut out);
    out
}

#[test]
fn the_encoder_writes_the_golden_file() {
    assert_eq!(ENCODER_VERSION, 1, "a new version wants a new folder");
    let written = written();
    if let Some(at) = written.iter().zip(GOLDEN).position(|(a, b)| a != b) {
        panic!("differs from byte {at} on: {:?}", &written[at..written.len().min(at + 40)].escape_ascii().to_string());
    }
    assert_eq!(written.len(), GOLDEN.len());
}

#[test]
fn the_decoder_reads_the_golden_file() {
    let decoded = decode(GOLDEN).unwrap();
    assert_same(&decoded, &golden_events());
    let within: Vec<u64> = decoded.iter().map(|event| event.after.within).collect();
    assert_eq!(within, [1, 0, 1, 2, 0]);
}

#[test]
fn lines_are_written_and_read_as_the_golden_ones() {
    let written = encode(&mut JsonlEncoder::new(&seed().shard, Compression::Plain), 7, &golden_events());
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(LINES));
    let decoded = read_from(Box::new(JsonlDecoder::new(Compression::Plain)), LINES, None, &[]).unwrap();
    assert_same(&decoded, &golden_events());
}

/// Each in a file of its own; here behind each other.
#[test]
fn misfits_are_written_and_read_as_the_golden_ones() {
    let misfit =
        r#"{"source":"orders/data/shard=0/0.avro","entry":3,"unitAt":70,"within":2,"reason":"headers","why":"it"}"#;
    let written: Vec<u8> = golden_events().iter().flat_map(|event| misfit_line(&seed().shard, event, misfit)).collect();
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(MISFITS));
    let decoded = read_from(Box::new(JsonlDecoder::new(Compression::Plain)), MISFITS, None, &[]).unwrap();
    assert_same(&decoded, &golden_events());
}
