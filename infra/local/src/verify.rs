//! Verify: everything is read again, and nothing is changed. Of a transfer by its records, of a place by its documents.

use std::cell::Cell;
use std::process::ExitCode;

use serde::Serialize;
use sluice_operations::{Engine, PlaceVerification, Report, Settings, Verdict, Verification, describe, verify_place};
use sluice_transfer::{BucketUri, Counts, SeriesName, TransferId};

use crate::args::{HostArgs, Proof, Verify};
use crate::clock::now;
use crate::failure::Failure;
use crate::home::{Home, engine_without_home};
use crate::output::{self, Output, bytes, counted};
use crate::progress::{Meter, Show};

pub(crate) async fn verify(host: &HostArgs, args: &Verify, show: Show) -> Result<ExitCode, Failure> {
    match (&args.what, &args.series) {
        (Proof::Place(place), series) => of_place(host, place, series.as_ref(), show).await,
        (Proof::Transfer(id), None) => of_transfer(host, id, show).await,
        (Proof::Transfer(id), Some(_)) => {
            let what = format!("--series: '{id}' is a transfer; name the place of the series, such as dir:archive");
            Err(Failure::usage(what))
        }
    }
}

/// What a verdict exits with, and what it is called.
fn said(verdict: Verdict) -> (u8, &'static str) {
    match verdict {
        Verdict::Proved => (0, "proved"),
        Verdict::Mismatch => (1, "a mismatch"),
        Verdict::Gaps => (4, "proved, with gaps"),
        Verdict::Misfits => (4, "proved, with misfits"),
        Verdict::Unproved => (5, "not proved"),
    }
}

async fn of_transfer(host: &HostArgs, id: &TransferId, show: Show) -> Result<ExitCode, Failure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Verified {
        #[serde(flatten)]
        report: Report,
        verdict: Verdict,
        seen: Counts,
        read: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        expired: Option<u64>,
        findings: Vec<String>,
    }
    let home = Home::open(host)?;
    let engine = home.looking(Settings::default());
    let report = describe(&engine, id).await?;
    let meter = Meter::new(show.progress);
    let (read, since) = (Cell::new(0), now());
    let verification = sluice_operations::verify(&engine, id, &mut |more| {
        read.set(read.get() + more);
        meter.read(id.as_str(), read.get(), Some(report.bytes), now().millis_since(since));
    })
    .await;
    meter.clear();
    let verification = verification?;
    let (exit, said) = said(verification.verdict);
    if exit == 1 {
        for finding in &verification.findings {
            output::note(&format!("error: {finding}"));
        }
    }
    match show.output {
        Output::Json => output::print_json(&Verified {
            report,
            verdict: verification.verdict,
            seen: verification.counts,
            read: verification.read,
            expired: (verification.expired > 0).then_some(verification.expired),
            findings: verification.findings,
        })?,
        Output::Text => {
            let counts = verification.counts;
            let mut text = format!("{id}: {said}; {}, {}\n", counted(counts.events, "event"), bytes(counts.bytes));
            for finding in verification.findings.iter().filter(|_| exit != 1) {
                text.push_str(finding);
                text.push('\n');
            }
            output::print(&text)?;
        }
    }
    Ok(ExitCode::from(exit))
}

/// All exports in a place, and its series; or one series.
async fn of_place(
    host: &HostArgs,
    place: &BucketUri,
    series: Option<&SeriesName>,
    show: Show,
) -> Result<ExitCode, Failure> {
    let engine = engine_without_home(host);
    let meter = Meter::new(show.progress);
    let (read, since, name) = (Cell::new(0), now(), place.to_string());
    let found = verify_place(&engine, place, series, &mut |more| {
        read.set(read.get() + more);
        meter.read(&name, read.get(), None, now().millis_since(since));
    })
    .await;
    meter.clear();
    let found = found?;
    let (exit, said) = said(found.verdict);
    match show.output {
        Output::Json => output::print_json(&found)?,
        Output::Text => {
            output::print(&text_of(&found))?;
            let what = series.map_or_else(String::new, |series| format!(", series {series}"));
            let (exports, counts) = (found.exports.len() as u64, found.counts);
            output::print(&format!(
                "{place}{what}: {said}; {}, {}, {}\n",
                counted(exports, "export"),
                counted(counts.events, "event"),
                bytes(counts.bytes)
            ))?;
        }
    }
    Ok(ExitCode::from(exit))
}

/// A line for each export, and what was found of it below.
fn text_of(found: &PlaceVerification) -> String {
    let mut lines = Vec::new();
    for Verification { id, verdict, counts, findings, .. } in &found.exports {
        let (_, said) = said(*verdict);
        lines.push(format!("{id}: {said}; {}, {}", counted(counts.events, "event"), bytes(counts.bytes)));
        lines.extend(findings.iter().map(|finding| format!("  {finding}")));
    }
    lines.extend_from_slice(&found.series);
    lines.push(String::new());
    lines.join("\n")
}

/// Verifies without a word, for the demo: what was seen, and what is wrong.
pub(crate) async fn findings(engine: &Engine, id: &TransferId) -> Result<(Counts, Vec<String>), Failure> {
    let verification = sluice_operations::verify(engine, id, &mut |_| {}).await?;
    let mut findings = verification.findings;
    if verification.verdict != Verdict::Proved && findings.is_empty() {
        findings.push(format!("{id} could not be proved"));
    }
    Ok((verification.counts, findings))
}
