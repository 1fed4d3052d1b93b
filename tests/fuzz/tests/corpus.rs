//! The kept corpus: every case of it is survived, and it is what its maker makes.

use std::path::PathBuf;

use sluice_fuzz::mutate::{LONGEST, Random, mutated};
use sluice_fuzz::{TARGETS, seeds};

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

#[test]
fn every_kept_case_is_survived() {
    let mut cases = 0;
    for target in TARGETS {
        for file in std::fs::read_dir(folder(target.name)).unwrap() {
            (target.run)(&std::fs::read(file.unwrap().path()).unwrap());
            cases += 1;
        }
    }
    assert!(cases > 100, "{cases} cases");
}

#[test]
fn the_corpus_is_what_is_made() {
    // If this fails after a format has grown: `cargo run -p sluice-fuzz -- --seed-corpus`.
    for target in TARGETS {
        let made = seeds(target.name);
        assert!(!made.is_empty(), "{} begins from nothing", target.name);
        for (name, bytes) in made {
            let kept = std::fs::read(folder(target.name).join(&name)).unwrap_or_default();
            assert!(kept == bytes, "{}/{name} is another", target.name);
            assert!(bytes.len() <= LONGEST, "{}/{name} has {} bytes", target.name, bytes.len());
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_cases() {
    let corpus = vec![b"{\"a\": 17}".to_vec(), vec![0; 300]];
    let cases = |seed| {
        let mut random = Random::new(seed);
        (0..500).map(|_| mutated(&mut random, &corpus, &["null"])).collect::<Vec<_>>()
    };
    assert_eq!(cases(7), cases(7));
    let (some, others) = (cases(7), cases(8));
    let common = some.iter().filter(|case| others.contains(case)).count();
    assert!(common < 100, "another seed makes others: {common} are common");
    assert!(some.iter().all(|case| case.len() <= LONGEST));
}
