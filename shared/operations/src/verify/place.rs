//! The proof of what lies in a place, by its documents alone: exports, and series of them. No record is needed, so any
//! machine can do it, also one that never ran the transfers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sluice_ports::BucketStore;
use sluice_transfer::manifest::ExportManifest;
use sluice_transfer::{BucketUri, Counts, SeriesName, State};

use super::export::verify_manifest;
use super::found::{Verdict, Verification};
use super::run::{Run, VerifyCursor};
use crate::archive::{Documents, manifest_at};
use crate::engine::{Engine, Operation};
use crate::error::{Code, OperationError};
use crate::series::chain::{Chain, Met};
use crate::series::documents::Series;

/// What was found in a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceVerification {
    /// The worst of all verdicts.
    pub verdict: Verdict,
    /// Events and bytes in all exports.
    pub counts: Counts,
    /// Each export that lies there, by its transfer.
    pub exports: Vec<Verification>,
    /// What is to be said of series: runs that are no part of them, and where one does not go on with the one before.
    pub series: Vec<String>,
}

impl PlaceVerification {
    fn find(&mut self, verdict: Verdict, what: String) {
        self.verdict = self.verdict.max(verdict);
        self.series.push(what);
    }

    fn add(&mut self, export: Verification) {
        self.verdict = self.verdict.max(export.verdict);
        self.counts += export.counts;
        self.exports.push(export);
    }
}

/// Verifies all exports and all series in a place, or one series of them. A manifest that is named is one export. `seen`
/// gets the number of bytes of each read.
///
/// # Errors
/// `NotFound` if the place, or the series, is not there, or holds no export; what is wrong with an export is a finding.
pub fn verify_place<'a>(
    engine: &'a Engine,
    place: &'a BucketUri,
    series: Option<&'a SeriesName>,
    seen: &'a mut dyn FnMut(u64),
) -> Operation<'a, PlaceVerification> {
    Box::pin(async move {
        let mut found = PlaceVerification {
            verdict: Verdict::Proved,
            counts: Counts::default(),
            exports: Vec::new(),
            series: Vec::new(),
        };
        if let Some(name) = series {
            verify_series(engine, place, name, &mut found, &mut BTreeSet::new(), seen).await?;
            return Ok(found);
        }
        let (bucket, path) = engine.places().source(place).await?;
        let there = Documents::at(&*bucket, &path).await?;
        let mut done = BTreeSet::new();
        for name in &there.series {
            verify_series(engine, place, name, &mut found, &mut done, seen).await?;
        }
        for folder in &there.deeper {
            let what = format!(
                "{folder} has documents of a series: its runs are verified, but not whether they go on with each other; \
                 name the folder around it for that"
            );
            found.find(Verdict::Proved, what);
        }
        for root in there.roots.iter().filter(|root| !done.contains(*root)) {
            verify_root(engine, &*bucket, root, &mut found, seen).await?;
        }
        if found.exports.is_empty() && found.series.is_empty() {
            let what = format!("{place} holds no export whose manifest is there, and no series: check the path");
            return Err(OperationError::new(Code::NotFound, what));
        }
        Ok(found)
    })
}

/// A series from its first run to its last. Roots that belong to it are added to `done`.
async fn verify_series(
    engine: &Engine,
    place: &BucketUri,
    name: &SeriesName,
    found: &mut PlaceVerification,
    done: &mut BTreeSet<String>,
    seen: &mut dyn FnMut(u64),
) -> Result<(), OperationError> {
    let series = Series::look(engine, place, name).await?;
    let mut chain = Chain::new(&series).await?;
    loop {
        match chain.next().await {
            Ok(None) => return Ok(()),
            Ok(Some(Met::Complete(link))) => {
                done.insert(link.root.clone());
                found.add(verify_export(engine, &*series.bucket, &link.root, &link.manifest, seen).await);
            }
            Ok(Some(passed)) => {
                if let Some(what) = passed.why_not(name) {
                    found.find(Verdict::Proved, what);
                }
            }
            Err(error) if matches!(error.code, Code::Denied | Code::Unavailable) => {
                found.find(Verdict::Unproved, error.message);
            }
            Err(error) => found.find(Verdict::Mismatch, error.message),
        }
    }
}

async fn verify_root(
    engine: &Engine,
    bucket: &dyn BucketStore,
    root: &str,
    found: &mut PlaceVerification,
    seen: &mut dyn FnMut(u64),
) -> Result<(), OperationError> {
    match manifest_at(bucket, root).await {
        Ok(Some(manifest)) => found.add(verify_export(engine, bucket, root, &manifest, seen).await),
        Ok(None) => {}
        Err(error) if matches!(error.code, Code::Denied | Code::Unavailable) => {
            found.find(Verdict::Unproved, error.message);
        }
        Err(error) => found.find(Verdict::Mismatch, error.message),
    }
    Ok(())
}

async fn verify_export(
    engine: &Engine,
    bucket: &dyn BucketStore,
    root: &str,
    manifest: &ExportManifest,
    seen: &mut dyn FnMut(u64),
) -> Verification {
    let found = Verification::new(&manifest.transfer);
    let at = VerifyCursor::default();
    let mut run = Run { engine, deadline: None, seen, fresh: true, came_further: false, found, at };
    match manifest.check() {
        Ok(()) => drop(verify_manifest(&mut run, bucket, root, manifest).await),
        Err(error) => run.found.find(Verdict::Mismatch, &format!("{root}: {error}")),
    }
    if manifest.state == State::Cancelled {
        run.found.find(run.found.verdict, "it was cancelled: this is what was complete");
    }
    run.found
}
