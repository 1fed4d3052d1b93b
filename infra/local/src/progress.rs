//! What a person watches while bytes move, on stderr: a bar on a terminal, elsewhere a line a minute.

use std::cell::Cell;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sluice_operations::Report;
use sluice_transfer::{State, Timestamp, counted};

use crate::clock::now;
use crate::output::{Output, bytes, columns_of_stderr, draws, duration, note, rate, share, whole};

/// How often a bar is brought up to date, in milliseconds.
pub(crate) const TICK_MILLIS: u64 = 250;
/// How often a line is written, in milliseconds.
const LINE_MILLIS: u64 = 60_000;
/// The longest bar and the shortest, in columns.
const LONGEST: usize = 30;
const SHORTEST: usize = 5;

/// What stderr shows while bytes move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// A bar on a terminal, lines elsewhere.
    Auto,
    /// A bar.
    Bar,
    /// A line a minute.
    Lines,
    /// Nothing.
    None,
}

/// How a command shows what it does, and what came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Show {
    /// On stdout.
    pub output: Output,
    /// On stderr.
    pub progress: Progress,
}

/// Shows where a transfer stands.
#[derive(Debug)]
pub(crate) enum Meter {
    /// Drawn over again and again.
    Bar(ProgressBar),
    /// A line a minute. Holds how many minutes of a verification were printed.
    Lines(Cell<u64>),
    /// Nothing.
    Hidden,
}

impl Meter {
    /// As the command line has it.
    pub(crate) fn new(progress: Progress) -> Self {
        match progress {
            Progress::Auto if draws() => Self::bar(),
            Progress::Bar => Self::bar(),
            Progress::Auto | Progress::Lines => Self::Lines(Cell::new(0)),
            Progress::None => Self::Hidden,
        }
    }

    fn bar() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    /// Milliseconds until it is to be brought up to date; none if nobody sees it.
    pub(crate) fn every(&self) -> Option<u64> {
        match self {
            Self::Bar(_) => Some(TICK_MILLIS),
            Self::Lines(_) => Some(LINE_MILLIS),
            Self::Hidden => None,
        }
    }

    /// Shows where a transfer stands.
    pub(crate) fn show(&self, report: &Report) {
        if let Some(found) = report.planning {
            let numbers = [counted(found.sources, "source"), bytes(found.bytes)];
            return self.tell("planning", None, &numbers, report.id.as_str());
        }
        let phase = if report.state == State::Verifying { "verifying" } else { "moving" };
        let mut numbers = vec![bytes(report.bytes)];
        if report.bytes_per_second >= 1.0 {
            numbers.push(rate(report.bytes_per_second));
        }
        numbers.extend(report.eta_seconds.map(|seconds| format!("{} to go", duration(seconds))));
        self.tell(phase, report.progress, &numbers, report.id.as_str());
    }

    /// Shows how many bytes were read again of this many, if their number is known, `millis` after it began.
    pub(crate) fn read(&self, id: &str, read: u64, of: Option<u64>, millis: u64) {
        if let Self::Lines(told) = self {
            let minutes = millis / LINE_MILLIS;
            if told.replace(minutes) == minutes {
                return;
            }
        }
        let done = of.map(|of| if of == 0 { 1.0 } else { read as f64 / of as f64 });
        let speed = read as f64 * 1_000.0 / millis.max(1) as f64;
        let mut numbers = vec![bytes(read), rate(speed)];
        if let Some(of) = of.filter(|_| speed >= 1.0) {
            numbers.push(format!("{} to go", duration(of.saturating_sub(read) / whole(speed).max(1))));
        }
        self.tell("verifying", done, &numbers, id);
    }

