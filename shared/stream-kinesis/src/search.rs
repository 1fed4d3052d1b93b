//! Where a shard's last record is, found by asking for the first record from a time on.
//!
//! **Invariant.** The answer does not depend on times that grow: whatever record in front of the bound was found,
//! reading forward from it comes to the last one. Times only make it quick.

use sluice_ports::Result;
use sluice_transfer::{Sequence, Timestamp};

/// What is read forward at the end lies within this many milliseconds, if times grow: at 1 MB/s, a few MB.
pub(crate) const CLOSE_MILLIS: u64 = 5_000;

/// A record that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub sequence: Sequence,
    pub time: Timestamp,
}

/// What can be asked of a shard.
pub(crate) trait Records: Sync {
    /// The first record of that time or later, if there is one.
    fn first_from(&self, time: Timestamp) -> impl Future<Output = Result<Option<Mark>>> + Send;

    /// The last record in front of `bound`, or of all, that lies at or behind `from`; none if `from` is gone and all
    /// behind it too.
    fn last_from(
        &self,
        from: &Sequence,
        bound: Option<&Sequence>,
    ) -> impl Future<Output = Result<Option<Sequence>>> + Send;
}

/// The last record in front of `bound`, or of all. `first` is the shard's first and lies in front; the search begins
/// at `near` and goes back.
pub(crate) async fn last(
    records: &impl Records,
    first: Mark,
    near: Timestamp,
    bound: Option<&Sequence>,
) -> Result<Sequence> {
    // Found is in front of the bound; from `none` on nothing is, as far as times tell.
    let (mut found, mut none) = (first, near);
    let mut back = CLOSE_MILLIS;
    loop {
        let time = near.minus_millis(back);
        if time <= found.time {
            break;
        }
        match look(records, time, bound).await? {
            Some(mark) => {
                found = mark;
                break;
            }
            None => none = time,
        }
        back = back.saturating_mul(2);
    }
    while none.millis_since(found.time) > CLOSE_MILLIS {
        let middle = found.time.plus_millis(none.millis_since(found.time) / 2);
        match look(records, middle, bound).await? {
            Some(mark) => found = mark,
            None => none = middle,
        }
    }
    let last = records.last_from(&found.sequence, bound).await?;
    Ok(last.unwrap_or(found.sequence))
}

/// The first record of that time or later, if it lies in front of the bound.
async fn look(records: &impl Records, time: Timestamp, bound: Option<&Sequence>) -> Result<Option<Mark>> {
    let found = records.first_from(time).await?;
    let found = found.filter(|mark| bound.is_none_or(|bound| mark.sequence < *bound));
    // It may be older, where times do not grow; it is no less the first from that time on.
    Ok(found.map(|mark| Mark { time: mark.time.max(time), ..mark }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// Numbers and times in milliseconds; what a shard answers by definition.
    #[derive(Debug, Default)]
    struct Model {
        records: Vec<(u64, i64)>,
        looks: AtomicU64,
        read: AtomicU64,
    }

    impl Records for Model {
        async fn first_from(&self, time: Timestamp) -> Result<Option<Mark>> {
            self.looks.fetch_add(1, Ordering::Relaxed);
            let marks = self.records.iter().map(|(number, millis)| Mark {
                sequence: Sequence::new(*number),
                time: Timestamp::from_millis(*millis),
            });
            Ok(marks.into_iter().find(|mark| mark.time >= time))
        }

        async fn last_from(&self, from: &Sequence, bound: Option<&Sequence>) -> Result<Option<Sequence>> {
            let numbers = self.records.iter().map(|(number, _)| Sequence::new(*number));
            let read: Vec<_> =
                numbers.filter(|number| number >= from && bound.is_none_or(|bound| number < bound)).collect();
            self.read.store(read.len() as u64, Ordering::Relaxed);
            Ok(read.last().cloned())
        }
    }

    fn find(model: &Model, near: i64, bound: Option<u64>) -> u64 {
        let first = model.records[0];
        let first = Mark { sequence: Sequence::new(first.0), time: Timestamp::from_millis(first.1) };
        let bound = bound.map(Sequence::new);
        let found = last(model, first, Timestamp::from_millis(near), bound.as_ref());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(found).unwrap().as_u64().unwrap()
    }

    /// Growing numbers with gaps, times from that list.
    fn model(times: Vec<i64>) -> Model {
        let records = times.into_iter().enumerate().map(|(index, time)| (index as u64 * 7 + 3, time)).collect();
        Model { records, ..Model::default() }
    }

    proptest! {
        #[test]
        fn the_last_is_found_whatever_the_times(
            times in proptest::collection::vec(0_i64..100_000_000, 1..60),
            grow in any::<bool>(),
            near in 0_i64..200_000_000,
            bound in proptest::option::of(1_usize..60),
        ) {
            let mut times = times;
            if grow {
                times.sort_unstable();
            }
            let model = model(times);
            let count = bound.map_or(model.records.len(), |bound| bound.min(model.records.len()));
            // The bound is a record's number, or lies behind all.
            let bound = bound.map(|_| model.records.get(count).map_or(u64::MAX, |record| record.0));
            prop_assert_eq!(find(&model, near, bound), model.records[count - 1].0);
        }

        #[test]
        fn a_steady_stream_is_read_for_seconds_only(
            every in 1_i64..200_000,
            count in 1_i64..3_000,
            quiet in 0_i64..700_000_000,
        ) {
            let model = model((0..count).map(|index| index * every).collect());
            let end = (count - 1) * every;
            prop_assert_eq!(find(&model, end + quiet, None), model.records.last().unwrap().0);
            let within = CLOSE_MILLIS / every.unsigned_abs() + 2;
            prop_assert!(model.read.load(Ordering::Relaxed) <= within, "read {} of {within}", model.read.load(Ordering::Relaxed));
            prop_assert!(model.looks.load(Ordering::Relaxed) <= 40);
        }
    }
}
