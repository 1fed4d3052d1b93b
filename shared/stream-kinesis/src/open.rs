//! A shard that is being read: the place of its iterator.
//!
//! **Where it is opened.** Behind a number: at the record of that number, if it is still there. Behind silence, or if
//! only a time is known: at that time. If the record or the time is gone, the shard is opened at its oldest record, and
//! the first record that is read shows what was lost.
//!
//! **Iterators behind the horizon** are refused, begin at the horizon, or answer nothing for ever with
//! `MillisBehindLatest` equal to the retention. Servers do any of the three, so all three mean the same here.

use std::collections::VecDeque;

use sluice_ports::{Error, ErrorKind, ReadLimit, Result};
use sluice_transfer::record::TimeBounds;
use sluice_transfer::{Event, Position, Sequence, ShardId, Timestamp};

use crate::KinesisStream;
use crate::answer::Answer;
use crate::fanout::Next;
use crate::pace::Usage;
use crate::wire::{RECORDS, Start};

/// Records of the first call, before the size of a record is known. An answer may have 10 MiB, and then all readers of
/// the shard are refused for 5 seconds.
const FIRST_RECORDS: usize = 16;
/// Records of the first call if the records behind them are about to be trimmed.
const FIRST_HURRIED: usize = 1_000;
/// Empty answers that are followed to a record whose number is known.
const PROBES: u32 = 3;
/// Empty answers at the horizon, in a row, after which an iterator that began there counts as stuck. One that moves has
/// one of them.
const HUNG: u32 = 3;
/// The largest expected difference between the clocks of a reader and of Kinesis, in milliseconds.
const CLOCKS_MILLIS: u64 = 10_000;
/// Records that will be trimmed within this time are read at full speed, in milliseconds.
const EDGE_MILLIS: u64 = 5 * 60 * 1_000;

/// A shard that is being read.
#[derive(Debug)]
pub(crate) struct Open {
    /// The next read answers the records behind this.
    pub from: Position,
    /// Records behind `from` that Kinesis answered and no read has taken.
    pub ready: VecDeque<Event>,
    /// The iterator or subscription behind `ready`; none at a closed shard's end.
    pub next: Option<Next>,
    /// True if nothing lay behind `ready`.
    pub at_tip: bool,
    /// The last answer was empty, and all that arrived before this time lies in front of `next`.
    pub reached: Option<Timestamp>,
    /// Bytes of a record, by the last answer that had some.
    mean: Option<usize>,
    /// The last record that Kinesis answered.
    last: Option<(Sequence, Timestamp)>,
    /// True if it was opened at the oldest record because records behind `from` may be gone, and none was read yet.
    doubtful: bool,
    /// Empty answers at the horizon, in a row.
    hung: u32,
    /// True if the next records are about to be trimmed.
    hurried: bool,
    /// The place of the first iterator.
    start: Start,
}

impl Open {
    fn at(from: &Position, start: Start, next: Next, doubtful: bool) -> Self {
        Self {
            from: from.clone(),
            ready: VecDeque::new(),
            next: Some(next),
            at_tip: false,
            reached: None,
            mean: None,
            last: None,
            doubtful,
            hung: 0,
            hurried: doubtful,
            start,
        }
    }

    /// The usage of the next call: everything if the next records are about to be trimmed.
    pub(crate) fn usage(&self, usage: Usage) -> Usage {
        if self.hurried { usage.hurried() } else { usage }
    }

    /// Records of the next call, so that about the wanted bytes come.
    pub(crate) fn wanted(&self, limit: &ReadLimit, usage: Usage) -> usize {
        let (bytes, first, events) = if self.hurried {
            (limit.bytes, FIRST_HURRIED, RECORDS)
        } else {
            (usage.bytes().map_or(limit.bytes, |bytes| limit.bytes.min(bytes)), FIRST_RECORDS, limit.events)
        };
        self.mean.map_or(first, |mean| bytes / mean).min(events).clamp(1, RECORDS)
    }

    /// True if the iterator lies behind the horizon and would never answer a record.
    pub(crate) fn is_stuck(&self) -> bool {
        let began_there = self.from == Position::Beginning || self.doubtful;
        self.hung > if began_there { HUNG } else { 0 }
    }

