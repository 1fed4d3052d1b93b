//! Status: what looks and changes nothing.

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;

use sluice_operations::{Code, Engine, Report, Settings, describe};
use sluice_transfer::TransferId;

use crate::args::{HostArgs, Status};
use crate::clock::sleep;
use crate::failure::Failure;
use crate::home::Home;
use crate::list::Local;
use crate::output::{self, Output, bytes, counted};
use crate::progress::{Meter, Show, TICK_MILLIS};

pub(crate) async fn status(host: &HostArgs, args: &Status, show: Show) -> Result<ExitCode, Failure> {
    let home = Home::open(host)?;
    let engine = home.looking(Settings::default());
    let id = match &args.id {
        Some(id) => id.clone(),
        None => match engine.checkpoints.transfers(&[], 1).await?.pop() {
            Some(latest) => latest.id,
            None => return Err(Failure::new(Code::TransferNotFound, "there are no transfers yet")),
        },
    };
    let report = if args.watch { watch(&home, &engine, &id, show).await? } else { describe(&engine, &id).await? };
    if !args.watch {
        note_abandoned(&home, &report);
    }
    match show.output {
        Output::Json => output::print_json(&Local::new(&home, report))?,
        Output::Text => output::print(&output::text_of(&report))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Says it if a transfer could go on and nobody lets it.
fn note_abandoned(home: &Home, report: &Report) -> bool {
    let abandoned = report.state.is_active() && !home.is_driven(&report.id);
    if abandoned {
        output::note(&format!("no process runs it; go on with: {}", home.hint(&format!("resume {}", report.id))));
    }
    abandoned
}

/// Shows each change until the transfer is no longer active. On a terminal a bar, else a line a change; for programs an
/// object a line.
async fn watch(home: &Home, engine: &Engine, id: &TransferId, show: Show) -> Result<Report, Failure> {
    let draws = show.output == Output::Text && stdout().is_terminal();
    let meter = if draws { Meter::new(show.progress) } else { Meter::Hidden };
    let mut last = String::new();
    let mut noted = false;
    loop {
        let report = describe(engine, id).await?;
        if !report.state.is_active() {
            meter.clear();
            return Ok(report);
        }
        if !noted && !home.is_driven(id) {
            noted = note_abandoned(home, &describe(engine, id).await?);
        }
        match (show.output, meter.every()) {
            (Output::Json, _) => changed(&mut last, output::json_line(&Local::new(home, report))?)?,
            (Output::Text, None) => changed(&mut last, line(&report))?,
            (Output::Text, Some(_)) => meter.show(&report),
        }
        sleep(if draws { meter.every().unwrap_or(TICK_MILLIS) } else { TICK_MILLIS }).await;
    }
}

/// Prints what is not what was printed last.
fn changed(last: &mut String, text: String) -> Result<(), Failure> {
    if text != *last {
        output::print(&text)?;
        *last = text;
    }
    Ok(())
}

fn line(report: &Report) -> String {
    let (events, bytes) = (counted(report.events, "event"), bytes(report.bytes));
    format!("{}  {}  {events}  {bytes}\n", report.state, output::share(report.progress))
}
