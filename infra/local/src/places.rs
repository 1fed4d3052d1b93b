//! What names mean on this machine: `local:NAME` is a stream of the home, `dir:PATH` a folder, `kinesis:NAME` a stream
//! of Kinesis, `s3://BUCKET/PREFIX` a place in S3.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use sluice_bucket_dir::DirBucket;
use sluice_ports::{BucketStore, Error, ErrorKind, Places, Result, StreamStore};
use sluice_stream_local::LocalStream;
use sluice_transfer::{BucketUri, StreamUri};

use crate::aws::Aws;

/// Kinds of streams.
pub(crate) const STREAMS: [&str; 2] = ["local", "kinesis"];
/// Kinds of buckets.
pub(crate) const BUCKETS: [&str; 2] = ["dir", "s3"];

/// Whether a stream is one of the home.
pub(crate) fn is_local(uri: &StreamUri) -> bool {
    uri.scheme == "local"
}

/// The places of a home, and those of AWS.
///
/// Streams are known by the name that was given: whose account an ARN is in, a person's configuration does not tell,
/// and the owner of the buckets need not be the person.
pub(crate) struct LocalPlaces {
    streams: PathBuf,
    work: BucketUri,
    host: Option<String>,
    aws: Aws,
}

impl LocalPlaces {
    /// With streams in one folder and the host's own bucket in another. `bucket_owner` is the account that must own
    /// the buckets of S3.
    pub(crate) fn new(streams: PathBuf, work: &Path, bucket_owner: Option<String>) -> Self {
        let work = BucketUri { scheme: "dir".to_owned(), rest: work.to_string_lossy().into_owned() };
        Self { streams, work, host: None, aws: Aws::new(bucket_owner) }
    }

    /// The same, of a host that has a name which no other one has.
    pub(crate) fn of_host(self, host: String) -> Self {
        Self { host: Some(host), ..self }
    }

    /// The local stream of that name; it need not exist.
    pub(crate) fn local(&self, uri: &StreamUri) -> Result<LocalStream> {
        if is_local(uri) {
            Ok(LocalStream::within(&self.streams, &uri.name))
        } else {
            Err(unknown("stream", uri, &["local"]))
        }
    }
}

fn unknown(what: &str, name: &dyn std::fmt::Display, there: &[&str]) -> Error {
    let there = there.join(":, ");
    Error::new(ErrorKind::Invalid, format!("{name}: there are no such {what}s here, but {there}:"))
}

/// Opening a folder looks at files: where waiting is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => Err(Error::with(ErrorKind::Unavailable, "the process is going down", error)),
    }
}

/// A folder, made if it is not there.
async fn folder(path: PathBuf) -> Result<(Arc<dyn BucketStore>, String)> {
    let bucket = blocking(move || DirBucket::create(path)).await?;
    Ok((Arc::new(bucket), String::new()))
}

/// A folder or a file. A file is an object of the folder it lies in, so that what a manifest names is found beside it.
async fn folder_or_file(uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
    let named = if uri.rest.len() > 1 { uri.rest.trim_end_matches('/') } else { &uri.rest };
    let (path, uri) = (PathBuf::from(named), uri.clone());
    let (bucket, key) = blocking(move || {
        // A file that is named may be a link; what it leads to is what is read.
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
        if uri.rest.ends_with('/') {
            let what = format!("{uri} is a file, and a slash at its end means a folder: leave the slash out");
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        if let Some(kind) = special(found.file_type()) {
            let what = format!("{uri} is {kind}, not a file: write what comes out of it to a file, and import that");
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let path = std::fs::canonicalize(&path)
            .map_err(|error| Error::with(ErrorKind::Unavailable, format!("{uri} cannot be read"), error))?;
        let name = path.file_name().and_then(|name| name.to_str());
        let (Some(folder), Some(name)) = (path.parent(), name) else {
            return Err(Error::new(ErrorKind::Invalid, format!("{uri} is neither a file nor a folder")));
        };
        Ok((DirBucket::open(folder)?, name.to_owned()))
    })
    .await?;
    Ok((Arc::new(bucket), key))
}

/// What a file that is none is called.
fn special(kind: std::fs::FileType) -> Option<&'static str> {
    if kind.is_fifo() {
        Some("a pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("a device")
    } else {
        None
    }
}

#[async_trait]
impl Places for LocalPlaces {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        match uri.scheme.as_str() {
            "local" => Ok(Arc::new(self.local(uri)?)),
            "kinesis" => self.aws.stream(uri).await,
            _ => Err(unknown("stream", uri, &STREAMS)),
        }
    }

    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        match uri.scheme.as_str() {
            "dir" => folder(PathBuf::from(&uri.rest)).await,
            "s3" => self.aws.bucket(uri).await,
            _ => Err(unknown("bucket", uri, &BUCKETS)),
        }
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        match uri.scheme.as_str() {
            "dir" => folder_or_file(uri).await,
            "s3" => self.aws.source(uri).await,
            _ => Err(unknown("bucket", uri, &BUCKETS)),
        }
    }

    fn work(&self) -> BucketUri {
        self.work.clone()
    }

    fn host(&self) -> String {
        self.host.clone().unwrap_or_else(|| self.work.to_string())
    }

    fn object(&self, bucket: &BucketUri, key: &str) -> String {
        if bucket.scheme == "s3" {
            // A key is whole: it has the prefix that the bucket's name may carry.
            let path = bucket.rest.trim_start_matches('/');
            let name = path.split_once('/').map_or(path, |(name, _)| name);
            return format!("s3://{name}/{key}");
        }
        format!("{}/{key}", bucket.to_string().trim_end_matches('/'))
    }
}
