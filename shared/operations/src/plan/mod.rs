//! Preflight: what is asked for is resolved once, checked, and put on record. Nothing is made before everything
//! that can be checked is.

mod bounds;
mod export;
pub(crate) mod folder;
mod foreign;
mod headroom;
mod import;
mod keeping;
mod list;
mod notes;
mod objects;
mod order;
mod placement;
mod progress;
mod range;
mod resolved;
mod rhythm;
mod sample;
mod sources;

pub use bounds::{bounds, check_bounds, check_ends, check_order};

use sluice_ports::Created;
use sluice_transfer::record::{Config, ShardRecord, TransferRecord};
use sluice_transfer::{Planning, Request, ShardId, State, Step, Timestamp, TransferId, Wanted};

use self::keeping::ListWriter;
use self::progress::Unfinished;

use crate::control::limit;
use crate::engine::{Engine, Operation};
use crate::error::{Code, OperationError};
use crate::export::reader::register;

/// A planned transfer.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The transfer's record as it is now.
    pub transfer: TransferRecord,
    /// True if it was there before, with the same request.
    pub before: bool,
}

/// Puts a transfer on record, ready for its slices, however long that takes. Run again with the same request it goes on
/// where it was left; with another request it is an error.
pub fn plan<'a>(
    engine: &'a Engine,
    id: &'a TransferId,
    request: &'a Request,
    execution: &'a str,
) -> Operation<'a, Planned> {
    plan_until(engine, id, request, execution, None)
}

/// As [`plan`], and leaves off before a deadline. The transfer is then PREPARING still, and what was found is on
/// record: planned again it goes on from there.
pub(crate) fn plan_until<'a>(
    engine: &'a Engine,
    id: &'a TransferId,
    request: &'a Request,
    execution: &'a str,
    deadline: Option<Timestamp>,
) -> Operation<'a, Planned> {
    Box::pin(async move {
        let request = &canonical(engine, request).await?;
        if let Some(transfer) = known(engine, id, request, execution).await? {
            if transfer.state != State::Preparing {
                return Ok(Planned { transfer, before: true });
            }
            if transfer.planning.is_some() {
                return Box::pin(list_sources(engine, transfer, true, deadline)).await;
            }
            // A plan that was cut off: its configuration is fixed already, the shards are resolved again.
            let shards = match (&transfer.request, &transfer.config) {
                (Request::Export(request), Config::Export(config)) => {
                    // What is to be said of them is on record already.
                    Box::pin(export::shards(engine, id, request, config)).await?.shards
                }
                (_, Config::Import(_)) => Vec::new(),
                _ => return Err(contradiction(id)),
            };
            return recorded(engine, transfer, shards, true).await;
        }
        let request = match request {
            Request::Export(request) => request,
            Request::Import(request) => {
                let draft = import::draft(engine, id, request, execution).await?;
                return Box::pin(list_sources(engine, draft, false, deadline)).await;
            }
        };
        // Large, and once in a plan.
        let resolved = Box::pin(export::resolve(engine, id, request, execution)).await?;
        let request = Request::Export(request.clone());
        let shards: Vec<ShardId> = resolved.shards.iter().map(|shard| shard.shard.clone()).collect();
        let now = engine.clock.now();
        let transfer = TransferRecord {
            left_out: resolved.left_out,
            notes: resolved.notes.into_vec(),
            ..TransferRecord::new(id.clone(), execution.to_owned(), request.clone(), resolved.config, shards, now)
        };
        let created = engine.checkpoints().create_transfer(&transfer).await?;
        let (transfer, before) = match created {
            Created::Now => (transfer, false),
            // Another one has planned it at the same time, and runs it.
            Created::Before(there) => (same_request(engine, there, &request).await?, true),
        };
        recorded(engine, transfer, resolved.shards, before).await
    })
}

/// Goes on with the plan of a transfer that is on record, until a deadline.
pub(crate) fn plan_on<'a>(engine: &'a Engine, id: &'a TransferId, deadline: Timestamp) -> Operation<'a, Planning> {
    Box::pin(async move {
        let transfer = engine.transfer(id).await?;
        let is_planned = |transfer: &TransferRecord| match transfer.state {
            _ if transfer.wanted != Wanted::Running => Planning::Stopped,
            State::Preparing => Planning::Again,
            State::Transferring => Planning::Planned,
            _ => Planning::Stopped,
        };
        if is_planned(&transfer) != Planning::Again {
            return Ok(is_planned(&transfer));
        }
        let (request, execution) = (transfer.request.without_rate(), &transfer.execution);
        let planned = plan_until(engine, id, &request, execution, Some(deadline)).await?;
        Ok(is_planned(&planned.transfer))
    })
}

/// Lists the sources of an import, or goes on with that, and once that is through, plans it to its end. `record` is the
/// transfer's, or is going to be.
async fn list_sources(
    engine: &Engine,
    record: TransferRecord,
    before: bool,
    deadline: Option<Timestamp>,
) -> Result<Planned, OperationError> {
    if record.wanted != Wanted::Running {
        return Ok(Planned { transfer: record, before });
    }
    let (id, asked) = (record.id.clone(), record.request.clone());
    let Request::Import(request) = &asked else { return Err(contradiction(&id)) };
    let mut list = ListWriter::new(engine, record, before, deadline).await?;
    let resolved = import::resolve(engine, &mut list, &id, request).await;
    let transfer = match resolved {
        Ok((resolved, shards)) => list.resolved(resolved, shards).await,
        Err(Unfinished::Refused(error)) => {
            if error.code != Code::Unavailable {
                list.refused(&error).await?;
            }
            Err(Unfinished::Refused(error))
        }
        Err(unfinished) => Err(unfinished),
    };
    match transfer {
        Ok(transfer) => recorded(engine, transfer, Vec::new(), before).await,
        Err(Unfinished::Again | Unfinished::Stopped) => {
            let transfer = same_request(engine, engine.transfer(&id).await?, &asked).await?;
            Ok(Planned { transfer, before })
        }
        Err(Unfinished::Refused(error)) => Err(error),
    }
}

