//! All transfers, or all exports in a place, in a table or as one object.

use std::process::ExitCode;

use serde::Serialize;
use sluice_operations::{ArchivedExport, Report, Settings, Transfers, archive};
use sluice_transfer::{BucketUri, Timestamp, are};

use crate::args::{HostArgs, List};
use crate::clock::now;
use crate::failure::Failure;
use crate::home::{Home, engine_without_home};
use crate::output::{self, Output, bytes, columns_of_stdout, grouped, share};
use crate::table::{Column, Narrow, fitted};

/// A transfer, and what only this machine knows of it.
#[derive(Debug, Serialize)]
pub(crate) struct Local {
    #[serde(flatten)]
    pub report: Report,
    /// True if a process drives it now.
    pub driven: bool,
}

impl Local {
    pub(crate) fn new(home: &Home, report: Report) -> Self {
        Self { driven: home.is_driven(&report.id), report }
    }
}

const COLUMNS: [Column; 10] = [
    ("ID", false, Narrow::Keep),
    ("STATE", false, Narrow::Keep),
    ("RUNS", false, Narrow::Drop(6)),
    ("DONE", true, Narrow::Drop(7)),
    ("CREATED", false, Narrow::Drop(0)),
    ("AGE", true, Narrow::Drop(5)),
    ("EVENTS", true, Narrow::Drop(1)),
    ("BYTES", true, Narrow::Drop(4)),
    ("FROM", false, Narrow::Shorten(3)),
    ("TO", false, Narrow::Shorten(2)),
];

pub(crate) async fn list(host: &HostArgs, args: &List, output: Output) -> Result<ExitCode, Failure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        transfers: Vec<Local>,
        /// Transfers that `--limit` left out.
        left_out: usize,
    }
    if let Some(place) = &args.place {
        return of_place(host, place, output).await;
    }
    let (mut transfers, mut left_out) = (Vec::new(), 0);
    match Home::find(host)? {
        Some(home) => {
            let engine = home.looking(Settings::default());
            let limit = args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
            let found: Transfers = sluice_operations::transfers(&engine, &args.states, limit).await?;
            transfers.extend(found.reports.into_iter().map(|report| Local::new(&home, report)));
            left_out = found.left_out;
        }
        None => output::note(&format!("there is no home at {} yet", host.home.display())),
    }
    match output {
        Output::Json => return output::print_json(&Told { transfers, left_out }).map(|()| ExitCode::SUCCESS),
        Output::Text if transfers.is_empty() => {
            let states = if args.states.is_empty() { "" } else { " in that state" };
            output::note(&format!("there are no transfers{states}"));
        }
        Output::Text => {
            let (text, columns) = table(&transfers, now(), columns_of_stdout());
            output::print(&text)?;
            output::note_left_out(&columns);
        }
    }
    if left_out > 0 {
        output::note(&format!("{} more {} left out by --limit", grouped(left_out as u64), are(left_out as u64)));
    }
    Ok(ExitCode::SUCCESS)
}

const OF_PLACE: [Column; 9] = [
    ("ID", false, Narrow::Keep),
    ("STATE", false, Narrow::Keep),
    ("RUN", false, Narrow::Drop(5)),
    ("CREATED", false, Narrow::Drop(1)),
    ("EVENTS", true, Narrow::Drop(4)),
    ("BYTES", true, Narrow::Drop(3)),
    ("OBJECTS", true, Narrow::Drop(2)),
    ("FORMAT", false, Narrow::Drop(0)),
    ("FROM", false, Narrow::Shorten(6)),
];

