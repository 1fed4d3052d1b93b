//! The use cases of Sluice, one file each: plan, export a slice, import a slice, settle, finish, verify, and what a
//! person does from outside (pause, resume, cancel, look).
//!
//! Each is safe to run twice, late, or never to its end. A host calls them in a loop and routes on what they answer;
//! it decides nothing. They know ports, never an adapter.
//!
//! **Invariant.** Nothing here outlives its call: no task is spawned, and every call on a port ends before the
//! slice's deadline or is dropped there.

mod control;
mod engine;
mod error;
mod export;
mod finish;
mod held;
mod import;
mod listing;
mod objects;
mod plan;
mod report;
mod settle;
mod slice;
mod verify;

pub use control::{cancel, pause, resume, stopped};
pub use engine::{Engine, Settings};
pub use error::{Code, OperationError};
pub use export::export_slice;
pub use finish::{Finish, finish};
pub use import::import_slice;
pub use plan::{Planned, bounds, plan};
pub use report::{Report, describe, list};
pub use settle::{Settled, settle};
pub use slice::{SliceOrder, SliceOutcome};
pub use verify::{Progress, Verdict, Verification, VerifyCursor, verify, verify_slice};
