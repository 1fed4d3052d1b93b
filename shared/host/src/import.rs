//! `import`: one slice of a lane of an import.

use sluice_transfer::Kind;

use crate::answer::SliceAnswer;
use crate::error::Refused;
use crate::function::{Host, Invocation};
use crate::slice::{Handed, slice};

/// Imports a slice.
pub async fn import(host: &Host, handed: Handed, invocation: &Invocation) -> Result<SliceAnswer, Refused> {
    slice(host, Kind::Import, handed, invocation).await
}
