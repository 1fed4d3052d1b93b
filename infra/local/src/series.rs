//! Series of exports: the next run is made, or all runs are imported, one after the other.

use std::process::ExitCode;

use sluice_operations::{Code, NextRun, SeriesOrder, next_run, runs};
use sluice_transfer::{ExportRequest, ImportRequest, Request, SeriesName, State, TransferId};

use crate::failure::Failure;
use crate::home::Home;
use crate::output::{self, counted, exit_of};
use crate::progress::Show;
use crate::transfer::{How, run, stored};

/// Makes the next run of a series. A run before that is not at its end comes first, so that behind this everything is
/// exported that the stream held when this was called.
pub(crate) async fn export(
    home: &Home,
    request: ExportRequest,
    take_over: bool,
    how: How,
    show: Show,
) -> Result<ExitCode, Failure> {
    let engine = home.engine(how.bounds.settings()).await?;
    let mut worst = exit_of(State::Completed);
    loop {
        let order = SeriesOrder { repeated_by: None, take_over };
        let (next, notes) = next_run(&engine, &request, order).await?;
        for note in notes {
            output::note(&note);
        }
        let (id, how, request) = match next {
            NextRun::Begin(id) => (id, how, Request::Export(request.clone())),
            NextRun::GoOn(id) => {
                output::note(&format!("the run before, {id}, is not at its end: it goes on first"));
                let request = stored(&engine, &id).await?.request.without_rate();
                (id, How { resumed: true, ..how }, request)
            }
        };
        let code = run(home, &engine, &id, &request, how, show).await?;
        let ended = stored(&engine, &id).await?.state;
        if !ended.is_complete() {
            return Ok(code);
        }
        worst = worst.max(exit_of(ended));
        if !how.resumed {
            return Ok(ExitCode::from(worst));
        }
    }
}

/// Imports all complete runs of a series in their order, each as a transfer of its own. Runs that are imported already
/// stay as they are, so the same command goes on where it was stopped, and takes what was added to the series since.
pub(crate) async fn import(
    home: &Home,
    (id, name): (Option<TransferId>, &SeriesName),
    request: ImportRequest,
    how: How,
    show: Show,
) -> Result<ExitCode, Failure> {
    if request.from.is_some() || request.until.is_some() {
        let what =
            "--series takes all runs whole: leave out --from and --until, or import the runs that hold the range";
        return Err(Failure::usage(what));
    }
    let engine = home.engine(how.bounds.settings()).await?;
    // All of it is looked at before anything is written.
    let (runs, notes) = runs(&engine, &request.source, name).await?;
    for note in notes {
        output::note(&note);
    }
    let base = id.map_or_else(|| format!("import-{name}"), String::from);
    let (mut worst, mut done, mut append) = (exit_of(State::Completed), 0_u64, request.append);
    let all = runs.len() as u64;
    for part in runs {
        let id: TransferId = format!("{base}-{}", part.number)
            .parse()
            .map_err(|error: sluice_transfer::NameError| Failure::usage(format!("{error}: give a shorter --id")))?;
        let source = part
            .manifest
            .parse()
            .map_err(|error: sluice_transfer::NameError| Failure::new(Code::Defect, error.to_string()))?;
        let request = Request::Import(ImportRequest { source, append, ..request.clone() });
        append = true;
        let known = engine.checkpoints.transfer(&id).await?;
        let ended = known.filter(|known| known.state.is_complete() && known.request.is_same(&request));
        let (code, state) = if let Some(known) = ended {
            done += 1;
            (ExitCode::SUCCESS, known.state)
        } else {
            let code = run(home, &engine, &id, &request, how, show).await?;
            (code, stored(&engine, &id).await?.state)
        };
        if !state.is_complete() {
            return Ok(code);
        }
        worst = worst.max(exit_of(state));
    }
    let before = if done > 0 { format!(", {done} of them before") } else { String::new() };
    output::note(&format!("series {name}: {} imported{before}", counted(all, "run")));
    Ok(ExitCode::from(worst))
}
