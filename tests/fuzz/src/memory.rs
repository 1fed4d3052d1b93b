//! How much memory the process held at its peak, where the system tells.

use std::fs;

/// The peak since a moment.
pub(crate) struct Watch {
    highest: Option<u64>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self { highest: None }
    }

    /// Forgets the peak so far (Linux, proc(5): `clear_refs`). Where that is not possible it stays that of the process.
    #[expect(clippy::unused_self, reason = "a moment of this watch")]
    pub(crate) fn begin(&self) {
        let _ = fs::write("/proc/self/clear_refs", "5");
    }

    /// The peak since then.
    pub(crate) fn peak_kib(&mut self) -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let peak = line.trim().trim_end_matches(" kB").parse().ok()?;
        self.highest = self.highest.max(Some(peak));
        Some(peak)
    }

    /// Of all looks.
    pub(crate) fn highest_kib(&self) -> Option<u64> {
        self.highest
    }
}
