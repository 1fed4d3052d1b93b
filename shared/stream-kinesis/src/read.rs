//! Reading on.

use std::sync::PoisonError;

use sluice_ports::{Read, ReadLimit, Result};
use sluice_transfer::{Event, Position, ShardId};

use crate::KinesisStream;
use crate::open::{Open, Opened};
use crate::wire::Answer;

/// Answers without a record that one read follows: 5 seconds at a shard's pace. The next read goes on from there.
const EMPTY_ANSWERS: u32 = 25;

/// Records that are kept for no longer than this are read with care: longer than an iterator lives (5 minutes; API
/// reference, `GetShardIterator`), and with room for clocks that differ.
const EDGE_MILLIS: u64 = 15 * 60 * 1_000;

impl KinesisStream {
    pub(crate) async fn read_on(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        if *from == Position::End {
            return Ok(Read::Events { events: Vec::new(), next: Position::End, at_tail: true });
        }
        let mut open = match self.take(shard, from) {
            Some(open) => open,
            None => match self.open_at(shard, from).await? {
                Opened::At(open) => open,
                Opened::Trimmed(earliest) => return Ok(Read::Trimmed { earliest }),
            },
        };
        for _ in 0..EMPTY_ANSWERS {
            let Some(iterator) = open.next.clone().filter(|_| open.ready.is_empty()) else { break };
            match self.wire.records(shard, &iterator, open.wanted(limit.events, limit.bytes)).await {
                Ok(Some(answer)) => {
                    // Only now, since it may have been trimmed until now.
                    if self.is_near_the_end(&answer).await?
                        && let Opened::Trimmed(earliest) = self.open_at(shard, from).await?
                    {
                        return Ok(Read::Trimmed { earliest });
                    }
                    open.take(answer);
                }
                Ok(None) => match self.open_at(shard, from).await? {
                    Opened::At(anew) => open = anew,
                    Opened::Trimmed(earliest) => return Ok(Read::Trimmed { earliest }),
                },
                Err(error) => {
                    // The iterator is as good as before.
                    self.keep(shard, open);
                    return Err(error);
                }
            }
            if open.at_tip {
                break;
            }
        }
        Ok(self.answer(shard, open, limit))
    }

    /// Whether the stream keeps the first of these records for so short a time that others in front of it may have
    /// been trimmed since their iterator was made: an iterator passes over what is gone without a word.
    async fn is_near_the_end(&self, answer: &Answer) -> Result<bool> {
        let Some(first) = answer.events.first() else { return Ok(false) };
        let retention = self.known().await?.facts.retention_millis;
        let age = self.wire.clock().now().millis_since(first.time);
        Ok(age.saturating_add(EDGE_MILLIS) >= retention)
    }

    /// What is ready, as much as the limit allows; the rest is kept for the next read.
    fn answer(&self, shard: &ShardId, mut open: Open, limit: ReadLimit) -> Read {
        let (mut events, mut bytes) = (Vec::<Event>::new(), 0_usize);
        while events.is_empty() || (events.len() < limit.events && bytes < limit.bytes) {
            let Some(event) = open.ready.pop_front() else { break };
            bytes = bytes.saturating_add(event.payload.len() + event.key.len());
            events.push(event);
        }
        if let Some(last) = events.last() {
            open.from = Position::After(last.sequence.clone());
        }
        let at_tail = open.ready.is_empty() && open.at_tip;
        if at_tail && open.next.is_none() {
            return Read::Events { events, next: Position::End, at_tail };
        }
        let next = open.from.clone();
        self.keep(shard, open);
        Read::Events { events, next, at_tail }
    }

    /// The shard as a read left it, if that is where this one begins. A read that is given up leaves nothing.
    fn take(&self, shard: &ShardId, from: &Position) -> Option<Open> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(shard).filter(|open| open.from == *from)
    }

    fn keep(&self, shard: &ShardId, kept: Open) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(shard.clone(), kept);
    }
}
