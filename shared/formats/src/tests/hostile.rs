//! Files that are cut off, changed or made to harm: never a panic, never memory for what is only promised.

use super::golden::{GOLDEN, golden_events};
use super::*;
use crate::AVRO_SCHEMA;
use crate::avro::decode::BLOCK_BYTES;
use crate::avro::header::LARGEST_HEAD;
use crate::avro::varint::{put_long, put_size};

const MARKER: [u8; 16] = [0xa5; 16];

/// A block of these events' bytes.
fn block(count: i64, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_long(&mut out, count);
    put_size(&mut out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(&MARKER);
    out
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_size(out, text.len());
    out.extend_from_slice(text);
}

/// A header with these metadata.
fn header_of(metadata: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"Obj\x01".to_vec();
    if !metadata.is_empty() {
        put_size(&mut out, metadata.len());
    }
    for (key, value) in metadata {
        put_text(&mut out, key.as_bytes());
        put_text(&mut out, value);
    }
    out.push(0);
    out.extend_from_slice(&MARKER);
    out
}

/// A file of our schema with these blocks.
fn file(blocks: &[Vec<u8>]) -> Vec<u8> {
    let mut out = header_of(&[("avro.schema", AVRO_SCHEMA.as_bytes())]);
    out.extend(blocks.concat());
    out
}

/// A file with one event of these bytes.
fn event_file(event: &[u8]) -> Vec<u8> {
    file(&[block(1, event)])
}

fn why(object: &[u8]) -> String {
    decode(object).unwrap_err().to_string()
}

/// The shortest event: all absent, but for the bytes that stand for its headers.
fn with_headers(headers: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0][..], headers, &[0, 0]].concat()
}

#[test]
fn a_file_may_end_behind_any_block_and_nowhere_else() {
    let whole = decode(GOLDEN).unwrap();
    let first = head(&mut AvroDecoder::new(), GOLDEN).unwrap();
    let ends = whole.iter().map(|event| event.after).filter(|after| after.within == 0).map(|after| after.offset);
    let ends: Vec<u64> = [first].into_iter().chain(ends).collect();
    assert_eq!(ends.len(), 3);
    for len in 0..GOLDEN.len() {
        let result = decode(&GOLDEN[..len]);
        if ends.contains(&(len as u64)) {
            let events = result.unwrap();
            assert_eq!(events, whole[..events.len()]);
        } else if len >= 4 {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(&format!("ends at byte {len},")), "{error}");
        } else {
            assert!(result.unwrap_err().to_string().contains("not an Avro"));
        }
    }
}

#[test]
fn a_flipped_byte_is_found_or_changes_one_value() {
    let places = |part: &[u8]| {
        GOLDEN.windows(part.len()).enumerate().filter(|(_, w)| *w == part).map(|(at, _)| at).collect::<Vec<_>>()
    };
    let whole = decode(GOLDEN).unwrap();
    let first = usize::try_from(whole[0].after.offset).unwrap();
    let markers = places(&GOLDEN[first - 16..first]);
    assert_eq!(markers.len(), 3);
    let payloads = places(golden_events()[0].payload.as_slice());
    for at in 0..GOLDEN.len() {
        for mask in [1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xff] {
            let mut changed = GOLDEN.to_vec();
            changed[at] ^= mask;
            let result = decode(&changed);
            if at < 4 || markers.iter().any(|marker| (*marker..marker + 16).contains(&at)) {
                assert!(result.is_err(), "byte {at}");
            }
            if payloads.iter().any(|payload| (*payload..payload + 11).contains(&at)) {
                let decoded = result.unwrap();
                assert_ne!(decoded[0].payload, whole[0].payload);
                assert_eq!(decoded[1..], whole[1..]);
            }
        }
    }
}

#[test]
fn what_only_promises_bytes_is_refused_at_once_or_waited_for() {
    let claim = |count: i64, len: i64| {
        let mut object = file(&[]);
        put_long(&mut object, count);
        put_long(&mut object, len);
        why(&object)
    };
    let largest = i64::try_from(BLOCK_BYTES).unwrap();
    assert!(claim(1, i64::MAX).contains("more than 64 MiB"));
    assert!(claim(1, largest + 1).contains("more than 64 MiB"));
    assert!(claim(1, -1).contains("negative"));
    assert!(claim(-1, 100).contains("negative"));
    assert!(claim(i64::MAX, largest).contains("does not fit"));
    assert!(claim(2, 13).contains("does not fit"));
    assert!(claim(0, 1).contains("does not fit"));
    assert!(claim(1, largest).contains("inside the block"));
    assert!(why(&file(&[vec![0xff; 11]])).contains("more than 64 bits"));
    assert!(why(&file(&[block(1, &[0; 8])])).contains("behind its last event"));
    assert!(why(&file(&[block(2, &[0; 13])])).contains("does not fit"));
    assert!(why(&file(&[block(2, &[0, 0, 0, 0, 0, 0, 0, 2, b'1', 0, 2, 0, 0, 0])])).contains("past the end"));
    assert!(why(&file(&[block(1, &[0; 7]), b"garbage behind the last block".to_vec()])).contains("damaged at byte"));
}

