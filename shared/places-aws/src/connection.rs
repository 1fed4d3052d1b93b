//! Region, credentials, endpoints and the one HTTP client.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// Where region and credentials come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The function's environment.
    Function,
    /// As every AWS tool finds them: environment, profiles, single sign-on, metadata.
    Person,
}

/// What the clients of a process share.
#[derive(Clone, Debug)]
pub struct Connection {
    config: SdkConfig,
}

impl Connection {
    /// Finds the configuration. Calls nobody: credentials are fetched with the first request that needs them.
    pub async fn open(profile: Profile) -> Self {
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
        let loader = match profile {
            // Looking for profiles and metadata would cost a cold start its time.
            Profile::Function => loader
                .region(aws_config::environment::EnvironmentVariableRegionProvider::new())
                .credentials_provider(aws_config::environment::EnvironmentVariableCredentialsProvider::new()),
            Profile::Person => loader,
        };
        Self { config: loader.load().await }
    }

    /// The region that names without one are in; none if nothing says so.
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(Region::as_ref)
    }

    /// Whether something else than Amazon's own endpoints is configured.
    pub(crate) fn is_foreign(&self) -> bool {
        self.config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some()
    }

    /// The endpoint of a service, if it is not Amazon's own. `variable` is the one that names it for this service
    /// alone.
    pub(crate) fn endpoint(&self, variable: &str) -> Option<String> {
        let own = std::env::var(variable).ok();
        own.or_else(|| self.config.endpoint_url().map(str::to_owned))
    }

    /// What a client of another service is made of.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// A client of S3 in a region; none for the own one.
    pub(crate) fn s3(&self, region: Option<&str>) -> aws_sdk_s3::Client {
        let mut builder = aws_sdk_s3::config::Builder::from(&self.config);
        if let Some(region) = region {
            builder = builder.region(Region::new(region.to_owned()));
        }
        aws_sdk_s3::Client::from_conf(sluice_bucket_s3::configure(builder, self.is_foreign()).build())
    }

    /// A client of Kinesis in a region.
    pub(crate) fn kinesis(&self, region: Option<&str>) -> aws_sdk_kinesis::Client {
        let mut builder = aws_sdk_kinesis::config::Builder::from(&self.config);
        if let Some(region) = region {
            builder = builder.region(Region::new(region.to_owned()));
        }
        aws_sdk_kinesis::Client::from_conf(sluice_stream_kinesis::configure(builder).build())
    }
}
