//! AWS as the person has set it up: environment, profiles, single sign-on.
//!
//! **Invariant.** Nothing of it is looked for before a name leads there: what is local asks nobody.

use std::error::Error as _;
use std::iter::successors;
use std::sync::Arc;

use aws_config::BehaviorVersion;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use sluice_places_aws::{Allowed, AwsPlaces, Connection, Profile, Rules};
use sluice_ports::{Error, ErrorKind, Result};
use sluice_transfer::BucketUri;
use tokio::sync::OnceCell;

use crate::clock::SystemClock;

/// Streams of Kinesis and buckets of S3, once they are asked for.
pub(crate) struct Aws {
    owner: Option<String>,
    found: OnceCell<Found>,
}

struct Found {
    places: AwsPlaces,
    has_region: bool,
}

impl Aws {
    /// `owner` is the account that must own the buckets; none: any.
    pub(crate) fn new(owner: Option<String>) -> Self {
        Self { owner, found: OnceCell::new() }
    }

    /// Where streams are found: those named by their ARN say in which region. `Denied` if there are no credentials.
    pub(crate) async fn streams(&self) -> Result<&AwsPlaces> {
        Ok(&self.found().await?.places)
    }

    /// Where buckets are found. `Denied` if there are no credentials, `Invalid` if nothing says in which region.
    pub(crate) async fn buckets(&self) -> Result<&AwsPlaces> {
        let found = self.found().await?;
        if found.has_region {
            return Ok(&found.places);
        }
        let what = "no AWS region is configured: set AWS_REGION, or a region in the profile (AWS_PROFILE)";
        Err(Error::new(ErrorKind::Invalid, what))
    }

    async fn found(&self) -> Result<&Found> {
        let find = || async {
            check_credentials().await?;
            let connection = Connection::open(Profile::Person).await;
            let has_region = connection.region().is_some();
            Ok(Found { places: AwsPlaces::new(connection, self.rules(), Arc::new(SystemClock)), has_region })
        };
        self.found.get_or_try_init(find).await
    }

    /// A person may do what the person's rights allow.
    fn rules(&self) -> Rules {
        Rules {
            account: self.owner.clone(),
            partition: "aws".to_owned(),
            streams: Allowed::everything(),
            buckets: Allowed::everything(),
            objects: Allowed::everything(),
            kms_key: None,
            // The host's own bucket is a folder; none of S3's is let through for being that.
            work: BucketUri { scheme: "s3".to_owned(), rest: "//none".to_owned() },
        }
    }
}

/// Looks for credentials once before they are needed: a request that has none fails as one that was not answered, and
/// is tried again.
async fn check_credentials() -> Result<()> {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
    let found = match config.credentials_provider() {
        Some(provider) => provider.provide_credentials().await,
        None => Err(CredentialsError::not_loaded_no_source()),
    };
    found.map(drop).map_err(|error| {
        let kind = match error {
            CredentialsError::ProviderTimedOut(_) => ErrorKind::Unavailable,
            _ => ErrorKind::Denied,
        };
        // Each of these errors tells its own layer only.
        let told: Vec<_> = successors(error.source(), |error| (*error).source()).map(ToString::to_string).collect();
        let what = format!(
            "there are no AWS credentials: name a profile by AWS_PROFILE, sign in with `aws sso login`, or set \
             AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY ({})",
            told.join(": ")
        );
        Error::new(kind, what)
    })
}
