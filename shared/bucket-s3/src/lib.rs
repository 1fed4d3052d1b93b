//! A bucket in Amazon S3, or in a service that speaks its protocol.
//!
//! Who makes the client brings connections, credentials and region, and passes its settings through [`configure`];
//! [`place`] reads bucket and prefix off a name.
//!
//! **Invariants.**
//! - Nothing that exists is overwritten: what makes an object carries `If-None-Match: *` (Amazon S3 user guide, "How to
//!   prevent object overwrites with conditional writes"). A service that ignores this is found out before it is
//!   written to, see `probe.rs`.
//! - One call of the port is one try of each request. Trying again is the engine's part, which looks first; so an
//!   error's kind is what became of that one request, and nothing waits but through the engine's clock.
//! - Every request names the account that must own the bucket, if it was told (Amazon S3 user guide, "Verifying bucket
//!   ownership with bucket owner condition"). A bucket that was deleted and made again by a stranger is so refused.
//! - Bytes go out as they lie in memory, once: with the checksum that the port gives, in a header that is signed, and
//!   with a payload that is not, neither as a digest nor in chunks. S3 compares the checksum with what arrived. Over
//!   TLS that is all a digest would give. Over plain HTTP somebody on the way could change both, so this is for
//!   loopback and trusted networks.
//!
//! Checksums are CRC64NVME, of parts and of the whole (Amazon S3 user guide, "Checking object integrity in Amazon S3").
//! A service that knows only checksums of checksums (`COMPOSITE`) is sent the parts' alone, and what it tells of the
//! whole is not taken: there, an object's content is not attested, and finishing reads it.
//!
//! Etags are without the quotes in which they come.

mod config;
mod fault;
mod place;
mod probe;
mod region;
mod requests;
mod store;
mod wire;

use std::sync::Arc;

use aws_sdk_s3::Client;
use tokio::sync::OnceCell;

pub use config::configure;
pub use place::{place, source};
pub use region::region;

use probe::Features;

/// How a bucket is used.
#[derive(Clone, Debug, Default)]
pub struct S3Settings {
    /// Account that must own the bucket, sent with every request as `ExpectedBucketOwner`; else it is not asked for.
    pub owner: Option<String>,
    /// KMS key, by id or ARN, that new objects are encrypted with; else the bucket's default. Writing takes
    /// `kms:GenerateDataKey` and `kms:Decrypt` on it (Amazon S3 user guide, "Uploading an object using multipart
    /// upload", permissions).
    pub kms_key: Option<String>,
    /// Storage class of new objects; else the bucket's default. It must be one that is read at once, such as
    /// `STANDARD_IA` or `GLACIER_IR`: manifests are read back.
    pub storage_class: Option<String>,
    /// The service is not Amazon's own: what it can do is probed.
    pub foreign: bool,
    /// The configured endpoint of such a service; errors name it if nothing answers there.
    pub endpoint: Option<String>,
}

/// A bucket that is reached through a client. Clones share what was found out about it.
#[derive(Clone, Debug)]
pub struct S3Bucket {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    bucket: String,
    settings: S3Settings,
    /// What a foreign service can do, once somebody asked.
    features: OnceCell<Features>,
}

impl S3Bucket {
    /// The bucket of that name. The client's settings went through [`configure`]. Nothing is sent yet.
    pub fn new(client: Client, bucket: impl Into<String>, settings: S3Settings) -> Self {
        let inner = Inner { client, bucket: bucket.into(), settings, features: OnceCell::new() };
        Self { inner: Arc::new(inner) }
    }
}
