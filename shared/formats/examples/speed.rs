//! How fast events become Avro and back, beside a plain copy of the same payloads. Run it in release mode:
//! `cargo run --release -p sluice-formats --example speed`.
#![expect(clippy::disallowed_methods, reason = "it measures")]
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use sluice_formats::{AvroDecoder, ObjectSeed, packer};
use sluice_transfer::{
    Cursor, Decoder, DestinationName, Encoding, Event, PackSpec, Place, Seal, Sequence, Timestamp, UnpackError, Value,
};

const PART: usize = 8 << 20;
/// Bytes of payload in one run.
const RUN: usize = 512 << 20;

/// Megabytes of payload a second, the best of three.
fn best(bytes: usize, mut run: impl FnMut()) -> f64 {
    let seconds = (0..3).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    let megabytes = bytes as f64 / 1e6;
    megabytes / seconds.fold(f64::INFINITY, f64::min)
}

/// Some tens of megabytes of events, so that payloads do not lie in the cache, and how often to go through them.
fn sample(size: usize) -> (Vec<Event>, usize) {
    let count = ((64 << 20) / size).min(RUN / size);
    let event = |number: u64| Event {
        sequence: Sequence::new(4_000_000_000 + number),
        time: Timestamp::from_micros(1_795_000_000_000_000 + i64::try_from(number).unwrap_or(0)),
        key: Value::from(Bytes::from(format!("customer-{}", number % 1_000))),
        headers: Vec::new(),
        payload: Value::from(vec![b'x'; size]),
    };
    ((0..count as u64).map(event).collect(), RUN / (count * size))
}

/// Packs the sample into one object.
fn encode(events: &[Event], seed: &ObjectSeed, mut each: impl FnMut(Bytes)) {
    let spec = PackSpec { part_size: PART as u64, object_size: 1 << 40 };
    let mut packer = packer(Encoding::AVRO, spec, seed, 0, 0, Cursor::default());
    for event in events {
        // The packer takes events by value; the clone shares key and payload.
        if packer.push(event.clone()).is_err() {
            return;
        }
        while let Some(part) = packer.take() {
            each(part.bytes);
        }
    }
    if let Seal::Part(part) = packer.seal() {
        each(part.bytes);
    }
}

fn decode(parts: &[Bytes]) -> Result<usize, UnpackError> {
    let mut decoder = AvroDecoder::new();
    let Some(front) = parts.first() else { return Ok(0) };
    let head = usize::try_from(decoder.head_len()).unwrap_or(usize::MAX);
    let first = decoder.head(&front[..front.len().min(head)])?;
    decoder.seek(Place { offset: first, within: 0 });
    let mut bytes = 0;
    // Pieces of a part's size that do not end where blocks do.
    let mut skip = usize::try_from(first).unwrap_or(usize::MAX);
    for part in parts {
        decoder.feed(part.slice(skip..));
        skip = 0;
        while let Some(event) = decoder.next()? {
            bytes += black_box(event).payload.len();
        }
    }
    decoder.finish()?;
    Ok(bytes)
}

/// The same bytes, cut into pieces of one size, as ranged reads give them.
fn recut(parts: &[Bytes]) -> Vec<Bytes> {
    let all = Bytes::from(parts.concat());
    (0..all.len()).step_by(PART).map(|at| all.slice(at..all.len().min(at + PART))).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed = ObjectSeed { transfer: "speed".parse()?, destination: DestinationName::only(), shard: "0".parse()? };
    println!("MB/s of payload        copy    encode    decode   cost ns/event (encode, decode)");
    for (name, size) in
        [("100 B", 100), ("1 KiB", 1 << 10), ("10 KiB", 10 << 10), ("1 MiB", 1 << 20), ("8 MiB", 8 << 20)]
    {
        let (events, rounds) = sample(size);
        let total = events.len() * size * rounds;
        let copy = best(total, || {
            for _ in 0..rounds {
                let mut part = Vec::new();
                for event in &events {
                    if part.capacity() - part.len() < size {
                        drop(black_box(std::mem::replace(&mut part, Vec::with_capacity(PART))));
                    }
                    part.extend_from_slice(event.payload.as_slice());
                }
                black_box(part);
            }
        });
        let write = best(total, || (0..rounds).for_each(|_| encode(&events, &seed, |part| drop(black_box(part)))));
        let mut parts = Vec::new();
        encode(&events, &seed, |part| parts.push(part));
        let parts = recut(&parts);
        if decode(&parts)? != events.len() * size {
            return Err("what was decoded is not what was encoded".into());
        }
        let read = best(total, || (0..rounds).for_each(|_| drop(black_box(decode(&parts)))));
        let cost = |rate: f64| size as f64 * 1e3 / rate;
        println!("{name:>8} {copy:>17.0} {write:>9.0} {read:>9.0}   {:>8.0} {:>8.0}", cost(write), cost(read));
    }
    Ok(())
}
