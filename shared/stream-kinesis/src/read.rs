//! Reading on.

use std::sync::PoisonError;

use sluice_ports::{Read, ReadLimit, Result};
use sluice_transfer::{Event, Position, ShardId};

use crate::KinesisStream;
use crate::open::{Open, Opened};

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
                    if let Some(first) = answer.events.iter().find(|event| !from.covers(&event.sequence))
                        && self.is_near_the_end(&open).await?
                    {
                        match self.open_at(shard, from).await? {
                            Opened::Trimmed(earliest) => return Ok(Read::Trimmed { earliest }),
                            // By now all is gone, so nothing tells what lay in front of the answer: better to tell a
                            // gap where none may be than to be silent about one.
                            Opened::At(anew) if anew.last.is_none() && Position::before(&first.sequence) > *from => {
                                let earliest = Position::before(&first.sequence);
                                open.from = earliest.clone();
                                open.take(answer);
                                self.keep(shard, open);
                                return Ok(Read::Trimmed { earliest });
                            }
                            Opened::At(_) => {}
                        }
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

    /// Whether the record that was answered last is so old that others behind it may have been trimmed since their
    /// iterator was made: an iterator passes over what is gone without a word. How old the next one is tells nothing,
    /// since hours may lie between two records.
    async fn is_near_the_end(&self, open: &Open) -> Result<bool> {
        let Some(last) = open.last else { return Ok(false) };
        let retention = self.known().await?.facts.retention_millis;
        let age = self.wire.clock().now().millis_since(last);
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
