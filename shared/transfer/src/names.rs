//! Names that people give and stores answer: streams, buckets, shards, transfers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is not a {what}: {why}")]
pub struct NameError {
    what: &'static str,
    name: String,
    why: &'static str,
}

fn refuse<T>(what: &'static str, name: &str, why: &'static str) -> Result<T, NameError> {
    Err(NameError { what, name: name.chars().take(120).collect(), why })
}

/// Letters, digits, `-`, `_` and `.`, not beginning with a dot: safe in a key, a file name and a URL.
fn plain(what: &'static str, name: &str, longest: usize) -> Result<String, NameError> {
    if name.is_empty() {
        return refuse(what, name, "it is empty");
    }
    if name.len() > longest {
        return refuse(what, name, "it is too long");
    }
    if name.starts_with('.') {
        return refuse(what, name, "it begins with a dot");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return refuse(what, name, "only letters, digits, '-', '_' and '.' may be used");
    }
    Ok(name.to_owned())
}

macro_rules! plain_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $longest:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                plain($what, name, $longest).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                name.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

plain_name! {
    /// A shard, partition or segment, by the store's own name for it.
    ShardId, "shard's name", 128
}
plain_name! {
    /// A transfer. Given by a person or made by the host; an execution's name fits (Step Functions: 80 characters).
    TransferId, "transfer's id", 80
}
plain_name! {
    /// A series of exports. It leaves room for the day in the ids of its runs.
    SeriesName, "series' name", 60
}
plain_name! {
    /// A rule. It leaves room for a number, in the ids of its runs and the names of its executions.
    RuleName, "rule's name", 48
}
plain_name! {
    /// A destination of an export. A transfer with one destination calls it [`DestinationName::only`].
    DestinationName, "destination's name", 64
}

impl DestinationName {
    /// The name of a single destination.
    pub fn only() -> Self {
        Self("main".to_owned())
    }
}

/// A bucket's name of an open upload; opaque.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub String);

/// A stream: a scheme that names the kind of store, and a name in that store. Written `SCHEME:NAME`; `SCHEME://NAME`
/// is the same. A bare Amazon resource name is one of the scheme that it names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamUri {
    /// Kind of store, such as `local`.
    pub scheme: String,
    /// Name in the store: a plain name, or an Amazon resource name.
    pub name: String,
}

/// A bucket, or a place in one. Written `SCHEME:REST`; what REST means is the scheme's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BucketUri {
    /// Kind of store, such as `dir`.
    pub scheme: String,
    /// A path or a name with a prefix.
    pub rest: String,
}

fn split<'a>(what: &'static str, text: &'a str, example: &'static str) -> Result<(&'a str, &'a str), NameError> {
    match text.split_once(':') {
        Some((scheme, rest)) if !scheme.is_empty() && !rest.is_empty() => Ok((scheme, rest)),
        _ => refuse(what, text, example),
    }
}

/// An Amazon resource name: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE` (AWS General Reference, "Amazon Resource
/// Names"). Answers its service.
fn resource_name(text: &str) -> Option<&str> {
    let fields: Vec<&str> = text.splitn(6, ':').collect();
    let safe = text.len() <= 512 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b));
    match fields[..] {
        // A service of that name would have two readings: its streams begin as resource names do.
        ["arn", _, "arn", ..] => None,
        ["arn", _, service, _, _, resource] if safe && !service.is_empty() && !resource.is_empty() => Some(service),
        _ => None,
    }
}

impl FromStr for StreamUri {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Some(service) = resource_name(text) {
            return Ok(Self { scheme: service.to_owned(), name: text.to_owned() });
        }
        let (scheme, name) = split("stream", text, "write SCHEME:NAME, such as local:orders or kinesis:orders")?;
        let name = name.strip_prefix("//").unwrap_or(name);
        let name =
            if resource_name(name) == Some(scheme) { name.to_owned() } else { plain("stream's name", name, 128)? };
        Ok(Self { scheme: scheme.to_owned(), name })
    }
}

impl FromStr for BucketUri {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (scheme, rest) =
            split("bucket", text, "write SCHEME:PLACE, such as dir:/var/archive or s3://archive/orders")?;
        Ok(Self { scheme: scheme.to_owned(), rest: rest.to_owned() })
    }
}

impl fmt::Display for StreamUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.name)
    }
}

impl fmt::Display for BucketUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.rest)
    }
}

impl TryFrom<String> for StreamUri {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<StreamUri> for String {
    fn from(uri: StreamUri) -> Self {
        uri.to_string()
    }
}

impl TryFrom<String> for BucketUri {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<BucketUri> for String {
    fn from(uri: BucketUri) -> Self {
        uri.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_climb_are_refused() {
        for name in ["", ".", "..", "../x", "a/b", "a b", ".hidden", "a\0b", "ä"] {
            assert!(name.parse::<TransferId>().is_err(), "{name:?}");
            assert!(format!("local:{name}").parse::<StreamUri>().is_err(), "{name:?}");
        }
        assert!("shardId-000000000001".parse::<ShardId>().is_ok());
    }

    #[test]
    fn a_resource_name_has_one_reading() {
        let nested = "arn:aws:arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
        assert!(nested.parse::<StreamUri>().is_err());
        for text in [format!("arn:{nested}"), format!("aws:{nested}"), nested[8..].to_owned()] {
            if let Ok(uri) = text.parse::<StreamUri>() {
                assert_eq!(uri.to_string().parse(), Ok(uri));
            }
        }
    }

    #[test]
    fn a_stream_has_several_spellings() {
        let plain: StreamUri = "kinesis:orders".parse().unwrap();
        assert_eq!("kinesis://orders".parse(), Ok(plain.clone()));
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
        let named: StreamUri = arn.parse().unwrap();
        assert_eq!((named.scheme.as_str(), named.name.as_str()), ("kinesis", arn));
        assert_eq!(named.to_string().parse(), Ok(named));
        for wrong in ["kinesis:///orders", "kinesis:a/b", "local:arn:aws:kinesis:r:1:stream/x", "arn:aws:kinesis:r:1:"]
        {
            assert!(wrong.parse::<StreamUri>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn uris_read_back() {
        let bucket: BucketUri = "dir:/a b/c:d".parse().unwrap();
        assert_eq!((bucket.scheme.as_str(), bucket.rest.as_str()), ("dir", "/a b/c:d"));
        assert_eq!(bucket.to_string(), "dir:/a b/c:d");
        assert!("orders".parse::<StreamUri>().unwrap_err().to_string().contains("local:orders"));
    }
}
