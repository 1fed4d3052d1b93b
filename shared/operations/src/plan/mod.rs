//! Preflight: what is asked for is resolved once, checked, and put on record. Nothing is made before everything
//! that can be checked is.

mod bounds;
mod export;
mod folder;
mod foreign;
mod headroom;
mod import;
mod list;
mod notes;
mod order;
mod placement;
mod range;
mod resolved;
mod rhythm;
mod sample;
mod sources;

pub use bounds::{bounds, check_bounds, check_ends, check_order};

use sluice_ports::Created;
use sluice_transfer::record::{Config, ShardRecord, TransferRecord};
use sluice_transfer::{Request, ShardId, State, Step, TransferId};

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

/// Puts a transfer on record, ready for its slices. Run again with the same request it goes on where it was left;
/// with another request it is an error.
pub fn plan<'a>(
    engine: &'a Engine,
    id: &'a TransferId,
    request: &'a Request,
    execution: &'a str,
) -> Operation<'a, Planned> {
    Box::pin(async move {
        let request = &canonical(engine, request).await?;
        let known = engine.checkpoints().transfer(id).await?;
        if let Some(transfer) = known {
            let transfer = same_request(engine, transfer, request).await?;
            if transfer.state != State::Preparing {
                return Ok(Planned { transfer, before: true });
            }
            // A plan that was cut off: its configuration is fixed already, the shards are resolved again.
            let shards = match (&transfer.request, &transfer.config) {
                (Request::Export(request), Config::Export(config)) => {
                    // What is to be said of them is on record already.
                    Box::pin(export::shards(engine, id, request, config)).await?.shards
                }
                (_, Config::Import(_)) => Vec::new(),
                _ => {
                    return Err(OperationError::new(
                        Code::Corrupt,
                        format!("the record of transfer {id} contradicts itself"),
                    ));
                }
            };
            return recorded(engine, transfer, shards, true).await;
        }
        let resolved = match request {
            // Large, and once in a plan.
            Request::Export(request) => Box::pin(export::resolve(engine, id, request, execution)).await?,
            Request::Import(request) => Box::pin(import::resolve(engine, id, request)).await?,
        };
        let shards: Vec<ShardId> = resolved.shards.iter().map(|shard| shard.shard.clone()).collect();
        let now = engine.clock.now();
        let transfer = TransferRecord {
            left_out: resolved.left_out,
            notes: resolved.notes.into_vec(),
            ..TransferRecord::new(id.clone(), execution.to_owned(), request.clone(), resolved.config, shards, now)
        };
        let created = engine.checkpoints().create_transfer(&transfer).await?;
        let transfer = match created {
            Created::Now => transfer,
            Created::Before(there) => same_request(engine, there, request).await?,
        };
        recorded(engine, transfer, resolved.shards, false).await
    })
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
    if let Config::Import(config) = &transfer.config {
        import::reserve(engine, &transfer, &config.stream).await?;
        // Only from here on nobody else can move the target's end.
        shards = import::shards(engine, &transfer.id, config).await?;
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
