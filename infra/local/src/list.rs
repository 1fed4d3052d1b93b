//! All transfers, in a table or as one object.

use std::process::ExitCode;

use serde::Serialize;
use sluice_operations::{Report, Settings, Transfers};
use sluice_transfer::{Timestamp, are};

use crate::args::{HostArgs, List};
use crate::clock::now;
use crate::failure::Failure;
use crate::home::Home;
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
    let day = report.created_at.get(..19).unwrap_or(&report.created_at).replace('T', " ");
    [
        report.id.to_string(),
        report.state.to_string(),
        runs.to_owned(),
        share(report.progress),
        format!("{day}Z"),
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
