//! Opening a shard at a position: an iterator, and whether anything behind the position was trimmed.

use std::collections::VecDeque;

use sluice_ports::{Error, ErrorKind, Result};
use sluice_transfer::{Event, Position, Sequence, ShardId, Timestamp};

use crate::KinesisStream;
use crate::wire::{Answer, RECORDS, Start};

/// Answers without a record that are followed in search of one: more than three minutes at a shard's pace. Empty
/// answers are normal, and their number has no limit that is documented.
const EMPTY_ANSWERS: u32 = 1_000;

/// A shard that is being read.
#[derive(Debug)]
pub(crate) struct Open {
    /// Everything behind this is still to be answered.
    pub from: Position,
    /// Answered by Kinesis, not yet by us: they lie behind `from`.
    pub ready: VecDeque<Event>,
    /// Goes on behind what is ready; none at a closed shard's end.
    pub next: Option<String>,
    /// Nothing lay behind what is ready.
    pub at_tip: bool,
    /// Bytes of a record, by the last answer that had some.
    pub mean: Option<usize>,
    /// When the last record arrived that Kinesis answered; what lies behind it is not older.
    pub last: Option<Timestamp>,
}

/// What opening a shard came to.
#[derive(Debug)]
pub(crate) enum Opened {
    At(Open),
    /// Something behind the position is gone; here the rest begins.
    Trimmed(Position),
}

impl Open {
    fn at(from: &Position, answer: Answer) -> Self {
        let (ready, mean, last) = (VecDeque::new(), None, None);
        let mut open = Self { from: from.clone(), ready, next: None, at_tip: false, mean, last };
        open.take(answer);
        open
    }

    /// What was answered where this ends.
    pub(crate) fn take(&mut self, answer: Answer) {
        let bytes: usize = answer.events.iter().map(|event| event.payload.len() + event.key.len()).sum();
        if let Some(last) = answer.events.last() {
            self.last = Some(last.time);
            self.mean = Some((bytes / answer.events.len()).max(1));
        }
        (self.next, self.at_tip) = (answer.next, answer.at_tip);
        self.ready.extend(answer.events.into_iter().filter(|event| !self.from.covers(&event.sequence)));
    }

    /// How many records to ask for, so that about so many bytes come.
    pub(crate) fn wanted(&self, events: usize, bytes: usize) -> usize {
        self.mean.map_or(RECORDS, |mean| bytes / mean).min(events).clamp(1, RECORDS)
    }
}

impl KinesisStream {
    /// The first record from there on, alone, following empty answers to the tip; none if the start was refused.
    pub(crate) async fn first_from(&self, shard: &ShardId, start: &Start) -> Result<Option<Answer>> {
        let Some(mut iterator) = self.wire.iterator(shard, start).await? else { return Ok(None) };
        for _ in 0..EMPTY_ANSWERS {
            let Some(answer) = self.wire.records(shard, &iterator, 1).await? else { return Err(self.expired(shard)) };
            match answer.next {
                Some(next) if answer.events.is_empty() && !answer.at_tip => iterator = next,
                next => return Ok(Some(Answer { next, ..answer })),
            }
        }
        let what = format!("shard {shard} of {} answered no record {EMPTY_ANSWERS} times", self.wire.name());
        Err(Error::new(ErrorKind::Unavailable, what))
    }

    /// The oldest record, alone.
    pub(crate) async fn horizon(&self, shard: &ShardId) -> Result<Answer> {
        let answer = self.first_from(shard, &Start::Horizon).await?;
        answer.ok_or_else(|| Error::new(ErrorKind::Corrupt, "an iterator at the horizon is refused"))
    }

    /// An iterator that was used at once has expired.
    pub(crate) fn expired(&self, shard: &ShardId) -> Error {
        let what = format!("an iterator of shard {shard} of {} expired before its time", self.wire.name());
        Error::new(ErrorKind::Unavailable, what)
    }

    /// Opens a shard behind a position.
    pub(crate) async fn open_at(&self, shard: &ShardId, from: &Position) -> Result<Opened> {
        let Position::After(last) = from else {
            // Since the shard began; what it lost before cannot be told.
            return Ok(Opened::At(Open::at(from, self.horizon(shard).await?)));
        };
        let numbering = self.shard(shard).await?.numbering;
        for number in numbering.candidates(last) {
            if let Some(answer) = self.first_from(shard, &Start::At(numbering.text(&number))).await?
                && answer.events.first().is_some_and(|event| event.sequence == number)
            {
                // The record on either side of the boundary is there, so nothing behind it is lost.
                return Ok(Opened::At(Open::at(from, answer)));
            }
        }
        self.open_from_horizon(shard, last).await
    }

    /// Opens a shard behind a number that no record has, or none any more: from the oldest record on, what lies in
    /// front is skipped.
    async fn open_from_horizon(&self, shard: &ShardId, last: &Sequence) -> Result<Opened> {
        let from = Position::After(last.clone());
        let answer = self.horizon(shard).await?;
        match answer.events.first() {
            Some(oldest) if oldest.sequence > last.next() => Ok(Opened::Trimmed(Position::before(&oldest.sequence))),
            // A closed shard that is empty: what it had behind the position is gone, if it had anything.
            None if answer.next.is_none() => {
                let ending = self.look().await?.shards.iter().find(|known| known.id == *shard).cloned();
                match ending.and_then(|known| known.ending) {
                    Some(ending) if ending > *last => Ok(Opened::Trimmed(Position::After(ending))),
                    _ => Ok(Opened::At(Open::at(&from, answer))),
                }
            }
            _ => Ok(Opened::At(Open::at(&from, answer))),
        }
    }
}