    fn tell(&self, phase: &str, done: Option<f64>, numbers: &[String], id: &str) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(bar_line(columns_of_stderr(), phase, done, numbers));
                bar.tick();
            }
            Self::Lines(_) => note(&line(now(), id, phase, done, numbers)),
            Self::Hidden => {}
        }
    }

    /// Says something above the bar.
    pub(crate) fn say(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.suspend(|| note(text)),
            Self::Lines(_) | Self::Hidden => note(text),
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn done_of(done: Option<f64>) -> String {
    if done.is_none() { "progress unknown".to_owned() } else { share(done) }
}

/// What is appended to a log.
fn line(now: Timestamp, id: &str, phase: &str, done: Option<f64>, numbers: &[String]) -> String {
    // Whole seconds are enough.
    let now = Timestamp::from_millis(now.micros() / 1_000_000 * 1_000);
    format!("{now}  {id}  {phase}  {}  {}", done_of(done), numbers.join("  "))
}

/// A bar and its numbers in `columns` columns. Where they are few, the bar is lost first, then the word in front of it,
/// then numbers from the left; what is left at last is the share that is done.
fn bar_line(columns: usize, phase: &str, done: Option<f64>, numbers: &[String]) -> String {
    let width = |text: &str| text.chars().count();
    let share = done_of(done);
    let joined = |from: usize| {
        let kept = numbers[from..].iter().map(|number| format!("  {number}"));
        std::iter::once(share.clone()).chain(kept).collect::<String>()
    };
    let all = joined(0);
    // The word, a blank, two brackets and two blanks.
    let around = width(&format!("{phase:<9}")) + 5 + width(&all);
    let room = columns.saturating_sub(around).min(LONGEST);
    if room >= SHORTEST {
        let filled =
            usize::try_from(whole(done.unwrap_or_default().clamp(0.0, 1.0) * room as f64)).unwrap_or(room).min(room);
        let head = if filled < room { ">" } else { "" };
        let bar = format!("{}{head}", "=".repeat(filled));
        return format!("{phase:<9} [{bar:<room$}]  {all}");
    }
    let with_word = format!("{phase}  {all}");
    let shorter = (0..=numbers.len()).map(joined);
    let mut tries = std::iter::once(with_word).chain(shorter);
    tries.find(|text| width(text) <= columns).unwrap_or(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Vec<String> {
        ["1.2 GiB", "19.8 MiB/s", "1:02 to go"].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_narrow_terminal_loses_the_bar_before_the_numbers() {
        let at = |columns| bar_line(columns, "moving", Some(0.5), &numbers());
        assert_eq!(at(200), "moving    [===============>              ]  50 %  1.2 GiB  19.8 MiB/s  1:02 to go");
        assert_eq!(at(56), "moving    [==>  ]  50 %  1.2 GiB  19.8 MiB/s  1:02 to go");
        assert_eq!(at(50), "moving  50 %  1.2 GiB  19.8 MiB/s  1:02 to go");
        assert_eq!(at(40), "50 %  1.2 GiB  19.8 MiB/s  1:02 to go");
        assert_eq!(at(30), "50 %  19.8 MiB/s  1:02 to go");
        assert_eq!(at(20), "50 %  1:02 to go");
        assert_eq!(at(6), "50 %");
        assert_eq!(at(0), "50 %");
        for columns in 4..200 {
            assert!(at(columns).chars().count() <= columns, "{columns}: {}", at(columns));
        }
    }

    #[test]
    fn a_bar_is_empty_at_the_beginning_and_full_at_the_end() {
        let bar = |done| bar_line(200, "verifying", done, &[]);
        assert_eq!(bar(None), format!("verifying [>{}]  progress unknown", " ".repeat(29)));
        assert_eq!(bar(Some(0.0)), format!("verifying [>{}]  0 %", " ".repeat(29)));
        assert_eq!(bar(Some(1.0)), format!("verifying [{}]  100 %", "=".repeat(30)));
    }

    #[test]
    fn a_line_says_when_and_which() {
        let now = "2026-11-22T08:44:19.5Z".parse().unwrap();
        let expected = "2026-11-22T08:44:19Z  nightly  moving  50 %  1.2 GiB  19.8 MiB/s  1:02 to go";
        assert_eq!(line(now, "nightly", "moving", Some(0.5), &numbers()), expected);
    }
}
