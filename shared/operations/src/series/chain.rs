//! The runs of a series, from the first to the last, and whether each goes on exactly where the one before ended.

use sluice_transfer::manifest::ExportManifest;
use sluice_transfer::{Cut, RunEnding, SeriesEnd, SeriesName, SeriesRun, TransferId, seam};

use super::documents::Series;
use crate::error::{Code, OperationError};
use crate::objects::get_document;

/// A run, as a walk along the series meets it.
pub(crate) enum Met {
    /// It is a part of the series.
    Complete(Box<Link>),
    /// It was given up, or its place was taken: its range is that of the next one.
    Passed {
        /// The number of the run.
        number: u32,
        /// Its transfer.
        transfer: TransferId,
        /// How it ended.
        ending: RunEnding,
    },
    /// It is the last one, and not at its end.
    Open(Box<SeriesRun>),
}

impl Met {
    /// Why the run is no part of the series; none if it is.
    pub(crate) fn why_not(&self, name: &SeriesName) -> Option<String> {
        match self {
            Self::Complete(_) => None,
            Self::Passed { number, transfer, ending } => {
                let how = match ending {
                    RunEnding::TakenOver => "another host took its place",
                    _ => "it was given up",
                };
                Some(format!("series {name}: run {number}, {transfer}, is no part of it: {how}"))
            }
            Self::Open(run) => {
                let SeriesRun { number, transfer, .. } = &**run;
                let host = &run.host.place;
                Some(format!("series {name}: run {number}, {transfer}, is not at its end yet; {host} has it"))
            }
        }
    }
}

/// A complete run.
pub(crate) struct Link {
    /// The number of the run.
    pub number: u32,
    /// The key of its manifest.
    pub root: String,
    /// Its manifest.
    pub manifest: ExportManifest,
}

/// A walk along a series. What it leaves behind is the end of the last run that it met.
pub(crate) struct Chain<'a> {
    series: &'a Series,
    number: u32,
    begun: u32,
    ended: u32,
    before: Option<SeriesEnd>,
}

impl<'a> Chain<'a> {
    /// From the first run on.
    ///
    /// # Errors
    /// `NotFound` if there is no such series.
    pub(crate) async fn new(series: &'a Series) -> Result<Self, OperationError> {
        let (begun, ended) = series.last().await?;
        if begun == 0 && ended == 0 {
            let what = format!(
                "{} holds no series '{}': check the place and the name (its documents would be {}…)",
                series.place,
                series.name,
                series.keys.documents()
            );
            return Err(OperationError::new(Code::NotFound, what));
        }
        Ok(Self { series, number: 0, begun: begun.max(ended), ended, before: None })
    }

    /// The next run; none behind the last one.
    ///
    /// # Errors
    /// `ManifestInvalid` where a document is missing or does not go on with the one before. The walk can go on.
    pub(crate) async fn next(&mut self) -> Result<Option<Met>, OperationError> {
        if self.number >= self.begun {
            return Ok(None);
        }
        self.number += 1;
        let (series, number) = (self.series, self.number);
        let run = series.run(number).await.map_err(|error| missing(error, "its beginning"))?;
        let before = self.before.take();
        if number > self.ended {
            self.goes_on(before.as_ref(), &run)?;
            return Ok(Some(Met::Open(Box::new(run))));
        }
        let end = series.end(number).await.map_err(|error| missing(error, "its end"))?;
        let (transfer, ending, root) = (end.transfer.clone(), end.ending, end.manifest.clone());
        self.before = Some(end);
        if number > 1 || before.is_some() {
            self.goes_on(before.as_ref(), &run)?;
        }
        if transfer != run.transfer {
            return Err(self.broken(&format!("{} began and {transfer} ended", run.transfer)));
        }
        let Some(root) = root else {
            return Ok(Some(Met::Passed { number, transfer, ending }));
        };
        let key = series.keys.whole(&root.key);
        let manifest: ExportManifest =
            get_document(&*series.bucket, &key, Some(&root.sha256)).await.map_err(|fault| {
                let way_out =
                    "its manifest; put it back. The other runs can be imported one by one, by their manifests";
                missing(fault.into(), way_out)
            })?;
        let ended = self.before.as_ref();
        if ended != Some(&SeriesEnd::completed(&run, &manifest, root)) {
            return Err(self.broken("its end does not follow from its manifest"));
        }
        let broken = run.from.as_ref().and_then(|cut| seam(cut, &manifest));
        if let Some((shard, named, begins)) = broken {
            let (named, begins) = (Cut::of(shard.clone(), named), Cut::of(shard.clone(), begins));
            return Err(self.broken(&format!("it was to begin at {named}, and its manifest begins at {begins}")));
        }
        Ok(Some(Met::Complete(Box::new(Link { number, root: key, manifest }))))
    }

    fn goes_on(&self, before: Option<&SeriesEnd>, run: &SeriesRun) -> Result<(), OperationError> {
        let cut = before.and_then(|end| end.cut.as_ref());
        if (self.number == 1 && run.from.is_none()) || (before.is_some() && cut == run.from.as_ref()) {
            return Ok(());
        }
        let said = |cut: Option<&Cut>| cut.map_or_else(|| "its first event".to_owned(), ToString::to_string);
        Err(self.broken(&format!(
            "it begins at {}, and the run before ended at {}",
            said(run.from.as_ref()),
            before.map_or_else(|| "a place that is not known".to_owned(), |_| said(cut))
        )))
    }

    fn broken(&self, why: &str) -> OperationError {
        let what = format!("series {}, run {}: {why}", self.series.name, self.number);
        OperationError::new(Code::ManifestInvalid, what)
    }
}

fn missing(error: OperationError, what: &str) -> OperationError {
    if error.code != Code::NotFound {
        return error;
    }
    OperationError::new(Code::ManifestInvalid, format!("the series is not whole: {}: {what}", error.message))
}
