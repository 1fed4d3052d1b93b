//! What names mean on this machine. `main` names the schemes; those of a home stand here, those of AWS in `aws`.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use sluice_bucket_dir::DirBucket;
use sluice_ports::{BucketPlaces, BucketStore, Error, ErrorKind, Result, Scheme, Schemes, StreamPlaces, StreamStore};
use sluice_stream_local::LocalStream;
use sluice_transfer::{BucketUri, StreamUri};

use crate::SCHEMES;
use crate::args::absolute;
use crate::aws::Aws;

/// A scheme that this command has, and how its names are spelt on a command line.
pub(crate) struct Linked {
    pub scheme: Scheme<Here>,
    /// Why a stream's name cannot be meant.
    pub stream: fn(&StreamUri) -> std::result::Result<(), String>,
    /// What stands behind the colon in the one name of a bucket, however it was spelt.
    pub bucket: Spelling,
    /// The same of a place to read from: a slash at its end stays, since it means a folder.
    pub source: Spelling,
}

/// What stands behind the colon in the one name of a bucket; else why it cannot be meant.
pub(crate) type Spelling = fn(&BucketUri) -> std::result::Result<String, String>;

/// The scheme of that name, if it has what is meant by `of`. Else an error with those that have.
pub(crate) fn linked(
    name: &str,
    of: &str,
    has: fn(&Scheme<Here>) -> bool,
) -> std::result::Result<&'static Linked, String> {
    let mut all = SCHEMES.iter().filter(|linked| has(&linked.scheme));
    all.clone().find(|linked| linked.scheme.name == name).ok_or_else(|| {
        let first = all.next().map_or_else(String::new, |linked| format!("{}:", linked.scheme.name));
        let names = all.fold(first, |names, linked| format!("{names}, {}:", linked.scheme.name));
        format!("this command has no {of} '{name}:'; it has {names}")
    })
}

/// How the names of all schemes are written, for people.
pub(crate) fn help() -> String {
    let those = |has: fn(&Scheme<Here>) -> bool| {
        let all = SCHEMES.iter().map(|linked| &linked.scheme).filter(|scheme| has(scheme));
        all.map(|scheme| scheme.help).collect::<Vec<_>>().join("; ")
    };
    let (streams, buckets) = (those(|scheme| scheme.streams.is_some()), those(|scheme| scheme.buckets.is_some()));
    format!("Streams: {streams}. Buckets: {buckets}.")
}

/// Streams of the home.
pub(crate) const LOCAL: Linked = Linked {
    scheme: Scheme {
        name: "local",
        also: &[],
        help: "local:NAME, a stream of the home",
        streams: Some(|here| Box::new(Streams(here.streams.clone()))),
        buckets: None,
    },
    stream: |_| Ok(()),
    bucket: |uri| Ok(uri.rest.clone()),
    source: |uri| Ok(uri.rest.clone()),
};

/// Folders.
pub(crate) const DIR: Linked = Linked {
    scheme: Scheme {
        name: "dir",
        also: &[],
        help: "dir:PATH, a folder",
        streams: None,
        buckets: Some(|_| Box::new(Folders)),
    },
    stream: |_| Ok(()),
    bucket: |uri| absolute(Path::new(&uri.rest)),
    source: |uri| {
        let path = absolute(Path::new(&uri.rest))?;
        Ok(if uri.rest.ends_with('/') && path != "/" { format!("{path}/") } else { path })
    },
};

/// Whether a stream is one of the home.
pub(crate) fn is_local(uri: &StreamUri) -> bool {
    uri.scheme == "local"
}

/// What names are opened with: the folder of the home's streams, and AWS.
///
/// Streams are known by the name that was given: whose account an ARN is in, a person's configuration does not tell,
/// and the owner of the buckets need not be the person.
pub(crate) struct Here {
    streams: PathBuf,
    #[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "what is refused is opened with nothing"))]
    pub(crate) aws: Arc<Aws>,
}

/// What names mean with streams in one folder and the host's own bucket in another. `bucket_owner` is the account that
/// must own the buckets of S3.
pub(crate) fn places(streams: PathBuf, work: &Path, bucket_owner: Option<String>) -> Schemes {
    let work = BucketUri { scheme: "dir".to_owned(), rest: work.to_string_lossy().into_owned() };
    let here = Here { streams, aws: Arc::new(Aws::new(bucket_owner)) };
    Schemes::new(&here, SCHEMES.iter().map(|linked| &linked.scheme), work)
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

/// The streams of a home, by its folder of them.
struct Streams(PathBuf);

#[async_trait]
impl StreamPlaces for Streams {
    async fn stream(&self, uri: &StreamUri) -> Result<Arc<dyn StreamStore>> {
        Ok(Arc::new(LocalStream::within(&self.0, &uri.name)))
    }
}

struct Folders;

#[async_trait]
impl BucketPlaces for Folders {
    async fn bucket(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        folder(PathBuf::from(&uri.rest)).await
    }

    async fn source(&self, uri: &BucketUri) -> Result<(Arc<dyn BucketStore>, String)> {
        folder_or_file(uri).await
    }

    fn object(&self, bucket: &BucketUri, key: &str) -> String {
        format!("{}/{key}", bucket.to_string().trim_end_matches('/'))
    }
}

/// An object in S3 as a person names it, in whatever build. A key is whole: it has the prefix that the bucket's name may
/// carry.
pub(crate) fn object_in_s3(bucket: &BucketUri, key: &str) -> String {
    let path = bucket.rest.trim_start_matches('/');
    let name = path.split_once('/').map_or(path, |(name, _)| name);
    format!("s3://{name}/{key}")
}
