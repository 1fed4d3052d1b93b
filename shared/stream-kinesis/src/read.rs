//! One read: answers of Kinesis until there are records, the tip, or a second has passed.

use std::sync::PoisonError;

use sluice_ports::{Read, ReadLimit, Result};
use sluice_transfer::{Event, Position, ShardId};

use crate::KinesisStream;
use crate::open::Open;

/// One read follows answers without a record for this time, in milliseconds. The next read continues there.
const READ_MILLIS: u64 = 1_000;

impl KinesisStream {
    pub(crate) async fn read_on(&self, shard: &ShardId, from: &Position, limit: ReadLimit) -> Result<Read> {
        if *from == Position::End {
            return Ok(Read::Events { events: Vec::new(), next: Position::End, at_tail: true, reached: None });
        }
        if self.is_expired(shard).await? {
            return Ok(if *from == Position::Beginning {
                Read::Events { events: Vec::new(), next: Position::End, at_tail: true, reached: None }
            } else {
                Read::Trimmed { earliest: Position::End }
            });
        }
        let mut open = match self.take(shard, from) {
            Some(open) => open,
            None => self.open_at(shard, from, &limit).await?,
        };
        let begun = self.wire.clock().now();
        self.drop_idle();
        while open.ready.is_empty()
            && let Some(next) = open.next.take()
        {
            let (usage, again) = (open.usage(self.wire.pace().usage()), next.again());
            match self.go_on(shard, next, open.wanted(&limit, usage), usage).await {
                Ok(Some(answer)) if self.hurry(shard, &mut open, &answer).await? => {}
                Ok(Some(answer)) => {
                    if let Some(earliest) = self.take_answer(shard, &mut open, answer).await? {
                        self.keep(shard, open);
                        return Ok(Read::Trimmed { earliest });
                    }
                    if open.is_stuck() {
                        open = self.open_at(shard, from, &limit).await?;
                    }
                }
                // The iterator has expired, or the subscription is over. Its place is known.
                Ok(None) => {
                    let since = limit.since.max(open.since());
                    open = self.open_at(shard, from, &ReadLimit { since, ..limit }).await?;
                }
                Err(error) => {
                    // An iterator is as good as before.
                    if again.is_some() {
                        open.next = again;
                        self.keep(shard, open);
                    }
                    return Err(error);
                }
            }
            if open.at_tip || self.wire.clock().now().millis_since(begun) >= READ_MILLIS {
                break;
            }
        }
        Ok(self.answer(shard, open, &limit))
    }

    /// True if all records of the shard have expired, and the stream no longer lists it. Names count up
    /// (`shardId-000000000012`), so a name in front of listed ones is an earlier shard's.
    async fn is_expired(&self, shard: &ShardId) -> Result<bool> {
        let known = self.known().await?;
        let listed = known.shards.iter().any(|known| known.id == *shard);
        Ok(!listed && shard.as_str().starts_with("shardId-") && known.shards.iter().any(|known| known.id > *shard))
    }

    /// The records that are ready, up to the limit. The others are kept for the next read.
    fn answer(&self, shard: &ShardId, mut open: Open, limit: &ReadLimit) -> Read {
        let (mut events, mut bytes) = (Vec::<Event>::new(), 0_usize);
        while events.is_empty() || (events.len() < limit.events && bytes < limit.bytes) {
            let Some(event) = open.ready.pop_front() else { break };
            bytes = bytes.saturating_add(event.payload.len() + event.key.len());
            events.push(event);
        }
        if let Some(last) = events.last() {
            open.from = Position::After(last.sequence.clone());
        }
        let reached = open.reached.filter(|_| open.ready.is_empty());
        let at_tail = open.ready.is_empty() && open.at_tip;
        if at_tail && open.next.is_none() {
            return Read::Events { events, next: Position::End, at_tail, reached };
        }
        let next = open.from.clone();
        self.keep(shard, open);
        Read::Events { events, next, at_tail, reached }
    }

    /// The shard as the last read left it, if this read begins there. A cancelled read leaves nothing.
    fn take(&self, shard: &ShardId, from: &Position) -> Option<Open> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&(shard.clone(), from.clone()))
    }

    fn keep(&self, shard: &ShardId, kept: Open) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert((shard.clone(), kept.from.clone()), kept);
    }
}
