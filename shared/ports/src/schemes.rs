//! The registry of schemes: what stands in front of the colon of a name, and the stores that it leads to.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_transfer::{BucketUri, HostName, StreamUri};

use crate::{BucketStore, Error, ErrorKind, Places, Result, StreamStore};

/// A scheme of a host `H`, which is what its stores are opened with: clients, folders, allow-lists. A host's `main`
/// names the schemes that it has, and links their stores and no others.
pub struct Scheme<H> {
    /// The word in front of the colon. Example: `kinesis`.
    pub name: &'static str,
    /// Other words that mean the same, such as `arn`.
    pub also: &'static [&'static str],
    /// How a name is written and what it means, in one line. Example: `local:NAME, a stream of the home`.
    pub help: &'static str,
    /// Where its streams are; none for one that has none.
    pub streams: Option<Of<H, dyn StreamPlaces>>,
    /// Where its buckets are; none for one that has none.
    pub buckets: Option<Of<H, dyn BucketPlaces>>,
}

/// The places of a scheme on a host. Nothing is called.
pub type Of<H, P> = fn(&H) -> Box<P>;

/// Where the streams of a scheme are. The methods are those of [`Places`].
#[async_trait]
pub trait StreamPlaces: Send + Sync {
    /// As [`Places::canonical`].
    async fn canonical(&self, uri: &StreamUri) -> Result<StreamUri> {
        Ok(uri.clone())
    }

    /// As [`Places::stream`].
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>>;

    /// As [`Places::target`].
    async fn target(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        self.stream(uri).await
    }
}

/// Where the buckets of a scheme are. The methods are those of [`Places`].
#[async_trait]
pub trait BucketPlaces: Send + Sync {
    /// As [`Places::bucket`].
    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)>;

    /// As [`Places::source`].
    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)>;

    /// As [`Places::destination`].
    async fn destination(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.source(uri).await
    }

    /// As [`Places::object`].
    fn object(&self, bucket: &BucketUri, key: &str) -> String;
}

/// The places of a host, by their schemes.
pub struct Schemes {
    streams: Vec<Known<dyn StreamPlaces>>,
    buckets: Vec<Known<dyn BucketPlaces>>,
    work: BucketUri,
    host: Option<HostName>,
}

struct Known<P: ?Sized> {
    name: &'static str,
    also: &'static [&'static str],
    help: &'static str,
    places: Box<P>,
}

impl Schemes {
    /// Those of that host. `work` is its own bucket. Nothing is opened.
    pub fn new<'s, H: 's>(host: &H, schemes: impl IntoIterator<Item = &'s Scheme<H>>, work: BucketUri) -> Self {
        let (mut streams, mut buckets) = (Vec::new(), Vec::new());
        for Scheme { name, also, help, streams: of_streams, buckets: of_buckets } in schemes {
            streams.extend(of_streams.map(|places| Known { name, also, help, places: places(host) }));
            buckets.extend(of_buckets.map(|places| Known { name, also, help, places: places(host) }));
        }
        Self { streams, buckets, work, host: None }
    }

    /// The same, of a host whose records have a name that no others have ([`Places::host`]).
    #[must_use]
    pub fn of_host(self, host: HostName) -> Self {
        Self { host: Some(host), ..self }
    }

    fn of_stream(&self, uri: &StreamUri) -> Result<&dyn StreamPlaces> {
        find(&self.streams, &uri.scheme).ok_or_else(|| unknown("stream", &uri.to_string(), &self.streams))
    }

    fn of_bucket(&self, uri: &BucketUri) -> Result<&dyn BucketPlaces> {
        find(&self.buckets, &uri.scheme).ok_or_else(|| unknown("bucket", &uri.to_string(), &self.buckets))
    }
}

fn find<'a, P: ?Sized>(all: &'a [Known<P>], scheme: &str) -> Option<&'a P> {
    all.iter().find(|known| known.name == scheme || known.also.contains(&scheme)).map(|known| &*known.places)
}

