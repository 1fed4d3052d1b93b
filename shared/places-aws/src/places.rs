//! Names to stores.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sluice_bucket_s3::{S3Bucket, S3Settings, place, region, source};
use sluice_ports::{BucketPlaces, BucketStore, Clock, Error, ErrorKind, Result, Scheme, StreamPlaces, StreamStore};
use sluice_stream_kinesis::{KinesisStream, StreamArn, arn};
use sluice_transfer::{BucketUri, StreamUri};

use crate::allow::Allowed;
use crate::connection::Connection;
use crate::guard::Guarded;
use crate::rules::{Access, Rules};

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
    buckets: Some(|aws| Box::new(Buckets::new(aws.clone()))),
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

    /// The stream, if its name is on that list.
    fn open(&self, uri: &StreamUri, access: Access) -> Result<KinesisStream> {
        let Aws { connection, rules, clock } = &self.aws;
        let named = self.arn(uri);
        if let Some(name) = &named {
            rules.check(access, &name.to_string())?;
        }
        let client = self.client(named.as_ref().map(|arn| arn.region.as_str()))?;
        let stream = KinesisStream::new(client, &uri.name, Arc::clone(clock));
        Ok(stream.at_endpoint(connection.endpoint("AWS_ENDPOINT_URL_KINESIS")))
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
        let why = "it was opened to be read";
        Ok(Arc::new(self.open(uri, Access::ReadStreams)?.never_made(why).never_written(why)))
    }

    async fn target(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        let stream = self.open(uri, Access::WriteStreams)?;
        Ok(Arc::new(match self.aws.rules.forbid_making(uri) {
            Some(why) => stream.never_made(why),
            None => stream,
        }))
    }
}

struct Buckets {
    aws: Aws,
    /// In the own region.
    client: aws_sdk_s3::Client,
    /// Clients of buckets in other regions, by the buckets' names; none for one in the own.
    elsewhere: Mutex<BTreeMap<String, Option<aws_sdk_s3::Client>>>,
}

impl Buckets {
    fn new(aws: Aws) -> Self {
        let client = aws.connection.s3(None);
        Self { aws, client, elsewhere: Mutex::default() }
    }

    /// The client of the region that a bucket is in. S3 is asked once for each bucket; while it does not say, the own
    /// region is tried, whose answer says what is wrong.
    async fn client(&self, bucket: &str) -> aws_sdk_s3::Client {
        let connection = &self.aws.connection;
        if connection.is_foreign() {
            return self.client.clone();
        }
        let known = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).get(bucket).cloned();
        if let Some(known) = known {
            return known.unwrap_or_else(|| self.client.clone());
        }
        let Some(region) = region(&self.client, bucket, self.aws.rules.account.clone()).await else {
            return self.client.clone();
        };
        let client = (connection.region() != Some(&*region)).then(|| connection.s3(Some(&region)));
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).insert(bucket.to_owned(), client.clone());
        client.unwrap_or_else(|| self.client.clone())
    }

    /// The host's own bucket as a source: of all that lies there only lists of objects that rules made, and the misfits
    /// of imports, are something to import.
    fn own_source(&self, bucket: &str, path: &str, settings: S3Settings) -> Result<Arc<dyn BucketStore>> {
        let rules = &self.aws.rules;
        let folder = format!("arn:{}:s3:::{bucket}/", rules.partition);
        let sources = [format!("{folder}rules/*"), format!("{folder}imports/*/misfits/*")];
        let own = Rules { read_objects: Allowed::only(sources.iter().map(String::as_str)), ..(**rules).clone() };
        let list = Guarded { bucket: (), rules: Arc::new(own), folder, access: Access::ReadObjects };
        list.check_place(path).map_err(|_| {
            let what = format!("{bucket} is the host's own bucket: only misfits are imported from there");
            Error::new(ErrorKind::Denied, what)
        })?;
        Ok(Arc::new(list.over(S3Bucket::new(self.client.clone(), bucket, settings))))
    }

    /// The bucket of that name, if the place in it is on that list. The host's own has none.
    async fn open(&self, uri: &BucketUri, bucket: &str, path: &str, access: Access) -> Result<Arc<dyn BucketStore>> {
        let Aws { connection, rules, .. } = &self.aws;
        let (work, _) = place(&rules.work)?;
        if bucket == work && *uri != rules.work && access != Access::ReadObjects {
            let what = format!("{bucket} is the host's own bucket: nothing is moved there");
            return Err(Error::new(ErrorKind::Denied, what));
        }
        let settings = S3Settings {
            owner: rules.account.clone(),
            kms_key: None,
            storage_class: None,
            foreign: connection.is_foreign(),
            endpoint: connection.endpoint("AWS_ENDPOINT_URL_S3"),
        };
        if bucket == work && *uri != rules.work {
            return self.own_source(bucket, path, settings);
        }
        if bucket == work {
            return Ok(Arc::new(S3Bucket::new(self.client.clone(), bucket, settings)));
        }
        let folder = format!("arn:{}:s3:::{bucket}/", rules.partition);
        let list = Guarded { bucket: (), rules: Arc::clone(rules), folder, access };
        list.check_place(path)?;
        // No request leaves for a bucket that is not on the list.
        let store = S3Bucket::new(self.client(bucket).await, bucket, settings);
        Ok(Arc::new(list.over(store)))
    }
}

