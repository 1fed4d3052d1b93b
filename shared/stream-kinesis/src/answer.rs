//! The answer of `GetRecords`, decoded in place.
//!
//! Payloads are taken out of the body first ([`crate::thinned`]), records borrow from the rest, and the payloads and keys of
//! an answer share one buffer.

use base64_simd::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use sluice_ports::{Error, ErrorKind, Result};
use sluice_transfer::{Event, Timestamp, Value};

use crate::body::{Text, parsed};
use crate::thinned::Thinned;

/// What `GetRecords` answered, or a subscription pushed. `N` is where reading goes on.
#[derive(Debug)]
pub(crate) struct Answer<N = String> {
    pub events: Vec<Event>,
    /// None: the shard is closed, and this was the last of it.
    pub next: Option<N>,
    /// Nothing lay behind this answer.
    pub at_tip: bool,
    /// All that arrived before this lies in it or in front of it.
    pub reached: Option<Timestamp>,
}

impl<N> Answer<N> {
    pub(crate) fn map<M>(self, next: impl FnOnce(N) -> M) -> Answer<M> {
        let Self { events, next: from, at_tip, reached } = self;
        Answer { events, next: from.map(next), at_tip, reached }
    }
}

/// The answer as JSON has it (API reference, `GetRecords`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told<'a> {
    #[serde(borrow)]
    records: Option<Vec<Record<'a>>>,
    next_shard_iterator: Option<String>,
    millis_behind_latest: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    #[serde(borrow)]
    sequence_number: Text<'a>,
    /// Seconds since 1970.
    approximate_arrival_timestamp: Option<f64>,
    #[serde(borrow)]
    partition_key: Option<Text<'a>>,
    /// In base 64.
    #[serde(borrow)]
    data: Option<Text<'a>>,
}

/// Decodes the answer to a call for `count` records that was made at the time `asked`. `Corrupt` if it is none; the
/// error quotes nothing of it.
pub(crate) fn decoded(body: &[u8], count: usize, asked: Timestamp) -> Result<Answer> {
    let thinned = Thinned::of(body);
    let told: Told<'_> = parsed("GetRecords", &thinned.rest)?;
    // Whole milliseconds, of a year at most.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let behind = told.millis_behind_latest.unwrap_or(0.0).max(0.0) as u64;
    let next = told.next_shard_iterator;
    let events = events(&told.records.unwrap_or_default(), &thinned)?;
    // Positions are made of numbers, so nothing could be said of what goes back.
    if !events.is_sorted_by(|a, b| a.sequence < b.sequence) {
        return Err(Error::new(ErrorKind::Corrupt, "records out of their order"));
    }
    // Where the count cut the answer off, only the next one tells.
    let at_tip = next.is_none() || (behind == 0 && events.len() < count);
    // Other answers may be truncated: a server may answer fewer records than asked and say that nothing lies behind.
    let reached = (next.is_none() || events.is_empty()).then(|| asked.minus_millis(behind));
    Ok(Answer { events, next, at_tip, reached })
}

