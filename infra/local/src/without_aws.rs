//! In place of AWS, in a build without it: what leads there is refused, with the way to a build that has it.
//!
//! **Invariant.** The same functions as those of `aws.rs`, so that nobody else asks which build this is.

use std::sync::Arc;

use sluice_ports::{BucketStore, Error, ErrorKind, Result, StreamStore};
use sluice_transfer::{BucketUri, StreamUri};

/// What `--version` says of it.
pub(crate) const BUILT: &str = "without AWS";

fn refusal(scheme: &str) -> String {
    format!(
        "{scheme}: leads to AWS, and this sluice is built without it; `cargo install --path infra/local`, in the folder \
         of the project, installs one that has it"
    )
}

/// Why a stream's name cannot be meant.
pub(crate) fn check_stream(uri: &StreamUri) -> std::result::Result<(), String> {
    if uri.scheme == "kinesis" { Err(refusal(&uri.scheme)) } else { Ok(()) }
}

/// What stands behind `s3:` in the one name of a place in S3.
pub(crate) fn bucket_name(uri: &BucketUri) -> std::result::Result<String, String> {
    Err(refusal(&uri.scheme))
}

/// The same of a place to read from.
pub(crate) fn source_name(uri: &BucketUri) -> std::result::Result<String, String> {
    Err(refusal(&uri.scheme))
}

/// Nothing.
pub(crate) struct Aws;

#[expect(clippy::unused_async, reason = "with AWS they wait")]
impl Aws {
    pub(crate) fn new(_owner: Option<String>) -> Self {
        Self
    }

    /// A transfer on record may lead there.
    pub(crate) async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        Err(Error::new(ErrorKind::Invalid, refusal(&uri.scheme)))
    }

    pub(crate) async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        Err(Error::new(ErrorKind::Invalid, refusal(&uri.scheme)))
    }

    pub(crate) async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        Err(Error::new(ErrorKind::Invalid, refusal(&uri.scheme)))
    }
}
