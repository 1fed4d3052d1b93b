//! A Kinesis in process, on a virtual clock, that refuses what Kinesis refuses.
//!
//! Real streams trim while they are read, answer nothing for long stretches, throttle readers together and land writes
//! late; emulators do none of it. Here each of these is a knob ([`Faults`]), and the README says which test shows it.
//!
//! Three layers. [`Service`] is the pure model: no async, and every call is told the time. [`Faults`] is how it
//! behaves. [`Kinesis`] joins it with tokio's paused clock, and speaks to `aws_sdk_kinesis::Client` without a socket.
//!
//! ```
//! use sluice_fake_kinesis::{Entry, Faults, Kinesis, Mode, Operation, Start};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let kinesis = Kinesis::new(); // in a test: #[tokio::test(start_paused = true)]
//! kinesis.set(Faults { moving_horizon: true, ..Faults::default() });
//! kinesis.call("producer", |call| call.create_stream("orders", 1, Mode::Provisioned))?;
//! let landed = kinesis.call("producer", |call| call.put_record("orders", Entry::new("key", "payload")))?;
//! kinesis.clock().pass(25 * 3_600_000).await; // a day and an hour, at once
//! let start = Start::TrimHorizon;
//! let iterator = kinesis.call("reader", |call| call.get_shard_iterator("orders", &landed.shard, &start))?;
//! assert!(kinesis.call("reader", |call| call.get_records(&iterator, 100))?.records.is_empty());
//! assert_eq!(kinesis.count("reader", Operation::GetRecords).empty, 1);
//! # Ok::<(), sluice_fake_kinesis::Refused>(())
//! # }).unwrap();
//! ```
//!
//! **Invariant.** One seed, one run: no randomness, no real time, no thread.

mod clock;
mod counts;
mod faults;
mod hash;
mod http;
mod number;
mod refused;
mod service;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::SharedHttpClient;

pub use crate::clock::VirtualClock;
pub use crate::counts::{Count, Counts, Operation};
pub use crate::faults::{Behind, Fault, Faults};
pub use crate::hash::{Hashes, hash_of};
pub use crate::refused::{Answer, Code, Refused};
pub use crate::service::{
    Call, ChildShard, ConsumerInfo, ConsumerStatus, Entry, Filter, Landed, Lineage, Mode, Pushed, Record, Records,
    Service, ShardPage, Start, Status, Subscription, Summary,
};

/// Milliseconds: since 1970, or of a span.
pub type Millis = u64;

/// The service at tokio's clock. Clones are the same service.
#[derive(Clone, Debug)]
pub struct Kinesis {
    service: Arc<Mutex<Service>>,
    clock: VirtualClock,
}

impl Kinesis {
    /// Without a stream, and with no fault. To be made in a runtime; its clock is virtual if the runtime is paused.
    #[expect(clippy::new_without_default, reason = "it begins at a point of tokio's time")]
    pub fn new() -> Self {
        Self { service: Arc::default(), clock: VirtualClock::new() }
    }

    /// As [`Self::new`], where it is that time now: for callers that do not go by its clock.
    pub fn beginning(now: Millis) -> Self {
        Self { service: Arc::default(), clock: VirtualClock::beginning(now) }
    }

    /// The clock that the service goes by; the port `Clock` for whoever calls it.
    pub fn clock(&self) -> VirtualClock {
        self.clock
    }

    /// A call of somebody now. Calls that are made so are not subject to scripted faults, and take no time.
    pub fn call<T>(&self, caller: &str, call: impl FnOnce(&mut Call<'_>) -> T) -> T {
        let mut service = self.service();
        // Behind the lock: of two callers the later one is not earlier.
        let now = self.clock.millis();
        call(&mut service.call(caller, now))
    }

    /// How it behaves from now on.
    pub fn set(&self, faults: Faults) {
        self.change(|own| *own = faults);
    }

    /// Changes how it behaves from now on.
    pub fn change(&self, change: impl FnOnce(&mut Faults)) {
        // What was due under the old behaviour happens under it.
        let mut service = self.service();
        let now = self.clock.millis();
        service.call("", now);
        change(&mut service.faults);
    }

    /// What happens to the next calls of an operation that come over the wire, one each, behind those that are
    /// scripted already.
    pub fn script(&self, operation: Operation, faults: impl IntoIterator<Item = Fault>) {
        self.service().script(operation, faults);
    }

    /// What came of one caller's calls of an operation.
    pub fn count(&self, caller: &str, operation: Operation) -> Count {
        self.service().counts().of(caller, operation)
    }

    /// What came of all calls of one caller.
    pub fn count_all(&self, caller: &str) -> Count {
        self.service().counts().by(caller)
    }

    /// A client for the SDK's configuration, whose calls are counted as this caller's. No socket is opened:
    ///
    /// ```no_run
    /// # fn f(kinesis: &sluice_fake_kinesis::Kinesis) -> aws_sdk_kinesis::Client {
    /// let config = aws_sdk_kinesis::Config::builder()
    ///     .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
    ///     .region(aws_sdk_kinesis::config::Region::new("eu-west-1"))
    ///     .endpoint_url("http://kinesis.invalid")
    ///     .allow_no_auth()
    ///     .http_client(kinesis.http_client("sluice"));
    /// aws_sdk_kinesis::Client::from_conf(config.build())
    /// # }
    /// ```
    pub fn http_client(&self, caller: &str) -> SharedHttpClient {
        http::client(self.clone(), caller)
    }

    /// The answer to one request, for a server on a socket: status and body, which is JSON. `target` and `content` are
    /// its headers `x-amz-target` and `content-type`. Scripted faults do not happen to it, and it takes no time.
    pub fn answer(&self, caller: &str, target: &str, content: &str, body: &[u8]) -> (u16, String) {
        http::answer(self, caller, target, content, body)
    }

    fn service(&self) -> MutexGuard<'_, Service> {
        // A test that failed within a call has failed.
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
