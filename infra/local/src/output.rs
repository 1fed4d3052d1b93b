//! What people and programs are told. Text is for people and may change; JSON is one object, of the same shape
//! everywhere.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;
use sluice_operations::{Replay, Report, Retention, StoredMisfits};
use sluice_transfer::record::TransferRecord;
use sluice_transfer::{Aggregates, Cut, Lacking, State, are, noun};

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
    let _ = writeln!(io::stderr().lock(), "{}", plain(text));
}

/// A text that moves no cursor: names of files and answers of stores are foreign text.
fn plain(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(steers) {
        return text.into();
    }
    let escaped = |c: char| if steers(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect::<String>().into()
}

/// One object, on one line.
pub(crate) fn json_line(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(|error| {
        Failure::new(sluice_operations::Code::Defect, format!("the output cannot be encoded: {error}"))
    })?;
    Ok(format!("{text}\n"))
}

/// Prints one object, on one line.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print(&json_line(value)?)
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
        State::CompletedWithGaps | State::CompletedWithMisfits => 4,
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
        let _ = writeln!(text, "{name:<10}{}", plain(value));
    };
    line("transfer", report.id.as_str());
    line(kind, &format!("{} -> {}", report.from, report.to));
    line("state", &report.state.to_string());
    let mut progress = share(report.progress);
    if let Some(seconds) = report.eta_seconds {
        let _ = write!(progress, ", about {} to go", duration(seconds));
    }
    line("progress", &progress);
    if let Some(found) = report.planning {
        line("planning", &format!("{} found so far, {}", counted(found.sources, "source"), bytes(found.bytes)));
    }
    line("moved", &format!("{}, {}", counted(report.events, "event"), bytes(report.bytes)));
    if report.bytes_per_second >= 1.0 {
        line("rate", &rate(report.bytes_per_second));
    }
    if let Some(limit) = report.rate {
        line("limit", &format!("{}/s", bytes(limit)));
    }
    for (number, told) in report.replay.iter().flat_map(replay).enumerate() {
        line(if number == 0 { "pace" } else { "" }, &told);
    }
    if let Some(seconds) = report.lag_seconds {
        line("lag", &format!("{} behind the stream's tip", duration(seconds)));
    }
    for (number, told) in report.retention.iter().flat_map(retention).enumerate() {
        line(if number == 0 { "retention" } else { "" }, &told);
    }
    if let Some(written) = report.bytes_written {
        line("written", &bytes(written));
    }
    line("took", &took(report));
    line("objects", &grouped(report.objects));
    line("slices", &grouped(report.slices));
    for (number, gap) in gaps(report).iter().enumerate() {
        line(if number == 0 { "gaps" } else { "" }, gap);
    }
    if let Some(lacking) = report.lacking.filter(|lacking| !lacking.is_none()) {
        line("lacking", &lacking_of(lacking));
    }
    if let Some(StoredMisfits { misfits, folder }) = &report.misfits {
        line("misfits", &format!("{misfits}; import them by --format jsonl from {folder}"));
    }
    if !report.aggregates.is_none() {
        line("aggregates", &aggregates_of(report.aggregates));
    }
    if !report.left_out.is_empty() {
        line("left out", &report.left_out.to_string());
    }
    for note in &report.notes {
        line("note", note);
    }
    line("cut", &cut_of(&report.cut));
    let is_complete = matches!(report.state, State::Completed | State::CompletedWithGaps | State::CompletedWithMisfits);
    if is_complete && report.kind == sluice_transfer::Kind::Import {
        line("live", "goes on at that cut: give it as --from to export or read what is written from now on");
    }
    if let Some(manifest) = &report.manifest {
        line("manifest", manifest);
    }
    if let Some(error) = &report.error {
        line("error", &format!("{} ({})", error.message, error.code));
    }
    text
}

/// Aggregates, and what can be done about them.
fn aggregates_of(aggregates: Aggregates) -> String {
    format!(
        "{} of the Kinesis Producer Library, with {} in them; --deaggregate exports these one by one",
        counted(aggregates.records, "aggregate"),
        counted(aggregates.user_records, "event")
    )
}

