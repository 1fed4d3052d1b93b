//! A shard whose bounds are times until reading finds their numbers: see
//! [`TimeBounds`](sluice_transfer::record::TimeBounds).

use sluice_ports::StreamFacts;
use sluice_transfer::{Cursor, Event, Position, Timestamp};

use super::shard::ShardExport;
use crate::error::Stop;

/// The events of an answer that lie within the bounds.
pub(super) struct Within {
    pub(super) events: Vec<Event>,
    /// Reading continues here.
    pub(super) next: Position,
    /// True if the whole range is read.
    pub(super) through: bool,
}

impl ShardExport<'_, '_> {
    /// Truncates an answer at the time that bounds the shard. `last` is the position behind the last event that was
    /// read before. A shard without such a bound takes the answer as it is.
    pub(super) fn within(
        &self,
        mut events: Vec<Event>,
        mut next: Position,
        last: &Position,
        reached: Option<Timestamp>,
        at_tail: bool,
    ) -> Within {
        let Some(times) = &self.claimed.record.times else { return Within { events, next, through: false } };
        let mut through = reached.is_some_and(|reached| times.is_read_by(reached, at_tail));
        if let Some(behind) = events.iter().position(|event| times.is_behind(event.time)) {
            events.truncate(behind);
            next = events.last().map_or_else(|| last.clone(), |event| Position::After(event.sequence.clone()));
            through = true;
        }
        Within { events, next, through }
    }

    /// The beginning of the range, if these events are the first of a shard whose beginning was not known.
    pub(super) fn beginning(&self, events: &[Event]) -> Option<Position> {
        let record = &self.claimed.record;
        let is_known = record.times.as_ref().is_none_or(|times| times.began.is_some());
        let first = events.first().filter(|_| !is_known && record.range.from == Position::Beginning)?;
        Some(Position::before(&first.sequence))
    }

    /// Puts the beginning of the range on record. Nothing is packed yet.
    pub(super) fn begin_at(&mut self, from: Position) -> Result<(), Stop> {
        self.claimed.record.range.from = from.clone();
        self.destination_mut()?.began_at(from)?;
        self.claimed.touch();
        Ok(())
    }

    /// Records how long the source keeps events, if it was changed since the plan.
    pub(super) fn note_retention(&mut self, facts: StreamFacts) {
        let seen = facts.retention_millis.filter(|_| facts.retention_millis != self.target.export.retention_millis);
        if let Some(times) = &mut self.claimed.record.times
            && times.retention_millis != seen
        {
            times.retention_millis = seen;
            self.claimed.touch();
        }
    }

    /// Records the times of the events that were read.
    pub(super) fn note_times(&mut self, events: &[Event]) {
        if let Some(times) = &mut self.claimed.record.times {
            for event in events {
                times.read(event.time);
            }
        }
    }

    /// True if silence up to `heard` is long enough to be kept.
    pub(super) fn is_long_silence(&self, heard: Option<Timestamp>) -> bool {
        self.claimed.record.times.as_ref().zip(heard).is_some_and(|(times, heard)| times.is_long(heard))
    }

    /// True if the source may have dropped what came behind `last`: all that is known of it is older than the source
    /// keeps events. Silence that follows is then no silence behind `last`, and is not recorded as one: the slice that
    /// meets the next event has to see that it is not known what came in front of it.
    fn may_follow_a_loss(&self, last: &Position) -> bool {
        let slice = self.claimed.slice;
        let Some(times) = &self.claimed.record.times else { return false };
        let retention = times.retention_millis.or(self.target.export.retention_millis);
        let (Some(retention), Some(known)) = (retention, times.known_behind(last)) else { return false };
        known < slice.engine.clock.now().minus_millis(retention)
    }

    /// Records the silence behind `last`, up to `heard`, if everything in front of it is stored. The next slice
    /// continues there.
    pub(super) fn note_silence(&mut self, last: &Position, heard: Option<Timestamp>) -> Result<(), Stop> {
        let (Some(heard), cursor) = (heard, self.destination()?.cursor()) else { return Ok(()) };
        if *cursor == Cursor::at(last.clone())
            && !self.may_follow_a_loss(last)
            && let Some(times) = &mut self.claimed.record.times
        {
            times.heard_nothing(last, heard);
            self.claimed.touch();
        }
        Ok(())
    }
}