#[test]
fn what_a_value_may_not_be() {
    assert!(decode(&event_file(&[0; 7])).is_ok());
    // A sequence number longer than the block, then one with a length past all memory.
    assert!(why(&event_file(&[100, 0, 0, 0, 0, 0, 0])).contains("past the end"));
    let mut endless = Vec::new();
    put_long(&mut endless, i64::MAX);
    endless.extend([0; 6]);
    assert!(why(&event_file(&endless)).contains("past the end"));
    assert!(why(&event_file(&[0, 0, 4, 0, 0, 0, 0])).contains("neither null nor bytes"));
    assert!(why(&event_file(&[0, 0, 1, 0, 0, 0, 0])).contains("neither null nor bytes"));
    assert!(why(&event_file(&[0, 0, 0, 2, 0, 0, 0])).contains("neither true nor false"));
    assert!(why(&event_file(&[0, 0, 2, 2, b'k', 1, 0, 0, 0])).contains("said to be null"));
    let header = [2, 2, 0xff, 0, 0, 0];
    assert!(why(&event_file(&with_headers(&header))).contains("not UTF-8"));
}

#[test]
fn an_error_stays() {
    let object = event_file(&[0, 0, 4, 0, 0, 0, 0]);
    let mut decoder = AvroDecoder::new();
    let first = head(&mut decoder, &object).unwrap();
    decoder.feed(Bytes::from(object).slice(usize::try_from(first).unwrap()..));
    let error = decoder.next().unwrap_err();
    assert_eq!(decoder.next(), Err(error.clone()));
    assert_eq!(decoder.finish(), Err(error));
    decoder.seek(Place { offset: first, within: 0 });
    assert_eq!(decoder.finish(), Ok(None));
}

#[test]
fn a_decoder_wants_its_header_first() {
    let mut decoder = AvroDecoder::new();
    decoder.feed(Bytes::from_static(&[2, 14]));
    assert!(decoder.next().unwrap_err().to_string().contains("header was not read"));
    assert!(AvroDecoder::new().finish().is_err());
    let mut far = AvroDecoder::new();
    head(&mut far, GOLDEN).unwrap();
    far.seek(Place { offset: u64::MAX, within: 0 });
    far.feed(Bytes::from(block(0, &[])));
    assert!(far.next().is_err(), "another file's marker");
}

#[test]
fn events_that_were_not_read_are_missed() {
    let object = file(&[block(2, &[0; 14])]);
    let mut decoder = AvroDecoder::new();
    let first = head(&mut decoder, &object).unwrap();
    decoder.feed(Bytes::from(object).slice(usize::try_from(first).unwrap()..));
    decoder.next().unwrap().unwrap();
    assert!(decoder.finish().unwrap_err().to_string().contains("1 of its events"));
}

#[test]
fn headers_may_come_in_blocks_with_their_size() {
    // One with a size, one without, one with.
    let one = [2, b'a', 0, 0];
    let headers = [&[1, 8][..], &one, &[2], &one, &[1, 8], &one, &[0]].concat();
    let decoded = decode(&event_file(&with_headers(&headers))).unwrap();
    assert_eq!(decoded[0].headers, vec![Header { name: "a".to_owned(), value: Value::Absent }; 3]);

    let wrong = [&[1, 6][..], &one, &[0]].concat();
    assert!(why(&event_file(&with_headers(&wrong))).contains("size that they give"));
    let long = [&[1, 100][..], &one, &[0]].concat();
    assert!(why(&event_file(&with_headers(&long))).contains("past the end"));
    for count in [i64::MAX, 10_001, -10_001, i64::MIN] {
        let mut many = Vec::new();
        put_long(&mut many, count);
        many.extend([0, 0]);
        assert!(why(&event_file(&with_headers(&many))).contains("10,000 headers"), "{count}");
    }
    let mut within = Vec::new();
    put_long(&mut within, 10_000);
    within.push(0);
    assert!(why(&event_file(&with_headers(&within))).contains("past the end"));
}

#[test]
fn an_event_past_the_limit_is_refused_in_a_block_within_its_own() {
    let mut event = vec![0, 0, 0, 0, 0, 2];
    put_text(&mut event, &vec![0; (32 << 20) + 1]);
    event.push(0);
    assert!(matches!(decode(&event_file(&event)), Err(UnpackError::TooLarge { .. })));
}

