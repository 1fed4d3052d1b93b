//! `simulate`: runs schedules, or replays one.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use sluice_simulation::{Guard, Tally, run};

const HELP: &str = "simulate [--schedules N] [--first SEED]   runs N schedules (default 20000)
simulate --seed N                         replays one and prints its steps
simulate … --without GUARD                with a guard taken out: epoch, head, closing, reconcile or landing";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut schedules, mut first, mut one, mut without) = (20_000, 0, None, None);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        let number = value.parse::<u64>().ok();
        match (argument.as_str(), number) {
            ("--schedules", Some(n)) => schedules = n,
            ("--first", Some(n)) => first = n,
            ("--seed", Some(n)) => one = Some(n),
            ("--without", _) if value == "epoch" => without = Some(Guard::EpochCondition),
            ("--without", _) if value == "head" => without = Some(Guard::HeadAfterComplete),
            ("--without", _) if value == "closing" => without = Some(Guard::ClosingAhead),
            ("--without", _) if value == "reconcile" => without = Some(Guard::Reconcile),
            ("--without", _) if value == "landing" => without = Some(Guard::LandingWait),
            _ => {
                eprintln!("{HELP}");
                return ExitCode::from(2);
            }
        }
    }
    if let Some(seed) = one {
        return match run(seed, without, true) {
            Ok(tally) => {
                println!("seed {seed}: all invariants hold; {tally:?}");
                ExitCode::SUCCESS
            }
            Err(failure) => {
                println!("{failure}");
                ExitCode::FAILURE
            }
        };
    }
    many(first, schedules, without)
}

/// Runs schedules on all cores; each is one thread's alone. The first that fails is replayed with its steps.
fn many(first: u64, schedules: u64, without: Option<Guard>) -> ExitCode {
    let next = AtomicU64::new(first);
    let failed = AtomicBool::new(false);
    let total = Mutex::new((Tally::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + schedules || failed.load(Ordering::Relaxed) {
                        return;
                    }
                    let outcome = run(seed, without, false);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    match outcome {
                        Ok(tally) => total.0 += tally,
                        Err(failure) => {
                            failed.store(true, Ordering::Relaxed);
                            total.1.push(failure.seed);
                        }
                    }
                }
            });
        }
    });
    let (tally, failures) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(seed) = failures.iter().min() {
        if let Err(failure) = run(*seed, without, true) {
            println!("{failure}");
        }
        println!("replay it with: tests/run --seed {seed}");
        return ExitCode::FAILURE;
    }
    println!("{schedules} schedules from seed {first}: all invariants hold; {tally:?}");
    ExitCode::SUCCESS
}
