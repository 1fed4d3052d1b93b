//! How long a call to a store is tried.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::{Either, select};
use sluice_ports::{Clock, Error, ErrorKind, Result};
use sluice_transfer::{Backoff, Timestamp};

/// The deadline of a slice. All that have it see when it is put off.
#[derive(Clone)]
pub(crate) struct Deadline {
    ordered: Timestamp,
    /// So much later than it was ordered it is, in milliseconds.
    extended_millis: Arc<AtomicU64>,
}

impl Deadline {
    pub(crate) fn new(ordered: Timestamp) -> Self {
        Self { ordered, extended_millis: Arc::default() }
    }

    /// When it is.
    pub(crate) fn at(&self) -> Timestamp {
        self.ordered.plus_millis(self.extended_millis.load(Ordering::Relaxed))
    }

    /// Puts it off.
    pub(crate) fn extend(&self, millis: u64) {
        self.extended_millis.fetch_add(millis, Ordering::Relaxed);
    }
}

/// How often a call is tried, and until when.
#[derive(Clone)]
pub(crate) struct Patience {
    clock: Arc<dyn Clock>,
    attempts: u32,
    deadline: Option<Deadline>,
}

impl Patience {
    /// Without a deadline a call takes as long as it takes.
    pub(crate) fn new(clock: Arc<dyn Clock>, attempts: u32, deadline: Option<Deadline>) -> Self {
        Self { clock, attempts, deadline }
    }

    /// The store behind this patience.
    pub(crate) fn over<S: ?Sized>(&self, store: Arc<S>) -> Arc<Patient<S>> {
        Arc::new(Patient { store, patience: self.clone() })
    }

    /// Waits, though not past the deadline.
    pub(crate) async fn wait(&self, millis: u64) -> Result<()> {
        self.once(async {
            self.clock.sleep(millis).await;
            Ok(())
        })
        .await
    }

    /// Lets a call run until the deadline and no longer.
    pub(super) async fn once<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(deadline) = &self.deadline else { return call.await };
        let left = deadline.at().millis_since(self.clock.now());
        match select(pin!(call), self.clock.sleep(left)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => Err(Error::new(ErrorKind::Deadline, "the deadline came before the answer")),
        }
    }

    /// The same, and tries the call again while its store is in trouble, a few times. For calls that may happen twice:
    /// reads, conditional writes, creations that answer what was there, uploads of a part.
    pub(super) async fn again<T, F: Future<Output = Result<T>>>(&self, call: impl FnMut() -> F) -> Result<T> {
        self.once(self.persist(call)).await
    }

    async fn persist<T, F: Future<Output = Result<T>>>(&self, mut call: impl FnMut() -> F) -> Result<T> {
        let mut backoff = None;
        for _ in 1..self.attempts.max(1) {
            match call().await {
                Err(error) if error.kind().is_transient() => {
                    tracing::debug!(%error, "trying again");
                    // The clocks of two callers differ, by some microseconds at least.
                    let seed = || self.clock.now().micros().cast_unsigned();
                    let backoff = backoff.get_or_insert_with(|| Backoff::new(seed()));
                    self.clock.sleep(backoff.next_wait(error.kind() == ErrorKind::Throttled)).await;
                }
                answer => return answer,
            }
        }
        call().await
    }
}

/// A store, called with patience. It is what the store is: each port is implemented for it.
pub(crate) struct Patient<S: ?Sized> {
    pub(super) store: Arc<S>,
    pub(super) patience: Patience,
}