    /// Where to look for the place again: behind the last record, or at a time in the silence that was crossed since,
    /// if that is later. None for the record.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        let silent = self.reached.map(|reached| reached.minus_millis(TimeBounds::DOUBT_MILLIS))?;
        self.last.as_ref().is_none_or(|(_, time)| *time < silent).then_some(silent)
    }

    /// Learns the size of a record.
    fn weigh(&mut self, events: &[Event]) {
        let bytes: usize = events.iter().map(|event| event.payload.len() + event.key.len()).sum();
        if !events.is_empty() {
            self.mean = Some((bytes / events.len()).max(1));
        }
    }

    /// Adds an answer behind what is ready.
    fn take(&mut self, answer: Answer<Next>) {
        self.weigh(&answer.events);
        if let Some(last) = answer.events.last() {
            self.last = Some((last.sequence.clone(), last.time));
            self.doubtful = false;
        }
        (self.next, self.at_tip, self.reached) = (answer.next, answer.at_tip, answer.reached);
        self.ready.extend(answer.events.into_iter().filter(|event| !self.from.covers(&event.sequence)));
    }
}

impl KinesisStream {
    /// Opens a shard behind a position, at the earliest where `limit` allows it.
    pub(crate) async fn open_at(&self, shard: &ShardId, from: &Position, limit: &ReadLimit) -> Result<Open> {
        let start = match (from, limit.since) {
            (_, Some(since)) if *from == Position::Beginning || since > self.horizon().await? => Start::Time(since),
            (Position::After(last), None) => {
                if let Some(open) = self.open_behind(shard, last, limit).await? {
                    return Ok(open);
                }
                Start::Horizon
            }
            // From the beginning, where a loss cannot be found; or records behind the position may be gone.
            _ => Start::Horizon,
        };
        let doubtful = start == Start::Horizon && *from != Position::Beginning;
        if let Some(next) = self.begin(shard, &start).await? {
            return Ok(Open::at(from, start, next, doubtful));
        }
        let what = format!("{} takes no iterator at {start:?} of shard {shard}", self.wire.name());
        Err(Error::new(ErrorKind::Unavailable, what))
    }

    /// The shard behind a number, if the record on either side of that boundary is still there: then nothing behind it
    /// is lost.
    async fn open_behind(&self, shard: &ShardId, last: &Sequence, limit: &ReadLimit) -> Result<Option<Open>> {
        let numbering = self.shard(shard).await?.numbering;
        for number in numbering.candidates(last) {
            let start = Start::At(numbering.text(&number));
            let Some(next) = self.begin(shard, &start).await? else { continue };
            let mut open = Open::at(&Position::After(last.clone()), start, next, false);
            for _ in 0..PROBES {
                let Some(next) = open.next.take() else { break };
                // The record itself comes along, if it is the one in front.
                let usage = self.wire.pace().usage();
                let wanted = open.wanted(limit, usage).saturating_add(1);
                let answer = self.go_on(shard, next, wanted, usage).await?;
                let answer = answer.ok_or_else(|| self.expired(shard))?;
                if let Some(first) = answer.events.first() {
                    if first.sequence != number {
                        break;
                    }
                    open.take(answer);
                    return Ok(Some(open));
                }
                if answer.at_tip || self.is_behind_the_horizon(&answer).await? {
                    break;
                }
                open.take(answer);
            }
        }
        Ok(None)
    }

    /// Looks whether the records behind an answer are about to be trimmed. If it is the first answer, drops it and
    /// begins again with a larger one: small steps would lose the race against the horizon. Answers true if it began
    /// again.
    pub(crate) async fn hurry(&self, shard: &ShardId, open: &mut Open, answer: &Answer<Next>) -> Result<bool> {
        let Some(last) = answer.events.last() else { return Ok(false) };
        let is_near = last.time <= self.horizon().await?.plus_millis(EDGE_MILLIS);
        let begins = open.from == Position::Beginning && open.last.is_none();
        // A subscription pushes as much as it can anyway.
        let polls = !matches!(answer.next, Some(Next::Subscription(_)));
        let begins_again = is_near && begins && polls && !open.hurried;
        open.hurried = is_near;
        if begins_again && let Some(iterator) = self.wire.iterator(shard, &open.start).await? {
            open.weigh(&answer.events);
            open.next = Some(Next::Iterator(iterator));
            return Ok(true);
        }
        Ok(false)
    }

