//! Names to stores.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sluice_bucket_s3::{S3Bucket, S3Settings, place, source};
use sluice_ports::{BucketPlaces, BucketStore, Clock, Error, ErrorKind, Result, Scheme, StreamPlaces, StreamStore};
use sluice_stream_kinesis::{KinesisStream, StreamArn, arn};
use sluice_transfer::{BucketUri, StreamUri};

use crate::allow::Allowed;
use crate::connection::Connection;

/// What may be touched, and as whom.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The own account, where it is known: names without one are in it, and it has to own the buckets.
    pub account: Option<String>,
    /// Partition of resource names: `aws`, `aws-cn`, …
    pub partition: String,
    /// Resource names of streams.
    pub streams: Allowed,
    /// True if streams may be made.
    pub makes_streams: bool,
    /// The account of whoever calls; none if it is not known.
    pub caller: Option<String>,
    /// Resource names of buckets.
    pub buckets: Allowed,
    /// Resource names of objects that may be written.
    pub objects: Allowed,
    /// Key that encrypts objects; none for the bucket's own way.
    pub kms_key: Option<String>,
    /// The host's own bucket.
    pub work: BucketUri,
}

impl Rules {
    /// Why a stream of that name is not made; none if it may be.
    fn forbid_making(&self, uri: &StreamUri) -> Option<&'static str> {
        if !self.makes_streams {
            return Some("the parameter CreateTargets of the stack is not true");
        }
        // What is made is made by its name alone, in the account of whoever calls.
        let foreign = arn(&uri.name).is_some_and(|arn| Some(&arn.account) != self.caller.as_ref());
        foreign.then_some("a stream is made in one's own account, and this ARN may be of another: give its name alone")
    }
}

/// AWS as a host reaches it: what its schemes are opened with.
#[derive(Clone)]
pub struct Aws {
    /// Region, credentials and endpoints.
    pub connection: Connection,
    /// What may be touched.
    pub rules: Arc<Rules>,
    /// The host's clock.
    pub clock: Arc<dyn Clock>,
}

/// Streams of Kinesis.
pub const KINESIS: Scheme<Aws> = Scheme {
    name: "kinesis",
    also: &[],
    help: "kinesis:NAME or an ARN, a stream of Kinesis",
    streams: Some(|aws| Box::new(Kinesis { aws: aws.clone(), clients: Mutex::default() })),
    buckets: None,
};

/// Buckets of S3.
pub const S3: Scheme<Aws> = Scheme {
    name: "s3",
    also: &["arn"],
    help: "s3://BUCKET/PREFIX, a place in S3",
    streams: None,
    buckets: Some(|aws| Box::new(Buckets { aws: aws.clone(), client: aws.connection.s3() })),
};

struct Kinesis {
    aws: Aws,
    /// By region.
    clients: Mutex<BTreeMap<String, aws_sdk_kinesis::Client>>,
}

impl Kinesis {
    /// A stream's resource name, as far as it is known.
    fn arn(&self, uri: &StreamUri) -> Option<StreamArn> {
        let Aws { connection, rules, .. } = &self.aws;
        arn(&uri.name).or_else(|| {
            Some(StreamArn {
                partition: rules.partition.clone(),
                region: connection.region()?.to_owned(),
                account: rules.account.clone()?,
                stream: uri.name.clone(),
            })
        })
    }