#[test]
fn metadata_may_come_in_any_order_and_form() {
    let schema = AVRO_SCHEMA.as_bytes();
    let read = |head: Vec<u8>| decode(&[head, block(1, &[0; 7])].concat()).map(|events| events.len());
    assert_eq!(read(header_of(&[("z", b""), ("avro.codec", b"null"), ("a", b"x"), ("avro.schema", schema)])), Ok(1));

    // In two blocks, the first with its size.
    let mut entry = Vec::new();
    put_text(&mut entry, b"avro.schema");
    put_text(&mut entry, schema);
    let in_blocks = |size: usize| {
        let mut out = b"Obj\x01\x01".to_vec();
        put_size(&mut out, size);
        out.extend_from_slice(&entry);
        out.extend_from_slice(&[2, 2, b'k', 2, b'v', 0]);
        out.extend_from_slice(&MARKER);
        out
    };
    assert_eq!(read(in_blocks(entry.len())), Ok(1));
    assert!(read(in_blocks(entry.len() - 1)).unwrap_err().to_string().contains("size"));

    let refused = |metadata: &[(&str, &[u8])]| read(header_of(metadata)).unwrap_err().to_string();
    assert!(refused(&[]).contains("no schema"));
    assert!(refused(&[("avro.schema", schema), ("avro.schema", schema)]).contains("twice"));
    assert!(
        refused(&[("avro.schema", schema), ("avro.codec", b"lzo")])
            .contains("codec is 'lzo'; read are null, deflate, zstandard, snappy, bzip2, xz")
    );
    let endless = [&b"Obj\x01"[..], &[0xfe; 9], &[1], &vec![0; LARGEST_HEAD]].concat();
    assert!(read(endless).unwrap_err().to_string().contains("more than 4 MiB"));
}

#[test]
fn schemas_are_compared_by_what_they_mean() {
    let read = |schema: &str| head(&mut AvroDecoder::new(), &header_of(&[("avro.schema", schema.as_bytes())]));
    let same = r#" {"fields": [
        {"type": {"type": "string", "avro.java.string": "String"}, "name": "sequence"},
        {"type": {"logicalType": "timestamp-micros", "type": "long"}, "name": "time"},
        {"type": ["null", {"type": "bytes"}], "name": "key"}, {"type": "boolean", "name": "key_null"},
        {"name": "headers", "type": {"items": {"type": "record", "name": "sluice.Header", "fields": [
            {"name": "name", "type": "string"}, {"name": "value", "type": ["null", "bytes"]},
            {"name": "value_null", "type": "boolean"}]}, "type": "array"}},
        {"type": ["null", "bytes"], "name": "payload"}, {"type": "boolean", "name": "payload_null"}],
        "name": "sluice.Event", "aliases": ["Old"], "type": "record"}"#;
    assert!(read(same).is_ok(), "{:?}", read(same));
    let changes = [
        ("timestamp-micros", "timestamp-millis"),
        ("\"payload\"", "\"value\""),
        ("[\"null\", \"bytes\"]", "[\"bytes\", \"null\"]"),
        ("sluice.Header", "other.Header"),
        ("\"boolean\"", "\"int\""),
    ];
    for (from, to) in changes {
        let other = same.replacen(from, to, 1);
        assert_ne!(other, same);
        let error = read(&other).unwrap_err().to_string();
        assert!(error.contains("schema is not Sluice's: its 'sluice.Event' has other fields"), "{error}");
    }
    let foreign = |schema: &str| read(schema).unwrap_err().to_string();
    assert!(foreign(r#"{"type":"record","name":"User","namespace":"a.b","fields":[]}"#).contains("it is 'a.b.User'"));
    assert!(foreign("\"string\"").contains("it is no record"));
    assert!(foreign("{").contains("schema is not Sluice's"));
    assert!(foreign(&"[".repeat(20_000)).contains("schema is not Sluice's"));
    assert!(foreign(&(r#"{"type":"#.repeat(100) + "1" + &"}".repeat(100))).contains("it is no record"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_survived(junk in proptest::collection::vec(any::<u8>(), 0..400), size in 1_usize..50) {
        let _ = decode_from(&junk, None, &[size]);
        let _ = decode_from(&[b"Obj\x01", &junk[..]].concat(), None, &[size]);
        let _ = decode_from(&file(std::slice::from_ref(&junk)), None, &[size]);
        let count = i64::try_from(junk.len() / 7).unwrap();
        let _ = decode_from(&file(&[block(count.min(1), &junk)]), None, &[size]);
        let _ = decode_from(&file(&[block(count, &junk)]), None, &[size]);
        let _ = decode_from(&event_file(&with_headers(&junk)), None, &[size]);
    }

    #[test]
    fn changed_objects_are_survived(
        events in events(8),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut object = object_of(0, &events);
        let first = usize::try_from(head(&mut AvroDecoder::new(), &object).unwrap()).unwrap();
        if object.len() > first {
            let len = object.len() - first;
            for (at, byte) in changes {
                object[first + at.index(len)] = byte;
            }
        }
        if let Ok(decoded) = decode(&object) {
            prop_assert!(decoded.iter().map(|event| event.payload.len()).sum::<usize>() <= object.len());
        }
    }
}
