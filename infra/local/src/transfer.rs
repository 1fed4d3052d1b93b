//! Export, import and resume: a transfer is planned, driven to its end, and told about.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::process::ExitCode;

use sluice_operations::{Code, Engine, Report, describe};
use sluice_transfer::record::TransferRecord;
use sluice_transfer::{ExportRequest, ImportRequest, Kind, Request, State, TransferId, Wanted};

use crate::args::{Export, HostArgs, Import, Limit, Resume};
use crate::clock::{now, sleep};
use crate::drive::{Driver, SliceBounds};
use crate::failure::Failure;
use crate::home::Home;
use crate::output::{self, Output, exit_of};
use crate::places::is_local;
use crate::progress::{Meter, Show};
use crate::signals::{KILLED, Signals};

pub(crate) async fn export(host: &HostArgs, args: Export, show: Show) -> Result<ExitCode, Failure> {
    // A stream of the home is there already, or there is no such stream.
    let home = if is_local(&args.stream) { Home::open(host)? } else { Home::create(host)? };
    let request = Request::Export(ExportRequest {
        stream: args.stream,
        to: args.bucket,
        format: args.format,
        compression: args.compression,
        from: args.from,
        until: args.until,
        object_size: args.object_size,
        part_size: args.part_size,
        rate: args.rate,
    });
    start(&home, args.id, request, args.slices.into(), show).await
}

pub(crate) async fn import(host: &HostArgs, args: Import, show: Show) -> Result<ExitCode, Failure> {
    let home = Home::create(host)?;
    let request = Request::Import(ImportRequest {
        source: args.source,
        stream: args.stream,
        from: args.from,
        until: args.until,
        format: args.format,
        compression: args.compression,
        payload_field: args.payload_field,
        key_field: args.key_field,
        time_field: args.time_field,
        event_size: args.event_size,
        pack: args.pack,
        append: args.append,
        rate: args.rate,
    });
    start(&home, args.id, request, args.slices.into(), show).await
}

pub(crate) async fn resume(host: &HostArgs, args: Resume, show: Show) -> Result<ExitCode, Failure> {
    let home = Home::open(host)?;
    let bounds = SliceBounds::from(args.slices);
    let engine = home.engine(bounds.settings()).await?;
    let id = args.id;
    let record = stored(&engine, &id).await?;
    if let Some(Limit(rate)) = args.rate
        && !record.state.is_final()
        && !home.is_driven(&id)
    {
        sluice_operations::limit(&engine, &id, rate).await?;
    }
    // What it was asked for at first must not undo what was said since.
    let request = record.request.without_rate();
    run(&home, &engine, &id, &request, bounds, show, true).await
}

/// The record of a transfer that must be there.
pub(crate) async fn stored(engine: &Engine, id: &TransferId) -> Result<TransferRecord, Failure> {
    engine.checkpoints.transfer(id).await?.ok_or_else(|| {
        Failure::new(Code::TransferNotFound, format!("there is no transfer '{id}'; `sluice list` shows them"))
    })
}

async fn start(
    home: &Home,
    id: Option<TransferId>,
    request: Request,
    bounds: SliceBounds,
    show: Show,
) -> Result<ExitCode, Failure> {
    let engine = home.engine(bounds.settings()).await?;
    let id = match id {
        Some(id) => id,
        None => new_id(request.kind())?,
    };
    run(home, &engine, &id, &request, bounds, show, false).await
}

/// A name such as `export-20261122-084419-3f9a`.
pub(crate) fn new_id(kind: Kind) -> Result<TransferId, Failure> {
    let kind = match kind {
        Kind::Export => "export",
        Kind::Import => "import",
    };
    let time = jiff::Timestamp::from_microsecond(now().micros())
        .map(|time| time.strftime("%Y%m%d-%H%M%S").to_string())
        .map_err(|error| Failure::new(Code::Defect, format!("the clock: {error}")))?;
    // Seeded anew by the system for each process.
    let random = RandomState::new().build_hasher().finish() & 0xffff;
    format!("{kind}-{time}-{random:04x}")
        .parse()
        .map_err(|error: sluice_transfer::NameError| Failure::new(Code::Defect, error.to_string()))
}

