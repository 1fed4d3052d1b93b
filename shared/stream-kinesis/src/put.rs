//! The request and the answer of `PutRecords`, written and read in place: see [`crate::body`].

use base64_simd::STANDARD;
use serde::Deserialize;
use sluice_ports::{Error, ErrorKind, Result};

use crate::body::{Text, parsed};

/// A record as it is sent.
pub(crate) struct Entry<'a> {
    pub key: &'a str,
    pub data: &'a [u8],
    /// Leads it to a shard in place of its key.
    pub hash: Option<u128>,
}

/// The body of a request. `stream` is the field that names the stream, and its value.
pub(crate) fn request<'a>(stream: (&str, &str), entries: impl Iterator<Item = Entry<'a>> + Clone) -> Vec<u8> {
    let room: usize = entries.clone().map(|entry| entry.data.len() / 3 * 4 + entry.key.len() + 128).sum();
    let mut body = Vec::with_capacity(room + stream.1.len() + 64);
    body.push(b'{');
    text(&mut body, stream.0);
    body.push(b':');
    text(&mut body, stream.1);
    body.extend_from_slice(b",\"Records\":[");
    for (index, entry) in entries.enumerate() {
        body.extend_from_slice(if index == 0 { b"{\"Data\":\"" } else { b",{\"Data\":\"" });
        STANDARD.encode_append(entry.data, &mut body);
        body.extend_from_slice(b"\",\"PartitionKey\":");
        text(&mut body, entry.key);
        if let Some(hash) = entry.hash {
            body.extend_from_slice(format!(",\"ExplicitHashKey\":\"{hash}\"").as_bytes());
        }
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    body
}

fn text(body: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(body, text).expect("a text, and memory takes it");
}

/// What became of a record.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Put<'a> {
    #[serde(borrow)]
    sequence_number: Option<Text<'a>>,
    #[serde(borrow)]
    shard_id: Option<Text<'a>>,
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
}

impl Put<'_> {
    pub(crate) fn sequence(&self) -> Option<&str> {
        self.sequence_number.as_ref().map(|text| &*text.0)
    }

    pub(crate) fn shard(&self) -> Option<&str> {
        self.shard_id.as_ref().map(|text| &*text.0)
    }

    pub(crate) fn error(&self) -> Option<&str> {
        self.error_code.as_ref().map(|text| &*text.0)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told<'a> {
    #[serde(borrow)]
    records: Vec<Put<'a>>,
}

/// What became of each record, in the request's order. `Indeterminate` if the answer does not tell: some may have been
/// written.
pub(crate) fn answer(body: &[u8]) -> Result<Vec<Put<'_>>> {
    let told: Told<'_> = parsed("PutRecords", body)
        .map_err(|why| Error::with(ErrorKind::Indeterminate, "records were answered, and it is unclear how", why))?;
    Ok(told.records)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        /// For any keys and payloads.
        #[test]
        fn a_request_is_the_json_that_it_should_be(
            records in prop::collection::vec((".{1,40}", prop::collection::vec(any::<u8>(), 0..100), any::<Option<u128>>()), 0..20),
            name in ".{0,20}",
        ) {
            let entries = records.iter().map(|(key, data, hash)| Entry { key, data, hash: *hash });
            let body: Value = serde_json::from_slice(&request(("StreamName", &name), entries)).unwrap();
            let wanted = records.iter().map(|(key, data, hash)| {
                let data = base64::engine::general_purpose::STANDARD.encode(data);
                let mut record = json!({ "Data": data, "PartitionKey": key });
                if let Some(hash) = hash {
                    record["ExplicitHashKey"] = json!(hash.to_string());
                }
                record
            });
            prop_assert_eq!(body, json!({ "StreamName": name, "Records": wanted.collect::<Vec<_>>() }));
        }
    }

    #[test]
    fn an_answer_tells_what_became_of_each() {
        let body = json!({ "FailedRecordCount": 1, "Records": [
            { "SequenceNumber": "7", "ShardId": "a", "More": null },
            { "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "later" },
        ] })
        .to_string();
        let puts = answer(body.as_bytes()).unwrap();
        assert_eq!((puts[0].sequence(), puts[0].shard(), puts[0].error()), (Some("7"), Some("a"), None));
        assert_eq!(puts[1].error(), Some("ProvisionedThroughputExceededException"));
        for unclear in ["", "{}", "[", "{\"Records\":null}"] {
            assert_eq!(answer(unclear.as_bytes()).unwrap_err().kind(), ErrorKind::Indeterminate, "{unclear}");
        }
    }
}