#[async_trait]
impl BucketPlaces for Buckets {
    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let (name, prefix) = place(uri)?;
        // All that is written lies below the prefix.
        let below = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok((self.open(uri, &name, &below, Access::WriteObjects).await?, prefix))
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let (name, key) = source(uri)?;
        Ok((self.open(uri, &name, &key, Access::ReadObjects).await?, key))
    }

    /// No bucket is made here, so it is the one to write to.
    async fn destination(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.bucket(uri).await
    }

    fn object(&self, bucket: &BucketUri, key: &str) -> String {
        source(bucket).map_or_else(|_| format!("{bucket}/{key}"), |(bucket, _)| format!("s3://{bucket}/{key}"))
    }
}

#[cfg(test)]
mod tests {
    use sluice_memory::{MemoryClock, now};

    use super::*;
    use crate::connection::Profile;
    use crate::rules::tests::rules;

    fn aws() -> Aws {
        let connection = now(Connection::open(Profile::Function));
        Aws { connection, rules: Arc::new(rules()), clock: Arc::new(MemoryClock::still()) }
    }

    /// Why something is not opened; none if it is.
    fn why<T>(opened: impl Future<Output = Result<T>>) -> Option<String> {
        now(opened).err().inspect(|error| assert_eq!(error.kind(), ErrorKind::Denied)).map(|error| error.to_string())
    }

    /// Clients look for one when they are made, though nothing here waits.
    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn streams_are_opened_to_read_and_to_write_by_lists_of_their_own() {
        let runtime = runtime();
        let _entered = runtime.enter();
        let kinesis = (KINESIS.streams.unwrap())(&aws());
        let named = |name: &str| format!("arn:aws:kinesis:eu-west-1:123456789012:stream/{name}").parse().unwrap();
        let (source, target): (StreamUri, StreamUri) = (named("in-1"), named("out-1"));
        assert_eq!(why(kinesis.stream(&source)), None);
        assert_eq!(why(kinesis.target(&target)), None);
        assert!(why(kinesis.stream(&target)).unwrap().contains("ReadStreams"));
        assert!(why(kinesis.target(&source)).unwrap().contains("WriteStreams"));
        let shard = "shardId-000000000000".parse().unwrap();
        let opened = now(kinesis.stream(&source)).unwrap();
        assert!(why(async { opened.writer(&shard, None).await.map(drop) }).unwrap().contains("to be read"));
    }

    #[test]
    fn buckets_are_opened_to_read_and_to_write_by_lists_of_their_own() {
        let runtime = runtime();
        let _entered = runtime.enter();
        let s3 = Buckets::new(aws());
        // Known, so that no request is made.
        s3.elsewhere.lock().unwrap().insert("archive".to_owned(), None);
        let named = |place: &str| format!("s3://{place}").parse::<BucketUri>().unwrap();
        let (from, to) = (named("archive/in/2026"), named("archive/out"));
        assert_eq!(why(s3.source(&from)), None);
        assert_eq!(why(s3.bucket(&to)), None);
        assert_eq!(why(s3.destination(&to)), None);
        assert!(why(s3.source(&to)).unwrap().contains("ReadObjects"));
        for place in [from, named("archive"), named("archive/outer"), named("other/out")] {
            assert!(why(s3.bucket(&place)).unwrap().contains("WriteObjects"), "{place}");
            assert!(why(s3.destination(&place)).unwrap().contains("WriteObjects"), "{place}");
        }
        assert_eq!(why(s3.bucket(&named("work"))), None);
        for place in [named("work/imports"), named("work/")] {
            assert!(why(s3.bucket(&place)).unwrap().contains("own bucket"), "{place}");
            assert!(why(s3.source(&place)).unwrap().contains("own bucket"), "{place}");
        }
        for place in [named("work/rules/replay/run-000001.json"), named("work/imports/copy/misfits/")] {
            assert_eq!(why(s3.source(&place)), None, "{place}");
            assert!(why(s3.bucket(&place)).unwrap().contains("own bucket"), "{place}");
        }
        let opened = now(s3.source(&named("work/imports/copy/misfits"))).unwrap().0;
        assert!(
            why(async { opened.head("imports/copy/sources.json").await.map(drop) }).unwrap().contains("ReadObjects")
        );
    }
}
