//! Sets the commit and build that `--version` prints. Where there is no git, or the sources are not in a repository of
//! their own, the commit is said to be unknown.

use std::path::Path;
use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The commit, if the repository is this project's: sources may lie within another one.
fn commit() -> Option<String> {
    let top = Path::new(&git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()?;
    (top == Path::new("../..").canonicalize().ok()?).then(|| git(&["rev-parse", "--short", "HEAD"]))?
}

fn main() {
    let commit = commit();
    println!("cargo::rustc-env=SLUICE_COMMIT={}", commit.as_deref().unwrap_or("unknown commit"));
    println!("cargo::rustc-env=SLUICE_PROFILE={}", std::env::var("PROFILE").unwrap_or_default());
    println!("cargo::rerun-if-changed=build.rs");
    // Grows with every commit and every change of the branch.
    let log = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]);
    if let Some(log) = log.filter(|log| commit.is_some() && Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
}
