//! Proof after the fact: reads everything again and changes nothing.
//!
//! An export is proved by its manifest and its objects: the segments are the ones that the root names, the objects
//! tile every shard's range, each has the size and the checksum that were sealed, and holds the events it says. An
//! import is proved by its target: read from where it began to where it ended, it has the digest of what was sent.
//!
//! It is sliced like a transfer, but leaves nothing behind that a later slice could find: all that one slice knows
//! goes to the next in a [`Progress`], whose size does not grow with the transfer.

mod export;
mod found;
mod import;
mod object;
mod place;
mod run;

pub use found::{Verdict, Verification};
pub use place::{PlaceVerification, verify_place};
pub use run::{Progress, VerifyCursor};

use sluice_transfer::record::Config;
use sluice_transfer::{State, Timestamp, TransferId};

use crate::engine::{Engine, Operation};
use crate::error::{Code, OperationError};
use run::{End, Run};

/// Verifies a transfer that is complete, or was cancelled. `seen` is told each time more bytes were read.
pub async fn verify(
    engine: &Engine,
    id: &TransferId,
    seen: &mut dyn FnMut(u64),
) -> Result<Verification, OperationError> {
    Ok(run(engine, id, None, None, seen).await?.verification)
}

/// Verifies from where the slice before left off, until `deadline`. Every slice comes further, be its deadline as
/// near as it may. A store in trouble while the records are read is an error; the slice can be run again.
pub async fn verify_slice(
    engine: &Engine,
    id: &TransferId,
    before: Option<Progress>,
    deadline: Timestamp,
    seen: &mut dyn FnMut(u64),
) -> Result<Progress, OperationError> {
    run(engine, id, before, Some(deadline), seen).await
}

fn run<'a>(
    engine: &'a Engine,
    id: &'a TransferId,
    before: Option<Progress>,
    deadline: Option<Timestamp>,
    seen: &'a mut dyn FnMut(u64),
) -> Operation<'a, Progress> {
    Box::pin(async move {
        let transfer = engine.transfer(id).await?;
        tracing::Span::current().record("generation", transfer.generation);
        let ended = matches!(
            transfer.state,
            State::Completed
                | State::CompletedWithGaps
                | State::CompletedWithMisfits
                | State::CompletedWithFailures
                | State::Cancelled
        );
        if !ended {
            return Err(OperationError::new(
                Code::IllegalState,
                format!("the transfer {id} is {}: there is nothing to prove before it is complete", transfer.state),
            ));
        }
        let progress = match before {
            Some(before) if before.verification.id != *id => {
                let what = format!("that verification is of the transfer {}, not of {id}", before.verification.id);
                return Err(OperationError::new(Code::Invalid, what));
            }
            Some(before) if before.done => return Ok(before),
            before => before,
        };
        let (found, at, fresh) = match progress {
            Some(before) => (before.verification, before.at, false),
            None => (Verification::new(id), VerifyCursor::default(), true),
        };
        let mut run = Run { engine, deadline, seen, fresh, came_further: false, found, at };
        let end = match &transfer.config {
            Config::Export(config) => export::verify(&mut run, &transfer, config).await?,
            Config::Import(config) => import::verify(&mut run, &transfer, config).await?,
        };
        let (verification, at) = (run.found, run.at);
        Ok(Progress { verification, done: end == End::All, at })
    })
}
