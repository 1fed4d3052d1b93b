//! The shards of a slice's lane: which of them are worked on, how many at once, and what they come to together.

use std::future::Future;

use futures::{StreamExt, stream};
use sluice_transfer::record::{ShardRecord, TransferRecord};
use sluice_transfer::{SliceOutcome, State, Timestamp};
use tracing::Instrument;

use crate::error::{OperationError, Stop};
use crate::records::records_of;
use crate::slice::{Slice, shard_span};

/// A slice runs only while its transfer transfers. Answers what to tell the host otherwise.
pub(crate) fn admit(transfer: &TransferRecord) -> Result<(), SliceOutcome> {
    match transfer.state {
        State::Transferring => Ok(()),
        State::Verifying => Err(SliceOutcome::Done),
        State::Paused | State::Cancelled => Err(SliceOutcome::Stopped),
        State::Preparing
        | State::Completed
        | State::CompletedWithGaps
        | State::CompletedWithMisfits
        | State::CompletedWithFailures
        | State::Failed => Err(SliceOutcome::Fenced),
    }
}

/// Runs `each` over shards of the slice's lane, `at_once` of them concurrently.
pub(crate) async fn over_lane<F: Future<Output = Result<ShardEnd, Stop>>>(
    slice: &Slice<'_>,
    lane: Vec<ShardRecord>,
    at_once: usize,
    each: impl Fn(ShardRecord) -> F,
) -> Result<SliceOutcome, OperationError> {
    let work = |record: ShardRecord| {
        let span = shard_span(&record.shard);
        let work = each(record);
        let told = async {
            let end = work.await;
            tell(&end);
            end
        };
        told.instrument(span)
    };
    let ends: Vec<_> = stream::iter(lane).map(work).buffer_unordered(at_once).collect().await;
    slice.wait_for_rate().await;
    Ok(match gather(slice.engine.clock.now(), ends) {
        // A store that is in trouble with one shard stops that shard alone: it was told of above, and is tried again
        // with the next slice. Where nothing moves any more, trouble is the answer.
        SliceOutcome::Interrupted(_) if slice.has_moved() => SliceOutcome::More,
        outcome => outcome,
    })
}

/// What an operator wants to know of a shard's end in a slice.
fn tell(end: &Result<ShardEnd, Stop>) {
    match end {
        Ok(ShardEnd::Drained) => tracing::info!("the shard is drained"),
        Ok(ShardEnd::Busy(wait_millis)) => tracing::info!(wait_millis, "another slice may be alive"),
        Ok(ShardEnd::Waiting(until)) => tracing::debug!(%until, "the next event is not due"),
        Ok(ShardEnd::More | ShardEnd::Stopped) | Err(Stop::Deadline | Stop::Rest) => {}
        Err(Stop::Fenced) => tracing::warn!("fenced: a later slice holds the shard"),
        Err(Stop::Trouble(error) | Stop::Failed(error)) => tracing::warn!(code = %error.code, "{}", error.message),
    }
}

/// The shards of a slice's lane that have something left, those first that had the fewest slices: a budget that does
/// not reach all of them goes round.
pub(crate) async fn in_turn(slice: &Slice<'_>, transfer: &TransferRecord) -> Result<Vec<ShardRecord>, OperationError> {
    let lane = &slice.order.lane;
    let lane = if lane.is_empty() { &transfer.shards } else { lane };
    let mut left = records_of(slice.engine, transfer, lane).await?;
    left.retain(|record| !record.is_drained());
    left.sort_by_key(|record| record.slices);
    Ok(left)
}

/// The result of a slice for one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ShardEnd {
    Drained,
    More,
    Stopped,
    Busy(u64),
    /// Of an import in rhythm: nothing is due before this instant.
    Waiting(Timestamp),
}

/// The outcome of a slice from those of its shards: the worst decides. Of shards that wait the first one does.
pub(crate) fn gather(now: Timestamp, ends: Vec<Result<ShardEnd, Stop>>) -> SliceOutcome {
    let mut outcome = SliceOutcome::Done;
    let rank = |outcome: &SliceOutcome| match outcome {
        SliceOutcome::Done => 0,
        SliceOutcome::Busy { .. } => 1,
        SliceOutcome::Waiting { .. } => 2,
        SliceOutcome::More => 3,
        SliceOutcome::Stopped => 4,
        SliceOutcome::Fenced => 5,
        SliceOutcome::Interrupted(_) => 6,
        SliceOutcome::Failed(_) => 7,
    };
    for end in ends {
        let end = match end {
            Ok(ShardEnd::Drained) => SliceOutcome::Done,
            Ok(ShardEnd::More) | Err(Stop::Deadline) => SliceOutcome::More,
            Ok(ShardEnd::Stopped) | Err(Stop::Rest) => SliceOutcome::Stopped,
            Ok(ShardEnd::Busy(wait_millis)) => SliceOutcome::Busy { wait_millis },
            Ok(ShardEnd::Waiting(until)) => SliceOutcome::Waiting { wait_millis: until.millis_since(now) },
            Err(Stop::Fenced) => SliceOutcome::Fenced,
            Err(Stop::Trouble(error)) => SliceOutcome::Interrupted(error.to_failure()),
            Err(Stop::Failed(error)) => SliceOutcome::Failed(error.to_failure()),
        };
        outcome = match (outcome, end) {
            (SliceOutcome::Busy { wait_millis: a }, SliceOutcome::Busy { wait_millis: b }) => {
                SliceOutcome::Busy { wait_millis: a.max(b) }
            }
            (
                SliceOutcome::Waiting { wait_millis: a },
                SliceOutcome::Waiting { wait_millis: b } | SliceOutcome::Busy { wait_millis: b },
            )
            | (SliceOutcome::Busy { wait_millis: a }, SliceOutcome::Waiting { wait_millis: b }) => {
                SliceOutcome::Waiting { wait_millis: a.min(b) }
            }
            (outcome, end) if rank(&end) > rank(&outcome) => end,
            (outcome, _) => outcome,
        };
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_shard_decides() {
        let of = |ends| gather(Timestamp::default(), ends);
        let gathered = of(vec![Ok(ShardEnd::Drained), Ok(ShardEnd::Busy(5)), Ok(ShardEnd::Busy(9))]);
        assert_eq!(gathered, SliceOutcome::Busy { wait_millis: 9 });
        assert_eq!(of(vec![Ok(ShardEnd::More), Ok(ShardEnd::Busy(5))]), SliceOutcome::More);
        assert_eq!(of(vec![Ok(ShardEnd::Drained), Err(Stop::Fenced)]), SliceOutcome::Fenced);
        assert_eq!(of(vec![Err(Stop::Deadline), Ok(ShardEnd::Drained)]), SliceOutcome::More);
        assert_eq!(of(vec![Err(Stop::Rest), Ok(ShardEnd::More)]), SliceOutcome::Stopped);
        assert_eq!(of(vec![]), SliceOutcome::Done);
        let waiting = |wait_millis| SliceOutcome::Waiting { wait_millis };
        let until = |millis: u64| Ok(ShardEnd::Waiting(Timestamp::default().plus_millis(millis)));
        let (long, short) = (|| until(900), || until(70));
        assert_eq!(of(vec![Ok(ShardEnd::Drained), long(), short()]), waiting(70), "the next event decides");
        assert_eq!(of(vec![short(), Ok(ShardEnd::Busy(5)), long()]), waiting(5));
        assert_eq!(of(vec![Ok(ShardEnd::Busy(500)), short()]), waiting(70));
        assert_eq!(of(vec![Ok(ShardEnd::More), short()]), SliceOutcome::More);
    }
}
