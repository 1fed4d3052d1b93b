//! The clock and the processor's time, around a job and not around its preparation.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::Result;

/// When a job began.
pub(crate) struct Job {
    began: Instant,
    cpu: Option<Duration>,
}

/// What it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    seconds: f64,
    /// None where the system does not tell it.
    cpu: Option<f64>,
}

impl Job {
    pub(crate) fn begin() -> Self {
        Self { cpu: cpu(), began: Instant::now() }
    }

    pub(crate) fn end(&self) -> Took {
        let seconds = self.began.elapsed().as_secs_f64();
        let cpu = self.cpu.zip(cpu()).map(|(before, after)| after.saturating_sub(before).as_secs_f64());
        Took { seconds, cpu }
    }
}

/// Time on a processor of all threads that are alive: to the nanosecond, where the process's own account is in ticks.
fn cpu() -> Option<Duration> {
    let mut nanos = 0_u64;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanos += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanos))
}

/// One line for `bench.py`.
pub(crate) fn tell(bytes: usize, took: Took, more: &[(&str, Value)]) -> Result<()> {
    let mut line = Map::new();
    line.insert("bytes".to_owned(), json!(bytes));
    line.insert("seconds".to_owned(), json!(took.seconds));
    line.insert("cpu".to_owned(), json!(took.cpu));
    line.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

impl Took {
    /// As a value of its own, where a job has more than one stretch.
    pub(crate) fn to_json(self) -> Value {
        json!({ "seconds": self.seconds, "cpu": self.cpu })
    }
}
