//! The function's clock: the only place of the functions that reads time or waits by it.
#![expect(clippy::disallowed_methods, reason = "a host is where time comes from, and where waiting is done")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use sluice_ports::Clock;
use sluice_transfer::Timestamp;

/// Time as the operating system has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    async fn sleep(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}
