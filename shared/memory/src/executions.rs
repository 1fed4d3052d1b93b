//! Executions in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sluice_ports::{Execution, Executions, Launched, Result};

/// Executions that a test begins and ends by hand. Their full names are `execution:NAME`.
#[derive(Clone, Debug, Default)]
pub struct MemoryExecutions {
    known: Arc<Mutex<BTreeMap<String, (String, Execution)>>>,
}

impl MemoryExecutions {
    /// The full name of an execution.
    pub fn full(name: &str) -> String {
        format!("execution:{name}")
    }

    /// An execution that somebody else has started runs.
    pub fn run(&self, name: &str, input: &str) {
        self.known().insert(Self::full(name), (input.to_owned(), Execution::Runs));
    }

    /// An execution ends.
    pub fn end(&self, name: &str, status: &str) {
        let ended = Execution::Ended { status: status.to_owned(), why: String::new() };
        if let Some((_, stands)) = self.known().get_mut(&Self::full(name)) {
            *stands = ended;
        }
    }

    /// The inputs of all executions, by their full names.
    pub fn inputs(&self) -> BTreeMap<String, String> {
        self.known().iter().map(|(name, (input, _))| (name.clone(), input.clone())).collect()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, (String, Execution)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Executions for MemoryExecutions {
    async fn look(&self, execution: &str) -> Result<Execution> {
        Ok(self.known().get(execution).map_or(Execution::Gone, |(_, stands)| stands.clone()))
    }

    async fn launch(&self, name: &str, input: &str) -> Result<Launched> {
        let full = Self::full(name);
        let mut known = self.known();
        match known.get(&full) {
            // As Step Functions does: who asks twice for the same means one execution.
            Some((same, Execution::Runs)) if same == input => return Ok(Launched::Now(full)),
            Some(_) => return Ok(Launched::Before),
            None => {}
        }
        known.insert(full.clone(), (input.to_owned(), Execution::Runs));
        Ok(Launched::Now(full))
    }
}