fn events(records: &[Record<'_>], thinned: &Thinned<'_>) -> Result<Vec<Event>> {
    let no_base64 = || Error::new(ErrorKind::Corrupt, "a record's data is not in base 64");
    let data = records.iter().map(|record| {
        let text = record.data.as_ref().map_or("", |text| &*text.0);
        thinned.payload(text).ok_or_else(no_base64)
    });
    let data = data.collect::<Result<Vec<_>>>()?;
    let keys = records.iter().map(|record| record.partition_key.as_ref().map_or(0, |key| key.0.len()));
    let room = data.iter().map(|data| data.len() / 4 * 3 + 3).chain(keys).sum();
    // Payload and key of one record, and of the next.
    let (mut joined, mut ends) = (Vec::<u8>::with_capacity(room), Vec::with_capacity(records.len()));
    for (record, data) in records.iter().zip(data) {
        STANDARD.decode_append(data, &mut joined).map_err(|_| no_base64())?;
        let payload = joined.len();
        if let Some(key) = &record.partition_key {
            joined.extend_from_slice(key.0.as_bytes());
        }
        ends.push((payload, joined.len()));
    }
    let (joined, mut at) = (Bytes::from(joined), 0);
    let mut events = Vec::with_capacity(records.len());
    for (record, (payload, key)) in records.iter().zip(ends) {
        let sequence = record.sequence_number.0.parse();
        events.push(Event {
            sequence: sequence.map_err(|why| Error::with(ErrorKind::Corrupt, "a record's number", why))?,
            time: record.approximate_arrival_timestamp.map_or_else(Timestamp::default, nearest_micro),
            key: record.partition_key.as_ref().map_or(Value::Absent, |_| Value::Bytes(joined.slice(payload..key))),
            headers: Vec::new(),
            payload: Value::Bytes(joined.slice(at..payload)),
        });
        at = key;
    }
    Ok(events)
}

/// Times come as seconds in floating point, which lie next to the decimal number that was meant: cutting them off would
/// make .277 s .276999 s.
pub(crate) fn nearest_micro(seconds: f64) -> Timestamp {
    // Saturates, so times beyond all years stay there.
    #[expect(clippy::cast_possible_truncation)]
    let micros = (seconds * 1e6).round() as i64;
    Timestamp::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ASKED: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn decode(body: &serde_json::Value) -> Result<Answer> {
        decoded(body.to_string().as_bytes(), 10_000, ASKED)
    }

    #[test]
    fn a_time_is_the_decimal_that_was_meant() {
        for (told, millis) in [(1_795_477_375.277, 1_795_477_375_277), (1_795_477_375.1, 1_795_477_375_100), (0.0, 0)] {
            assert_eq!(nearest_micro(told), Timestamp::from_millis(millis), "{told}");
        }
    }

    #[test]
    fn what_is_missing_is_absent() {
        let answer = decode(&json!({ "Records": [{ "SequenceNumber": "7", "More": [1, { "a": null }] }] })).unwrap();
        let event = &answer.events[0];
        assert_eq!((&event.key, event.payload.len(), event.time), (&Value::Absent, 0, Timestamp::default()));
        assert_eq!((answer.next, answer.at_tip, answer.reached), (None, true, Some(ASKED)));
        let answer = decode(&json!({ "NextShardIterator": "i", "MillisBehindLatest": 5_000.0 })).unwrap();
        assert_eq!((answer.next.as_deref(), answer.at_tip), (Some("i"), false));
        assert_eq!(answer.reached, Some(ASKED.minus_millis(5_000)));
        let cut_off =
            json!({ "Records": [{ "SequenceNumber": "7" }], "NextShardIterator": "i", "MillisBehindLatest": 0 });
        assert!(!decoded(cut_off.to_string().as_bytes(), 1, ASKED).unwrap().at_tip);
    }

    #[test]
    fn an_error_quotes_nothing() {
        let record = |number: &str, data: serde_json::Value| json!({ "SequenceNumber": number, "Data": data });
        for body in [
            json!({ "Records": [record("1", json!("secret!!"))] }),
            json!({ "Records": [record("1", json!({ "secret": "secret" }))] }),
            json!({ "Records": "secret" }),
            json!({ "Records": [{ "Data": "" }] }),
            json!({ "Records": [record("2", json!("")), record("1", json!(""))] }),
            json!("secret"),
        ] {
            let error = decode(&body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{body}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }

    proptest! {
        /// For any payloads, keys and escapes.
        #[test]
        fn records_come_back_as_they_were_put(
            records in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..900), ".{0,40}"), 0..20),
            slashes: bool,
        ) {
            let told = records.iter().enumerate().map(|(number, (data, key))| json!({
                "SequenceNumber": format!("4966456898912857{number:020}"),
                "ApproximateArrivalTimestamp": 1_700_000_000.5,
                "Data": base64::engine::general_purpose::STANDARD.encode(data),
                "PartitionKey": key,
            }));
            let mut body = json!({ "Records": told.collect::<Vec<_>>(), "NextShardIterator": "next" }).to_string();
            if slashes {
                body = body.replace('/', r"\/");
            }
            let answer = decoded(body.as_bytes(), 10_000, ASKED).unwrap();
            prop_assert_eq!(answer.events.len(), records.len());
            for (event, (data, key)) in answer.events.iter().zip(&records) {
                prop_assert_eq!(event.payload.as_slice(), &data[..]);
                prop_assert_eq!(event.key.as_slice(), key.as_bytes());
                prop_assert_eq!(event.time, Timestamp::from_millis(1_700_000_000_500));
            }
        }
    }
}
