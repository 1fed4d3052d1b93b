//! Requests, kept as given.

use serde::{Deserialize, Serialize};

use crate::{
    BucketUri, Compression, Format, Inflate, Kind, OnMisfit, PositionSpec, ReadShare, SeriesName, SourceFormat,
    StreamUri, Tempo,
};

/// Why a request cannot be carried out as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A value that is outside its range.
    #[error("{field}: {why}")]
    OutOfRange {
        /// The field, in camel case.
        field: &'static str,
        /// The error and the remedy.
        why: String,
    },
}

/// A stream to a bucket. Fields that were not given are absent, so that a new default never makes a retry differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportRequest {
    /// The source.
    pub stream: StreamUri,
    /// Bucket and prefix.
    pub to: BucketUri,
    /// The format of the objects; default avro.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// The compression of the objects; default zstd for avro, none for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// The series of which this is the next run: it begins where the last one ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesName>,
    /// First event, inclusive; default earliest. Of a series only the first run begins there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PositionSpec>,
    /// End, exclusive; default latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<PositionSpec>,
    /// Encoded bytes at which an object is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_size: Option<u64>,
    /// Encoded bytes at which a part is uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_size: Option<u64>,
    /// Take events out of aggregates of the Kinesis Producer Library, each of them with its own key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deaggregate: bool,
    /// The part of a shard's reading limits that this export and all others of its stream may take together; by default
    /// as the host is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_share: Option<ReadShare>,
    /// The way to read the source; default polling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<ReadMode>,
    /// Bytes of payload a second, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
}

/// A bucket's objects to a stream. Fields that were not given are absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportRequest {
    /// A manifest, a prefix, or one object.
    pub source: BucketUri,
    /// The target, reserved for this import.
    pub stream: StreamUri,
    /// First event of an export's objects, inclusive; default earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PositionSpec>,
    /// End of them, exclusive; default latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<PositionSpec>,
    /// The format of foreign files; default raw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<SourceFormat>,
    /// The treatment of compressed foreign files; default auto, but none for raw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Inflate>,
    /// Field of such files' records that becomes the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_field: Option<String>,
    /// The same for the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_field: Option<String>,
    /// The same for the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_field: Option<String>,
    /// Bytes of an event where the source has none of its own (raw).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_size: Option<u64>,
    /// Take hidden and unfinished files of a folder as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_files: bool,
    /// Fill each event to its size across sources.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pack: bool,
    /// The target may hold events already; they stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub append: bool,
    /// A target that is missing is made, also where a stream costs money.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create_target: bool,
    /// Which shard takes an event. By default keys decide, but in a store where keys lead nowhere it is shard by shard if
    /// both have as many and the source was not split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// The order that events keep in the target; default key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// The times at which events are appended: as far apart as at the source, times a factor, or as fast as it can;
    /// default max.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Tempo>,
    /// What is done with an event that the target cannot hold; default fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_misfit: Option<OnMisfit>,
    /// Bytes of payload a second, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
}

/// Which shard of the target takes an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// The one whose range of hashes holds that of the event's key: the shard that a live producer would send it to.
    Key,
    /// The one that stands for the event's own shard: one of the same name, or in the same place.
    AsSource,
}

impl Placement {
    /// The name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::AsSource => "as-source",
        }
    }
}

/// The way an export reads its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadMode {
    /// By calls, within limits that all readers of the stream share.
    Polling,
    /// As a reader of its own, registered for this export, with limits of its own: Kinesis' enhanced fan-out.
    Fanout,
}

impl ReadMode {
    /// The name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Fanout => "fanout",
        }
    }
}

/// The order that an import's events keep, in a target that does not keep all of it anyway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// In each shard of the target, the events of one shard of the source stand as they stood there; where shards of the
    /// target are merged meanwhile, those of each.
    Shard,
    /// The events of a key stand as they stood in the source.
    #[default]
    Key,
    /// None.
    None,
}

impl Order {
    /// The name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shard => "shard",
            Self::Key => "key",
            Self::None => "none",
        }
    }
}

impl ExportRequest {
    /// All that the stream holds, with all defaults.
    pub fn new(stream: StreamUri, to: BucketUri) -> Self {
        Self {
            stream,
            to,
            format: None,
            compression: None,
            series: None,
            from: None,
            until: None,
            object_size: None,
            part_size: None,
            deaggregate: false,
            read_share: None,
            read: None,
            rate: None,
        }
    }
}

impl ImportRequest {
    /// Into an empty stream, with all defaults.
    pub fn new(source: BucketUri, stream: StreamUri) -> Self {
        Self {
            source,
            stream,
            from: None,
            until: None,
            format: None,
            compression: None,
            payload_field: None,
            key_field: None,
            time_field: None,
            event_size: None,
            all_files: false,
            pack: false,
            append: false,
            create_target: false,
            placement: None,
            order: None,
            pace: None,
            on_misfit: None,
            rate: None,
        }
    }
}

/// A transfer as it was asked for. Two requests ask for the same transfer if they say the same but for the rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// Stream to bucket.
    Export(ExportRequest),
    /// Bucket to stream.
    Import(ImportRequest),
}

impl Request {
    /// Bytes of payload a second, at most, if it says.
    pub fn rate(&self) -> Option<u64> {
        match self {
            Self::Export(request) => request.rate,
            Self::Import(request) => request.rate,
        }
    }

    /// The same without a rate: who goes on with a transfer as it is asks for none.
    #[must_use]
    pub fn without_rate(&self) -> Self {
        let mut request = self.clone();
        match &mut request {
            Self::Export(request) => request.rate = None,
            Self::Import(request) => request.rate = None,
        }
        request
    }

    /// True if both ask for the same transfer. The rate belongs to the run and is not compared.
    pub fn is_same(&self, other: &Self) -> bool {
        self.without_rate() == other.without_rate()
    }

    /// Which way.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Export(_) => Kind::Export,
            Self::Import(_) => Kind::Import,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_rate_is_no_other_request() {
        let read = |text: &str| serde_json::from_str::<Request>(text).unwrap();
        let slow = read(r#"{"export":{"stream":"local:orders","to":"dir:/archive","rate":5}}"#);
        let free = read(r#"{"export":{"stream":"local:orders","to":"dir:/archive"}}"#);
        let other = read(r#"{"export":{"stream":"local:orders","to":"dir:/elsewhere","rate":5}}"#);
        assert!(slow.is_same(&free) && free.is_same(&slow) && slow != free);
        assert!(!slow.is_same(&other));
        assert_eq!((slow.rate(), free.rate()), (Some(5), None));
    }

    #[test]
    fn only_what_was_given_is_kept() {
        let text = r#"{"export":{"stream":"local:orders","to":"dir:/archive","objectSize":1024}}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        let unknown = r#"{"export":{"stream":"local:orders","to":"dir:/archive","objectsize":1024}}"#;
        assert!(serde_json::from_str::<Request>(unknown).is_err());
    }
}
