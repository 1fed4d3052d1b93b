//! What people and programs are told. Text is for people and may change; JSON is one object, of the same shape
//! everywhere.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;
use sluice_operations::Report;
use sluice_transfer::State;

use crate::failure::Failure;

/// Text for people, or one JSON object for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Writes to stdout and flushes. A reader that is gone ends the command quietly.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::of_stdout(&error))
}

/// Says something beside the output. That nobody listens is no reason to stop.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// One object, on one line.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| {
        Failure::new(sluice_operations::Code::Defect, format!("the output cannot be encoded: {error}"))
    })?;
    print(&format!("{text}\n"))
}

/// Says why a command ends, and with which exit code.
pub(crate) fn failed(output: Output, failure: &Failure) -> ExitCode {
    if !failure.silent {
        note(&format!("error: {}", failure.message));
        if output == Output::Json {
            failed_json(failure);
        }
    }
    ExitCode::from(failure.exit)
}

/// An error before there is a transfer, as the one object.
pub(crate) fn failed_json(failure: &Failure) {
    #[derive(Serialize)]
    struct Told {
        error: sluice_transfer::record::Failure,
    }
    // If that cannot be written either, stderr has it.
    let _ = print_json(&Told { error: failure.to_record() });
}

/// What a transfer's process exits with.
pub(crate) fn exit_of(state: State) -> u8 {
    match state {
        State::Completed => 0,
        // Preparing: a pause came before anything was moved.
        State::Paused | State::Cancelled | State::Preparing => 3,
        State::CompletedWithGaps => 4,
        State::CompletedWithFailures => 5,
        State::Failed | State::Transferring | State::Verifying => 1,
    }
}

/// A transfer, as a block of aligned lines.
pub(crate) fn text_of(report: &Report) -> String {
    let kind = match report.kind {
        sluice_transfer::Kind::Export => "export",
        sluice_transfer::Kind::Import => "import",
    };
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string has no way to fail.
        let _ = writeln!(text, "{name:<10}{value}");
    };
    line("transfer", report.id.as_str());
    line(kind, &format!("{} -> {}", report.from, report.to));
    line("state", &report.state.to_string());
    let mut progress = share(report.progress);
    if let Some(seconds) = report.eta_seconds {
        let _ = write!(progress, ", about {} to go", duration(seconds));
    }
    line("progress", &progress);
    line("moved", &format!("{} events, {}", grouped(report.events), bytes(report.bytes)));
    if report.bytes_per_second >= 1.0 {
        line("rate", &rate(report.bytes_per_second));
    }
    line("objects", &grouped(report.objects));
    line("slices", &grouped(report.slices));
    if report.gaps > 0 {
        line("gaps", &format!("{}, named in the manifest", report.gaps));
    }
    line("cut", &format!("cut:{}", report.cut));
    if let Some(manifest) = &report.manifest {
        line("manifest", manifest);
    }
    if let Some(error) = &report.error {
        line("error", &format!("{} ({})", error.message, error.code));
    }
    text
}

/// Transfers, one a line.
pub(crate) fn table_of(reports: &[Report]) -> String {
    let mut rows = vec![["ID", "STATE", "DONE", "EVENTS", "BYTES", "FROM", "TO"].map(str::to_owned)];
    rows.extend(reports.iter().map(|report| {
        [
            report.id.to_string(),
            report.state.to_string(),
            share(report.progress),
            grouped(report.events),
            bytes(report.bytes),
            report.from.clone(),
            report.to.clone(),
        ]
    }));
    table(&rows, &[2, 3, 4])
}

/// Rows of cells in columns as wide as they need; those of `right` are aligned to the right.
pub(crate) fn table<const N: usize>(rows: &[[String; N]], right: &[usize]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Whether what is drawn on stderr can be drawn over.
pub(crate) fn draws() -> bool {
    io::stderr().is_terminal()
}

/// Rounded down; none below none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it ends at the nearest number there is")]
pub(crate) fn whole(number: f64) -> u64 {
    number as u64
}

/// `37 %`, rounded down: only what is done is 100 %.
pub(crate) fn share(progress: Option<f64>) -> String {
    progress.map_or_else(|| "unknown".to_owned(), |share| format!("{} %", whole(share.clamp(0.0, 1.0) * 100.0)))
}

/// `1.2 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    bytesize::ByteSize::b(count).display().iec().to_string()
}

/// `310.0 MiB/s`.
pub(crate) fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", bytes(whole(bytes_per_second)))
}

/// `1,234,567`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1:02:03` or `2:03`.
pub(crate) fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(duration(59), "0:59");
        assert_eq!(duration(3_723), "1:02:03");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(8 << 20), "8.0 MiB");
        assert_eq!(share(Some(0.999)), "99 %");
        assert_eq!(share(None), "unknown");
    }

    #[test]
    fn every_state_has_its_exit_code() {
        let codes: Vec<u8> = State::ALL.into_iter().map(exit_of).collect();
        assert_eq!(codes, [3, 1, 3, 1, 0, 4, 5, 1, 3]);
    }
}
