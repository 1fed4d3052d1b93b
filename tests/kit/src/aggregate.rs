//! Aggregates as the Kinesis Producer Library writes them.

use bytes::Bytes;
use sluice_transfer::key_hash;

/// A record that holds some events: key, hash that places it if it is not the key's, and payload.
///
/// Written by hand and not by what reads it, so that both would have to be wrong in the same way.
pub fn aggregate(events: &[(&str, Option<u128>, &[u8])]) -> Bytes {
    let mut message = Vec::new();
    for (key, _, _) in events {
        field(&mut message, 1, key.as_bytes());
    }
    for hash in events.iter().filter_map(|(_, hash, _)| *hash) {
        field(&mut message, 2, hash.to_string().as_bytes());
    }
    let mut hashes = 0;
    for (number, (_, hash, payload)) in events.iter().enumerate() {
        let mut record = Vec::new();
        // A number is field and wire type 0; the other fields are of wire type 2, bytes with their length.
        record.push(1 << 3);
        varint(&mut record, number);
        if hash.is_some() {
            record.push(2 << 3);
            varint(&mut record, hashes);
            hashes += 1;
        }
        field(&mut record, 3, payload);
        field(&mut message, 3, &record);
    }
    [&[0xf3, 0x89, 0x9a, 0xc2], &message[..], &key_hash(&message).to_be_bytes()].concat().into()
}

fn field(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    message.push(number << 3 | 2);
    varint(message, bytes.len());
    message.extend_from_slice(bytes);
}

fn varint(message: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        message.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return;
        }
    }
}
