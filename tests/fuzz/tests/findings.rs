//! The targets and their runner find what there is to find.
#![cfg(test)]

use std::panic::catch_unwind;
use std::process::Command;

use sluice_fuzz::mutate::{Random, mutated};

/// As good as any parser of one's own: it trusts a length.
fn careless(bytes: &[u8]) {
    if let [b'L', len, rest @ ..] = bytes {
        assert!(usize::from(*len) <= rest.len() || *len < 0xf0, "a length that is trusted");
    }
}

#[test]
fn a_length_that_is_trusted_is_found() {
    let corpus = vec![b"L\x03abc".to_vec()];
    let mut random = Random::new(1);
    let found = (0..20_000).any(|_| {
        let case = mutated(&mut random, &corpus, &[]);
        catch_unwind(|| careless(&case)).is_err()
    });
    assert!(found);
}

fn fuzz(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_fuzz")).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn the_runner_says_what_it_did_and_what_it_does_not_know() {
    let (code, text) = fuzz(&["--target", "texts", "--seconds", "0"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("texts: ") && text.contains(" kept cases, 0 changed ones"), "{text}");
    assert_eq!(fuzz(&["--target", "nothing"]).0, Some(2));
    assert_eq!(fuzz(&["--replay", "x"]).0, Some(2), "a case is one of a target");
    let (code, text) = fuzz(&["--target", "texts", "--replay", "not-there"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("not-there"), "{text}");
}
