//! Time, as the engine sees it.

use async_trait::async_trait;
use sluice_transfer::Timestamp;

/// The only source of time. The simulator's moves when it says so.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Waits for this many milliseconds.
    async fn sleep(&self, millis: u64);
}
