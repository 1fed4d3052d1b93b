//! A clock that nobody else moves, and futures that wait for nothing.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use sluice_ports::Clock;
use sluice_transfer::Timestamp;

/// Sleeps from this many milliseconds on last for ever: they are those of whoever waits for a slice's deadline.
const DEADLINE_MILLIS: u64 = 10_000;

/// Time that stands still, or passes with each look at it, so that a deadline ends a slice after this many steps.
#[derive(Debug, Default)]
pub struct MemoryClock {
    /// Milliseconds for each look.
    step: u64,
    looks: AtomicU64,
    /// Milliseconds that it was set ahead.
    ahead: AtomicU64,
}

impl MemoryClock {
    /// Time stands still.
    pub fn still() -> Self {
        Self::default()
    }

    /// Time passes by a millisecond with each look.
    pub fn stepping() -> Self {
        Self { step: 1, ..Self::default() }
    }

    /// This many milliseconds pass at once.
    pub fn pass(&self, millis: u64) {
        self.ahead.fetch_add(millis, Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for MemoryClock {
    fn now(&self) -> Timestamp {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_millis(1_700_000_000_000).plus_millis(looks * self.step + self.ahead.load(Ordering::Relaxed))
    }

    async fn sleep(&self, millis: u64) {
        if millis >= DEADLINE_MILLIS {
            std::future::pending::<()>().await;
        }
    }
}

/// What a future answers that only asks stores in memory, which let nobody wait.
///
/// # Panics
/// If it waits all the same.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("stores in memory answer at once"),
    }
}
