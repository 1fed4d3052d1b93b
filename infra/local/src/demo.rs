//! The main job on real bytes.
use std::process::ExitCode;
use crate::args::Demo;
use crate::failure::Failure;
use crate::output::Output;
pub(crate) async fn run(_: &Demo, _: Output) -> Result<ExitCode, Failure> {
    Err(Failure::usage("later"))
}
