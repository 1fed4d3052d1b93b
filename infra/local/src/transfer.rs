//! Export, import and resume: a transfer is planned, driven to its end, and told about.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::process::ExitCode;

use sluice_operations::{Begun, Code, Engine, Report, Runner, Wish, begin, describe};
use sluice_transfer::record::TransferRecord;
use sluice_transfer::{Call, ExportRequest, ImportRequest, Kind, Request, State, TransferId, Wanted};

use crate::args::{Export, HostArgs, Import, Limit, Resume, SliceArgs};
use crate::clock::{SystemClock, now, sleep};
use crate::drive::{Driver, SliceBounds};
use crate::failure::Failure;
use crate::home::Home;
use crate::output::{self, Output, exit_of};
use crate::places::is_local;
use crate::progress::{Meter, Show};
use crate::series;
use crate::signals::{KILLED, Signals};
use crate::stop::{GRACE_MILLIS, REST_MILLIS, obeying, rest_is_wanted};

/// A wait where nobody looks.
const UNSEEN_MILLIS: u64 = 60_000;
/// Exit code of a transfer that was stopped, as of one that is paused.
const STOPPED: u8 = 3;

/// How a transfer is driven, which is no part of its request.
#[derive(Clone, Copy)]
pub(crate) struct How {
    pub bounds: SliceBounds,
    /// It was there before, and its request is the one on record.
    pub resumed: bool,
    /// A limit that it has is lifted.
    pub unlimited: bool,
}

impl How {
    fn started(slices: SliceArgs, rate: Option<Limit>) -> Self {
        Self { bounds: slices.into(), resumed: false, unlimited: rate == Some(Limit(None)) }
    }
}

pub(crate) async fn export(host: &HostArgs, args: Export, show: Show) -> Result<ExitCode, Failure> {
    // A stream of the home is there already, or there is no such stream.
    let home = if is_local(&args.stream) { Home::open(host)? } else { Home::create(host)? };
    let rate = args.rate;
    let request = ExportRequest {
        series: args.series,
        format: args.format,
        compression: args.compression,
        from: args.from,
        until: args.until,
        object_size: args.object_size,
        part_size: args.part_size,
        deaggregate: args.deaggregate,
        read_share: args.read_share,
        read: args.read,
        rate: rate.and_then(|Limit(rate)| rate),
        ..ExportRequest::new(args.stream, args.bucket)
    };
    let how = How::started(args.slices, rate);
    if request.series.is_some() {
        return series::export(&home, request, args.take_over, how, show).await;
    }
    start(&home, args.id, Request::Export(request), how, show).await
}

