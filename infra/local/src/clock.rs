//! The machine's clock. The only place of this workspace's product code that reads it or waits by it.
#![expect(clippy::disallowed_methods, reason = "a host is where time comes from, and where waiting is done")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use sluice_ports::Clock;
use sluice_transfer::Timestamp;

/// Time as the operating system has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

/// Now.
pub(crate) fn now() -> Timestamp {
    // A clock that stands before 1970 counts as 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Waits.
pub(crate) async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        now()
    }

    async fn sleep(&self, millis: u64) {
        sleep(millis).await;
    }
}
