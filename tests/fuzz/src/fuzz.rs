//! `fuzz`: the targets under libFuzzer, which owns `main`. `tests/fuzz/run` builds and starts it.
#![no_main]

use std::sync::OnceLock;

use sluice_fuzz::{PLANTED, TARGETS, Target, target};

/// The target that `FUZZ_TARGET` names.
fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&'static Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        if name == PLANTED.name {
            return &PLANTED;
        }
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET is {name:?}; targets are {}", names.join(", ")))
    })
}

libfuzzer_sys::fuzz_target!(init: { chosen(); }, |bytes: &[u8]| (chosen().run)(bytes));
