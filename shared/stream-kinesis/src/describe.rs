//! A stream's shards and their ends, and where a time is.

use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use sluice_ports::{Error, ErrorKind, Result, ShardInfo, StreamInfo};
use sluice_transfer::{Event, Position, Sequence, ShardId, Timestamp};

use crate::KinesisStream;
use crate::answer::Answer;
use crate::pace::Usage;
use crate::search::{Mark, Records, last};
use crate::shards::Shard;
use crate::wire::Start;

/// Shards that are asked at the same time.
const AT_ONCE: usize = 8;
/// Records asked for at once while the last one is looked for.
const FORWARD: usize = 1_000;
/// Answers that are read forward in search of the last record, at most: more than three minutes at a shard's pace.
const ANSWERS: u32 = 1_000;
/// Answers without a record that are followed in search of one: more than three minutes at a shard's pace. Empty
/// answers are normal, and their number has no limit that is documented.
const EMPTY_ANSWERS: u32 = 1_000;
/// A time so far ahead has no record, whoever's clock is wrong.
const AHEAD_MILLIS: u64 = 15 * 60 * 1_000;

impl KinesisStream {
    pub(crate) async fn describe_all(&self) -> Result<StreamInfo> {
        let known = self.look().await?;
        let shards: Vec<_> = known.shards.iter().map(|shard| self.ends(shard).boxed()).collect();
        let shards = stream::iter(shards).buffered(AT_ONCE).try_collect().await?;
        Ok(StreamInfo { shards, writer: None, largest_event: known.facts.largest })
    }

    async fn ends(&self, shard: &Shard) -> Result<ShardInfo> {
        // One was asked for; a server that imitates Kinesis may answer more.
        let oldest = self.oldest(&shard.id).await?.events.into_iter().next();
        let (earliest, tail) = match oldest {
            None => (Position::Beginning, Position::Beginning),
            Some(oldest) => (Position::before(&oldest.sequence), self.tail(shard, &oldest).await?),
        };
        Ok(ShardInfo {
            shard: shard.id.clone(),
            earliest,
            tail,
            parents: shard.parents.clone(),
            hashes: Some(shard.hashes),
            closed: shard.is_closed(),
        })
    }

    /// Behind the last record of a shard that has some. A closed shard's is looked for too: the number that its range
    /// ends with is no record's.
    async fn tail(&self, shard: &Shard, oldest: &Event) -> Result<Position> {
        let found = last(&Within { stream: self, shard }, mark(oldest), self.wire.clock().now(), None).await?;
        if found < oldest.sequence {
            let what = format!("shard {} of {} answers others than were asked for", shard.id, self.wire.name());
            return Err(Error::new(ErrorKind::Corrupt, what));
        }
        Ok(Position::After(found))
    }

    /// In front of the first record of that time or later: behind the record before, if there is one.
    pub(crate) async fn boundary_at(&self, id: &ShardId, time: Timestamp) -> Result<Position> {
        let shard = self.shard(id).await?;
        let oldest = self.oldest(id).await?.events.into_iter().next();
        let Some(oldest) = oldest else { return Ok(Position::Beginning) };
        if time <= oldest.time {
            return Ok(Position::before(&oldest.sequence));
        }
        let within = Within { stream: self, shard: &shard };
        let ahead = time > self.wire.clock().now().plus_millis(AHEAD_MILLIS);
        match if ahead { None } else { within.first_from(time).await? } {
            None => self.tail(&shard, &oldest).await,
            Some(found) if found.sequence <= oldest.sequence => Ok(Position::before(&oldest.sequence)),
            Some(found) => last(&within, mark(&oldest), time, Some(&found.sequence)).await.map(Position::After),
        }
    }
}

impl KinesisStream {
    /// The first record from there on, alone, following empty answers to the tip; none if the start was refused.
    async fn first_from(&self, shard: &ShardId, start: &Start) -> Result<Option<Answer>> {
        let Some(mut iterator) = self.wire.iterator(shard, start).await? else { return Ok(None) };
        for _ in 0..EMPTY_ANSWERS {
            let Some(answer) = self.wire.records(shard, &iterator, 1, Usage::WHOLE).await? else {
                return Err(self.expired(shard));
            };
            match answer.next {
                Some(next) if answer.events.is_empty() && !answer.at_tip => iterator = next,
                next => return Ok(Some(Answer { next, ..answer })),
            }
        }
        let what = format!("shard {shard} of {} answered no record {EMPTY_ANSWERS} times", self.wire.name());
        Err(Error::new(ErrorKind::Unavailable, what))
    }

    /// The oldest record, alone.
    async fn oldest(&self, shard: &ShardId) -> Result<Answer> {
        let answer = self.first_from(shard, &Start::Horizon).await?;
        answer.ok_or_else(|| Error::new(ErrorKind::Corrupt, "an iterator at the horizon is refused"))
    }
}

fn mark(event: &Event) -> Mark {
    Mark { sequence: event.sequence.clone(), time: event.time }
}

/// A shard to be searched.
struct Within<'a> {
    stream: &'a KinesisStream,
    shard: &'a Shard,
}

impl Records for Within<'_> {
    /// A time that is refused lies in the future of Kinesis' clock: there is no record.
    async fn first_from(&self, time: Timestamp) -> Result<Option<Mark>> {
        let answer = self.stream.first_from(&self.shard.id, &Start::Time(time)).await?;
        Ok(answer.and_then(|answer| answer.events.first().map(mark)))
    }

    async fn last_from(&self, from: &Sequence, bound: Option<&Sequence>) -> Result<Option<Sequence>> {
        let (wire, id) = (&self.stream.wire, &self.shard.id);
        let mut iterator = wire.iterator(id, &Start::At(self.shard.numbering.text(from))).await?;
        let mut last = None;
        for _ in 0..ANSWERS {
            let Some(here) = iterator else { return Ok(last) };
            let answer =
                wire.records(id, &here, FORWARD, Usage::WHOLE).await?.ok_or_else(|| self.stream.expired(id))?;
            for event in answer.events {
                if bound.is_some_and(|bound| event.sequence >= *bound) {
                    return Ok(last);
                }
                last = Some(event.sequence);
            }
            if answer.at_tip {
                return Ok(last);
            }
            iterator = answer.next;
        }
        let what = format!("the end of shard {id} of {} was not reached in {ANSWERS} answers", wire.name());
        Err(Error::new(ErrorKind::Unavailable, what))
    }
}
