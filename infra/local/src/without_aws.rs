//! In place of AWS, in a build without it: what leads there is refused, with the way to a build that has it.
//!
//! **Invariant.** The same values as those of `aws.rs`, so that no other file depends on the build.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_ports::{BucketPlaces, BucketStore, Error, ErrorKind, Result, Scheme, StreamPlaces, StreamStore};
use sluice_transfer::{BucketUri, StreamUri};

use crate::places::{Linked, object_in_s3};

/// What `--version` says of it.
pub(crate) const BUILT: &str = "without AWS";

/// Streams of Kinesis.
pub(crate) const KINESIS: Linked = Linked {
    scheme: Scheme {
        name: "kinesis",
        also: &[],
        help: "kinesis:NAME or an ARN, a stream of Kinesis",
        streams: Some(|_| Box::new(Refused)),
        buckets: None,
    },
    stream: |uri| Err(refusal(&uri.scheme)),
    bucket: |uri| Ok(uri.rest.clone()),
    source: |uri| Ok(uri.rest.clone()),
};

/// Buckets of S3.
pub(crate) const S3: Linked = Linked {
    scheme: Scheme {
        name: "s3",
        also: &[],
        help: "s3://BUCKET/PREFIX, a place in S3",
        streams: None,
        buckets: Some(|_| Box::new(Refused)),
    },
    stream: |_| Ok(()),
    bucket: |uri| Err(refusal(&uri.scheme)),
    source: |uri| Err(refusal(&uri.scheme)),
};

fn refusal(scheme: &str) -> String {
    format!(
        "{scheme}: leads to AWS, and this sluice is built without it; `cargo install --path infra/local`, in the folder \
         of the project, installs one that has it"
    )
}

/// Nothing.
pub(crate) struct Aws;

impl Aws {
    pub(crate) fn new(_owner: Option<String>) -> Self {
        Self
    }
}

/// A transfer on record may lead there.
struct Refused;

#[async_trait]
impl StreamPlaces for Refused {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        Err(Error::new(ErrorKind::Invalid, refusal(&uri.scheme)))
    }
}

#[async_trait]
impl BucketPlaces for Refused {
    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        Err(Error::new(ErrorKind::Invalid, refusal(&uri.scheme)))
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        Err(Error::new(ErrorKind::Invalid, refusal(&uri.scheme)))
    }

    fn object(&self, bucket: &BucketUri, key: &str) -> String {
        object_in_s3(bucket, key)
    }
}
