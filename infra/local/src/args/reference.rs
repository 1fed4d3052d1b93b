//! `README.md` beside this crate is the reference of the command line: what it says there is, is there, and no more.

use std::collections::{BTreeMap, BTreeSet};

use clap::CommandFactory;

use super::Args;

/// The names of a command's own options, as they are typed.
fn options(command: &clap::Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter(|arg| !arg.is_hide_set());
    own.filter_map(|arg| arg.get_long()).filter(|long| *long != "help").map(|long| format!("--{long}")).collect()
}

/// The options in the first column of a table, with or without their values.
fn named(table: &str) -> BTreeSet<String> {
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `--")?.split_once(" | ").map(|(cell, _)| cell));
    cells
        .flat_map(|cell| cell.split("`--"))
        .map(|option| option.split([' ', '`']).next().unwrap_or_default())
        .map(|name| format!("--{name}"))
        .collect()
}

/// Both ways: what the command has, and what `infra/local/README.md` says it has.
#[test]
fn the_reference_has_every_command_and_option() {
    let page = include_str!("../../README.md");
    let (_, commands) = page.split_once("\n## Commands\n").expect("a section of all commands");
    let (commands, _) = commands.split_once("\n## ").expect("a section behind it");
    let sections: BTreeMap<&str, &str> =
        commands.split("\n### `sluice ").skip(1).filter_map(|section| section.split_once('`')).collect();
    let root = Args::command();
    let there: Vec<_> = root.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    let names: BTreeSet<&str> = there.iter().map(|command| command.get_name()).collect();
    assert_eq!(sections.keys().copied().collect::<BTreeSet<_>>(), names);
    for command in there {
        let name = command.get_name();
        // Global options have a section of their own.
        assert_eq!(named(sections[name]), options(command), "{name}");
    }
    let (_, everywhere) = page.split_once("\n## Everywhere\n").expect("a section of global options");
    let (everywhere, _) = everywhere.split_once("\n## ").expect("a section behind it");
    let global: BTreeSet<String> = options(&root).into_iter().filter(|option| option != "--version").collect();
    assert_eq!(named(everywhere), global);
}
