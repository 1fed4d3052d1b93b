//! The use cases of Sluice: plan, export a slice, import a slice, settle, finish, verify, and what a person does from
//! outside (pause, resume, cancel, look).
//!
//! Each is safe to run twice, late, or never to its end. A host calls them in a loop and routes on what they answer;
//! it decides nothing. They know ports, never an adapter.
//!
//! The files have an order, which a test holds (`tests/simulation/tests/architecture.rs`): each uses only files below
//! its own.
//!
//! **Invariant.** Nothing here outlives its call: no task is spawned, and every call on a port ends before the
//! slice's deadline or is dropped there, which the decorators in `stores` see to.

mod archive;
mod begin;
mod call;
mod claimed;
mod control;
mod ending;
mod engine;
mod error;
mod export;
mod finish;
mod import;
mod lane;
mod listing;
mod objects;
mod plan;
mod records;
mod removal;
mod replay;
mod report;
mod rest;
mod retention;
mod rules;
mod series;
mod settle;
mod slice;
mod stores;
mod sweep;
mod verify;

pub use archive::{Archive, ArchivedExport, archive};
pub use begin::{Begun, Runner, Wish, begin};
pub use call::call;
pub use control::{cancel, limit, pause, resume, stopped};
pub use engine::{Engine, Hints, Operation, Settings};
pub use error::{Code, OperationError};
pub use export::run::export_slice;
pub use finish::finish;
pub use import::run::import_slice;
pub use plan::{Planned, bounds, check_bounds, check_ends, check_order, plan};
pub use removal::{Owned, OwnedObject, ended, kept_for_import, owned};
pub use replay::Replay;
pub use report::{FoundSoFar, GapRange, Report, ReportedRun, StoredMisfits, Transfers, describe, transfers};
pub use retention::Retention;
pub use rules::{
    AfterRefusal, Arrival, GivenUp, RemovedRule, RuleReport, RuleStep, arrive, drain_rule, give_up_run, list_rules,
    make_rule, note_series_run, refused_run, remove_rule, show_rule,
};
pub use series::{CompleteRun, NextRun, SeriesOrder, last_run, next_run, runs};
pub use settle::settle;
pub use slice::SliceOrder;
pub use sluice_transfer::{Finish, Planning, Settled, SliceOutcome};
pub use sweep::{LeftOpen, abort_left_open, mark, open_uploads};
pub use verify::{
    PlaceVerification, Progress, Verdict, Verification, VerifyCursor, verify, verify_place, verify_slice,
};
