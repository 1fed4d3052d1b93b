//! Pause, cancel and another rate, from another process than the one that runs the transfer, or when none does.

use std::process::ExitCode;

use sluice_operations::{Engine, describe};
use sluice_transfer::TransferId;
use sluice_transfer::record::TransferRecord;

use crate::args::{HostArgs, Rate};
use crate::clock::sleep;
use crate::drive::{Driver, SliceBounds};
use crate::failure::Failure;
use crate::home::Home;
use crate::output::{self, Output};
use crate::transfer::stored;

/// So long this command waits for another process to bring a transfer to rest, in looks and milliseconds between them.
const LOOKS: u32 = 600;
const LOOK_MILLIS: u64 = 100;

pub(crate) async fn pause(host: &HostArgs, id: &TransferId, output: Output) -> Result<ExitCode, Failure> {
    let home = Home::open(host)?;
    let engine = home.engine(SliceBounds::default().settings()).await?;
    let wanted = sluice_operations::pause(&engine, id).await?;
    quiesce(&home, &engine, &wanted).await?;
    show(&engine, id, output).await
}

pub(crate) async fn cancel(host: &HostArgs, id: &TransferId, output: Output) -> Result<ExitCode, Failure> {
    let home = Home::open(host)?;
    let engine = home.engine(SliceBounds::default().settings()).await?;
    let wanted = sluice_operations::cancel(&engine, id).await?;
    quiesce(&home, &engine, &wanted).await?;
    show(&engine, id, output).await
}

pub(crate) async fn rate(host: &HostArgs, args: &Rate, output: Output) -> Result<ExitCode, Failure> {
    let home = Home::open(host)?;
    let engine = home.engine(SliceBounds::default().settings()).await?;
    sluice_operations::limit(&engine, &args.id, args.rate.0).await?;
    show(&engine, &args.id, output).await
}

/// Waits until whoever runs the transfer has brought it to rest, or does it here if nobody runs it.
async fn quiesce(home: &Home, engine: &Engine, transfer: &TransferRecord) -> Result<(), Failure> {
    let id = &transfer.id;
    for _ in 0..LOOKS {
        let record = stored(engine, id).await?;
        if !record.state.is_active() {
            return Ok(());
        }
        if let Some(lock) = home.try_lock(id).await? {
            let waiting = |what: Option<&str>| {
                if let Some(what) = what {
                    output::note(&format!("waiting: {what}"));
                }
            };
            Driver::new(engine, id, transfer.kind, SliceBounds::default(), &lock).telling(&waiting).settle().await?;
            return Ok(());
        }
        sleep(LOOK_MILLIS).await;
    }
    let watch = home.hint(&format!("status {id} --watch"));
    output::note(&format!("the process that runs {id} is still winding down; watch it with: {watch}"));
    Ok(())
}

async fn show(engine: &Engine, id: &TransferId, output: Output) -> Result<ExitCode, Failure> {
    let report = describe(engine, id).await?;
    match output {
        Output::Json => output::print_json(&report)?,
        Output::Text => output::print(&output::text_of(&report))?,
    }
    Ok(ExitCode::SUCCESS)
}
