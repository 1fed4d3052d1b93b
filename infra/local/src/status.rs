//! Status, list and verify: what looks and changes nothing.

use std::cell::Cell;
use std::io::{IsTerminal, stdout};
use std::process::ExitCode;

use serde::Serialize;
use sluice_operations::{Code, Engine, Report, Settings, Verdict, describe};
use sluice_transfer::{Counts, TransferId};

use crate::args::{HostArgs, Status};
use crate::clock::{now, sleep};
use crate::failure::Failure;
use crate::home::Home;
use crate::output::{self, Output, bytes, grouped};
use crate::progress::{Bar, TICK_MILLIS};

/// Transfers that are listed at most.
const LISTED: usize = 1_000;

pub(crate) async fn list(host: &HostArgs, output: Output) -> Result<ExitCode, Failure> {
    #[derive(Serialize)]
    struct Transfers {
        transfers: Vec<Report>,
    }
    let mut transfers = Vec::new();
    match Home::find(host)? {
        Some(home) => {
            let engine = home.engine(Settings::default()).await?;
            transfers = sluice_operations::list(&engine, LISTED).await?;
        }
        None => output::note(&format!("there is no home at {} yet", host.home.display())),
    }
    match output {
        Output::Json => output::print_json(&Transfers { transfers })?,
        Output::Text if transfers.is_empty() => output::note("there are no transfers"),
        Output::Text => output::print(&output::table_of(&transfers))?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn status(host: &HostArgs, args: &Status, output: Output) -> Result<ExitCode, Failure> {
    let home = Home::open(host)?;
    let engine = home.engine(Settings::default()).await?;
    let id = match &args.id {
        Some(id) => id.clone(),
        None => match &sluice_operations::list(&engine, 1).await?[..] {
            [latest, ..] => latest.id.clone(),
            [] => return Err(Failure::new(Code::TransferNotFound, "there are no transfers yet")),
        },
    };
    let report = if args.watch { watch(&home, &engine, &id, output).await? } else { describe(&engine, &id).await? };
    match output {
        Output::Json => output::print_json(&report)?,
        Output::Text => output::print(&output::text_of(&report))?,
    }
    if !args.watch {
        note_abandoned(&home, &report);
    }
    Ok(ExitCode::SUCCESS)
}

/// Says it if a transfer could go on and nobody lets it.
fn note_abandoned(home: &Home, report: &Report) -> bool {
    let abandoned = report.state.is_active() && !home.is_driven(&report.id);
    if abandoned {
        output::note(&format!("no process runs it; go on with: {}", home.hint(&format!("resume {}", report.id))));
    }
    abandoned
}

/// Shows each change until the transfer is no longer active. On a terminal a bar, else a line a change.
async fn watch(home: &Home, engine: &Engine, id: &TransferId, output: Output) -> Result<Report, Failure> {
    let bar = if stdout().is_terminal() { Bar::new(output) } else { Bar::hidden() };
    let mut last = String::new();
    let mut noted = false;
    loop {
        let report = describe(engine, id).await?;
        if !report.state.is_active() {
            bar.clear();
            return Ok(report);
        }
        if bar.is_shown() {
            bar.show(&report);
        } else if output == Output::Text {
            let line = format!(
                "{}  {}  {} events  {}\n",
                report.state,
                output::share(report.progress),
                grouped(report.events),
                bytes(report.bytes)
            );
            if line != last {
                output::print(&line)?;
                last = line;
            }
        }
        if !noted && !home.is_driven(id) {
            noted = note_abandoned(home, &describe(engine, id).await?);
        }
        sleep(TICK_MILLIS).await;
    }
}

pub(crate) async fn verify(host: &HostArgs, id: &TransferId, output: Output) -> Result<ExitCode, Failure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Verified {
        #[serde(flatten)]
        report: Report,
        verdict: Verdict,
        seen: Counts,
        read: u64,
        findings: Vec<String>,
    }
    let home = Home::open(host)?;
    let engine = home.engine(Settings::default()).await?;
    let report = describe(&engine, id).await?;
    let bar = Bar::new(output);
    let (read, since) = (Cell::new(0), now());
    let verification = sluice_operations::verify(&engine, id, &mut |more| {
        read.set(read.get() + more);
        bar.read(read.get(), report.bytes, now().millis_since(since));
    })
    .await;
    bar.clear();
    let verification = verification?;
    let (exit, said) = match verification.verdict {
        Verdict::Proved => (0, "proved"),
        Verdict::Mismatch => (1, "a mismatch"),
        Verdict::Gaps => (4, "proved, with gaps"),
        Verdict::Unproved => (5, "not proved"),
    };
    if exit == 1 {
        for finding in &verification.findings {
            output::note(&format!("error: {finding}"));
        }
    }
    match output {
        Output::Json => output::print_json(&Verified {
            report,
            verdict: verification.verdict,
            seen: verification.counts,
            read: verification.read,
            findings: verification.findings,
        })?,
        Output::Text => {
            let counts = verification.counts;
            let mut text = format!("{id}: {said}; {} events, {}\n", grouped(counts.events), bytes(counts.bytes));
            for finding in verification.findings.iter().filter(|_| exit != 1) {
                text.push_str(finding);
                text.push('\n');
            }
            output::print(&text)?;
        }
    }
    Ok(ExitCode::from(exit))
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
