//! What people type and stores answer: positions, names, keys, times, checksums.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_bucket_s3::place;
use sluice_stream_kinesis::arn;
use sluice_transfer::limits::KEY_BYTES;
use sluice_transfer::{
    BucketUri, Checksum, Cursor, Cut, DestinationName, EventDigest, Position, PositionSpec, Sequence, ShardId,
    StreamUri, Timestamp, TransferId, check_key, resolve_key,
};

/// What an error may say of what it refuses: enough to know it by, never all of what may be megabytes.
const LONGEST_ERROR: usize = 2_000;

/// Each line is offered to every parser.
pub fn texts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for line in text.split('\n') {
        reads_back::<Position>(line);
        reads_back::<Cursor>(line);
        reads_back::<Cut>(line);
        reads_back::<PositionSpec>(line);
        reads_back::<Checksum>(line);
        reads_back::<Timestamp>(line);
        reads_back::<StreamUri>(line);
        reads_back::<BucketUri>(line);
        for name in [reads_back::<ShardId>(line), reads_back::<TransferId>(line), reads_back::<DestinationName>(line)] {
            // They become segments of keys and names of files.
            assert!(name.is_none_or(|name| check_key(&name).is_ok()), "a name is no safe key");
        }
        if let Some(sequence) = reads_back::<Sequence>(line) {
            numbers(&sequence.parse().expect("it was written"));
        }
        through_json::<EventDigest>(line);
        places(line);
        keys(line);
    }
}

/// What is read is written as something that is read as the same, and is then written the same.
fn reads_back<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<String>
where
    T::Err: Display + Debug,
{
    match text.parse::<T>() {
        Ok(value) => {
            let written = value.to_string();
            let again = written.parse::<T>();
            let again = again.expect("what was written is read");
            assert_eq!(again, value, "'{written}' is read as another");
            assert_eq!(again.to_string(), written, "it has two forms");
            Some(written)
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && said.len() < LONGEST_ERROR, "an error of {} bytes", said.len());
            None
        }
    }
}

/// Where names lead on AWS.
fn places(line: &str) {
    if let Some(found) = arn(line) {
        assert_eq!(found.to_string(), line, "an ARN has one form");
        // The region becomes a part of a host's name.
        assert!(found.region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{}", found.region);
    }
    let Ok(uri) = line.parse::<BucketUri>() else { return };
    match place(&uri) {
        Ok((bucket, prefix)) => {
            assert!((3..=63).contains(&bucket.len()) && !bucket.contains(['/', '%', '@', ':', '?', '#']), "{bucket}");
            assert!(prefix.is_empty() || check_key(&prefix).is_ok(), "{prefix:?} is no safe prefix");
        }
        Err(error) => assert!(error.to_string().len() < LONGEST_ERROR, "an error of {} bytes", error.to_string().len()),
    }
}

/// The same for what has a text in JSON only.
fn through_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) {
    let Ok(value) = serde_json::from_value::<T>(text.into()) else { return };
    let written = serde_json::to_value(&value).expect("a text");
    assert_eq!(serde_json::from_value::<T>(written).expect("it was written"), value);
}

/// Neighbours of a number, and the distance to them.
fn numbers(sequence: &Sequence) {
    let next = sequence.next();
    assert!(next > *sequence, "{sequence} is in front of {next}");
    assert_eq!(next.before().as_ref(), Some(sequence), "behind it, and back");
    let span = next.span(sequence);
    assert!(span.is_finite() && span >= 0.0 && sequence.span(&next).to_bits() == 0, "{span}");
    let position = Position::before(sequence);
    assert!(!position.covers(sequence) && Position::After(sequence.clone()).covers(sequence));
}

/// What is let through climbs nowhere, whichever folder it is taken to.
fn keys(key: &str) {
    match check_key(key) {
        Ok(()) => {
            assert!(key.len() <= KEY_BYTES && !key.is_empty() && !key.starts_with('/'));
            let climbs = |segment: &str| ["", ".", ".."].contains(&segment);
            assert!(!key.split(['/', '\\']).any(climbs), "{key:?} climbs");
            assert!(!key.bytes().any(|byte| byte < 0x20), "{key:?} has a control character");
            match resolve_key("a/b", key) {
                Ok(whole) => assert!(whole.strip_prefix("a/b/") == Some(key) && check_key(&whole).is_ok()),
                Err(_) => assert!(key.len() + 4 > KEY_BYTES || key.starts_with(".sluice"), "{key:?} in a folder"),
            }
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.len() < LONGEST_ERROR, "an error of {} bytes", said.len());
            assert!(resolve_key("a/b", key).is_err(), "a folder makes {key:?} no better");
        }
    }
}