/// Records without a field that was named, by field.
fn lacking_of(lacking: Lacking) -> String {
    let of = |count: u64, field: &str, instead: &str| {
        let have = if count == 1 { "has" } else { "have" };
        (count > 0).then(|| format!("{} {have} no {field} field ({instead})", counted(count, "record")))
    };
    let all = [
        of(lacking.payload, "payload", "events without a payload"),
        of(lacking.key, "key", "events without a key"),
        of(lacking.time, "time", "events of the time of import"),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What is to be said once a transfer is planned: what is left out, and what bounds mean that seem to mean more.
pub(crate) fn planned(transfer: &TransferRecord) -> Vec<String> {
    let left_out = (!transfer.left_out.is_empty()).then(|| format!("left out: {}", transfer.left_out));
    left_out.into_iter().chain(transfer.notes.iter().map(|note| format!("note: {note}"))).collect()
}

/// Shards of a cut that are shown.
const SHOWN_SHARDS: usize = 20;

/// A cut as a bound, or, of many shards, the first ones and how many more there are.
fn cut_of(cut: &Cut) -> String {
    let more = cut.0.len().saturating_sub(SHOWN_SHARDS);
    if more == 0 {
        return cut.to_string();
    }
    let shown = Cut(cut.0.iter().take(SHOWN_SHARDS).map(|(shard, at)| (shard.clone(), at.clone())).collect());
    // What is not whole is no bound.
    let shown = shown.to_string().replace("cut:", "");
    format!("{shown} and {more} more {}; --output json has all of them", noun(more as u64, "shard"))
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

/// The rhythm of an import, how late it is, and what it waits for.
fn replay(replay: &Replay) -> Vec<String> {
    let until = replay.ends_at.as_ref().map_or_else(String::new, |time| format!(", until {time}"));
    let late = match (replay.late_seconds, replay.most_late_seconds) {
        (0, 0) => None,
        (0, most) => Some(format!("was up to {} late", duration(most))),
        (late, _) => Some(format!(
            "{} late, since the target takes no more or the import was cut off: it goes as fast as it can until it has \
             caught up",
            duration(late)
        )),
    };
    let next = replay.next_at.as_ref().map(|time| format!("silence at the source: the next event is due at {time}"));
    std::iter::once(format!("{}{until}", replay.pace)).chain(late).chain(next).collect()
}

/// How long the source keeps events, and what becomes of those that are not read.
fn retention(retention: &Retention) -> Vec<String> {
    let keeps = duration(retention.seconds);
    let mut lines = vec![match retention.headroom_seconds {
        None => keeps,
        Some(0) => format!("{keeps}; the oldest event that is not read may be gone"),
        Some(seconds) => format!("{keeps}; the oldest event that is not read stays for {}", duration(seconds)),
    }];
    lines.extend(retention.overtaken_at.as_ref().map(|time| format!("overtakes this read at {time}")));
    lines
}

/// What is to be said of an export that retention overtakes, with ways out.
pub(crate) fn overtaken(report: &Report) -> Option<String> {
    let time = report.retention.as_ref()?.overtaken_at.as_ref()?;
    let rate = report.rate.map_or("", |_| ", lift its limit (`sluice rate`)");
    Some(format!(
        "warning: retention overtakes this read at {time}: what the stream drops before is lost; raise its retention \
         (`aws kinesis increase-stream-retention-period`){rate}, or export a later range"
    ))
}

/// How long it took, and how fast it was.
fn took(report: &Report) -> String {
    let seconds = report.duration_seconds;
    let time = if seconds < 60.0 { format!("{seconds:.1} s") } else { duration(whole(seconds)) };
    if report.average_bytes_per_second < 1.0 {
        return time;
    }
    format!("{time}, {} on average", rate(report.average_bytes_per_second))
}

/// How many gaps there are, and which.
fn gaps(report: &Report) -> Vec<String> {
    if report.gaps == 0 {
        return Vec::new();
    }
    let ranges = report.gap_ranges.iter().map(|gap| {
        let byte = gap.from_byte.map_or_else(String::new, |byte| format!(" (its byte {byte})"));
        format!("from {}{byte} until {}", gap.from, gap.until)
    });
    let mut lines = vec![grouped(report.gaps)];
    lines.extend(ranges);
    let named = report.gap_ranges.len() as u64;
    if named < report.gaps {
        let where_else = match report.kind {
            sluice_transfer::Kind::Export => "in its manifest",
            sluice_transfer::Kind::Import => "in the manifest that it imports",
        };
        let more = report.gaps - named;
        lines.push(format!("{} more {} named {where_else}", grouped(more), are(more)));
    }
    lines
}

/// Says which columns a table lacks.
pub(crate) fn note_left_out(columns: &[&str]) {
    if !columns.is_empty() {
        note(&format!("too narrow for {}: a pipe and --output json have them", columns.join(", ")));
    }
}

/// The columns of the terminal that stdout is; none where it is no terminal, and lines may be of any length.
pub(crate) fn columns_of_stdout() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// The columns of the terminal that stderr is.
pub(crate) fn columns_of_stderr() -> usize {
    terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| usize::from(width.0))
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

/// `1 event` or `1,234 events`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    format!("{} {}", grouped(count), noun(count, one))
}

/// `1:02:03` or `2:03`.
pub(crate) fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests;
