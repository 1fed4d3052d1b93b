//! A stream that knows its events by when they arrived: a moving horizon, and silence that takes many reads.

use std::fmt;
use std::sync::Arc;

use sluice_ports::{Clock, Read, ReadLimit};
use sluice_transfer::{Event, Position, Sequence, Timestamp};

use super::shard::Shard;

/// How a stream behaves that knows its events by when they arrived, as Kinesis does.
#[derive(Clone)]
pub(super) struct Arrivals {
    pub clock: Arc<dyn Clock>,
    /// What arrived longer ago than this is gone.
    pub retention_millis: u64,
    /// How far a read comes at most where there is no event.
    pub stride_millis: u64,
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (retention, stride) = (self.retention_millis, self.stride_millis);
        f.debug_struct("Arrivals").field("retention", &retention).field("stride", &stride).finish_non_exhaustive()
    }
}

impl Arrivals {
    pub(super) fn horizon(&self) -> Timestamp {
        self.clock.now().minus_millis(self.retention_millis)
    }

    /// As [`Shard::read`], where times tell what is gone, and silence is crossed in strides.
    pub(super) fn read(&self, shard: &Shard, from: &Position, limit: ReadLimit) -> Read {
        let (now, horizon) = (self.clock.now(), self.horizon());
        let first = shard.behind(from);
        // What is trimmed from its beginning nobody had read, and what came before `since` is known.
        let known = *from == Position::Beginning || limit.since.is_some_and(|since| since >= horizon);
        if first < shard.earliest && !known {
            return Read::Trimmed { earliest: Position::before(&Sequence::new(shard.earliest)) };
        }
        let first = first.max(shard.earliest);
        let wanted = |event: &&Event| limit.since.is_none_or(|since| event.time >= since);
        let first = shard
            .events
            .range(shard.index(first)..)
            .find(wanted)
            .map_or(shard.next(), |event| event.sequence.as_u64().unwrap_or(u64::MAX));
        let begins = match first.checked_sub(1).filter(|last| *last >= shard.earliest && limit.since.is_none()) {
            Some(last) => shard.events[shard.index(last)].time,
            None => limit.since.unwrap_or(horizon).max(horizon),
        };
        // Nothing comes behind a closed shard's end.
        let is_over = shard.closed && first == shard.next();
        let comes_to = if is_over { now } else { begins.plus_millis(self.stride_millis).min(now) };
        if shard.events.get(shard.index(first)).is_some_and(|event| event.time > comes_to) {
            return Read::Events { events: Vec::new(), next: from.clone(), at_tail: false, reached: Some(comes_to) };
        }
        match shard.read(&Position::before(&Sequence::new(first)), limit) {
            Read::Events { events, next, at_tail, .. } => {
                let next = if events.is_empty() { from.clone() } else { next };
                let at_tail = at_tail && (!events.is_empty() || comes_to == now);
                let reached =
                    if at_tail { Some(now) } else { events.last().map_or(Some(comes_to), |last| Some(last.time)) };
                Read::Events { events, next, at_tail, reached }
            }
            trimmed @ Read::Trimmed { .. } => trimmed,
        }
    }
}
