//! A clock that goes on when all wait for it, so that hours cost nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use sluice_ports::Clock;
use sluice_transfer::Timestamp;

/// When every test begins, in milliseconds since 1970.
const BEGINNING: i64 = 1_700_000_000_000;

/// Time that stands still while anybody works, and goes on to the next waiter when all wait. Clones are the same clock.
///
/// ```
/// use sluice_memory::VirtualClock;
/// use sluice_ports::Clock;
///
/// let clock = VirtualClock::default();
/// let begun = clock.now();
/// clock.run(clock.sleep(3_600_000));
/// assert_eq!(clock.now().millis_since(begun), 3_600_000);
/// ```
#[derive(Clone, Debug, Default)]
pub struct VirtualClock(Arc<Mutex<Timers>>);

#[derive(Debug, Default)]
struct Timers {
    /// Milliseconds since the beginning.
    passed: u64,
    /// Who waits, by the millisecond and a number of their own.
    waiting: BTreeMap<(u64, u64), Waker>,
    next: u64,
}

impl VirtualClock {
    fn timers(&self) -> MutexGuard<'_, Timers> {
        // A test that failed within a call has failed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the beginning.
    pub fn millis(&self) -> u64 {
        self.timers().passed
    }

    /// This many milliseconds pass at once.
    pub fn pass(&self, millis: u64) {
        self.timers().passed += millis;
    }

    /// Runs a future to its end; waits on this clock end at once.
    ///
    /// # Panics
    /// If it waits for anything else.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return answer;
            }
            let woken = {
                let mut timers = self.timers();
                let ((until, _), woken) = timers.waiting.pop_first().expect("nobody waits for the clock");
                timers.passed = timers.passed.max(until);
                woken
            };
            woken.wake();
        }
    }
}

/// A wait that is dropped leaves nothing behind.
struct Sleep {
    clock: VirtualClock,
    until: u64,
    number: u64,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut timers = self.clock.timers();
        if timers.passed >= self.until {
            return Poll::Ready(());
        }
        timers.waiting.insert((self.until, self.number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock.timers().waiting.remove(&(self.until, self.number));
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGINNING).plus_millis(self.millis())
    }

    async fn sleep(&self, millis: u64) {
        let sleep = {
            let mut timers = self.timers();
            timers.next += 1;
            Sleep { clock: self.clone(), until: timers.passed.saturating_add(millis), number: timers.next }
        };
        sleep.await;
    }
}