/// Drives a transfer to its end or to rest, shows its progress, listens for signals, and tells what came of it.
async fn run(
    home: &Home,
    engine: &Engine,
    id: &TransferId,
    request: &Request,
    bounds: SliceBounds,
    show: Show,
    resumed: bool,
) -> Result<ExitCode, Failure> {
    let lock = home.lock(id).await?;
    let mut signals = Signals::listen()?;
    let meter = Meter::new(show.progress);
    let stop = &Cell::new(false);
    // The lock is given back as soon as there is nothing to drive any more.
    let driven = async move {
        if prepare(engine, id, request, resumed).await? {
            if stop.get() {
                sluice_operations::pause(engine, id).await?;
            }
            Driver::new(engine, id, request.kind(), bounds, &lock).run().await?;
        }
        drop(lock);
        Ok::<(), Failure>(())
    };
    // On the heap: it holds all that a slice does.
    let mut driven = Box::pin(driven);
    let end = loop {
        tokio::select! {
            end = &mut driven => break end,
            () = signals.next() => {
                if stop.replace(true) {
                    meter.clear();
                    std::process::exit(KILLED);
                }
                meter.say(&format!("coming to rest; once more kills (`{}` goes on in any case)", home.hint(&format!("resume {id}"))));
                ask_for_rest(engine, id).await;
            }
            () = sleep(meter.every().unwrap_or_default()), if meter.every().is_some() => {
                // What cannot be described now can be the next time.
                if let Ok(report) = describe(engine, id).await {
                    meter.show(&report);
                }
            }
        }
    };
    meter.clear();
    end?;
    tell(home, &describe(engine, id).await?, show.output)
}

/// Plans a transfer, or finds it and wakes it up. Answers whether there is anything to drive.
async fn prepare(engine: &Engine, id: &TransferId, request: &Request, resumed: bool) -> Result<bool, Failure> {
    let known = engine.checkpoints.transfer(id).await?;
    let wanted = known.as_ref().map(|transfer| (transfer.state, transfer.wanted));
    let transfer = match wanted {
        // Somebody cancelled it and its process died: what is left to do is to give it up.
        Some((state, Wanted::Cancelled)) if state.is_active() => return Ok(true),
        _ => sluice_operations::plan(engine, id, request, &execution()).await?.transfer,
    };
    let at_rest = matches!(transfer.state, State::Paused | State::Failed);
    let paused = transfer.state.is_active() && known.is_some() && transfer.wanted == Wanted::Paused;
    if at_rest || paused {
        sluice_operations::resume(engine, id, &execution()).await?;
    } else if resumed && transfer.state == State::Cancelled {
        // Says why it cannot be resumed.
        sluice_operations::resume(engine, id, &execution()).await?;
    } else if !transfer.state.is_active() {
        // It was driven to its end before: this is its result.
        return Ok(false);
    }
    Ok(true)
}

fn execution() -> String {
    format!("local-{}", std::process::id())
}

async fn ask_for_rest(engine: &Engine, id: &TransferId) {
    match sluice_operations::pause(engine, id).await {
        Ok(_) => {}
        // It is not planned yet, or at its end already: the one is asked again later, the other needs nothing.
        Err(error) if matches!(error.code, Code::TransferNotFound | Code::IllegalState) => {}
        Err(error) => output::note(&format!("error: the pause could not be put on record: {error}")),
    }
}

/// Tells what a transfer came to.
pub(crate) fn tell(home: &Home, report: &Report, output: Output) -> Result<ExitCode, Failure> {
    if let Some(error) = &report.error {
        output::note(&format!("error: {}", error.message));
    }
    match output {
        Output::Json => output::print_json(report)?,
        Output::Text => output::print(&output::text_of(report))?,
    }
    let go_on = || home.hint(&format!("resume {}", report.id));
    let code = report.error.as_ref().and_then(|error| Code::named(&error.code));
    match report.state {
        State::Failed if code.is_some_and(Code::is_for_good) => {
            output::note(&format!("it cannot go on; give it up with: {}", home.hint(&format!("cancel {}", report.id))));
        }
        State::Failed => output::note(&format!("it can go on once that is mended: {}", go_on())),
        State::Paused | State::Preparing => output::note(&format!("paused; go on with: {}", go_on())),
        _ => {}
    }
    Ok(ExitCode::from(exit_of(report.state)))
}