/// The transfer of that id, which was there just now, if it is that of the request.
pub(crate) async fn asked_again(
    engine: &Engine,
    id: &TransferId,
    request: &Request,
    execution: &str,
) -> Result<TransferRecord, OperationError> {
    let request = canonical(engine, request).await?;
    known(engine, id, &request, execution).await?.ok_or_else(|| engine.no_transfer(id))
}

fn contradiction(id: &TransferId) -> OperationError {
    OperationError::new(Code::Corrupt, format!("the record of transfer {id} contradicts itself"))
}

/// The transfer of that id, if it is on record and that of the request. One whose plan was refused while it went on has
/// moved nothing, and no host runs it: its place is taken by another request, and its plan begins anew.
async fn known(
    engine: &Engine,
    id: &TransferId,
    request: &Request,
    execution: &str,
) -> Result<Option<TransferRecord>, OperationError> {
    let Some(transfer) = engine.checkpoints().transfer(id).await? else { return Ok(None) };
    let begins_anew = transfer.planning.as_ref().is_some_and(|planning| planning.found.is_none());
    let is_other = !is_repeated(&transfer, request);
    match request {
        Request::Import(asked) if transfer.is_refused() && (is_other || begins_anew) => {
            let draft = import::draft(engine, id, asked, execution).await?;
            let replace = |record: &mut TransferRecord| {
                if record.is_refused() && record.planning == transfer.planning {
                    *record =
                        TransferRecord { revision: record.revision, generation: record.generation, ..draft.clone() };
                }
                Ok(())
            };
            same_request(engine, engine.change(id, replace).await?, request).await.map(Some)
        }
        _ => same_request(engine, transfer, request).await.map(Some),
    }
}

/// The request with its stream under the one name that records know it by.
async fn canonical(engine: &Engine, request: &Request) -> Result<Request, OperationError> {
    let mut request = request.clone();
    let stream = match &mut request {
        Request::Export(request) => &mut request.stream,
        Request::Import(request) => &mut request.stream,
    };
    *stream = engine.places().canonical(stream).await?;
    Ok(request)
}

/// The transfer that is there, if it is that of the request; at the rate that the request asks for, if it does.
async fn same_request(
    engine: &Engine,
    transfer: TransferRecord,
    request: &Request,
) -> Result<TransferRecord, OperationError> {
    if !is_repeated(&transfer, request) {
        return Err(OperationError::new(
            Code::RequestDiffers,
            format!(
                "the id '{}' is taken by another request: repeat that one just as it was, or choose another id",
                transfer.id
            ),
        ));
    }
    match request.rate() {
        Some(rate) if transfer.rate() != Some(rate) && !transfer.state.is_final() => {
            limit(engine, &transfer.id, Some(rate)).await
        }
        _ => Ok(transfer),
    }
}

/// True if a transfer is that of the request. A slash at a source's end makes another one: `a/` is the folder, also
/// where there is an object `a`.
fn is_repeated(transfer: &TransferRecord, request: &Request) -> bool {
    if transfer.request.is_same(request) {
        return true;
    }
    // No slash was kept at a source's end in records of before a target was asked for its largest event.
    let (Request::Import(request), Config::Import(config)) = (request, &transfer.config) else { return false };
    let mut plain = request.clone();
    plain.source.rest.truncate(plain.source.rest.trim_end_matches('/').len());
    config.largest_event.is_none() && transfer.request.is_same(&Request::Import(plain))
}

/// As [`record`]; what refuses a transfer that is on record already stands there too.
async fn recorded(
    engine: &Engine,
    transfer: TransferRecord,
    shards: Vec<ShardRecord>,
    before: bool,
) -> Result<Planned, OperationError> {
    let id = transfer.id.clone();
    let planned = record(engine, transfer, shards, before).await;
    if let Err(error) = &planned
        && error.code != Code::Unavailable
    {
        let note = |transfer: &mut TransferRecord| {
            if transfer.state == State::Preparing {
                transfer.failure = Some(error.to_failure());
            }
            Ok(())
        };
        engine.change(&id, note).await?;
    }
    planned
}

/// The shards go on record, an import's target is reserved, and the transfer may start.
async fn record(
    engine: &Engine,
    transfer: TransferRecord,
    mut shards: Vec<ShardRecord>,
    before: bool,
) -> Result<Planned, OperationError> {
    if let Config::Import(config) = &transfer.config
        && let Some(info) = import::reserve(engine, &transfer, &config.stream).await?
    {
        shards = import::shards(engine, &transfer.id, config, &info).await?;
    }
    register(engine, &transfer).await?;
    for shard in &shards {
        engine.checkpoints().create_shard(shard).await?;
    }
    let transfer = engine
        .change(&transfer.id, |transfer| {
            if transfer.state != State::Preparing {
                return Ok(());
            }
            transfer.step(Step::Planned)?;
            transfer.failure = None;
            Ok(())
        })
        .await?;
    Ok(Planned { transfer, before })
}
