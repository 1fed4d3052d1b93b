//! The kept corpus: every case of it is survived, and its made part is what its maker makes.
#![cfg(test)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use sluice_fuzz::{TARGETS, seeds, target};

/// No case is longer; `tests/fuzz/run` says the same to libFuzzer.
const LONGEST: usize = 64 << 10;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// Hands a target all its cases. The harness prints the name of the last one if it panics.
fn survives(name: &str) {
    let target = target(name).unwrap();
    let mut cases: Vec<_> = std::fs::read_dir(folder(name)).unwrap().map(|file| file.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 10, "{} cases", cases.len());
    for case in cases {
        println!("{}", case.display());
        (target.run)(&std::fs::read(case).unwrap());
    }
}

/// A test for each target, by its name.
macro_rules! kept_cases_are_survived {
    ($($target:ident)*) => {
        const TESTED: &[&str] = &[$(stringify!($target)),*];
        mod kept_cases_are_survived_by {
            $(#[test] fn $target() { super::survives(stringify!($target)); })*
        }
    };
}

kept_cases_are_survived! {
    avro directory documents dynamodb folder foreign gzip inputs jsonl kinesis records requests rows s3 texts tiles zstd
}

#[test]
fn every_target_has_a_corpus_and_a_test() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let tested: BTreeSet<String> = TESTED.iter().map(|&name| name.to_owned()).collect();
    let folders = std::fs::read_dir(folder("")).unwrap();
    let kept: BTreeSet<String> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(tested, targets);
    assert_eq!(kept, targets, "tests/fuzz/run takes the folders for the targets");
}

/// To write it anew after a format has grown: `SLUICE_WRITE_CORPUS=1 cargo test -p sluice-fuzz`.
#[test]
fn the_corpus_is_what_is_made() {
    let write = std::env::var_os("SLUICE_WRITE_CORPUS").is_some();
    for target in TARGETS {
        let made = seeds(target.name);
        assert!(!made.is_empty(), "{} begins from nothing", target.name);
        for (name, bytes) in made {
            let file = folder(target.name).join(&name);
            if write {
                std::fs::create_dir_all(folder(target.name)).unwrap();
                std::fs::write(&file, &bytes).unwrap();
            }
            let kept = std::fs::read(file).unwrap_or_default();
            assert!(kept == bytes, "{}/{name} is another", target.name);
            assert!(bytes.len() <= LONGEST, "{}/{name} has {} bytes", target.name, bytes.len());
        }
    }
}
