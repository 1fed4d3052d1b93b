//! Completions for shells, and man pages: made from the same definition as the help, so that they cannot differ.

use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};

use crate::args::{Args, Completions, Man};
use crate::failure::Failure;
use crate::output;

/// Prints what makes a shell complete the words of a command line.
pub(crate) fn completions(args: &Completions) -> Result<ExitCode, Failure> {
    let mut command = Args::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints one man page, or writes all of them into a folder.
pub(crate) fn man(args: &Man) -> Result<ExitCode, Failure> {
    let pages = pages();
    match (&args.dir, &args.page) {
        (Some(dir), _) => {
            write(dir, &pages)?;
            output::note(&format!("{} man pages are in {}", pages.len(), dir.display()));
        }
        (None, page) => {
            let wanted = page.as_ref().map_or_else(|| "sluice".to_owned(), |page| format!("sluice-{page}"));
            let Some(found) = pages.iter().find(|page| name(page) == wanted) else {
                let page = page.as_deref().unwrap_or_default();
                return Err(Failure::usage(format!("there is no command '{page}'; `sluice --help` shows them")));
            };
            output::print(&String::from_utf8_lossy(&rendered(found)?))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The command and its commands. Built: each has the name of its page as its display name, and the global options.
fn pages() -> Vec<Command> {
    let mut root = Args::command().disable_help_subcommand(true);
    root.build();
    let commands: Vec<_> = root.get_subcommands().cloned().collect();
    std::iter::once(root).chain(commands).collect()
}

/// What a page is called: `sluice`, `sluice-export`.
fn name(page: &Command) -> &str {
    page.get_display_name().unwrap_or_else(|| page.get_name())
}

fn rendered(page: &Command) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(page.clone()).render(&mut text);
    rendered.map_err(|error| Failure::of_io(&error, "the man page cannot be written"))?;
    Ok(text)
}

fn write(dir: &Path, pages: &[Command]) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error, path: &Path| Failure::of_io(&error, format!("{} cannot be made", path.display()));
    std::fs::create_dir_all(dir).map_err(|error| failed(error, dir))?;
    for page in pages {
        let path = dir.join(format!("{}.1", name(page)));
        std::fs::write(&path, rendered(page)?).map_err(|error| failed(error, &path))?;
    }
    Ok(())
}
