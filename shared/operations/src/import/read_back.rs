//! Reading back what an import has sent.

use futures::future::join;
use sluice_ports::{Appends, NewEvent, Read, ReadLimit, StreamStore};
use sluice_transfer::record::ReadBack;
use sluice_transfer::{Counts, Position, ShardId};

use crate::engine::Engine;
use crate::error::OperationError;

/// Reads on in the target and adds to the comparison. Answers false if the target was trimmed under it. What comes next
/// is read while that is done, and left in `ahead` for the next call.
pub(crate) async fn read_more(
    engine: &Engine,
    stream: &dyn StreamStore,
    shard: &ShardId,
    back: &mut ReadBack,
    until: &Position,
    ahead: &mut Option<Result<Read, OperationError>>,
) -> Result<bool, OperationError> {
    let limit = ReadLimit { events: engine.settings.read_events, bytes: engine.settings.read_bytes };
    let read = async |from: &Position| {
        engine.persist(async || stream.read(shard, from, limit).await).await.map_err(OperationError::from)
    };
    let mut answer = match ahead.take() {
        Some(answer) => answer?,
        None => read(&back.position).await?,
    };
    if is_at_end(&answer) && stream.appends() == Appends::ByKey {
        // What was written last may not be seen yet.
        engine.clock.sleep(engine.settings.landing_millis).await;
        answer = read(&back.position).await?;
    }
    let at_end = is_at_end(&answer);
    let Read::Events { events, next, at_tail } = answer else { return Ok(false) };
    let compare = async {
        for event in events.into_iter().filter(|event| until.covers(&event.sequence)) {
            let NewEvent { time, key, headers, payload } = stream.as_stored(event.into())?;
            back.counts += Counts::new(1, payload.len() as u64);
            back.digest = back.digest.with(time, &key, &headers, &payload);
        }
        Ok::<_, OperationError>(())
    };
    if at_tail || next >= *until {
        compare.await?;
    } else {
        // Begun first, so that it is under way while this thread compares.
        let (read, compared) = join(read(&next), compare).await;
        compared?;
        *ahead = Some(read);
    }
    // At the end of fewer events than were sent the counts tell.
    back.position = if at_end { until.clone() } else { next.min(until.clone()) };
    Ok(true)
}

fn is_at_end(answer: &Read) -> bool {
    matches!(answer, Read::Events { events, at_tail: true, .. } if events.is_empty())
}