/// The exports that lie in a place.
async fn of_place(host: &HostArgs, place: &BucketUri, output: Output) -> Result<ExitCode, Failure> {
    let engine = engine_without_home(host);
    let found = archive(&engine, place).await?;
    match output {
        Output::Json => output::print_json(&found)?,
        Output::Text if found.exports.is_empty() => output::note(&format!("{place} holds no exports")),
        Output::Text => {
            let rows: Vec<_> = found.exports.iter().map(row_of_place).collect();
            let (text, columns) = fitted(&OF_PLACE, &rows, columns_of_stdout());
            output::print(&text)?;
            output::note_left_out(&columns);
        }
    }
    for why in &found.unreadable {
        output::note(&format!("error: {why}"));
    }
    Ok(if found.unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row_of_place(export: &ArchivedExport) -> [String; 9] {
    let run = export.series.as_ref().map(|place| format!("{} {}", place.series, place.number));
    [
        export.id.to_string(),
        export.state.to_string(),
        run.unwrap_or_default(),
        day(&export.created_at),
        grouped(export.events),
        bytes(export.bytes),
        grouped(export.objects),
        export.format.name().to_owned(),
        export.stream.to_string(),
    ]
}

/// `2026-11-22 08:44:19Z`
fn day(time: &str) -> String {
    format!("{}Z", time.get(..19).unwrap_or(time).replace('T', " "))
}

fn table(transfers: &[Local], now: Timestamp, room: Option<usize>) -> (String, Vec<&'static str>) {
    let rows: Vec<_> = transfers.iter().map(|local| row(local, now)).collect();
    fitted(&COLUMNS, &rows, room)
}

fn row(Local { report, driven }: &Local, now: Timestamp) -> [String; 10] {
    // Of one that is at its end nobody asks.
    let runs = match (driven, report.state.is_active()) {
        (true, _) => "yes",
        (false, true) => "no",
        (false, false) => "",
    };
    let created = report.created_at.parse::<Timestamp>();
    [
        report.id.to_string(),
        report.state.to_string(),
        runs.to_owned(),
        share(report.progress),
        day(&report.created_at),
        created.map(|created| age(now.millis_since(created) / 1_000)).unwrap_or_default(),
        grouped(report.events),
        bytes(report.bytes),
        report.from.clone(),
        report.to.clone(),
    ]
}

/// `3 min`: the largest unit of which there is one.
fn age(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..60 => (seconds, "s"),
        60..3_600 => (seconds / 60, "min"),
        3_600..86_400 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    format!("{count} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn local(state: &str, driven: bool) -> Local {
        let report = json!({"id": "nightly", "kind": "export", "state": state, "events": 1_234_567, "bytes": 8 << 20,
            "objects": 1, "slices": 1, "progress": 0.5, "etaSeconds": null, "lagSeconds": null, "cut": "cut:0@5",
            "manifest": null, "error": null, "from": "local:orders", "to": "dir:/archive/of/all/there/is",
            "bytesPerSecond": 0.0, "gaps": 0, "createdAt": "2026-11-22T08:44:19.123456Z"});
        Local { report: serde_json::from_value(report).unwrap(), driven }
    }

    #[test]
    fn a_row_says_when_and_whether_a_process_runs_it() {
        let now: Timestamp = "2026-11-25T08:44:19Z".parse().unwrap();
        let rows = [local("TRANSFERRING", true), local("VERIFYING", false), local("COMPLETED", false)];
        let (text, left_out) = table(&rows, now, None);
        let expected = "\
ID       STATE         RUNS  DONE  CREATED               AGE     EVENTS    BYTES  FROM          TO
nightly  TRANSFERRING  yes   50 %  2026-11-22 08:44:19Z  2 d  1,234,567  8.0 MiB  local:orders  dir:/archive/of/all/there/is
nightly  VERIFYING     no    50 %  2026-11-22 08:44:19Z  2 d  1,234,567  8.0 MiB  local:orders  dir:/archive/of/all/there/is
nightly  COMPLETED           50 %  2026-11-22 08:44:19Z  2 d  1,234,567  8.0 MiB  local:orders  dir:/archive/of/all/there/is
";
        assert_eq!((text.as_str(), left_out), (expected, vec![]));
    }

    #[test]
    fn eighty_columns_are_enough_for_what_matters() {
        let (text, left_out) = table(&[local("TRANSFERRING", true)], Timestamp::from_millis(0), Some(80));
        assert_eq!(left_out, ["CREATED", "EVENTS"], "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn ages_have_one_unit() {
        let ages = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 400 * 86_400].map(age);
        assert_eq!(ages, ["0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d", "400 d"]);
    }
}
