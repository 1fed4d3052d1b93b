//! What lies in a place, by its documents alone: exports and series. No record is needed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sluice_ports::BucketStore;
use sluice_transfer::manifest::{Document, ExportManifest, ShardManifest};
use sluice_transfer::{
    BucketUri, Compression, Cursor, Cut, Format, ObjectKeys, SeriesKeys, SeriesName, SeriesPlace, State, StreamUri,
    TransferId,
};

use crate::engine::{Engine, Operation};
use crate::error::{Code, OperationError};
use crate::objects::{each_below, get_document};

/// The documents in a place, by their names.
#[derive(Default)]
pub(crate) struct Documents {
    /// Keys of manifests, in order.
    pub roots: Vec<String>,
    /// Series whose documents lie in a folder right below the place.
    pub series: BTreeSet<SeriesName>,
    /// Folders of series that lie deeper: of those the place is another.
    pub deeper: BTreeSet<String>,
}

impl Documents {
    /// Those of a manifest that `path` names, or of the folder that it is.
    pub(crate) async fn at(bucket: &dyn BucketStore, path: &str) -> Result<Self, OperationError> {
        let may_be_one = !path.is_empty() && !path.ends_with('/');
        if may_be_one && bucket.head(path).await?.is_some() {
            return Ok(Self { roots: vec![path.to_owned()], ..Self::default() });
        }
        let prefix = if may_be_one { format!("{path}/") } else { path.to_owned() };
        let mut found = Self::default();
        each_below(bucket, &prefix, |file| found.add(&file.key, &prefix)).await?;
        // An export that was complete when it was cancelled has both, and is one.
        let folder_of = |root: &String| root.strip_suffix(ObjectKeys::root()).map(str::to_owned);
        let whole: BTreeSet<String> = found.roots.iter().filter_map(folder_of).collect();
        let is_second = |root: &String| root.strip_suffix(ObjectKeys::cancelled()).is_some_and(|of| whole.contains(of));
        found.roots.retain(|root| !is_second(root));
        Ok(found)
    }

    fn add(&mut self, key: &str, prefix: &str) {
        let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
        if [ObjectKeys::root(), ObjectKeys::cancelled()].contains(&name) {
            self.roots.push(key.to_owned());
        }
        let within = folder.get(prefix.len()..).unwrap_or_default();
        if SeriesKeys::read(name).is_some() {
            match within.parse() {
                Ok(series) => drop(self.series.insert(series)),
                Err(_) => drop(self.deeper.insert(folder.to_owned())),
            }
        }
    }
}

/// The manifest of that key; none if others wrote a file of its name.
pub(crate) async fn manifest_at(
    bucket: &dyn BucketStore,
    root: &str,
) -> Result<Option<ExportManifest>, OperationError> {
    match get_document::<ExportManifest>(bucket, root, None).await.map_err(OperationError::from) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) if error.code == Code::ManifestInvalid && !is_root(bucket, root).await? => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a file begins as the root of an export's manifest does. Whether it is whole is found out later.
pub(crate) async fn is_root(bucket: &dyn BucketStore, key: &str) -> Result<bool, OperationError> {
    let start = format!("{{\"sluice\":\"{}\"", ExportManifest::KIND);
    Ok(bucket.get(key, None, 0, start.len() as u64).await? == start.as_bytes())
}

/// An export that lies in a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchivedExport {
    /// Its transfer.
    pub id: TransferId,
    /// Its manifest, as an import takes it.
    pub manifest: String,
    /// The source.
    pub stream: StreamUri,
    /// The transfer's last state.
    pub state: State,
    /// The time of planning, RFC 3339.
    pub created_at: String,
    /// The format of the objects.
    pub format: Format,
    /// Their compression.
    pub compression: Compression,
    /// Events in them.
    pub events: u64,
    /// Bytes of payload in them.
    pub bytes: u64,
    /// Their number.
    pub objects: u64,
    /// Gaps that the manifest names.
    pub gaps: u64,
    /// The cut at which it begins.
    pub from: Cut,
    /// The cut at which it ends.
    pub until: Cut,
    /// Its place in a series; not there for an export of no series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesPlace>,
}

impl ArchivedExport {
    fn of(manifest: ExportManifest, key: String) -> Self {
        let cut = |end: fn(&ShardManifest) -> &Cursor| {
            Cut(manifest.shards.iter().map(|shard| (shard.shard.clone(), end(shard).position.clone())).collect())
        };
        Self {
            manifest: key,
            from: cut(|shard| &shard.from),
            until: cut(|shard| &shard.until),
            gaps: manifest.shards.iter().map(|shard| shard.gaps.len() as u64).sum(),
            id: manifest.transfer,
            stream: manifest.stream,
            state: manifest.state,
            created_at: manifest.created.to_string(),
            format: manifest.format,
            compression: manifest.compression,
            events: manifest.counts.events,
            bytes: manifest.counts.bytes,
            objects: manifest.objects,
            series: manifest.series,
        }
    }
}

/// What lies in a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Archive {
    /// All exports whose manifests are there, the youngest first.
    pub exports: Vec<ArchivedExport>,
    /// The series whose documents are there.
    pub series: Vec<SeriesName>,
    /// Manifests that cannot be read, and why.
    pub unreadable: Vec<String>,
}

/// Lists the exports and the series in a place. Only documents are read: what the objects hold is for a verification.
///
/// # Errors
/// `NotFound` if the place is not there. One that holds no export is no error.
pub fn archive<'a>(engine: &'a Engine, place: &'a BucketUri) -> Operation<'a, Archive> {
    Box::pin(async move {
        let (bucket, path) = engine.places().source(place).await?;
        let documents = Documents::at(&*bucket, &path).await?;
        let (mut exports, mut unreadable) = (Vec::new(), Vec::new());
        for root in &documents.roots {
            match manifest_at(&*bucket, root).await {
                Ok(Some(manifest)) => {
                    exports.push(ArchivedExport::of(manifest, engine.places().object(place, root)));
                }
                Ok(None) => {}
                Err(error) if matches!(error.code, Code::ManifestInvalid | Code::Newer) => {
                    unreadable.push(error.message);
                }
                Err(error) => return Err(error),
            }
        }
        exports.sort_by(|a, b| (&b.created_at, &b.id).cmp(&(&a.created_at, &a.id)));
        Ok(Archive { exports, series: documents.series.into_iter().collect(), unreadable })
    })
}