    /// Adds an answer to what is read. Answers where the rest begins if something in front of it is gone.
    pub(crate) async fn take_answer(
        &self,
        shard: &ShardId,
        open: &mut Open,
        answer: Answer<Next>,
    ) -> Result<Option<Position>> {
        open.hung = if self.is_behind_the_horizon(&answer).await? { open.hung + 1 } else { 0 };
        let first = answer.events.iter().find(|event| !open.from.covers(&event.sequence));
        let gone = match (first, &open.from) {
            (Some(first), Position::After(last)) if open.doubtful => {
                // What was opened at the oldest record and has `last` has all behind it, too.
                let has_last = answer.events.first().is_some_and(|event| event.sequence <= last.next());
                (!has_last && open.last.is_none()).then(|| Position::before(&first.sequence))
            }
            (Some(first), _) if self.may_have_passed_over(shard, open).await? => {
                Some(Position::before(&first.sequence))
            }
            // A closed shard that is empty: what it had behind the position is gone, if it had anything.
            (None, Position::After(last)) if open.doubtful && answer.next.is_none() && open.last.is_none() => {
                let ending = self.look().await?.shards.iter().find(|known| known.id == *shard).cloned();
                ending.and_then(|known| known.ending).filter(|ending| ending > last).map(Position::After)
            }
            _ => None,
        };
        if let Some(earliest) = &gone {
            open.from = earliest.clone();
        }
        open.take(answer);
        Ok(gone)
    }

    /// Whether records behind the last one may have been trimmed before the answer that follows it: an iterator passes
    /// over what is gone without a word. While that record is there, so is all behind it.
    async fn may_have_passed_over(&self, shard: &ShardId, open: &Open) -> Result<bool> {
        let Some((last, time)) = open.last.clone() else { return Ok(false) };
        let horizon = self.horizon().await?;
        // Silence that was walked over held nothing.
        if time > horizon || open.reached.is_some_and(|walked| walked > horizon) {
            return Ok(false);
        }
        Ok(!self.is_there(shard, &last).await?)
    }

    /// True if the record of that number is still there. Always by polling: a subscription would take the place of the
    /// one that reads.
    async fn is_there(&self, shard: &ShardId, number: &Sequence) -> Result<bool> {
        let start = Start::At(self.shard(shard).await?.numbering.text(number));
        let Some(mut iterator) = self.wire.iterator(shard, &start).await? else { return Ok(false) };
        for _ in 0..PROBES {
            let answer = self.wire.records(shard, &iterator, 1, self.wire.pace().usage()).await?;
            let answer = answer.ok_or_else(|| self.expired(shard))?;
            match (answer.events.first(), answer.next) {
                (Some(first), _) => return Ok(first.sequence == *number),
                (None, Some(next)) if !answer.at_tip => iterator = next,
                _ => break,
            }
        }
        Ok(false)
    }

    /// A reader that has come to this or behind it may find that records are gone.
    async fn horizon(&self) -> Result<Timestamp> {
        let retention = self.known().await?.facts.retention_millis;
        Ok(self.wire.clock().now().minus_millis(retention.saturating_sub(CLOCKS_MILLIS)))
    }

    /// Whether an answer has nothing to say but that its iterator is as far behind as records are kept.
    async fn is_behind_the_horizon(&self, answer: &Answer<Next>) -> Result<bool> {
        match answer.reached {
            Some(reached) if answer.events.is_empty() && !answer.at_tip => Ok(reached <= self.horizon().await?),
            _ => Ok(false),
        }
    }

    /// An iterator that was used at once has expired.
    pub(crate) fn expired(&self, shard: &ShardId) -> Error {
        let what = format!("an iterator of shard {shard} of {} expired before its time", self.wire.name());
        Error::new(ErrorKind::Unavailable, what)
    }
}