pub(crate) async fn import(host: &HostArgs, args: Import, show: Show) -> Result<ExitCode, Failure> {
    let home = Home::create(host)?;
    let rate = args.rate;
    let request = ImportRequest {
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
        all_files: args.all_files,
        pack: args.pack,
        append: args.append,
        create_target: args.create_target,
        placement: args.placement,
        order: args.order,
        pace: args.pace,
        on_misfit: args.on_misfit,
        rate: rate.and_then(|Limit(rate)| rate),
    };
    let how = How::started(args.slices, rate);
    if let Some(name) = &args.series {
        return series::import(&home, (args.id, name), request, how, show).await;
    }
    start(&home, args.id, Request::Import(request), how, show).await
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
    let how = How { bounds, resumed: true, unlimited: false };
    run(&home, &engine, &id, &request, how, show).await
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
    how: How,
    show: Show,
) -> Result<ExitCode, Failure> {
    let engine = home.engine(how.bounds.settings()).await?;
    let id = match id {
        Some(id) => id,
        None => new_id(request.kind())?,
    };
    run(home, &engine, &id, &request, how, show).await
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
pub(crate) async fn run(
    home: &Home,
    engine: &Engine,
    id: &TransferId,
    request: &Request,
    how: How,
    show: Show,
) -> Result<ExitCode, Failure> {
    let lock = home.lock(id).await?;
    let mut signals = Signals::listen()?;
    let meter = &Meter::new(show.progress);
    let (stop, runs) = (&Cell::new(false), &Cell::new(false));
    let waits_for = RefCell::new(None);
    let trouble = |what: Option<&str>| {
        if let Some(what) = what {
            meter.say(&format!("waiting: {what}"));
        }
        waits_for.replace(what.map(str::to_owned));
    };
    let trouble = &trouble;
    // The lock is given back as soon as there is nothing to drive any more.
    let driven = async move {
        let driver = Driver::new(engine, id, request.kind(), how.bounds, &lock).telling(trouble);
        let begun = begin_with(home, engine, id, request, how, (meter, &driver)).await?;
        if begun.call != Call::End {
            runs.set(begun.transfer.wanted != Wanted::Cancelled);
            if stop.get() {
                sluice_operations::pause(engine, id).await?;
            }
            driver.run(begun.call).await?;
        }
        drop(lock);
        Ok::<(), Failure>(())
    };
    // On the heap: it holds all that a slice does.
    let asked = async {
        tokio::select! {
            () = signalled(home, engine, id, &mut signals, meter, stop) => {}
            () = rest_is_wanted(engine, id, runs) => {}
        }
    };
    let driven = obeying(&SystemClock, Box::pin(driven), Box::pin(asked), GRACE_MILLIS);
    let end = tokio::select! {
        end = driven => end,
        () = Box::pin(keep_shown(engine, id, meter)) => None,
        () = killed(Signals::listen()?, meter) => None,
    };
    if let Some(end) = end {
        meter.clear();
        end?;
        return tell(home, &describe(engine, id).await?, show.output);
    }
    let rest = Box::pin(bring_to_rest(home, engine, id, request.kind()));
    let rested = obeying(&SystemClock, rest, async {}, REST_MILLIS).await;
    meter.clear();
    match rested {
        Some(Ok(())) => tell(home, &describe(engine, id).await?, show.output),
        Some(Err(failure)) if failure.code == Code::TransferNotFound.to_string() => {
            output::note("stopped before anything was planned; nothing was moved");
            Ok(ExitCode::from(STOPPED))
        }
        Some(Err(_)) | None => {
            let waited = waits_for.take().unwrap_or_else(|| "a store that takes long to answer".to_owned());
            tell_stopped(home, &describe(engine, id).await?, &waited, show.output)
        }
    }
}

/// Answers at a signal, once the wish to come to rest is on record, or takes long to get there.
async fn signalled(
    home: &Home,
    engine: &Engine,
    id: &TransferId,
    signals: &mut Signals,
    meter: &Meter,
    stop: &Cell<bool>,
) {
    signals.next().await;
    stop.set(true);
    let resume = home.hint(&format!("resume {id}"));
    meter.say(&format!("coming to rest; once more kills (`{resume}` goes on in any case)"));
    // Where the table does not answer either, that is not waited for.
    obeying(&SystemClock, ask_for_rest(engine, id), async {}, GRACE_MILLIS / 2).await;
}

/// Ends the process at the second signal.
async fn killed(mut signals: Signals, meter: &Meter) {
    signals.next().await;
    signals.next().await;
    meter.clear();
    std::process::exit(KILLED)
}

/// Shows how far it is, for as long as it is asked to. A read that retention overtakes is said once.
async fn keep_shown(engine: &Engine, id: &TransferId, meter: &Meter) {
    let mut warned = false;
    loop {
        sleep(meter.every().unwrap_or(UNSEEN_MILLIS)).await;
        // What cannot be described now can be the next time.
        let Ok(report) = describe(engine, id).await else { continue };
        if let Some(warning) = output::overtaken(&report).filter(|_| !warned) {
            meter.say(&warning);
            warned = true;
        }
        if meter.every().is_some() {
            meter.show(&report);
        }
    }
}

/// Brings to rest what was dropped on its way.
async fn bring_to_rest(home: &Home, engine: &Engine, id: &TransferId, kind: Kind) -> Result<(), Failure> {
    let lock = home.lock(id).await?;
    if stored(engine, id).await?.wanted == Wanted::Running {
        sluice_operations::pause(engine, id).await?;
    }
    while Driver::new(engine, id, kind, SliceBounds::default(), &lock).settle().await? != Call::End {}
    Ok(())
}

/// Begins with a transfer, and says what its plan noted, or that there is nothing to drive.
async fn begin_with(
    home: &Home,
    engine: &Engine,
    id: &TransferId,
    request: &Request,
    how: How,
    (meter, driver): (&Meter, &Driver<'_>),
) -> Result<Begun, Failure> {
    let wish = if how.resumed { Wish::Resume } else { Wish::Start(request) };
    // Who holds the lock runs it alone.
    let deadline = Some(now().plus_millis(how.bounds.seconds * 1_000));
    let mut begun = begin(engine, id, wish, Runner { execution: &execution(), alone: true, deadline }).await?;
    if begun.call == Call::Plan {
        let call = driver.plan().await?;
        // Its notes were not shown before.
        begun = Begun { transfer: stored(engine, id).await?, before: false, call };
    }
    if how.unlimited && begun.call != Call::End && begun.transfer.rate().is_some() {
        // A request without a rate would keep to the last one.
        sluice_operations::limit(engine, id, None).await?;
    }
    if !begun.before {
        for note in output::planned(&begun.transfer) {
            meter.say(&note);
        }
    } else if begun.call == Call::End {
        // It was driven to its end before: this is its result.
        meter.say(&ended_before(home, &begun.transfer));
    }
    Ok(begun)
}

/// What is to be said where a transfer is run again that came to its end.
fn ended_before(home: &Home, transfer: &TransferRecord) -> String {
    let id = &transfer.id;
    let what = match transfer.kind {
        Kind::Export => "export",
        Kind::Import => "import",
    };
    format!(
        "nothing was done: the {what} {id} is {} since {}; give another --id, or none, to begin a new one, or check this \
         one with: {}",
        transfer.state,
        transfer.updated_at,
        home.hint(&format!("verify {id}"))
    )
}

/// Reports a transfer that was stopped while it waited.
fn tell_stopped(home: &Home, report: &Report, waited: &str, output: Output) -> Result<ExitCode, Failure> {
    match output {
        Output::Json => output::print_json(report)?,
        Output::Text => output::print(&output::text_of(report))?,
    }
    output::note(&format!(
        "stopped while it waited for {waited}; what was in flight is sent again, nothing is lost; go on with: {}",
        home.hint(&format!("resume {}", report.id))
    ));
    Ok(ExitCode::from(STOPPED))
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
