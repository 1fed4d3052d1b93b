//! A stop that is obeyed, whatever is waited for: a rate, a store in trouble, a slow request.
//!
//! A transfer is asked to come to rest by its record, which its slices look at. That takes as long as what they wait
//! for. So work that was asked to stop is given a short time, and is then dropped. For the engine that is the death of
//! its process, after which every transfer goes on exactly where its record says: what was in flight is sent again.
//!
//! **Invariant.** Nothing here changes a record. Work that is dropped was asked to stop before.

use std::cell::Cell;
use std::pin::pin;

use sluice_operations::Engine;
use sluice_ports::Clock;
use sluice_transfer::{TransferId, Wanted};

/// Time for work to come to rest by itself, in milliseconds.
pub(crate) const GRACE_MILLIS: u64 = 1_000;
/// Time to bring to rest what was dropped, in milliseconds. Together less than two seconds.
pub(crate) const REST_MILLIS: u64 = 500;
/// Time between two looks at what is wanted, in milliseconds.
const LOOK_MILLIS: u64 = 250;

/// Does some work, and once `asked` answers, for `millis` more. None if it has not ended by then and was dropped.
pub(crate) async fn obeying<T>(
    clock: &dyn Clock,
    work: impl Future<Output = T>,
    asked: impl Future<Output = ()>,
    millis: u64,
) -> Option<T> {
    let late = async {
        asked.await;
        clock.sleep(millis).await;
    };
    let (work, late) = (pin!(work), pin!(late));
    tokio::select! {
        biased;
        end = work => Some(end),
        () = late => None,
    }
}

/// Answers once the record says that the transfer is to come to rest, from any process. A record that cannot be read
/// says nothing, and none does until `runs` is set: what is woken up was at rest before, and what is cancelled is not
/// to be stopped.
pub(crate) async fn rest_is_wanted(engine: &Engine, id: &TransferId, runs: &Cell<bool>) {
    loop {
        engine.clock.sleep(LOOK_MILLIS).await;
        if runs.get()
            && let Ok(Some(transfer)) = engine.checkpoints.transfer(id).await
            && transfer.wanted != Wanted::Running
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::time::Duration;

    use sluice_memory::{MemoryCheckpoints, MemoryPlaces};
    use sluice_operations::{Settings, pause, plan};
    use sluice_ports::StreamAdmin;
    use sluice_transfer::{ImportRequest, Request};
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test(start_paused = true)]
    async fn what_ends_by_itself_is_not_dropped() {
        assert_eq!(obeying(&SystemClock, async { 1 }, pending(), GRACE_MILLIS).await, Some(1));
        // Asked, and done within the grace.
        let work = async {
            SystemClock.sleep(1_000).await;
            2
        };
        assert_eq!(obeying(&SystemClock, work, async {}, GRACE_MILLIS).await, Some(2));
        // Not asked for a long time.
        let work = async {
            SystemClock.sleep(1_000_000).await;
            3
        };
        assert_eq!(obeying(&SystemClock, work, pending(), GRACE_MILLIS).await, Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_counts_only_while_the_transfer_runs() {
        let places = MemoryPlaces::default();
        places.bucket.put_foreign("export/a", "x");
        places.target.create(1).await.unwrap();
        let engine = Engine {
            checkpoints: Arc::new(MemoryCheckpoints::default()),
            places: Arc::new(places),
            clock: Arc::new(SystemClock),
            settings: Settings::default(),
        };
        let id: TransferId = "t".parse().unwrap();
        let request = ImportRequest::new("memory:archive".parse().unwrap(), "memory:target".parse().unwrap());
        plan(&engine, &id, &Request::Import(request), "test").await.unwrap();
        let runs = Cell::new(true);
        let seen =
            async |runs: &Cell<bool>| timeout(Duration::from_secs(5), rest_is_wanted(&engine, &id, runs)).await.is_ok();
        assert!(!seen(&runs).await, "nobody wants it");
        pause(&engine, &id).await.unwrap();
        assert!(seen(&runs).await);
        runs.set(false);
        assert!(!seen(&runs).await, "it is about to be woken up");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_ever_is_dropped_within_two_seconds_of_the_question() {
        let begun = Instant::now();
        let asked = async { SystemClock.sleep(60_000).await };
        assert_eq!(obeying(&SystemClock, pending::<()>(), asked, GRACE_MILLIS).await, None);
        assert_eq!(obeying(&SystemClock, pending::<()>(), async {}, REST_MILLIS).await, None);
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap() - 60_000;
        assert!((GRACE_MILLIS + REST_MILLIS..2_000 - LOOK_MILLIS).contains(&took), "{took} ms");
    }
}
