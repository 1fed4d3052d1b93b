//! The documents of a series in its bucket: which run is the last one, and how it stands.

use std::sync::Arc;

use sluice_ports::BucketStore;
use sluice_transfer::manifest::{Document, ExportManifest};
use sluice_transfer::record::ManifestRef;
use sluice_transfer::{BucketUri, ObjectKeys, SeriesEnd, SeriesKeys, SeriesName, SeriesRun, sha256_hex};

use crate::engine::Engine;
use crate::error::{Code, OperationError};
use crate::objects::{each_below, get_document, get_whole, in_document, put_document};

/// A series in its bucket.
pub(crate) struct Series {
    pub bucket: Arc<dyn BucketStore>,
    pub keys: SeriesKeys,
    pub prefix: String,
    pub name: SeriesName,
    /// The place that holds it, as it was named.
    pub place: BucketUri,
}

/// How a series stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Standing {
    /// It has no run yet.
    New,
    /// Its last run is not at its end.
    Open(Box<SeriesRun>),
    /// Its last run has ended.
    Ended(Box<SeriesRun>, Box<SeriesEnd>),
}

impl Series {
    /// Opens the place of a series, to write to.
    pub(crate) async fn open(engine: &Engine, to: &BucketUri, name: &SeriesName) -> Result<Self, OperationError> {
        let (bucket, prefix) = engine.places().bucket(to).await?;
        Ok(Self { bucket, keys: SeriesKeys::new(&prefix, name), prefix, name: name.clone(), place: to.clone() })
    }

    /// The place of a series, to read from.
    pub(crate) async fn look(engine: &Engine, place: &BucketUri, name: &SeriesName) -> Result<Self, OperationError> {
        let (bucket, path) = engine.places().source(place).await?;
        let prefix = path.trim_end_matches('/').to_owned();
        Ok(Self { bucket, keys: SeriesKeys::new(&prefix, name), prefix, name: name.clone(), place: place.clone() })
    }

    /// How it stands now.
    pub(crate) async fn standing(&self) -> Result<Standing, OperationError> {
        let (begun, ended) = self.last().await?;
        if begun == 0 && ended == 0 {
            let root = format!("{}/{}", self.keys.folder(), ObjectKeys::root());
            if self.bucket.head(&root).await?.is_some() {
                let what = format!(
                    "series: {} in {} is an export of that name: choose another name for the series",
                    self.keys.folder(),
                    self.place
                );
                return Err(OperationError::new(Code::ForeignObject, what));
            }
            return Ok(Standing::New);
        }
        if ended > begun || begun - ended > 1 {
            let what = format!(
                "series {}: {} runs have begun and {} have ended: documents in {} are missing; put them back",
                self.name,
                begun,
                ended,
                self.keys.folder()
            );
            return Err(OperationError::new(Code::ManifestInvalid, what));
        }
        let run = self.run(begun).await?;
        if ended < begun {
            return Ok(Standing::Open(Box::new(run)));
        }
        Ok(Standing::Ended(Box::new(run), Box::new(self.end(begun).await?)))
    }

    /// The numbers of the last run that began, and of the last one that ended; 0 for none.
    pub(crate) async fn last(&self) -> Result<(u32, u32), OperationError> {
        let (mut begun, mut ended) = (0, 0);
        each_below(&*self.bucket, &self.keys.documents(), |file| {
            let name = file.key.strip_prefix(self.keys.folder()).and_then(|name| name.strip_prefix('/'));
            match name.and_then(SeriesKeys::read) {
                Some((number, true)) => ended = ended.max(number),
                Some((number, false)) => begun = begun.max(number),
                None => {}
            }
        })
        .await?;
        Ok((begun, ended))
    }

    /// How a run began.
    pub(crate) async fn run(&self, number: u32) -> Result<SeriesRun, OperationError> {
        let key = self.keys.begin(number);
        let run: SeriesRun = get_document(&*self.bucket, &key, None).await?;
        self.its(&key, run.number == number && run.series == self.name).map(|()| run)
    }

    /// How a run ended.
    pub(crate) async fn end(&self, number: u32) -> Result<SeriesEnd, OperationError> {
        let key = self.keys.end(number);
        let end: SeriesEnd = get_document(&*self.bucket, &key, None).await?;
        self.its(&key, end.number == number && end.series == self.name).map(|()| end)
    }

    fn its(&self, key: &str, is_its: bool) -> Result<(), OperationError> {
        if is_its {
            return Ok(());
        }
        let what = format!("{key} is not the document of that run of series {}: it was moved or renamed", self.name);
        Err(OperationError::new(Code::ManifestInvalid, what))
    }

    /// The manifest of a run, if it is written: its root, and by which bytes it is known.
    pub(crate) async fn manifest(
        &self,
        run: &SeriesRun,
    ) -> Result<Option<(ExportManifest, ManifestRef)>, OperationError> {
        let key = ObjectKeys::new(&self.prefix, &run.transfer).whole(ObjectKeys::root());
        if self.bucket.head(&key).await?.is_none() {
            return Ok(None);
        }
        let bytes = get_whole(&*self.bucket, &key, sluice_transfer::limits::MANIFEST_BYTES).await?;
        let manifest = ExportManifest::from_bytes(&bytes).map_err(|error| in_document(&key, error))?;
        let is_its = manifest.transfer == run.transfer
            && manifest.series.as_ref().is_some_and(|its| (&its.series, its.number) == (&run.series, run.number));
        if !is_its {
            let what =
                format!("{key} is the manifest of another export than run {} of series {}", run.number, run.series);
            return Err(OperationError::new(Code::ForeignObject, what));
        }
        let root = ManifestRef { key: self.keys.relative(&key).to_owned(), sha256: sha256_hex(&bytes) };
        Ok(Some((manifest, root)))
    }

    /// Puts the beginning of a run on record; of several that do so at the same time, one does. Answers it as it stands
    /// there.
    ///
    /// # Errors
    /// `SeriesTaken` if another one stands there.
    pub(crate) async fn put_run(&self, run: &SeriesRun) -> Result<SeriesRun, OperationError> {
        let put = put_document(&*self.bucket, &self.keys.begin(run.number), run).await;
        match put.map_err(OperationError::from) {
            Err(error) if error.code == Code::ForeignObject => {
                let there = self.run(run.number).await?;
                // An answer was lost, or the same host has begun it at the same time.
                if (&there.transfer, &there.host.id) == (&run.transfer, &run.host.id) {
                    return Ok(there);
                }
                Err(taken(&there))
            }
            answer => answer.map(|_| run.clone()),
        }
    }

    /// Puts the end of a run on record. Answers the one that stands there: another one may have been faster.
    pub(crate) async fn put_end(&self, end: &SeriesEnd) -> Result<SeriesEnd, OperationError> {
        let put = put_document(&*self.bucket, &self.keys.end(end.number), end).await;
        match put.map_err(OperationError::from) {
            Err(error) if error.code == Code::ForeignObject => self.end(end.number).await,
            answer => answer.map(|_| end.clone()),
        }
    }
}

/// What to say where a run is in other hands.
pub(crate) fn taken(run: &SeriesRun) -> OperationError {
    let SeriesRun { series, number, transfer, execution, created, .. } = run;
    let host = &run.host.place;
    let what = format!(
        "series {series}: its run {number}, {transfer}, was begun by {execution} at {created}, and its records are \
         kept at {host}: let it end there, or resume it there. If those records are lost for good, take its place with \
         takeOver (--take-over)"
    );
    OperationError::new(Code::SeriesTaken, what)
}
