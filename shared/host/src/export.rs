//! `export`: one slice of a lane of an export.

use sluice_transfer::Kind;

use crate::answer::SliceAnswer;
use crate::error::Refused;
use crate::function::{Host, Invocation};
use crate::slice::{Handed, slice};

/// Exports a slice.
pub async fn export(host: &Host, handed: Handed, invocation: &Invocation) -> Result<SliceAnswer, Refused> {
    slice(host, Kind::Export, handed, invocation).await
}
