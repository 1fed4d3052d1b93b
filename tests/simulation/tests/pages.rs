//! What the pages say of files and tests is there: links, paths, tests that hold a failure, golden files.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders with pages and sources; what is built or generated lies elsewhere.
const FOLDERS: [&str; 5] = ["functions", "infra", "shared", "tests", ".github"];
/// Endings of files that a page may name by a path.
const NAMED: [&str; 8] = [".rs", ".py", ".md", ".json", ".yaml", ".yml", ".toml", ".txt"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// All files below a folder that end so.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["target", "corpus", "node_modules"].contains(&name.as_str()) {
            files(&path, endings, found);
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

fn of(endings: &[&str]) -> Vec<PathBuf> {
    let root = root();
    let mut found = vec![root.join("README.md")];
    found.retain(|_| endings.contains(&".md"));
    for folder in FOLDERS {
        files(&root.join(folder), endings, &mut found);
    }
    found
}

/// What stands in backticks, outside of blocks.
fn quoted(page: &str) -> Vec<String> {
    let mut inside = false;
    let lines = page.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !fence && !inside
    });
    lines.flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_link_leads_to_a_file() {
    let (mut broken, mut links) = (Vec::new(), 0);
    for path in of(&[".md"]) {
        let page = fs::read_to_string(&path).unwrap();
        for link in page.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link)) {
            if link.contains("://") || link.starts_with('#') {
                continue;
            }
            links += 1;
            let target = path.parent().unwrap().join(link.split('#').next().unwrap());
            if !target.exists() {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(links > 10, "{links} links were looked at");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_path_that_a_page_names_is_there() {
    let root = root();
    let (mut missing, mut paths) = (Vec::new(), 0);
    // A log of finds names the files of its day.
    for path in of(&[".md"]).into_iter().filter(|path| !path.ends_with("FOUND.md")) {
        let folder = path.parent().unwrap();
        // As a page abbreviates them: beside it, from the root, or from where its subject lies.
        let from = ["", "shared", "shared/operations/src", "tests", "tests/golden"].map(|place| root.join(place));
        for name in quoted(&fs::read_to_string(&path).unwrap()) {
            let plain =
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/_-.".contains(&byte));
            let named = NAMED.iter().any(|ending| name.ends_with(ending)) && name.contains('/');
            // What lies in somebody's bucket, directory or cache is no file of the checkout.
            if !plain || !named || name.starts_with(['.', '/']) {
                continue;
            }
            paths += 1;
            if !folder.join(&name).exists() && !from.iter().any(|from| from.join(&name).exists()) {
                missing.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(paths > 30, "{paths} paths were looked at");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn what_holds_a_rule_of_the_protocol_is_there() {
    let own = Path::new(file!()).file_name().unwrap();
    let sources: Vec<(String, String)> = of(&[".rs", ".py"])
        .into_iter()
        .filter(|path| path.file_name() != Some(own))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    let words: BTreeSet<&str> =
        sources.iter().flat_map(|(_, text)| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')).collect();
    let page = fs::read_to_string(root().join("shared/PROTOCOL.md")).unwrap();
    // The last column of the failures and of the invariants.
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit());
    let (mut missing, mut names) = (Vec::new(), 0);
    for cell in rows.filter_map(|row| row.trim_end_matches(" |").rsplit_once(" | ").map(|(_, cell)| cell)) {
        for name in quoted(cell).into_iter().filter(|name| !name.contains('/')) {
            names += 1;
            if !words.contains(name.as_str()) && !sources.iter().any(|(file, _)| *file == name) {
                missing.push(name);
            }
        }
    }
    assert!(names > 30, "{names} names were looked at");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_golden_files_are_those_that_the_page_names() {
    let golden = root().join("tests/golden");
    let page = fs::read_to_string(root().join("shared/PERSISTED.md")).unwrap();
    let named: BTreeSet<String> = quoted(&page).into_iter().filter(|name| golden.join(name).is_file()).collect();
    let mut there = Vec::new();
    files(&golden, &[""], &mut there);
    // Files of others are read, and never written.
    let there: BTreeSet<String> = there
        .iter()
        .map(|path| path.strip_prefix(&golden).unwrap().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with("foreign/"))
        .collect();
    assert!(there.len() >= 10, "{there:?}");
    assert_eq!(named, there);
}

#[test]
fn the_readme_is_read_in_minutes() {
    let page = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = page.lines().count();
    assert!(lines <= 120, "{lines} lines; at most 120");
}
