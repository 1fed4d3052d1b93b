//! Executions: runs of the workflow that chains the functions.

use async_trait::async_trait;

use crate::Result;

/// How an execution stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Execution {
    /// It runs, or may still start.
    Runs,
    /// It has ended.
    Ended {
        /// How, in the workflow's own word, such as ABORTED.
        status: String,
        /// What it says of the reason; empty if it says nothing.
        why: String,
    },
    /// There is none of that name, or none any more: Step Functions forgets an execution 90 days after its end (API
    /// reference, `DescribeExecution`).
    Gone,
}

/// The answer to starting an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Launched {
    /// It runs; its full name. It may have been started before, with the same input.
    Now(String),
    /// One of that name has ended, or runs with another input.
    Before,
}

/// Executions of the stack's own workflow. Only a host that has one has these: the engine knows none.
#[async_trait]
pub trait Executions: Send + Sync {
    /// How an execution stands. `execution` is its full name, as a transfer's record keeps it.
    ///
    /// # Errors
    /// `Denied` for an execution of another workflow; `Invalid` for what is no execution's name.
    async fn look(&self, execution: &str) -> Result<Execution>;

    /// Starts an execution with this input, a JSON text.
    ///
    /// # Errors
    /// `Indeterminate` if it may have been started: the same name may be started again.
    async fn launch(&self, name: &str, input: &str) -> Result<Launched>;
}
