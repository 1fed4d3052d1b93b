//! Environment variables that are set to nothing count as ones that are not set.
//!
//! Scripts and service managers write `AWS_PROFILE=` for "none". The libraries underneath, AWS's among them, take that
//! for a profile without a name.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Whose variables this command reads.
const PREFIXES: [&str; 2] = ["SLUICE_", "AWS_"];

/// Runs this program again without its empty variables, as the same process; returns if there are none. A process
/// cannot safely take variables out of its own environment.
pub(crate) fn without_empty_variables() {
    let empty: Vec<OsString> =
        std::env::vars_os().filter(|(name, value)| counts_as_unset(name, value)).map(|it| it.0).collect();
    let Ok(program) = std::env::current_exe() else { return };
    if empty.is_empty() {
        return;
    }
    let mut args = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = args.next() {
        again.arg0(name);
    }
    again.args(args);
    for name in empty {
        again.env_remove(name);
    }
    // Returns only if it cannot be run; then this process goes on with what it has.
    let _ = again.exec();
}

fn counts_as_unset(name: &OsStr, value: &OsStr) -> bool {
    value.is_empty() && name.to_str().is_some_and(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_empty_and_read_here_is_unset() {
        let unset = |name: &str, value: &str| counts_as_unset(OsStr::new(name), OsStr::new(value));
        assert!(unset("SLUICE_HOME", "") && unset("AWS_PROFILE", "") && unset("AWS_ENDPOINT_URL_S3", ""));
        assert!(!unset("SLUICE_HOME", " ") && !unset("AWS_PROFILE", "x"));
        assert!(!unset("PATH", "") && !unset("MY_AWS_PROFILE", ""));
    }
}
