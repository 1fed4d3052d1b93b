//! What names mean on this machine: `local:NAME` is a stream of the home, `dir:PATH` a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use sluice_bucket_dir::DirBucket;
use sluice_ports::{BucketStore, Error, ErrorKind, Places, Result, StreamStore};
use sluice_stream_local::LocalStream;
use sluice_transfer::{BucketUri, StreamUri};

/// Kinds of streams.
pub(crate) const STREAMS: [&str; 1] = ["local"];
/// Kinds of buckets.
pub(crate) const BUCKETS: [&str; 1] = ["dir"];

/// The places of a home.
#[derive(Clone, Debug)]
pub(crate) struct LocalPlaces {
    streams: PathBuf,
    work: BucketUri,
}

impl LocalPlaces {
    /// With streams in one folder and the host's own bucket in another.
    pub(crate) fn new(streams: PathBuf, work: &Path) -> Self {
        let work = BucketUri { scheme: "dir".to_owned(), rest: work.to_string_lossy().into_owned() };
        Self { streams, work }
    }

    /// The stream of that name; it need not exist.
    pub(crate) fn local(&self, uri: &StreamUri) -> Result<LocalStream> {
        if uri.scheme != "local" {
            return Err(unknown("stream", &uri.to_string(), "local:"));
        }
        Ok(LocalStream::within(&self.streams, &uri.name))
    }
}

fn unknown(what: &str, name: &str, there: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{name}: this command has no such {what}s; it has {there}"))
}

fn path(uri: &BucketUri) -> Result<PathBuf> {
    if uri.scheme == "dir" { Ok(PathBuf::from(&uri.rest)) } else { Err(unknown("bucket", &uri.to_string(), "dir:")) }
}

/// Opening a folder looks at files: where waiting is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => Err(Error::with(ErrorKind::Unavailable, "the process is going down", error)),
    }
}

#[async_trait]
impl Places for LocalPlaces {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        Ok(Arc::new(self.local(uri)?))
    }

    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let path = path(uri)?;
        let bucket = blocking(move || DirBucket::create(path)).await?;
        Ok((Arc::new(bucket), String::new()))
    }

    /// A file is an object of the folder it lies in, so that what a manifest names is found beside it.
    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        let (path, uri) = (path(uri)?, uri.clone());
        let (bucket, key) = blocking(move || {
            let found = std::fs::metadata(&path).map_err(|error| {
                let kind = match error.kind() {
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => ErrorKind::NotFound,
                    std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                    _ => ErrorKind::Unavailable,
                };
                Error::with(kind, format!("{uri} cannot be read, check the path"), error)
            })?;
            if found.is_dir() {
                return Ok((DirBucket::open(path)?, String::new()));
            }
            let name = path.file_name().and_then(|name| name.to_str());
            let (Some(folder), Some(name)) = (path.parent(), name) else {
                return Err(Error::new(ErrorKind::Invalid, format!("{uri} is neither a file nor a folder")));
            };
            Ok((DirBucket::open(folder)?, name.to_owned()))
        })
        .await?;
        Ok((Arc::new(bucket), key))
    }

    fn work(&self) -> BucketUri {
        self.work.clone()
    }
}
