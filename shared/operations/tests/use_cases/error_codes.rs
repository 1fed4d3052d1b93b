//! `shared/ERRORS.md` says of each code what the code says of itself, and of no other.

use std::collections::BTreeMap;

use sluice_operations::{Code, OperationError};
use sluice_ports::{Error, ErrorKind};

const PAGE: &str = include_str!("../../../ERRORS.md");

/// The last column of each row of the engine's table, by code.
fn rows() -> BTreeMap<&'static str, &'static str> {
    let section =
        PAGE.split("\n## ").find(|section| section.starts_with("The engine\n")).expect("a section of its own");
    let mut rows = BTreeMap::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [code, meaning, advice, then] = cells[..] else { panic!("four columns: {line}") };
        assert!(!meaning.is_empty() && !advice.is_empty(), "{line}");
        assert_eq!(rows.insert(code.trim_matches('`'), then), None, "{code} has two rows");
    }
    rows
}

/// What a code is to be followed by. Only what a store refuses for the moment is retried.
fn then(code: Code) -> &'static str {
    let transient = [ErrorKind::Throttled, ErrorKind::Unavailable, ErrorKind::Indeterminate];
    assert!(transient.iter().all(|kind| kind.is_transient()));
    let retried = transient.iter().any(|kind| OperationError::from(Error::new(*kind, "a store")).code == code);
    match (code.is_for_good(), retried) {
        (true, false) => "for good",
        (false, true) => "retried",
        (false, false) => "mend",
        (true, true) => panic!("{code} is retried though no try can help"),
    }
}

#[test]
fn the_page_has_all_codes_and_no_others() {
    let rows = rows();
    let documented: Vec<&str> = rows.keys().copied().collect();
    let mut codes: Vec<String> = Code::ALL.iter().map(ToString::to_string).collect();
    codes.sort_unstable();
    assert_eq!(documented, codes);
}

#[test]
fn the_page_says_what_follows() {
    let rows = rows();
    for code in Code::ALL {
        assert_eq!(rows.get(code.to_string().as_str()), Some(&then(*code)), "{code}");
    }
}
