//! What Kinesis holds of an event.

use bytes::Bytes;
use sluice_ports::{Error, ErrorKind, NewEvent, Result, ShardLimits, StreamFacts};
use sluice_transfer::{Timestamp, Value};

/// The key of events that have none: Kinesis demands one. An import gives records without a key one by their place;
/// bytes that it cuts keep this one, and the shard's hash is given along.
pub(crate) const NO_KEY: &str = "-";
/// Characters of a partition key (API reference, `PutRecordsRequestEntry`).
const KEY_CHARACTERS: usize = 256;
/// The largest record that any stream takes (API reference, `PutRecords`).
const LARGEST: u64 = 10 << 20;

/// What a stream's summary tells that concerns every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Bytes of payload and key that a record may have together.
    pub largest: u64,
    /// Records go to any shard, whatever their keys: no order can be kept (`RecordDistributionStrategy`, `AUTO`).
    pub scattered: bool,
    /// How long records are kept.
    pub retention_millis: u64,
    /// When the stream was made; none if a server that imitates Kinesis does not tell.
    pub created: Option<Timestamp>,
}

impl Facts {
    /// In the port's words.
    pub(crate) fn told(&self, limits: Option<ShardLimits>) -> StreamFacts {
        StreamFacts { created: self.created, retention_millis: Some(self.retention_millis), limits }
    }
}

/// The event as it will be read again, but for its time; `facts` where they are known.
pub(crate) fn as_stored(event: NewEvent, facts: Option<&Facts>, stream: &str) -> Result<NewEvent> {
    check(&event, facts, stream)?;
    let key = if event.key.is_empty() { NO_KEY.into() } else { event.key };
    Ok(NewEvent { time: Timestamp::default(), key, headers: Vec::new(), payload: event.payload })
}

/// The key and the payload that a record of the event has. `Invalid` if Kinesis cannot hold the event.
pub(crate) fn check<'a>(event: &'a NewEvent, facts: Option<&Facts>, stream: &str) -> Result<(&'a str, &'a Bytes)> {
    let refuse = |what: String| Err(Error::new(ErrorKind::Invalid, what));
    if facts.is_some_and(|facts| facts.scattered) {
        return refuse(scattered(stream));
    }
    if !event.headers.is_empty() {
        return refuse(format!(
            "Kinesis keeps no headers, and the event has {}: choose a target that does, the objects keep them",
            event.headers.len()
        ));
    }
    let Value::Bytes(payload) = &event.payload else {
        return refuse("Kinesis cannot tell an event without a payload from one whose payload is empty".to_owned());
    };
    let key = if event.key.is_empty() { NO_KEY.as_bytes() } else { event.key.as_slice() };
    let Ok(key) = std::str::from_utf8(key) else {
        return refuse("a key that is not UTF-8 cannot be a partition key of Kinesis".to_owned());
    };
    // A character has a byte at least.
    if key.len() > KEY_CHARACTERS && key.chars().count() > KEY_CHARACTERS {
        let count = key.chars().count();
        return refuse(format!("a key of {count} characters; Kinesis takes {KEY_CHARACTERS} as a partition key"));
    }
    let (size, largest) = (payload.len() + key.len(), facts.map_or(LARGEST, |facts| facts.largest));
    if size as u64 > largest {
        return refuse(format!(
            "an event of {size} bytes (payload and key) is larger than the {largest} bytes that {stream} takes"
        ));
    }
    Ok((key, payload))
}

/// Why nothing is written into a stream that ignores keys.
pub(crate) fn scattered(stream: &str) -> String {
    format!(
        "{stream} distributes records by itself (record distribution strategy AUTO), so their order cannot be kept: \
         set it to USER_PARTITION_KEY, or choose another stream"
    )
}

#[cfg(test)]
mod tests {
    use sluice_transfer::Header;

    use super::*;

    fn event(key: Value, payload: Value) -> NewEvent {
        NewEvent { time: Timestamp::from_micros(7), key, headers: Vec::new(), payload }
    }

    fn refused(event: NewEvent, facts: Option<&Facts>) -> String {
        let error = as_stored(event, facts, "orders").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    }

    const FACTS: Facts = Facts { largest: 1 << 20, scattered: false, retention_millis: 86_400_000, created: None };

    #[test]
    fn keys_that_are_missing_get_one() {
        let payload = Value::from("p");
        for (key, held) in [
            (Value::Absent, "-"),
            (Value::Null, "-"),
            (Value::from(""), "-"),
            (Value::from("-"), "-"),
            (Value::from("ä"), "ä"),
        ] {
            let held = event(Value::from(held), payload.clone());
            let held = NewEvent { time: Timestamp::default(), ..held };
            assert_eq!(as_stored(event(key, payload.clone()), Some(&FACTS), "orders").unwrap(), held);
            assert_eq!(as_stored(held.clone(), Some(&FACTS), "orders").unwrap(), held, "what is held stays as it is");
        }
    }

    #[test]
    fn what_cannot_be_held_is_refused() {
        let payload = || Value::from("p");
        let key = |count: usize| Value::from("ä".repeat(count));
        assert!(as_stored(event(key(256), payload()), None, "orders").is_ok());
        assert!(refused(event(key(257), payload()), None).contains("257 characters"));
        assert!(refused(event(Value::from(&b"\xff"[..]), payload()), None).contains("UTF-8"));
        for missing in [Value::Null, Value::Absent] {
            assert!(refused(event(key(1), missing), None).contains("without a payload"));
        }
        assert!(as_stored(event(key(1), Value::from("")), None, "orders").is_ok(), "an empty payload is one");
        let header = Header { name: "n".to_owned(), value: Value::Null };
        assert!(refused(NewEvent { headers: vec![header], ..event(key(1), payload()) }, None).contains("headers"));
        let scattered = Facts { scattered: true, ..FACTS };
        assert!(refused(event(key(1), payload()), Some(&scattered)).contains("AUTO"));
    }

    #[test]
    fn the_key_counts_towards_the_size() {
        let sized = |bytes: usize| event(Value::from("1234"), Value::from(vec![0; bytes - 4]));
        assert!(as_stored(sized(1 << 20), Some(&FACTS), "orders").is_ok());
        let why = refused(sized((1 << 20) + 1), Some(&FACTS));
        assert!(why.contains("1048577 bytes") && why.contains("1048576"), "{why}");
        assert!(
            as_stored(sized(10 << 20), None, "orders").is_ok(),
            "the largest of all, until the stream's own is known"
        );
        assert!(refused(sized((10 << 20) + 1), None).contains("10485760"));
    }
}