    fn client(&self, region: Option<&str>) -> Result<aws_sdk_kinesis::Client> {
        let connection = &self.aws.connection;
        let Some(region) = region.or_else(|| connection.region()) else {
            return Err(Error::new(
                ErrorKind::Invalid,
                "no AWS region is configured: set AWS_REGION, or a region in the profile, or name streams by their ARN",
            ));
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry(region.to_owned()).or_insert_with(|| connection.kinesis(Some(region)));
        Ok(client.clone())
    }
}

#[async_trait]
impl StreamPlaces for Kinesis {
    /// A stream of the own account and region is known by its name alone.
    async fn canonical(&self, uri: &StreamUri) -> Result<StreamUri> {
        let Aws { connection, rules, .. } = &self.aws;
        let Some(arn) = self.arn(uri) else { return Ok(uri.clone()) };
        let own = Some(arn.region.as_str()) == connection.region() && Some(&arn.account) == rules.account.as_ref();
        Ok(if own { StreamUri { scheme: uri.scheme.clone(), name: arn.stream } } else { uri.clone() })
    }

    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        let Aws { connection, rules, clock } = &self.aws;
        let named = self.arn(uri);
        if let Some(name) = named.as_ref().map(ToString::to_string)
            && !rules.streams.allows(&name)
        {
            return Err(Error::new(
                ErrorKind::Denied,
                format!("{name} is not on the list of allowed streams (parameter AllowedStreams of the stack)"),
            ));
        }
        let client = self.client(named.as_ref().map(|arn| arn.region.as_str()))?;
        let stream = KinesisStream::new(client, &uri.name, Arc::clone(clock))
            .at_endpoint(connection.endpoint("AWS_ENDPOINT_URL_KINESIS"));
        Ok(Arc::new(match rules.forbid_making(uri) {
            Some(why) => stream.never_made(why),
            None => stream,
        }))
    }
}

struct Buckets {
    aws: Aws,
    client: aws_sdk_s3::Client,
}

#[async_trait]
impl BucketPlaces for Buckets {
    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let (bucket, _) = self.source(uri).await?;
        let (name, prefix) = place(uri)?;
        let rules = &self.aws.rules;
        let below = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let folder = format!("arn:{}:s3:::{name}/{below}", rules.partition);
        if *uri != rules.work && !rules.objects.allows(&folder) {
            let what =
                format!("{folder} is not on the list of objects to write (parameter AllowedObjects of the stack)");
            return Err(Error::new(ErrorKind::Denied, what));
        }
        Ok((bucket, prefix))
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let Aws { connection, rules, .. } = &self.aws;
        let (bucket, key) = source(uri)?;
        let (work, _) = place(&rules.work)?;
        let name = format!("arn:{}:s3:::{bucket}", rules.partition);
        if bucket == work && *uri != rules.work {
            let what = format!("{bucket} is the host's own bucket: nothing is moved there, and nothing from there");
            return Err(Error::new(ErrorKind::Denied, what));
        }
        if bucket != work && !rules.buckets.allows(&name) {
            let what = format!("{name} is not on the list of allowed buckets (parameter AllowedBuckets of the stack)");
            return Err(Error::new(ErrorKind::Denied, what));
        }
        let settings = S3Settings {
            owner: rules.account.clone(),
            kms_key: rules.kms_key.clone(),
            storage_class: None,
            foreign: connection.is_foreign(),
            endpoint: connection.endpoint("AWS_ENDPOINT_URL_S3"),
        };
        Ok((Arc::new(S3Bucket::new(self.client.clone(), bucket, settings)), key))
    }

    fn object(&self, bucket: &BucketUri, key: &str) -> String {
        source(bucket).map_or_else(|_| format!("{bucket}/{key}"), |(bucket, _)| format!("s3://{bucket}/{key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_made_where_they_may_be_and_in_the_own_account() {
        // Whom buckets must belong to says nothing of who calls.
        let rules = |makes_streams, caller: Option<&str>| Rules {
            account: Some("123456789012".to_owned()),
            caller: caller.map(str::to_owned),
            partition: "aws".to_owned(),
            streams: Allowed::everything(),
            makes_streams,
            buckets: Allowed::everything(),
            objects: Allowed::everything(),
            kms_key: None,
            work: "s3://work".parse().unwrap(),
        };
        let why = |rules: Rules, name: &str| rules.forbid_making(&name.parse().unwrap());
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
        assert_eq!(why(rules(true, None), "kinesis:orders"), None);
        assert_eq!(why(rules(true, Some("123456789012")), arn), None);
        for caller in [None, Some("210987654321")] {
            assert!(why(rules(true, caller), arn).unwrap().contains("its name alone"));
        }
        assert!(why(rules(false, None), "kinesis:orders").unwrap().contains("CreateTargets"));
    }
}
