//! Time that is tokio's, so that a paused runtime is a virtual clock.

use std::time::Duration;

use async_trait::async_trait;
use sluice_ports::Clock;
use sluice_transfer::Timestamp;
use tokio::time::Instant;

use crate::Millis;

/// When every test begins: 2023-11-14T22:13:20Z.
const BEGINNING: Millis = 1_700_000_000_000;

/// The time of the service, of its callers, and of the SDK's own timeouts. In a test with `start_paused = true` it
/// stands still while anybody works and goes on to the next waiter when all wait, so days cost nothing.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock {
    began: Instant,
    beginning: Millis,
}

impl VirtualClock {
    /// It is [`2023-11-14T22:13:20Z`](BEGINNING) now.
    #[expect(clippy::new_without_default, reason = "it begins at a point of tokio's time")]
    pub fn new() -> Self {
        Self::beginning(BEGINNING)
    }

    /// It is that time now, in milliseconds since 1970.
    pub(crate) fn beginning(beginning: Millis) -> Self {
        Self { began: Instant::now(), beginning }
    }

    /// Milliseconds since 1970.
    ///
    /// # Panics
    /// After some million years.
    pub fn millis(&self) -> Millis {
        let passed = self.began.elapsed().as_millis();
        self.beginning + Millis::try_from(passed).expect("a test is over within some million years")
    }

    /// Waits. At a paused clock nobody waits for it.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that others wait by")]
    pub async fn pass(&self, millis: Millis) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.millis()).expect("a test is over within some million years"))
    }

    async fn sleep(&self, millis: u64) {
        self.pass(millis).await;
    }
}
