//! Lambda as a host: what a function is told by its environment, its invocations, its logs and metrics, and the names
//! under which its errors reach Step Functions.
//!
//! The workflow (`infra/workflow/transfer.asl.json`) calls the functions and routes on what they answer; every decision
//! is made here or in the operations. Only ids travel between them.
//!
//! **Invariants.** Clients are built once a cold start. Nothing is spawned, and every call on a store ends before the
//! invocation's deadline: a frozen function has nothing to wake up to. No payload, event key or credential is logged.

mod answer;
mod begin;
mod clock;
mod command;
mod config;
mod end;
mod error;
mod function;
mod lane;
mod logs;
mod metrics;
mod move_slice;
#[cfg(test)]
mod rig;
mod settling;

pub use answer::{Next, SliceAnswer, SliceNext, Turn};
pub use begin::plan;
pub use command::{Command, Stopped};
pub use end::finish;
pub use error::Refused;
pub use function::{Host, Invocation, serve};
pub use move_slice::{export, import};
pub use settling::settle;