/// The error of a scheme that is not there, with those that are.
fn unknown<P: ?Sized>(what: &str, name: &str, there: &[Known<P>]) -> Error {
    let there: Vec<_> = there.iter().map(|known| known.help).collect();
    let there = if there.is_empty() { "none".to_owned() } else { there.join("; ") };
    Error::new(ErrorKind::Invalid, format!("{name}: there are no such {what}s here, but these: {there}"))
}

#[async_trait]
impl Places for Schemes {
    async fn canonical(&self, uri: &StreamUri) -> Result<StreamUri> {
        self.of_stream(uri)?.canonical(uri).await
    }

    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        self.of_stream(uri)?.stream(uri).await
    }

    async fn target(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        self.of_stream(uri)?.target(uri).await
    }

    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.of_bucket(uri)?.bucket(uri).await
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.of_bucket(uri)?.source(uri).await
    }

    async fn destination(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        self.of_bucket(uri)?.destination(uri).await
    }

    fn work(&self) -> BucketUri {
        self.work.clone()
    }

    fn host(&self) -> HostName {
        let of_work = || HostName { id: self.work.to_string(), place: self.work.to_string() };
        self.host.clone().unwrap_or_else(of_work)
    }

    fn object(&self, bucket: &BucketUri, key: &str) -> String {
        self.of_bucket(bucket).map_or_else(|_| format!("{bucket}/{key}"), |places| places.object(bucket, key))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Says which host it was made for.
    struct Told(&'static str);

    impl Told {
        fn told<T>(&self) -> Result<T> {
            Err(Error::new(ErrorKind::NotFound, self.0))
        }
    }

    #[async_trait]
    impl StreamPlaces for Told {
        async fn stream(&self, _: &StreamUri) -> Result<Arc<dyn StreamStore>> {
            self.told()
        }
    }

    #[async_trait]
    impl BucketPlaces for Told {
        async fn bucket(&self, _: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
            self.told()
        }

        async fn source(&self, _: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
            self.told()
        }

        fn object(&self, _: &BucketUri, key: &str) -> String {
            format!("{}/{key}", self.0)
        }
    }

    const QUEUE: Scheme<&'static str> = Scheme {
        name: "queue",
        also: &[],
        help: "queue:NAME, a queue",
        streams: Some(|host| Box::new(Told(host))),
        buckets: None,
    };
    const DISK: Scheme<&'static str> = Scheme {
        name: "disk",
        also: &["tape"],
        help: "disk:PATH, a disk",
        streams: None,
        buckets: Some(|host| Box::new(Told(host))),
    };

    /// The error of a call that waits for nothing.
    fn error<T>(call: impl Future<Output = Result<T>>) -> (ErrorKind, String) {
        let Poll::Ready(answer) = pin!(call).poll(&mut Context::from_waker(Waker::noop())) else { panic!("it waits") };
        let error = answer.err().expect("nothing is there");
        (error.kind(), error.to_string())
    }

    #[test]
    fn a_scheme_leads_to_its_stores_and_an_unknown_one_is_told_which_there_are() {
        let work: BucketUri = "disk:work".parse().unwrap();
        let places = Schemes::new(&"here", &[QUEUE, DISK], work.clone());
        assert_eq!(places.work(), work);
        let queue = "queue:a".parse().unwrap();
        assert_eq!(error(places.stream(&queue)), (ErrorKind::NotFound, "here".to_owned()));
        for name in ["disk:a", "tape:a"] {
            let bucket = name.parse().unwrap();
            assert_eq!(error(places.source(&bucket)).0, ErrorKind::NotFound);
            assert_eq!(places.object(&bucket, "key"), "here/key");
        }
        for name in ["disk:a", "kafka:a"] {
            let (kind, told) = error(places.stream(&name.parse().unwrap()));
            assert_eq!(kind, ErrorKind::Invalid);
            assert_eq!(told, format!("{name}: there are no such streams here, but these: queue:NAME, a queue"));
        }
        let (kind, told) = error(places.bucket(&"queue:a".parse().unwrap()));
        assert!(kind == ErrorKind::Invalid && told.ends_with("but these: disk:PATH, a disk"), "{told}");
        let none = Schemes::new(&"here", &[QUEUE], work);
        assert!(error(none.bucket(&"disk:a".parse().unwrap())).1.ends_with("but these: none"));
    }
}
