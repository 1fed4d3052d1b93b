//! The bar that a person watches: drawn on stderr, if that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sluice_operations::Report;
use sluice_transfer::State;

use crate::output::{Output, bytes, draws, duration, rate, share, whole};

/// How often a bar is brought up to date, in milliseconds.
pub(crate) const TICK_MILLIS: u64 = 250;
/// A bar's length, whatever it measures.
const WHOLE: u64 = 10_000;

/// A bar, or nothing where nobody could see it.
#[derive(Debug)]
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    /// For people at a terminal only.
    pub(crate) fn new(output: Output) -> Self {
        if output == Output::Json || !draws() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(Some(WHOLE), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {wide_msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(Some(bar))
    }

    /// Nothing.
    pub(crate) fn hidden() -> Self {
        Self(None)
    }

    /// Whether anybody sees it.
    pub(crate) fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Shows where a transfer stands.
    pub(crate) fn show(&self, report: &Report) {
        let Some(bar) = &self.0 else { return };
        bar.set_prefix(if report.state == State::Verifying { "verifying" } else { "moving   " });
        let done = match report.progress {
            None => "progress unknown".to_owned(),
            known => share(known),
        };
        let mut parts = vec![done, bytes(report.bytes)];
        if report.bytes_per_second >= 1.0 {
            parts.push(rate(report.bytes_per_second));
        }
        if let Some(seconds) = report.eta_seconds {
            parts.push(format!("{} to go", duration(seconds)));
        }
        bar.set_message(parts.join("  "));
        bar.set_position(position(report.progress.unwrap_or_default()));
    }

    /// Shows that so many of so many bytes were read again, `millis` after it began.
    pub(crate) fn read(&self, read: u64, of: u64, millis: u64) {
        let Some(bar) = &self.0 else { return };
        let done = if of == 0 { 1.0 } else { read as f64 / of as f64 };
        let speed = read as f64 * 1_000.0 / millis.max(1) as f64;
        let mut parts = vec![share(Some(done)), bytes(read), rate(speed)];
        if speed >= 1.0 {
            parts.push(format!("{} to go", duration(of.saturating_sub(read) / whole(speed).max(1))));
        }
        bar.set_prefix("verifying");
        bar.set_message(parts.join("  "));
        bar.set_position(position(done));
    }

    /// Says something above the bar.
    pub(crate) fn say(&self, text: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| crate::output::note(text)),
            None => crate::output::note(text),
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn position(done: f64) -> u64 {
    whole(done.clamp(0.0, 1.0) * WHOLE as f64)
}
