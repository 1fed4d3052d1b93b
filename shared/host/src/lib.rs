//! Lambda as a host: what a function is told by its environment, its invocations, its logs and metrics, and the names
//! under which its errors reach Step Functions.
//!
//! The workflow (`infra/workflow/transfer.asl.json`) calls the functions and routes on what they answer; every decision
//! is made here or in the operations. Only ids travel between them.
//!
//! **Invariants.** Clients are built once a cold start. Nothing is spawned, and every call on a store ends before the
//! invocation's deadline: a frozen function has nothing to wake up to. No payload, event key or credential is logged.

mod answer;
mod clock;
mod command;
mod config;
mod error;
mod export;
mod finish;
mod function;
mod import;
mod lane;
mod logs;
mod metrics;
mod plan;
#[cfg(test)]
mod rig;
mod settle;
mod slice;
mod sweep;

pub use answer::{Next, SliceAnswer, SliceNext, Turn};
pub use command::{Command, Stopped};
pub use error::Refused;
pub use export::export;
pub use finish::finish;
pub use function::{Function, Host, Invocation, OpenExecutions};
pub use import::import;
pub use plan::plan;
pub use settle::settle;
pub use sweep::{Swept, sweep};
