//! What goes to S3, byte by byte, and what its answers mean. The answers are scripted, in the form that it documents.
//!
//! This is where full-object checksums are played: no server at hand that is not Amazon's keeps them.
#![cfg(test)]

mod answers;
mod listings;
mod probe;
mod requests;
mod script;

use std::collections::BTreeMap;

use bytes::Bytes;
use sluice_bucket_s3::S3Settings;
use sluice_ports::Metadata;
use sluice_transfer::{Checksum, UploadId};

/// The account that is expected.
const OWNER: &str = "123456789012";

fn owned() -> S3Settings {
    S3Settings { owner: Some(OWNER.to_owned()), ..S3Settings::default() }
}

fn upload() -> UploadId {
    UploadId("VXBsb2Fk.1_-~".to_owned())
}

fn some() -> (Bytes, Checksum) {
    let bytes = Bytes::from_static(b"123456789");
    let checksum = Checksum::of(&bytes);
    (bytes, checksum)
}

fn metadata() -> Metadata {
    BTreeMap::from([("sluice-version".to_owned(), "1".to_owned())])
}
