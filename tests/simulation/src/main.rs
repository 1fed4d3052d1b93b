//! `simulate`: runs schedules, or replays one.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use sluice_simulation::{Edits, Guard, Tally, run_edited, shrink};

const HELP: &str = "simulate [--schedules N] [--first SEED]   runs N schedules (default 20000)
simulate --seed N                         replays one and prints its steps
simulate --seed N --story EDITS           replays what is left of it, as a failure was told
simulate … --without GUARD                with a guard taken out: epoch, head, closing, reconcile, landing,
                                          continued, lineage, placement, horizon or misfit";

const GUARDS: [(&str, Guard); 10] = [
    ("epoch", Guard::EpochCondition),
    ("head", Guard::HeadAfterComplete),
    ("closing", Guard::ClosingAhead),
    ("reconcile", Guard::Reconcile),
    ("landing", Guard::LandingWait),
    ("continued", Guard::Continued),
    ("lineage", Guard::Lineage),
    ("placement", Guard::Placement),
    ("horizon", Guard::Horizon),
    ("misfit", Guard::MisfitFirst),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut schedules, mut first, mut one, mut without, mut edits) = (20_000, 0, None, None, Edits::default());
    while let Some(argument) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        let number = value.parse::<u64>().ok();
        let guard = GUARDS.iter().find(|(name, _)| *name == value);
        match (argument.as_str(), number, guard, value.parse()) {
            ("--schedules", Some(n), ..) => schedules = n,
            ("--first", Some(n), ..) => first = n,
            ("--seed", Some(n), ..) => one = Some(n),
            ("--without", _, Some((_, guard)), _) => without = Some(*guard),
            ("--story", _, _, Ok(story)) => edits = story,
            _ => {
                eprintln!("{HELP}");
                return ExitCode::from(2);
            }
        }
    }
    if let Some(seed) = one {
        return match run_edited(seed, without, &edits, true) {
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

/// Runs schedules on all cores, each on one thread. The first that fails is shrunk and printed.
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
                    let outcome = run_edited(seed, without, &Edits::default(), false);
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
        tell(*seed, without);
        return ExitCode::FAILURE;
    }
    println!("{schedules} schedules from seed {first}: all invariants hold; {tally:?}");
    ExitCode::SUCCESS
}

/// Prints the shrunk story of a failing schedule, and how to replay it.
fn tell(seed: u64, without: Option<Guard>) {
    let guard = GUARDS.iter().find(|(_, guard)| Some(*guard) == without);
    let guard = guard.map_or_else(String::new, |(name, _)| format!(" --without {name}"));
    if let Some(shrunk) = shrink(seed, without) {
        let (whole, left) = (shrunk.whole, shrunk.edits.left(shrunk.whole));
        println!("{}", shrunk.failure);
        println!("of {whole} faults and the like {left} matter; the short story:");
        println!("    tests/run --seed {seed}{guard} --story '{}'", shrunk.edits);
    }
    println!("the whole schedule: tests/run --seed {seed}{guard}");
}
