//! `fuzz`: replays the kept corpus, then goes on with changed cases of it, on any compiler.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command")]
#![expect(clippy::disallowed_methods, reason = "what is tested has no clock; how long it takes is what is looked for")]

mod memory;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sluice_fuzz::mutate::{Random, mutated};
use sluice_fuzz::{TARGETS, Target, seeds, target};
use sluice_transfer::sha256_hex;

const HELP: &str = "fuzz [--seconds N] [--seed N] [--target NAME]
                      the kept corpus, then N seconds (default 20) of changed cases, of each target or of one
fuzz --replay FILE --target NAME
                      one case
fuzz --seed-corpus    writes the made part of the corpus anew
fuzz --list           the targets";

/// A case that takes longer is a finding: no file of 64 KiB has so much in it.
const SLOW: Duration = Duration::from_secs(2);
/// One that takes longer may never end. Nothing stops it but the process's end.
const ENDLESS: Duration = Duration::from_secs(30);
/// What the process may hold at once, the corpus and all that the target keeps for itself included.
const LARGEST_MEMORY_KIB: u64 = 512 << 10;
/// Cases between two looks at the memory.
const LOOK_EVERY: usize = 64;

/// The case that runs, for whoever watches.
type Running = Arc<Mutex<Option<(&'static str, Vec<u8>, Instant)>>>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut seconds, mut seed, mut only, mut replay) = (20, 1, None, None);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        match argument.as_str() {
            "--seconds" => seconds = value().parse().unwrap_or(0),
            "--seed" => seed = value().parse().unwrap_or(0),
            "--target" => only = Some(value()),
            "--replay" => replay = Some(value()),
            "--seed-corpus" => return written(),
            "--list" => {
                let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
                println!("{}", names.join("\n"));
                return ExitCode::SUCCESS;
            }
            _ => return usage(),
        }
    }
    let targets: Vec<&Target> = match &only {
        Some(name) => target(name).into_iter().collect(),
        None => TARGETS.iter().collect(),
    };
    if targets.is_empty() || (replay.is_some() && only.is_none()) {
        return usage();
    }
    quiet();
    let running = Running::default();
    watch(&running);
    let found = targets.into_iter().try_for_each(|target| match &replay {
        Some(file) => {
            let case = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
            attempt(target, &case, &running)
        }
        None => fuzz(target, Duration::from_secs(seconds), seed, &running),
    });
    match found {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{HELP}");
    ExitCode::from(2)
}

fn home() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Panics are told by whoever catches them.
fn quiet() {
    std::panic::set_hook(Box::new(|said| {
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = said.to_string();
    }));
}

static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// The made part of the corpus; what was found stays.
fn written() -> ExitCode {
    for target in TARGETS {
        let folder = home().join("corpus").join(target.name);
        for (name, bytes) in seeds(target.name) {
            let done = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(name), bytes));
            if let Err(error) = done {
                eprintln!("{}: {error}", folder.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// The corpus, and then what becomes of it.
fn fuzz(target: &'static Target, time: Duration, seed: u64, running: &Running) -> Result<(), String> {
    let corpus = corpus(&home().join("corpus").join(target.name))?;
    let begun = Instant::now();
    let mut memory = memory::Watch::new();
    for case in &corpus {
        memory.begin();
        attempt(target, case, running)?;
        large(target, memory.peak_kib(), std::slice::from_ref(case), running)?;
    }
    let (mut random, mut cases, mut batch) = (Random::new(seed), 0_u64, Vec::with_capacity(LOOK_EVERY));
    memory.begin();
    while begun.elapsed() < time {
        let case = mutated(&mut random, &corpus, target.tokens);
        attempt(target, &case, running)?;
        batch.push(case);
        cases += 1;
        if batch.len() == LOOK_EVERY {
            large(target, memory.peak_kib(), &batch, running)?;
            batch.clear();
            memory.begin();
        }
    }
    let took = begun.elapsed().as_secs_f64();
    let peak = memory.highest_kib().map_or("not measured here".to_owned(), |kib| format!("{} MiB", kib >> 10));
    println!("{}: {} kept cases, {cases} changed ones in {took:.0} s; peak memory {peak}", target.name, corpus.len());
    Ok(())
}

fn corpus(folder: &Path) -> Result<Vec<Vec<u8>>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
    }
    // The order of a directory is nobody's, that of a seed's cases has to be the same.
    files.sort();
    files.iter().map(std::fs::read).collect::<std::io::Result<_>>().map_err(failed)
}

/// Runs a case. A finding is kept, and told with the way to see it again.
fn attempt(target: &'static Target, case: &[u8], running: &Running) -> Result<(), String> {
    let mut quickest = Duration::MAX;
    // Another process may have had the processor: what is slow is slow three times.
    for _ in 0..3 {
        let begun = Instant::now();
        set(running, Some((target.name, case.to_vec(), begun)));
        let done = std::panic::catch_unwind(|| (target.run)(case));
        set(running, None);
        if done.is_err() {
            let said = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(kept(target.name, case, &said));
        }
        quickest = quickest.min(begun.elapsed());
        if quickest < SLOW {
            return Ok(());
        }
    }
    Err(kept(target.name, case, &format!("it takes {:.1} s", quickest.as_secs_f64())))
}

/// Which of these cases held too much, if together they did.
fn large(target: &'static Target, peak: Option<u64>, cases: &[Vec<u8>], running: &Running) -> Result<(), String> {
    if peak.is_none_or(|kib| kib <= LARGEST_MEMORY_KIB) {
        return Ok(());
    }
    let mut largest = (0, &[][..]);
    for case in cases {
        let mut memory = memory::Watch::new();
        memory.begin();
        attempt(target, case, running)?;
        largest = largest.max((memory.peak_kib().unwrap_or(0), case));
    }
    Err(kept(target.name, largest.1, &format!("{} MiB are held at once", largest.0 >> 10)))
}

fn set(running: &Running, case: Option<(&'static str, Vec<u8>, Instant)>) {
    *running.lock().unwrap_or_else(PoisonError::into_inner) = case;
}

/// Ends the process with a case that does not end.
fn watch(running: &Running) {
    let running = running.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let case = running.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some((target, case, begun)) = case
                && begun.elapsed() > ENDLESS
            {
                eprintln!("{}", kept(target, &case, "it does not end"));
                std::process::exit(1);
            }
        }
    });
}

/// Keeps a finding; answers what is to be said of it.
fn kept(target: &str, case: &[u8], what: &str) -> String {
    let folder = home().join("found");
    let file = folder.join(format!("{target}-{}", &sha256_hex(case)[..16]));
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, case));
    let place = match kept {
        Ok(()) => file.display().to_string(),
        Err(error) => format!("(it could not be kept: {error})"),
    };
    format!(
        "FOUND {target}, {} bytes: {what}\nto see it again: cargo run -p sluice-fuzz -- --target {target} --replay {place}",
        case.len()
    )
}
