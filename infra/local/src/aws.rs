//! AWS as the person has set it up: environment, profiles, single sign-on.
//!
//! **Invariant.** Nothing of it is looked for before a name leads there: what is local asks nobody.

use std::error::Error as _;
use std::iter::successors;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use sluice_bucket_s3::place;
use sluice_places_aws::{self as there, Allowed, Connection, Profile, Rules};
use sluice_ports::{
    BucketPlaces, BucketStore, Error, ErrorKind, Places, Result, Scheme, Schemes, StreamPlaces, StreamStore,
};
use sluice_stream_kinesis::arn;
use sluice_transfer::{BucketUri, StreamUri};
use tokio::sync::OnceCell;

use crate::clock::SystemClock;
use crate::places::{Linked, object_in_s3};

/// What `--version` says of it.
pub(crate) const BUILT: &str = "with AWS";

/// Streams of Kinesis.
pub(crate) const KINESIS: Linked = Linked {
    scheme: Scheme {
        name: there::KINESIS.name,
        also: &[],
        help: there::KINESIS.help,
        streams: Some(|here| Box::new(Person(Arc::clone(&here.aws)))),
        buckets: None,
    },
    stream: check_stream,
    bucket: |uri| Ok(uri.rest.clone()),
    source: |uri| Ok(uri.rest.clone()),
};

/// Buckets of S3.
pub(crate) const S3: Linked = Linked {
    scheme: Scheme {
        name: there::S3.name,
        also: &[],
        help: there::S3.help,
        streams: None,
        buckets: Some(|here| Box::new(Person(Arc::clone(&here.aws)))),
    },
    stream: |_| Ok(()),
    bucket: bucket_name,
    source: source_name,
};

/// Why a stream's name cannot be meant.
fn check_stream(uri: &StreamUri) -> std::result::Result<(), String> {
    if uri.name.contains(':') && arn(&uri.name).is_none() {
        return Err("this is no stream's ARN: write arn:aws:kinesis:REGION:ACCOUNT:stream/NAME".to_owned());
    }
    Ok(())
}

/// What stands behind `s3:` in the one name of a place in S3, however it was spelt.
fn bucket_name(uri: &BucketUri) -> std::result::Result<String, String> {
    let (bucket, prefix) = place(uri).map_err(|error| error.to_string())?;
    Ok(if prefix.is_empty() { format!("//{bucket}") } else { format!("//{bucket}/{prefix}") })
}

/// The same of a place to read from, where others may have written: any key, and a slash at its end stays.
fn source_name(uri: &BucketUri) -> std::result::Result<String, String> {
    let (bucket, key) = sluice_bucket_s3::source(uri).map_err(|error| error.to_string())?;
    Ok(if key.is_empty() { format!("//{bucket}") } else { format!("//{bucket}/{key}") })
}

/// Streams of Kinesis and buckets of S3, once they are asked for.
pub(crate) struct Aws {
    owner: Option<String>,
    found: OnceCell<Found>,
    credentials: OnceCell<()>,
}

struct Found {
    places: Schemes,
    region: Option<Region>,
}

impl Aws {
    /// `owner` is the account that must own the buckets; none: any.
    pub(crate) fn new(owner: Option<String>) -> Self {
        Self { owner, found: OnceCell::new(), credentials: OnceCell::new() }
    }

    /// Where that stream is found. `Invalid` if neither the configuration nor an ARN says in which region; `Denied` if
    /// there are no credentials.
    async fn of_stream(&self, uri: &StreamUri) -> Result<&Schemes> {
        let found = self.found().await;
        if found.region.is_none() && arn(&uri.name).is_none() {
            return Err(no_region(", or name streams by their ARN"));
        }
        self.with_credentials(found).await
    }

    /// Where buckets are found. `Invalid` if nothing says in which region, `Denied` if there are no credentials.
    async fn of_buckets(&self) -> Result<&Schemes> {
        let found = self.found().await;
        if found.region.is_none() {
            return Err(no_region(""));
        }
        self.with_credentials(found).await
    }

    async fn found(&self) -> &Found {
        let find = || async {
            let connection = Connection::open(Profile::Person).await;
            let region = connection.region().map(|region| Region::new(region.to_owned()));
            let rules = Arc::new(self.rules());
            let work = rules.work.clone();
            let aws = there::Aws { connection, rules, clock: Arc::new(SystemClock) };
            Found { places: Schemes::new(&aws, &[there::KINESIS, there::S3], work), region }
        };
        self.found.get_or_init(find).await
    }

