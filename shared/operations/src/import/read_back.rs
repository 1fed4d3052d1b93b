//! Reading back what an import has sent.

use futures::future::join;
use sluice_ports::{Appends, Error, ErrorKind, NewEvent, Read, ReadLimit, StreamStore};
use sluice_transfer::record::ReadBack;
use sluice_transfer::{Counts, HashRange, Position, ShardId, leading_hash};

use crate::engine::Settings;
use crate::error::Fault;
use crate::stores::Patience;

/// What came of reading on in a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadOn {
    Further,
    /// Nothing more is there, or shown, though the target is said to go on.
    End,
    /// The target was trimmed: what comes next is no longer there. The first event that still is lies behind this.
    Trimmed(Position),
}

/// What was read of a shard of the target and is not compared yet.
pub(crate) struct Ahead {
    shard: ShardId,
    answer: Result<Read, Error>,
}

/// Reads on in a shard of the target and adds to the comparison what has such hashes. What comes next is read while
/// that is done, and left in `ahead` for the next call; so is what was read and lies behind `until`.
pub(crate) async fn read_more(
    settings: &Settings,
    patience: &Patience,
    stream: &dyn StreamStore,
    (shard, hashes): (&ShardId, Option<HashRange>),
    back: &mut ReadBack,
    until: &Position,
    ahead: &mut Option<Ahead>,
) -> Result<ReadOn, Fault> {
    let limit = ReadLimit::new(settings.read_events, settings.read_bytes);
    let mut answer = match ahead.take().filter(|ahead| ahead.shard == *shard) {
        Some(ahead) => ahead.answer?,
        None => stream.read(shard, &back.position, limit).await?,
    };
    if is_at_end(&answer) && stream.promises().appends == Appends::ByKey {
        // What was written last may not be seen yet.
        patience.wait(settings.shown_millis).await?;
        answer = stream.read(shard, &back.position, limit).await?;
    }
    if is_at_end(&answer) {
        return Ok(ReadOn::End);
    }
    let (mut events, next, at_tail, reached) = match answer {
        Read::Events { events, next, at_tail, reached } => (events, next, at_tail, reached),
        Read::Trimmed { earliest } => return Ok(ReadOn::Trimmed(earliest)),
    };
    let within = events.partition_point(|event| until.covers(&event.sequence));
    let behind = events.split_off(within);
    let compare = async {
        for event in events {
            let NewEvent { time, key, headers, payload } = stream.as_stored(event.into())?;
            if hashes.is_some_and(|hashes| !hashes.contains(leading_hash(&key, &payload))) {
                continue;
            }
            back.counts += Counts::new(1, payload.len() as u64);
            back.digest = back.digest.with(time, &key, &headers, &payload);
        }
        Ok::<_, Error>(())
    };
    if at_tail || next >= *until {
        compare.await?;
        if !behind.is_empty() {
            let answer = Ok(Read::Events { events: behind, next: next.clone(), at_tail, reached });
            *ahead = Some(Ahead { shard: shard.clone(), answer });
        }
    } else {
        // Begun first, so that it is under way while this thread compares.
        let (read, compared) = join(stream.read(shard, &next, limit), compare).await;
        compared?;
        *ahead = match read {
            // Not for the next call: there is none.
            Err(error) if error.kind() == ErrorKind::Deadline => return Err(error.into()),
            answer => Some(Ahead { shard: shard.clone(), answer }),
        };
    }
    back.position = next.min(until.clone());
    Ok(ReadOn::Further)
}

fn is_at_end(answer: &Read) -> bool {
    matches!(answer, Read::Events { events, at_tail: true, .. } if events.is_empty())
}