    async fn with_credentials<'a>(&self, found: &'a Found) -> Result<&'a Schemes> {
        self.credentials.get_or_try_init(|| check_credentials(found.region.clone())).await?;
        Ok(&found.places)
    }

    /// A person may do what the person's rights allow.
    fn rules(&self) -> Rules {
        Rules {
            account: self.owner.clone(),
            partition: "aws".to_owned(),
            read_streams: Allowed::everything(),
            write_streams: Allowed::everything(),
            makes_streams: true,
            caller: None,
            read_objects: Allowed::everything(),
            write_objects: Allowed::everything(),
            // The host's own bucket is a folder; none of S3's is let through for being that.
            work: BucketUri { scheme: "s3".to_owned(), rest: "//none".to_owned() },
        }
    }
}

/// What is there for a person.
struct Person(Arc<Aws>);

#[async_trait]
impl StreamPlaces for Person {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        self.0.of_stream(uri).await?.stream(uri).await
    }

    async fn target(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        self.0.of_stream(uri).await?.target(uri).await
    }
}

#[async_trait]
impl BucketPlaces for Person {
    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.0.of_buckets().await?.bucket(uri).await
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.0.of_buckets().await?.source(uri).await
    }

    async fn destination(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.0.of_buckets().await?.destination(uri).await
    }

    fn object(&self, bucket: &BucketUri, key: &str) -> String {
        object_in_s3(bucket, key)
    }
}

/// The profile that `AWS_PROFILE` names, if no file has one of that name.
fn missing_profile() -> Option<Error> {
    let name = std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty())?;
    let file = |variable: &str, usual: &str| {
        let given = std::env::var_os(variable).map(PathBuf::from);
        given.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".aws").join(usual)))
    };
    let files =
        [file("AWS_CONFIG_FILE", "config"), file("AWS_SHARED_CREDENTIALS_FILE", "credentials")].into_iter().flatten();
    let files: Vec<PathBuf> = files.collect();
    let has = |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|text| has_profile(&text, &name));
    if files.iter().any(has) {
        return None;
    }
    let looked: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
    let what = format!(
        "AWS_PROFILE names the profile '{}', and there is none in {}: correct or unset AWS_PROFILE",
        name.escape_debug(),
        looked.join(" or ")
    );
    Some(Error::new(ErrorKind::Denied, what))
}

/// True if a configuration of AWS has a profile: `[profile NAME]` or `[NAME]`.
fn has_profile(text: &str, name: &str) -> bool {
    let headings =
        text.lines().filter_map(|line| line.trim().strip_prefix('[')?.split_once(']').map(|(within, _)| within));
    headings.into_iter().any(|heading| {
        let heading = heading.trim();
        let own = heading.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(heading);
        own.trim().trim_matches(['"', '\'']) == name
    })
}

fn no_region(besides: &str) -> Error {
    if let Some(missing) = missing_profile() {
        return missing;
    }
    let what =
        format!("no AWS region is configured: set AWS_REGION, or a region in the profile (AWS_PROFILE){besides}");
    Error::new(ErrorKind::Invalid, what)
}

/// Looks for credentials once before they are needed: a request that has none fails as one that was not answered, and
/// is tried again.
async fn check_credentials(region: Option<Region>) -> Result<()> {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).region(region).load().await;
    let found = match config.credentials_provider() {
        Some(provider) => provider.provide_credentials().await,
        None => Err(CredentialsError::not_loaded_no_source()),
    };
    found.map(drop).map_err(|error| {
        let kind = match error {
            CredentialsError::ProviderTimedOut(_) => ErrorKind::Unavailable,
            _ => ErrorKind::Denied,
        };
        if let Some(missing) = missing_profile() {
            return missing;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_found_by_their_headings() {
        let text =
            "[default]\nregion = x\n[profile work]\n  [ profile  \"two words\" ] ; a comment\n[plain]\n#[profile no]\n";
        for name in ["default", "work", "two words", "plain"] {
            assert!(has_profile(text, name), "{name}");
        }
        for name in ["no", "wor", "profile work", "region = x", ""] {
            assert!(!has_profile(text, name), "{name}");
        }
    }
}
